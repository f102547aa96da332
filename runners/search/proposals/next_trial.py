"""Which network is tried next: resumed trials first, then what is enqueued, then what the sampler proposes."""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from optuna.study import Study
from optuna.trial import Trial, TrialState

from objectives.limits import violated

from ...config import StudyConfig
from ...samplers.front import NoCandidate
from ...samplers.priced_networks import Networks
from ...storage.study_files import set_aside_weights
from ...trial_record import TrialRecord, reference_attributes
from ..lifecycle import Lifecycle
from ..pricing.cost_check import NoFeasibleCandidate, Pricer
from ..pricing.latency_meter import LatencyMeter
from ..restore import Restored
from ..stop_requests import StopRequests
from .feasible import draw_feasible
from .opening import opening

MISSES_BEFORE_DRAWING = 10
"""Rejected or known candidates in a row after which a feasible new one is drawn at random for the sampler."""


class Proposals:
    """Starts one trial after the other, until the space has no further network."""

    def __init__(
        self,
        *,
        study: Study,
        directory: Path,
        config: StudyConfig,
        networks: Networks,
        pricer: Pricer,
        meter: LatencyMeter,
        lifecycle: Lifecycle,
        restored: Restored,
        seed: int,
        on_note: Callable[[str], None],
    ) -> None:
        """`seed` is that of networks drawn at random; the sampler is the study's."""
        self.resumed = restored.resumed
        """Trials that begin anew, and have not yet."""
        self.is_exhausted = False
        """Whether no further network was found."""
        self._unknown_weights = restored.unknown_weights
        self._study, self._directory, self._config, self._networks = study, directory, config, networks
        self._pricer, self._meter, self._lifecycle, self._on_note = pricer, meter, lifecycle, on_note
        self._limits = config.limits.as_limits()
        self._random = random.Random(seed)
        self._enqueue_opening()

    def start_next(self, stops: StopRequests) -> None:
        """Hand the next network that needs training to the workers, or note that there is none.

        Raises NoFeasibleCandidate.
        """
        misses = 0
        while not stops:
            if self.resumed:
                if self._start_resumed(self.resumed.pop(0)):
                    return
                continue
            if misses >= MISSES_BEFORE_DRAWING and not self._draw_feasible():
                self.is_exhausted = True
                return
            trial = self._study.ask()
            if trial.number in self._unknown_weights:
                set_aside_weights(self._directory, trial.number)
            if self._start(trial):
                return
            misses += 1

    def _start_resumed(self, trial: Trial) -> bool:
        if self._start(trial):
            return True
        ended = TrialRecord.read(trial.number, trial.user_attrs, is_told=True, params=trial.params)
        why = ended.reason or "the network is known already"
        self._on_note(f"trial {trial.number}, which was to begin anew, is left out: {why}")
        return False

    def _start(self, trial: Trial) -> bool:
        """Submit the trial's network; False where it was rejected or is known already."""
        try:
            spec = self._config.space.sample(trial)
        except NoCandidate:
            raise NoFeasibleCandidate(
                f"sampler '{self._config.search.sampler}': found no network that keeps the limits "
                f"({' and '.join(map(str, self._limits))}); loosen them"
            ) from None
        return self._lifecycle.start(trial, spec)

    def _draw_feasible(self) -> bool:
        """Enqueue a random network that keeps the limits and is new; False where none is found.

        A sampler that knows nothing of the limits, or a nearly exhausted space, would otherwise ask for ever.
        """
        space = self._config.space
        spec = draw_feasible(space, self._pricer.expected_costs, self._limits, self._random, self._is_tried)
        if spec is None:
            return False
        self._study.enqueue_trial(space.params_of(spec))
        return True

    def _is_tried(self, key: str) -> bool:
        return self._lifecycle.is_known(key) or bool(violated(self._limits, self._meter.measured(key)))

    def _enqueue_opening(self) -> None:
        """Enqueue the references, and in a new study one network of each block, before the sampler is asked.

        What was tried before is not tried again, but for a reference that an earlier limit rejected.
        """
        trials = self._study.get_trials(deepcopy=False)
        tried = [t.system_attrs.get("fixed_params", t.params) for t in trials if not self._networks.is_in_reach(t)]
        is_new = all(trial.state == TrialState.WAITING for trial in trials)
        is_spread = self._config.search.block_starts and is_new and not self._networks.has_prior
        search = replace(self._config.search, block_starts=is_spread)
        price = partial(self._pricer.price, measure=True, is_proposal=False)
        for start in opening(self._config.space, search, self._limits, price):
            if start.params not in tried:
                self._study.enqueue_trial(start.params, user_attrs=reference_attributes(start.label))
