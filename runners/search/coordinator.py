"""Who runs a study? One coordinator asks the sampler, rejects, deduplicates, hands out, collects and tells.

It alone writes the study's database. For one candidate: spec -> costs -> limits (rejected here, without training) ->
known already? (values reused) -> latency measured, while the workers hold still -> limits again -> evaluated by a
worker -> told.
"""

import hashlib
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Literal

from optuna.study import Study
from optuna.trial import Trial, TrialState

from objectives.base import Objective
from objectives.limits import violated
from search_space.errors import UserError
from search_space.graph import Graph
from search_space.spec import ArchSpec

from ..candidate import Candidate, Evaluation
from ..config import StudyConfig
from ..early_stopping.rungs import Ladder, Rung, Stop, Watch
from ..engines.base import Engine, EpochReport, Failure, Result
from ..samplers import Task, make_sampler
from ..samplers.front import NoCandidate
from ..samplers.networks import Networks
from ..storage.errors import DAMAGE, StorageError, stored_in
from ..storage.study_files import (
    DATABASE,
    drop_weights,
    set_aside_weights,
    trials_with_weights,
    weights_path,
    write_atomically,
)
from .confirmation import confirmations_of, train_again
from .cost_check import Pricer
from .feasible import NoFeasibleCandidate, draw_feasible
from .latency_meter import LatencyMeter
from .seeding import opening
from .study_state import ACCURACY, Counts, Ledger, facts_of

MISSES_BEFORE_DRAWING = 10
"""Rejected or known candidates in a row after which a feasible new one is drawn at random for the sampler."""
ATTEMPTS = 2
FAILURES_IN_A_ROW = 5


Ending = Literal["done", "timeout", "interrupted"]


class TooManyFailures(UserError):
    """Every candidate fails, so going on would teach nothing."""

    exit_code = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A trial started or ended; what a progress display needs."""

    trial: int
    status: str
    """running, completed, stopped, rejected, duplicate or failed; confirming and confirmed of a training that repeats
    one of the best."""
    spec: ArchSpec
    values: dict[str, float]
    """By objective; of a confirmed trial also `again`, the accuracy of its second training, unless that failed."""
    reason: str | None
    counts: Counts
    running: int
    front_size: int
    hypervolume: float
    on_front: bool
    label: str | None = None
    """Name of the reference that the network is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochEvent:
    """A trial in training has finished an epoch."""

    trial: int
    epoch: int
    """Epochs finished on its rung."""
    epochs: int
    """Epochs of the rung."""
    rung: int
    """On which it is; 1 is the first."""
    rungs: int
    accuracy: float
    done: float
    """Share of the whole training that is over, 0..1: of the images on all rungs, each epoch's counted."""


@dataclass(slots=True)
class _Running:
    trial: Trial
    spec: ArchSpec
    costs: dict[str, float]
    candidate: Candidate
    climbed: list[Rung] = field(default_factory=list)
    """What it has found on the rungs below."""
    watch: Watch | None = None
    """By which it is stopped, as things stood when it came on its rung."""
    attempt: int = 1


class Coordinator:
    """Runs a study to its end, to a time limit or to an interruption."""

    def __init__(
        self,
        *,
        study: Study,
        directory: Path,
        config: StudyConfig,
        box: tuple[tuple[float, ...], tuple[float, ...]],
        commonest_share: float,
        engine: Engine,
        meter: LatencyMeter,
        figures: Sequence[Objective] | None = None,
        prior: Callable[[Graph], float] | None = None,
        on_event: Callable[[Event], None] = lambda event: None,
        on_epoch: Callable[[EpochEvent], None] = lambda event: None,
        on_stop: Callable[[int], None] = lambda running: None,
        on_note: Callable[[str], None] = lambda note: None,
    ) -> None:
        """`figures` are those of the configuration, where they are not to be looked up by name.

        `prior(graph)` is what earlier trainings say of a network's accuracy, in any unit, for samplers that ask it.
        """
        self.study = study
        self.directory = directory
        self.config = config
        self.objectives = config.optimised
        self.limits = config.limits.as_limits()
        self.engine = engine
        self.meter = meter
        self.on_event = on_event
        self.on_epoch = on_epoch
        self.on_note = on_note
        self.on_stop = on_stop
        """Told, after each request to stop, how many candidates are in training."""
        self.stop_requests = 0
        self._stops_answered = 0
        self._ledger = Ledger(self.objectives, self.limits, box)
        self._folder = _identity(directory)
        self._running: dict[int, _Running] = {}
        self._resumed: list[Trial] = []
        self._unknown_weights = set[int]()
        """Trials that have weights and are not in the database, which may be older than they."""
        self._exhausted = False
        self._failures_in_a_row = 0
        self._ladder = Ladder(config.training, config.search)
        self._pricer = Pricer(figures or config.figures, self.limits, meter, engine.quiet, on_note)
        with stored_in(directory / DATABASE, "cannot be gone on with", damage=DAMAGE):
            self._restore()
        self._networks = Networks(config.space, self.objectives, self.limits, self._pricer.predicted_costs, prior)
        task = Task(
            seed=config.search.seed,
            finished=len(study.get_trials(False)),
            networks=self._networks,
            budget=[self._allowed(objective, commonest_share) for objective in self.objectives],
        )
        study.sampler = make_sampler(config.search.sampler, task)
        self._random = random.Random(config.search.seed + self.counts.evaluated)
        self._enqueue_opening()

    @property
    def counts(self) -> Counts:
        """How many trials of the study ended how, earlier runs included."""
        return self._ledger.counts

    def run(self) -> Ending:
        """Run until the study has all its trials, the time is over, or somebody stops it.

        Raises NoFeasibleCandidate, TooManyFailures, and UserError where a worker cannot have the data.
        """
        timeout_s = self.config.search.timeout_s
        deadline = time.monotonic() + (float("inf") if timeout_s is None else timeout_s)
        with _signals(self._request_stop):
            while True:
                while self._wants_more(deadline):
                    self._start_next()
                self._answer_stop(len(self._running))
                if not self._running or self._at_once:
                    break
                results = self.engine.collect(timeout_s=0.2)
                for report in self.engine.reports():
                    self._pass_on(report)
                for result in results:
                    self._finish(result)
            self.study.set_user_attr("exhausted", self._exhausted)  # else it would look stopped
            if self._exhausted or self.counts.evaluated >= self.config.search.trials:
                self._confirm(deadline)
                return "interrupted" if self.stop_requests else "done"
        return "interrupted" if self.stop_requests else "timeout"

    def _confirm(self, deadline: float) -> None:
        """Train the best networks within the limits once more, until the best by the mean is one of them.

        That takes twice as many trainings as networks are to be confirmed, at most.
        """
        wanted = self.config.search.confirmations
        tried = set[int]()
        while len(tried) < 2 * wanted and not self.stop_requests and time.monotonic() < deadline:
            again = confirmations_of(self.study.user_attrs)
            best = self._ledger.best(again)[: 1 if tried else wanted]
            waiting = [number for number in best if number not in again and number not in tried]
            if not waiting:
                return
            tried.update(waiting)
            self._train_again(waiting, deadline)

    def _train_again(self, numbers: Sequence[int], deadline: float) -> None:
        trials = {trial.number: trial for trial in self.study.get_trials(deepcopy=False)}
        specs = {number: ArchSpec.from_dict(facts_of(trials[number])["spec"]) for number in numbers}

        def on_start(number: int) -> None:
            self._emit(number, "confirming", specs[number], self._ledger.values[number])

        def on_end(number: int, accuracy: float | None) -> None:
            values = self._ledger.values[number] | ({} if accuracy is None else {"again": accuracy})
            self._emit(number, "confirmed", specs[number], values)

        train_again(
            self.study,
            self.engine,
            {number: self._candidate(spec, training=1) for number, spec in specs.items()},
            is_stopped=lambda running: self._answer_stop(running) or time.monotonic() >= deadline,
            is_given_up=lambda: self._at_once,
            on_start=on_start,
            on_epoch=self._pass_on_again,
            on_end=on_end,
        )

    def _candidate(self, spec: ArchSpec, training: int = 0) -> Candidate:
        """Return what a worker trains; each further `training` of a network has another seed."""
        return Candidate(
            spec=spec.to_dict(),
            seed=candidate_seed(self.config.search.seed, spec.key, training),
            data=self.config.data,
            training=self.config.training,
        )

    def _request_stop(self, requests: int) -> None:
        self.stop_requests += requests

    def _answer_stop(self, running: int) -> bool:
        """Whether somebody has asked to stop, after telling `on_stop` of each request; `running` are in training."""
        if self.stop_requests > self._stops_answered:
            self._stops_answered = self.stop_requests
            self.on_stop(running)
        return bool(self.stop_requests)

    @property
    def _at_once(self) -> bool:
        """Whether what is in training is given up, to be resumed."""
        return self.stop_requests > 1

    def _wants_more(self, deadline: float) -> bool:
        planned = self.counts.evaluated + len(self._running)
        return (
            not self.stop_requests
            and not self._exhausted
            and len(self._running) < self.engine.slots
            and (planned < self.config.search.trials or bool(self._resumed))
            and time.monotonic() < deadline
        )

    def _start_next(self) -> None:
        """Hand the next candidate that needs training to the workers, or note that there is none."""
        misses = 0
        while not self.stop_requests:
            if self._resumed:
                trial = self._resumed.pop(0)
                if self._start(trial):
                    return
                why = facts_of(trial).get("reason", "the network is known already")
                self.on_note(f"trial {trial.number}, which was to begin anew, is left out: {why}")
                continue
            if misses >= MISSES_BEFORE_DRAWING and not self._draw_feasible():
                self._exhausted = True
                return
            trial = self.study.ask()
            if trial.number in self._unknown_weights:
                set_aside_weights(self.directory, trial.number)
            if self._start(trial):
                return
            misses += 1

    def _start(self, trial: Trial) -> bool:
        """Submit the trial's candidate; False where it was rejected or is known already."""
        try:
            spec = self.config.space.sample(trial)
        except NoCandidate:
            raise NoFeasibleCandidate(
                f"sampler '{self.config.search.sampler}': found no network that keeps the limits "
                f"({' and '.join(map(str, self.limits))}); loosen them"
            ) from None
        is_known = self._is_known(spec.key)
        price = self._pricer.price(spec, measure=not is_known)
        facts = {"key": spec.key, "spec": spec.to_dict(), "costs": price.costs, "latency": price.latency}
        trial.set_user_attr("candidate", facts)
        if "outcome" in trial.user_attrs:
            _write_outcome(trial)  # of an attempt before, which is not to be taken for this one's
        if price.broken:
            self._reject(trial, spec, price.costs, price.broken)
            return False
        if is_known:
            self._tell_duplicate(trial, spec)
            return False
        candidate = self._candidate(spec)
        # Not the outcome's: that may be there without having been told, with the last rung in it.
        below = trial.user_attrs.get("climbed", {}).get("rungs", [])
        climbed = [Rung.from_dict(rung) for rung in below]
        self._running[trial.number] = _Running(trial, spec, price.costs, candidate, climbed)
        self._climb(self._running[trial.number])
        self._emit(trial.number, "running", spec, price.costs)
        return True

    def _climb(self, running: _Running) -> None:
        """Hand a candidate to the workers for its next rung."""
        training, running.watch = self._ladder.trainings[len(running.climbed)], self._watch(running)
        running.candidate = replace(running.candidate, training=training, floors=running.watch.floors)
        running.attempt = 1
        self._submit(running)

    def _submit(self, running: _Running) -> None:
        if not self._at_once:
            self.engine.submit(running.trial.number, running.candidate)

    def _reject(self, trial: Trial, spec: ArchSpec, costs: dict[str, float], reason: str) -> None:
        self._set_constraints(trial, costs)
        _write_outcome(trial, status="rejected", reason=reason)
        self.study.tell(trial, state=TrialState.PRUNED)
        self.counts.rejected += 1
        self._emit(trial.number, "rejected", spec, costs, reason, trial.user_attrs.get("label"))

    def _is_known(self, key: str) -> bool:
        return self._ledger.knows(key) or any(running.spec.key == key for running in self._running.values())

    def _is_tried(self, key: str) -> bool:
        return self._is_known(key) or bool(violated(self.limits, self.meter.measured(key)))

    def _tell_duplicate(self, trial: Trial, spec: ArchSpec) -> None:
        """Reuse the values of the network's earlier trial; they are not there while that runs or if it failed."""
        original = self._ledger.finished.get(spec.key)
        if original is not None:
            self._set_constraints(trial, original.values)
            reason = f"the network of trial {original.trial}"
            _write_outcome(trial, status="duplicate", reason=reason, values=original.values)
            self.study.tell(trial, [original.values[o.name] for o in self.objectives])
        else:
            known = self._ledger.failed | self._ledger.stopped
            reason = known.get(spec.key, "the network of a running trial")
            _write_outcome(trial, status="duplicate", reason=reason)
            self.study.tell(trial, state=TrialState.FAIL)
        self.counts.duplicate += 1
        self._emit(trial.number, "duplicate", spec, original.values if original else {})

    def _pass_on(self, report: EpochReport) -> None:
        running = self._running.get(report.ticket)
        if running is None:
            return
        rung = len(running.climbed)
        self._tell_epoch(report, rung, self._ladder.done(rung, report.epoch))

    def _pass_on_again(self, report: EpochReport) -> None:
        """Pass on an epoch of a training that confirms, which has the last rung's schedule alone."""
        self._tell_epoch(report, len(self._ladder.trainings) - 1, report.epoch / report.epochs)

    def _tell_epoch(self, report: EpochReport, rung: int, done: float) -> None:
        self.on_epoch(
            EpochEvent(
                trial=report.ticket,
                epoch=report.epoch,
                epochs=report.epochs,
                rung=rung + 1,
                rungs=len(self._ladder.trainings),
                accuracy=report.accuracy,
                done=done,
            )
        )

    def _finish(self, result: Result) -> None:
        if _identity(self.directory) != self._folder:
            raise StorageError(
                f"{self.directory}: the study's folder was moved or removed while it ran; put it back, and go on with "
                "--resume"
            )
        running = self._running[result.ticket]
        outcome = result.outcome
        # systemd and `timeout` send SIGTERM to the workers too: who dies of that is resumed.
        if isinstance(outcome, Failure) and outcome.kind == "died" and (running.attempt < ATTEMPTS or self._at_once):
            running.attempt += 1
            self._submit(running)
            return
        if isinstance(outcome, Evaluation):
            found = Rung.of(outcome.observation)
            # A worker goes by what was known when it began; at the end of a rung the newest counts.
            watch = running.watch if outcome.observation.stopped else self._watch(running)
            stop = watch.verdict(found) if watch is not None else None
            assert stop is not None or not outcome.observation.stopped, "below its floor and yet hopeful"
            running.climbed.append(found)
            if stop is None and len(running.climbed) < len(self._ladder.trainings):
                running.trial.set_user_attr("climbed", {"rungs": [rung.to_dict() for rung in running.climbed]})
                self._climb(running)
                return
        del self._running[result.ticket]
        if isinstance(outcome, Failure):
            self._fail(running, outcome)
        elif stop is not None:
            self._stop(running, outcome, stop)
        else:
            self._complete(running, outcome)

    def _watch(self, running: _Running) -> Watch:
        hurdle, macs = self._ledger.hurdle(running.costs), running.costs["macs"]
        return self._ladder.watch(len(running.climbed), hurdle, running.spec, macs)

    def _fail(self, running: _Running, failure: Failure) -> None:
        """Note a failure; what failed for its surroundings is not told, so that it is run again on resume."""
        trial, reason = running.trial, failure.reason
        if failure.is_of_surroundings:
            reason = f"{reason}; --resume tries it again"
        _write_outcome(trial, status="failed", reason=reason)
        if not failure.is_of_surroundings:
            self.study.tell(trial, state=TrialState.FAIL)
        self._ledger.fail(running.spec.key, reason)
        self._failures_in_a_row += 1
        self._emit(trial.number, "failed", running.spec, running.costs, reason)
        if self._failures_in_a_row >= FAILURES_IN_A_ROW:
            raise TooManyFailures(f"{FAILURES_IN_A_ROW} trials in a row failed; the last: {reason}")

    def _stop(self, running: _Running, evaluation: Evaluation, stop: Stop) -> None:
        trial = running.trial
        self._set_constraints(trial, running.costs)
        _write_outcome(
            trial,
            status="stopped",
            reason=stop.reason,
            forecast=asdict(stop.forecast),
            rungs=[rung.to_dict() for rung in running.climbed],
            observation=evaluation.observation.to_dict(),
        )
        self.study.tell(trial, state=TrialState.PRUNED)
        self._ledger.stop(running.spec.key, stop.reason)
        self._failures_in_a_row = 0
        self._emit(trial.number, "stopped", running.spec, running.costs, stop.reason)

    def _complete(self, running: _Running, evaluation: Evaluation) -> None:
        trial, observation = running.trial, evaluation.observation
        values = {**running.costs, "accuracy": observation.accuracy}
        left_front = self._ledger.complete(trial.number, running.spec.key, values)
        self._ladder.learn(running.climbed, running.spec, values["macs"])
        if trial.number in self._ledger.front:
            write_atomically(weights_path(self.directory, trial.number), evaluation.weights)
        else:
            left_front.add(trial.number)  # an attempt that was killed may have left weights
        self._set_constraints(trial, values)
        rungs = [rung.to_dict() for rung in running.climbed]
        _write_outcome(trial, status="completed", values=values, observation=observation.to_dict(), rungs=rungs)
        self.study.tell(trial, [values[objective.name] for objective in self.objectives])
        for number in left_front:
            drop_weights(self.directory, number)
        self._failures_in_a_row = 0
        self._emit(trial.number, "completed", running.spec, values)

    def _set_constraints(self, trial: Trial, values: dict[str, float]) -> None:
        for limit in self.limits:
            # A trial that is run again may have its constraints already.
            if limit.objective in values and str(limit) not in trial.constraints:
                trial.set_constraint(str(limit), limit.excess(values))

    def _emit(
        self,
        trial: int,
        status: str,
        spec: ArchSpec,
        values: dict[str, float],
        reason: str | None = None,
        label: str | None = None,
    ) -> None:
        self.on_event(
            Event(
                trial=trial,
                status=status,
                spec=spec,
                values=values,
                reason=reason,
                counts=self.counts,
                running=len(self._running),
                front_size=len(self._ledger.front),
                hypervolume=self._ledger.hypervolume,
                on_front=trial in self._ledger.front,
                label=label,
            )
        )

    def _draw_feasible(self) -> bool:
        """Enqueue a random network that keeps the limits and is new; False where none is found.

        A sampler that knows nothing of the limits, or a nearly exhausted space, would otherwise ask for ever.
        """
        spec = draw_feasible(self.config.space, self._pricer.expected_costs, self.limits, self._random, self._is_tried)
        if spec is None:
            return False
        self.study.enqueue_trial(self.config.space.params_of(spec))
        return True

    def _restore(self) -> None:
        """Take up what the database holds: finished trials as they are, unfinished ones to be run again."""
        trials = self.study.get_trials(deepcopy=False)
        for trial in trials:
            facts = facts_of(trial)
            if facts.get("latency"):
                self.meter.remember(facts["key"], facts["latency"])
        self._resumed = [Trial(self.study, trial._trial_id) for trial in trials if trial.state == TrialState.RUNNING]
        finished = [trial for trial in trials if trial.state.is_finished()]
        self._ledger.restore(finished)
        for facts in map(facts_of, finished):
            if facts.get("status") == "completed":
                rungs = [Rung.from_dict(rung) for rung in facts["rungs"]]
                self._ladder.learn(rungs, ArchSpec.from_dict(facts["spec"]), facts["values"]["macs"])
        stored, ended = trials_with_weights(self.directory), {trial.number for trial in finished}
        # Left by a coordinator that was killed; what only narrower limits have driven from the front is kept.
        for number in stored & ended - self._ledger.front - self._ledger.front_without_limits:
            drop_weights(self.directory, number)
        self._unknown_weights = stored - ended - {trial.number for trial in self._resumed}

    def _allowed(self, objective: Objective, commonest_share: float) -> float | None:
        """The most that a limit allows of a cost, None without one; the accuracy from which on it counts."""
        kind = "min" if objective.name == ACCURACY else "max"
        values = [limit.value for limit in self.limits if limit.objective == objective.name and limit.kind == kind]
        if objective.name == ACCURACY:
            return max([commonest_share, *values])
        return min(values, default=None)

    def _enqueue_opening(self) -> None:
        """Enqueue the references, and in a new study one network of each block, before the sampler is asked.

        What was tried before is not tried again, but for a reference that an earlier limit rejected.
        """
        trials = self.study.get_trials(deepcopy=False)
        tried = [t.system_attrs.get("fixed_params", t.params) for t in trials if not self._networks.is_in_reach(t)]
        is_new = all(trial.state == TrialState.WAITING for trial in trials)
        is_spread = self.config.search.block_starts and is_new and not self._networks.has_prior
        search = replace(self.config.search, block_starts=is_spread)
        price = partial(self._pricer.price, measure=True, is_proposal=False)
        for start in opening(self.config.space, search, self.limits, price):
            if start.params not in tried:
                attributes = {"label": start.label} if start.label else {}
                self.study.enqueue_trial(start.params, user_attrs=attributes)


def _identity(directory: Path) -> tuple[int, int] | None:
    """Device and number of a folder, whatever its name; None where there is none."""
    try:
        found = directory.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _write_outcome(trial: Trial, **facts: object) -> None:
    """One write, because each costs the database a transaction; `facts_of` reads it."""
    trial.set_user_attr("outcome", facts)


def candidate_seed(study_seed: int, key: str, training: int = 0) -> int:
    """Seed of a network's training: the same whenever and wherever the study evaluates it.

    Another `training` of the same network has another seed.
    """
    text = f"{study_seed}:{key}:{training}" if training else f"{study_seed}:{key}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


@contextmanager
def _signals(stop: Callable[[int], None]) -> Iterator[None]:
    """Count Ctrl-C as one request to stop and SIGTERM as two, instead of ending the process at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        stop(1 if number == signal.SIGINT else 2)

    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(number, handle) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)
