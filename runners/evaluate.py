"""What is one candidate worth? Train it as the proxy schedule says, quantize it, measure it, say how."""

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.metadata import version

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from objectives.latency.timing import processor
from search_space.architectures import architecture_from_dict
from search_space.backends.torch_network import GraphNetwork, build_network
from search_space.errors import UserError
from search_space.spec import Architecture

from .candidate import Candidate, Epoch, Evaluation, Observation
from .config import CONVENTIONS, DataConfig, TrainingConfig
from .datasets import Dataset, load_dataset
from .quantization.simulation import QuantizedNetwork, lowest_bits
from .training.batches import DeviceImages, to_device
from .training.image_cache import ImageCache
from .training.loop import linear_decay, measure_accuracy, one_cycle, resolve_precision, train_epochs
from .training.proxy_images import proxy_images
from .training.resizing import EpochImages

_KERNEL_SETTINGS = ("ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "MKL_CBWR")
"""Environment variables that make the libraries beneath torch take other kernels."""
QAT_PEAK = 0.3
"""Peak learning rate of quantization-aware training, as a share of the float phase's."""
_RESIZED = ImageCache(most_bytes=2 * 1024**3)


def evaluate(candidate: Candidate, on_epoch: Callable[[Epoch], None] = lambda point: None) -> Evaluation:
    """Train and measure one candidate; `on_epoch` is told of each epoch when it is over.

    Raises TrainingDiverged, and UserError (DatasetError) where the data cannot be had. The same candidate gives the
    same digits on one thread of one kind of processor (`Observation.processor`, `threads`, `versions`); elsewhere sums
    are added in another order, and its accuracy is another draw of the same training.
    """
    started = time.perf_counter()
    architecture = architecture_from_dict(candidate.spec)
    device = torch.device(candidate.device)
    images = load_epoch_images(candidate.data, candidate.training, architecture.resolution, device, candidate.seed)
    training, validation = images.full
    torch.manual_seed(candidate.seed)
    network = build_network(architecture).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    precision = resolve_precision(candidate.training, network.graph, device)
    curve = list[Epoch]()
    trained = _train(network, images, candidate, precision, curve, on_epoch)
    float_curve = [point for point in curve if not point.quantized]
    observation = Observation(
        spec_key=architecture.key,
        accuracy=curve[-1].accuracy if trained is None or trained is network else measure_accuracy(trained, validation),
        float_accuracy=float_curve[-1].accuracy,
        curve=tuple(curve),
        seed=candidate.seed,
        dataset=candidate.data.name,
        dataset_fingerprint=_dataset(candidate.data).fingerprint,
        training_images=len(training),
        validation_images=len(validation),
        precision=str(precision).removeprefix("torch."),
        threads=torch.get_num_threads(),
        device=_device_name(device),
        host=platform.node(),
        processor=processor_kind(),
        versions={"python": platform.python_version(), **{p: version(p) for p in ("torch", "resfront")}},
        duration_s=time.perf_counter() - started,
        peak_rss_bytes=_peak_rss_bytes(),
        stopped=trained is None,
    )
    return Evaluation(observation, b"" if trained is None else weights_of(trained))


def _train(
    network: GraphNetwork,
    images: EpochImages,
    candidate: Candidate,
    precision: torch.dtype,
    curve: list[Epoch],
    on_epoch: Callable[[Epoch], None],
) -> GraphNetwork | None:
    """Run the schedule, noting each epoch in `curve`; the network as it would be deployed, None where it stopped."""
    config = candidate.training
    bits = lowest_bits(network.graph)
    float_epochs = config.epochs - (config.qat_epochs if bits < 8 else 0)

    def reaches_end(epochs: Iterator[Epoch]) -> bool:
        for point in epochs:
            curve.append(point)
            on_epoch(point)
            if len(curve) <= len(candidate.floors) and point.accuracy < candidate.floors[len(curve) - 1]:
                return False
        return True

    in_float = train_epochs(
        network,
        images,
        config,
        epochs=range(float_epochs),
        peak=config.learning_rate,
        schedule=one_cycle,
        precision=precision,
    )
    if not reaches_end(in_float):
        return None
    if bits == 32:
        return network
    quantized = QuantizedNetwork(network, keep_norms=bits < 8)
    quantized.calibrate(images.full[0])
    if bits < 8:
        at_bits = train_epochs(
            quantized,
            images,
            config,
            epochs=range(float_epochs, config.epochs),
            peak=config.learning_rate * QAT_PEAK,
            schedule=linear_decay,
            precision=precision,
            quantized=True,
        )
        if not reaches_end(at_bits):
            return None
    quantized.finish()
    return quantized


def weights_of(network: GraphNetwork) -> bytes:
    """The state of a network as safetensors bytes, with the version of the conventions."""
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    return save_safetensors(state, metadata={"conventions": str(CONVENTIONS)})


def load_network(architecture: Architecture, weights: bytes) -> GraphNetwork:
    """The network of an exported spec and its weights, float or quantized as it was trained.

    Raises UserError for weights of other conventions.
    """
    network = build_network(architecture)
    state = load_safetensors(weights)
    if (found := _conventions_of(weights)) != str(CONVENTIONS):
        raise UserError(
            f"the weights were trained by another version of resfront (conventions {found or 1}, now {CONVENTIONS}), "
            "which normalised images, quantized tensors or measured accuracies otherwise; train the network again"
        )
    if lowest_bits(network.graph) < 32:
        network = QuantizedNetwork(network)
    network.load_state_dict(state)
    return network.eval()


def _conventions_of(weights: bytes) -> str | None:
    """The version that safetensors bytes carry in their header, a JSON text behind its length."""
    length = int.from_bytes(weights[:8], "little")
    found: str | None = json.loads(weights[8 : 8 + length]).get("__metadata__", {}).get("conventions")
    return found


def load_images(
    data: DataConfig, config: TrainingConfig, resolution: int, device: torch.device
) -> tuple[DeviceImages, DeviceImages]:
    """Return training and validation images of `resolution` pixels a side: held out, subsets of them, resized."""
    key = (data, config.images, config.validation_images, resolution, device)
    return _RESIZED.get(key, lambda: _device_images(*key))


def load_epoch_images(
    data: DataConfig, config: TrainingConfig, resolution: int, device: torch.device, seed: int
) -> EpochImages:
    """Return the images of a schedule for a network of `resolution`; `seed` decides batches and augmentation."""
    reduced = load_images(data, config, config.reduced_resolution(resolution), device)
    return EpochImages(reduced, load_images(data, config, resolution, device), config, seed=seed)


def fingerprint_of(data: DataConfig) -> str:
    """Of the images that are there now."""
    return _dataset(data).fingerprint


@lru_cache(maxsize=1)
def _dataset(data: DataConfig) -> Dataset:
    return load_dataset(data.name, data.path, resolution=data.resolution)


def _device_images(
    data: DataConfig, images: int, validation_images: int, resolution: int, device: torch.device
) -> tuple[DeviceImages, DeviceImages]:
    dataset = _dataset(data)
    training, validation = (
        to_device(
            part.source,
            part.labels,
            mean=dataset.mean,
            std=dataset.std,
            resolution=resolution,
            device=device,
            chosen=part.chosen,
        )
        for part in proxy_images(dataset, data, images, validation_images)
    )
    return training, validation


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def processor_kind() -> str:
    """Return the processor and the kernels that torch picks on it: where this is the same, digits are the same."""
    settings = [f"{name}={os.environ[name]}" for name in _KERNEL_SETTINGS if name in os.environ]
    return ", ".join([processor(), torch.backends.cpu.get_cpu_capability(), *settings])


def _peak_rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
