"""Standard streams of which one can tell who failed: an error in writing to stdout, and none for stderr.

Python itself raises the same BrokenPipeError or OSError for stdout as for any other pipe or file, and raises it once
more when it flushes stdout at its end.
"""

import io
import os
import sys
from typing import Any, TextIO


class StdoutError(OSError):
    """Writing to stdout failed: its reader has gone, or its disk is full."""


class _Stdout(io.FileIO):
    _has_failed = False

    def write(self, data: Any, /) -> int:
        """Write to the file; from the first failure on, which raises StdoutError, drop what comes."""
        if self._has_failed or not data:  # typer probes with nothing, and would hide the failure
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            self._has_failed = True
            raise StdoutError(error.errno, os.strerror(error.errno or 0)) from None


class _Stderr(io.FileIO):
    def write(self, data: Any, /) -> int:
        """Write to the file, or drop what cannot be written: a study does not end because nobody sees its progress."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def guard_streams() -> None:
    """Put the streams of this module in the place of stdout and stderr, unless those are captured by a test."""
    sys.stdout = _guarded(sys.stdout, _Stdout)
    sys.stderr = _guarded(sys.stderr, _Stderr)


def _guarded(stream: Any, kind: type[io.FileIO]) -> TextIO:
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # Python has no buffer there where it is told not to (-u)
    if type(raw) is not io.FileIO:
        return stream  # type: ignore[no-any-return]
    file: Any = kind(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        file if raw is buffer else io.BufferedWriter(file),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
