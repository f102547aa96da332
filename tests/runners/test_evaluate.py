"""One candidate through training, quantization and measuring; the same again is the same to the digit."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from runners.candidate import Candidate, Observation, TrainingDiverged
from runners.config import DataConfig, TrainingConfig
from runners.datasets import load_dataset
from runners.engines.processes.worker_loop import device_of
from runners.evaluate import evaluate
from runners.network_weights import load_network
from runners.training.batches import to_device
from runners.training.load_images import load_images
from runners.training.loop import measure_accuracy
from search_space import ArchSpec, StageSpec, reference
from search_space.errors import UserError

pytestmark = pytest.mark.numbers

CPU = torch.device("cpu")
DATA = DataConfig(name="digits", validation_fraction=0.2)
TRAINING = TrainingConfig(epochs=3, batch_size=32, learning_rate=0.1)
SPEC = ArchSpec(
    stem="3x3",
    stem_width=8,
    in_channels=1,
    resolution=8,
    stages=tuple(StageSpec(block="basic", num_blocks=1, width=8 * 2**i, stride=min(i + 1, 2)) for i in range(3)),
)


def candidate(spec: ArchSpec = SPEC, training: TrainingConfig = TRAINING, seed: int = 1) -> Candidate:
    return Candidate(spec=spec.to_dict(), seed=seed, data=DATA, training=training)


@pytest.mark.parametrize("bits", [32, 8, 4])
def test_the_same_candidate_gives_the_same_digits(bits: int) -> None:
    first, second = (evaluate(candidate(SPEC.with_bits(bits))) for _ in range(2))
    assert first.weights == second.weights
    assert [e.train_loss for e in first.observation.curve] == [e.train_loss for e in second.observation.curve]
    assert first.observation.accuracy == second.observation.accuracy > 0.5
    other = evaluate(candidate(SPEC.with_bits(bits), seed=2))
    assert other.weights != first.weights


@pytest.mark.parametrize("bits", [(32,), (8,), (4,), (8, 4, 32)])
def test_the_weights_are_those_that_were_measured(bits: tuple[int, ...]) -> None:
    spec = SPEC.with_bits(*bits)
    evaluation = evaluate(candidate(spec))
    network = load_network(spec, evaluation.weights).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    _, validation = load_images(DATA, TRAINING, spec.resolution, CPU)
    assert measure_accuracy(network, validation) == evaluation.observation.accuracy
    quantized = [epoch.quantized for epoch in evaluation.observation.curve]
    assert quantized == ([False, False, True] if min(bits) < 8 else [False] * 3)


@pytest.mark.parametrize("metadata", [None, {"conventions": "1"}])
def test_weights_of_other_conventions_are_refused(metadata: dict[str, str] | None) -> None:
    """Their images were normalised otherwise: the network would run, and be worse without a word."""
    kept = evaluate(candidate(training=replace(TRAINING, epochs=1))).weights
    assert load_network(SPEC, kept)
    with pytest.raises(UserError, match=r"another version of resfront \(conventions 1, now \d\)"):
        load_network(SPEC, save(load(kept), metadata=metadata))


def test_an_observation_tells_where_its_digits_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MKL_CBWR", raising=False)
    before = evaluate(candidate(training=replace(TRAINING, epochs=1))).observation.processor
    assert torch.backends.cpu.get_cpu_capability() in before
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    after = evaluate(candidate(training=replace(TRAINING, epochs=1))).observation.processor
    assert after == f"{before}, MKL_CBWR=COMPATIBLE"


def test_one_epoch_leaves_none_for_learning_few_bits() -> None:
    evaluation = evaluate(candidate(SPEC.with_bits(4), replace(TRAINING, epochs=1)))
    assert len(evaluation.observation.curve) == 1
    assert load_network(SPEC.with_bits(4), evaluation.weights)(torch.zeros(1, 1, 8, 8)).isfinite().all()


def test_a_reference_outside_the_space_is_a_candidate_like_any_other() -> None:
    architecture = reference("shufflenetv2@0.5", resolution=8, num_classes=10, in_channels=1)
    evaluation = evaluate(replace(candidate(), spec=architecture.to_dict(), training=replace(TRAINING, epochs=1)))
    assert evaluation.observation.spec_key == architecture.key


def test_an_absurd_learning_rate_says_what_happened() -> None:
    with pytest.raises(TrainingDiverged, match=r"the loss became \w+ in epoch [1-9]"):
        evaluate(candidate(training=replace(TRAINING, learning_rate=10.0, weight_decay=1.0, momentum=0.999, epochs=9)))


def test_candidates_and_observations_are_plain_values() -> None:
    evaluation = evaluate(candidate(training=replace(TRAINING, epochs=1)))
    assert Observation.from_dict(evaluation.observation.to_dict()) == evaluation.observation
    assert pickle.loads(pickle.dumps(candidate())) == candidate()
    assert pickle.loads(pickle.dumps(evaluation)) == evaluation


def test_validation_images_are_held_out_and_test_images_untouched() -> None:
    training, validation = load_images(DATA, replace(TRAINING, validation_images=0), 8, CPU)
    dataset = load_dataset("digits")
    assert dataset.test_images is not None and dataset.test_labels is not None
    assert len(training) + len(validation) == len(dataset.train_labels)
    everything = to_device(
        dataset.train_images, dataset.train_labels, mean=dataset.mean, std=dataset.std, resolution=8, device=CPU
    )
    used = torch.cat([training.images, validation.images]).flatten(1).numpy()
    expected = everything.images.flatten(1).numpy()
    assert np.array_equal(used[np.lexsort(used.T)], expected[np.lexsort(expected.T)])
    share = validation.labels.bincount() / everything.labels.bincount()
    assert share.sub(0.2).abs().max() < 0.02


def test_reduced_sets_are_stratified() -> None:
    training, validation = load_images(DATA, replace(TRAINING, images=100, validation_images=50), 8, CPU)
    assert len(training) == 100 and len(validation) == 50
    assert set(training.labels.bincount().tolist()) <= {9, 10, 11}


def test_devices_of_slots() -> None:
    assert device_of("cpu", 3) == "cpu"
    assert device_of("cuda:1", 3) == "cuda:1"
    assert device_of("cuda", 0) == "cuda:0"
