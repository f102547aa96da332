"""Linear model of a network's accuracy, fitted to finished trainings of other networks on other images.

Accuracies of different data sets cannot be compared as they are. Each is replaced by its logit, in standard deviations
from the mean of its data set, and ridge regression (Hoerl & Kennard 1970) on the features of `features.py` learns
these. Nonlinear models rank the networks of a new data set worse (benchmarks/prior_fit.py). The trainings themselves
are kept in the file, so that studies of the user's own can be added to them.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_space.graph import Graph

from ..storage.errors import StorageError, stored_in
from .features import NAMES, features_of

Array = NDArray[np.float64]

FEWEST = 5
"""Least number of trainings of a study from which it makes sense to learn."""
PENALTY = 30.0
"""Penalty on the sum of squared weights, where features and targets have a standard deviation of about 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainings:
    """Networks that were trained on one data set with one recipe."""

    name: str
    features: Array
    """(trainings, features), see `features.NAMES`."""
    accuracy: Array
    """(trainings,), as fractions."""
    images: int
    """Number of validation images behind each accuracy."""
    weight: float = 1.0
    """How much each of them counts, were there no sampling error."""

    @property
    def logits(self) -> Array:
        """Logits of the accuracies, (trainings,), none of them nearer to 0 or 1 than half an image."""
        share = np.clip(self.accuracy, 1 / (2 * self.images), 1 - 1 / (2 * self.images))
        return np.asarray(np.log(share / (1 - share)))

    @property
    def targets(self) -> Array:
        """Logits in standard deviations from their mean, (trainings,)."""
        logits = self.logits
        return np.asarray((logits - logits.mean()) / (float(np.std(logits)) or 1.0))

    @property
    def networks(self) -> int:
        """Number of different networks; at other bits a network is the same."""
        return len(np.unique(np.delete(self.features, NAMES.index("bits"), axis=1).round(4), axis=0))

    @property
    def reliability(self) -> float:
        """Share of the variance of the logits that the number of validation images does not explain, 0..1.

        The sampling variance of the logit of an accuracy p on n images is 1 / (n p (1 - p)).
        """
        share = 1 / (1 + np.exp(-self.logits))
        sampling = float(np.mean(1 / (self.images * share * (1 - share))))
        variance = float(np.var(self.logits))
        return max(0.0, 1.0 - sampling / variance) if variance > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Expectation of how accurate networks are, relative to each other, before they are trained."""

    trainings: tuple[Trainings, ...]
    mean: Array
    """Mean of each feature, (features,), over the trainings to which the prior was fitted first."""
    deviation: Array
    """Standard deviation of each feature over the same trainings, (features,)."""

    @classmethod
    def fitted(cls, trainings: Sequence[Trainings]) -> "Prior":
        """Return the prior of these trainings, whose features set the scale."""
        features = np.vstack([each.features for each in trainings])
        deviation = features.std(axis=0)
        deviation[deviation == 0] = 1.0
        return cls(trainings=tuple(trainings), mean=features.mean(axis=0), deviation=deviation)

    def with_trainings(self, trainings: Sequence[Trainings]) -> "Prior":
        """Return the prior of these trainings alone, with the same scale of features."""
        return replace(self, trainings=tuple(trainings))

    def expectations(self, features: Array) -> Array:
        """Return expected logits, in standard deviations of a data set, for features (n, features), as (n,)."""
        return np.asarray(((features - self.mean) / self.deviation) @ self._weights)

    def expectation(self, graph: Graph) -> float:
        """Return the expected logit of one network."""
        return float(self.expectations(features_of(graph)[None])[0])

    @cached_property
    def _weights(self) -> Array:
        """Weighted least squares with a penalty, (features,)."""
        roots = [np.sqrt(each.weight * each.reliability) for each in self.trainings]
        # Features count from the mean of their data set too: a study of small networks says nothing about large ones.
        centred = [each.features - each.features.mean(axis=0) for each in self.trainings]
        x = np.vstack([root * each for root, each in zip(roots, centred, strict=True)]) / self.deviation
        y = np.concatenate([root * each.targets for root, each in zip(roots, self.trainings, strict=True)])
        return np.asarray(np.linalg.solve(x.T @ x + PENALTY * np.eye(x.shape[1]), x.T @ y))

    def to_bytes(self) -> bytes:
        """Return the content of a file (npz, without pickle)."""
        content = io.BytesIO()
        np.savez_compressed(
            content,
            features=np.vstack([each.features for each in self.trainings]).astype(np.float32),
            accuracy=np.concatenate([each.accuracy for each in self.trainings]),
            counts=[len(each.accuracy) for each in self.trainings],
            images=[each.images for each in self.trainings],
            names=[each.name for each in self.trainings],
            weights=[each.weight for each in self.trainings],
            feature_names=NAMES,
            mean=self.mean,
            deviation=self.deviation,
        )
        return content.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, source: Path) -> "Prior":
        """Read what `to_bytes` gave; raises StorageError that names `source` where it is something else."""
        with (
            # A damaged archive makes numpy, zipfile and zlib raise whatever they stumble over.
            stored_in(source, "cannot be read as a prior", damage=(Exception,)),
            np.load(io.BytesIO(content), allow_pickle=False) as file,
        ):
            if tuple(file["feature_names"].tolist()) != NAMES:
                raise StorageError(f"{source}: is of another version of resfront")
            ends = np.cumsum(file["counts"])[:-1]
            parts = zip(
                file["names"].tolist(),
                file["images"].tolist(),
                file["weights"].tolist(),
                np.split(file["features"].astype(float), ends),
                np.split(file["accuracy"].astype(float), ends),
                strict=True,
            )
            found = cls(
                trainings=tuple(
                    Trainings(name=name, images=images, weight=weight, features=features, accuracy=accuracy)
                    for name, images, weight, features, accuracy in parts
                ),
                mean=file["mean"].astype(float),
                deviation=file["deviation"].astype(float),
            )
            if not np.isfinite(found._weights).all() or found._weights.shape != (len(NAMES),):
                raise ValueError("numbers that are none")
            return found
