"""Download of a file: what arrives under its final name is complete and has the expected checksum."""

import logging
from pathlib import Path

from .errors import DatasetError, one_line

_TIMEOUT_S = 30.0

logger = logging.getLogger(__name__)


def download(url: str, destination: Path, sha256: str, *, timeout_s: float = _TIMEOUT_S) -> Path:
    """Download `url` to `destination` and return `destination`.

    An interrupted or wrong download never lies at `destination`. `sha256` has hex digits; `timeout_s` (seconds) bounds
    each wait for the server, not the whole. Raises DatasetError that names the URL: no network, HTTP error, timeout,
    cut short, wrong checksum, or a folder that cannot be written.
    """
    import pooch
    from requests import RequestException

    pooch.get_logger().setLevel("WARNING")
    logger.info("downloading %s to %s", url, destination)
    try:
        pooch.retrieve(
            url,
            known_hash=f"sha256:{sha256}",
            fname=destination.name,
            path=destination.parent,
            downloader=pooch.HTTPDownloader(timeout=timeout_s),
        )
    except RequestException as error:
        answer = error.response
        reason = one_line(error) if answer is None else f"HTTP {answer.status_code} {answer.reason}"
        raise _failure(url, reason) from error
    except ValueError:  # of pooch, for a wrong checksum
        raise _failure(url, f"its sha256 is not {sha256[:16]}...") from None
    except OSError as error:
        raise DatasetError(f"cannot write {destination}: {one_line(error)}") from error
    return destination


def _failure(url: str, reason: str) -> DatasetError:
    return DatasetError(f"cannot download {url}: {reason}; fetch that file by hand and give its path (--data-dir)")
