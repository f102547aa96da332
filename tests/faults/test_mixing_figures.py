"""Figures that do not belong together do not mix: of other profiles, recipes, images, databases or calibrations."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from objectives.latency.calibration import Calibration, PredictionError
from runners.latency import usable_calibration
from tests.runners.fake_device import FakeDevice
from tests.runners.fake_engine import FakeEngine

from .conftest import Saw
from .studies import CONFIG, engine, resfront

__all__ = ["engine", "resfront"]
pytestmark = pytest.mark.usefixtures("engine")

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
