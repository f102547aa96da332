"""How few trials could a sampler need on this project's own table?

Two that know more than any search can, against what TPE has after 200 trials and GP after 100 (search_efficiency.py):
an oracle knows every accuracy and takes the network that adds most; an informed surrogate, the Gaussian process of
FrontSampler, has learned from every other training of the table, so that it lacks only what a training alone tells. Its
predictions come from leaving out (Rasmussen & Williams 2006, ch. 5.4.2) a training's two networks, float and 8 bits,
or the one where the other has been tried; hyperparameters are fitted to all.

    python benchmarks/search_bound.py --save
"""

import numpy as np
from numpy.typing import NDArray
from record import arguments, report, table
from search_efficiency import GOALS, MARKS, TRIALS, kept_runs, trials_to_reach
from search_tables import TABLES, Table

from objectives.base import log_cost
from objectives.pareto import pareto_mask
from runners.samplers.bend import Bend
from runners.samplers.gaussian_process import covariance, fit
from runners.samplers.improvement import expected_improvement, undominated_boxes
from runners.samplers.knowledge import Knowledge

NAMES = ("resnets-macs", "resnets-three")
Array = NDArray[np.float64]


def main() -> None:
    args = arguments(__doc__ or "").parse_args()
    text = "\n\n".join(summary(name, TABLES[name]()) for name in NAMES)
    report("search-bound", "python benchmarks/search_bound.py --save", text, save=args.save)


def summary(name: str, problem: Table) -> str:
    """A Markdown table of who needs how many trials."""
    runs = {
        sampler: np.array([shares for (t, s, _), (shares, _) in kept_runs().items() if (t, s) == (name, sampler)])
        for sampler in ("front", "tpe", "gp")
    }
    surrogate = Informed(problem)
    shares = {
        "oracle": np.array([Oracle(problem).search(problem)]),
        "informed surrogate": np.array([surrogate.search(problem)]),
        "front": runs["front"],
    }
    rows = []
    for who, found in shares.items():
        cells = [f"{100 * found[:, mark - 1].mean():.1f}" for mark in MARKS]
        needed = [trials_to_reach(found, runs[other][:, at - 1].mean()) for other, at in GOALS.values()]
        rows.append([who, *cells, *needed])
    heads = ["who", *(f"{mark} trials, %" for mark in MARKS), *(f"trials for {goal}" for goal in GOALS)]
    error = f"The informed surrogate is off by {surrogate.error:.2f} points of accuracy (root mean square)."
    accuracies = np.sort(problem.accuracy[pareto_mask(surrogate.losses, [True] * len(problem.accuracy))])
    apart = f"Accuracies on the front are {100 * np.median(np.diff(accuracies)):.2f} points apart (median)."
    return f"## {problem.name}\n\n{table(heads, rows)}\n\n{error} {apart}"


class Oracle:
    """Knows everything."""

    def __init__(self, problem: Table) -> None:
        losses = np.column_stack([-problem.accuracy, log_cost(problem.costs)])
        self.low, self.span = losses.min(axis=0), np.ptp(losses, axis=0)
        self.losses = (losses - self.low) / self.span
        """(networks, objectives) in 0..1, accuracy first."""
        self.bends: dict[int, Bend] = {}

    def search(self, problem: Table) -> Array:
        """The share of the hypervolume after each trial, each of the largest expected gain."""
        tried: list[int] = []
        shares = np.empty(TRIALS["front"])
        for trial in range(len(shares)):
            boxes = undominated_boxes(self.losses[tried], np.ones(self.losses.shape[1]))
            gains = expected_improvement(*self.expected(tried), boxes, self.bends)
            gains[tried] = -1.0
            tried.append(int(gains.argmax()))
            shares[trial] = problem.share(tried)
        return shares

    def expected(self, tried: list[int]) -> tuple[Array, Array]:
        """Mean and standard deviation of the losses, bent ones where there is a bend."""
        return self.losses.copy(), np.zeros_like(self.losses)


class Informed(Oracle):
    """Knows the costs, what it has tried and what every other training brought."""

    def __init__(self, problem: Table) -> None:
        super().__init__(problem)
        knowledge = Knowledge(problem.space, problem.known, None, problem.features, None)
        inputs = knowledge.inputs(problem.points, np.array([False] + [True] * problem.costs.shape[1]))
        x = (inputs - inputs.min(axis=0)) / np.maximum(np.ptp(inputs, axis=0), 1e-12)
        self.bends = {0: Bend(self.losses[:, 0])}
        bent = self.bends[0].bend(self.losses[:, 0])
        self._mean, self._scale = bent.mean(), bent.std()
        z = (bent - self._mean) / self._scale
        hyper = fit(x, z, np.zeros_like(z))
        self._inverse = np.linalg.inv(covariance(x, x, hyper) + hyper.noise * np.eye(len(z)))
        self._z, self._pull = z, self._inverse @ z
        self._twins = np.arange(len(z)).reshape(-1, len(problem.choices["bits"]))  # the table's last choice
        pairs = [self._left_out(pair) for pair in self._twins]
        self._blind = np.concatenate([m for m, _ in pairs]), np.concatenate([d for _, d in pairs])
        foreseen = self.bends[0].unbend(self._blind[0])
        self.error = 100 * float(np.sqrt(np.mean((foreseen - self.losses[:, 0]) ** 2))) * self.span[0]

    def expected(self, tried: list[int]) -> tuple[Array, Array]:
        mean, deviation = super().expected(tried)
        mean[:, 0], deviation[:, 0] = self._blind
        for network in tried:
            for twin in self._twins[network // self._twins.shape[1]]:
                if twin not in tried:
                    mean[twin, 0], deviation[twin, 0] = (part[0] for part in self._left_out(np.array([twin])))
        return mean, deviation

    def _left_out(self, networks: NDArray[np.intp]) -> tuple[Array, Array]:
        """Mean and standard deviation of what some networks would bring, from all others."""
        variance = np.linalg.inv(self._inverse[np.ix_(networks, networks)])
        mean = self._z[networks] - variance @ self._pull[networks]
        return mean * self._scale + self._mean, np.sqrt(np.diag(variance)) * self._scale


if __name__ == "__main__":
    main()
