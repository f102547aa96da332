"""Does an ONNX file compute what torch computes? Its outputs, its accuracy, and which layers run in integers."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from objectives.latency.timing import EXACT_INT8, int8_saturates
from search_space.graph import FLOAT_BITS, Graph, Weighted
from search_space.onnx_model import INPUT
from search_space.values import NetworkValues, input_scales

from .images import DeviceImages

_FUSED = ("QLinearConv", "QGemm")


class Unfused(NamedTuple):
    """Quantized layers that the runtime computes in float, by name."""

    avoidable: tuple[str, ...]
    unavoidable: tuple[str, ...]
    """Their input comes in float from a stage of 32 bits."""


def make_session(model: bytes) -> Any:
    """An onnxruntime session on the CPU, with as many threads as torch has."""
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    if int8_saturates():
        options.add_session_config_entry(*EXACT_INT8)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def structural_error(model: bytes) -> str | None:
    """What onnx's full checker finds wrong with a file, in one line; None where it is right."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker raises several kinds, and one may not know which
        return " ".join(str(error).split())
    return None


def logits(session: Any, images: torch.Tensor) -> NDArray[np.float32]:
    """Outputs (N, classes) for images (N, C, H, W), normalised: one by one, or at once where the batch axis is open."""
    array = np.ascontiguousarray(images.cpu().numpy())
    step = 1 if isinstance(session.get_inputs()[0].shape[0], int) else 256
    parts = [session.run(None, {INPUT: array[i : i + step]})[0] for i in range(0, len(array), step)]
    return np.concatenate(parts)


def onnx_accuracy(model: bytes, images: DeviceImages) -> float:
    """Share of `images` that the file classifies right."""
    session = make_session(model)
    right = 0
    for start in range(0, len(images), 500):
        batch = images.normalised(slice(start, start + 500))
        guesses = logits(session, batch).argmax(1)
        right += int((guesses == images.labels[start : start + 500].cpu().numpy()).sum())
    return right / len(images)


def largest_difference(model: bytes, network: nn.Module, images: torch.Tensor) -> float:
    """Largest absolute difference between the file's outputs and the torch module's, over images (N, C, H, W)."""
    with torch.inference_mode():
        theirs = network.eval()(images).numpy()
    return float(np.abs(logits(make_session(model), images) - theirs).max())


def unfused_layers(model: bytes, graph: Graph, values: NetworkValues) -> Unfused:
    """Which quantized layers of an int8 file the runtime did not fuse into an integer kernel."""
    fused = {node.name for node in optimised_nodes(model) if node.op_type in _FUSED}
    sources = input_scales(graph, values.tensors)
    missing = [
        node.name
        for node in graph.nodes
        if isinstance(node.op, Weighted) and node.bits != FLOAT_BITS and node.name not in fused
    ]
    return Unfused(
        tuple(name for name in missing if sources[name] is not None),
        tuple(name for name in missing if sources[name] is None),
    )


def optimised_nodes(model: bytes) -> list[onnx.NodeProto]:
    """The operators that the runtime makes of a file, before it picks layouts for this processor."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.intra_op_num_threads = 1  # nothing is run
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 4
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return list(onnx.load(path).graph.node)
