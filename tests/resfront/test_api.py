"""The public API: a study from Python, looked at, gone on with, exported."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

import resfront
from resfront import Dataset, Study, UserError

ROOT = Path(__file__).parents[2]
QUICK = {"training.epochs": 1, "space.depth": [8, 14], "training.images": 200, "training.validation_images": 100}


def images() -> tuple[TensorDataset, tuple[np.ndarray, np.ndarray]]:
    """Bright and dark squares, so that an epoch is enough to tell them apart, to train on and to validate on."""
    labels = np.arange(500) % 2
    pixels = np.random.default_rng(0).integers(0, 80, (500, 8, 8, 1), dtype=np.uint8)
    pixels[labels == 1] += 120
    training = TensorDataset(torch.from_numpy(pixels[:400] / np.float32(255)), torch.from_numpy(labels[:400]))
    return training, (pixels[400:], labels[400:])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of images that were handed over, run in a thread that is not the main one."""
    runs = tmp_path_factory.mktemp("runs")
    found: list[Study] = []
    events: list[int] = []

    def work() -> None:
        found.append(
            resfront.search(
                "quick",
                name="squares",
                runs=runs,
                data=images(),
                max={"file_bytes": "300kB"},
                trials=3,
                references=[],
                settings=QUICK,
                on_event=lambda event: events.append(event.trial.number),
                progress=False,
            )
        )

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found and events
    return found[0]


def test_importing_it_imports_no_torch() -> None:
    code = "import sys, resfront; dir(resfront); print([m for m in ('torch', 'optuna', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", resfront.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(resfront, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        _ = resfront.serach  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_study_in_a_thread(study: Study) -> None:
    assert study.ending == "done" and study.results.evaluated == 3
    assert study.results.validation_source == "the data set's own validation split"
    assert len(list((study.directory.parent / ".data").iterdir())) == 1
    assert (study.trials()["file_bytes"].dropna() <= 300e3).sum() >= 3
    assert study.front()["accuracy"].is_monotonic_decreasing
    assert study.record(int(study.front()["trial"].iloc[0])).observation is not None
    with pytest.raises(UserError, match="no trial 99"):
        study.record(99)


@pytest.mark.slow
def test_figures_are_plotlys(study: Study) -> None:
    for plot in (
        study.plot_front,
        study.plot_hypervolume,
        study.plot_parallel,
        study.plot_curves,
        study.plot_importance,
    ):
        assert plot().to_plotly_json()["layout"]


@pytest.mark.slow
def test_the_best_within_limits(study: Study) -> None:
    best = study.best()
    assert best == study.front()["trial"].iloc[0]
    macs = float(study.front()["macs"].min())
    assert study.recommend(max={"macs": macs}).best is not None
    with pytest.raises(UserError, match="none of 3 networks keeps macs <= 1"):
        study.best(max={"macs": 1})


@pytest.mark.slow
def test_it_is_opened_gone_on_with_and_exported(
    study: Study, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    again = resfront.open_study("squares", study.directory.parent)
    again.resume(trials=4)
    assert again.results.evaluated == 4
    said = capfd.readouterr().err
    assert "3/4" in said and "4/4" in said and "best 0.0 %" not in said
    assert study.results.evaluated == 4, "a study that was opened before sees it"
    out = again.export(again.best(), tmp_path / "network", without=("model.pt2",))
    assert {"spec.json", "weights.safetensors", "model.onnx", "card.md"} <= {path.name for path in out.iterdir()}
    assert resfront.open_study(study.directory).name == "squares"


@pytest.mark.slow
def test_a_study_without_a_front_is_an_error_and_is_kept(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="study hopeless is done, and "):
        resfront.search(
            "quick",
            name="hopeless",
            runs=tmp_path,
            data="digits",
            min={"accuracy": 0.9999},
            trials=1,
            references=[],
            settings=QUICK,
            progress=False,
        )
    assert resfront.open_study("hopeless", tmp_path).results.evaluated == 1


INTERRUPTED = """
import sys, resfront
study = None
try:
    resfront.search('quick', name='stopped', runs=sys.argv[1], trials=3, references=[], progress=False,
                    settings={settings}, on_epoch=lambda event: print('epoch', flush=True))
except KeyboardInterrupt:
    print('interrupted', flush=True)
    study = resfront.open_study('stopped', sys.argv[1]).resume(progress=False)
    print(study.ending, study.results.evaluated)
"""


@pytest.mark.slow
def test_an_interrupted_search_is_gone_on_with(tmp_path: Path) -> None:
    """As a notebook does it: KeyboardInterrupt in the middle of a training, then `resume` in the same process."""
    settings = QUICK | {"data.name": "digits", "training.epochs": 6, "training.images": 600}
    script = tmp_path / "program.py"
    script.write_text(INTERRUPTED.format(settings=settings))
    command = [sys.executable, str(script), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "epoch\n"
        process.send_signal(signal.SIGINT)
        lines = [line.strip() for line in process.stdout]
    assert "interrupted" in lines and lines[-1] == "done 3" and process.returncode == 0


@pytest.mark.slow
def test_a_program_needs_no_guard(tmp_path: Path) -> None:
    """Its workers do not run the script again."""
    script = tmp_path / "program.py"
    script.write_text(
        "import resfront\n"
        "print('begun')\n"
        f"study = resfront.search('quick', name='program', runs={str(tmp_path)!r}, trials=2, references=[],\n"
        f"    settings={QUICK!r} | {{'data.name': 'digits'}}, progress=False)\n"
        "print(study.ending, len(study.front()) > 0)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=200, check=False, cwd=ROOT)
    assert (done.stdout.split("\n")[:2], done.stderr) == (["begun", "done True"], "")


def test_images_that_are_no_arrays_are_refused() -> None:
    with pytest.raises(UserError, match="must be numpy arrays, not list and ndarray"):
        Dataset(name="x", train_images=[1], train_labels=np.zeros(1, np.int64), class_names=("a", "b"))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="class_names must be a tuple of texts, not 'ab'"):
        Dataset(name="x", train_images=np.zeros((2, 8, 8, 1), np.uint8), train_labels=np.arange(2), class_names="ab")  # type: ignore[arg-type]
    with pytest.raises(
        UserError, match=r"data: must be a data set's name, a resfront.Dataset, a torch data set.* not int"
    ):
        resfront.search("quick", data=(1, 2))


def test_mistakes_are_one_line() -> None:
    with pytest.raises(UserError, match="max: must map objectives to amounts"):
        resfront.search("quick", max="file_bytes=3")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="unknown keyword 'trails'; did you mean 'trials'"):
        resfront.search("quick", trails=3)
    with pytest.raises(UserError, match="unknown preset 'cifar'"):
        resfront.search("cifar")
    with pytest.raises(UserError, match="unknown objective 'sice'"):
        resfront.search("quick", max={"sice": 3})
    with pytest.raises(UserError, match=r"no study|runs"):
        resfront.open_study("nothing-here")


def test_images_that_were_cut_short_are_written_anew(tmp_path: Path) -> None:
    from resfront.own_images import dataset_of
    from resfront.searching import _handed_over as handed_over

    squares = dataset_of(images())
    path = Path(handed_over(squares, tmp_path)["data", "path"])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cannot be read as arrays of images"):
        resfront.load_dataset("arrays", path)
    handed_over(squares, tmp_path)
    assert path.read_bytes() == whole
