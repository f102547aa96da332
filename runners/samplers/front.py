"""The project's sampler: it learns the accuracy alone, and proposes what helps most within the budgets of its user.

Costs are computed, not guessed, for thousands of candidates a proposal. Only what must be learned (the accuracy) has a
surrogate, and the candidate of the largest expected gain over a grid of budgets (`improvement.py`) is proposed.
docs/search.md explains it.
"""

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import threadpool_limits

from .acquisition.outlook import Outlook
from .acquisition.prior_expectations import Expected
from .candidates import Params, RandomCandidates, neighbours
from .history import Hint, History
from .knowledge import Knowledge, positive

SPREAD = 4
"""Trials that are spread over the space before a surrogate is asked."""
NEIGHBOURS = 128
"""Of the front's members, looked at in one proposal at most."""
CLIMBS = 3
"""Steps from the best candidate to a better neighbour."""
STARTS, STEPS = 16, 32
"""Walks towards what keeps the constraints, and steps of one, where no candidate at hand does."""


class NoCandidate(ValueError):
    """Nothing was found that keeps the constraints."""


class FrontSampler(BaseSampler):
    """Proposes what is expected to improve most on the best within each of many budgets.

    For studies of 2 to 4 objectives, in their order and directions. What is gained is the first objective that must be
    learned, one that is maximised before others; the others are what budgets allow. An objective that is minimised and
    positive throughout is compared in logarithms, because costs differ by factors.
    """

    def __init__(
        self,
        space: Mapping[str, BaseDistribution],
        known: Callable[[Params], Sequence[float | None]],
        *,
        constraints: Callable[[Params], Sequence[float]] | None = None,
        features: Callable[[Params], Sequence[float]] | None = None,
        key: Callable[[Params], Hashable] | None = None,
        hints: Callable[[FrozenTrial], Hint | None] | None = None,
        is_feasible: Callable[[FrozenTrial], bool] | None = None,
        is_in_reach: Callable[[FrozenTrial], bool] | None = None,
        budget: Sequence[float | None] | None = None,
        prior: Callable[[Params], float | None] | None = None,
        seed: int | None = None,
    ) -> None:
        """`known(params)` gives an entry for each objective: its value, or None where a trial must tell.

        `constraints(params)` gives figures that must be <= 0; what breaks one is never proposed. `features(params)`
        gives further numbers that may explain what must be learned. Candidates of one `key` are the same; by default
        the parameters themselves. `hints(trial)` says what a trial that was stopped would probably have brought.
        `is_feasible(trial)` says whether a finished trial keeps the constraints, by default as Optuna has stored them;
        `is_in_reach(trial)` whether one that ended may be proposed again, by default none.
        `budget` has an entry for each objective: what is allowed of a cost at most, and the value of what is gained
        that counts as nothing. With None a cost has no limit, and what is gained counts from the worst that was seen.
        `prior(params)` is what is expected of the objective to be gained, on any scale, or None where nothing is. How
        much it is worth is learned. Where it tells candidates apart, no trials are only spread over the space.
        """
        self._space = dict(space)
        self._knowledge = Knowledge(self._space, known, constraints, features, key, prior)
        self._hints, self._budget = hints, budget
        self._is_feasible = is_feasible or (lambda trial: all(c <= 0 for c in trial.constraints.values()))
        self._is_in_reach = is_in_reach or (lambda trial: False)
        self._seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        self._independent = RandomSampler(seed=self._seed)
        self._candidates = RandomCandidates(self._space, self._seed)
        self._lock = threading.Lock()
        self._proposed: dict[int, Params] = {}
        """By trial: Optuna stores a trial's parameters after the proposal, one by one."""

    def reseed_rng(self) -> None:
        """Proposals depend on the seed and the trial's number alone, so that processes may share them."""
        self._independent.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The space, whatever trials there are."""
        return self._space

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Parameters outside the space are drawn at random."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> Params:
        """The proposal.

        Raises ValueError where `known` does not fit the study, and NoCandidate where nothing keeps the constraints.
        """
        # One at a time, that the next knows of this one. Threads in small matrices only wait for each other.
        with self._lock, threadpool_limits(1, user_api="blas"):
            self._proposed[trial.number] = self._propose(study, trial)
            return self._proposed[trial.number]

    def _propose(self, study: Study, trial: FrozenTrial) -> Params:
        trials = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number and not self._is_in_reach(t)]
        others = [(t, params) for t in trials if (params := self._params(t)) is not None]
        tried = {self._knowledge.facts(params).key for _, params in others}
        generator = np.random.default_rng((self._seed, trial.number))
        untried = self._untried(self._candidates.at(trial.number), tried) or self._searched(trial.number, tried)
        if not untried:
            return self._again([params for _, params in others], generator)
        pool, history = list(untried.values()), self._history(others, len(study.directions))
        expected = Expected(self._knowledge, [*history.params, *pool])
        if not expected.tells_apart and (not history.params or len(others) < SPREAD):
            return self._farthest(pool, [params for _, params in others], generator)
        self._check(pool[0], len(study.directions))
        maximise = [direction == StudyDirection.MAXIMIZE for direction in study.directions]
        outlook = Outlook(self._knowledge, maximise, history, pool, self._budget, expected)
        best = [params for params, is_on in zip(history.params, outlook.on_front.tolist(), strict=True) if is_on]
        near = [other for params in best for other in neighbours(self._space, params, generator)]
        some = generator.permutation(len(near))[:NEIGHBOURS].tolist()
        pool = list((untried | self._untried([near[i] for i in some], tried)).values())
        return self._best(outlook, pool, tried, generator)

    def _best(
        self, outlook: Outlook, pool: list[Params], tried: set[Hashable], generator: np.random.Generator
    ) -> Params:
        """The candidate of the largest gain, after a few steps to better neighbours where the pool is not all."""
        params, gain = _first(pool, outlook)
        for _ in range(0 if self._candidates.is_whole else CLIMBS):
            near = list(self._untried(neighbours(self._space, params, generator), tried).values())
            if not near:
                break
            other, gain_there = _first(near, outlook)
            if gain_there <= gain:
                break
            params, gain = other, gain_there
        return params

    def _history(self, trials: Sequence[tuple[FrozenTrial, Params]], objectives: int) -> History:
        done = [(t, p) for t, p in trials if t.state == TrialState.COMPLETE and np.isfinite(t.values).all()]
        stopped = [t for t, _ in trials if t.state == TrialState.PRUNED]
        hints = [self._hints(t) for t in stopped] if self._hints is not None else []
        values = [t.values for t, _ in done]
        return History(
            params=[params for _, params in done],
            values=np.array(values, dtype=float).reshape(len(done), objectives),
            feasible=np.array([self._keeps_constraints(t, p) for t, p in done], dtype=bool),
            running=[params for t, params in trials if t.state == TrialState.RUNNING],
            hints=[hint for hint in hints if hint is not None],
        )

    def _keeps_constraints(self, trial: FrozenTrial, params: Params) -> bool:
        return self._knowledge.facts(params).feasible and self._is_feasible(trial)

    def _params(self, trial: FrozenTrial) -> Params | None:
        """What the trial tries, as far as the space goes; None where that is not settled, or not of the space."""
        if trial.state == TrialState.WAITING:
            return None
        if trial.params.keys() >= self._space.keys():
            return trial.params
        return self._proposed.get(trial.number) if trial.state == TrialState.RUNNING else None

    def _check(self, params: Params, objectives: int) -> None:
        given = len(self._knowledge.facts(params).known)
        if given != objectives:
            raise ValueError(f"known: must give an entry for each of the study's {objectives} objectives, not {given}")

    def _untried(self, candidates: Iterable[Params], tried: set[Hashable]) -> dict[Hashable, Params]:
        """Feasible ones that nobody has tried, by their keys."""
        found: dict[Hashable, Params] = {}
        for params in candidates:
            facts = self._knowledge.facts(params)
            if facts.feasible and facts.key not in tried:
                found.setdefault(facts.key, params)
        return found

    def _farthest(self, pool: list[Params], others: Sequence[Params], generator: np.random.Generator) -> Params:
        """Of some candidates the one that is least like any that was tried."""
        some: list[Params] = [pool[i] for i in generator.permutation(len(pool))[:256].tolist()]
        if not others:
            return some[0]
        x = self._knowledge.inputs([*some, *others], positive(self._knowledge.costs([*some, *others])))
        x = (x - x.min(axis=0)) / np.maximum(np.ptp(x, axis=0), 1e-12)
        here, there = x[: len(some)], x[len(some) :]
        nearest = ((here[:, None] - there[None]) ** 2).sum(axis=2).min(axis=1)
        return some[int(nearest.argmax())]

    def _searched(self, proposal: int, tried: set[Hashable]) -> dict[Hashable, Params]:
        """Where no candidate at hand will do: by steps to the neighbour that breaks the constraints least."""
        if self._candidates.is_whole:
            return {}
        generator = np.random.default_rng((self._seed, proposal, 1))
        starts = sorted(self._candidates.at(proposal), key=lambda params: self._knowledge.facts(params).excess)
        for params in starts[:STARTS]:
            for _ in range(STEPS):
                near = list(neighbours(self._space, params, generator))
                if untried := self._untried(near, tried):
                    return untried
                params, before = min(near, key=lambda p: self._knowledge.facts(p).excess), params
                if self._knowledge.facts(params).excess > self._knowledge.facts(before).excess:
                    break
        return {}

    def _again(self, tried: Sequence[Params], generator: np.random.Generator) -> Params:
        """No untried candidate was found, so a feasible one once more."""
        pool = [params for params in tried if self._knowledge.facts(params).feasible]
        if not pool:
            raise NoCandidate("constraints: no candidate was found that keeps them")
        return pool[int(generator.integers(len(pool)))]


def _first(candidates: list[Params], outlook: Outlook) -> tuple[Params, float]:
    gains = outlook.gains(candidates)
    place = int(gains.argmax())
    return candidates[place], float(gains[place])
