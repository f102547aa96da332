"""What earlier trainings say about networks that have not been trained: features of a graph, a model, a file."""

from functools import cache
from pathlib import Path

from ..storage.study_files import PRIOR as PRIOR
from ..storage.study_files import StorageError
from .model import FEWEST as FEWEST
from .model import Prior as Prior
from .model import Trainings as Trainings

SHIPPED_FILE = Path(__file__).with_name("shipped.npz")


@cache
def shipped_prior() -> Prior:
    """Return the prior that the project ships (benchmarks/prior_fit.py); raises StorageError where it is damaged."""
    return read_prior(SHIPPED_FILE)


def read_prior(path: Path) -> Prior:
    """Read a prior's file; raises StorageError where it is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    return Prior.from_bytes(content, path)
