"""Batches that show what they promise, and a training loop that learns, repeats itself and notices a divergence."""

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from runners.candidate import Epoch, TrainingDiverged
from runners.config import DataConfig, TrainingConfig
from runners.datasets import load_dataset
from runners.training import loop as training
from runners.training.batches import DeviceImages, ImageBatches, to_device
from runners.training.loop import Trainer, linear_decay, measure_accuracy, one_cycle, resolve_precision
from runners.training.phase import TrainingPhase
from runners.training.resizing import EpochImages
from runners.training.weight_average import WeightAverage, estimate_norm_statistics
from search_space.backends.torch_network import GraphNetwork, build_network
from search_space.errors import UserError
from search_space.graph import Conv
from search_space.references import reference

pytestmark = pytest.mark.numbers

CPU = torch.device("cpu")
CONFIG = TrainingConfig(epochs=3, batch_size=32, learning_rate=0.2, flip=False, precision="float32")


def plain(images: NDArray[Any], labels: NDArray[Any] | None = None) -> DeviceImages:
    """Images (N, H, W) or (N, H, W, C) whose normalised values are their bytes."""
    images = (images if images.ndim == 4 else images[..., None]).astype(np.uint8)
    labels = np.arange(len(images)) if labels is None else labels
    return to_device(
        images,
        labels.astype(np.int64),
        mean=0.0,
        std=1 / 255,
        resolution=images.shape[1],
        device=CPU,
    )


def batches_of(data: DeviceImages, **changes: Any) -> ImageBatches:
    return ImageBatches(data, **{"batch_size": 8, "crop": False, "flip": False, "cutout": 0.0, "seed": 0} | changes)


def epoch_of(batches: ImageBatches) -> tuple[Tensor, Tensor]:
    """All images and labels of one epoch."""
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels)


# --- batches --------------------------------------------------------------------------------------

MARKED = np.broadcast_to(np.arange(200)[:, None, None], (200, 8, 8))
"""Every image is filled with its own number, which no augmentation but cutout can hide."""


def test_every_image_once_an_epoch_with_its_label() -> None:
    labels = np.arange(200) * 7 % 10
    batches = batches_of(plain(MARKED, labels), crop=True, flip=True, batch_size=20)
    orders = []
    for _ in range(3):
        images, got = epoch_of(batches)
        assert (images == images[:, :, :1, :1]).all()
        numbers = images[:, 0, 0, 0].round().long()
        assert sorted(numbers.tolist()) == list(range(200))
        assert got.tolist() == labels[numbers.numpy()].tolist()
        orders.append(tuple(numbers.tolist()))
    assert len(set(orders)) == 3
    assert orders[0] != tuple(range(200))


def test_the_last_smaller_batch_is_left_out() -> None:
    batches = batches_of(plain(MARKED[:50]), batch_size=16)
    seen = [labels for _, labels in batches]
    assert [len(labels) for labels in seen] == [16, 16, 16] == [16] * len(batches)
    assert len(set(torch.cat(seen).tolist())) == 48
    assert len(batches_of(plain(MARKED[:5]), batch_size=16)) == 1


@pytest.mark.parametrize(("size", "padding"), [(8, 1), (16, 2), (20, 2), (4, 1)])
def test_crops_are_windows_of_the_reflected_image(size: int, padding: int) -> None:
    """Every crop is one of the windows, and each of the (2 padding + 1)^2 windows comes up."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (size, size, 3))
    data = plain(np.repeat(image[None], 800, axis=0))
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)), mode="reflect")
    offsets = range(2 * padding + 1)
    windows = {padded[i : i + size, j : j + size].tobytes(): (i, j) for i in offsets for j in offsets}
    images, _ = epoch_of(batches_of(data, crop=True))
    crops = images.round().permute(0, 2, 3, 1).numpy().astype(image.dtype)
    assert {windows[np.ascontiguousarray(crop).tobytes()] for crop in crops} == set(windows.values())


def test_half_of_the_images_are_flipped() -> None:
    image = np.arange(64).reshape(8, 8)
    images, _ = epoch_of(batches_of(plain(np.repeat(image[None], 800, axis=0)), flip=True))
    flipped = (images[:, 0] == torch.tensor(image[:, ::-1].copy())).all(dim=(1, 2))
    kept = (images[:, 0] == torch.tensor(image)).all(dim=(1, 2))
    assert (flipped ^ kept).all()
    assert abs(int(flipped.sum()) - 400) < 4 * 800**0.5 / 2


def test_cutout_sets_a_square_to_the_mean() -> None:
    size, hole = 12, 4
    images, _ = epoch_of(batches_of(plain(np.full((800, size, size, 2), 9)), cutout=1 / 3))
    holes = images == 0
    assert ((images - 9).abs()[~holes] < 1e-3).all()
    assert (holes[:, 0] == holes[:, 1]).all()
    areas, places = [], set()
    for mask in holes[:, 0].numpy():
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == len(rows) * len(columns)  # a filled rectangle
        assert rows[-1] - rows[0] == len(rows) - 1 and columns[-1] - columns[0] == len(columns) - 1
        assert 1 <= len(rows) <= hole and 1 <= len(columns) <= hole
        areas.append(int(mask.sum()))
        places.add((int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])))
    assert areas.count(hole**2) > 400
    assert len(places) > 100
    assert epoch_of(batches_of(plain(np.full((8, 12, 12), 9)), cutout=0.0))[0].min() > 8


def test_without_augmentation_images_are_normalised_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 9, 9, 3), dtype=np.uint8)
    mean, std = 51 / 255, 0.1
    data = to_device(images, np.arange(40), mean=mean, std=std, resolution=9, device=CPU)
    expected = ((images / 255.0 - mean) / std).transpose(0, 3, 1, 2)
    for batch, labels in batches_of(data):
        assert batch.dtype == torch.float32
        assert batch.is_contiguous(memory_format=torch.channels_last)
        np.testing.assert_allclose(batch.numpy(), expected[labels.numpy()], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(data.normalised(slice(3, 7)).numpy(), expected[3:7], rtol=1e-4, atol=1e-5)


def test_a_seed_fixes_the_batches_whatever_ran_before() -> None:
    rng = np.random.default_rng(0)
    data = plain(rng.integers(0, 256, (64, 8, 8)))
    settings = {"crop": True, "flip": True, "cutout": 0.3}
    torch.manual_seed(1)
    one = batches_of(data, **settings)
    first, second = epoch_of(one), epoch_of(one)
    torch.manual_seed(2)
    random.seed(2)
    again = batches_of(data, **settings)
    for (images, labels), (same_images, same_labels) in zip(
        (first, second), (epoch_of(again), epoch_of(again)), strict=True
    ):
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)
    assert not torch.equal(first[0], second[0])
    assert not torch.equal(first[0], epoch_of(batches_of(data, **settings, seed=1))[0])


# --- resizing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "resolution"), [(28, 14), (28, 20), (17, 8), (8, 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_is_pillows(size: int, resolution: int, channels: int) -> None:
    """Bilinear with antialiasing, to within one grey level."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, size, size, channels), dtype=np.uint8)
    got = to_device(images, np.arange(5), mean=127 / 255, std=0.2, resolution=resolution, device=CPU)
    assert got.images.shape == (5, channels, resolution, resolution)
    assert got.images.dtype == torch.uint8
    assert (got.mean, got.std) == (127, pytest.approx(51.0))
    differences = []
    for image, resized in zip(images, got.images, strict=True):
        for channel in range(channels):
            pillow = Image.fromarray(image[..., channel]).resize((resolution, resolution), Image.Resampling.BILINEAR)
            difference = resized[channel].numpy().astype(int) - np.asarray(pillow).astype(int)
            assert np.abs(difference).max() <= 1
            differences.append(difference.mean())
    assert abs(np.mean(differences)) < 0.3  # rounded, not cut off; pillow rounds halves up


def test_halves_go_up_whatever_the_last_digits() -> None:
    """Columns of even and odd grey levels in turn, at half the size: each pixel is k + 0.5, on every processor."""
    for low in (0, 1, 100, 254):
        columns = np.where(np.arange(16) % 2, low + 1, low).astype(np.uint8)
        images = np.broadcast_to(columns, (3, 16, 16))[..., None]
        got = to_device(images, np.zeros(3, np.int64), mean=0.0, std=0.1, resolution=8, device=CPU)
        assert set(got.images[..., 1:-1].flatten().tolist()) == {low + 1}


def test_images_of_the_right_size_are_kept_byte_for_byte() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    got = to_device(images, np.arange(5), mean=0.5, std=0.2, resolution=8, device=CPU)
    assert (got.images.numpy() == images.transpose(0, 3, 1, 2)).all()
    assert got.labels.tolist() == [0, 1, 2, 3, 4]
    assert len(got) == 5


# --- schedules and precision ----------------------------------------------------------------------


def test_one_cycle_rises_to_the_peak_and_falls_to_nothing() -> None:
    assert (one_cycle(0.0), one_cycle(0.125), one_cycle(0.25)) == pytest.approx((0.05, 0.525, 1.0))
    assert (one_cycle(0.625), one_cycle(1.0)) == pytest.approx((0.5, 0.0))
    shares = [one_cycle(i / 1000) for i in range(1001)]
    assert all(0 <= share <= 1 for share in shares)
    assert shares.index(max(shares)) == 250
    assert all(a < b for a, b in itertools.pairwise(shares[:251]))
    assert all(a > b for a, b in itertools.pairwise(shares[250:]))
    assert [linear_decay(progress) for progress in (0.0, 0.25, 1.0)] == [1.0, 0.75, 0.0]


@pytest.mark.parametrize(
    ("name", "native", "precision"),
    [
        ("resnet20", True, torch.bfloat16),
        ("resnet20", False, torch.float32),
        ("se_resnet50", True, torch.bfloat16),
        ("mobilenetv2", True, torch.float32),
        ("mobilenetv2", False, torch.float32),
    ],
)
def test_precision_is_a_rule(name: str, native: bool, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_cpu_has_bfloat16", lambda: native)
    graph = reference(name, resolution=32).build_graph()
    assert resolve_precision(TrainingConfig(), graph, CPU) == precision
    assert resolve_precision(TrainingConfig(precision="float32"), graph, CPU) == torch.float32
    assert resolve_precision(TrainingConfig(precision="bfloat16"), graph, CPU) == torch.bfloat16


@pytest.mark.parametrize("name", ["resnet20", "ghost_resnet56", "mobilenetv2", "shufflenetv2", "efficientnet_b0"])
def test_precision_turns_at_five_percent_of_depthwise_macs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_cpu_has_bfloat16", lambda: True)
    graph = reference(name, resolution=32).build_graph()
    depthwise = sum(n.macs for n in graph.nodes if isinstance(n.op, Conv) and n.op.groups == n.op.in_channels > 1)
    share = depthwise / sum(n.macs for n in graph.nodes)
    assert abs(share - 0.05) > 0.002
    assert (resolve_precision(TrainingConfig(), graph, CPU) == torch.bfloat16) is (share < 0.05)


# --- training -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> tuple[DeviceImages, DeviceImages]:
    data = load_dataset("digits")
    assert data.test_images is not None and data.test_labels is not None
    pairs = ((data.train_images, data.train_labels), (data.test_images, data.test_labels))
    train, test = (
        to_device(images, labels, mean=data.mean, std=data.std, resolution=8, device=CPU) for images, labels in pairs
    )
    return train, test


def small_net(seed: int = 0) -> GraphNetwork:
    """ResNet-8 at half of its width."""
    torch.manual_seed(seed)
    return build_network(reference("resnet8@0.5", resolution=8, in_channels=1))


def trained(
    digits: tuple[DeviceImages, DeviceImages],
    *,
    config: TrainingConfig = CONFIG,
    seed: int = 0,
    peak: float | None = None,
    schedule: Callable[[float], float] = one_cycle,
    epochs: range | None = None,
) -> tuple[list[Epoch], GraphNetwork]:
    network = small_net(seed)
    phase = TrainingPhase(
        network,
        EpochImages(digits, digits, replace(config, flip=False), seed=seed),
        config,
        epochs=epochs or range(config.epochs),
        peak=config.learning_rate if peak is None else peak,
        schedule=schedule,
        precision=torch.bfloat16 if config.precision == "bfloat16" else torch.float32,
    )
    return list(phase.run()), network


def figures(curve: list[Epoch]) -> list[tuple[int, float, float]]:
    return [(point.epoch, point.train_loss, point.metric) for point in curve]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_learns(digits: tuple[DeviceImages, DeviceImages], precision: Any) -> None:
    before = measure_accuracy(small_net(), digits[1])
    curve, network = trained(digits, config=replace(CONFIG, precision=precision))
    assert before < 0.3
    assert curve[-1].metric > 0.85
    assert curve[-1].metric == measure_accuracy(network, digits[1])
    assert curve[-1].train_loss < curve[0].train_loss - 0.3
    assert [point.epoch for point in curve] == [1, 2, 3]
    assert all(point.seconds > 0 for point in curve)


def test_before_the_last_epoch_the_averaged_weights_are_measured(digits: tuple[DeviceImages, DeviceImages]) -> None:
    training, validation = digits
    curve, _ = trained(digits)
    network, batches = small_net(), batches_of(training, batch_size=CONFIG.batch_size, crop=CONFIG.crop)
    trainer = Trainer(
        network, batches, CONFIG, epochs=3, peak=CONFIG.learning_rate, schedule=one_cycle, precision=torch.float32
    )
    average = WeightAverage(network, 1 - 1 / len(batches))
    trainer.after_step = average.update
    averaged, current = [], []
    for _ in range(3):
        trainer.run_epoch()
        estimate_norm_statistics(average.network, training)
        averaged.append(measure_accuracy(average.network, validation))
        current.append(measure_accuracy(network, validation))
    assert [point.metric for point in curve] == [*averaged[:2], current[2]]
    assert averaged[:2] != current[:2]


def test_norm_statistics_are_those_of_the_first_images(digits: tuple[DeviceImages, DeviceImages]) -> None:
    """As if these were a batch, but for the variance's n - 1."""
    training, _ = digits
    network, count = small_net(), len(training) // 6
    assert 64 <= count <= 250  # in one batch
    momenta = [module.momentum for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    estimate_norm_statistics(network, training)
    assert not network.training
    assert momenta == [module.momentum for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    images = training.normalised(slice(count))
    with torch.no_grad():
        with_statistics = network(images)
        with_the_batch = network.train()(images)
    torch.testing.assert_close(with_statistics, with_the_batch, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("count", [1, 10, 700])
def test_norm_statistics_of_few_images(digits: tuple[DeviceImages, DeviceImages], count: int) -> None:
    training, _ = digits
    few = replace(training, images=training.images[:count], labels=training.labels[:count])
    network = small_net()
    estimate_norm_statistics(network, few)
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


def test_one_batch_an_epoch_has_no_average(digits: tuple[DeviceImages, DeviceImages]) -> None:
    curve, _ = trained(digits, config=replace(CONFIG, batch_size=65_536))
    assert len(curve) == 3


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_seed_gives_the_same_digits(digits: tuple[DeviceImages, DeviceImages], precision: Any) -> None:
    config = replace(CONFIG, epochs=1, precision=precision)
    (curve, network), (again, same) = trained(digits, config=config), trained(digits, config=config)
    assert figures(curve) == figures(again)
    for (name, tensor), other in zip(network.state_dict().items(), same.state_dict().values(), strict=True):
        assert torch.equal(tensor, other), name
    other_curve, _ = trained(digits, config=config, seed=1)
    assert figures(other_curve) != figures(curve)


def test_compiled_training_is_the_same_training(
    digits: tuple[DeviceImages, DeviceImages], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced, differentiated and run as graphs, without the minute that a C++ compiler takes over them."""
    compiled_networks: list[object] = []
    compile_ = torch.compile

    def traced(network: GraphNetwork) -> object:
        compiled_networks.append(network)
        return compile_(network, backend="aot_eager")

    monkeypatch.setattr(torch, "compile", traced)
    few = DeviceImages(digits[0].images[:128], digits[0].labels[:128], digits[0].mean, digits[0].std)
    config = replace(CONFIG, epochs=2, batch_size=32)
    plain, _ = trained((few, digits[1]), config=config)
    assert not compiled_networks
    compiled, network = trained((few, digits[1]), config=replace(config, compile=True))
    assert compiled_networks == [network]
    for point, other in zip(plain, compiled, strict=True):
        assert point.train_loss == pytest.approx(other.train_loss, abs=1e-3)


def test_a_diverging_run_is_noticed(digits: tuple[DeviceImages, DeviceImages]) -> None:
    with pytest.raises(TrainingDiverged, match=r"the loss became (nan|inf) in epoch 1"):
        trained(digits, config=replace(CONFIG, epochs=1), peak=1e12, schedule=lambda progress: 1.0)


def test_the_schedule_spans_all_epochs(digits: tuple[DeviceImages, DeviceImages]) -> None:
    """Steps ask for their shares in order, from 0 to just below 1, whatever number the first epoch has."""
    asked: list[float] = []

    def still(progress: float) -> float:
        asked.append(progress)
        return 0.0

    config = replace(CONFIG, batch_size=256)
    curve, network = trained(digits, config=config, schedule=still, epochs=range(4, 6))
    steps = 2 * (len(digits[0]) // 256)
    assert asked == sorted(asked)
    assert sorted(set(asked)) == pytest.approx([step / steps for step in range(steps)])
    assert [point.epoch for point in curve] == [5, 6]
    for parameter, initial in zip(network.parameters(), small_net().parameters(), strict=True):
        assert torch.equal(parameter, initial)  # a share of 0 changes no weight


def test_only_weights_decay(digits: tuple[DeviceImages, DeviceImages]) -> None:
    """One Nesterov step moves a weight w by another rate (1 + momentum) decay w, a scale or shift by nothing."""
    rate, decay = 0.01, 0.1
    config = replace(CONFIG, batch_size=len(digits[0]), epochs=1, crop=False)
    nets = [
        trained(digits, config=replace(config, weight_decay=d), peak=rate, schedule=lambda progress: 1.0)[1]
        for d in (0.0, decay)
    ]
    initial = dict(small_net().named_parameters())
    free, decayed = (dict(net.named_parameters()) for net in nets)
    for name, start in initial.items():
        assert not torch.equal(free[name], start)
        expected = rate * (1 + config.momentum) * decay * start if start.ndim > 1 else torch.zeros_like(start)
        torch.testing.assert_close(free[name] - decayed[name], expected, rtol=1e-3, atol=1e-7)


class Answers(nn.Module):
    """Says that an image's class is its first pixel, but for those above 5, which it takes for 0."""

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        number = images[:, 0, 0, 0].round().long()
        return nn.functional.one_hot(torch.where(number > 5, 0, number), 10).float()


@pytest.mark.parametrize("batch_size", [500, 7, 5000])
def test_accuracy_is_the_share_of_right_answers(batch_size: int) -> None:
    labels = np.random.default_rng(0).integers(0, 10, 1201)
    data = plain(np.broadcast_to(labels[:, None, None], (1201, 4, 4)), labels)
    assert measure_accuracy(Answers().train(), data, batch_size=batch_size) == (labels <= 5).mean()


# --- configuration --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": -1}, "images: must be from 0 to 1,000,000,000, not -1"),
        ({"validation_images": -5}, "validation_images: must be from 0 to 1,000,000,000, not -5"),
        ({"epochs": 0}, "epochs: must be from 1 to 10,000, not 0"),
        ({"resolution_scale": 0.05}, "resolution_scale: must be from 0.1 to 1, not 0.05"),
        ({"full_resolution_fraction": 1.5}, "full_resolution_fraction: must be from 0 to 1, not 1.5"),
        ({"batch_size": 1}, "batch_size: must be from 2 to 65,536, not 1"),
        ({"learning_rate": 0.0}, "learning_rate: must be from 1e-06 to 10, not 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate: must be from 1e-06 to 10, not nan"),
        ({"momentum": 1.0}, "momentum: must be from 0 to 0.999, not 1.0"),
        ({"weight_decay": -0.1}, "weight_decay: must be from 0 to 1, not -0.1"),
        ({"label_smoothing": 1.0}, "label_smoothing: must be from 0 to 0.9, not 1.0"),
        ({"cutout": 1.1}, "cutout: must be from 0 to 1, not 1.1"),
        ({"qat_fraction": -0.1}, "qat_fraction: must be from 0 to 1, not -0.1"),
    ],
)
def test_a_bad_value_is_refused_before_any_data_is_read(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        TrainingConfig(**settings)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"validation_fraction": 0.0}, "validation_fraction: must be from 0.01 to 0.9, not 0.0"),
        ({"seed": -1}, "seed: must be from 0 to"),
        ({"resolution": 7}, "resolution: must be from 8 to 1024, not 7"),
    ],
)
def test_bad_data_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        DataConfig(**settings)
    assert str(caught.value).startswith(message)


def test_resolution_and_epochs_that_follow() -> None:
    assert [TrainingConfig(resolution_scale=0.5).reduced_resolution(pixels) for pixels in (32, 28, 12)] == [16, 14, 8]
    assert [TrainingConfig(epochs=n).qat_epochs for n in (2, 3, 6, 30)] == [1, 1, 2, 10]
    assert TrainingConfig(epochs=6, qat_fraction=1.0).qat_epochs == 5  # one epoch stays float
    assert TrainingConfig(epochs=6, qat_fraction=0.0).qat_epochs == 1
