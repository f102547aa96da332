"""How many images a second does proxy training take, beside the usual loop, on one thread?

The usual loop: a DataLoader over a data set of tensors with crop, flip and normalisation as transforms of one image,
float32, contiguous, SGD. Both train the same network from the same images; they take turns, so that what else the
machine does hits both alike. The second table is why `precision = "auto"` decides as it does.

    python benchmarks/proxy_training.py --save
"""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from record import arguments, report, table
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from runners.config import TrainingConfig
from runners.training.batches import DeviceImages, ImageBatches
from runners.training.loop import Trainer, one_cycle, resolve_precision
from search_space import ArchSpec, StageSpec, build_network, reference

IMAGES = 1024
BATCH = 128
ROUNDS = 5


class UsualDataset(Dataset[tuple[Tensor, int]]):
    """uint8 images in memory, transformed one by one."""

    def __init__(self, data: DeviceImages, resolution: int) -> None:
        self.data, self.resolution = data, resolution

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        padding = self.resolution // 8
        image = F.pad(self.data.images[index], (padding,) * 4)
        top, left = torch.randint(2 * padding + 1, (2,)).tolist()
        image = image[:, top : top + self.resolution, left : left + self.resolution]
        if torch.rand(()) < 0.5:
            image = image.flip(2)
        return (image.float() / 255 - 0.5) / 0.25, int(self.data.labels[index])


def usual_epoch(network: nn.Module, loader: DataLoader[tuple[Tensor, Tensor]], optimizer: torch.optim.SGD) -> None:
    network.train()
    for images, labels in loader:
        loss = F.cross_entropy(network(images), labels, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def our_trainer(spec: ArchSpec, data: DeviceImages, precision: torch.dtype | None) -> Trainer:
    config = TrainingConfig(batch_size=BATCH)
    network = build_network(spec).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = ImageBatches(data, batch_size=BATCH, crop=True, flip=True, cutout=0.0, seed=0)
    precision = precision or resolve_precision(config, network.graph, torch.device("cpu"))
    return Trainer(network, batches, config, epochs=ROUNDS + 1, peak=0.1, schedule=one_cycle, precision=precision)


def images_of(resolution: int, channels: int = 3) -> DeviceImages:
    images = torch.randint(256, (IMAGES, channels, resolution, resolution), dtype=torch.uint8)
    return DeviceImages(images, torch.randint(10, (IMAGES,)), 127, 64.0)


def alternate(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Images a second of each call, medians over rounds in which they take turns; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return {name: IMAGES / sorted(times[1:])[ROUNDS // 2] for name, times in seconds.items()}


def against_the_usual_loop() -> str:
    rows = []
    for name, resolution in (("resnet20", 32), ("resnet20", 16), ("resnet56", 32)):
        spec, data = reference(name, resolution=resolution), images_of(resolution)
        assert isinstance(spec, ArchSpec)
        network = build_network(spec)
        optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
        loader = DataLoader(UsualDataset(data, resolution), batch_size=BATCH, shuffle=True, drop_last=True)
        ours = our_trainer(spec, data, None)
        rates = alternate(
            {
                "usual": lambda net=network, batches=loader, sgd=optimizer: usual_epoch(net, batches, sgd),
                "ours": ours.run_epoch,
            }
        )
        ratio = rates["ours"] / rates["usual"]
        rows.append([name, resolution, f"{rates['usual']:.0f}", f"{rates['ours']:.0f}", f"{ratio:.2f}"])
    return table(["network", "pixels", "usual loop, images/s", "resfront, images/s", "ratio"], rows)


def by_precision() -> str:
    rows = []
    for block in ("basic", "bottleneck", "ghost", "depthwise"):
        for resolution in (32, 16):
            width = 32 if block == "bottleneck" else 16
            stages = (StageSpec(block=block, num_blocks=3, width=width * 2**i, stride=min(i + 1, 2)) for i in range(3))
            spec = ArchSpec(stem="3x3", stem_width=width, stages=tuple(stages), resolution=resolution)
            data = images_of(resolution)
            trainers = {name: our_trainer(spec, data, getattr(torch, name)) for name in ("float32", "bfloat16")}
            rates = alternate({name: trainer.run_epoch for name, trainer in trainers.items()})
            chosen = resolve_precision(TrainingConfig(), spec.build_graph(), torch.device("cpu"))
            ratio = rates["bfloat16"] / rates["float32"]
            figures = [f"{rates[name]:.0f}" for name in ("float32", "bfloat16")]
            rows.append([block, resolution, *figures, f"{ratio:.2f}", str(chosen).removeprefix("torch.")])
    headers = ["block", "pixels", "float32, images/s", "bfloat16, images/s", "ratio", "auto takes"]
    return table(headers, rows)


def main() -> None:
    args = arguments(__doc__ or "").parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    text = against_the_usual_loop() + "\n\n" + by_precision()
    report("proxy-training", "python benchmarks/proxy_training.py --save", text, save=args.save)


if __name__ == "__main__":
    main()
