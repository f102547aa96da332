"""The coordinator of a study: it asks the sampler, rejects, deduplicates, hands out, collects and tells.

It alone writes the study's database. For one candidate: spec -> costs -> limits (rejected here, without training) ->
known already? (values reused) -> latency measured, while the workers hold still -> limits again -> evaluated by a
worker -> told (`lifecycle.py`).
"""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

from optuna.study import Study

from objectives.base import Objective
from search_space.graph import Graph
from search_space.spec import ArchSpec

from ..config import StudyConfig
from ..engines.base import Engine
from ..samplers import Task, make_sampler
from ..samplers.priced_networks import Networks
from ..storage.errors import StorageError
from .confirmation import confirmations_of, train_again
from .events import Announcer, EpochEvent, TrialEvent
from .lifecycle import Lifecycle
from .pricing.cost_check import Pricer, budget_of
from .pricing.latency_meter import LatencyMeter
from .proposals.next_trial import Proposals
from .restore import restore
from .stop_requests import StopRequests
from .study_state import StudyState

Ending = Literal["done", "timeout", "interrupted"]


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
        on_event: Callable[[TrialEvent], None] = lambda event: None,
        on_epoch: Callable[[EpochEvent], None] = lambda event: None,
        on_stop: Callable[[int], None] = lambda running: None,
        on_note: Callable[[str], None] = lambda note: None,
        takes_signals: bool = False,
    ) -> None:
        """`figures` are those of the configuration, where they are not to be looked up by name.

        `prior(graph)` is what earlier trainings say of a network's accuracy, in any unit, for samplers that ask it.
        `on_stop` is told, after each request to stop, how many candidates are in training. With `takes_signals`, which
        only the main thread can have, Ctrl-C and SIGTERM are such requests.
        """
        self.study = study
        self.directory = directory
        self.config = config
        self.objectives = config.optimised
        self.limits = config.limits.as_limits()
        self.engine = engine
        self.meter = meter
        self.stops = StopRequests(on_stop)
        self.state = StudyState(self.objectives, self.limits, box)
        self._folder, self._takes_signals = _identity(directory), takes_signals
        self._pricer = Pricer(figures or config.figures, self.limits, meter, engine.quiet, on_note)
        self._announcer = Announcer(self.state, on_event)
        self._lifecycle = Lifecycle(
            study=study,
            directory=directory,
            config=config,
            engine=engine,
            state=self.state,
            pricer=self._pricer,
            stops=self.stops,
            announcer=self._announcer,
            on_epoch=on_epoch,
        )
        restored = restore(study, directory, self.state, self._lifecycle.ladder, meter)
        networks = Networks(config.space, self.objectives, self.limits, self._pricer.predicted_costs, prior)
        task = Task(
            seed=config.search.seed,
            finished=len(study.get_trials(False)),
            networks=networks,
            budget=budget_of(self.objectives, self.limits, commonest_share),
        )
        study.sampler = make_sampler(config.search.sampler, task)
        self._proposals = Proposals(
            study=study,
            directory=directory,
            config=config,
            networks=networks,
            pricer=self._pricer,
            meter=meter,
            lifecycle=self._lifecycle,
            restored=restored,
            seed=config.search.seed + self.state.evaluated,
            on_note=on_note,
        )

    def run(self) -> Ending:
        """Run until the study has all its trials, the time is over, or somebody stops it.

        Raises NoFeasibleCandidate, TooManyFailures, and UserError where a worker cannot have the data.
        """
        timeout_s = self.config.search.timeout_s
        deadline = time.monotonic() + (float("inf") if timeout_s is None else timeout_s)
        with self.stops.from_signals() if self._takes_signals else nullcontext():
            while True:
                while self._wants_more(deadline):
                    self._proposals.start_next(self.stops)
                self.stops.answer(len(self._lifecycle.running))
                if not self._lifecycle.running or self.stops.at_once:
                    break
                self._collect()
            self.study.set_user_attr("exhausted", self._proposals.is_exhausted)  # else it would look stopped
            if self._proposals.is_exhausted or self.state.evaluated >= self.config.search.trials:
                self._confirm(deadline)
                return "interrupted" if self.stops else "done"
        return "interrupted" if self.stops else "timeout"

    def _collect(self) -> None:
        results = self.engine.collect(timeout_s=0.2)
        for report in self.engine.reports():
            self._lifecycle.pass_on(report)
        for result in results:
            if _identity(self.directory) != self._folder:
                raise StorageError(
                    f"{self.directory}: the study's folder was moved or removed while it ran; put it back, and go on "
                    "with --resume"
                )
            self._lifecycle.finish(result)

    def _confirm(self, deadline: float) -> None:
        """Train the best networks within the limits once more, until the best by the mean is one of them.

        That takes twice as many trainings as networks are to be confirmed, at most.
        """
        wanted = self.config.search.confirmations
        tried = set[int]()
        while len(tried) < 2 * wanted and not self.stops and time.monotonic() < deadline:
            again = confirmations_of(self.study.user_attrs)
            best = self.state.best(again)[: 1 if tried else wanted]
            waiting = [number for number in best if number not in again and number not in tried]
            if not waiting:
                return
            tried.update(waiting)
            self._train_again(waiting, deadline)

    def _train_again(self, numbers: Sequence[int], deadline: float) -> None:
        trials = {trial.number: trial for trial in self.state.completed if trial.number in numbers}
        specs = {number: ArchSpec.from_dict(dict(trials[number].spec or {})) for number in numbers}
        tell = self._announcer.tell
        train_again(
            self.study,
            self.engine,
            {number: self._lifecycle.candidate(spec, training=1) for number, spec in specs.items()},
            self.config.metric.name,
            is_stopped=lambda running: self.stops.answer(running) or time.monotonic() >= deadline,
            is_given_up=lambda: self.stops.at_once,
            on_start=lambda number: tell(trials[number], 0, is_again=True, has_ended=False),
            on_epoch=self._lifecycle.pass_on_again,
            on_end=lambda number, value: tell(trials[number], 0, is_again=True, metric_again=value),
        )

    def _wants_more(self, deadline: float) -> bool:
        running = len(self._lifecycle.running)
        return (
            not self.stops
            and not self._proposals.is_exhausted
            and running < self.engine.slots
            and (self.state.evaluated + running < self.config.search.trials or bool(self._proposals.resumed))
            and time.monotonic() < deadline
        )


def _identity(directory: Path) -> tuple[int, int] | None:
    """Device and number of a folder, whatever its name; None where there is none."""
    try:
        found = directory.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
