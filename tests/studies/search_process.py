"""A search in a process of its own, to be interrupted, and the trials that its database then holds."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import psutil
from optuna.trial import FrozenTrial

CONFIG = """
objectives = ["accuracy", "macs"]
[data]
name = "digits"
[space]
depth = [18, 26]
base_width = [8, 16]
blocks = ["basic", "bottleneck"]
resolution = [8]
bits = [32, 8]
[training]
epochs = 2
images = 200
batch_size = 32
[search]
trials = 5
sampler = "random"
[workers]
workers = 1
threads = 1
"""


class Search:
    """`resfront search` in a process group of its own, its progress in a file."""

    def __init__(self, runs: Path, *options: str, resume: bool = False) -> None:
        (runs / "digits.toml").write_text(CONFIG)
        what = ["--resume", "--name", "digits"] if resume else [str(runs / "digits.toml")]
        self.log = runs / f"log{len(list(runs.glob('log*')))}"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "studies.cli", "search", *what, "--runs", str(runs), *options],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 120) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)

    def evaluated(self) -> int:
        return self.log.read_text().count("] ")

    def has_begun(self) -> bool:
        """Whether there is a study, and a process to train it."""
        return self.log.exists() and "study digits" in self.log.read_text() and self.children() != []

    def children(self) -> list[psutil.Process]:
        """Not multiprocessing's own helper."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]

    def workers(self) -> list[psutil.Process]:
        """The processes that train, not the server that they are forked from."""
        return [worker for child in self.children() for worker in child.children()]

    def finish(self) -> int:
        return self.process.wait(timeout=200)


def stored(runs: Path) -> list[FrozenTrial]:
    study = optuna.load_study(study_name="resfront", storage=f"sqlite:///{runs / 'digits' / 'study.db'}")
    return study.get_trials()


def finished(runs: Path) -> dict[int, FrozenTrial]:
    return {trial.number: trial for trial in stored(runs) if trial.state.is_finished()}
