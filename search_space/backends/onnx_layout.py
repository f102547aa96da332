"""Which nodes and tensors does an ONNX file have for a graph? In float32, or in int8 with QuantizeLinear (QDQ).

The int8 layout is the one that onnxruntime fuses on x86 and Arm: uint8 activations, int8 weights per output channel,
int32 biases. A clipping activation (relu, relu6) or fewer bits than 8 only lower the largest integer, which is clipped
on the integers, so that the convolution in front stays fused. The `symmetric` layout (int8 activations, every zero
point 0) is TensorRT's. Weights below 8 bits are stored in int8, their integers shifted to the top.

`onnx_model` writes the file that is described here, and `onnx_size` adds up its bytes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph import (
    Act,
    Add,
    ChannelShuffle,
    Concat,
    Conv,
    GlobalPool,
    Input,
    Linear,
    MaxPool,
    MovesOnly,
    Multiply,
    Node,
    Operator,
    Slice,
    Weighted,
)
from .network_values import (
    CLIPPED,
    FINE_BITS,
    LayerValues,
    TensorScale,
    has_linear_scale,
    linear_name,
    quantized_layer,
    sigmoid_name,
)
from .onnx_tensors import OnnxTensors, OutputTensor

INPUT, OUTPUT = "images", "logits"


class OnnxLayout(OnnxTensors):
    """Goes through a graph node by node, and adds what the file has for it."""

    def write_all(self) -> None:
        """Append every node of the graph; the last output is called `logits`."""
        for node in self.graph.nodes:
            self.tensors.append(self.note(node.name, self.write(node)))
        self.finish()

    def finish(self) -> None:
        """Append what makes the last node's output the logits, where that is needed."""
        if self.tensors[-1].plain != OUTPUT:
            self.emit("Flatten", "flatten", [self.plain(len(self.tensors) - 1)], output=OUTPUT, axis=1)

    def write(self, node: Node) -> OutputTensor:
        """Append what the node needs."""
        if isinstance(node.op, Input):
            return self.quantize(node, INPUT)
        if isinstance(node.op, MovesOnly):
            return self.move(node)
        if isinstance(node.op, Concat) and not self.symmetric and (scale := self.scale_of(node.name)) is not None:
            return self.concatenate(node, scale)
        if isinstance(node.op, Weighted):
            name = self.weighted(node, node.op)
        else:
            sources = [self.plain(source) for source in node.inputs]
            name = self.emit(_ONNX_NAMES[type(node.op)], node.name, sources, **_ATTRIBUTES.get(type(node.op), {}))
        return self.quantize(node, self.activation(node, name))

    def weighted(self, node: Node, op: Conv | Linear) -> str:
        """The convolution, or the linear layer as a Gemm on (N, C) whose output gets height and width 1 again."""
        source = self.tensors[node.inputs[0]]
        weight, bias = self.parameters(node, self.values.layers[node.name], source.scale)
        if isinstance(op, Conv):
            return self.emit(
                "Conv",
                node.name,
                [self.plain(node.inputs[0]), weight, bias],
                kernel_shape=[op.kernel] * 2,
                strides=[op.stride] * 2,
                pads=[op.kernel // 2] * 4,
                group=op.groups,
            )
        flat = self.emit("Flatten", f"{node.name}_flatten", [source.quantized or self.plain(node.inputs[0])], axis=1)
        if source.quantized:
            flat = self.dequantize(f"{node.name}_input", flat, source.scale)
        if node is self.graph.nodes[-1] and node.act is None:
            return self.emit("Gemm", node.name, [flat, weight, bias], output=OUTPUT, transB=1)
        y = self.emit("Gemm", node.name, [flat, weight, bias], transB=1)
        axes = self.constant(f"{node.name}_axes", np.array([2, 3], np.int64))
        return self.emit("Unsqueeze", f"{node.name}_unsqueeze", [y, axes])

    def parameters(self, node: Node, layer: LayerValues, source: TensorScale | None) -> tuple[str, str]:
        """Names of weight and bias: integers where layer and input are quantized, else float32."""
        if not self.int8 or layer.steps is None:
            return self.constant(f"{node.name}_weight", layer.weight), self.constant(f"{node.name}_bias", layer.bias)
        if source is None:
            weight = self.rounded(layer, node.bits)
            return self.constant(f"{node.name}_weight", weight), self.constant(f"{node.name}_bias", layer.bias)
        integers, steps, bias = self.integers(layer, node.bits, source.step)
        weight_name = self.emit(
            "DequantizeLinear",
            f"{node.name}_weight_dequantize",
            [
                self.constant(f"{node.name}_weight", integers),
                self.constant(f"{node.name}_weight_scale", steps),
                self.constant(f"{node.name}_weight_zero", np.zeros(len(steps), np.int8)),
            ],
            axis=0,
        )
        bias_name = self.emit(
            "DequantizeLinear",
            f"{node.name}_bias_dequantize",
            [
                self.constant(f"{node.name}_bias", bias),
                self.constant(f"{node.name}_bias_scale", steps * np.float32(source.step)),
                self.constant(f"{node.name}_bias_zero", np.zeros(len(steps), np.int32)),
            ],
            axis=0,
        )
        return weight_name, bias_name

    def rounded(self, layer: LayerValues, bits: int) -> NDArray[Any]:
        """Weight of a layer that runs in float, with the values that its integers stand for."""
        assert layer.steps is not None
        high = 2 ** (bits - 1) - 1
        steps = layer.steps.reshape(-1, *[1] * (layer.weight.ndim - 1))
        rounded: NDArray[Any] = np.clip(np.round(layer.weight / steps), -high, high) * steps
        return rounded

    def integers(self, layer: LayerValues, bits: int, step: float) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Weight, steps and bias of a layer that runs on integers (`quantized_layer`)."""
        return quantized_layer(layer, bits, step)

    def activation(self, node: Node, x: str) -> str:
        """The node's activation; none where it clips and the quantization that follows does so."""
        act = node.act
        if has_linear_scale(node.op, node.act) and (scale := self.scale_of(linear_name(node))) is not None:
            name = linear_name(node)
            x = self.plain_of(self.note(name, self.quantize_as(name, x, scale, FINE_BITS)), name)
        if act is None or (act in CLIPPED and self.scale_of(node.name) is not None and not self.symmetric):
            return x
        if act == "silu":
            name = sigmoid_name(node)
            gate = self.emit("Sigmoid", name, [x])
            if (scale := self.scale_of(name)) is not None:
                gate = self.plain_of(self.note(name, self.quantize_as(name, gate, scale, FINE_BITS)), name)
            return self.emit("Mul", f"{node.name}_silu", [x, gate])
        if act == "relu6":
            return self.clip(f"{node.name}_relu6", x, np.float32(0), np.float32(6))
        kind, attributes = _ACTS[act]
        return self.emit(kind, f"{node.name}_{act}", [x], **attributes)

    def quantize(self, node: Node, x: str) -> OutputTensor:
        """The node's output, quantized if it is to be."""
        scale = self.scale_of(node.name)
        if scale is None:
            return OutputTensor(plain=x)
        bits = FINE_BITS if node.act == "sigmoid" else node.bits
        return self.quantize_as(node.name, x, scale, bits, CLIPPED.get(node.act) if node.act else None)

    def concatenate(self, node: Node, scale: TensorScale) -> OutputTensor:
        """Concatenation of integers; an input that has another scale is quantized again."""
        names = []
        for position, source in enumerate(node.inputs):
            tensor = self.tensors[source]
            if tensor.scale != scale:
                tensor = self.quantize_as(f"{node.name}_{position}", self.plain(source), scale, node.bits)
            assert tensor.quantized is not None
            names.append(tensor.quantized)
        return OutputTensor(quantized=self.emit("Concat", node.name, names, axis=1), scale=scale)

    def move(self, node: Node) -> OutputTensor:
        """An operator that only moves values: on the integers where there are any.

        TensorRT wants every quantized tensor between QuantizeLinear and DequantizeLinear, so there it runs in float.
        """
        source = self.tensors[node.inputs[0]]
        if source.quantized is None or self.symmetric:
            moved = self.activation(node, self.moved(node, node.op, self.plain(node.inputs[0])))
            if source.scale is None:
                return OutputTensor(plain=moved)
            names = self.scale_names(node.name, source.scale)
            return OutputTensor(
                quantized=self.emit("QuantizeLinear", f"{node.name}_quantize", [moved, *names]), scale=source.scale
            )
        return OutputTensor(quantized=self.moved(node, node.op, source.quantized), scale=source.scale)

    def moved(self, node: Node, op: Operator, x: str) -> str:
        if isinstance(op, MaxPool):
            pads = [op.kernel // 2] * 4
            return self.emit(
                "MaxPool", node.name, [x], kernel_shape=[op.kernel] * 2, strides=[op.stride] * 2, pads=pads
            )
        if isinstance(op, ChannelShuffle):
            channels = node.shape.channels
            order = np.arange(channels, dtype=np.int64).reshape(op.groups, -1).T.reshape(-1)
            return self.emit("Gather", node.name, [x, self.constant(f"{node.name}_order", order)], axis=1)
        assert isinstance(op, Slice)
        bounds = [
            self.constant(f"{node.name}_{what}", np.array([value], np.int64))
            for what, value in (("start", op.start), ("stop", op.stop), ("axis", 1))
        ]
        return self.emit("Slice", node.name, [x, *bounds])


_ONNX_NAMES: dict[type[Operator], str] = {
    Add: "Add",
    Multiply: "Mul",
    Concat: "Concat",
    GlobalPool: "GlobalAveragePool",
}
_ATTRIBUTES: dict[type[Operator], dict[str, Any]] = {Concat: {"axis": 1}}
_ACTS: dict[Act, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "hard_swish": ("HardSwish", {}),
    "sigmoid": ("Sigmoid", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
}
