"""Which networks have been trained for good already? They are kept by recipe, wherever they were asked for.

No torch here: a study's page looks for its references among them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets.cache import cache_root
from ..recipes.recipe import Recipe
from ..storage.study_files import WEIGHTS

RESULT = "result.json"


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A network of the cache."""

    directory: Path
    spec: dict[str, Any]
    accuracy: float
    """On the validation images, at its bits."""
    float_accuracy: float
    """The same before quantization; equal for a float network."""
    seconds: float
    """Of training."""
    epochs: int

    @property
    def weights(self) -> Path:
        return self.directory / WEIGHTS


def trained(recipe: Recipe) -> Trained | None:
    """The network of a recipe, if it is there and can be read."""
    try:
        directory = trained_directory(recipe)
        found = json.loads((directory / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # StorageError among them, of a user without a home directory
        return None
    fields = ("spec", "accuracy", "float_accuracy", "seconds", "epochs")
    if not isinstance(found, dict) or not found.keys() >= set(fields) or not (directory / WEIGHTS).exists():
        return None
    return Trained(directory=directory, **{name: found[name] for name in fields})


def trained_directory(recipe: Recipe) -> Path:
    """Where the network of a recipe is kept."""
    return cache_root() / "networks" / recipe.key
