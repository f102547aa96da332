"""Figures that do not belong together do not mix: of other profiles, recipes, images, databases or calibrations."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from objectives.devices import FOLDER, load_profile
from objectives.devices.roofline import estimate_latency
from objectives.latency.prediction.calibration import Calibration, PredictionError
from runners.config import LimitsConfig, StudyConfig
from runners.search.pricing.latency_meter import usable_calibration
from search_space.architectures import architecture_from_dict
from search_space.errors import UserError
from studies.launch.resume import resume_study
from studies.launch.run import run_search
from studies.results.reading import load_results
from tests.runners.engines.fake_engine import FakeEngine
from tests.runners.fake_device import FakeDevice
from tests.runners.search.test_coordinator import coordinator
from tests.studies.command import Resfront

from .conftest import Saw
from .studies import CONFIG, contents, engine, finished_study, folder_study, resfront, with_trials, write_images

__all__ = ["engine", "resfront"]
pytestmark = pytest.mark.usefixtures("engine")

BUILT_IN = (FOLDER / "template.toml").read_text(encoding="utf-8")


def board(folder: Path) -> Path:
    path = folder / "board.toml"
    path.write_text(BUILT_IN)
    return path


def board_study(profile: Path, *, as_limit: bool = False) -> StudyConfig:
    """A study of the latency on a board, which it optimises or limits."""
    name = f"latency_ms@{profile}"
    if as_limit:
        return replace(CONFIG, limits=LimitsConfig(max={name: 100.0}))
    return replace(CONFIG, objectives=("accuracy", name))


# --- device profiles -------------------------------------------------------------------------------


def faster(path: Path) -> None:
    path.write_text(path.read_text().replace("macs_per_second = 4.0e9", "macs_per_second = 9.0e9"))


def slower_memory(path: Path) -> None:
    path.write_text(path.read_text().replace("value = 6.0e9", "value = 1.0e9"))


def without_an_operator(path: Path) -> None:
    path.write_text(path.read_text() + '\nadd = "not on this board"\n')


@pytest.mark.fault("the profile's file is edited ({edit}), then --resume", expected="exit 2, says what changed")
@pytest.mark.parametrize("edit", [faster, slower_memory, without_an_operator])
@pytest.mark.parametrize("as_limit", [False, True])
def test_a_profile_that_was_edited_does_not_go_on(
    tmp_path: Path, resfront: Resfront, saw: Saw, edit: Callable[[Path], None], as_limit: bool
) -> None:
    path = board(tmp_path)
    directory = finished_study(tmp_path / "study", board_study(path, as_limit=as_limit)).directory
    edit(path)
    before = contents(directory)
    for command in (
        ("search", "--resume", "--name", "study", "--trials", 12),
        ("export", "study", "--knee", "-o", tmp_path / "out"),
    ):
        done = resfront(*command, "--runs", tmp_path)
        saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
        assert done.code == 2 and "board.toml" in done.err and "profile has changed" in done.err
    assert contents(directory) == before
    assert resfront("status", "study", "--runs", tmp_path, "--json").json["completed"] == 8


@pytest.mark.fault("only a profile's sources are edited, then --resume", expected="goes on")
def test_a_better_source_changes_no_figure(tmp_path: Path, resfront: Resfront) -> None:
    path = board(tmp_path)
    finished_study(tmp_path / "study", board_study(path))
    path.write_text(path.read_text().replace("1 MB of L2", "1 MB of L2, from the data sheet"))
    assert resfront("search", "--resume", "--name", "study", "--trials", 9, "--runs", tmp_path).code == 0


@pytest.mark.fault(
    "the profile's file is {fate} (study {what})", expected="all is readable, and it goes on with its own"
)
@pytest.mark.parametrize("fate", ["moved", "broken"])
@pytest.mark.parametrize("what", ["optimises", "limits"])
def test_figures_outlive_the_profile(tmp_path: Path, resfront: Resfront, saw: Saw, fate: str, what: str) -> None:
    path = board(tmp_path)
    profile = load_profile(str(path))
    directory = finished_study(tmp_path / "study", board_study(path, as_limit=what == "limits")).directory
    name = f"latency_ms@{path}"
    path.rename(tmp_path / "elsewhere.toml") if fate == "moved" else path.write_text("description = ")
    for command in (("status",), ("pareto", "--json"), ("recommend", "--max", f"{name}=50"), ("report",)):
        done = resfront(command[0], "study", *command[1:], "--runs", tmp_path)
        assert done.code == 0, (command, done.err)
    references = load_results(directory).references
    assert references[name].notna().all()
    more = ("search", "--resume", "--name", "study", "--max", f"{name}=60", "--trials", 12, "--runs", tmp_path)
    done = resfront(*more)
    saw(f"readable; --resume: exit {done.code} {done.err.splitlines()[-1] if done.code else ''}")
    if fate == "broken":
        assert done.code == 2 and "board.toml" in done.err
        return
    assert done.code == 0, done.err
    trials = load_results(directory).trials
    assert (trials["status"] == "completed").sum() == 12
    for _, row in trials.iterrows():
        expected = estimate_latency(architecture_from_dict(row["record"].spec).build_graph(), profile).latency_ms
        assert row[name] == pytest.approx(expected, rel=1e-12), "another scale"


@pytest.mark.fault("a profile is edited while the search runs", expected="all figures are of one scale")
def test_a_search_keeps_the_profile_that_it_began_with(tmp_path: Path) -> None:
    path = board(tmp_path)
    profile = load_profile(str(path))
    record = finished_study(tmp_path / "study", board_study(path))
    resumed = resume_study(record.directory, with_trials(record.config, 12))
    text = path.read_text()
    path.unlink()
    run_search(resumed)
    path.write_text(text)
    for _, row in load_results(record.directory).trials.iterrows():
        expected = estimate_latency(architecture_from_dict(row["record"].spec).build_graph(), profile).latency_ms
        assert row[f"latency_ms@{path}"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.fault("a profile is missing when a study is made", expected="exit 2, no study")
@pytest.mark.parametrize("device", ["boards/none.toml", "rpi5"])
def test_a_profile_that_never_was_is_a_mistake(tmp_path: Path, resfront: Resfront, device: str) -> None:
    done = resfront("search", "quick", "--max", f"latency_ms@{device}=3", "--runs", tmp_path)
    assert done.code == 2 and device in done.err and len(done.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


# --- recipe, classes, space and database ------------------------------------------------------------

EDITS = {
    "training.epochs": ("epochs = 1", "epochs = 7"),
    "a class name": ('"3"', '"E"'),
    "the space": ("depth = [18, 30]", "depth = [18, 56]"),
    "the seed": ("seed = 0", "seed = 5"),
    "data.validation_fraction": ("validation_fraction = 0.1", "validation_fraction = 0.2"),
}


@pytest.mark.fault("{what} is edited in study.toml, then --resume and export", expected="exit 2, says what; readable")
@pytest.mark.parametrize("what", EDITS)
def test_a_study_file_that_was_edited_does_not_go_on(tmp_path: Path, resfront: Resfront, saw: Saw, what: str) -> None:
    directory = finished_study(tmp_path / "study").directory
    path = directory / "study.toml"
    text = path.read_text()
    assert EDITS[what][0] in text
    path.write_text(text.replace(*EDITS[what]))
    before = contents(directory)
    for command in (
        ("search", "--resume", "--name", "study", "--trials", 12),
        ("export", "study", "--knee", "-o", tmp_path / "out"),
        ("compare", "--study", "study", "--references", "resnet20", "--as-study"),
        ("fidelity", "study", "--epochs", 2),
    ):
        done = resfront(*command, "--runs", tmp_path)
        saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
        assert done.code == 2 and "differs from what the study was made with" in done.err, command
    assert contents(directory) == before
    assert resfront("status", "study", "--runs", tmp_path, "--json").json["completed"] == 8
    path.write_text(text)
    assert resfront("search", "--resume", "--name", "study", "--trials", 9, "--runs", tmp_path).code == 0


@pytest.mark.fault("limits are edited in study.toml, {sampler} sampler", expected="{expected}")
@pytest.mark.parametrize(("sampler", "expected"), [("random", "goes on"), ("nsga2", "exit 2")])
def test_limits_that_a_sampler_goes_by_stay(tmp_path: Path, resfront: Resfront, sampler: str, expected: str) -> None:
    config = replace(CONFIG, search=replace(CONFIG.search, sampler=sampler), limits=LimitsConfig(max={"macs": 4e6}))
    path = finished_study(tmp_path / "study", config).directory / "study.toml"
    path.write_text(path.read_text().replace("macs = 4000000.0", "macs = 3000000.0"))
    done = resfront("search", "--resume", "--name", "study", "--trials", 9, "--runs", tmp_path)
    assert done.code == (0 if expected == "goes on" else 2), done.err


@pytest.mark.fault("study.db is that of another study ({other})", expected="refused, nothing changed")
@pytest.mark.parametrize("other", ["another recipe", "the same recipe at another time"])
def test_the_database_of_another_study_does_not_go_on(
    tmp_path: Path, resfront: Resfront, monkeypatch: pytest.MonkeyPatch, saw: Saw, other: str
) -> None:
    directory = finished_study(tmp_path / "study").directory
    config = CONFIG if other.startswith("the same") else replace(CONFIG, training=replace(CONFIG.training, epochs=2))
    monkeypatch.setattr("studies.launch.create.utc_now", lambda: "2026-01-01T00:00:00+00:00")
    theirs = finished_study(tmp_path / "other", config).directory
    for path in directory.glob("study.db*"):
        path.unlink()
    shutil.copy(theirs / "study.db", directory)
    before = contents(directory)
    for command in (
        ("search", "--resume", "--name", "study", "--trials", 12),
        ("export", "study", "--knee", "-o", tmp_path / "out"),
    ):
        done = resfront(*command, "--runs", tmp_path)
        saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
        assert done.code == 4 and "another study" in done.err
    assert contents(directory) == before


@pytest.mark.fault(
    "images change under a finished study: {change}", expected="refused at --resume and export; readable"
)
@pytest.mark.parametrize("change", ["one picture", "a class more", "all gone"])
def test_images_that_changed_are_not_exported_for(tmp_path: Path, resfront: Resfront, saw: Saw, change: str) -> None:
    pictures = write_images(tmp_path / "pictures")
    finished_study(tmp_path / "study", folder_study(pictures))
    if change == "one picture":
        shutil.copy(pictures / "cat" / "0.png", pictures / "dog" / "0.png")
    elif change == "a class more":
        shutil.copytree(pictures / "cat", pictures / "emu")
    else:
        shutil.rmtree(pictures)
    for command in (
        ("search", "--resume", "--name", "study", "--trials", 12),
        ("export", "study", "--knee", "-o", tmp_path / "out"),
    ):
        done = resfront(*command, "--runs", tmp_path)
        saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
        assert done.code == 2 and ("--data-dir" if change == "all gone" else "images of image-folder") in done.err
    assert not (tmp_path / "out").exists()
    for name in ("status", "pareto", "recommend", "report"):
        assert resfront(name, "study", "--runs", tmp_path).code == 0


# --- calibrations ----------------------------------------------------------------------------------


def keep_calibration(
    cache: Path, name: str, created: str, *, runtime: str = "fake 1.0", resolution: int = 8, depth: int = 30
) -> None:
    error = PredictionError(nets=1, mean=0.1, within_10_percent=1.0, rank_correlation=1.0, largest=0.1)
    space = replace(CONFIG.space, resolution=(resolution,), depth=(18, depth))
    found = Calibration(
        device="cpu",
        threads=1,
        fingerprint={"processor": "fake", "runtime": runtime},
        created=created,
        seconds=1.0,
        space={"depth": space.depth, "base_width": space.base_width, "resolution": space.resolution},
        errors={"float32": error, "int8": error},
        nets=(),
        kernels={},
    )
    (cache / "calibrations").mkdir(parents=True, exist_ok=True)
    (cache / "calibrations" / f"cpu-1-thread-{name}px.json").write_text(found.to_json())


@pytest.mark.fault("{beside} calibration lies beside one that fits", expected="the one that fits is used")
@pytest.mark.parametrize("beside", ["a stale", "a damaged", "an older", "an unfit"])
def test_a_calibration_that_fits_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saw: Saw, beside: str
) -> None:
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path))
    for name in ("128", "8"):  # before and after it in the alphabet
        if beside == "a damaged":
            keep_calibration(tmp_path, name, "2026-01-01")
            (tmp_path / "calibrations" / f"cpu-1-thread-{name}px.json").write_text('{"schema": 2}')
        else:
            size = 64 if beside == "an unfit" else 8
            runtime = "fake 0.9" if beside == "a stale" else "fake 1.0"
            keep_calibration(tmp_path, name, "2026-01-01", runtime=runtime, resolution=size)
    keep_calibration(tmp_path, "32", "2026-11-01")
    device = FakeDevice(FakeEngine())
    network = CONFIG.space.sample(_First())
    found = usable_calibration(device, lambda calibration: calibration.covers(network))
    saw(None if found is None else f"that of {found.created}")
    assert found is not None and found.created == "2026-11-01"


class _First:
    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return choices[0]


@pytest.mark.fault("a study goes on with another {what}", expected="refused, nothing timed, nothing changed")
@pytest.mark.parametrize(("what", "here"), [("processor", "another"), ("runtime", "fake 2.0"), ("threads", 2)])
def test_latencies_of_two_machines_do_not_mix(tmp_path: Path, saw: Saw, what: str, here: str | int) -> None:
    config = StudyConfig(objectives=("accuracy", "latency_ms"), space=CONFIG.space, search=CONFIG.search)
    fake = FakeEngine()
    coordinator(tmp_path, config, fake, device=FakeDevice(fake)).run()
    elsewhere = FakeDevice(fake)
    if what == "threads":
        elsewhere.threads = int(here)
    else:
        elsewhere.fingerprint[what] = here
    before = contents(tmp_path, "trials/**/*")
    with pytest.raises(UserError, match=r"latency_ms: was measured with fake, fake 1\.0, 1 thread so far") as caught:
        coordinator(tmp_path, with_trials(config, 12), fake, device=elsewhere)
    saw(caught.value)
    assert elsewhere.timed == []
    assert contents(tmp_path, "trials/**/*") == before
