"""What a user sees while a study runs, on terminals of several widths and in a file."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from runners.config import LimitsConfig, SearchConfig, StudyConfig, WorkersConfig
from runners.search.events import EpochEvent, TrialEvent
from runners.trial_record import Status, TrialRecord
from search_space import ArchSpec, reference
from studies.cli.terminal.fitted_line import Part, fitted_line
from studies.cli.terminal.progress import Progress
from studies.cli.terminal.trial_lines import ended_line
from studies.study.record import StudyRecord

SPEC = reference("resnet20", bits=8)
VALUES = {"accuracy": 0.7352, "macs": 40_813_184.0, "file_bytes": 280_000.0}
REASON = "12.6 % after epoch 4 of 6: would end below 19.1 % (95 % sure), and the front has 19.2 % at no higher cost"
CONFIG = StudyConfig(
    objectives=("accuracy", "macs", "file_bytes"),
    limits=LimitsConfig(),
    search=SearchConfig(trials=24, confirm=0),
    workers=WorkersConfig(workers=2, threads=1),
)
RECORD = StudyRecord(
    directory=Path("runs/drone"),
    config=CONFIG,
    class_names=("a", "b"),
    dataset_fingerprint="",
    training_images=2000,
    validation_images=500,
    validation_source="20 % held out",
    commonest_share=0.5,
    cost_ranges={},
    reference_latencies={},
    created="",
    versions={},
)


def event(trial: int, status: str, evaluated: int, reason: str | None = None) -> TrialEvent:
    assert isinstance(SPEC, ArchSpec)
    record = TrialRecord(number=trial, status=Status(status), spec=SPEC.to_dict(), values=VALUES, reason=reason)
    return TrialEvent(
        trial=record,
        counts={Status.COMPLETED: evaluated, Status.REJECTED: 3},
        has_ended=record.status != Status.RUNNING,
        running=1,
        front_size=5,
        hypervolume=0.4321,
        on_front=False,
    )


def epoch(trial: int, number: int, **changes: int) -> EpochEvent:
    known = EpochEvent(trial=trial, epoch=number, epochs=6, rung=1, rungs=1, metric=0.412, done=number / 6)
    return replace(known, **changes)


class Shown:
    """A progress display at a made-up time, and what it has printed."""

    def __init__(self, width: int, *, terminal: bool, record: StudyRecord = RECORD) -> None:
        self.now = 0.0
        self.file = io.StringIO()
        console = Console(file=self.file, width=width, force_terminal=terminal, no_color=True, highlight=False)
        self.progress = Progress(record, console, lambda: self.now)

    @property
    def lines(self) -> list[str]:
        return re.sub(r"\x1b\[[0-9;]*m", "", self.file.getvalue()).splitlines()


def ended(width: int, *, terminal: bool = True, status: str = "completed", reason: str | None = None) -> list[str]:
    shown = Shown(width, terminal=terminal)
    for trial in range(3):
        shown.progress.on_event(event(trial, "running", trial))
        shown.now += 60
        last = trial == 2
        shown.progress.on_event(event(trial, status if last else "completed", trial + 1, reason if last else None))
    return shown.lines


@pytest.mark.parametrize(
    ("width", "present", "absent"),
    [
        (60, ["[ 3/24]", "73.52 % accuracy", "ResNet-20 basic"], ["MACs", "kB", "front", "left", "hypervolume"]),
        (80, ["40.8 M MACs", "280 kB"], ["widths", "front", "left", "hypervolume"]),
        (100, ["280 kB", "ResNet-20 basic", "32 px"], ["front", "left", "hypervolume"]),
        (120, ["widths 16/32/64", "32 px"], ["hypervolume"]),
        (160, ["widths 16/32/64", "front 5", "hypervolume 0.4321", "about 10 min left"], []),
    ],
)
def test_a_line_fits_by_dropping_what_matters_least(width: int, present: list[str], absent: list[str]) -> None:
    *_, line = ended(width)
    assert len(line) <= width
    assert all(word in line for word in present), line
    assert not any(word in line for word in absent), line


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("latency_ms", 0.289, "0.289 ms latency"),
        ("latency_ms@rpi4", 12.3, "12.3 ms latency on rpi4"),
        ("peak_memory_bytes", 20_000.0, "20 kB peak memory"),
        ("file_bytes", 20_000.0, "20 kB"),
        ("params", 270_000.0, "270 k parameters"),
    ],
)
def test_a_figure_is_followed_by_what_it_is_and_its_unit_stands_once(name: str, value: float, words: str) -> None:
    ended = event(1, "completed", 1)
    ended = replace(ended, trial=replace(ended.trial, values={"accuracy": 0.7, name: value}))
    line = ended_line(ended, total=24, objectives=("accuracy", name), left="")
    assert re.search(rf"70\.00 % accuracy +{re.escape(words)}  ResNet", line), line


@pytest.mark.parametrize("width", [60, 80, 100, 160])
@pytest.mark.parametrize("status", ["stopped", "failed"])
def test_a_reason_is_never_cut(width: int, status: str) -> None:
    lines = ended(width, status=status, reason=REASON)
    assert all(len(line) <= width for line in lines)
    text = " ".join(" ".join(lines).split())
    assert f"trial 2 {status}: {REASON}" in text


def test_each_request_to_stop_is_answered() -> None:
    shown = Shown(120, terminal=False)
    for running in (2, 2, 0):
        shown.progress.on_stop(running)
    assert shown.lines == [
        "stopping: finishing 2 in training; Ctrl-C again stops at once",
        "stopping at once: --resume begins the 2 in training anew",
        "stopping",
    ]


def test_a_file_has_whole_lines_and_none_for_an_epoch() -> None:
    shown = Shown(60, terminal=False)
    with shown.progress as progress:
        progress.on_event(event(0, "rejected", 0))
        progress.on_event(event(1, "running", 0))
        for number in range(1, 7):
            progress.on_epoch(epoch(1, number))
        shown.now = 30
        progress.on_event(event(1, "completed", 1))
        progress.on_event(event(2, "running", 1))
        progress.on_event(event(2, "stopped", 2, REASON))
    study, starting, begins, completed, stopped = shown.lines
    assert study.startswith("study drone: ") and "2 workers x 1 thread on cpu" in study
    assert "loading torch" in starting
    assert begins == "trial 1 begins: ResNet-20 basic · widths 16/32/64 · 32 px · 8 bits"
    assert "hypervolume 0.4321" in completed and "widths 16/32/64" in completed
    assert stopped == f"[ 2/24]   trial 2 stopped: {REASON} | ResNet-20 basic · widths 16/32/64 · 32 px · 8 bits"


@pytest.fixture
def shown() -> Iterator[Shown]:
    shown = Shown(100, terminal=True)
    shown.progress.on_event(event(7, "running", 0))
    yield shown


def test_the_panel_shows_the_epoch_of_each_running_trial(shown: Shown) -> None:
    shown.progress.on_event(event(8, "running", 0))
    shown.now = 35
    shown.progress.on_epoch(epoch(7, 4))
    _, found, first, second = shown.progress.panel(100)
    assert found == "front 5 · 3 rejected · hypervolume 0.4321"
    assert first.split("  ")[:3] == ["trial 7", "epoch 4/6", " 41.2 %"]
    assert first.endswith("ResNet-20 basic · widths 16/32/64 · 32 px · 8 bits  35 s")
    assert "epoch 0/6" in second
    shown.progress.on_epoch(epoch(7, 1, rung=2, rungs=3))
    assert "trial 7  rung 2/3 epoch 1/6   41.2 %" in shown.progress.panel(100)[2]


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_panel_keeps_its_height_and_its_width(shown: Shown, width: int) -> None:
    heights = {len(shown.progress.panel(width))}
    for step in range(4):
        shown.now += 20
        shown.progress.on_event(event(7 + step, "completed", step + 1))
        heights.add(len(shown.progress.panel(width)))
        shown.progress.on_event(event(8 + step, "running", step + 1))
        shown.progress.on_epoch(epoch(8 + step, 2))
        panel = shown.progress.panel(width)
        heights.add(len(panel))
        assert all(len(line) <= width for line in panel)
        assert ("known after the first trials" in panel[0]) == (step < 1)
        assert "41.2 %" in panel[2] and panel[2].endswith(" s")
    assert heights == {4}


def test_of_many_workers_the_panel_shows_some() -> None:
    many = replace(RECORD, config=replace(CONFIG, workers=WorkersConfig(workers=30, threads=1)))
    shown = Shown(100, terminal=True, record=many)
    for trial in range(30):
        shown.progress.on_event(event(trial, "running", 0))
    panel = shown.progress.panel(100)
    assert len(panel) == 10
    assert panel[-1] == "and 23 more in training"


def test_parts_of_the_highest_rank_go_first() -> None:
    parts = [Part("abc"), Part("de", 1), Part("fg", 3, " | "), Part("", 0), Part("h", 2)]
    assert fitted_line(parts) == "abc  de | fg  h"
    assert fitted_line(parts, 15) == "abc  de | fg  h"
    assert fitted_line(parts, 14) == "abc  de  h"
    assert fitted_line(parts, 9) == "abc  de"
    assert fitted_line(parts, 2) == "abc"
