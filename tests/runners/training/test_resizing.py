"""Which images does each epoch see? Small ones first, the network's own resolution at the end."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from runners.candidate import Candidate
from runners.config import DataConfig, TrainingConfig
from runners.early_stopping.rungs import rung_trainings
from runners.evaluate import evaluate
from runners.network_weights import load_network
from runners.quantization.simulation import QuantizedNetwork
from runners.recipes.pipeline import Interrupted, Pipeline
from runners.recipes.recipe import trained_recipe
from runners.recipes.run_state import CHECKPOINT
from runners.training.batches import DeviceImages
from runners.training.load_images import ImageCache, fingerprint_of, load_epoch_images, load_images
from runners.training.loop import Trainer, measure_accuracy
from runners.training.resizing import EpochImages, ImagePair
from runners.training.weight_average import estimate_norm_statistics
from search_space import ArchSpec, StageSpec, build_network

pytestmark = pytest.mark.numbers

CPU = torch.device("cpu")
DATA = DataConfig(name="digits", validation_fraction=0.2)
TRAINING = TrainingConfig(
    epochs=4, images=600, batch_size=32, learning_rate=0.1, resolution_scale=0.5, precision="float32", flip=False
)
SPEC = ArchSpec(
    stem="3x3",
    stem_width=8,
    in_channels=1,
    resolution=16,
    stages=tuple(StageSpec(block="basic", num_blocks=1, width=8 * 2**i, stride=min(i + 1, 2)) for i in range(3)),
)


def epoch_images(training: TrainingConfig = TRAINING) -> EpochImages:
    return load_epoch_images(DATA, training, SPEC.resolution, CPU, seed=3)


def statistics(network: nn.Module) -> list[Tensor]:
    return [buffer.clone() for name, buffer in network.named_buffers() if "running" in name]


@pytest.fixture
def trained_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The resolution of the batches of each epoch that is trained while the test runs."""
    seen = list[int]()
    original = Trainer.run_epoch

    def noted(self: Trainer) -> float:
        seen.append(next(iter(copy.deepcopy(self.batches)))[0].shape[-1])
        return original(self)

    monkeypatch.setattr(Trainer, "run_epoch", noted)
    return seen


@pytest.mark.parametrize(
    ("fraction", "bits", "expected"),
    [
        (0.0, 32, [8, 8, 8, 16]),
        (0.5, 8, [8, 8, 16, 16]),
        (1.0, 32, [16, 16, 16, 16]),
        (0.0, 4, [8, 8, 8, 16]),
        (0.75, 4, [8, 16, 16, 16]),
    ],
)
def test_the_last_epochs_train_at_the_networks_own_resolution(
    trained_at: list[int], fraction: float, bits: int, expected: list[int]
) -> None:
    training = replace(TRAINING, full_resolution_fraction=fraction, qat_fraction=0.5)
    spec = SPEC.with_bits(bits)
    evaluation = evaluate(Candidate(spec=spec.to_dict(), seed=1, data=DATA, training=training))
    assert trained_at == expected
    assert [point.quantized for point in evaluation.observation.curve] == [False, False] + [bits < 8] * 2


@pytest.mark.parametrize("bits", [32, 8, 4])
def test_accuracies_are_those_at_the_networks_own_resolution(bits: int) -> None:
    spec = SPEC.with_bits(bits)
    training = replace(TRAINING, full_resolution_fraction=0.5)
    evaluation = evaluate(Candidate(spec=spec.to_dict(), seed=1, data=DATA, training=training))
    observation = evaluation.observation
    network = load_network(spec, evaluation.weights).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    _, validation = load_images(DATA, training, 16, CPU)
    assert measure_accuracy(network, validation) == observation.accuracy > 0.3
    assert observation.float_accuracy > 0.4


def test_each_phase_ends_with_an_accuracy_at_the_full_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[int]()

    def noted(network: nn.Module, images: DeviceImages) -> float:
        seen.append(images.images.shape[-1])
        return measure_accuracy(network, images)

    monkeypatch.setattr("runners.training.phase.measure_accuracy", noted)
    training = replace(TRAINING, qat_fraction=0.5)  # two epochs in float, then two at 4 bits
    evaluate(Candidate(spec=SPEC.with_bits(4).to_dict(), seed=1, data=DATA, training=training))
    assert seen == [8, 16, 8, 16]


def test_quantization_takes_its_ranges_from_full_images(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[int]()
    original = QuantizedNetwork.calibrate

    def noted(self: QuantizedNetwork, images: DeviceImages) -> None:
        seen.append(images.images.shape[-1])
        original(self, images)

    monkeypatch.setattr(QuantizedNetwork, "calibrate", noted)
    for bits in (8, 4):
        evaluate(Candidate(spec=SPEC.with_bits(bits).to_dict(), seed=1, data=DATA, training=TRAINING))
    assert seen == [16, 16]


def test_both_sizes_are_of_the_same_images_in_the_same_stream_of_random_orders() -> None:
    images, same = epoch_images(), epoch_images()
    network = build_network(SPEC)
    labels = []
    for epoch in range(TRAINING.epochs):
        validation = images.start_epoch(epoch, network)
        assert validation.images.shape[-1] == images.batches.resolution == (16 if epoch == 3 else 8)
        assert torch.equal(validation.labels, images.full[1].labels)
        labels.append(torch.cat([batch for _, batch in images.batches]))
    # Orders go on where the smaller images ended: that of the last epoch is none of those before.
    assert not any(torch.equal(labels[3], labels[epoch]) for epoch in range(3))
    again = [torch.cat([batch for _, batch in same.batches]) for _ in range(3)]
    assert all(torch.equal(one, other) for one, other in zip(labels, again, strict=False))


def test_the_switch_gives_batch_norms_the_statistics_of_full_images() -> None:
    torch.manual_seed(0)
    images, network = epoch_images(), build_network(SPEC)
    for epoch in range(3):
        before = statistics(network)
        images.start_epoch(epoch, network)
        assert all(map(torch.equal, statistics(network), before))
    expected = copy.deepcopy(network)
    estimate_norm_statistics(expected, images.full[0])
    images.start_epoch(3, network)
    assert all(map(torch.equal, statistics(network), statistics(expected)))
    assert not any(map(torch.equal, statistics(network), before))


def test_after_reduced_images_a_network_is_measured_on_full_ones() -> None:
    torch.manual_seed(0)
    images, network = epoch_images(), build_network(SPEC)
    images.start_epoch(2, network)
    expected = copy.deepcopy(network)
    estimate_norm_statistics(expected, images.full[0])
    assert images.full_validation(network) is images.full[1]
    assert all(map(torch.equal, statistics(network), statistics(expected)))


@pytest.mark.parametrize("fraction", [0.0, 0.34, 0.9])
def test_every_rung_ends_at_the_full_resolution(fraction: float) -> None:
    whole = replace(TRAINING, epochs=9, images=2000, full_resolution_fraction=fraction)
    for rung in rung_trainings(whole, (1 / 16, 1 / 4)):
        assert 0 <= rung.reduced_epochs < rung.epochs
        share = 1 - rung.reduced_epochs / rung.epochs
        assert abs(share - max(fraction, 1 / rung.epochs)) <= 0.5 / rung.epochs + 1e-9


def test_epochs_that_follow() -> None:
    def reduced(epochs: int, scale: float, fraction: float) -> int:
        return TrainingConfig(epochs=epochs, resolution_scale=scale, full_resolution_fraction=fraction).reduced_epochs

    assert [reduced(6, 0.5, fraction) for fraction in (0.0, 0.17, 0.34, 0.5, 1.0)] == [5, 5, 4, 3, 0]
    assert reduced(1, 0.5, 0.0) == 0
    assert reduced(6, 1.0, 0.0) == 0


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_an_interrupted_full_training_ends_with_the_same_digits(tmp_path: Path, average: float) -> None:
    training = replace(TRAINING, images=200, qat_fraction=0.5, full_resolution_fraction=0.5)
    recipe = trained_recipe(
        SPEC.with_bits(4), DATA, training, fingerprint=fingerprint_of(DATA), seed=0, average=average
    )
    expected = Pipeline(recipe, tmp_path).run()
    assert expected.validation.images.shape[-1] == 16
    (tmp_path / CHECKPOINT).unlink()
    for _ in range(training.epochs):
        with pytest.raises(Interrupted):
            Pipeline(recipe, tmp_path, should_stop=lambda: True).run()
    found = Pipeline(recipe, tmp_path).run()
    assert [point.metric for point in found.curve] == [point.metric for point in expected.curve]
    assert [point.train_loss for point in found.curve] == [point.train_loss for point in expected.curve]


@pytest.mark.parametrize("bits", [32, 4])
def test_a_full_training_resizes_like_a_proxy(tmp_path: Path, trained_at: list[int], bits: int) -> None:
    training = replace(TRAINING, images=200, qat_fraction=0.5)
    recipe = trained_recipe(SPEC.with_bits(bits), DATA, training, fingerprint=fingerprint_of(DATA), seed=0)
    Pipeline(recipe, tmp_path).run()
    assert trained_at == [8, 8, 8, 16]


def test_the_cache_keeps_within_its_bytes_but_always_a_candidates_two_sizes() -> None:
    made = list[int]()

    def pair(resolution: int) -> ImagePair:
        made.append(resolution)
        return load_images(DATA, TRAINING, resolution, CPU)

    def bytes_of(*resolutions: int) -> int:
        return sum(part.images.nbytes for r in resolutions for part in load_images(DATA, TRAINING, r, CPU))

    cache = ImageCache(bytes_of(8, 12, 16))
    for resolution in (8, 16, 12, 8, 16, 24, 16, 24, 12):
        found = cache.get(resolution, lambda size=resolution: pair(size))  # type: ignore[misc]
        assert found[0].images.shape[-1] == resolution
    assert made == [8, 16, 12, 24, 12]
    small = ImageCache(0)
    for resolution in (8, 16, 8, 16, 12, 8):
        small.get(resolution, lambda size=resolution: pair(size))  # type: ignore[misc]
    assert made[5:] == [8, 16, 12, 8]
