"""What is known of a device after it was calibrated? Plain data in JSON, from which latencies are predicted.

The networks and their latencies, the mean time of each kernel, the device's fingerprint, and the error on networks
that the fit had not seen. The predictor is fitted when it is first asked (half a second).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from search_space.errors import UserError
from search_space.graph import Graph
from search_space.space import BLOCK_CHOICES, SearchSpace
from search_space.space.layout import stage_width
from search_space.spec import Architecture, ArchSpec
from search_space.texts.parsing import parse_json, read_text

from ..device import Device, Fingerprint
from ..measurement import PRECISIONS, precision_of
from .kernels import KernelKey
from .predictor import Predictor, Sample

SCHEMA = 2
_MUST_AGREE = ("host", "machine", "processor", "cores", "runtime")


class CalibrationError(UserError):
    """A calibration that cannot be used here; says why and how to get one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionError:
    """How far predictions are off on networks that the fit has not seen (5-fold cross-validation)."""

    nets: int
    mean: float
    """Mean absolute error, as a share of the measured latency."""
    within_10_percent: float
    """Share of the networks."""
    rank_correlation: float
    """Spearman's."""
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedNet:
    """A network of the space and its measured latency."""

    spec: dict[str, Any]
    latency_ms: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was measured on one device."""

    device: str
    threads: int
    fingerprint: Fingerprint
    created: str
    seconds: float
    space: dict[str, Any]
    errors: dict[str, PredictionError]
    """By precision."""
    nets: tuple[TimedNet, ...]
    kernels: dict[KernelKey, float]
    """Mean us in the runtime's profiler."""

    @cached_property
    def _predictors(self) -> dict[str, Predictor]:
        samples = [Sample(ArchSpec.from_dict(net.spec).build_graph(), net.latency_ms) for net in self.nets]
        return {p: Predictor(of_precision(samples, p), self.kernels) for p in PRECISIONS}

    def predict_ms(self, graph: Graph) -> float:
        """Predicted milliseconds of one inference at the graph's bits."""
        return self._predictors[precision_of(graph)].predict_ms(graph)

    def error_of(self, graph: Graph) -> PredictionError:
        """The held-out error of such predictions."""
        return self.errors[precision_of(graph)]

    def check_device(self, device: Device) -> None:
        """Raise CalibrationError unless it was made on this device, with its runtime and as many threads."""
        made = {**{name: self.fingerprint.get(name) for name in _MUST_AGREE}, "threads": self.threads}
        here = {**{name: device.fingerprint.get(name) for name in _MUST_AGREE}, "threads": device.threads}
        for name, value in made.items():
            if value != here[name]:
                raise CalibrationError(
                    f"calibration of {self.device}: made with {name} '{value}', here it is '{here[name]}'; "
                    "run resfront calibrate again"
                )

    def covers(self, architecture: Architecture) -> bool:
        """Whether the network lies within what was sampled; beyond it predictions can be off by several times."""
        space = self._space
        if not isinstance(architecture, ArchSpec):
            return False
        stages = architecture.stages
        if (architecture.stem, len(stages)) != (space.stem, space.num_stages):
            return False
        low, high = (
            [stage_width(base, i, pick((1.0,) if i == 0 else space.width_multipliers)) for i in range(len(stages))]
            for base, pick in ((space.base_width[0], min), (space.base_width[1], max))
        )
        return (
            space.depth[0] <= architecture.depth <= space.depth[1]
            and min(space.resolution) <= architecture.resolution <= max(space.resolution)
            and all((stage.block, stage.se) in {BLOCK_CHOICES[name] for name in space.blocks} for stage in stages)
            and all(low[i] <= stage.width <= high[i] for i, stage in enumerate(stages))
        )

    @cached_property
    def _space(self) -> SearchSpace:
        lists: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in self.space.items()
        }
        return SearchSpace(**lists)

    def to_json(self) -> str:
        """Strict JSON."""
        data = {
            "schema": SCHEMA,
            **{
                name: getattr(self, name)
                for name in ("device", "threads", "fingerprint", "created", "seconds", "space")
            },
            "errors": {precision: asdict(error) for precision, error in self.errors.items()},
            "nets": [asdict(net) for net in self.nets],
            "kernels": [[*key, us] for key, us in sorted(self.kernels.items())],
        }
        return json.dumps(data, indent=1, allow_nan=False)


def read_calibration(path: Path) -> Calibration:
    """A calibration file; raises CalibrationError where it is missing or broken."""
    try:
        data = parse_json(read_text(path))
        if not isinstance(data, dict) or data.pop("schema", None) != SCHEMA:
            raise CalibrationError(f"{path}: no calibration of schema {SCHEMA}; run resfront calibrate")
        found = Calibration(
            **{
                **data,
                "errors": {precision: PredictionError(**data["errors"][precision]) for precision in PRECISIONS},
                "nets": tuple(TimedNet(**net) for net in data["nets"]),
                "kernels": {KernelKey(*row[:-1]): float(row[-1]) for row in data["kernels"]},
            }
        )
        for net in found.nets:
            ArchSpec.from_dict(net.spec)
        return found
    except FileNotFoundError:
        raise CalibrationError(f"{path}: no such file; run resfront calibrate") from None
    except KeyError as error:
        raise CalibrationError(f"{path}: damaged: no key {error}; run resfront calibrate again") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, CalibrationError):
            raise
        raise CalibrationError(f"{path}: damaged: {error}; run resfront calibrate again") from None


def of_precision(samples: Sequence[Sample], precision: str) -> list[Sample]:
    """The samples that were timed in `precision`; each precision has a predictor of its own."""
    return [sample for sample in samples if precision_of(sample.graph) == precision]
