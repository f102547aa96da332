"""What an engine promises: each candidate comes back under its ticket, evaluated or failed, until it is closed."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from resfront.searching import search
from runners.candidate import Candidate, Evaluation
from runners.config import DataConfig, TrainingConfig, WorkersConfig
from runners.datasets import load_dataset
from runners.engines.base import Engine, EpochReport, Failure, Result, make_engine
from runners.network_weights import load_network
from search_space.architectures import architecture_from_dict
from search_space.errors import UserError
from search_space.references import reference

_TINY: dict[str, Any] = {"images": 200, "validation_images": 50, "epochs": 2, "batch_size": 50}
_DIVERGING = _TINY | {"learning_rate": 10.0, "weight_decay": 1.0, "momentum": 0.999, "batch_size": 2}
_ENDLESS = _TINY | {"images": 0, "epochs": 10_000}
_PATIENCE_S = 150.0


class EngineContract:
    """Tests of the engine `name`, on a network of 8 layers and images of 8 pixels.

    The package that has it must be installed where its workers look for it.
    """

    name: str

    def make_engine(self, slots: int) -> Engine:
        """Return a new engine that may evaluate so many candidates at a time; it is closed after the test."""
        return make_engine(WorkersConfig(engine=self.name, workers=slots, threads=1))

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """An engine of two slots."""
        with closing(self.make_engine(2)) as engine:
            yield engine

    def candidate(self, seed: int = 1, bits: int = 32, path: Path | None = None, **training: Any) -> Candidate:
        """Return a candidate whose training takes a fraction of a second, or differs as `training` says."""
        return Candidate(
            spec=reference("resnet8", resolution=8, in_channels=1, bits=bits).to_dict(),
            seed=seed,
            data=DataConfig(name="digits", path=path),
            training=TrainingConfig(**{**_TINY, **training}),
        )

    def test_it_has_as_many_slots_as_it_was_asked_for(self, engine: Engine) -> None:
        """`workers` of the configuration, or as many as the engine says, one at least."""
        assert isinstance(engine.slots, int) and engine.slots >= 1

    def test_nothing_comes_of_nothing(self, engine: Engine) -> None:
        """Without candidates there are neither results nor reports, and closing it is all right."""
        assert engine.collect(0.0) == [] and engine.reports() == []

    def test_evaluations_come_back_under_their_tickets(self, engine: Engine) -> None:
        """Of all slots at once, with the weights, and with reports of epochs where the engine has them."""
        candidates = {ticket: self.candidate(seed=ticket, bits=8 if ticket % 2 else 32) for ticket in (70, 31)}
        results, reports = _evaluated(engine, candidates)
        assert {result.ticket for result in results} == set(candidates) and len(results) == len(candidates)
        fingerprint = load_dataset("digits").fingerprint
        for result in results:
            candidate, outcome = candidates[result.ticket], result.outcome
            assert isinstance(outcome, Evaluation)
            seen, architecture = outcome.observation, architecture_from_dict(candidate.spec)
            assert (seen.spec_key, seen.seed) == (architecture.key, candidate.seed)
            assert (seen.dataset, seen.dataset_fingerprint) == ("digits", fingerprint)
            assert len(seen.curve) == candidate.training.epochs and 0 <= seen.accuracy <= 1 and not seen.stopped
            load_network(architecture, outcome.weights)
        for report in reports:
            assert isinstance(report, EpochReport) and report.ticket in candidates
            assert 1 <= report.epoch <= report.epochs == _TINY["epochs"]

    def test_a_candidate_that_fails_is_a_failure_and_the_next_is_evaluated(self, engine: Engine) -> None:
        """A training that diverges is no error of the engine; it takes nothing else with it."""
        results, _ = _evaluated(engine, {1: self.candidate(**_DIVERGING)})
        results += _evaluated(engine, {2: self.candidate()})[0]
        failed, evaluated = results
        assert isinstance(failed.outcome, Failure) and failed.ticket == 1
        assert failed.outcome.kind == "diverged" and failed.outcome.reason
        assert isinstance(evaluated.outcome, Evaluation) and evaluated.ticket == 2

    def test_images_that_are_not_there_end_the_search(self, engine: Engine, tmp_path: Path) -> None:
        """No other candidate would fare better, so that `collect` raises what the worker was told, in one line."""
        with pytest.raises(UserError) as raised:
            _evaluated(engine, {1: self.candidate(path=tmp_path)})
        assert "\n" not in str(raised.value) and str(tmp_path) in str(raised.value)

    def test_it_is_quiet_for_a_while_and_goes_on(self, engine: Engine) -> None:
        """Also where what is timed fails; no candidate is lost."""
        engine.submit(5, self.candidate())
        with engine.quiet():
            pass
        with pytest.raises(ZeroDivisionError), engine.quiet():
            _ = 1 / 0
        (result,), _ = _collected(engine, 1)
        assert result.ticket == 5 and isinstance(result.outcome, Evaluation)

    def test_closing_it_ends_what_it_does(self) -> None:
        """A training of hours is not waited for, and a new engine is ready."""
        for _ in range(2):
            with closing(self.make_engine(1)) as engine:
                engine.submit(1, self.candidate(**_ENDLESS))
                for _ in range(4):
                    assert engine.collect(0.2) == []

    def test_a_study_uses_it(self, tmp_path: Path) -> None:
        """As `--engine` does."""
        study = search(
            "quick",
            name="tiny",
            runs=tmp_path,
            data="digits",
            trials=2,
            engine=self.name,
            workers=2,
            threads=1,
            references=[],
            like=["none"],
            progress=False,
            objectives=["accuracy", "macs"],
            settings={
                "space.depth": [8, 20],
                "space.blocks": ["basic"],
                **{f"training.{name}": value for name, value in _TINY.items()},
            },
        )
        assert study.ending == "done" and study.results.evaluated == 2
        records = study.trials()["record"]
        assert sum(record.observation is not None for record in records) == 2
        assert not study.front().empty


def _evaluated(engine: Engine, candidates: Mapping[int, Candidate]) -> tuple[list[Result], list[EpochReport]]:
    """Submit candidates as slots are free, by their tickets, and return what comes back."""
    waiting, results, reports = list(candidates.items()), list[Result](), list[EpochReport]()
    while waiting:
        free, waiting = waiting[: engine.slots], waiting[engine.slots :]
        for ticket, candidate in free:
            engine.submit(ticket, candidate)
        found, told = _collected(engine, len(free))
        results += found
        reports += told
    return results, reports


def _collected(engine: Engine, count: int) -> tuple[list[Result], list[EpochReport]]:
    """Return the next `count` results, and the reports on the way."""
    results, reports = list[Result](), list[EpochReport]()
    deadline = time.monotonic() + _PATIENCE_S
    while len(results) < count:
        assert time.monotonic() < deadline, f"{len(results)} of {count} results after {_PATIENCE_S:.0f} s"
        results += engine.collect(0.2)
        reports += engine.reports()
    return results, reports
