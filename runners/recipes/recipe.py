"""What turns an architecture into the network that ships? Steps in order: train, prune, quantize. Plain values.

No torch here: the command line plans before it knows whether there is anything to do.
"""

from dataclasses import replace
from typing import Any, Literal

from pydantic import TypeAdapter

from search_space.architectures import architecture_from_dict
from search_space.errors import UserError
from search_space.pruning.pruned import PrunedSpec
from search_space.references import ReferenceSpec
from search_space.settings import read_settings, settings
from search_space.spec import Architecture, ArchSpec, canonical_key

from ..config import CONVENTIONS, DataConfig, TrainingConfig
from .plan import planned_steps
from .steps import Prune, Quantize, Step, Train


@settings
class TeacherConfig:
    """From whom the network learns, and how much."""

    name: str
    spec: dict[str, Any]
    weights: str
    """Path of the teacher's weights."""
    sha256: str
    """Of the weights."""
    temperature: float = 4.0
    hard_weight: float = 0.3
    """Weight of the labels' loss; the rest is the teacher's."""

    def __post_init__(self) -> None:
        check_distillation(self.temperature, self.hard_weight)


def check_distillation(temperature: float, hard_weight: float) -> None:
    """Raise UserError for what no teacher can teach with."""
    if not 0.1 <= temperature <= 100:
        raise UserError(f"temperature: must be from 0.1 to 100, not {temperature:g}")
    if not 0 <= hard_weight <= 1:
        raise UserError(f"hard weight: must be from 0 to 1, not {hard_weight:g}")


@settings
class Recipe:
    """All that determines a final network: to the last digit on one thread of one kind of processor.

    Elsewhere sums are added in another order, and a training ends with other weights of about the same accuracy. A
    pruning target in milliseconds depends on a timing as well, which decides how many channels go.
    """

    spec: dict[str, Any]
    """Of the network at the start."""
    start: str = ""
    """sha256 of the weights at the start; empty for random ones."""
    data: DataConfig
    fingerprint: str
    """Of the data set."""
    training: TrainingConfig
    """Its epochs are those of the steps."""
    steps: tuple[Step, ...]
    teacher: TeacherConfig | None = None
    average: float = 0.998
    """Decay of the moving average of the weights; 0 means none."""
    seed: int = 0
    importance: Literal["taylor", "magnitude"] = "taylor"
    channel_multiple: int = 8
    """Pruning leaves layers with multiples of so many channels."""

    def __post_init__(self) -> None:
        if self.channel_multiple < 1:
            raise UserError(f"channel multiple: must be at least 1, not {self.channel_multiple}")
        if not 0 <= self.average < 1:
            raise UserError(f"average: must be from 0 to 1, 1 excluded, not {self.average:g}")
        if not self.steps:
            raise UserError("nothing to do: give epochs to train, channels to prune, or bits")

    @property
    def architecture(self) -> Architecture:
        return architecture_from_dict(self.spec)

    @property
    def epochs(self) -> int:
        """Of all steps."""
        return sum(step.epochs for step in self.steps if not isinstance(step, Prune))

    @property
    def bits(self) -> tuple[int, ...] | None:
        """At which the network ends; None where no step changes them."""
        return next((step.bits for step in self.steps if isinstance(step, Quantize)), None)

    @property
    def key(self) -> str:
        """The same for the same recipe, wherever the data and the teacher's weights lie."""
        teacher = None if self.teacher is None else replace(self.teacher, weights="", name="")
        recipe = replace(self, data=replace(self.data, path=None), teacher=teacher).to_dict()
        return canonical_key({**recipe, "conventions": CONVENTIONS})

    def without_teacher(self) -> "Recipe":
        """The same training from the labels alone."""
        return replace(self, teacher=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        plain: dict[str, Any] = _RECIPE.dump_python(self, mode="json")
        return plain

    @classmethod
    def from_dict(cls, data: dict[str, Any], source: str) -> "Recipe":
        """The inverse; raises UserError that names `source`."""
        kinds: dict[str, type[Step]] = {"train": Train, "prune": Prune, "quantize": Quantize}
        try:
            steps = tuple(read_settings(kinds[step["kind"]], step, ("steps",)) for step in data["steps"])
            return read_settings(cls, {**data, "steps": steps})
        except UserError as error:
            raise UserError(f"{source}: {error}") from None
        except (KeyError, TypeError) as error:
            raise UserError(f"{source}: steps: {error}") from None


_RECIPE: TypeAdapter[Recipe] = TypeAdapter(Recipe)


def trained_recipe(
    architecture: Architecture,
    data: DataConfig,
    training: TrainingConfig,
    *,
    fingerprint: str,
    seed: int,
    average: float = 0.998,
) -> Recipe:
    """Training for the epochs of `training` at the network's own bits, the last part of them quantized below 8.

    It is what a study does with a candidate, but for the average of the weights (0: none).
    """
    bits = bits_of(architecture)
    qat_epochs = training.qat_epochs if min(bits) < 8 else 0
    in_float = replace(training, epochs=training.epochs - qat_epochs)
    steps = planned_steps(in_float, from_scratch=True, bits=bits, qat_epochs=qat_epochs)
    return Recipe(
        spec=architecture.to_dict(),
        data=data,
        fingerprint=fingerprint,
        training=training,
        steps=steps,
        average=average,
        seed=seed,
    )


def bits_of(architecture: Architecture) -> tuple[int, ...]:
    """One number where the network has one, else those of its stages."""
    designed = architecture.base if isinstance(architecture, PrunedSpec) else architecture
    assert isinstance(designed, ArchSpec | ReferenceSpec)
    bits = designed.bits if isinstance(designed.bits, tuple) else (designed.bits,)
    return bits[:1] if len(set(bits)) == 1 else bits
