"""A recipe from the first epoch to the integers, on real images: interrupted, resumed, with and without a teacher."""

import hashlib
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from objectives import known_costs
from runners.config import DataConfig, TrainingConfig
from runners.datasets import load_dataset
from runners.network_weights import load_network, weights_of
from runners.quantization.dequantize import refloated
from runners.quantization.simulation import QuantizedNetwork
from runners.recipes.pipeline import Interrupted, Pipeline
from runners.recipes.plan import planned_steps
from runners.recipes.recipe import Recipe, TeacherConfig
from runners.recipes.results import Final
from runners.recipes.run_state import CHECKPOINT
from runners.recipes.steps import Prune, Quantize, Step, Train
from runners.recipes.teacher import read_teacher
from runners.training.batches import DeviceImages
from runners.training.distillation import distillation
from runners.training.load_images import load_images
from runners.training.loop import measure_accuracy
from runners.training.weight_average import WeightAverage
from search_space import ArchSpec, StageSpec, UserError, build_network
from search_space.spec import Architecture

pytestmark = pytest.mark.numbers

DATA = DataConfig(name="digits")
TRAINING = TrainingConfig(epochs=2, images=600, batch_size=32, flip=False, precision="float32")


def spec(block: str = "basic", se: bool = False, width: int = 8, bits: int = 32) -> ArchSpec:
    stages = tuple(
        StageSpec(block=block, se=se, num_blocks=1, width=width * 2**i, stride=1 + (i > 0), bits=bits) for i in range(3)
    )
    return ArchSpec(stem="3x3", stem_width=width, stages=stages, in_channels=1, resolution=8)


@cache
def fingerprint() -> str:
    return load_dataset("digits").fingerprint


def recipe(steps: tuple[Step, ...], architecture: Architecture | None = None, **changes: object) -> Recipe:
    architecture = architecture or spec()
    made = Recipe(
        spec=architecture.to_dict(),
        data=DATA,
        fingerprint=fingerprint(),
        training=TRAINING,
        steps=steps,
        channel_multiple=1,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def run(recipe: Recipe, directory: Path, **options: object) -> Final:
    return Pipeline(recipe, directory, **options).run()  # type: ignore[arg-type]


MACS = known_costs(spec().build_graph())["macs"]
WHOLE = planned_steps(
    TRAINING,
    from_scratch=True,
    prune_to=(Prune(at_most=0.8 * MACS), Prune(at_most=0.6 * MACS)),
    fine_tune_epochs=2,
    bits=(4,),
    qat_epochs=1,
)


def test_a_plan_puts_the_steps_in_order() -> None:
    kinds = [(step.kind, step.name) for step in WHOLE]
    assert kinds == [
        ("train", "train"),
        ("prune", "prune 1"),
        ("train", "fine-tune 1"),
        ("prune", "prune 2"),
        ("train", "fine-tune 2"),
        ("quantize", "quantize"),
    ]
    assert sum(step.epochs for step in WHOLE if isinstance(step, Train | Quantize)) == 2 + 2 + 1
    stages = tuple(Prune(at_most=1.0, stage=number) for number in (1, 2, 3))
    steps = planned_steps(TRAINING, from_scratch=False, prune_to=stages, fine_tune_epochs=3)
    assert [step.kind for step in steps] == ["prune", "prune", "prune", "train"]
    with pytest.raises(UserError, match="nothing to do"):
        recipe(planned_steps(TRAINING, from_scratch=False))


def test_a_recipe_goes_to_json_and_back_and_its_key_knows_no_paths() -> None:
    teacher = TeacherConfig(name="t", spec=spec().to_dict(), weights="/a", sha256="0")
    whole = recipe(WHOLE, teacher=teacher)
    assert Recipe.from_dict(whole.to_dict(), "x") == whole
    elsewhere = replace(whole, data=replace(DATA, path=Path("/b")), teacher=replace(teacher, weights="/c"))
    assert elsewhere.key == whole.key != whole.without_teacher().key
    with pytest.raises(UserError, match=r"x: steps"):
        Recipe.from_dict({**whole.to_dict(), "steps": [{"kind": "train", "epochs": 1, "peak": 1, "more": 1}]}, "x")


@pytest.mark.slow
def test_the_whole_chain(tmp_path: Path) -> None:
    final = run(recipe(WHOLE), tmp_path, measure=lambda graph: float(len(graph.nodes)))
    names = ["start", *(step.name for step in WHOLE)]
    assert [result.name for result in final.steps] == names
    by_name = {result.name: result for result in final.steps}
    assert math.isnan(by_name["start"].accuracy) and by_name["start"].costs["macs"] == MACS
    assert by_name["train"].accuracy > 0.5
    for name, share in (("prune 1", 0.8), ("prune 2", 0.6)):
        assert 0.95 * share * MACS < by_name[name].costs["macs"] <= share * MACS
        assert by_name[name].costs["params"] < by_name["train"].costs["params"]
    assert by_name["fine-tune 2"].accuracy > 0.6
    assert by_name["quantize"].costs["packed_bytes"] < by_name["fine-tune 2"].costs["packed_bytes"] / 3
    assert all(result.latency_ms for result in final.steps)
    assert [point.epoch for point in final.curve] == [1, 2, 3, 4, 5]
    assert isinstance(final.network, QuantizedNetwork)
    again = load_network(final.architecture, weights_of(final.network))
    assert measure_accuracy(again, final.validation) == by_name["quantize"].accuracy > 0.5


@pytest.mark.slow
def test_what_is_interrupted_after_any_epoch_ends_with_the_same_digits(tmp_path: Path) -> None:
    whole = recipe(WHOLE, teacher=teacher_in(tmp_path))
    expected = run(whole, tmp_path)
    (tmp_path / CHECKPOINT).unlink()
    for _ in range(whole.epochs):
        with pytest.raises(Interrupted):
            run(whole, tmp_path, should_stop=lambda: True)
    found = run(whole, tmp_path)
    assert weights_of(found.network) == weights_of(expected.network)
    assert found.architecture == expected.architecture
    assert [p.metric for p in found.curve] == [p.metric for p in expected.curve]
    assert [r.accuracy for r in found.steps][1:] == [r.accuracy for r in expected.steps][1:]
    with pytest.raises(UserError, match="of another recipe"):
        run(replace(whole, seed=1), tmp_path)


def teacher_in(directory: Path) -> TeacherConfig:
    """A wider network with random weights."""
    torch.manual_seed(3)
    architecture = spec(width=16)
    weights = weights_of(build_network(architecture))
    (directory / "teacher.safetensors").write_bytes(weights)
    return TeacherConfig(
        name="teacher",
        spec=architecture.to_dict(),
        weights=str(directory / "teacher.safetensors"),
        sha256=hashlib.sha256(weights).hexdigest(),
    )


def test_a_teacher_changes_the_training(tmp_path: Path) -> None:
    training = replace(TRAINING, epochs=1, images=200)
    made = recipe(planned_steps(training, from_scratch=True), training=training)
    alone = run(made, tmp_path)
    (tmp_path / CHECKPOINT).unlink()
    taught = run(replace(made, teacher=teacher_in(tmp_path)), tmp_path)
    assert weights_of(alone.network) != weights_of(taught.network)


def test_the_loss_of_a_teacher_is_hintons() -> None:
    torch.manual_seed(0)
    teacher = build_network(spec()).eval()
    images, logits = torch.randn(6, 1, 8, 8), torch.randn(6, 10)
    labels = torch.arange(6)
    loss = distillation(teacher, temperature=3.0, hard_weight=0.25, label_smoothing=0.1)
    with torch.no_grad():
        p = (teacher(images) / 3).softmax(1)
    q = (logits / 3).softmax(1)
    soft = 9 * (p * (p / q).log()).sum(1).mean()
    hard = F.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(loss(images, logits, labels), 0.25 * hard + 0.75 * soft)
    own = teacher(images)
    alike = distillation(teacher, temperature=3.0, hard_weight=0.0, label_smoothing=0.0)
    assert float(alike(images, own, labels).detach()) == pytest.approx(0, abs=1e-5)


def test_the_average_follows_the_weights() -> None:
    network = build_network(spec())
    average = WeightAverage(network, 0.9)
    weight, averaged = next(network.parameters()), next(average.network.parameters())
    values, expected = [], float(averaged.flatten()[0])
    for step in range(1, 31):
        with torch.no_grad():
            weight.fill_(step)
        average.update()
        decay = min(0.9, step / (step + 9))
        expected = decay * expected + (1 - decay) * step
        values.append(float(averaged.flatten()[0]))
        assert values[-1] == pytest.approx(expected, rel=1e-5)
    assert not averaged.requires_grad and weight.requires_grad


# --- networks that were quantized before ----------------------------------------------------------


def images() -> DeviceImages:
    return load_images(DATA, TRAINING, 8, torch.device("cpu"))[0]


@pytest.mark.parametrize("se", [False, True])
@pytest.mark.parametrize("block", ["basic", "bottleneck", "depthwise", "ghost"])
def test_a_quantized_network_goes_back_to_float(block: str, se: bool) -> None:
    torch.manual_seed(0)
    network = build_network(spec(block, se, width=16, bits=8))
    network.train()(images().normalised(slice(0, 256)))
    quantized = QuantizedNetwork(network.eval())
    quantized.calibrate(images())
    quantized.finish()
    x = images().normalised(slice(0, 100))
    back = refloated(quantized, images()).eval()
    with torch.no_grad():
        expected, found = quantized(x), back(x)
        # In training the norms see about the statistics that they were given.
        trained = back.train()(images().normalised(slice(0, 512)))
        found_512 = back.eval()(images().normalised(slice(0, 512)))
    assert float((found - expected).abs().max()) < 0.1 * float(expected.std())
    assert float((trained - found_512).abs().mean()) < 0.1 * float(found_512.std())
    assert {node.bits for node in back.graph.nodes} == {32}


@pytest.mark.slow
def test_a_pipeline_goes_on_from_a_quantized_network(tmp_path: Path) -> None:
    first = run(recipe(planned_steps(TRAINING, from_scratch=True, bits=(8,))), tmp_path)
    (tmp_path / CHECKPOINT).unlink()
    weights = weights_of(first.network)
    macs = first.steps[-1].costs["macs"]
    steps = planned_steps(
        TRAINING, from_scratch=False, prune_to=(Prune(at_most=0.7 * macs),), fine_tune_epochs=1, bits=(8,)
    )
    second = run(
        recipe(steps, first.architecture, start=hashlib.sha256(weights).hexdigest()), tmp_path, weights=weights
    )
    assert second.steps[0].accuracy == first.steps[-1].accuracy
    assert second.steps[0].costs == first.steps[-1].costs
    assert second.steps[-1].costs["macs"] <= 0.7 * macs
    assert second.steps[-1].accuracy > second.steps[0].accuracy - 0.15


def test_other_images_than_the_recipes_are_refused(tmp_path: Path) -> None:
    steps = planned_steps(TRAINING, from_scratch=True)
    with pytest.raises(UserError, match=f"digits: these are other images .*{fingerprint()}.* than 0123456789ab"):
        Pipeline(recipe(steps, fingerprint="0123456789ab"), tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_teacher_that_was_trained_on_is_no_longer_the_recipes(tmp_path: Path) -> None:
    weights = weights_of(build_network(spec()))
    path = tmp_path / "teacher.safetensors"
    path.write_bytes(weights)
    teacher = TeacherConfig(
        name="t", spec=spec().to_dict(), weights=str(path), sha256=hashlib.sha256(weights).hexdigest()
    )
    assert read_teacher(teacher) == weights
    path.write_bytes(weights_of(build_network(spec())))
    with pytest.raises(UserError, match=r"teacher t: .* has changed since the job began"):
        read_teacher(teacher)
    path.unlink()
    with pytest.raises(UserError, match=r"teacher t: .*: No such file or directory"):
        read_teacher(teacher)


def test_networks_of_other_conventions_are_other_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the cache would hand out references whose images were normalised otherwise."""
    one = recipe(WHOLE).key
    assert recipe(WHOLE).key == one
    monkeypatch.setattr("runners.recipes.recipe.CONVENTIONS", 99)
    assert recipe(WHOLE).key != one
