"""Tensors of an ONNX file under construction: in float, or as integers with QuantizeLinear and DequantizeLinear."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..graph import (
    Graph,
)
from .network_values import (
    NetworkValues,
    TensorScale,
    output_scales,
)


class FileTensor(NamedTuple):
    """A tensor of the network as an ONNX file has it."""

    name: str
    """In the file."""
    scale: TensorScale | None
    """Of its integers; None where the file has it in float."""


@dataclass(slots=True)
class OutputTensor:
    """A node's output: in float, quantized, or both, by their names in the file."""

    plain: str | None = None
    quantized: str | None = None
    scale: TensorScale | None = None
    """As it stands in the file; in the symmetric layout not the one of the evaluation."""


class OnnxTensors(ABC):
    """Adds operators and constants to a file, and knows each of the network's tensors in float and as integers.

    What it adds goes to `add_node` and `add_tensor`.
    """

    def __init__(self, graph: Graph, values: NetworkValues, *, int8: bool, symmetric: bool = False) -> None:
        self.graph = graph
        self.values = values
        self.int8 = int8
        self.symmetric = symmetric
        self.tensors: list[OutputTensor] = []
        self.written: dict[str, FileTensor] = {}
        self.scales = dict(zip([n.name for n in graph.nodes], output_scales(graph, values.tensors), strict=True))

    @abstractmethod
    def add_node(self, kind: str, name: str, inputs: Sequence[str], output: str, attributes: dict[str, Any]) -> None:
        """Add an ONNX operator."""

    @abstractmethod
    def add_tensor(self, name: str, array: NDArray[Any]) -> None:
        """Add a tensor of constants."""

    def emit(self, kind: str, name: str, inputs: list[str], *, output: str | None = None, **attributes: Any) -> str:
        output = output or f"{name}_output"
        self.add_node(kind, name, inputs, output, attributes)
        return output

    def constant(self, name: str, array: NDArray[Any]) -> str:
        self.add_tensor(name, array)
        return name

    def clip(self, name: str, x: str, low: np.generic, high: np.generic) -> str:
        bounds = [self.constant(f"{name}_low", np.array(low)), self.constant(f"{name}_high", np.array(high))]
        return self.emit("Clip", name, [x, *bounds])

    def scale_of(self, name: str) -> TensorScale | None:
        """How a tensor is quantized in the evaluation; None where it stays in float."""
        return self.values.tensors.get(name, self.scales.get(name)) if self.int8 else None

    def quantize_as(
        self, name: str, x: str, scale: TensorScale, bits: int, clipped_at: float | None = None
    ) -> OutputTensor:
        """Float tensor `x` as integers; what is `clipped_at` a value is also at least 0."""
        levels = 2**bits - 1
        if self.symmetric:
            return self.quantize_symmetric(name, x, scale, levels)
        lowest, highest = 0, levels
        if clipped_at is not None:
            lowest, highest = scale.zero_point, int(min(levels, scale.zero_point + np.round(clipped_at / scale.step)))
        integers = self.emit("QuantizeLinear", f"{name}_quantize", [x, *self.scale_names(name, scale)])
        if (lowest, highest) != (0, 255):
            integers = self.clip(f"{name}_clip", integers, np.uint8(lowest), np.uint8(highest))
        return OutputTensor(quantized=integers, scale=scale)

    def quantize_symmetric(self, name: str, x: str, scale: TensorScale, levels: int) -> OutputTensor:
        """int8 with zero point 0: below 8 bits the same values, at 8 bits 127 steps to the range's farther end."""
        low, high = -scale.zero_point * scale.step, (levels - scale.zero_point) * scale.step
        step = scale.step if levels < 255 else max(-low, high) / 127
        if levels < 255:
            x = self.clip(f"{name}_clip", x, np.float32(low), np.float32(high))
        symmetric = TensorScale(step=step, zero_point=0)
        integers = self.emit("QuantizeLinear", f"{name}_quantize", [x, *self.scale_names(name, symmetric)])
        return OutputTensor(quantized=integers, scale=symmetric)

    def scale_names(self, name: str, scale: TensorScale) -> list[str]:
        zero_point = np.int8(0) if self.symmetric else np.uint8(scale.zero_point)
        return [
            self.constant(f"{name}_scale", np.array(scale.step, np.float32)),
            self.constant(f"{name}_zero", np.array(zero_point)),
        ]

    def note(self, name: str, tensor: OutputTensor) -> OutputTensor:
        """Remember which of the file's tensors is the network's `name`."""
        found = tensor.quantized or tensor.plain
        assert found is not None
        self.written[name] = FileTensor(found, tensor.scale if tensor.quantized else None)
        return tensor

    def plain(self, source: int) -> str:
        """Name of a node's output in float."""
        return self.plain_of(self.tensors[source], self.graph.nodes[source].name)

    def plain_of(self, tensor: OutputTensor, name: str) -> str:
        if tensor.plain is None:
            assert tensor.quantized is not None
            tensor.plain = self.dequantize(name, tensor.quantized, tensor.scale)
        return tensor.plain

    def dequantize(self, name: str, quantized: str, scale: TensorScale | None) -> str:
        assert scale is not None
        return self.emit("DequantizeLinear", f"{name}_dequantize", [quantized, *self.scale_names(f"{name}_d", scale)])
