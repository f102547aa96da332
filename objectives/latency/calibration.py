"""How is a device calibrated? Networks of a space are timed on it, and the predictor is fitted to what was measured.

A calibration is plain data in JSON: the networks and their latencies, the mean time of each kernel, the device's
fingerprint, and the error on networks that the fit had not seen. The predictor is fitted when it is read (a second).
"""

import datetime
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from search_space.errors import UserError
from search_space.graph import FLOAT_BITS, Graph
from search_space.layout import stage_width
from search_space.space import BLOCK_CHOICES, SearchSpace
from search_space.spec import Architecture, ArchSpec

from ..bounds import RandomTrial
from .device import Device, Fingerprint, KernelTime, Timing
from .kernels import CLIP, KernelKey, kernels_of
from .measurement import PRECISIONS, precision_of, timed_model
from .predictor import Predictor, Sample

SCHEMA = 1
NETS = 150
BUDGET_S = 150.0
FOLDS = 5
MIN_NETS = 20
MAX_REPEATS = 200
"""Known networks drawn in a row after which a space counts as exhausted."""
BATCH = 5
"""Networks that are timed before progress is told; on another machine they share a connection."""
REPEATED_ERROR = 0.15
"""Networks that the fit misses by more are timed again: something else may have run meanwhile."""
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
        return {p: Predictor(_of_precision(samples, p), self.kernels) for p in PRECISIONS}

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
        data = json.loads(path.read_text(encoding="utf-8"))
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


def calibrate(
    space: SearchSpace,
    device: Device,
    *,
    nets: int = NETS,
    budget_s: float = BUDGET_S,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, planned: None,
) -> Calibration:
    """Time `nets` networks of `space`, each in float32 and in int8, for at most `budget_s`, and fit.

    Raises UserError where the time is over before 20 networks are timed, DeviceUnavailable.
    """
    started = time.monotonic()
    graphs: list[Graph] = []
    specs: list[ArchSpec] = []
    timings: list[Timing] = []
    for batch in _batches(_specs_to_time(space, seed), nets):
        new = [spec.build_graph() for spec in batch]
        timings += device.time([timed_model(graph) for graph in new], kernels=True)
        specs, graphs = specs + batch, graphs + new
        progress(len(specs) // 2, nets)
        if time.monotonic() - started > budget_s:
            break
    if len(specs) // 2 < MIN_NETS:
        raise UserError(
            f"calibrate: only {len(specs) // 2} networks in {budget_s:.0f} s, {MIN_NETS} are needed; "
            "give it more time or a larger space"
        )
    kernels = mean_kernel_times(graphs, timings)
    samples = [Sample(graph, timing.latency_ms) for graph, timing in zip(graphs, timings, strict=True)]
    samples = _timed_again(samples, kernels, device)
    return Calibration(
        device=device.name,
        threads=device.threads,
        fingerprint=dict(device.fingerprint),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - started, 1),
        space=asdict(space),
        errors={p: prediction_error(*_cross_validated(_of_precision(samples, p), kernels)) for p in PRECISIONS},
        nets=tuple(
            TimedNet(spec=spec.to_dict(), latency_ms=sample.latency_ms)
            for spec, sample in zip(specs, samples, strict=True)
        ),
        kernels=kernels,
    )


def prediction_error(predicted: Sequence[float], measured: Sequence[float]) -> PredictionError:
    """How far `predicted` is from `measured`, both in one unit."""
    from scipy.stats import spearmanr

    error = np.abs(np.asarray(predicted) / np.asarray(measured) - 1)
    return PredictionError(
        nets=len(error),
        mean=float(error.mean()),
        within_10_percent=float((error <= 0.1).mean()),
        rank_correlation=float(spearmanr(predicted, measured)[0]),
        largest=float(error.max()),
    )


def mean_kernel_times(graphs: Sequence[Graph], timings: Sequence[Timing]) -> dict[KernelKey, float]:
    """Mean profiled us of every kernel of the graphs, rounded as it is kept."""
    found: dict[KernelKey, list[float]] = defaultdict(list)
    for graph, timing in zip(graphs, timings, strict=True):
        for kernel, us in zip(kernels_of(graph), kernel_times(graph, timing.kernels), strict=True):
            found[kernel.key].append(us)
    return {key: round(float(np.mean(times)), 3) for key, times in found.items()}


def kernel_times(graph: Graph, profiled: Sequence[KernelTime]) -> list[float]:
    """What `kernels_of` has, in us; what the runtime inserted (reorderings) counts for the kernel that follows.

    The runtime names a kernel after the node that it came from, with something appended.
    """
    owners: dict[str, int] = {}
    kernels = kernels_of(graph)
    for row, (node, key) in enumerate(kernels):
        owners[graph.nodes[node].name + ("_clip" if key.kind == CLIP else "")] = row
    times = [0.0] * len(kernels)
    waiting, last = 0.0, 0
    for name, _, us in profiled:
        owner = _owner(name.partition("/")[0], owners)
        waiting += us
        if owner is not None:
            times[owner] += waiting
            waiting, last = 0.0, owner
    times[last] += waiting
    return times


def _owner(name: str, owners: Mapping[str, int]) -> int | None:
    while name:
        if name in owners:
            return owners[name]
        name = name.rpartition("_")[0]
    return None


def _specs_to_time(space: SearchSpace, seed: int) -> Iterator[ArchSpec]:
    """Random networks, each in float and then at bits of the space that run in int8 (8 where it has none).

    None comes twice, or it would be held out of a fit that has seen it; a small space ends.
    """
    generator = random.Random(seed)
    low_bits = [bits for bits in space.bits if bits != FLOAT_BITS] or [8]
    known: set[str] = set()
    repeats = 0
    while repeats < MAX_REPEATS:
        spec = space.sample(RandomTrial(generator))
        if (key := spec.with_bits(FLOAT_BITS).key) in known:
            repeats += 1
            continue
        known.add(key)
        repeats = 0
        yield spec.with_bits(FLOAT_BITS)
        mixed = any(bits != FLOAT_BITS for bits in spec.bits)
        yield spec if mixed else spec.with_bits(generator.choice(low_bits))


def _batches(specs: Iterator[ArchSpec], nets: int) -> Iterator[list[ArchSpec]]:
    for start in range(0, nets, BATCH):
        batch = list(islice(specs, 2 * min(BATCH, nets - start)))
        if not batch:
            return
        yield batch


def _timed_again(samples: list[Sample], kernels: Mapping[KernelKey, float], device: Device) -> list[Sample]:
    """The samples, the odd ones timed a second time; the faster time counts."""
    predictors = {p: Predictor(_of_precision(samples, p), kernels) for p in PRECISIONS}
    result = list(samples)
    for row, sample in enumerate(samples):
        predicted = predictors[precision_of(sample.graph)].predict_ms(sample.graph)
        if abs(predicted / sample.latency_ms - 1) > REPEATED_ERROR:
            again = device.time([timed_model(sample.graph)])[0].latency_ms
            result[row] = Sample(sample.graph, min(again, sample.latency_ms))
    return result


def _cross_validated(samples: Sequence[Sample], kernels: Mapping[KernelKey, float]) -> tuple[list[float], list[float]]:
    """Predicted and measured ms; every network predicted by a fit to the other folds' networks and kernels."""
    order = np.random.default_rng(0).permutation(len(samples))
    predicted = np.empty(len(samples))
    for held in np.array_split(order, FOLDS):
        seen = [samples[i] for i in order if i not in set(held)]
        seen_keys = {kernel.key for sample in seen for kernel in kernels_of(sample.graph)}
        predictor = Predictor(seen, {key: us for key, us in kernels.items() if key in seen_keys})
        predicted[held] = [predictor.predict_ms(samples[i].graph) for i in held]
    return predicted.tolist(), [sample.latency_ms for sample in samples]


def _of_precision(samples: Sequence[Sample], precision: str) -> list[Sample]:
    return [sample for sample in samples if precision_of(sample.graph) == precision]
