"""Named budgets: their limits are known figures, and they recommend what the limits written out recommend."""

from pathlib import Path

import pytest

from objectives import OBJECTIVES
from search_space.errors import UserError
from studies.analysis.budgets import budget, budgets
from tests.studies.command import Resfront
from tests.studies.synthetic import write_study


def test_every_limit_can_be_checked_of_any_study() -> None:
    assert list(budgets()) == [
        "microcontroller", "wearable", "phone-real-time", "drone", "edge-accelerator", "precision-first",
    ]  # fmt: skip
    for one in budgets().values():
        assert one.limits and one.description
        for limit in one.limits:
            assert OBJECTIVES[limit.objective].compute is not None
    with pytest.raises(UserError, match="did you mean 'wearable'"):
        budget("wearabel")


def test_recommend_for_a_budget(resfront: Resfront, tmp_path: Path) -> None:
    write_study(tmp_path / "study", trials=60)
    for name, one in budgets().items():
        named = resfront("recommend", "study", "--runs", tmp_path, "--for", name, "--json")
        limits = [part for limit in one.limits for part in ("--max", f"{limit.objective}={limit.value}")]
        written = resfront("recommend", "study", "--runs", tmp_path, *limits, "--json")
        assert (named.code, named.out) == (written.code, written.out)
    tighter = resfront("recommend", "study", "--runs", tmp_path, "--for", "drone", "--max", "file_bytes=100k", "--json")
    limits = {limit["objective"]: limit["value"] for limit in tighter.json["limits"]}
    assert limits == {"latency_ms@rpi4": 11, "file_bytes": 1e5}
    assert resfront("recommend", "study", "--runs", tmp_path, "--for", "dron").code == 2
    listed = resfront("budgets", "--json").json
    assert {one["name"]: one["max"] for one in listed} == {
        name: {limit.objective: limit.value for limit in one.limits} for name, one in budgets().items()
    }
    assert "Raspberry Pi 4" in resfront("budgets").out
