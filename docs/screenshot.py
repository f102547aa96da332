"""A picture of a report or of the dashboard, taken in headless Chromium.

python docs/screenshot.py runs/cifar10/report.html docs/cifar10-front.png --selector '#plot-front'
python docs/screenshot.py 'http://127.0.0.1:8050/cifar10?trial=35' docs/dashboard.png --width 1280 --height 1000
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", help="a file, or an address")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--selector", help="CSS selector of the part; by default what the window shows")
    parser.add_argument("--width", type=int, default=1100, help="of the window, in pixels")
    parser.add_argument("--height", type=int, default=900, help="of the window, in pixels")
    parser.add_argument("--dark", action="store_true", help="as on a system that is set to dark")
    args = parser.parse_args()
    address = args.page if args.page.startswith("http") else Path(args.page).resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(
            viewport={"width": args.width, "height": args.height},
            device_scale_factor=1.5,
            color_scheme="dark" if args.dark else "light",
        )
        page.goto(address)
        page.wait_for_selector(".main-svg, table")
        page.wait_for_timeout(3000)  # the dashboard's table comes after its picture
        if args.selector:
            page.locator(args.selector).first.screenshot(path=args.picture)
        else:
            page.screenshot(path=args.picture)
        browser.close()


if __name__ == "__main__":
    main()
