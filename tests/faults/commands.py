"""The command line in a process of its own, with what its machine lacks."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        lines = self.err.strip().splitlines()
        return lines[-1] if lines else ""

    def __str__(self) -> str:
        return f"exit {self.code}: {self.last_line}"


def resfront_process(
    *arguments: object,
    limits: Mapping[int, int] | None = None,
    stdout: Path | None = None,
    environment: Mapping[str, str] | None = None,
    may_override: bool = True,
) -> Ended:
    """Run `resfront`, with resource limits from `limits`.

    Without `may_override` file permissions hold for it even where it is run by root; the test is skipped where that
    cannot be had.
    """
    command = [sys.executable, "-m", "studies.cli", *map(str, arguments)]
    if not may_override and os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write everywhere")
        command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *command]
    with (stdout or Path(os.devnull)).open("w") as file:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE if stdout is None else file,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
            preexec_fn=_limiter(limits or {}),
            timeout=200,
            check=False,
        )
    return Ended(done.returncode, done.stdout or "", done.stderr)


def _limiter(limits: Mapping[int, int]) -> Callable[[], None]:
    def limit() -> None:
        for kind, value in limits.items():
            resource.setrlimit(kind, (value, value))

    return limit
