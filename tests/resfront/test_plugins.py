"""A package beside this one adds to every registry, in the command line, the API and the workers."""

import json
from pathlib import Path

import pytest

from tests.resfront.plugin import POINTS, install, run

RESFRONT = ("-m", "studies.cli")


def test_every_kind_is_listed_with_its_package(tmp_path: Path) -> None:
    done = run(install(tmp_path), *RESFRONT, "plugins", "--json")
    found = json.loads(done.stdout)
    for kind, name in (
        ("blocks", "plain"),
        ("objectives", "layers"),
        ("datasets", "stripes"),
        ("samplers", "dice"),
        ("engines", "loud"),
        ("devices", "my_board"),
        ("runtimes", "my_runtime"),
        ("presets", "my_preset"),
        ("references", "tinynet"),
    ):
        assert name in found["known"][kind]
    assert {plugin["group"] for plugin in found["plugins"]} == set(POINTS)
    assert all(plugin["package"] == "zoo 0.3" and not plugin["problem"] for plugin in found["plugins"])


def test_a_broken_one_is_named_and_adds_nothing(tmp_path: Path) -> None:
    environment = install(tmp_path, {"objectives": {"layers": "zoo.costs", "half": "zoo.broken"}})
    listed = json.loads(run(environment, *RESFRONT, "plugins", "--json").stdout)
    assert "half" not in listed["known"]["objectives"] and "layers" in listed["known"]["objectives"]
    problems = {plugin["name"]: plugin["problem"] for plugin in listed["plugins"]}
    assert problems == {"layers": "", "half": "ImportError: needs another package"}
    asked = run(environment, *RESFRONT, "search", "quick", "--max", "half=3", "--runs", tmp_path / "runs")
    assert asked.returncode == 2 and asked.stderr.count("\n") == 1
    assert "plug-in half (zoo.broken, of zoo 0.3) could not be loaded: ImportError: needs another" in asked.stderr


def test_a_broken_block_is_named_where_a_space_asks_for_it(tmp_path: Path) -> None:
    environment = install(tmp_path, {"blocks": {"plain": "zoo.missing"}})
    asked = run(environment, *RESFRONT, "search", "quick", "--set", 'space.blocks=["plain"]', "--runs", tmp_path)
    assert asked.returncode == 2 and asked.stderr.count("\n") == 1
    assert "unknown block 'plain'" in asked.stderr and "No module named 'zoo.missing'" in asked.stderr


def test_nothing_of_this_project_can_be_replaced(tmp_path: Path) -> None:
    environment = install(tmp_path, {"blocks": {"basic": "zoo.blocks"}})
    text = (tmp_path / "zoo" / "blocks.py").read_text().replace('"plain"', '"basic"')
    (tmp_path / "zoo" / "blocks.py").write_text(text)
    listed = json.loads(run(environment, *RESFRONT, "plugins", "--json").stdout)
    (plugin,) = listed["plugins"]
    assert plugin["problem"] == "RuntimeError: block 'basic' is registered twice"


@pytest.mark.slow
def test_a_study_uses_one_of_each(tmp_path: Path) -> None:
    environment = install(tmp_path)
    runs = tmp_path / "runs"
    search = run(
        environment,
        *RESFRONT,
        *("search", "my_preset", "--name", "own", "--runs", runs, "--data", "stripes", "--sampler", "dice"),
        *("--engine", "loud", "--objectives", "accuracy,layers,macs", "--max", "latency_ms@my_board=50"),
        *("--trials", 3, "--references", "", "--set", 'space.blocks=["plain", "se_plain", "basic"]'),
        *("--set", "training.epochs=1", "--set", "space.depth=[8, 14]"),
    )
    assert search.returncode == 0, search.stderr
    assert "loud: " in search.stdout
    costs = run(environment, *RESFRONT, "show", "--reference", "tinynet", "--json")
    assert json.loads(costs.stdout)["name"] == "tinynet", costs.stderr
    shown = json.loads(run(environment, *RESFRONT, "pareto", "own", "--runs", runs, "--json").stdout)
    assert shown["front"] and {"accuracy", "layers", "macs"} == {each["name"] for each in shown["objectives"]}
    blocks = "import resfront, sys; study = resfront.open_study('own', sys.argv[1]); print(sorted({s['block'] "
    blocks += "for r in study.trials()['record'] if r.spec for s in r.spec['stages']}), study.best())"
    seen = run(environment, "-c", blocks, runs)
    assert "plain" in seen.stdout, seen.stderr
