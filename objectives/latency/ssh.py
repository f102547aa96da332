"""How long does a network take on another machine? The model and a script are copied over ssh, timed there, read back.

Plain `ssh` and `scp`, keys only (BatchMode). The other machine needs Python 3.8 or newer with onnxruntime.
"""

import json
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from search_space.errors import UserError
from search_space.texts.counting import count_of

from . import timing
from .device import SSH, DeviceUnavailable, Fingerprint, Timing

CONNECT_TIMEOUT_S = 10
COPY_TIMEOUT_S = 120
RUN_TIMEOUT_S = 60.0
"""For one model; a batch has as much for each."""
_OPTIONS = ("-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}")


class SshDevice:
    """A `Device`: onnxruntime on the CPU of a machine that ssh reaches. Works in a folder that it removes again."""

    def __init__(self, target: str, threads: int = 1) -> None:
        self.name = SSH + target
        self.threads = threads
        self._host, _, self._port = target.partition(":")
        self._folder = ""

    def __enter__(self) -> "SshDevice":
        self._folder = self._ssh("mktemp -d", CONNECT_TIMEOUT_S + 20).strip()
        try:
            self._scp([Path(timing.__file__)])
            self.fingerprint: Fingerprint = self._run_script([], RUN_TIMEOUT_S)[0]
            if self.threads > (self.fingerprint["cores"] or 1):
                raise UserError(
                    f"{self.name}: has {count_of(int(self.fingerprint['cores']), 'core')}, "
                    f"{self.threads} threads are too many"
                )
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def time(self, models: Sequence[bytes], *, size: int | None = None, kernels: bool = False) -> list[Timing]:
        """See `Device.time`."""
        if not models:
            return []
        names = [f"model{number}.onnx" for number in range(len(models))]
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / name for name in names]
            for path, model in zip(paths, models, strict=True):
                path.write_bytes(model)
            self._scp(paths)
        options = ["--threads", str(self.threads)]
        options += ["--size", str(size)] if size else []
        options += ["--profile"] if kernels else []
        files = [f"{self._folder}/{name}" for name in names]
        answers = self._run_script([*options, *files], RUN_TIMEOUT_S * len(models))
        return [Timing.from_json(answer) for answer in answers[1:]]

    def _run_script(self, arguments: Sequence[str], timeout_s: float) -> list[dict[str, Any]]:
        """What the script prints: the fingerprint, then a timing for each model."""
        script = f"{self._folder}/{Path(timing.__file__).name}"
        output = self._ssh(shlex.join(["python3", script, *arguments]), timeout_s)
        try:
            answers = [dict(json.loads(line)) for line in output.splitlines()]
        except (ValueError, TypeError):
            answers = []
        if not answers:
            raise DeviceUnavailable(f"{self.name}: python3 there does not run the script, it prints {output[:60]!r}")
        return answers

    def _ssh(self, command: str, timeout_s: float) -> str:
        port = ["-p", self._port] if self._port else []
        return self._call(["ssh", *_OPTIONS, *port, "--", self._host, command], timeout_s)

    def _scp(self, files: Sequence[Path]) -> None:
        port = ["-P", self._port] if self._port else []
        self._call(
            ["scp", "-q", *_OPTIONS, *port, "--", *map(str, files), f"{self._host}:{self._folder}/"], COPY_TIMEOUT_S
        )

    def _call(self, command: list[str], timeout_s: float) -> str:
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL, check=False
            )
        except FileNotFoundError:
            raise DeviceUnavailable(f"{self.name}: '{command[0]}' is not installed here") from None
        except subprocess.TimeoutExpired:
            raise DeviceUnavailable(f"{self.name}: {command[0]} took longer than {timeout_s:.0f} s") from None
        if done.returncode:
            raise DeviceUnavailable(f"{self.name}: {self._reason(done)}")
        return done.stdout

    @staticmethod
    def _reason(done: "subprocess.CompletedProcess[str]") -> str:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        if done.returncode == timing.NO_RUNTIME:
            return "onnxruntime or numpy is missing there; run: python3 -m pip install onnxruntime"
        if done.returncode == 127:
            return f"there is no python3 ({last[0]})"
        if done.returncode == 255:
            return f"cannot connect with a key and without a question ({last[0]})"
        return f"exit code {done.returncode} ({last[0]})"

    def _remove(self) -> None:
        """Best effort: what is left lies in the other machine's folder for temporary files."""
        if self._folder:
            with suppress(DeviceUnavailable):
                self._ssh(f"rm -rf {shlex.quote(self._folder)}", CONNECT_TIMEOUT_S + 20)
            self._folder = ""
