"""When two runs are the same network: right ones always are, and each kind of wrong one never is."""

import copy
import io
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper
from torch import nn

from runners.network_weights import weights_of
from runners.quantization.simulation import QuantizedNetwork
from runners.training.batches import DeviceImages
from runners.verification.answer_agreement import CLOSE_STEPS, ReferenceRun, run_reference
from runners.verification.check_files import check_onnx_file, check_program_file, check_weights, traced_images
from runners.verification.layer_comparison import TensorTrace, compare_exactly, compare_layers
from runners.verification.torch_export import export_program, float_network, frozen_network
from search_space.backends.torch_network import GraphNetwork, build_network
from search_space.graph import FLOAT_BITS, Graph, GraphBuilder, Ref
from search_space.space import BLOCK_CHOICES
from search_space.spec import ArchSpec
from tests.runners.verification.test_torch_export import (
    block_network,
    block_spec,
    every_operator_network,
    file_of,
    images,
    randomised,
)

pytestmark = pytest.mark.numbers

BITS = (8, 6, 4, 3, 2)
VALIDATION = images()[1]


# --- runs that are right --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("choice", BLOCK_CHOICES)
def test_float64_and_float32_are_one_network(choice: str, seed: int) -> None:
    """Whose sums differ as those of two processors do, at bits drawn at random; each has some of its answers close."""
    rng = np.random.default_rng(seed)
    network = block_network(choice, tuple(int(b) for b in rng.choice(BITS, 3)))
    reference = run_reference(network, VALIDATION)
    with torch.inference_mode():
        x = VALIDATION.normalised(slice(0, len(VALIDATION))).double()
        exact = frozen_network(network).double()(x).numpy()
    agreement = reference.compare(exact)
    assert agreement.holds and not agreement.in_float, agreement
    assert 0 < agreement.decided <= agreement.images == 500
    right = float((exact.argmax(1) == VALIDATION.labels.numpy()).mean())
    assert abs(right - reference.accuracy) <= reference.accuracy_tolerance < 0.05


# --- files that are wrong -------------------------------------------------------------------------


def constants(model: ModelProto, suffix: str, nth: int = 0) -> onnx.TensorProto:
    """The n-th constant whose name ends so, of the second stage."""
    found = [t for t in model.graph.initializer if t.name.startswith("stage2") and t.name.endswith(suffix)]
    return found[nth]


def put(tensor: onnx.TensorProto, array: NDArray[np.generic]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))


def swap_channels(model: ModelProto) -> None:
    """Two output channels of a convolution change places."""
    weight = constants(model, "conv1_weight")
    array = numpy_helper.to_array(weight).copy()
    array[[0, 1]] = array[[1, 0]]
    put(weight, array)


def lose_a_bias(model: ModelProto) -> None:
    bias = constants(model, "conv1_bias")
    array = numpy_helper.to_array(bias).copy()
    array[np.abs(array).argmax()] = 0
    put(bias, array)


def scale_an_activation(model: ModelProto) -> None:
    scale = constants(model, "conv1_scale")
    put(scale, numpy_helper.to_array(scale) * np.float32(1.02))


def scale_what_is_read(model: ModelProto) -> None:
    scale = constants(model, "conv1_d_scale")
    put(scale, numpy_helper.to_array(scale) * np.float32(1.02))


def scale_the_weights(model: ModelProto) -> None:
    """In a float file the weights themselves."""
    names = {tensor.name for tensor in model.graph.initializer}
    suffix = "conv1_weight_scale" if any(n.endswith("conv1_weight_scale") for n in names) else "conv1_weight"
    weight = constants(model, suffix)
    put(weight, numpy_helper.to_array(weight) * np.float32(1.02))


def first_of(model: ModelProto, kind: str) -> onnx.NodeProto | None:
    """The second stage's first operator of a kind."""
    return next((n for n in model.graph.node if n.op_type == kind and n.name.startswith("stage2")), None)


def drop(model: ModelProto, kind: str) -> None:
    """Take an operator out of the chain."""
    node = first_of(model, kind)
    assert node is not None
    for other in model.graph.node:
        other.input[:] = [node.input[0] if name == node.output[0] else name for name in other.input]
    model.graph.node.remove(node)


def lose_a_relu(model: ModelProto) -> None:
    """Below 8 bits it ends with the clip of the integers; at 8 bits the zero point is all there is of it."""
    if relu := first_of(model, "Relu"):
        relu.op_type = "Identity"
        return
    if clip := first_of(model, "Clip"):
        put(next(t for t in model.graph.initializer if t.name == clip.input[2]), np.array(255, np.uint8))
        return
    for suffix in ("conv1_zero", "conv1_d_zero"):
        put(constants(model, suffix), np.array(100, np.uint8))


Damage = Callable[[ModelProto], None]
FLOAT_DAMAGES: list[Damage] = [swap_channels, lose_a_bias, scale_the_weights, lose_a_relu]
INT8_DAMAGES: list[Damage] = [*FLOAT_DAMAGES, scale_an_activation, scale_what_is_read]


@pytest.mark.parametrize("damage", FLOAT_DAMAGES)
@pytest.mark.parametrize("choice", ["basic", "se_ghost"])
def test_a_wrong_float_file_is_found(choice: str, damage: Damage) -> None:
    network = float_network(block_network(choice, (8, 8, 8)))
    model = onnx.load_from_string(file_of(network))
    assert check_onnx_file(model.SerializeToString(), network, VALIDATION).problem is None
    damage(model)
    problem = check_onnx_file(model.SerializeToString(), network, VALIDATION).problem
    assert problem and problem.startswith("'stage2_block1_conv")


@pytest.mark.parametrize("damage", INT8_DAMAGES)
@pytest.mark.parametrize("bits", BITS)
def test_a_wrong_int8_file_is_found(bits: int, damage: Damage) -> None:
    network = block_network("basic", (bits,) * 3)
    model = onnx.load_from_string(file_of(network, int8=True))
    assert check_onnx_file(model.SerializeToString(), network, VALIDATION, int8=True).problem is None
    damage(model)
    problem = check_onnx_file(model.SerializeToString(), network, VALIDATION, int8=True).problem
    assert problem and problem.startswith("'stage2_block1_conv"), problem


@pytest.mark.parametrize("damage", [swap_channels, lose_a_bias, scale_an_activation, scale_the_weights])
@pytest.mark.parametrize("bits", [8, 4])
def test_a_wrong_symmetric_file_is_found(bits: int, damage: Damage) -> None:
    network = block_network("bottleneck", (bits,) * 3)
    model = onnx.load_from_string(file_of(network, int8=True, symmetric=True))
    check = check_onnx_file(model.SerializeToString(), network, VALIDATION, int8=True, symmetric=True)
    assert check.problem is None
    damage(model)
    check = check_onnx_file(model.SerializeToString(), network, VALIDATION, int8=True, symmetric=True)
    assert check.problem and check.problem.startswith("'stage2_block1_conv")


@pytest.mark.parametrize("dropped", [True, False])
@pytest.mark.parametrize("int8", [True, False])
def test_a_sigmoid_that_is_missing_is_found(int8: bool, dropped: bool) -> None:
    """From the file altogether, or in what it computes."""
    network = block_network("se", (8, 8, 8))
    computed = network if int8 else float_network(network)
    model = onnx.load_from_string(file_of(network, int8=int8))
    if dropped:
        drop(model, "Sigmoid")
    else:
        sigmoid = first_of(model, "Sigmoid")
        assert sigmoid is not None
        sigmoid.op_type = "Identity"
    problem = check_onnx_file(model.SerializeToString(), computed, VALIDATION, int8=int8).problem
    assert problem and problem.startswith("'stage2_block1_se_expand'")


def test_a_file_that_is_no_model_is_found() -> None:
    network = block_network("basic", (8, 8, 8))
    model = onnx.load_from_string(file_of(network, int8=True))
    model.graph.node[3].op_type = "Konv"
    problem = check_onnx_file(model.SerializeToString(), network, VALIDATION, int8=True).problem
    assert problem and problem.startswith("onnx's checker")


# --- graphs of one's own --------------------------------------------------------------------------


def ends_in_an_activation(g: GraphBuilder, x: Ref) -> None:
    g.linear(g.global_pool(g.conv(x, 6, kernel=3)), 10, act="sigmoid")


def ends_in_a_concatenation(g: GraphBuilder, x: Ref) -> None:
    pooled = g.global_pool(g.conv(x, 6, kernel=3))
    g.concat(g.conv(pooled, 5, kernel=1), g.conv(pooled, 5, kernel=1, act=None))


def ends_in_a_pool(g: GraphBuilder, x: Ref) -> None:
    g.global_pool(g.conv(x, 10, kernel=3))


def moves_a_sigmoid(g: GraphBuilder, x: Ref) -> None:
    y = g.max_pool(g.slice(g.conv(x, 8, kernel=3, act="sigmoid"), 2, 6))
    g.linear(g.global_pool(y), 10)


def joins_what_differs(g: GraphBuilder, x: Ref) -> None:
    """A relu6 and a tensor with negative values at one scale, and a sigmoid and the image at that scale too."""
    one, other = g.conv(x, 4, kernel=3, act="relu6"), g.conv(x, 4, kernel=3, act=None)
    y = g.concat(one, g.conv(x, 2, kernel=1, act="sigmoid"), other, x)
    g.linear(g.global_pool(g.conv(y, 6, kernel=1, act="silu")), 10)


GRAPHS = [ends_in_an_activation, ends_in_a_concatenation, ends_in_a_pool, moves_a_sigmoid, joins_what_differs]


def custom_network(build: Callable[[GraphBuilder, Ref], None], bits: int) -> QuantizedNetwork:
    g = GraphBuilder(1, 14, bits=8)
    x = g.conv(g.input, 6, kernel=3)
    g.enter("body")
    g.bits = bits
    build(g, x)
    torch.manual_seed(0)
    network = QuantizedNetwork(randomised(build_network(g.build()), 14))
    network.calibrate(images()[0])
    network.finish()
    return network.eval()


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("build", GRAPHS)
def test_files_of_graphs_of_ones_own(build: Callable[[GraphBuilder, Ref], None], bits: int) -> None:
    network = custom_network(build, bits)
    for int8, symmetric in ((False, False), (True, False), (True, True)):
        computed = network if int8 else float_network(network)
        model = onnx.load_from_string(file_of(computed, int8=int8, symmetric=symmetric))
        how = {"int8": int8, "symmetric": symmetric}
        assert check_onnx_file(model.SerializeToString(), computed, VALIDATION, **how).problem is None
        # What is put in front of the outputs is found, whatever the last node is.
        last = next(node for node in model.graph.node if "logits" in node.output)
        last.output[0] = "before"
        model.graph.node.append(onnx.helper.make_node("Exp", ["before"], ["logits"], name="exp"))
        assert check_onnx_file(model.SerializeToString(), computed, VALIDATION, **how).problem


def test_what_a_runtime_cannot_run_is_a_problem_and_no_traceback() -> None:
    network = block_network("basic", (8, 8, 8))
    for name, value in (("strides", [1, 1]), ("pads", [0, 0, 0, 0])):
        model = onnx.load_from_string(file_of(network, int8=True))
        conv = next(n for n in model.graph.node if n.op_type == "Conv" and n.name == "stage2_block1_conv1")
        attribute = next(a for a in conv.attribute if a.name == name)
        attribute.CopyFrom(onnx.helper.make_attribute(name, value))
        assert check_onnx_file(model.SerializeToString(), network, VALIDATION, int8=True).problem


def test_equal_classes_are_close() -> None:
    """Two rows of the head that are the same give the same logits, but for the last digits."""
    run = reference([[1.0, 1.0 - 1e-7, 0.0]], weight=np.ones((3, 2), np.float32))
    assert run.compare(np.array([[1.0 - 1e-7, 1.0, 0.0]], np.float32)).holds
    assert not run.compare(np.array([[0.0, 0.0, 1.0]], np.float32)).holds


# --- programs and weights that are wrong ----------------------------------------------------------


def damaged(network: GraphNetwork, what: str) -> GraphNetwork:
    """A copy that another program could have been made of by mistake."""
    other = copy.deepcopy(network)
    layer = other.layers["stage2_block1_conv1"]
    quantized = isinstance(network, QuantizedNetwork)
    weight = layer.weight if quantized else layer.conv.weight
    bias = layer.bias if quantized else layer.norm.bias
    assert isinstance(weight, nn.Parameter) and isinstance(bias, nn.Parameter)
    with torch.no_grad():
        if what == "channel":
            weight[[0, 1]] = weight[[1, 0]]
            if quantized:
                layer.quantizer.step[[0, 1]] = layer.quantizer.step[[1, 0]]
        elif what == "bias":
            bias[bias.abs().argmax()] = 0
        elif what == "scale":
            if quantized:
                other.tensors["stage2_block1_conv1"].step *= 1.02
            else:
                weight[0] *= 1.02
        else:
            nodes = [n._replace(act=None) if n.name == "stage2_block1_conv1" else n for n in other.graph.nodes]
            other.graph = Graph(tuple(nodes))
            if quantized:  # whose zero point of 0 is a relu too
                other.tensors["stage2_block1_conv1"].zero_point += 1
    return other


@cache
def float_one() -> GraphNetwork:
    return randomised(build_network(block_spec("basic", FLOAT_BITS)), 14)


def network_of(bits: int) -> GraphNetwork:
    return float_one() if bits == FLOAT_BITS else block_network("basic", (bits,) * 3)


@pytest.mark.parametrize("what", ["channel", "bias", "scale", "activation"])
@pytest.mark.parametrize("bits", [FLOAT_BITS, *BITS])
def test_a_program_of_another_network_is_found(bits: int, what: str) -> None:
    """In float64; one is saved and read as well, below."""
    network = network_of(bits)
    assert compare_exactly(network, frozen_network(network), VALIDATION.normalised(slice(0, 64))) == 0
    other = frozen_network(damaged(network, what))
    assert compare_exactly(network, other, VALIDATION.normalised(slice(0, 64))) > 1e-4


@pytest.mark.parametrize("bits", [FLOAT_BITS, 4])
def test_a_saved_program_of_another_network_is_found(bits: int) -> None:
    network = network_of(bits)
    assert check_program_file(export_program(network, 14), network, VALIDATION).problem is None
    problem = check_program_file(export_program(damaged(network, "scale"), 14), network, VALIDATION).problem
    assert problem and "in float64" in problem


@pytest.mark.parametrize("what", ["channel", "bias", "scale"])
@pytest.mark.parametrize("bits", [FLOAT_BITS, *BITS])
def test_weights_of_another_network_are_found(bits: int, what: str) -> None:
    spec = block_spec("basic", 8).with_bits(bits)
    network = network_of(bits)
    loaded, check = check_weights(weights_of(network), spec, network, VALIDATION)
    assert check.problem is None and type(loaded) is type(network)
    _, check = check_weights(weights_of(damaged(network, what)), spec, network, VALIDATION)
    assert check.problem and "in float64" in check.problem


# --- the rules ------------------------------------------------------------------------------------


def reference(logits: list[list[float]], **changes: object) -> ReferenceRun:
    """Three classes; one step of the two inputs moves the first logit against the second by 0.3."""
    facts: dict[str, object] = {
        "logits": np.array(logits, np.float32),
        "labels": np.zeros(len(logits), np.int64),
        "bits": 8,
        "step": 0.1,
        "weight": np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], np.float32),
    }
    return ReferenceRun(**{**facts, **changes})  # type: ignore[arg-type]


def test_an_answer_may_change_where_a_few_steps_could_change_it() -> None:
    border = CLOSE_STEPS * 0.3
    for ahead, holds in ((border * 0.99, True), (border * 1.01, False)):
        run = reference([[ahead, 0.0, -9.0], [5.0, 0.0, 0.0]])
        agreement = run.compare(np.array([[0.0, 0.1, -9.0], [5.0, 0.0, 0.0]], np.float32))
        assert agreement.holds is holds
        assert (agreement.same, agreement.images, agreement.wrong) == (1, 2, 0 if holds else 1)
    # The answer is the third class, which is further behind than the second.
    run = reference([[0.1, 0.0, -1.0]])
    assert run.compare(np.array([[0.1, 0.2, -1.0]], np.float32)).holds
    assert not run.compare(np.array([[0.1, 0.0, 0.2]], np.float32)).holds


def test_below_8_bits_a_twentieth_of_the_answers_may_change() -> None:
    """Of those that are not close; at 8 bits one of a thousand."""
    far = [[9.0, 0.0, 0.0]] * 300 + [[0.1, 0.0, 0.0]] * 50
    few = [[9.0, 0.0, 0.0]] * 50
    for changed in (2, 3):  # or two, of few images
        run = reference(few, bits=4)
        logits = run.logits.copy()
        logits[:changed, 1] = 10.0
        assert run.compare(logits).holds is (changed == 2)
    for bits, changed, holds in ((4, 15, True), (4, 16, False), (8, 0, True), (8, 1, False)):
        run = reference(far, bits=bits)
        logits = run.logits.copy()
        logits[:changed, 1] = logits[300:, 1] = 10.0
        agreement = run.compare(logits)
        assert (agreement.decided, agreement.wrong, agreement.same) == (300, changed, 300 - changed)
        assert agreement.holds is holds


def test_float_outputs_are_the_same_but_for_their_last_digits() -> None:
    run = reference([[4.0, 0.0, -8.0]], bits=32)
    for by, holds in ((0.07, True), (0.09, False), (np.nan, False)):
        assert run.compare(run.logits + np.float32(by)).holds is holds


def test_outputs_that_are_no_classes_are_the_same_within_a_few_steps() -> None:
    """A step of all inputs moves the first output by 0.1 and the second by 0.2; which is larger does not matter."""
    run = reference([[1.0, 1.0, 0.0]], labels=None)
    for moved, same, holds in (
        ([0.09, -0.19, 0.0], 1, True),
        ([0.11, 0.0, 0.0], 0, True),
        ([0.0, 0.1 * 2 * CLOSE_STEPS * 0.99, 0.0], 0, True),
        ([0.1 * CLOSE_STEPS * 1.01, 0.0, 0.0], 0, False),
        ([np.nan, 0.0, 0.0], 0, False),
    ):
        agreement = run.compare(run.logits + np.array([moved], np.float32))
        assert (agreement.same, agreement.holds) == (same, holds), moved
        assert "answer" not in f"{agreement} {agreement.answers}"
    assert np.isnan(run.accuracy)


def test_how_far_an_accuracy_may_be_from_the_reported_one() -> None:
    """Half a point of many images, three of few, a twentieth of those that are close."""
    far, close = [5.0, 0.0, 0.0], [0.1, 0.0, 0.0]
    assert reference([far] * 1000).accuracy_tolerance == pytest.approx(0.005)
    assert reference([far] * 100).accuracy_tolerance == pytest.approx(0.03)
    assert reference([far] * 600 + [close] * 400).accuracy_tolerance == pytest.approx(0.02)
    assert reference([far] * 600 + [close] * 400, bits=32).accuracy_tolerance == pytest.approx(0.005)


@pytest.mark.parametrize(("off", "found"), [(0.0, False), (0.4, False), (0.51, True), (1.0, True), (np.nan, True)])
def test_an_integer_is_the_nearest_one(off: float, found: bool) -> None:
    """Of the image, of which one pixel lies `off` steps from the integer that a run has for it."""
    network = block_network("basic", (8, 8, 8))
    x = torch.zeros(2, 1, 14, 14)
    step = network.scales()["input"].step
    values = x.double().clone()
    values[1, 0, 3, 3] += off * step
    trace = {"input": TensorTrace(values=values, step=step, low=-10.0, high=10.0)}
    alone = replace_graph(network)
    differences = compare_layers(alone, x, trace)
    assert bool(differences) is found
    if found:
        assert differences[0].tensor == "input" and differences[0].share == pytest.approx(1 / x.numel())


def replace_graph(network: QuantizedNetwork) -> QuantizedNetwork:
    """The network with nothing but its image."""
    alone = copy.deepcopy(network)
    alone.graph = Graph(network.graph.nodes[:1])
    return alone


def test_as_many_images_are_traced_as_are_quick() -> None:
    small, large = block_spec("basic", 8), block_spec("basic", 8)
    assert traced_images(small.build_graph()) == 64
    assert isinstance(large, ArchSpec)
    assert traced_images(replace(large, resolution=1000).build_graph()) == 4


def test_a_network_in_float_behind_is_decided_by_the_range_of_its_inputs() -> None:
    network = every_operator_network(4, 8, 32)
    run = run_reference(network, VALIDATION)
    assert run.bits == 4 and run.step > 0 and run.weight is not None
    assert run_reference(float_network(network), VALIDATION).bits == 32
    assert io.BytesIO(export_program(network, 14)).getbuffer().nbytes > 0


def test_a_reference_run_has_the_accuracy_that_is_measured() -> None:
    from runners.training.loop import measure_accuracy

    network = block_network("se", (8, 8, 8))
    few = DeviceImages(VALIDATION.images[:333], VALIDATION.labels[:333], VALIDATION.mean, VALIDATION.std)
    assert run_reference(network, few, batch_size=500).accuracy == measure_accuracy(network, few)
