"""What a proposal goes by: the best network within each budget so far, and a surrogate for what must be learned.

Everything is in losses: minimised, in logarithms where an objective is a positive cost, and scaled so that 0..1 spans
what is known or has been seen.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from objectives.base import log_cost
from objectives.pareto import pareto_mask

from ..candidates import Params
from ..history import History
from ..knowledge import Knowledge, positive
from ..models.bend import Bend
from ..models.surrogate import Prediction, Surrogate
from .gain_over_budgets import BUDGETS, FINE_BUDGETS, Budgets, fits_within
from .prior_expectations import Expected

Array = NDArray[np.float64]

LEAST_SHARE = 1 / 10
"""Share of a limit below which saving more of the cost counts no further."""
LEAST_WITHOUT_LIMIT = 1 / 1000
"""The same, as a share of the largest cost, where there is no limit."""


class Outlook:
    """The expected gain of candidates, as things stand at one proposal.

    One objective is to be gained: the first that must be learned, one that is maximised before others. The others are
    what a budget allows.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        maximise: Sequence[bool],
        history: History,
        pool: Sequence[Params],
        budget: Sequence[float | None] | None,
        expected: Expected,
    ) -> None:
        """`pool` and the history together say what is the best and the worst of an objective or a feature.

        `budget` has an entry for each objective: what is allowed of a cost, and what the objective to be gained must
        exceed to count. With None a cost has no limit, so that its budgets span all that is known of it, and what is
        gained counts from the worst on. `expected` is of the objective to be gained.
        """
        self._knowledge, self._expected = knowledge, expected
        known = knowledge.costs([*history.params, *pool])
        self._is_known = ~np.isnan(known[0])
        self._scale = _Scale(np.asarray(maximise), known, history.values)
        losses = self._scale.losses(history.values)
        self.on_front = pareto_mask(losses, history.feasible.tolist())
        """Which trials of the history are on the front."""
        given = [np.nan if entry is None else entry for entry in budget or [None] * len(maximise)]
        allowed = self._scale.losses(np.array([given], dtype=float))[0]
        hinted = [hint.params for hint in history.hints]
        raw = knowledge.inputs([*history.params, *hinted, *history.running, *pool], self._scale.in_logs)
        self._low, self._span = raw.min(axis=0), np.ptp(raw, axis=0)
        self._span[self._span == 0] = 1.0
        learned = np.flatnonzero(~self._is_known).tolist()
        self._gained = min(learned, key=lambda objective: (not maximise[objective], objective), default=0)
        self._costs = [objective for objective in range(len(maximise)) if objective != self._gained]
        most = np.nan_to_num(allowed, nan=1.0)
        self._sign = -1.0 if maximise[self._gained] else 1.0
        believed = self._known_losses(history.running)
        self._surrogates: dict[int, Surrogate] = {}
        """Of each objective to be learned, for its bent losses."""
        self._bends: dict[int, Bend] = {}
        for objective in learned:
            bend, surrogate = self._fitted(objective, losses[:, objective], history, float(most[objective]))
            if history.running:
                x, trend = self._inputs(history.running), self._expectations(objective, history.running)
                believed[:, objective] = bend.unbend(surrogate.mean(x, trend))
                surrogate = surrogate.believing(x, trend)
            self._bends[objective], self._surrogates[objective] = bend, surrogate
        full = np.nan_to_num(allowed, nan=np.inf)
        least = self._scale.least(most, np.where(np.isnan(allowed), LEAST_WITHOUT_LIMIT, LEAST_SHARE))
        is_fine = expected.tells_apart and not np.isfinite(full[self._costs]).any()
        count = FINE_BUDGETS.get(len(self._costs), BUDGETS) if is_fine else BUDGETS
        self._budgets = Budgets.between(least[self._costs], most[self._costs], full[self._costs], count)
        found = np.vstack([losses[self.on_front], believed])
        self._best = self._budgets.best_within(found[:, self._gained], found[:, self._costs], most[self._gained])

    def gains(self, candidates: Sequence[Params]) -> Array:
        """Expected gain of each candidate over the budgets, as a share of the span of what is gained, (n,)."""
        mean = self._known_losses(candidates)
        deviation = np.zeros_like(mean)
        x = self._inputs(candidates)
        predictions = [Prediction(1.0, mean[:, self._gained], deviation[:, self._gained])]
        for objective, surrogate in self._surrogates.items():
            found = surrogate.predictions(x, self._expectations(objective, candidates))
            if objective == self._gained:
                predictions = found
            else:
                ((_, mean[:, objective], deviation[:, objective]),) = found
        fits = [
            fits_within(level, mean[:, cost], deviation[:, cost], self._bends.get(cost))
            for cost, level in zip(self._costs, self._budgets.levels, strict=True)
        ]
        return self._budgets.expected_gain(predictions, fits, self._best, self._bends.get(self._gained))

    def _expectations(self, objective: int, candidates: Sequence[Params]) -> Array | None:
        """What was expected of candidates, as losses; None for another objective than the one to be gained."""
        expected = self._expected.of(candidates) if objective == self._gained else None
        return None if expected is None else self._sign * expected

    def _fitted(self, objective: int, losses: Array, history: History, most: float) -> tuple[Bend, Surrogate]:
        params = history.params
        x, y, spread = self._inputs(history.params), losses, np.zeros(len(losses))
        hints = [hint for hint in history.hints if np.isfinite(hint.values[objective])]
        if hints:
            values, deviations = np.full((2, len(hints), len(self._is_known)), np.nan)
            values[:, objective] = [hint.values[objective] for hint in hints]
            deviations[:, objective] = [hint.deviations[objective] for hint in hints]
            here, beside = self._scale.losses(values), self._scale.losses(values + deviations)
            params = [*params, *(hint.params for hint in hints)]
            x = np.vstack([x, self._inputs([hint.params for hint in hints])])
            y = np.concatenate([y, here[:, objective]])
            spread = np.concatenate([spread, np.abs(beside - here)[:, objective]])
        bend = Bend(y if len(y) else np.array([most]))
        expected = self._expectations(objective, params)
        highest = max(self._sign * self._expected.lowest, self._sign * self._expected.highest)
        worst = highest, float(bend.bend(np.array([most]))[0])
        return bend, Surrogate(x, bend.bend(y), bend.bend_deviations(y, spread) ** 2, expected, worst)

    def _inputs(self, candidates: Sequence[Params]) -> Array:
        if not candidates:
            return np.empty((0, len(self._low)))
        return np.asarray((self._knowledge.inputs(candidates, self._scale.in_logs) - self._low) / self._span)

    def _known_losses(self, candidates: Sequence[Params]) -> Array:
        if not candidates:
            return np.empty((0, len(self._is_known)))
        return self._scale.losses(self._knowledge.costs(candidates))


class _Scale:
    """Values in the study's units -> losses."""

    def __init__(self, maximise: NDArray[np.bool_], known: Array, seen: Array) -> None:
        everything = np.vstack([known, seen])
        self._sign = np.where(maximise, -1.0, 1.0)
        self.in_logs = ~maximise & positive(everything)
        """Objectives that are compared in logarithms."""
        self._low, self._span = np.zeros(len(maximise)), np.ones(len(maximise))
        losses = self.losses(everything)
        given = ~np.isnan(losses).all(axis=0)  # before the first trial nothing is known of what must be learned
        self._low[given] = np.nanmin(losses[:, given], axis=0)
        self._span[given] = np.nanmax(losses[:, given], axis=0) - self._low[given]
        self._span[self._span == 0] = 1.0

    def least(self, most: Array, shares: Array) -> Array:
        """The losses at `shares` of the costs whose losses are `most`, (objectives,); at least the lowest known."""
        saved = np.where(self.in_logs, np.log10(shares) / self._span, -np.inf)
        return np.asarray(np.minimum(np.maximum(most + saved, 0.0), most))

    def losses(self, values: Array) -> Array:
        """(n, objectives) -> the same shape; NaN stays."""
        signed = self._sign * values
        return np.asarray((np.where(self.in_logs, log_cost(signed), signed) - self._low) / self._span)
