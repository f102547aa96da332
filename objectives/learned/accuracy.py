"""Share of validation images classified right, at the candidate's bits."""

from ..base import OBJECTIVES, Objective

OBJECTIVES.add(
    "accuracy", Objective(name="accuracy", label="Accuracy", unit="fraction", direction="maximize", source="trained")
)
