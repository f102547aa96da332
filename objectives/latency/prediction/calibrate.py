"""How is a device calibrated? Networks of a space are timed on it, and the predictor is fitted to what was measured."""

import datetime
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice

import numpy as np

from search_space.errors import UserError
from search_space.graph import FLOAT_BITS, Graph
from search_space.space import RandomTrial, SearchSpace
from search_space.spec import ArchSpec
from search_space.texts.counting import count_of

from ..device import Device, Timing
from ..measurement import PRECISIONS, precision_of, timed_model
from .attribution import mean_kernel_times
from .calibration import Calibration, PredictionError, TimedNet, of_precision
from .kernels import KernelKey, kernels_of
from .predictor import Predictor, Sample

NETS = 130
BUDGET_S = 150.0
FOLDS = 5
MIN_NETS = 20
MAX_REPEATS = 200
"""Known networks drawn in a row after which a space counts as exhausted."""
BATCH = 5
"""Networks that are timed before progress is told; on another machine they share a connection."""
REPEATED_ERROR = 0.15
"""Networks that the fit misses by more are timed again: something else may have run meanwhile."""


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
            f"calibrate: only {count_of(len(specs) // 2, 'network')} in {budget_s:.0f} s, {MIN_NETS} are needed; "
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
        errors={p: prediction_error(*_cross_validated(of_precision(samples, p), kernels)) for p in PRECISIONS},
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
    predictors = {p: Predictor(of_precision(samples, p), kernels) for p in PRECISIONS}
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
