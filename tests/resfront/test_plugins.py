"""A package of a third party adds to every registry, in the command line, the API and the workers."""

import json
from pathlib import Path

import pytest

from tests.resfront.third_party import BROKEN, ZOO, Environment

pytestmark = pytest.mark.slow

KINDS = {
    "blocks": "plain",
    "objectives": "layers",
    "datasets": "stripes",
    "samplers": "dice",
    "engines": "loud",
    "devices": "my_board",
    "runtimes": "my_runtime",
    "presets": "my_preset",
    "references": "tinynet",
}
BLOCKS = ["plain", "se_plain"]
SEARCH = """
import json, sys
import resfront
study = resfront.search(
    "my_preset", name="api", runs=sys.argv[1], data="stripes", sampler="dice", engine="loud", trials=2, references=[],
    objectives=["accuracy", "layers", "macs"], max={"latency_ms@my_board": 50}, progress=False,
    settings={"space.blocks": ["plain", "se_plain"], "training.epochs": 1, "space.depth": [8, 14]},
)
print(json.dumps({
    "columns": list(study.front().columns),
    "tinynet": resfront.known_costs(resfront.reference("tinynet", resolution=8).build_graph())["layers"],
}))
"""
CONTRACTS = """
from resfront.testing import BlockContract, DatasetContract

class TestPlain(BlockContract):
    name = "plain"

class TestStripes(DatasetContract):
    name = "stripes"
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Both packages are installed, so that the broken one is seen to spoil nothing."""
    folder = tmp_path_factory.mktemp("third-party")
    return Environment.make(folder / "environment", *(package.build(folder) for package in (ZOO, BROKEN)))


def trials_of(environment: Environment, runs: Path, name: str) -> list[dict[str, str]]:
    """Return what the study's records say of each trained trial."""
    code = f"""
import json, resfront, sys
records = resfront.open_study({name!r}, sys.argv[1]).trials()["record"]
print(json.dumps([
    {{"data": r.observation.dataset, "blocks": sorted({{stage["block"] for stage in r.spec["stages"]}}),
      "costs": sorted(r.costs)}}
    for r in records if r.observation
]))
"""
    done = environment.run("-c", code, runs)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


def assert_workers_used_it(notes: Path) -> None:
    """The block was written and the images were loaded in other processes than that of the engine and the sampler."""
    processes: dict[str, set[str]] = {}
    for line in notes.read_text().splitlines():
        part, process = line.split()
        processes.setdefault(part, set()).add(process)
    assert len(processes["engine"]) == 1 and processes["sampler"] == processes["engine"]
    workers = processes["dataset"] - processes["engine"]
    assert workers and workers <= processes["block"]


def test_every_kind_is_listed_with_its_package(environment: Environment) -> None:
    found = json.loads(environment.resfront("plugins", "--json").stdout)
    assert all(name in found["known"][kind] for kind, name in KINDS.items())
    assert set(KINDS) == set(found["known"]) == set(ZOO.points)
    plugins = [plugin for plugin in found["plugins"] if plugin["package"] == "zoo 0.3"]
    assert {plugin["group"] for plugin in plugins} == set(ZOO.points)
    assert not any(plugin["problem"] for plugin in plugins)


def test_the_command_line_and_its_workers_use_one_of_each(environment: Environment, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    search = environment.resfront(
        *("search", "my_preset", "--name", "own", "--runs", tmp_path, "--data", "stripes", "--sampler", "dice"),
        *("--engine", "loud", "--objectives", "accuracy,layers,macs", "--max", "latency_ms@my_board=50"),
        *("--trials", 2, "--references", "", "--set", f"space.blocks={json.dumps(BLOCKS)}"),
        *("--set", "training.epochs=1", "--set", "space.depth=[8, 14]"),
        notes=notes,
    )
    assert search.returncode == 0, search.stderr
    assert_workers_used_it(notes)
    trials = trials_of(environment, tmp_path, "own")
    assert len(trials) == 2
    for trial in trials:
        assert trial["data"] == "stripes" and trial["blocks"] == ["plain"]
        assert {"layers", "latency_ms@my_board"} <= set(trial["costs"])
    shown = json.loads(environment.resfront("pareto", "own", "--runs", tmp_path, "--json").stdout)
    assert shown["front"] and {"accuracy", "layers", "macs"} == {each["name"] for each in shown["objectives"]}


def test_its_training_measures_what_a_study_optimises(environment: Environment, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    search = environment.resfront(
        *("search", "my_preset", "--name", "own", "--runs", tmp_path, "--data", "stripes", "--trials", 2),
        *("--evaluator", "zoo.training:measure", "--objectives", "output_size,macs", "--references", ""),
        *("--max", "output_size=9", "--set", "space.depth=[8, 14]"),
        notes=notes,
    )
    assert search.returncode == 0, search.stderr
    assert "Size of outputs" in search.stdout and "training" in notes.read_text()
    shown = json.loads(environment.resfront("pareto", "own", "--runs", tmp_path, "--json").stdout)
    assert all(0 < network["values"]["output_size"] < 9 for network in shown["front"]) and shown["front"]


def test_a_reference_is_shown(environment: Environment) -> None:
    shown = environment.resfront("show", "--reference", "tinynet", "--json")
    assert json.loads(shown.stdout)["name"] == "tinynet", shown.stderr


def test_a_program_and_its_workers_use_one_of_each(environment: Environment, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    done = environment.run("-c", SEARCH, tmp_path, notes=notes)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "layers" in found["columns"] and found["tinynet"] == 4
    assert_workers_used_it(notes)
    assert [trial["data"] for trial in trials_of(environment, tmp_path, "api")] == ["stripes"] * 2


def test_its_author_inherits_the_contracts(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "test_zoo.py").write_text(CONTRACTS)
    done = environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:dash", tmp_path / "test_zoo.py")
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout and "skipped" not in done.stdout


def test_a_broken_one_is_named_and_adds_nothing(environment: Environment, tmp_path: Path) -> None:
    listed = json.loads(environment.resfront("plugins", "--json").stdout)
    assert "half" not in listed["known"]["objectives"] and "layers" in listed["known"]["objectives"]
    assert {p["name"]: p["problem"] for p in listed["plugins"] if p["package"] == "cage 0.1"} == {
        "half": "ImportError: needs another package",
        "again": "RuntimeError: block 'basic' is registered twice",
        "gone": "ModuleNotFoundError: No module named 'cage.gone'",
    }
    asked = environment.resfront("search", "quick", "--max", "half=3", "--runs", tmp_path)
    assert asked.returncode == 2 and asked.stderr.count("\n") == 1
    assert "plug-in half (cage.half, of cage 0.1) could not be loaded: ImportError: needs another" in asked.stderr


def test_a_broken_block_is_named_where_a_space_asks_for_it(environment: Environment, tmp_path: Path) -> None:
    asked = environment.resfront("search", "quick", "--set", 'space.blocks=["gone"]', "--runs", tmp_path)
    assert asked.returncode == 2 and asked.stderr.count("\n") == 1
    assert "unknown block 'gone'" in asked.stderr and "No module named 'cage.gone'" in asked.stderr
