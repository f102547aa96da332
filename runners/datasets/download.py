"""Fetch a file once: what arrives under its final name is complete and has the expected checksum."""

import hashlib
import http.client
import logging
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from .errors import DatasetError, one_line

_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 20

logger = logging.getLogger(__name__)


def download(url: str, destination: Path, sha256: str, *, timeout_s: float = _TIMEOUT_S) -> Path:
    """Download `url` to `destination` and return `destination`.

    Streams to a temporary file in the same folder, compares its sha256 (hex digits) and renames it, so an
    interrupted or wrong download never lies at `destination`. `timeout_s` (seconds) bounds each wait for the
    server, not the whole. Raises DatasetError that names the URL: no network, HTTP error, timeout, cut short,
    wrong checksum, or a folder that cannot be written.
    """
    part = destination.with_name(f".{destination.name}.{uuid.uuid4().hex[:8]}.part")
    logger.info("downloading %s to %s", url, destination)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            actual = _stream(url, part, timeout_s)
            if actual != sha256:
                raise _failure(url, f"its sha256 is {actual[:16]}..., expected {sha256[:16]}...")
            part.replace(destination)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot write {destination}: {one_line(error)}") from error
    return destination


def _stream(url: str, part: Path, timeout_s: float) -> str:
    """Write the body to `part`; returns its sha256. Network trouble is DatasetError, disk trouble OSError."""
    digest = hashlib.sha256()
    with _open(url, timeout_s) as response, part.open("wb") as file:
        expected = response.headers.get("Content-Length")
        received = 0
        while chunk := _read(response, url):
            digest.update(chunk)
            file.write(chunk)
            received += len(chunk)
    if expected is not None and str(received) != expected:
        raise _failure(url, f"the connection ended after {received} of {expected} bytes")
    return digest.hexdigest()


def _open(url: str, timeout_s: float) -> Any:
    try:
        return urllib.request.urlopen(url, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:  # It holds the open response.
            raise _failure(url, f"HTTP {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise _failure(url, one_line(reason)) from error


def _read(response: Any, url: str) -> bytes:
    try:
        return bytes(response.read(_CHUNK_BYTES))
    except (OSError, http.client.HTTPException) as error:
        raise _failure(url, one_line(error)) from error


def _failure(url: str, reason: str) -> DatasetError:
    return DatasetError(f"cannot download {url}: {reason}; fetch that file by hand and give its path (--data-dir)")
