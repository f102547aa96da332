"""How does a graph become an ONNX file? `OnnxLayout` says what is in it; here it is written."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from ..graph import Graph
from .network_values import NetworkValues
from .onnx_layout import INPUT, OUTPUT, OnnxLayout
from .onnx_tensors import FileTensor

OPSET, IR_VERSION = 17, 8
"""Read by onnxruntime from 1.13 on, TensorRT from 8.6 on."""


def build_onnx(
    graph: Graph,
    values: NetworkValues,
    *,
    int8: bool = False,
    symmetric: bool = False,
    dynamic_batch: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> ModelProto:
    """The network as an ONNX model: `images` (1, C, H, W) float32, normalised -> `logits` (1, num_classes).

    `int8` quantizes what has 8 bits or fewer with the scales in `values`; otherwise all runs in float32 with the
    weights as they are. `dynamic_batch` leaves the batch axis open. `metadata` is stored as JSON strings in the
    model's metadata.
    """
    writer = _Writer(graph, values, int8=int8, symmetric=symmetric)
    writer.write_all()
    return writer.model(dynamic_batch, metadata or {})


def file_tensors(
    graph: Graph, values: NetworkValues, *, int8: bool = False, symmetric: bool = False
) -> dict[str, FileTensor]:
    """Return which tensors of the file from `build_onnx` are those of the network, by the network's names.

    Those are each node's output and the tensors within a node (`linear_name`, `sigmoid_name`).
    """
    writer = _Writer(graph, values, int8=int8, symmetric=symmetric)
    writer.write_all()
    return writer.written


def input_size(model: ModelProto) -> tuple[int, int | None]:
    """Channels, and height (= width) in pixels of a model's input; None where the size is open."""
    _, channels, height, _ = model.graph.input[0].type.tensor_type.shape.dim
    return channels.dim_value, height.dim_value or None


class _Writer(OnnxLayout):
    """Collects the messages of the file."""

    def __init__(self, graph: Graph, values: NetworkValues, *, int8: bool, symmetric: bool) -> None:
        super().__init__(graph, values, int8=int8, symmetric=symmetric)
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []

    def add_node(self, kind: str, name: str, inputs: Sequence[str], output: str, attributes: dict[str, Any]) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))

    def add_tensor(self, name: str, array: NDArray[Any]) -> None:
        self.initializers.append(numpy_helper.from_array(array, name))

    def model(self, dynamic_batch: bool, metadata: Mapping[str, Any]) -> ModelProto:
        shape = self.graph.nodes[0].shape
        batch: int | str = "batch" if dynamic_batch else 1
        size = [batch, shape.channels, shape.height, shape.width]
        images = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, size)
        classes = self.graph.nodes[-1].shape.channels
        logits = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [batch, classes])
        graph = helper.make_graph(self.nodes, "resfront", [images], [logits], self.initializers)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="resfront",
        )
        helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
        return model
