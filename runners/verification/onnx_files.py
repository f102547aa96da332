"""Does an ONNX file compute what torch computes? Its outputs, its accuracy, and which layers run in integers."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from objectives.latency.timing import EXACT_INT8, int8_saturates
from search_space.backends.network_values import (
    NetworkValues,
    input_scales,
    linear_name,
    output_scales,
    quantized_layer,
    quantized_tensors,
    sigmoid_name,
)
from search_space.backends.onnx_layout import INPUT, OUTPUT
from search_space.backends.onnx_model import file_tensors
from search_space.backends.onnx_tensors import FileTensor
from search_space.graph import FLOAT_BITS, Graph, Weighted

from ..training.batches import DeviceImages
from .layer_comparison import EDGE, FLOAT_EDGE, LOGITS, TensorTrace, Trace

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


def onnx_logits(model: bytes, images: DeviceImages) -> NDArray[np.float32]:
    """Outputs (N, classes) of a file for all of `images`."""
    session = make_session(model)
    parts = [logits(session, images.normalised(slice(start, start + 500))) for start in range(0, len(images), 500)]
    return np.concatenate(parts)


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


def onnx_trace(
    model: bytes, graph: Graph, values: NetworkValues, images: torch.Tensor, *, int8: bool, symmetric: bool = False
) -> Trace:
    """Return what the runtime computes for each tensor of the network that the file has, for images (N, C, H, W).

    The file gets its tensors as further outputs and an open batch axis; its operators stay as they are.
    """
    tensors = file_tensors(graph, values, int8=int8, symmetric=symmetric)
    proto = onnx.load_from_string(model)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    there = {name for node in proto.graph.node for name in node.output}
    names = list(dict.fromkeys(tensor.name for tensor in tensors.values() if tensor.name in there))
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name != OUTPUT)
    session = make_session(proto.SerializeToString())
    array = np.ascontiguousarray(images.cpu().numpy())
    wanted = list(dict.fromkeys([*names, OUTPUT]))
    arrays = dict(zip(wanted, session.run(wanted, {INPUT: array}), strict=True)) | {INPUT: array}
    bits = {name: tensor.bits for name, tensor in quantized_tensors(graph).items()}
    for node in graph.nodes:
        if node.inputs:  # what is moved keeps the integers of its source
            bits.setdefault(node.name, bits.get(graph.nodes[node.inputs[0]].name, node.bits))
    outputs = zip((node.name for node in graph.nodes), output_scales(graph, values.tensors), strict=True)
    scales = {**{name: scale for name, scale in outputs if scale is not None}, **values.tensors}
    from_float = {
        name
        for node in graph.nodes
        if any(tensors[graph.nodes[source].name].scale is None for source in node.inputs)
        for name in (node.name, linear_name(node), sigmoid_name(node))
    }
    slack = _bias_units(graph, values, tensors) if symmetric else {}
    trace = {}
    for name, (file_name, scale) in tensors.items():
        if file_name not in arrays:
            continue
        found = torch.from_numpy(arrays[file_name]).double()
        found = found.reshape(*found.shape, *[1] * (4 - found.ndim))
        if scale is None:
            trace[name] = TensorTrace(values=found, slack=slack.get(name, 0.0))
            continue
        zero = scale.zero_point if bits[name] == 8 else scales[name].zero_point
        lowest, highest = (-128, 127) if symmetric and bits[name] == 8 else (-zero, 2 ** bits[name] - 1 - zero)
        trace[name] = TensorTrace(
            values=(found - scale.zero_point) * scale.step,
            step=scale.step,
            low=lowest * scale.step,
            high=highest * scale.step,
            edge=FLOAT_EDGE if name in from_float else EDGE,
            slack=slack.get(name, 0.0),
        )
    trace[LOGITS] = TensorTrace(values=torch.from_numpy(arrays[OUTPUT]).double()[:, :, None, None])
    return trace


def _bias_units(graph: Graph, values: NetworkValues, tensors: Mapping[str, FileTensor]) -> dict[str, float]:
    """Return half a unit of the biases in a file whose inputs have scales of its own, by the tensor they are added to.

    The network's biases are whole numbers of its own units.
    """
    found = {}
    for node in graph.nodes:
        if not isinstance(node.op, Weighted):
            continue
        layer, scale = values.layers[node.name], tensors[graph.nodes[node.inputs[0]].name].scale
        if layer.steps is not None and scale is not None:
            _, steps, _ = quantized_layer(layer, node.bits, scale.step)
            name = linear_name(node) if linear_name(node) in tensors else node.name
            found[name] = 0.51 * float(steps.max()) * scale.step
    return found
