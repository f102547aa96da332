"""Random networks as ONNX files: valid, complete, and laid out as integer runtimes want them."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from runners.verification.onnx_files import optimised_nodes
from search_space.backends.network_values import (
    LayerValues,
    NetworkValues,
    TensorScale,
    input_scales,
    quantized_layer,
    quantized_tensors,
    random_values,
)
from search_space.backends.onnx_model import build_onnx, input_size
from search_space.graph import BITS, Add, Concat, Conv, Graph, GraphBuilder, Input, Linear, MovesOnly, Node, Weighted
from search_space.references import reference, reference_names
from search_space.space import SearchSpace
from search_space.spec import ArchSpec, StageSpec
from tests.search_space.test_space import SPACES as NARROW_SPACES
from tests.search_space.test_space import drawn

SPACES = {
    **NARROW_SPACES,
    "float and few bits": SearchSpace(
        depth=(18, 30),
        block_scope="stage",
        base_width=(8, 16),
        resolution=(8, 13),
        bits=(32, 8, 6, 3, 2),
        bits_scope="stage",
        num_classes=3,
    ),
}
FLAVOURS: dict[str, dict[str, bool]] = {
    "float": {},
    "int8": {"int8": True},
    "symmetric": {"int8": True, "symmetric": True},
}
ACTIVATIONS = ("Relu", "HardSwish", "Sigmoid", "HardSigmoid")


class File:
    """What a runtime finds in a model."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.producers = {node.output[0]: node for node in self.nodes}

    @cached_property
    def shapes(self) -> dict[str, tuple[Any, ...]]:
        """Shape of every tensor, as onnx infers it."""
        graph = shape_inference.infer_shapes(self.model, strict_mode=True, data_prop=True).graph
        return {info.name: shape_of(info) for info in (*graph.value_info, *graph.input, *graph.output)}

    def weighted(self) -> dict[str, NodeProto]:
        return {node.name: node for node in self.nodes if node.op_type in ("Conv", "Gemm")}

    def counts(self) -> Counter[str]:
        return Counter(node.op_type for node in self.nodes)

    def dequantized_constants(self) -> Iterator[NodeProto]:
        return (n for n in self.nodes if n.op_type == "DequantizeLinear" and n.input[0] in self.constants)

    def quantized_activations(self) -> Iterator[NodeProto]:
        kinds = ("QuantizeLinear", "DequantizeLinear")
        return (n for n in self.nodes if n.op_type in kinds and n.input[0] not in self.constants)

    def scale_of(self, name: str) -> tuple[float, int]:
        """Step and zero point of a tensor of integers, behind what moves them or clips them."""
        node = self.producers[name]
        while node.op_type != "QuantizeLinear":
            node = self.producers[node.input[0]]
        return float(self.constants[node.input[1]]), int(self.constants[node.input[2]])

    def value(self, name: str) -> NDArray[Any]:
        """A weight or bias in float."""
        if name in self.constants:
            return self.constants[name]
        node = self.producers[name]
        integers, scale = self.constants[node.input[0]], self.constants[node.input[1]]
        return np.asarray(integers.astype(np.float32) * scale.reshape(-1, *[1] * (integers.ndim - 1)))


def shape_of(info: onnx.ValueInfoProto) -> tuple[Any, ...]:
    return tuple(dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim)


def run(model: ModelProto, images: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"images": images})
    return np.asarray(logits)


def images_for(graph: Graph, count: int = 1, size: int | None = None) -> NDArray[np.float32]:
    shape = graph.nodes[0].shape
    size = size or shape.height
    return np.random.default_rng(0).standard_normal((count, shape.channels, size, size), dtype=np.float32)


def weighted_nodes(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if isinstance(node.op, Weighted)]


# --- what holds for every file --------------------------------------------------------------------


def check_file(graph: Graph, values: NetworkValues, flavour: str) -> None:
    """Structure, interface, completeness and, below 32 bits, layout."""
    model = build_onnx(graph, values, **FLAVOURS[flavour])
    onnx.checker.check_model(model, full_check=True)
    file = File(model)
    check_interface(file, graph)
    check_nothing_is_dead(file)
    check_weights(file, graph, values)
    if flavour == "float":
        check_float(file, graph)
    else:
        check_constants(file, graph, values)
        check_activations(file, graph, values, symmetric=flavour == "symmetric")


def check_interface(file: File, graph: Graph) -> None:
    shape, classes = graph.nodes[0].shape, graph.nodes[-1].shape.channels
    (images,), (logits,) = file.model.graph.input, file.model.graph.output
    assert (images.name, shape_of(images)) == ("images", (1, *shape))
    assert (logits.name, shape_of(logits)) == ("logits", (1, classes))
    assert {t.type.tensor_type.elem_type for t in (images, logits)} == {TensorProto.FLOAT}
    assert input_size(file.model) == (shape.channels, shape.height)
    assert [(o.domain, o.version) for o in file.model.opset_import] == [("", 17)]
    for node in graph.nodes[:-1]:
        if not isinstance(node.op, Input):
            expected = (1, *node.shape)
            assert file.shapes[f"{node.name}_output"] == (expected[:2] if isinstance(node.op, Linear) else expected)


def check_nothing_is_dead(file: File) -> None:
    """Every output and every constant is read, and no name is given twice."""
    read = {name for node in file.nodes for name in node.input}
    outputs = [name for node in file.nodes for name in node.output]
    assert set(outputs) - read == {"logits"}
    assert set(file.constants) <= read
    names = [*outputs, *(tensor.name for tensor in file.model.graph.initializer)]
    assert len(names) == len(set(names))
    assert len({node.name for node in file.nodes}) == len(file.nodes)


def check_weights(file: File, graph: Graph, values: NetworkValues) -> None:
    """One Conv or Gemm for each layer, with all its weights and its attributes."""
    found = file.weighted()
    layers = weighted_nodes(graph)
    assert list(found) == [node.name for node in layers]
    for node in layers:
        written, op = found[node.name], node.op
        weight, bias = file.value(written.input[1]), file.value(written.input[2])
        assert weight.shape == values.layers[node.name].weight.shape
        assert isinstance(op, Weighted) and (weight.size, bias.size) == (op.num_weights, op.out_channels)
        if isinstance(op, Conv):
            attributes = {a.name: helper.get_attribute_value(a) for a in written.attribute}
            assert (attributes["strides"], attributes["group"]) == ([op.stride] * 2, op.groups)


def check_float(file: File, graph: Graph) -> None:
    """Nothing but float operators; an activation for each node that has one."""
    counts = file.counts()
    assert counts["Conv"] == sum(isinstance(node.op, Conv) for node in graph.nodes)
    assert counts["Gemm"] == sum(isinstance(node.op, Linear) for node in graph.nodes)
    assert counts["QuantizeLinear"] == counts["DequantizeLinear"] == 0
    acts = Counter(node.act for node in graph.nodes)
    assert sum(counts[kind] for kind in ACTIVATIONS) == sum(acts.values()) - acts[None] - acts["relu6"]
    assert (counts["Clip"], counts["Add"]) == (acts["relu6"], sum(isinstance(n.op, Add) for n in graph.nodes))


def check_constants(file: File, graph: Graph, values: NetworkValues) -> None:
    """int8 weights of as few values as their bits, int32 biases in the products' unit, both with scales a channel."""
    for node in weighted_nodes(graph):
        written, source = file.weighted()[node.name], origin(graph, node.inputs[0])
        if node.bits == 32 or source.bits == 32:
            assert {file.constants[name].dtype for name in written.input[1:]} == {np.dtype(np.float32)}
            continue
        weight, bias = (file.producers[name] for name in written.input[1:])
        channels, layer = node.shape.channels, values.layers[node.name]
        for constant, dtype in ((weight, np.int8), (bias, np.int32)):
            integers, scale, zero = (file.constants[name] for name in constant.input)
            assert (integers.dtype, scale.dtype, zero.dtype) == (dtype, np.float32, dtype)
            assert scale.shape == zero.shape == (channels,) and not zero.any()
            assert [helper.get_attribute_value(a) for a in constant.attribute if a.name == "axis"] == [0]
        integers, scale, _ = (file.constants[name] for name in weight.input)
        unit, high = 2 ** (8 - node.bits), 2 ** (node.bits - 1) - 1
        assert not (integers % unit).any()
        # The largest weight of each channel has the highest integer: `random_values` has such steps.
        assert (np.abs(integers.astype(int)).reshape(channels, -1).max(1) == high * unit).all()
        assert layer.steps is not None
        np.testing.assert_array_equal(file.value(written.input[1]), fake_quantized(layer.weight, layer.steps, high))
        input_scale = file.constants[file.producers[written.input[0]].input[1]]
        np.testing.assert_allclose(file.constants[bias.input[1]], scale * input_scale, rtol=1e-6)


def check_activations(file: File, graph: Graph, values: NetworkValues, *, symmetric: bool) -> None:
    """One scale and zero point a tensor, as scalars: of shape (1,), onnxruntime would not fuse QLinearAdd."""
    expected = quantized_tensors(graph)
    written = Counter(node.name.removesuffix("_quantize") for node in file.nodes if node.op_type == "QuantizeLinear")
    moved = {node.name for node in graph.nodes if isinstance(node.op, MovesOnly | Concat) and node.bits < 32}
    assert not moved & set(expected)
    assert written == Counter([*expected, *(moved if symmetric else ())])
    for node in file.quantized_activations():
        scale, zero = (file.constants[name] for name in node.input[1:])
        assert (scale.shape, zero.shape) == ((), ())
        assert (scale.dtype, zero.dtype) == (np.float32, np.int8 if symmetric else np.uint8)
        assert not symmetric or zero == 0
    if not symmetric:
        for name, scale in values.tensors.items():
            quantize = next(node for node in file.nodes if node.name == f"{name}_quantize")
            assert file.constants[quantize.input[1]] == np.float32(scale.step)
            assert file.constants[quantize.input[2]] == scale.zero_point


def fake_quantized(weight: NDArray[np.float32], steps: NDArray[np.float32], high: int) -> NDArray[np.float32]:
    columns = steps.reshape(-1, *[1] * (weight.ndim - 1))
    return np.asarray(np.clip(np.round(weight / columns), -high, high) * columns)


def origin(graph: Graph, position: int) -> Node:
    """The node that computed the values at a position (the first of those concatenated), behind all that moves them."""
    while isinstance(graph.nodes[position].op, MovesOnly | Concat):
        position = graph.nodes[position].inputs[0]
    return graph.nodes[position]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_files_of_random_networks(space: SearchSpace, flavour: str) -> None:
    specs = drawn(space, 12)
    assert len({spec.key for spec in specs}) == 12
    for number, spec in enumerate(specs):
        graph = spec.build_graph()
        check_file(graph, random_values(graph, seed=number), flavour)


def test_the_random_networks_have_all_that_a_space_can_hold() -> None:
    specs = [spec for space in SPACES.values() for spec in drawn(space, 12)]
    stages = [stage for spec in specs for stage in spec.stages]
    assert {stage.bits for stage in stages} == set(BITS)
    assert len({(stage.block, stage.se, stage.bits == 32) for stage in stages}) == 16
    assert sum(len(set(spec.bits)) > 1 and 32 in spec.bits for spec in specs) > 15


@pytest.mark.parametrize("name", reference_names())
def test_files_of_references(name: str) -> None:
    if sum(node.num_params for node in reference(name).build_graph().nodes) > 1e7:
        name += "@0.25"  # hundreds of megabytes take their time
    for bits, flavour in ((32, "float"), (8, "int8"), (4, "int8"), (8, "symmetric")):
        graph = reference(name, resolution=32, bits=bits).build_graph()
        check_file(graph, random_values(graph), flavour)


# --- what a runtime makes of them -----------------------------------------------------------------


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_runtime_takes_them_and_random_values_do_not_explode(space: SearchSpace) -> None:
    for spec in drawn(space, 6):
        graph = spec.build_graph()
        values = random_values(graph)
        plain, *others = (run(build_onnx(graph, values, **options), images_for(graph)) for options in FLAVOURS.values())
        assert plain.shape == (1, spec.num_classes)
        for logits in (plain, *others):
            assert np.isfinite(logits).all() and 0 < np.ptp(logits) < 1e3


def block_spec(block: str, se: bool, bits: int) -> ArchSpec:
    stages = tuple(
        StageSpec(block=block, num_blocks=2, width=width, stride=stride, se=se, bits=bits)
        for width, stride in ((8, 1), (16, 2), (16, 2))
    )
    return ArchSpec(stem="3x3", stem_width=8, stages=stages, resolution=12)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("se", [False, True])
@pytest.mark.parametrize("block", ["basic", "bottleneck", "depthwise", "ghost"])
def test_sums_run_in_integers_too(block: str, se: bool, bits: int) -> None:
    """onnxruntime fuses a sum into QLinearAdd only if the scales around it are scalars."""
    graph = block_spec(block, se, bits).build_graph()
    model = build_onnx(graph, random_values(graph), int8=True)
    fused = Counter(node.op_type for node in optimised_nodes(model.SerializeToString()))
    adds = sum(isinstance(node.op, Add) for node in graph.nodes)
    assert adds >= 6
    assert (fused["QLinearAdd"], fused["Add"]) == (adds, 0)


# --- open axes, metadata --------------------------------------------------------------------------

MIXED = replace(
    block_spec("ghost", True, 4),
    stages=tuple(
        replace(stage, bits=bits, block=block)
        for stage, bits, block in zip(
            block_spec("ghost", True, 4).stages, (8, 32, 4), ("ghost", "basic", "depthwise"), strict=True
        )
    ),
)
OPEN = {
    "float": block_spec("basic", True, 32),
    "int8": block_spec("depthwise", True, 8),
    "symmetric": block_spec("bottleneck", True, 8),
    "int8, mixed": MIXED,
    "symmetric, mixed": MIXED,
    "int8, shuffle": reference("shufflenetv2@0.5", resolution=32, bits=8),
    "float, shuffle": reference("shufflenetv2@0.5", resolution=32),
}


def louder(values: NetworkValues) -> NetworkValues:
    """Weights of twice the variance: with the halved one, 8-bit logits of a deep network without shortcuts vanish."""
    factor = np.float32(2**0.5)
    return replace(
        values,
        layers={
            name: replace(
                layer, weight=layer.weight * factor, steps=None if layer.steps is None else layer.steps * factor
            )
            for name, layer in values.layers.items()
        },
    )


@pytest.mark.parametrize("name", OPEN)
def test_an_open_batch_axis_takes_any_batch_and_changes_no_output(name: str) -> None:
    spec = OPEN[name]
    flavour = FLAVOURS[name.partition(",")[0]]
    graph = spec.build_graph()
    values = louder(random_values(graph))
    images = images_for(graph, count=3)
    one_by_one = np.concatenate([run(build_onnx(graph, values, **flavour), images[i : i + 1]) for i in range(3)])
    batch = build_onnx(graph, values, **flavour, dynamic_batch=True)
    channels = graph.nodes[0].shape.channels
    onnx.checker.check_model(batch, full_check=True)
    assert shape_of(batch.graph.input[0]) == ("batch", channels, spec.resolution, spec.resolution)
    assert shape_of(batch.graph.output[0]) == ("batch", spec.num_classes)
    assert input_size(batch) == (channels, spec.resolution)
    assert np.ptp(one_by_one, axis=0).min() > 0
    np.testing.assert_allclose(run(batch, images), one_by_one, rtol=1e-4, atol=1e-5)


def test_a_size_that_a_file_leaves_open_is_none() -> None:
    graph = block_spec("basic", False, 32).build_graph()
    model = build_onnx(graph, random_values(graph))
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = "size"
    assert input_size(model) == (graph.nodes[0].shape.channels, None)


def test_metadata_comes_back_as_it_was() -> None:
    graph = block_spec("basic", False, 32).build_graph()
    metadata = {"class_names": ["T-shirt/top", "Größe", '"'], "mean": [0.1, 1 / 3], "spec": MIXED.to_dict(), "n": None}
    model = ModelProto.FromString(build_onnx(graph, random_values(graph), metadata=metadata).SerializeToString())
    assert {entry.key: json.loads(entry.value) for entry in model.metadata_props} == metadata
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()} == metadata
    assert not build_onnx(graph, random_values(graph)).metadata_props


# --- numbers --------------------------------------------------------------------------------------


def random_layer(generator: np.random.Generator, bits: int, least_step: float = 0.3) -> tuple[LayerValues, float]:
    """A layer of any size and scale, with an all-zero channel, and the step of its input.

    Weight steps are a multiple of those that clip no weight, from `least_step` on.
    """
    out, fan_in, kernel = generator.integers(2, 20), generator.integers(1, 30), int(generator.choice([1, 3, 5]))
    shape = (out, fan_in) if generator.random() < 0.3 else (out, fan_in, kernel, kernel)
    weight = generator.standard_normal(shape) * 10 ** generator.uniform(-5, 2, (out, *[1] * (len(shape) - 1)))
    weight[0] = 0
    largest = np.abs(weight).reshape(out, -1).max(1) / (2 ** (bits - 1) - 1)
    steps = np.maximum(largest * generator.uniform(least_step, 3, out), 1e-8).astype(np.float32)
    bias = (generator.standard_normal(out) * 10 ** generator.uniform(-3, 3)).astype(np.float32)
    return LayerValues(weight=weight.astype(np.float32), bias=bias, steps=steps), 10 ** generator.uniform(-3, 0)


def dequantized(integers: NDArray[np.int8], steps: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(integers.astype(np.float32) * steps.reshape(-1, *[1] * (integers.ndim - 1)))


FEW_BITS = [bits for bits in BITS if bits < 32]


@pytest.mark.parametrize("bits", FEW_BITS)
def test_integers_stand_for_the_rounded_weights_and_biases_fit(bits: int) -> None:
    generator = np.random.default_rng(bits)
    unit, high = 2 ** (8 - bits), 2 ** (bits - 1) - 1
    enlarged_channels = clipped = 0
    for _ in range(300):
        layer, input_step = random_layer(generator, bits)
        assert layer.steps is not None
        integers, steps, bias = quantized_layer(layer, bits, input_step)
        assert (integers.dtype, steps.dtype, bias.dtype) == (np.int8, np.float32, np.int32)
        assert not (integers % unit).any() and np.abs(integers.astype(int)).max() <= high * unit
        # A larger step only where the exact one would let the bias overflow, and then no larger than it takes.
        exact = layer.bias.astype(np.float64) / (layer.steps.astype(np.float64) / unit * input_step)
        enlarged = steps * np.float32(unit) != layer.steps
        np.testing.assert_array_equal(enlarged, np.abs(exact) > 2**30)
        rounded = fake_quantized(layer.weight, layer.steps, high)
        np.testing.assert_array_equal(dequantized(integers, steps)[~enlarged], rounded[~enlarged])
        number = layer.bias.astype(np.float64) / (steps.astype(np.float64) * input_step)
        assert (np.abs(number[enlarged]) > 0.9999 * 2**30).all() and np.abs(number).max() < 1.0001 * 2**30
        np.testing.assert_array_equal(bias, np.round(number))
        enlarged_channels += int(enlarged.sum())
        clipped += int((np.abs(layer.weight) > (high + 1) * layer.steps.reshape(-1, *[1] * (integers.ndim - 1))).sum())
    assert enlarged_channels > 300 and clipped > 300


@pytest.mark.parametrize("bits", FEW_BITS)
def test_a_larger_step_for_the_bias_costs_less_than_the_output_shows(bits: int) -> None:
    """With every input at its highest, each weight moves sums by 1e-4 of the step of an output that holds the bias."""
    generator = np.random.default_rng(bits)
    moved = 0
    for _ in range(300):
        layer, input_step = random_layer(generator, bits, least_step=1)
        assert layer.steps is not None
        layer = replace(layer, bias=layer.bias * np.float32(30))
        integers, steps, _ = quantized_layer(layer, bits, input_step)
        enlarged = steps * np.float32(2 ** (8 - bits)) != layer.steps
        change = dequantized(integers, steps) - fake_quantized(layer.weight, layer.steps, 2 ** (bits - 1) - 1)
        sums = np.abs(change).reshape(len(steps), -1).sum(1) * 255 * input_step
        output_step = np.abs(layer.bias) / (2**bits - 1)
        assert (sums[enlarged] <= output_step[enlarged] * change[0].size * 1e-4).all()
        moved += int((sums > 0).sum())
    assert moved > 150


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_scales_are_those_of_what_computed_the_values(space: SearchSpace) -> None:
    """A scale for each quantized node that computes, but for the logits, and for the input of each layer behind one."""
    shuffles = [reference(name, resolution=64, bits=8) for name in ("shufflenetv2@0.5", "ghostnet@0.5")]
    for spec in (*drawn(space, 20), *shuffles):
        graph = spec.build_graph()
        tensors = quantized_tensors(graph)
        moves = MovesOnly | Concat
        computed = [node for node in graph.nodes[:-1] if not isinstance(node.op, moves) and node.bits < 32]
        bits = {name: tensor.bits for name, tensor in tensors.items()}
        assert {name: b for name, b in bits.items() if not name.endswith("_linear")} == {
            node.name: 8 if node.act == "sigmoid" else node.bits for node in computed
        }
        gates = [n.name for n in computed if n.act not in (None, "relu", "relu6")]
        order = list(tensors)
        assert {name: b for name, b in bits.items() if name.endswith("_linear")} == {f"{g}_linear": 8 for g in gates}
        assert all(order.index(f"{name}_linear") + 1 == order.index(name) for name in gates)
        assert {name for name, tensor in tensors.items() if tensor.given} == {
            node.name for node in computed if isinstance(node.op, Input) or node.act == "sigmoid"
        }
        check_groups(graph)
        steps = {group: 1.0 + number for number, group in enumerate({t.group for t in tensors.values()})}
        scales = {name: TensorScale(step=steps[tensor.group], zero_point=0) for name, tensor in tensors.items()}
        expected = {n.name: scales.get(origin(graph, n.inputs[0]).name) for n in weighted_nodes(graph)}
        assert input_scales(graph, scales) == expected
        assert set(input_scales(graph, {}).values()) == {None}


def check_groups(graph: Graph) -> None:
    """Tensors share a scale if their values meet in a concatenation, directly or by way of others, and only then."""
    tensors = quantized_tensors(graph)
    parts: list[set[str]] = []
    for node in graph.nodes[:-1]:
        if isinstance(node.op, MovesOnly | Concat):
            parts.append(set().union(*(parts[source] for source in node.inputs)))
        else:
            parts.append({node.name} & set(tensors))
    met = [part for node, part in zip(graph.nodes, parts, strict=False) if isinstance(node.op, Concat)]
    groups = {name: {name} for name in tensors}
    for part in met:
        joined = set().union(*(groups[name] for name in part))
        groups |= dict.fromkeys(joined, joined)
    for name, group in groups.items():
        assert {other for other, tensor in tensors.items() if tensor.group == tensors[name].group} == group
        assert tensors[name].group in group


@pytest.mark.parametrize("name", ["ghost, 8 bits", "ghost, 4 bits", "ghostnet", "shufflenetv2"])
def test_concatenated_tensors_share_one_scale(name: str) -> None:
    """A Ghost module's two halves do; in ShuffleNetV2, whose halves go on from block to block, all of a stage do."""
    if name.startswith("ghost,"):
        graph = block_spec("ghost", True, int(name[7])).build_graph()
        sizes = {2: 12}
    else:
        graph = reference(name, resolution=64, bits=8).build_graph()
        sizes = {"ghostnet": {2: 32}, "shufflenetv2": {5: 2, 9: 1}}[name]
    check_groups(graph)
    counts = Counter(Counter(tensor.group for tensor in quantized_tensors(graph).values()).values())
    assert {size: count for size, count in counts.items() if size > 1} == sizes
    file = File(build_onnx(graph, random_values(graph), int8=True))
    for node in file.nodes:
        if node.op_type == "Concat":
            assert len({file.scale_of(source) for source in node.input}) == 1


def concatenations(bits: int) -> Graph:
    """The image, a sigmoid, a float tensor and two 8-bit ones, concatenated at `bits`."""
    g = GraphBuilder(3, 8, bits=32)
    in_float = g.conv(g.conv(g.input, 4, kernel=3), 2, kernel=1)
    g.bits = 8
    g.enter("quantized")
    one, other = g.conv(in_float, 2, kernel=1), g.conv(in_float, 3, kernel=1, act=None)
    gate = g.conv(one, 2, kernel=1, act="sigmoid")
    g.bits = bits
    g.enter("joined")
    x = g.concat(one, gate, in_float, other)
    g.bits = 8
    g.enter("head")
    g.linear(g.global_pool(g.conv(x, 4, kernel=3)), 10)
    return g.build()


@pytest.mark.parametrize("bits", [8, 4, 32])
def test_what_cannot_share_a_scale_is_quantized_again(bits: int) -> None:
    """A tensor in float, one at other bits, and a sigmoid, whose scale is given."""
    graph = concatenations(bits)
    tensors = quantized_tensors(graph)
    groups = {name: tensor.group for name, tensor in tensors.items()}
    one, other, joined = "quantized_conv1", "quantized_conv2", "joined_concat1"
    assert ("joined_concat1" in tensors) is (bits < 32)
    if bits < 32:
        assert (groups[one] == groups[other] == groups[joined]) is (bits == 8)
        assert tensors[joined].bits == bits
    assert len({groups[one], groups["quantized_conv3"]}) == 2
    model = build_onnx(graph, random_values(graph), int8=True)
    onnx.checker.check_model(model, full_check=True)
    again = [node.name for node in model.graph.node if re.fullmatch(r"joined_concat1_\d_quantize", node.name)]
    assert again == [f"joined_concat1_{i}_quantize" for i in {8: (1, 2), 4: (0, 1, 2, 3), 32: ()}[bits]]


def test_a_clipped_range_ends_where_the_activation_does() -> None:
    """relu6 in a range that goes beyond 6, where the highest integer is the nearest to 6, and in one that does not."""
    graph = reference("mobilenetv2@0.35", resolution=32, bits=8).build_graph()
    values = random_values(graph)
    for step, highest in ((0.05, 120), (0.02, None)):
        scales = {name: replace(scale, step=step) for name, scale in values.tensors.items()}
        file = File(build_onnx(graph, replace(values, tensors=scales), int8=True))
        clips = {node.name: node for node in file.nodes if node.op_type == "Clip"}
        relu6 = [node.name for node in graph.nodes if node.act == "relu6"]
        assert len(relu6) > 30
        assert set(clips) == ({f"{name}_clip" for name in relu6} if highest else set())
        for clip in clips.values():
            low, high = (file.constants[name] for name in clip.input[1:])
            assert (low, high, low.dtype, high.dtype) == (0, highest, np.uint8, np.uint8)
