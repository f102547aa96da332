"""A trial from its proposal to its end: checked, trained rung by rung, and told to Optuna."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from optuna.study import Study
from optuna.trial import Trial, TrialState

from search_space.errors import UserError
from search_space.spec import ArchSpec

from ..candidate import Candidate, Evaluation, candidate_seed
from ..config import StudyConfig
from ..early_stopping.rungs import Ladder, Stop, Watch
from ..engines.base import Engine, EpochReport, Failure, Result
from ..storage.study_files import drop_weights, weights_path, write_atomically
from ..trial_record import (
    Rung,
    Status,
    TrialRecord,
    rungs_below,
    started_record,
    write_end,
    write_rungs,
    write_start,
)
from .events import Announcer, EpochEvent
from .pricing.cost_check import Pricer
from .stop_requests import StopRequests
from .study_state import StudyState

ATTEMPTS = 2
FAILURES_IN_A_ROW = 5


class TooManyFailures(UserError):
    """Every candidate fails, so going on would teach nothing."""

    exit_code = 1


@dataclass(slots=True)
class _Running:
    trial: Trial
    record: TrialRecord
    spec: ArchSpec
    candidate: Candidate
    climbed: list[Rung] = field(default_factory=list)
    """What it has found on the rungs below."""
    watch: Watch | None = None
    """By which it is stopped, as things stood when it came on its rung."""
    attempt: int = 1


class Lifecycle:
    """Starts the trials of one study, and takes what the engine has found of them."""

    def __init__(
        self,
        *,
        study: Study,
        directory: Path,
        config: StudyConfig,
        engine: Engine,
        state: StudyState,
        pricer: Pricer,
        stops: StopRequests,
        announcer: Announcer,
        on_epoch: Callable[[EpochEvent], None],
    ) -> None:
        """The `announcer` tells of each trial when its training starts and when it ends."""
        self.running: dict[int, _Running] = {}
        """Candidates in training, by trial."""
        self.ladder = Ladder(config.training, config.search)
        self._study, self._directory, self._config, self._engine = study, directory, config, engine
        self._state, self._pricer, self._stops = state, pricer, stops
        self._announcer, self._on_epoch = announcer, on_epoch
        self._limits = config.limits.as_limits()
        self._failures_in_a_row = 0

    def is_known(self, key: str) -> bool:
        """Whether the network has been evaluated, or is in training."""
        return key in self._state.trials or any(running.record.key == key for running in self.running.values())

    def candidate(self, spec: ArchSpec, training: int = 0) -> Candidate:
        """Return what a worker trains; each further `training` of a network has another seed."""
        return Candidate(
            spec=spec.to_dict(),
            seed=candidate_seed(self._config.search.seed, spec.key, training),
            data=self._config.data,
            training=self._config.training,
        )

    def start(self, trial: Trial, spec: ArchSpec) -> bool:
        """Submit the trial's network; False where it was rejected or is known already."""
        is_known = self.is_known(spec.key)
        price = self._pricer.price(spec, measure=not is_known)
        record = started_record(trial, spec.key, spec.to_dict(), price.costs, price.latency)
        write_start(trial, record)
        if price.broken:
            self._end(trial, replace(record, status=Status.REJECTED, reason=price.broken))
            return False
        if is_known:
            self._end_duplicate(trial, record)
            return False
        running = _Running(trial, record, spec, self.candidate(spec), climbed=rungs_below(trial))
        self.running[trial.number] = running
        self._climb(running)
        self._announcer.tell(record, len(self.running))
        return True

    def finish(self, result: Result) -> None:
        """Take what an attempt brought: the next rung, another attempt, or the trial's end.

        Raises TooManyFailures.
        """
        running, outcome = self.running[result.ticket], result.outcome
        if isinstance(outcome, Failure):
            # systemd and `timeout` send SIGTERM to the workers too: who dies of that is resumed.
            if outcome.kind == "died" and (running.attempt < ATTEMPTS or self._stops.at_once):
                running.attempt += 1
                self._submit(running)
                return
            del self.running[result.ticket]
            self._fail(running, outcome)
            return
        found = Rung.of(outcome.observation)
        # A worker goes by what was known when it began; at the end of a rung the newest counts.
        watch = running.watch if outcome.observation.stopped else self._watch(running)
        stop = watch.verdict(found) if watch is not None else None
        assert stop is not None or not outcome.observation.stopped, "below its floor and yet hopeful"
        running.climbed.append(found)
        if stop is None and len(running.climbed) < len(self.ladder.trainings):
            write_rungs(running.trial, running.climbed)
            self._climb(running)
            return
        del self.running[result.ticket]
        self._succeed(running, outcome, stop)

    def pass_on(self, report: EpochReport) -> None:
        """Tell of an epoch of a candidate in training."""
        running = self.running.get(report.ticket)
        if running is not None:
            rung = len(running.climbed)
            self._tell_epoch(report, rung, self.ladder.done(rung, report.epoch))

    def pass_on_again(self, report: EpochReport) -> None:
        """Tell of an epoch of a training that confirms, which has the last rung's schedule alone."""
        self._tell_epoch(report, len(self.ladder.trainings) - 1, report.epoch / report.epochs)

    def _tell_epoch(self, report: EpochReport, rung: int, done: float) -> None:
        self._on_epoch(
            EpochEvent(
                trial=report.ticket,
                epoch=report.epoch,
                epochs=report.epochs,
                rung=rung + 1,
                rungs=len(self.ladder.trainings),
                metric=report.metric,
                done=done,
            )
        )

    def _climb(self, running: _Running) -> None:
        """Hand a candidate to the workers for its next rung."""
        training, running.watch = self.ladder.trainings[len(running.climbed)], self._watch(running)
        running.candidate = replace(running.candidate, training=training, floors=running.watch.floors)
        running.attempt = 1
        self._submit(running)

    def _submit(self, running: _Running) -> None:
        if not self._stops.at_once:
            self._engine.submit(running.record.number, running.candidate)

    def _watch(self, running: _Running) -> Watch:
        costs = running.record.costs
        return self.ladder.watch(len(running.climbed), self._state.hurdle(costs), running.spec, costs["macs"])

    def _end_duplicate(self, trial: Trial, record: TrialRecord) -> None:
        """Reuse the values of the network's earlier trial; they are not there while that runs or if it failed."""
        original = self._state.trials.get(str(record.key))
        record = replace(record, status=Status.DUPLICATE)
        if original is None:
            self._end(trial, replace(record, reason="the network of a running trial"))
        elif original.status == Status.COMPLETED:
            reason = f"the network of trial {original.number}"
            self._end(trial, replace(record, reason=reason, values=original.values))
        else:
            self._end(trial, replace(record, reason=original.reason))

    def _fail(self, running: _Running, failure: Failure) -> None:
        """End a trial that failed; what failed for its surroundings is not told, so that it is run again on resume."""
        reason = f"{failure.reason}; --resume tries it again" if failure.is_of_surroundings else failure.reason
        record = replace(running.record, status=Status.FAILED, reason=reason)
        self._end(running.trial, record, is_told=not failure.is_of_surroundings)
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= FAILURES_IN_A_ROW:
            raise TooManyFailures(f"{FAILURES_IN_A_ROW} trials in a row failed; the last: {reason}")

    def _succeed(self, running: _Running, evaluation: Evaluation, stop: Stop | None) -> None:
        """End a trial that was trained, to the end or until there was no hope."""
        self._failures_in_a_row = 0
        record = replace(running.record, rungs=tuple(running.climbed), observation=evaluation.observation)
        if stop is not None:
            stopped = replace(record, status=Status.STOPPED, reason=stop.reason, forecast=stop.forecast)
            self._end(running.trial, stopped)
            return
        values = {**record.costs, **evaluation.observation.metrics}
        self.ladder.learn(running.climbed, running.spec, values["macs"])
        self._end(running.trial, replace(record, status=Status.COMPLETED, values=values), evaluation.weights)

    def _end(self, trial: Trial, record: TrialRecord, weights: bytes = b"", *, is_told: bool = True) -> None:
        """Write down how a trial ended, keep the weights of who is on the front, and tell Optuna last."""
        left_front = self._state.add(record)
        if record.status == Status.COMPLETED:
            if record.number in self._state.front:
                write_atomically(weights_path(self._directory, record.number), weights)
            else:
                left_front.add(record.number)  # an attempt that was killed may have left weights
        self._set_constraints(trial, record)
        write_end(trial, record)
        if is_told:
            self._tell(trial, record)
        for number in left_front:
            drop_weights(self._directory, number)
        self._announcer.tell(record, len(self.running))

    def _tell(self, trial: Trial, record: TrialRecord) -> None:
        if record.values:
            self._study.tell(trial, [record.values[objective.name] for objective in self._config.optimised])
        elif record.status in (Status.REJECTED, Status.STOPPED):
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, state=TrialState.FAIL)

    def _set_constraints(self, trial: Trial, record: TrialRecord) -> None:
        if record.status == Status.FAILED or (record.status == Status.DUPLICATE and not record.values):
            return
        for limit in self._limits:
            # A trial that is run again may have its constraints already.
            if limit.objective in record.figures and str(limit) not in trial.constraints:
                trial.set_constraint(str(limit), limit.excess(record.figures))
