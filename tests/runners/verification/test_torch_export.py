"""Networks that left torch: onnxruntime computes the same digits from their files, in float and in integers."""

import copy
import io
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper
from torch import Tensor, nn

from objectives.latency import timing
from runners.config import DataConfig, TrainingConfig
from runners.quantization.quantizers import ActivationQuantizer
from runners.quantization.simulation import QuantizedLayer, QuantizedNetwork, lowest_bits
from runners.training.batches import DeviceImages
from runners.training.load_images import load_images
from runners.verification.answer_agreement import run_reference
from runners.verification.check_files import FileCheck, check_onnx_file, check_program_file
from runners.verification.layer_comparison import compare_exactly
from runners.verification.onnx_files import (
    Unfused,
    logits,
    make_session,
    onnx_logits,
    optimised_nodes,
    structural_error,
    unfused_layers,
)
from runners.verification.torch_export import _FrozenQuantizer, export_program, float_network, network_values
from search_space.backends.network_values import random_values
from search_space.backends.onnx_model import build_onnx
from search_space.backends.torch_network import GraphNetwork, build_network
from search_space.blocks import BLOCKS
from search_space.graph import ACTS, Add, Graph, GraphBuilder, Operator, Weighted
from search_space.references import reference
from search_space.space import BLOCK_CHOICES
from search_space.spec import Architecture
from tests.runners.quantization.test_simulation import MOBILE, block_spec

pytestmark = pytest.mark.numbers

BITS = ((8, 8, 8), (4, 4, 4), (2, 2, 2), (32, 8, 4))
Logits = NDArray[np.float32]


@cache
def images(resolution: int = 14) -> tuple[DeviceImages, DeviceImages]:
    """512 images of fashion-mini to calibrate and train on, and 500 others."""
    config = TrainingConfig(images=512, validation_images=500)
    return load_images(DataConfig(), config, resolution, torch.device("cpu"))


def shown(resolution: int = 14) -> Tensor:
    return images(resolution)[1].normalised(slice(0, 200))


# --- networks as training leaves them -------------------------------------------------------------


def randomised(network: GraphNetwork, resolution: int) -> GraphNetwork:
    """Norms that do something, some of them turning signs around, with the statistics of images."""
    torch.manual_seed(0)
    x = images(resolution)[0].normalised(slice(0, 256))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)[0] *= -1
                module.bias.normal_(0, 0.3)
                module.momentum = 1.0  # keeps the statistics of the last batch
            elif isinstance(module, nn.Conv2d) and module.bias is not None:
                module.bias.normal_(0, 0.3)
        network.train()(x)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
    return network.eval()


def train_a_little(network: QuantizedNetwork, resolution: int, steps: int = 3) -> None:
    """A few steps of quantization-aware training, so that steps are no longer those of the calibration."""
    data = images(resolution)[0]
    optimiser = torch.optim.SGD(network.parameters(), lr=0.002, momentum=0.9)
    network.train()
    for start in range(0, 64 * steps, 64):
        batch = slice(start, start + 64)
        loss = F.cross_entropy(network(data.normalised(batch)), data.labels[batch])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def quantized(architecture: Architecture | Graph, resolution: int = 14) -> QuantizedNetwork:
    """Calibrated, trained below 8 bits, not yet finished."""
    torch.manual_seed(0)
    float_one = randomised(build_network(architecture), resolution)
    few_bits = lowest_bits(float_one.graph) < 8
    network = QuantizedNetwork(float_one, keep_norms=few_bits)
    network.calibrate(images(resolution)[0], count=128)
    if few_bits:
        train_a_little(network, resolution)
    head = network.layers[network.graph.nodes[-1].name]
    assert isinstance(head, QuantizedLayer)
    with torch.no_grad():  # no class is always the guess, so that agreeing is not easy
        head.bias -= network.eval()(images(resolution)[0].normalised(slice(0, 256))).mean(0)
    return network


@cache
def unfinished_block_network(choice: str, bits: tuple[int, ...]) -> QuantizedNetwork:
    return quantized(block_spec(choice, 8).with_bits(*bits))


@cache
def block_network(choice: str, bits: tuple[int, ...]) -> QuantizedNetwork:
    network = copy.deepcopy(unfinished_block_network(choice, bits))
    network.finish()
    return network


def torch_logits(network: nn.Module, x: Tensor) -> Logits:
    with torch.inference_mode():
        return np.asarray(network(x).numpy())


def model_of(network: GraphNetwork, **options: bool) -> ModelProto:
    return build_onnx(network.graph, network_values(network), dynamic_batch=True, **options)


def file_of(network: GraphNetwork, **options: bool) -> bytes:
    return bytes(model_of(network, **options).SerializeToString())


def checked(network: QuantizedNetwork, *, int8: bool, resolution: int = 14, symmetric: bool = False) -> FileCheck:
    """The file of a network held against torch on 500 images."""
    computed = network if int8 else float_network(network)
    model = file_of(computed, int8=int8, symmetric=symmetric)
    return check_onnx_file(model, computed, images(resolution)[1], int8=int8, symmetric=symmetric)


def agreement(one: Logits, other: Logits) -> tuple[float, float]:
    """Share of images with the same guess, and the mean difference as a share of a logit's deviation over images."""
    return float((one.argmax(1) == other.argmax(1)).mean()), float(np.abs(one - other).mean() / other.std(0).mean())


def check_files(network: QuantizedNetwork, resolution: int = 14) -> None:
    """onnxruntime against torch: the float file against the float network, the int8 file against the quantized one."""
    assert checked(network, int8=False, resolution=resolution).problem is None
    assert checked(network, int8=True, resolution=resolution).problem is None
    answers = torch_logits(network, images(resolution)[1].normalised(slice(0, 500))).argmax(1)
    assert len(set(answers)) >= 5


@pytest.mark.parametrize("bits", [(8, 8, 8), (4, 4, 4), (32, 8, 4)])
@pytest.mark.parametrize("choice", BLOCK_CHOICES)
def test_files_of_every_block_compute_what_torch_does(choice: str, bits: tuple[int, ...]) -> None:
    check_files(block_network(choice, bits))


def graph_of_every_operator(*bits: int) -> Graph:
    """Every activation, gate and operator of the mobile networks; three parts, each with its bits."""
    first, second, third = bits
    g = GraphBuilder(1, 14, bits=8)
    x = g.conv(g.input, 8, kernel=3, act="hard_swish")
    g.bits = first
    g.enter("first")
    y = g.depthwise(g.conv(g.slice(x, 4, 8), 8, kernel=1, act="relu6"), kernel=5, act=None)
    x = g.channel_shuffle(g.concat(g.slice(x, 0, 4), y), 3)
    g.bits = second
    g.enter("second")
    y = g.squeeze_excite(g.conv(x, 24, kernel=1, act="silu"), act="relu6", gate="hard_sigmoid")
    x = g.max_pool(g.add(g.conv(y, 12, kernel=1), x, act="relu6"))
    g.bits = third
    g.enter("third")
    x = g.conv(g.squeeze_excite(x, act="silu"), 24, kernel=3, act="sigmoid")
    g.enter("head")
    x = g.linear(g.global_pool(x), 32, act="hard_swish")
    g.bits = 8
    g.linear(x, 10)
    return g.build()


@cache
def every_operator_network(*bits: int) -> QuantizedNetwork:
    network = quantized(graph_of_every_operator(*bits))
    network.finish()
    return network


@pytest.mark.parametrize("bits", [*BITS, (8, 32, 4), (4, 8, 32), (6, 3, 6)])
def test_files_of_every_operator_compute_what_torch_does(bits: tuple[int, ...]) -> None:
    graph = graph_of_every_operator(*bits)
    operators: set[object] = set(get_args(Operator))
    assert {type(node.op) for node in graph.nodes} == operators
    assert {node.act for node in graph.nodes} == {None, *ACTS}
    network = every_operator_network(*bits)
    check_files(network)
    assert unfused_of(network).avoidable == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", MOBILE[:3])
def test_files_of_deep_mobile_networks_compute_what_torch_does(name: str) -> None:
    """Untrained and some 50 layers deep, they make much of one integer that falls on the other side of a half."""
    network = quantized(reference(name, resolution=20, in_channels=1, num_classes=10, bits=8), 20)
    network.finish()
    check_files(network, 20)
    x = shown(20)
    assert agreement(torch_logits(network, x), torch_logits(float_network(network), x))[1] > 0.1


@pytest.mark.parametrize("bits", [*BITS, (4, 8, 2)])
def test_below_8_bits_the_float_network_has_the_weights_of_the_integers(bits: tuple[int, ...]) -> None:
    """At 8 bits alone it has the float weights that were quantized, and a float stage is never touched."""
    network = every_operator_network(*bits)
    nodes = {node.name: node for node in network.graph.nodes}
    theirs = network_values(float_network(network)).layers
    assert all(layer.steps is None for layer in theirs.values())
    for name, layer in network_values(network).layers.items():
        if nodes[name].bits == 32 or min(bits) == 8:
            np.testing.assert_array_equal(theirs[name].weight, layer.weight)
            continue
        assert layer.steps is not None
        integers = theirs[name].weight / layer.steps.reshape(-1, *[1] * (layer.weight.ndim - 1))
        high = 2 ** (nodes[name].bits - 1) - 1
        np.testing.assert_allclose(integers, np.clip(integers.round(), -high, high), atol=1e-4)
        assert np.abs(theirs[name].weight - layer.weight).max() > 0.01 * layer.steps.max()


@pytest.mark.parametrize("choice", BLOCK_CHOICES)
def test_at_4_bits_biases_that_are_not_rounded_show(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the integers hold then is another network."""
    monkeypatch.setattr(QuantizedLayer, "round_bias", lambda layer, input_step: None)
    network = copy.deepcopy(unfinished_block_network(choice, (4, 4, 4)))
    network.finish()
    problem = checked(network, int8=True).problem
    assert problem and re.match(r"'\w+' differs in", problem)


def test_the_quantized_file_is_not_the_float_one() -> None:
    network = block_network("se", (4, 4, 4))
    same, difference = agreement(logits(make_session(file_of(network)), shown()), torch_logits(network, shown()))
    assert difference > 0.1 and same < 0.9


def test_the_files_accuracy_is_the_share_that_it_classifies_right() -> None:
    network = block_network("basic", (8, 8, 8))
    _, validation = images()
    x = validation.normalised(slice(0, len(validation)))
    guesses = logits(make_session(file_of(network, int8=True)), x).argmax(1)
    right = float((guesses == validation.labels.numpy()).mean())
    assert 0 < right < 1
    for dynamic_batch in (False, True):
        model = build_onnx(network.graph, network_values(network), int8=True, dynamic_batch=dynamic_batch)
        outputs = onnx_logits(model.SerializeToString(), validation)
        assert float((outputs.argmax(1) == validation.labels.numpy()).mean()) == right
        check = check_onnx_file(model.SerializeToString(), network, validation, int8=True)
        assert (check.problem, check.accuracy) == (None, right)


@pytest.mark.parametrize("needed", [True, False])
def test_sessions_ask_for_sums_that_do_not_saturate_where_they_would(
    needed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With VNNI the entry changes no result and costs more than half of the speed."""
    monkeypatch.setattr("runners.verification.onnx_files.int8_saturates", lambda: needed)
    monkeypatch.setattr("objectives.latency.timing.int8_saturates", lambda: needed)
    model = file_of(block_network("basic", (8, 8, 8)), int8=True)
    for session in (make_session(model), timing.make_session(model, 1)):
        options = session.get_session_options()
        if needed:
            assert options.get_session_config_entry("session.x64quantprecision") == "1"
        else:
            with pytest.raises(RuntimeError):
                options.get_session_config_entry("session.x64quantprecision")


@pytest.mark.parametrize(
    ("machine", "flags", "saturates"),
    [
        ("x86_64", "avx2 avx512f avx512_vnni", False),
        ("x86_64", "avx2 avx_vnni", False),
        ("x86_64", "avx2 avx512f", True),
        ("aarch64", "asimd", False),
    ],
)
def test_int8_saturates_on_x86_without_vnni(
    machine: str, flags: str, saturates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing.platform, "machine", lambda: machine)
    monkeypatch.setattr(timing.Path, "read_text", lambda self, **kwargs: f"flags : {flags}\n")
    assert timing.int8_saturates() is saturates


# --- the symmetric layout -------------------------------------------------------------------------


def check_symmetric(model: ModelProto) -> None:
    """Valid; every activation is int8 with zero point 0."""
    assert structural_error(model.SerializeToString()) is None
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    kinds = ("QuantizeLinear", "DequantizeLinear")
    zeros = [constants[n.input[2]] for n in model.graph.node if n.op_type in kinds and n.input[0] not in constants]
    assert len(zeros) > 20
    assert all(zero.dtype == np.int8 and zero == 0 for zero in zeros)


def few_bit_graph(choice: str) -> Graph:
    """Three blocks at 4 bits, the input and the classifier too."""
    kind, se = BLOCK_CHOICES[choice]
    g = GraphBuilder(1, 14, bits=4)
    x = g.conv(g.input, 8, kernel=3)
    for number, (width, stride) in enumerate(((8, 1), (16, 2), (16, 1))):
        g.enter_block(number)
        x = BLOCKS[kind].build(g, x, width, stride, se)
    g.enter("head")
    g.linear(g.global_pool(x), 10)
    return g.build()


@pytest.mark.parametrize("choice", [choice for choice, (_, se) in BLOCK_CHOICES.items() if not se])
def test_the_symmetric_layout_computes_the_same_at_4_bits(choice: str) -> None:
    network = quantized(few_bit_graph(choice))
    network.finish()
    check_symmetric(model_of(network, int8=True, symmetric=True))
    assert checked(network, int8=True, symmetric=True).problem is None
    _, validation = images()
    outputs = onnx_logits(file_of(network, int8=True, symmetric=True), validation)
    found = run_reference(network, validation).compare(outputs)
    assert found.holds and found.same > 0.99 * found.images


@pytest.mark.parametrize("choice", BLOCK_CHOICES)
def test_the_symmetric_layout_is_close_at_8_bits(choice: str) -> None:
    """It has half the steps where a tensor is never negative: less than twice the error."""
    network = block_network(choice, (8, 8, 8))
    check_symmetric(model_of(network, int8=True, symmetric=True))
    assert checked(network, int8=True, symmetric=True).problem is None
    x = shown()
    exact = torch_logits(float_network(network), x)
    uint8, int8 = (
        agreement(logits(make_session(file_of(network, int8=True, symmetric=symmetric)), x), exact)[1]
        for symmetric in (False, True)
    )
    assert uint8 < int8 < 2 * uint8


# --- which layers run in integers -----------------------------------------------------------------


def unfused_of(network: QuantizedNetwork, model: ModelProto | None = None) -> Unfused:
    model = model or build_onnx(network.graph, network_values(network), int8=True)
    return unfused_layers(model.SerializeToString(), network.graph, network_values(network))


@pytest.mark.parametrize("bits", [(8, 8, 8), (4, 4, 4)])
@pytest.mark.parametrize("choice", BLOCK_CHOICES)
def test_every_layer_of_a_quantized_network_runs_in_integers(choice: str, bits: tuple[int, ...]) -> None:
    network = block_network(choice, bits)
    assert unfused_of(network) == Unfused((), ())
    model = build_onnx(network.graph, network_values(network), int8=True)
    kinds = [node.op_type for node in optimised_nodes(model.SerializeToString())]
    layers = sum(isinstance(node.op, Weighted) for node in network.graph.nodes)
    assert kinds.count("QLinearConv") + kinds.count("QGemm") == layers
    assert kinds.count("QLinearAdd") == sum(isinstance(node.op, Add) for node in network.graph.nodes)
    assert not {"Conv", "Gemm", "MatMul", "Add"} & set(kinds)


@pytest.mark.parametrize("name", MOBILE)
def test_every_layer_of_a_mobile_network_runs_in_integers(name: str) -> None:
    for bits in (8, 4):
        graph = reference(name, resolution=32, bits=bits).build_graph()
        values = random_values(graph)
        model = build_onnx(graph, values, int8=True)
        assert unfused_layers(model.SerializeToString(), graph, values) == Unfused((), ())


@pytest.mark.parametrize("choice", BLOCK_CHOICES)
def test_only_what_stands_behind_a_float_stage_runs_in_float(choice: str) -> None:
    """The first convolutions of the stage that follows: the one on the main path and the projection."""
    unfused = unfused_of(block_network(choice, (32, 8, 4)))
    assert unfused.avoidable == ()
    assert set(unfused.unavoidable) == {"stage2_block1_conv1", "stage2_block1_shortcut"}
    network = block_network(choice, (8, 8, 8))
    assert unfused_of(network, build_onnx(network.graph, network_values(network))).avoidable == tuple(network.layers)


def with_vector_scale(model: ModelProto) -> None:
    """A scale for each channel of what stage1_block1_conv1 computes."""
    for tensor in model.graph.initializer:
        if tensor.name.removesuffix("_scale").removesuffix("_zero") in (
            "stage1_block1_conv1",
            "stage1_block1_conv1_d",
        ):
            tensor.CopyFrom(numpy_helper.from_array(np.repeat(numpy_helper.to_array(tensor), 8), tensor.name))


def with_tanh(model: ModelProto) -> None:
    """Another operator between the convolution and its quantization."""
    nodes = list(model.graph.node)
    place = next(i for i, node in enumerate(nodes) if node.name == "stage1_block1_conv1_quantize")
    nodes.insert(place, helper.make_node("Tanh", [nodes[place].input[0]], ["between"], name="between"))
    nodes[place + 1].input[0] = "between"
    del model.graph.node[:]
    model.graph.node.extend(nodes)


@pytest.mark.parametrize(
    ("damage", "layer"), [(with_vector_scale, "stage1_block1_conv2"), (with_tanh, "stage1_block1_conv1")]
)
def test_a_layer_that_could_run_in_integers_and_does_not_is_avoidable(
    damage: Callable[[ModelProto], None], layer: str
) -> None:
    network = block_network("basic", (8, 8, 8))
    model = build_onnx(network.graph, network_values(network), int8=True)
    damage(model)
    assert structural_error(model.SerializeToString()) is None
    assert unfused_of(network, model) == Unfused((layer,), ())


# --- damaged files --------------------------------------------------------------------------------


def without_a_node(model: ModelProto) -> None:
    del model.graph.node[5]


def with_a_wrong_shape(model: ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 11


def with_an_unknown_operator(model: ModelProto) -> None:
    model.graph.node[3].op_type = "Konv"


def with_half_a_weight(model: ModelProto) -> None:
    weight = next(t for t in model.graph.initializer if t.name.endswith("conv1_weight"))
    weight.raw_data = weight.raw_data[: len(weight.raw_data) // 2]


@pytest.mark.parametrize("damage", [without_a_node, with_a_wrong_shape, with_an_unknown_operator, with_half_a_weight])
def test_what_is_wrong_with_a_model_is_one_line(damage: Callable[[ModelProto], None]) -> None:
    model = build_onnx(block_spec("basic", 8).build_graph(), network_values(block_network("basic", (8, 8, 8))))
    assert structural_error(model.SerializeToString()) is None
    damage(model)
    error = structural_error(model.SerializeToString())
    assert error and error.strip() and "\n" not in error
    assert structural_error(b"no model at all")


# --- torch.export ---------------------------------------------------------------------------------

ALONE = """
import sys
from pathlib import Path

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in OURS:
            raise ImportError(f"{name} is not to be had here")

OURS = ("search_space", "objectives", "runners", "studies")
sys.meta_path.insert(0, Blocker())
import torch

for path in sorted(Path(sys.argv[1]).glob("*.pt2")):
    module = torch.export.load(path).module()
    images = torch.load(path.with_suffix(".images"))
    torch.save([module(images[:n]) for n in (1, 2, 7)], path.with_suffix(".logits"))
assert not [name for name in sys.modules if name.partition(".")[0] in OURS]
"""


@pytest.mark.slow
def test_programs_run_without_the_project_for_any_batch(tmp_path: Path) -> None:
    float_one = randomised(build_network(block_spec("se_depthwise", 32)), 14)
    networks = {"float": float_one, "mixed": every_operator_network(32, 8, 4)}
    for name, network in networks.items():
        (tmp_path / f"{name}.pt2").write_bytes(export_program(network, 14))
        torch.save(shown()[:7].clone(), tmp_path / f"{name}.images")
    command = [sys.executable, "-I", "-W", "ignore", "-c", ALONE, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for name, network in networks.items():
        data = images()[1]
        for found in torch.load(tmp_path / f"{name}.logits"):
            some = slice(0, len(found))
            shown_images = DeviceImages(data.images[some], data.labels[some], data.mean, data.std)
            assert run_reference(network, shown_images).compare(found.detach().numpy()).holds


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_a_quantizer_gives_whole_multiples_of_its_step_to_the_last_bit(bits: int) -> None:
    """Else the next layer may round a value near the middle of two steps elsewhere than the exported files.

    Of some thousand steps only a few tell: their gradient's factor (LSQ) must leave them as they are to the last bit.
    """
    torch.manual_seed(0)
    quantizer = ActivationQuantizer(bits)
    frozen_too = range(0, 4000, 100)
    for number, step in enumerate(torch.rand(4000).add(0.01).tolist()):
        quantizer.step.data.fill_(step)
        quantizer.zero_point.fill_(2 ** (bits - 1))
        exact = quantizer.step.data
        x = torch.randn(1, 500) * exact * quantizer.levels / 2
        low, high = -quantizer.zero_point, quantizer.levels - quantizer.zero_point
        expected = (x / exact).clamp(low, high).round() * exact
        assert torch.equal(quantizer(x).detach(), expected)
        if number in frozen_too:
            assert torch.equal(_FrozenQuantizer(quantizer)(x), expected)


@pytest.mark.parametrize("bits", [(8, 8, 8), (4, 8, 2), (3, 32, 6)])
def test_programs_compute_the_same(bits: tuple[int, ...]) -> None:
    network = every_operator_network(*bits)
    program = export_program(network, 14)
    assert check_program_file(program, network, images()[1]).problem is None
    module = torch.export.load(io.BytesIO(program)).module()
    assert compare_exactly(network, module, shown()) == pytest.approx(0, abs=1e-12)


def test_the_subprocess_could_not_have_used_the_project(tmp_path: Path) -> None:
    code = ALONE.replace("import torch\n", "import search_space\n")
    command = [sys.executable, "-I", "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "search_space is not to be had here" in done.stderr
