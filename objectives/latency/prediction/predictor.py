"""How fast would a network be? Gaussian processes on the times of kernels and of whole networks.

The runtime's profiler says how long each kernel takes inside whole networks, but with an overhead of its own, in whole
microseconds, and without what kernels do to each other's cache. So a first process, one for each kind of kernel,
learns log time from the profiler. A second one corrects it by the measured latencies of whole networks, which are sums
of its values over the networks' kernels (Rasmussen & Williams 2006, ch. 2.2, for observations that are linear in the
function): each kernel's time by a factor, each kind by a constant, each network by a factor that depends on its size.
Both are linear solves, so the model is fitted anew whenever a calibration is read, from plain data.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_space.graph import FLOAT_BITS, Graph, Weighted

from .kernels import BLOCK, KernelKey, kernels_of

Matrix = NDArray[np.float64]

# Standard deviations and length scales in the logarithm's units (features are log2), set by cross-validation on one
# machine; the error depends little on any of them.
_KERNEL_DEVIATION, _KERNEL_LENGTH, _KERNEL_NOISE = 2.0, 3.0, 0.07
_FACTOR_DEVIATION, _FACTOR_LENGTH, _SHARED = 0.5, 2.0, 0.5
_KIND_US, _CONSTANT_US = 2.0, 5.0
_SIZE_DEVIATION, _SIZE_LENGTH = 0.3, 5.0
_NOISE = 0.05
_LEAST_US = 0.2
_MIN_KERNELS = 4
"""Below so many different kernels of a kind, their mean time is all that is learned."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A timed network."""

    graph: Graph
    latency_ms: float


@dataclass(frozen=True, slots=True)
class _Net:
    """What the model sees of a network."""

    counts: Mapping[KernelKey, int]
    log_bytes: float
    log_largest: float

    @classmethod
    def of(cls, graph: Graph) -> "_Net":
        counts = Counter([kernel.key for kernel in kernels_of(graph)])
        weights = largest = 1
        for _, op, _, shape, _, bits, _ in graph.nodes:
            bytes_each = 4 if bits == FLOAT_BITS else 1
            tensor = shape[0] * shape[1] * shape[2] * bytes_each
            if tensor > largest:
                largest = tensor
            if isinstance(op, Weighted):
                weights += op.num_weights * bytes_each
        return cls(counts, math.log(weights), math.log(largest))


class _KindModel:
    """log us of the kernels of one kind, as profiled."""

    def __init__(self, keys: Sequence[KernelKey], us: Sequence[float]) -> None:
        logs = np.log(np.maximum(us, _LEAST_US))
        self._mean = float(logs.mean())
        self._features = features(keys)
        covariance = _matern(self._features, self._features) + _KERNEL_NOISE**2 * np.eye(len(keys))
        # A kind of few kernels is a constant.
        known = len(keys) >= _MIN_KERNELS
        self._weights = np.linalg.solve(covariance, logs - self._mean) if known else np.zeros(len(keys))

    def us(self, points: Matrix) -> Matrix:
        """Microseconds at `points` (n, features) -> (n,)."""
        return np.asarray(np.exp(self._mean + _matern(points, self._features) @ self._weights))


class Predictor:
    """Latency of networks of one space on one device, in milliseconds."""

    def __init__(self, samples: Sequence[Sample], profile: Mapping[KernelKey, float]) -> None:
        """`profile` holds the profiler's mean us of each kernel of the samples."""
        by_kind: dict[str, list[KernelKey]] = defaultdict(list)
        for key in profile:
            by_kind[key.kind].append(key)
        self._kinds = {kind: _KindModel(keys, [profile[k] for k in keys]) for kind, keys in by_kind.items()}
        self._typical_us = float(np.median(list(profile.values())))
        nets = [_Net.of(sample.graph) for sample in samples]
        keys = sorted({key for net in nets for key in net.counts})
        self._keys: dict[str, Matrix] = {}
        prior = np.empty(len(keys))
        rows = {kind: [i for i, key in enumerate(keys) if key.kind == kind] for kind in sorted({k.kind for k in keys})}
        for kind, indices in rows.items():
            self._keys[kind] = features([keys[i] for i in indices])
            prior[indices] = self._prior_us(kind, self._keys[kind])
        self._fit(nets, [1e3 * sample.latency_ms for sample in samples], keys, rows, prior)
        self._us: dict[KernelKey, tuple[float, float]] = {}

    def _fit(
        self,
        nets: Sequence[_Net],
        latency_us: Sequence[float],
        keys: Sequence[KernelKey],
        rows: Mapping[str, list[int]],
        prior: Matrix,
    ) -> None:
        index = {key: i for i, key in enumerate(keys)}
        counts = np.zeros((len(nets), len(keys)))
        for row, net in enumerate(nets):
            for key, count in net.counts.items():
                counts[row, index[key]] = count
        us, base = np.array(latency_us), counts @ prior
        sizes = np.array([self._size(net, total) for net, total in zip(nets, base, strict=True)])
        self._size_mean, self._size_scale = sizes.mean(0), sizes.std(0) + 1e-9
        self._sizes = (sizes - self._size_mean) / self._size_scale
        covariance = base[:, None] * base * self._size_covariance(self._sizes) + _CONSTANT_US**2
        for kind, indices in rows.items():
            part = counts[:, indices]
            scaled = part * prior[indices]
            covariance += scaled @ _factor_covariance(self._keys[kind], self._keys[kind]) @ scaled.T
            covariance += _KIND_US**2 * np.outer(part.sum(1), part.sum(1))
        covariance += np.diag((_NOISE * us) ** 2)
        dual = np.linalg.solve(covariance, us - base)
        self._constant_us = _CONSTANT_US**2 * float(dual.sum())
        self._size_weights = base * dual
        pulls = counts.T @ dual
        self._factor_weights = {kind: prior[indices] * pulls[indices] for kind, indices in rows.items()}
        self._kind_us = {kind: _KIND_US**2 * float(pulls[indices].sum()) for kind, indices in rows.items()}

    def predict_ms(self, graph: Graph) -> float:
        """Milliseconds of one inference."""
        net = _Net.of(graph)
        self._learn([key for key in net.counts if key not in self._us])
        base = corrected = 0.0
        for key, count in net.counts.items():
            prior, posterior = self._us[key]
            base += count * prior
            corrected += count * posterior
        size = (self._size(net, base) - self._size_mean) / self._size_scale
        factor = float((self._size_covariance(size[None]) @ self._size_weights)[0])
        # A network far from all samples must not come out as instant.
        return 1e-3 * max(corrected + base * factor + self._constant_us, 0.1 * base)

    def _learn(self, keys: Iterable[KernelKey]) -> None:
        """Work out kernels that are met for the first time: us as profiled, and as corrected."""
        by_kind: dict[str, list[KernelKey]] = defaultdict(list)
        for key in keys:
            by_kind[key.kind].append(key)
        for kind, new in by_kind.items():
            points = features(new)
            prior = self._prior_us(kind, points)
            posterior = prior
            if kind in self._keys:
                factor = _factor_covariance(points, self._keys[kind]) @ self._factor_weights[kind]
                posterior = prior * (1 + factor) + self._kind_us[kind]
            self._us |= {k: (float(a), float(b)) for k, a, b in zip(new, prior, posterior, strict=True)}

    def _prior_us(self, kind: str, points: Matrix) -> Matrix:
        model = self._kinds.get(kind)
        return np.full(len(points), self._typical_us) if model is None else model.us(points)

    @staticmethod
    def _size(net: _Net, base_us: float) -> Matrix:
        """What says how kernels get in each other's way: time, weights, number of kernels, largest tensor."""
        return np.array([math.log(base_us), net.log_bytes, math.log(sum(net.counts.values())), net.log_largest])

    def _size_covariance(self, sizes: Matrix) -> Matrix:
        squared = ((sizes[:, None] - self._sizes) ** 2).sum(-1)
        return np.asarray(_SIZE_DEVIATION**2 * np.exp(-squared / (2 * _SIZE_LENGTH**2)))


def features(keys: Sequence[KernelKey]) -> Matrix:
    """(kernels, 8): log2 of channels, sizes and channels in whole blocks, and whether the blocks are full."""
    numbers = np.array([key[1:] for key in keys], dtype=float).reshape(-1, 4)
    channels, sizes = numbers[:, :2], numbers[:, 2:]
    blocks = np.ceil(channels / BLOCK) * BLOCK
    full = 0.7 * (channels % BLOCK == 0)
    scale = np.log2(sizes[:, :1] / sizes[:, 1:])
    return np.hstack([np.log2(channels), np.log2(sizes[:, 1:]), scale, np.log2(blocks), full])


def _matern(a: Matrix, b: Matrix) -> Matrix:
    """Matern covariance of smoothness 5/2 (Rasmussen & Williams 2006, eq. 4.17), (len(a), len(b))."""
    distance = math.sqrt(5) * np.sqrt(((a[:, None] - b) ** 2).sum(-1)) / _KERNEL_LENGTH
    return np.asarray(_KERNEL_DEVIATION**2 * (1 + distance + distance**2 / 3) * np.exp(-distance))


def _factor_covariance(a: Matrix, b: Matrix) -> Matrix:
    """Of the factors by which kernels of one kind are off: partly shared by the kind, partly alike for like kernels."""
    squared = ((a[:, None] - b) ** 2).sum(-1) / _FACTOR_LENGTH**2
    return np.asarray(_FACTOR_DEVIATION**2 * (_SHARED + (1 - _SHARED) * np.exp(-squared / 2)))
