"""How far are the candidates that train on this machine? Workers write a line after each epoch into one pipe.

A line is shorter than PIPE_BUF, so the kernel writes it whole or not at all: workers share no lock, which one that is
killed could keep for ever. Where the pipe is full, the report is dropped, because it is for display only.
"""

import json
import multiprocessing
import os
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection

from ..base import EpochReport

_CHUNK = 65_536


class ReportPipe:
    """The coordinator's end of the pipe; `writer` goes to each worker when it starts."""

    def __init__(self) -> None:
        self._reader, self.writer = multiprocessing.Pipe(duplex=False)
        for end in (self._reader, self.writer):
            os.set_blocking(end.fileno(), False)
        self._unfinished = b""

    def read(self) -> list[EpochReport]:
        """What has been written since the last call; never waits."""
        with suppress(BlockingIOError):
            while chunk := os.read(self._reader.fileno(), _CHUNK):
                self._unfinished += chunk
        *lines, self._unfinished = self._unfinished.split(b"\n")
        return [EpochReport(**json.loads(line)) for line in lines]

    def close(self) -> None:
        """Close both ends; a worker that still writes notices nothing."""
        self._reader.close()
        self.writer.close()


def write_report(writer: Connection, report: EpochReport) -> None:
    """Write one line, or nothing where the pipe is full or its reader is gone."""
    with suppress(OSError):
        os.write(writer.fileno(), json.dumps(asdict(report)).encode() + b"\n")
