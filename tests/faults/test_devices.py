"""Another device than the host's processor, and how much of the host's memory images take."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from runners.config import TrainingConfig
from runners.quantization import simulation as quantization
from runners.quantization.dequantize import at_bits, refloated
from runners.quantization.quantizers import ActivationQuantizer
from runners.quantization.requantize import requantized
from runners.quantization.simulation import QuantizedNetwork
from runners.recipes.pruning import channel_importance, without_channels
from runners.training import weight_average as averaging
from runners.training.batches import DeviceImages, ImageBatches, to_device
from runners.training.distillation import distillation
from runners.training.loop import Trainer, linear_decay, measure_accuracy, one_cycle
from runners.training.phase import TrainingPhase
from runners.training.resizing import EpochImages
from search_space import ArchSpec, StageSpec, build_network
from search_space.backends.torch_network import GraphNetwork
from search_space.blocks import BLOCKS
from search_space.pruning.channels import channel_groups

from .conftest import Saw
from .second_device import META, second_device

CONFIG = TrainingConfig(
    epochs=2,
    batch_size=8,
    learning_rate=0.1,
    resolution_scale=0.5,
    crop=True,
    flip=True,
    cutout=0.25,
    precision="float32",
)
EPOCHS = range(2)


def images(count: int, resolution: int) -> DeviceImages:
    pixels = np.zeros((count, 16, 16, 3), np.uint8)
    return to_device(pixels, np.arange(count) % 10, mean=0.5, std=0.2, resolution=resolution, device=META)


def epoch_images() -> EpochImages:
    """The first of two epochs is at half of the resolution."""
    return EpochImages((images(16, 8), images(8, 8)), (images(16, 16), images(8, 16)), CONFIG, seed=0)


def spec_of(block: str, *, se: bool = False, bits: int = 8) -> ArchSpec:
    """Every stage begins with a projection, the last one has a block without."""
    stages = tuple(
        StageSpec(block=block, num_blocks=1 + (i == 2), width=8 * 2**i, stride=min(i + 1, 2), se=se, bits=bits)
        for i in range(3)
    )
    return ArchSpec(stem="7x7" if se else "3x3", stem_width=8, resolution=16, stages=stages)


def network_of(spec: ArchSpec) -> GraphNetwork:
    network: GraphNetwork = build_network(spec).to(META, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def train(network: GraphNetwork, data: EpochImages, schedule: Callable[[float], float] = one_cycle) -> None:
    for _ in TrainingPhase(
        network, data, CONFIG, epochs=EPOCHS, peak=0.1, schedule=schedule, precision=torch.float32
    ).run():
        pass


@pytest.mark.fault(
    "{block}, SE {se}, is trained, quantized to {bits} bits and pruned on a device", expected="stays there"
)
@pytest.mark.parametrize(("se", "bits"), [(False, 8), (True, 4)])
@pytest.mark.parametrize("block", list(BLOCKS))
def test_no_tensor_is_left_on_the_host(block: str, se: bool, bits: int) -> None:
    """Forward, backward, batches, averaging, resizing, calibration, quantized training, finishing, pruning scores."""
    with second_device():
        data, network = epoch_images(), network_of(spec_of(block, se=se, bits=bits))
        train(network, data)
        for importance in ("taylor", "magnitude"):
            channel_importance(network, channel_groups(network.graph), data.full[0], importance)
        quantized = QuantizedNetwork(network, keep_norms=bits < 8)
        quantized.calibrate(data.full[0])
        train(quantized, epoch_images(), linear_decay)
        quantized.finish()
        measure_accuracy(quantized, data.full[1])
    for name, tensor in [*quantized.state_dict().items(), *network.state_dict().items()]:
        assert tensor.device == META, name


@pytest.mark.fault("{job} on a device", expected="stays there")
@pytest.mark.parametrize("job", ["distillation", "refloating", "requantization", "pruning"])
def test_what_compression_makes_stays_on_the_device(job: str) -> None:
    with second_device():
        data, spec = images(16, 16), spec_of("ghost", se=True)
        network = network_of(spec)
        quantized = QuantizedNetwork(network)
        quantized.calibrate(data)
        if job == "distillation":
            loss = distillation(network, temperature=2.0, hard_weight=0.5, label_smoothing=0.1)
            student = network_of(spec_of("basic"))
            batches = ImageBatches(data, batch_size=8, crop=True, flip=True, cutout=0.0, seed=0)
            Trainer(
                student, batches, CONFIG, epochs=1, peak=0.1, schedule=one_cycle, precision=torch.float32, loss=loss
            ).run_epoch()
            made: nn.Module = student
        elif job == "refloating":
            made = refloated(quantized, data)
        elif job == "requantization":
            made = requantized(quantized, spec.with_bits(8, 4, 4).build_graph(), data)
        else:
            groups = channel_groups(network.graph)
            made = without_channels(network, spec, groups, np.ones(groups.count, dtype=bool)).network
        made = made if job != "pruning" else at_bits(made, spec.with_bits(32).build_graph())  # type: ignore[arg-type]
    assert {tensor.device for tensor in made.state_dict().values()} == {META}


def holes_on_the_host(batches: ImageBatches, n: int) -> Tensor:
    return torch.zeros(n, 1, batches.resolution, batches.resolution, dtype=torch.bool)


def range_on_the_host(quantizer: ActivationQuantizer, x: Tensor) -> Tensor:
    levels = torch.arange(x.shape[1])[:, None, None]
    return x + levels


def statistics_of_the_host(network: nn.Module, data: DeviceImages) -> None:
    network(torch.zeros(4, 3, 16, 16))


@pytest.mark.fault("a mistake in {name}", expected="found: a tensor was left on the CPU")
@pytest.mark.parametrize(
    ("owner", "name", "mistake"),
    [
        (ImageBatches, "_holes", holes_on_the_host),
        (quantization.ActivationQuantizer, "forward", range_on_the_host),
        (averaging, "estimate_norm_statistics", statistics_of_the_host),
    ],
)
def test_a_tensor_that_is_left_on_the_host_is_found(
    owner: object, name: str, mistake: object, monkeypatch: pytest.MonkeyPatch, saw: Saw
) -> None:
    """The watch itself: what would pass unnoticed without a GPU does not."""
    monkeypatch.setattr(owner, name, mistake)
    monkeypatch.setattr("runners.training.phase.estimate_norm_statistics", averaging.estimate_norm_statistics)
    with pytest.raises(RuntimeError, match=r"CPU|device") as caught, second_device():
        network = network_of(spec_of("basic", bits=4))
        train(network, epoch_images())
        train(QuantizedNetwork(network, keep_norms=True), epoch_images())
    saw(caught.value)


PEAK = """
import sys
import numpy as np, torch
from runners.training import load_images
from runners.config import DataConfig, TrainingConfig
from runners.datasets import Dataset

SIZE, RESOLUTION, SCALE, CROP = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "crop"
torch.set_num_threads(1)

def rss(field):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(field))

def prepare(resolution):
    config = TrainingConfig(epochs=3, batch_size=64, resolution_scale=SCALE, crop=CROP)
    images = load_images.load_epoch_images(DataConfig(name="cifar10"), config, resolution, torch.device("cpu"), 0)
    next(iter(images.batches))
    images.start_epoch(2, torch.nn.Sequential())
    next(iter(images.batches))
    kept = {id(part): part.images.nbytes for pair in (images.full, images._reduced) for part in pair}
    return images, sum(kept.values())

pixels = np.random.default_rng(0).integers(0, 256, (100_000_000 // (3 * SIZE * SIZE), SIZE, SIZE, 3), dtype=np.uint8)
dataset = Dataset(
    name="made up", train_images=pixels, train_labels=np.arange(len(pixels)) % 4, class_names=tuple("abcd")
)
load_images._dataset = lambda data: dataset
prepare(16)
load_images._RESIZED._pairs.clear()
open("/proc/self/clear_refs", "w").write("5")
before = rss("VmRSS")
images, kept = prepare(RESOLUTION)
print(kept, rss("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.fault(
    "images of {size} pixels are prepared at {resolution} and {scale} of that, {crop}",
    expected="the resized images and less than 95 MB beside them",
)
@pytest.mark.parametrize(
    ("size", "resolution", "scale", "crop"),
    [
        (160, 128, 0.5, "crop"),
        (32, 32, 0.75, "crop"),
        pytest.param(160, 160, 1.0, "crop", marks=pytest.mark.long),
        pytest.param(64, 64, 1.0, "as they are", marks=pytest.mark.long),
    ],
)
def test_images_are_held_once_whatever_is_done_with_them(
    size: int, resolution: int, scale: float, crop: str, saw: Saw
) -> None:
    """Peak of the process's memory over what it had with the data set; copies of 100 MB of images would show."""
    command = [sys.executable, "-c", PEAK, str(size), str(resolution), str(scale), crop]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    kept, peak = map(int, done.stdout.split())
    saw(f"{kept / 1e6:.0f} MB of images, peak {peak / 1e6:.0f} MB")
    assert peak < kept + 95e6  # some 40 MB in the median; a copy of the images adds 80 MB or more
