"""An engine that answers at once: the accuracy is a function of the network, so a search over it can be checked."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from objectives import known_costs
from runners.candidate import Candidate, Evaluation, Observation
from runners.engines.base import EpochReport, Failure, Result
from search_space import architecture_from_dict

Answer = Evaluation | Failure | BaseException


def fake_accuracy(candidate: Candidate) -> float:
    """More MACs and more bits are better, with diminishing returns."""
    costs = known_costs(architecture_from_dict(candidate.spec).build_graph())
    return 0.9 - 1.5 / math.log(costs["bops"])


def fake_evaluation(candidate: Candidate) -> Evaluation:
    """What a worker would have found."""
    architecture = architecture_from_dict(candidate.spec)
    observation = Observation(
        spec_key=architecture.key,
        metrics={"accuracy": fake_accuracy(candidate)},
        float_metrics={"accuracy": fake_accuracy(candidate)},
        curve=(),
        seed=candidate.seed,
        dataset=candidate.data.name,
        dataset_fingerprint="fake",
        training_images=1,
        validation_images=1,
        precision="float32",
        threads=1,
        device="fake",
        host="fake",
        processor="fake",
        versions={},
        duration_s=0.0,
        peak_rss_bytes=0,
    )
    return Evaluation(observation, architecture.key.encode())


class FakeEngine:
    """Evaluates in this process, last come first served so that order never helps."""

    def __init__(
        self, slots: int = 1, answer: Callable[[Candidate], Answer] = fake_evaluation, *, tells: bool = False
    ) -> None:
        self.slots = slots
        self.answer = answer
        self.tells = tells
        """Whether it reports every epoch, all of them just before the result."""
        self.is_quiet = False
        self.submitted: list[Candidate] = []
        self._waiting: list[tuple[int, Candidate]] = []
        self._reports: list[EpochReport] = []

    def submit(self, ticket: int, candidate: Candidate) -> None:
        assert len(self._waiting) < self.slots, "more candidates than slots"
        self.submitted.append(candidate)
        self._waiting.append((ticket, candidate))

    def collect(self, timeout_s: float) -> list[Result]:
        ticket, candidate = self._waiting.pop()
        if self.tells:
            epochs = candidate.training.epochs
            self._reports += [
                EpochReport(ticket=ticket, epoch=epoch, epochs=epochs, metric=epoch / 1000)
                for epoch in range(1, epochs + 1)
            ]
        outcome = self.answer(candidate)
        if isinstance(outcome, BaseException):
            raise outcome
        return [Result(ticket=ticket, outcome=outcome)]

    def reports(self) -> list[EpochReport]:
        told, self._reports = self._reports, []
        return told

    @contextmanager
    def quiet(self) -> Iterator[None]:
        self.is_quiet = True
        yield
        self.is_quiet = False

    def close(self) -> None:
        self._waiting.clear()
