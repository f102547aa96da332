"""What accuracy is to be expected of a network, from finished trainings of others on other images.

Accuracies of different data sets cannot be compared as they are, so each is taken as its logit, in standard deviations
from the mean of its data set. A Gaussian process over `features.py` learns those. It is fitted once, for the file that
the project ships (benchmarks/prior_fit.py); the trainings are in that file, so that a study of the user's own can be
added to them.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from search_space.graph import Graph

from ..gaussian_process import GaussianProcess, Hyperparameters, fit
from ..storage_errors import DAMAGE, StorageError, stored_in
from .features import NAMES, features_of

Array = NDArray[np.float64]

FEWEST = 5
"""Trainings of a data set that say something about networks beside each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainings:
    """Networks that were trained on one data set by one recipe."""

    name: str
    features: Array
    """(networks, features), see `features.NAMES`."""
    accuracy: Array
    """(networks,), as fractions."""
    images: int
    """That each accuracy was measured on."""

    @property
    def limits(self) -> tuple[float, float]:
        """Half an image, and all but half an image: within them a logit is finite."""
        return 1 / (2 * self.images), 1 - 1 / (2 * self.images)

    def standardised(self) -> tuple[Array, Array]:
        """Logits of the accuracies in standard deviations from their mean, and variances of their errors, (n,) each.

        The error is that of a share among so many images, p (1 - p) / images, carried over to the logit.
        """
        share = np.clip(self.accuracy, *self.limits)
        logits = np.log(share / (1 - share))
        deviation = float(np.std(logits)) or 1.0
        return (logits - logits.mean()) / deviation, 1.0 / (self.images * share * (1 - share)) / deviation**2


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What finished trainings say about networks that were not trained."""

    trainings: tuple[Trainings, ...]
    hyperparameters: Hyperparameters
    """Of the process over features that are scaled by `low` and `span`."""
    low: Array
    span: Array

    @classmethod
    def fitted(cls, trainings: Sequence[Trainings]) -> "Prior":
        """Find the hyperparameters for these trainings; takes minutes for a thousand networks."""
        features = np.vstack([each.features for each in trainings])
        low, span = features.mean(axis=0), features.std(axis=0)
        span[span == 0] = 1.0
        y, noise = targets(trainings)
        hyperparameters, _ = fit((features - low) / span, y, noise)
        return cls(trainings=tuple(trainings), hyperparameters=hyperparameters, low=low, span=span)

    def with_trainings(self, trainings: Sequence[Trainings]) -> "Prior":
        """The same process after these trainings alone."""
        return Prior(trainings=tuple(trainings), hyperparameters=self.hyperparameters, low=self.low, span=self.span)

    def expectations(self, features: Array) -> Array:
        """Expected logit of the accuracy, in standard deviations of a data set, of networks (n, features), (n,)."""
        return self._process.predict((features - self.low) / self.span)[0]

    def expectation(self, graph: Graph) -> float:
        """The same of one network."""
        return float(self.expectations(features_of(graph)[None])[0])

    @cached_property
    def _process(self) -> GaussianProcess:
        features = np.vstack([each.features for each in self.trainings])
        y, noise = targets(self.trainings)
        return GaussianProcess.given(self.hyperparameters, (features - self.low) / self.span, y, noise)

    def to_bytes(self) -> bytes:
        """The content of a file (npz, without pickle)."""
        content, hyper = io.BytesIO(), self.hyperparameters
        np.savez_compressed(
            content,
            features=np.vstack([each.features for each in self.trainings]).astype(np.float32),
            accuracy=np.concatenate([each.accuracy for each in self.trainings]).astype(np.float32),
            counts=[len(each.accuracy) for each in self.trainings],
            images=[each.images for each in self.trainings],
            names=[each.name for each in self.trainings],
            feature_names=NAMES,
            lengths=hyper.lengths,
            variances=[hyper.variance, hyper.slope_variance, hyper.noise],
            low=self.low,
            span=self.span,
        )
        return content.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, source: Path) -> "Prior":
        """Read what `to_bytes` gave; raises StorageError that names `source` where it is something else."""
        with (
            stored_in(source, "cannot be read as a prior", damage=(EOFError, BadZipFile, *DAMAGE)),
            np.load(io.BytesIO(content), allow_pickle=False) as file,
        ):
            if tuple(file["feature_names"].tolist()) != NAMES:
                raise StorageError(f"{source}: is of another version of resfront")
            ends = np.cumsum(file["counts"])[:-1]
            parts = zip(
                file["names"].tolist(),
                file["images"].tolist(),
                np.split(file["features"].astype(float), ends),
                np.split(file["accuracy"].astype(float), ends),
                strict=True,
            )
            variance, slope_variance, noise = file["variances"].tolist()
            return cls(
                trainings=tuple(
                    Trainings(name=name, images=images, features=features, accuracy=accuracy)
                    for name, images, features, accuracy in parts
                ),
                hyperparameters=Hyperparameters(
                    lengths=file["lengths"], variance=variance, slope_variance=slope_variance, noise=noise
                ),
                low=file["low"],
                span=file["span"],
            )


def targets(trainings: Sequence[Trainings]) -> tuple[Array, Array]:
    """Return what the process learns, and the variances of its errors, (networks,) each, of all trainings in turn."""
    parts = [each.standardised() for each in trainings]
    return np.concatenate([y for y, _ in parts]), np.concatenate([noise for _, noise in parts])
