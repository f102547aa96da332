"""Between which figures does a study's hypervolume count? A box that is fixed and stated before the first trial."""

import random
from collections.abc import Sequence
from typing import Any

from search_space.space import SearchSpace

from .base import Objective, known_costs
from .constraints import Limit

SAMPLES = 500


class RandomTrial:
    """Answers a space's questions at random; what `SearchSpace.sample` needs of an Optuna trial."""

    def __init__(self, random_state: random.Random) -> None:
        self._random = random_state

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        return self._random.randrange(low, high + 1, step)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._random.choice(choices)


def hypervolume_box(
    space: SearchSpace, objectives: Sequence[Objective], limits: Sequence[Limit]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Corners (worst, best) of the box, a figure for each objective in its own unit.

    A cost spans what 500 networks of the space cost, drawn with a fixed seed, and a limit on it is the worst that
    counts. Accuracy spans chance to 1, and a limit on it likewise replaces chance.
    """
    generator = random.Random(0)
    samples = [known_costs(space.sample(RandomTrial(generator)).build_graph()) for _ in range(SAMPLES)]
    worst, best = [], []
    for objective in objectives:
        if objective.known:
            figures = [sample[objective.name] for sample in samples]
            low, high = (min(figures), max(figures))
        else:
            low, high = 1.0, 1.0 / space.num_classes
        for limit in limits:
            if limit.objective == objective.name and limit.kind == ("min" if objective.maximize else "max"):
                high = limit.value
        # A limit below every sample, or a space of one cost, must still leave a box.
        worst.append(high)
        best.append(low if objective.maximize or low < high else high / 10)
    return tuple(worst), tuple(best)
