"""Stand-ins for an Optuna trial, which answer what `SearchSpace.sample` asks."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Trial(Protocol):
    """The part of an Optuna trial that `SearchSpace.sample` needs."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """Return a whole number.

        Parameters
        ----------
        name
            Name of the parameter.
        low
            Least value.
        high
            Largest value, included.
        step
            Distance between two values.
        """
        ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of several values.

        Parameters
        ----------
        name
            Name of the parameter.
        choices
            The values.
        """
        ...


class FixedTrial:
    """Answers with given parameters; what `sample` makes of them is their network."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        return int(self.params[name])

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self.params[name]


class RandomTrial:
    """Answers at random."""

    def __init__(self, random_state: random.Random) -> None:
        self._random = random_state

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        return self._random.randrange(low, high + 1, step)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._random.choice(choices)


class RecordingTrial:
    """Notes what it is asked, and answers with the first value."""

    def __init__(self) -> None:
        self.questions: dict[str, range | tuple[Any, ...]] = {}
        """Parameter -> its values, in the order in which they were asked; whole numbers as a range."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        self.questions[name] = range(low, high + 1, step)
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.questions[name] = tuple(choices)
        return choices[0]
