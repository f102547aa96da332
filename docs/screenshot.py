"""A picture of a part of a report, taken in headless Chromium.

python docs/screenshot.py runs/cifar10/report.html docs/cifar10-front.png --selector '#plot-front'
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--selector", default="body", help="CSS selector of the part")
    parser.add_argument("--width", type=int, default=1100, help="of the window, in pixels")
    args = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": args.width, "height": 900}, device_scale_factor=1.5)
        page.goto(args.report.resolve().as_uri())
        page.wait_for_selector(".main-svg")
        page.wait_for_timeout(1000)
        page.locator(args.selector).first.screenshot(path=args.picture)
        browser.close()


if __name__ == "__main__":
    main()
