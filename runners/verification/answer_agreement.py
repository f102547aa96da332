"""Agreement of the answers of two programs on images, beyond what rounding can change."""

import math
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search_space.backends.torch_network import GraphNetwork
from search_space.graph import FLOAT_BITS, Linear
from search_space.texts.counting import count_of

from ..quantization.simulation import QuantizedNetwork, lowest_bits
from ..training.batches import DeviceImages
from .layer_comparison import OUTPUT_TOLERANCE, Logits
from .torch_export import frozen_network

CLOSE_STEPS = 4
"""Two logits are close when so many 8-bit steps of every input of the last layer could exchange them.

Of some 25 networks of 8 bits, trained and not, of up to 110 layers, none had an answer of another run beyond 1.7 steps;
trained ones none beyond 0.5.
"""
WRONG_SHARE = 0.001
"""Share of the images whose two best logits are not close that may get another answer: none of less than 1,000."""
FEW_BITS_WRONG_SHARE, FEW_BITS_WRONG_IMAGES = 0.05, 2
"""The same below 8 bits, the larger of both. There one value that falls to the other side can change any answer, and in
flat areas of the images it falls there everywhere: seen in 1 of 500 images of trained networks, 6 of 165 of others."""
CLOSE_SHARE = 0.05
"""How many of the images whose best two logits one step could exchange may count otherwise in an accuracy."""


class Agreement(NamedTuple):
    """How far another run's outputs agree with the reference's."""

    images: int
    decided: int
    """Images whose two best logits are not close."""
    same: int
    """Images that get the same answer."""
    wrong: int
    """Decided images that get another answer."""
    difference: float
    """Largest difference of the outputs, as a share of the largest output."""
    bits: int
    """Lowest bits of the network; 32 where it runs in float."""
    is_classifier: bool = True
    """Whether the outputs are classes, so that an image has an answer."""

    @property
    def in_float(self) -> bool:
        return self.bits == FLOAT_BITS

    @property
    def holds(self) -> bool:
        """Whether it is the same network."""
        if self.in_float:
            return self.difference <= OUTPUT_TOLERANCE
        if self.bits < 8:
            return self.wrong <= max(FEW_BITS_WRONG_IMAGES, FEW_BITS_WRONG_SHARE * self.decided)
        return self.wrong <= int(WRONG_SHARE * self.decided)

    @property
    def answers(self) -> str:
        """How many images get another answer, as a clause."""
        if not self.is_classifier:
            return f"{self.images - self.same} of {self.images} images get other outputs than torch's"
        return f"{self.images - self.same} of {self.images} images get another answer than torch's"

    def __str__(self) -> str:
        if self.in_float:
            return f"outputs on {count_of(self.images, 'image')} within {self.difference:.1e} of the largest"
        if not self.is_classifier:
            off = self.images - self.same
            more = f", {off} by more, of which {self.wrong} by more than {CLOSE_STEPS}" if off else ""
            return f"outputs on {count_of(self.images, 'image')} within a step of torch's{more}"
        answers = f"{self.same} of {count_of(self.images, 'image')} get torch's answer"
        if self.wrong:
            return f"{answers}; {self.wrong} get another that is not close to it"
        return answers if self.same == self.images else f"{answers}, the others one that is close to it"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRun:
    """What torch computes for a set of images, for other runs to be held against."""

    logits: Logits
    """(N, classes)."""
    labels: NDArray[np.int64] | None
    """Classes of the images; None where the outputs are no classes."""
    bits: int
    """Lowest bits of the network; 32 where it runs in float."""
    step: float
    """An 8-bit step of the range that the last layer's inputs have on the images."""
    weight: NDArray[np.float32] | None
    """(classes, channels) of the last layer; None where the last node is none."""

    @property
    def accuracy(self) -> float:
        """Share of the images that torch classifies right; NaN where the outputs are no classes."""
        return accuracy_of(self.logits, self.labels)

    def compare(self, logits: Logits) -> Agreement:
        """Hold the outputs (N, classes) of another run against these.

        Outputs that are no classes are the same answer within one step, and a wrong one beyond CLOSE_STEPS.
        """
        if self.labels is None:
            apart = self._steps_apart(logits)
            same, decided, wrong = apart <= 1, np.ones(len(logits), dtype=bool), ~(apart <= CLOSE_STEPS)
        else:
            answers = logits.argmax(1)
            same = self.logits.argmax(1) == answers
            decided = self._steps_ahead_of(self._second) > CLOSE_STEPS
            wrong = ~same & (self._steps_ahead_of(answers) > CLOSE_STEPS)
        largest = np.abs(self.logits).max()
        difference = float(np.abs(logits - self.logits).max() / max(largest, 1e-30))
        return Agreement(
            images=len(same),
            decided=int(decided.sum()),
            same=int(same.sum()),
            wrong=int(wrong.sum()),
            difference=difference if math.isfinite(difference) else math.inf,
            bits=self.bits,
            is_classifier=self.labels is not None,
        )

    @property
    def accuracy_tolerance(self) -> float:
        """How far the accuracy that another processor or runtime finds may be from this one.

        Half a point, or three images of a small set, or a twentieth of the images that are close.
        """
        close = 0.0 if self.bits == FLOAT_BITS else float((self._steps_ahead_of(self._second) <= 1).mean())
        return max(0.005, 3 / len(self.logits), CLOSE_SHARE * close) + 1e-9

    def _steps_apart(self, logits: Logits) -> NDArray[np.float64]:
        """(N,): by how many steps of all inputs of the last layer the outputs differ, the one that differs most."""
        in_one = 1.0 if self.weight is None else np.abs(self.weight).sum(1)
        scale = self.step * in_one + 1e-6 * np.abs(self.logits).max() + 1e-30
        return np.asarray((np.abs(logits - self.logits).astype(np.float64) / scale).max(1))

    @property
    def _second(self) -> NDArray[np.intp]:
        """(N,): the class with the second largest logit of each image; the only one where there are no two."""
        return self.logits.argsort(1)[:, -min(2, self.logits.shape[1])]

    def _steps_ahead_of(self, classes: NDArray[np.intp]) -> NDArray[np.float64]:
        """(N,): how many steps of all inputs of the last layer an image's best logit is ahead of that of its class."""
        rows, best = np.arange(len(self.logits)), self.logits.argmax(1)
        margin = (self.logits[rows, best] - self.logits[rows, classes]).astype(np.float64)
        in_one = 1.0 if self.weight is None else np.abs(self.weight[best] - self.weight[classes]).sum(1)
        # Logits that no step tells apart still differ in their last digits.
        return np.asarray(margin / (self.step * in_one + 1e-6 * np.abs(self.logits).max() + 1e-30))


def accuracy_of(logits: Logits, labels: NDArray[np.int64] | None) -> float:
    """Share of images that are classified right; NaN without labels."""
    return math.nan if labels is None else float((logits.argmax(1) == labels).mean())


def run_reference(
    network: GraphNetwork, images: DeviceImages, *, is_classifier: bool = True, batch_size: int = 100
) -> ReferenceRun:
    """Run a network on a whole set of images, in float32 on the device where both are."""
    network.eval()
    last = network.graph.nodes[-1]
    lowest, highest = math.inf, -math.inf

    def watch(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal lowest, highest
        lowest, highest = min(lowest, float(inputs[0].min())), max(highest, float(inputs[0].max()))

    hooked = isinstance(last.op, Linear)
    hook = network.layers[last.name].register_forward_pre_hook(watch) if hooked else None
    with torch.inference_mode():
        parts = [
            network(images.normalised(slice(start, start + batch_size))).float().cpu()
            for start in range(0, len(images), batch_size)
        ]
    logits = torch.cat(parts).numpy()
    weight = None
    if hook is not None:
        hook.remove()
        layer = frozen_network(network).layers[last.name]
        weight = next(cast(Tensor, p) for p in layer.parameters() if p.ndim == 2).detach().cpu().numpy()
    else:
        lowest, highest = float(logits.min()), float(logits.max())
    return ReferenceRun(
        logits=logits,
        labels=images.labels.cpu().numpy() if is_classifier else None,
        bits=lowest_bits(network.graph) if isinstance(network, QuantizedNetwork) and network.quantizers else FLOAT_BITS,
        step=(highest - lowest) / 255,
        weight=weight,
    )
