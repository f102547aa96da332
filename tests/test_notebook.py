"""The example notebook: it is kept without outputs, its cells run, and what they show is what the studies hold."""

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import resfront

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebook writes."""
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def outputs(folder: Path) -> dict[str, list[Any]]:
    """Outputs of the cells by their ids, run by a kernel of this interpreter on this checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")  # as in every test
        for variable in ("TMPDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(variable, str(folder))
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def result_of(outputs: list[Any], kind: str = "text/plain") -> Any:
    """Return what the last expression of a cell shows."""
    (shown,) = [output.data for output in outputs if output.output_type in ("execute_result", "display_data")]
    return shown[kind]


def printed_by(outputs: list[Any]) -> str:
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


def study_of(folder: Path, name: str) -> resfront.Study:
    (path,) = folder.glob(f"resfront-*/{name}")
    return resfront.open_study(path)


def test_it_is_small_and_holds_no_outputs() -> None:
    assert NOTEBOOK.stat().st_size < 100_000
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.id for cell in cells if cell.outputs or cell.execution_count] == []


def test_the_pages_that_it_names_are_there() -> None:
    text = "".join(cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells)
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert links and [link for link in links if not (NOTEBOOK.parent / link).exists()] == []


@pytest.mark.slow
def test_it_searches(outputs: dict[str, list[Any]], folder: Path) -> None:
    assert ast.literal_eval(result_of(outputs["search"])) == ("done", 5)
    cells = re.findall(r"<td>(.*?)</td>", result_of(outputs["front"], "text/html"))
    accuracies = [float(cell) for cell in cells[1::5]]
    assert accuracies and accuracies == sorted(accuracies, reverse=True)
    assert max(accuracies) > 0.25, "better than chance, which is a tenth"
    assert max(float(cell) for cell in cells[3::5]) <= 150e3
    assert result_of(outputs["trials"]).count("completed") >= len(accuracies)
    figure = result_of(outputs["figure"], "application/vnd.plotly.v1+json")
    plotted = {point for trace in figure["data"] for point in trace.get("customdata", ())}
    assert plotted >= set(study_of(folder, "clothes").trials()["trial"][:5])


@pytest.mark.slow
def test_it_recommends(outputs: dict[str, list[Any]], folder: Path) -> None:
    study = study_of(folder, "clothes")
    said = re.match(r"(\d) of 5 networks .* the best is trial (\d)\n", printed_by(outputs["recommend"]))
    assert said is not None
    trials = study.trials()[:5]
    fitting = trials[trials["macs"] <= 2e6]
    assert int(said[1]) == len(fitting) > 0
    assert fitting.set_index("trial")["accuracy"].idxmax() == int(said[2])
    smallest = trials.set_index("trial")["file_bytes"].idxmin()
    nearest, error = printed_by(outputs["impossible"]).splitlines()
    assert nearest.startswith(f"nearest: trial {smallest}, ")
    assert error == "clothes: none of 5 networks keeps file_bytes <= 5,000"


@pytest.mark.slow
def test_it_shows_a_record(outputs: dict[str, list[Any]]) -> None:
    lines = printed_by(outputs["record"]).splitlines()
    assert re.fullmatch(r"\d+ layers, stages of \[('\w+', ){2}'\w+'\], \d+ pixels", lines[0])
    assert [line.split(":")[0] for line in lines[1:4]] == ["epoch 1", "epoch 2", "epoch 3"]
    assert lines[4].startswith("1000 images, seed ")


@pytest.mark.slow
def test_it_goes_on_after_an_interruption(outputs: dict[str, list[Any]], folder: Path) -> None:
    told = "interrupted; trials that have ended: 5, ending of the search: interrupted\n"
    assert printed_by(outputs["interrupt"]) == told
    assert result_of(outputs["interrupt"]).split()[-1] == "running"
    assert printed_by(outputs["resume"]) == "trials that have ended: 6, ending of the search: done\n"
    assert study_of(folder, "clothes").results.evaluated == 6


@pytest.mark.slow
def test_it_exports(outputs: dict[str, list[Any]], folder: Path) -> None:
    listed = {line.split()[0] for line in printed_by(outputs["export"]).splitlines()}
    (exported,) = folder.glob("resfront-*/network")
    assert {"card.md", "predict.py", "spec.json", "weights.safetensors"} < listed
    assert listed == {path.name for path in exported.iterdir()}
    study = study_of(folder, "clothes")
    assert f"Trial {study.best()} of the resfront study `clothes`" in printed_by(outputs["card"])


@pytest.mark.slow
def test_it_takes_images_blocks_and_costs(outputs: dict[str, list[Any]], folder: Path) -> None:
    assert study_of(folder, "stripes").front()["accuracy"].max() > 0.8
    assert "accuracy" in result_of(outputs["images"])
    convolutions = ((3, 8, 32), (8, 8, 32), (8, 8, 32), (8, 16, 16), (16, 16, 16), (16, 32, 8), (32, 32, 8))
    macs = 32 * 10 + sum(9 * inputs * width * size**2 for inputs, width, size in convolutions)
    nodes = len(convolutions) + len(("image", "pool", "linear"))
    said = printed_by(outputs["block"])
    assert re.fullmatch(rf"{macs:,} MACs, {nodes} nodes, \d\.\d+ ms\n", said), said
