"""Quantized networks: as good as promised, with no more values than their bits allow, and the same after storage."""

import copy
import itertools

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from runners.candidate import Candidate
from runners.config import DataConfig, TrainingConfig
from runners.datasets import load_dataset
from runners.evaluate import evaluate
from runners.network_weights import load_network, weights_of
from runners.quantization.quantizers import ActivationQuantizer, WeightQuantizer, closest_steps, quantize
from runners.quantization.simulation import QuantizedLayer, QuantizedNetwork, lowest_bits
from runners.recipes.steps import FINE_TUNE_PEAK
from runners.training.batches import DeviceImages, to_device
from runners.training.load_images import load_images
from runners.training.loop import linear_decay, measure_accuracy, one_cycle
from runners.training.phase import TrainingPhase
from runners.training.resizing import EpochImages
from runners.verification.layer_comparison import compare_exactly
from runners.verification.onnx_files import make_session
from runners.verification.torch_export import frozen_network
from search_space.backends.network_values import (
    SIGMOID_SCALE,
    TensorScale,
    linear_name,
    output_scales,
    quantized_tensors,
    sigmoid_name,
)
from search_space.backends.torch_network import GraphNetwork, build_network
from search_space.graph import Concat, Graph, GraphBuilder, MovesOnly, Node, Weighted
from search_space.references import reference
from search_space.space import BLOCK_CHOICES
from search_space.spec import Architecture, ArchSpec, StageSpec

pytestmark = pytest.mark.numbers

CPU = torch.device("cpu")
CONFIG = TrainingConfig(epochs=5, images=2000, validation_images=0, batch_size=64, precision="float32")
SPEC = reference("resnet8", resolution=28, in_channels=1)
assert isinstance(SPEC, ArchSpec)


@pytest.fixture(scope="module")
def images() -> tuple[DeviceImages, DeviceImages]:
    """2,000 images of fashion-mini at 14 x 14 to train on, and 2,000 others, enough to tell accuracies apart."""
    data = load_dataset("fashion-mini")
    assert data.test_images is not None and data.test_labels is not None
    training, _ = load_images(DataConfig(), CONFIG, 14, CPU)
    scale = {"mean": data.mean, "std": data.std, "resolution": training.images.shape[-1]}
    return training, to_device(data.test_images, data.test_labels, **scale, device=CPU)


@pytest.fixture(scope="module")
def float_network(images: tuple[DeviceImages, DeviceImages]) -> GraphNetwork:
    """ResNet-8 after five epochs."""
    torch.manual_seed(0)
    network = channels_last(build_network(SPEC))
    for _ in TrainingPhase(
        network,
        EpochImages(images, images, CONFIG, seed=0),
        CONFIG,
        epochs=range(CONFIG.epochs),
        peak=CONFIG.learning_rate,
        schedule=one_cycle,
        precision=torch.float32,
    ).run():
        pass
    return network.eval()


def channels_last(network: GraphNetwork) -> GraphNetwork:
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def with_bits(network: GraphNetwork, *bits: int) -> GraphNetwork:
    """The same weights on the graph at other bits."""
    assert isinstance(SPEC, ArchSpec)
    other = build_network(SPEC.with_bits(*bits))
    other.load_state_dict(network.state_dict())
    return channels_last(other).eval()


def post_training(network: GraphNetwork, training: DeviceImages, *bits: int) -> QuantizedNetwork:
    quantized = QuantizedNetwork(with_bits(network, *bits))
    quantized.calibrate(training)
    return quantized.eval()


def trained_further(
    network: GraphNetwork, images: tuple[DeviceImages, DeviceImages], epochs: int, *bits: int
) -> tuple[QuantizedNetwork, list[float]]:
    """Quantization-aware training, with the batch-norms still in it, and the accuracy after each epoch."""
    quantized = QuantizedNetwork(with_bits(network, *bits), keep_norms=True)
    quantized.calibrate(images[0])
    phase = TrainingPhase(
        quantized,
        EpochImages(images, images, CONFIG, seed=0),
        CONFIG,
        epochs=range(epochs),
        peak=CONFIG.learning_rate * FINE_TUNE_PEAK,
        schedule=linear_decay,
        precision=torch.float32,
    )
    accuracies = [point.metric for point in phase.run()]
    return quantized.eval(), accuracies


def layers_of(network: QuantizedNetwork) -> list[tuple[str, QuantizedLayer]]:
    return [(name, layer) for name, layer in network.layers.items() if isinstance(layer, QuantizedLayer)]


def logits(network: nn.Module, images: DeviceImages) -> Tensor:
    with torch.no_grad():
        result: Tensor = network(images.normalised(slice(0, 100)))
    return result


# --- how good -------------------------------------------------------------------------------------


def test_folding_changes_nothing(float_network: GraphNetwork, images: tuple[DeviceImages, DeviceImages]) -> None:
    quantized = QuantizedNetwork(float_network).eval()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in quantized.modules())
    assert len(quantized.tensors) == 0
    expected = logits(float_network, images[1])
    assert expected.abs().max() > 1
    torch.testing.assert_close(logits(quantized, images[1]), expected, rtol=1e-4, atol=1e-4)


def test_eight_bits_lose_next_to_nothing(
    float_network: GraphNetwork, images: tuple[DeviceImages, DeviceImages]
) -> None:
    accuracy = measure_accuracy(float_network, images[1])
    assert accuracy > 0.6
    quantized = post_training(float_network, images[0], 8)
    assert measure_accuracy(quantized, images[1]) == pytest.approx(accuracy, abs=0.02)
    assert not torch.equal(logits(quantized, images[1]), logits(float_network, images[1]))


def test_error_grows_as_bits_fall(float_network: GraphNetwork, images: tuple[DeviceImages, DeviceImages]) -> None:
    expected = logits(float_network, images[1])
    errors = [
        float((logits(post_training(float_network, images[0], bits), images[1]) - expected).square().mean())
        for bits in (8, 6, 4, 3, 2)
    ]
    assert all(2 * a < b for a, b in itertools.pairwise(errors))


@pytest.mark.slow
def test_training_with_quantization_is_worth_it(
    float_network: GraphNetwork, images: tuple[DeviceImages, DeviceImages]
) -> None:
    """At 2 bits two more epochs regain most of what rounding costs; at 4 bits they come close to float.

    By margins that no training comes near: on 2,000 images an accuracy varies by 2 points from seed to seed.
    """
    accuracy = measure_accuracy(float_network, images[1])
    after = {bits: measure_accuracy(post_training(float_network, images[0], bits), images[1]) for bits in (4, 2)}
    curves = {bits: trained_further(float_network, images, 2, bits)[1] for bits in (4, 2)}
    aware = {bits: curve[-1] for bits, curve in curves.items()}
    assert aware[2] > after[2] + 0.15
    assert aware[2] > accuracy - 0.2
    assert aware[4] > accuracy - 0.08
    for curve in curves.values():  # averaged weights, ranges and norms make a quantized network too
        assert curve[0] > curve[1] - 0.15


def test_folding_after_quantized_training_changes_nothing(
    float_network: GraphNetwork, images: tuple[DeviceImages, DeviceImages], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The integers of the weights are the same, so that accuracy and logits are those of the last epoch."""
    quantized = trained_further(float_network, images, 1, 4)[0]
    layers = [layer for layer in quantized.layers.values() if isinstance(layer, QuantizedLayer)]
    gains = [layer.norm.weight for layer in layers if layer.norm is not None]
    with torch.no_grad():
        gains[0][:2].mul_(-1)  # a negative gain turns the signs of the weights around
    before = logits(quantized, images[1])
    folded = copy.deepcopy(quantized)
    monkeypatch.setattr(QuantizedLayer, "round_bias", lambda layer, input_step: None)
    folded.finish()
    assert len(gains) == len(layers) - 1
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    after = logits(folded, images[1])
    # A sum that lands on another side of a rounding border moves a logit by a little: allow a few.
    assert ((after - before).abs() < 1e-3).float().mean() > 0.95
    assert (after.argmax(1) == before.argmax(1)).float().mean() > 0.97
    assert torch.equal(logits(folded, images[1]), after)
    folded.finish()
    assert torch.equal(logits(folded, images[1]), after)


def test_finished_biases_are_what_an_int32_holds(
    float_network: GraphNetwork, images: tuple[DeviceImages, DeviceImages]
) -> None:
    """Whole multiples of weight step x input step, of the step's 16th at 4 bits; finishing twice changes no more."""
    for bits, share in ((8, 1), (4, 16)):
        quantized = post_training(float_network, images[0], bits)
        exact = {name: layer.bias.detach().clone() for name, layer in layers_of(quantized)}
        quantized.finish()
        sources = {node.name: quantized.graph.nodes[node.inputs[0]].name for node in quantized.graph.nodes[1:]}
        for name, layer in layers_of(quantized):
            assert layer.quantizer is not None
            divisor = share if layer.quantizer.bits == bits else 1
            unit = layer.quantizer.step.double().flatten() / divisor * quantized.scales()[sources[name]].step
            number = layer.bias / unit
            assert (number - number.round()).abs().max() < 0.01, name
            assert ((layer.bias - exact[name]).abs() <= unit * 0.501).all(), name
            assert (layer.bias != exact[name]).any(), name
        once = logits(quantized, images[1])
        quantized.finish()
        assert torch.equal(logits(quantized, images[1]), once)


# --- how many values ------------------------------------------------------------------------------


def levels_of(x: Tensor, step: Tensor) -> int:
    """How many multiples of `step` occur in x; fails where a value is none."""
    ratio = x / step.abs()
    assert (ratio - ratio.round()).abs().max() < 1e-3
    return len(set(ratio.round().flatten().tolist()))


def needs_linear_scale(node: Node) -> bool:
    """Whether its activation does more than clip, as the sigmoid of a gate."""
    return node.bits < 32 and node.act not in (None, "relu", "relu6")


def check_levels(network: QuantizedNetwork, images: Tensor) -> dict[str, int]:
    """Checks every tensor that the network computes and every weight; node name -> distinct values of its output."""
    graph = network.graph
    outputs: dict[str, Tensor] = {}
    run_node, run_operator = network.run_node, network.run_operator

    def spy(node: Node, *inputs: Tensor | None) -> Tensor:
        sources = [graph.nodes[position].name for position in node.inputs]
        outputs.setdefault(sources[0], inputs[0].clone() if inputs[0] is not None else torch.empty(0))
        y = run_node(node, *inputs)
        outputs[node.name] = y.clone()
        return y

    def spy_operator(node: Node, *inputs: Tensor | None) -> Tensor:
        y = run_operator(node, *inputs)
        outputs[linear_name(node)] = y.clone()
        return y

    network.run_node, network.run_operator = spy, spy_operator  # type: ignore[method-assign]
    with torch.no_grad():
        network(images)
    network.run_node, network.run_operator = run_node, run_operator  # type: ignore[method-assign]
    scales = network.scales()
    counts = {}
    for node, scale in zip(graph.nodes[:-1], output_scales(graph, scales), strict=False):
        assert (scale is not None) is (node.bits < 32), node.name
        if scale is not None:
            counts[node.name] = levels_of(outputs[node.name], torch.tensor(scale.step))
            assert counts[node.name] <= (256 if node.act == "sigmoid" else 2**node.bits), node.name
            if needs_linear_scale(node):
                step = torch.tensor(scales[linear_name(node)].step)
                assert 2 < levels_of(outputs[linear_name(node)], step) <= 256, node.name
    for node in graph.nodes:
        if isinstance(node.op, Weighted):
            check_weight(network.layers[node.name], node.bits)
    return counts


def check_weight(layer: nn.Module, bits: int) -> None:
    """At most 2^bits - 1 values a channel, symmetric about 0; untouched at 32 bits."""
    assert isinstance(layer, QuantizedLayer)
    if bits == 32:
        assert layer.quantizer is None
        return
    assert layer.quantizer is not None
    with torch.no_grad():
        weight = layer.quantizer(layer.weight)
    for channel, step in zip(weight, layer.quantizer.step, strict=True):
        assert levels_of(channel, step) <= 2**bits - 1
        assert channel.abs().max() <= step.abs().max() * (2 ** (bits - 1) - 1) * 1.0001


@pytest.mark.parametrize("bits", [(8,), (6,), (4,), (3,), (2,), (32, 8, 4), (2, 32, 8), (8, 2, 32)])
def test_tensors_have_no_more_values_than_their_bits(
    bits: tuple[int, ...], float_network: GraphNetwork, images: tuple[DeviceImages, DeviceImages]
) -> None:
    quantized = post_training(float_network, images[0], *bits)
    counts = check_levels(quantized, images[1].normalised(slice(0, 100)))
    per_stage = bits * 3 if len(bits) == 1 else bits
    for number, stage_bits in enumerate(per_stage, start=1):
        found = {name: count for name, count in counts.items() if name.startswith(f"stage{number}")}
        if stage_bits == 32:
            assert not found
        else:  # and all of the values are used, of 8 bits at least most
            assert max(found.values()) > 2**stage_bits * (0.6 if stage_bits == 8 else 0.99)
    assert lowest_bits(quantized.graph) == min(bits)


def test_mixed_bits_are_honoured_by_stage(
    float_network: GraphNetwork, images: tuple[DeviceImages, DeviceImages]
) -> None:
    """32, 8 and 4 bits: the first stage has no quantizer, and the stem and the classifier have at least 8 bits."""
    quantized = post_training(float_network, images[0], 32, 8, 4)
    bits = {name: quantizer.bits for name, quantizer in quantized.tensors.items()}
    assert {name.partition("_")[0]: value for name, value in bits.items()} == {"stage2": 8, "stage3": 4, "head": 8}
    highs = {
        name.partition("_")[0]: layer.quantizer.high if isinstance(layer.quantizer, WeightQuantizer) else None
        for name, layer in quantized.layers.items()
    }
    assert highs == {"stem": None, "stage1": None, "stage2": 127, "stage3": 7, "head": 127}
    assert quantized.graph.nodes[-1].name not in quantized.tensors


# --- every block and reference --------------------------------------------------------------------


def block_spec(choice: str, bits: int) -> ArchSpec:
    kind, se = BLOCK_CHOICES[choice]
    stages = tuple(
        StageSpec(block=kind, num_blocks=2, width=width, stride=stride, se=se, bits=bits)
        for width, stride in ((8, 1), (16, 2), (16, 2))
    )
    return ArchSpec(stem="3x3", stem_width=8, stages=stages, resolution=14, in_channels=1)


MOBILE = ("mobilenetv2@0.35", "mobilenetv3_small@0.5", "shufflenetv2@0.5", "ghostnet@0.5", "efficientnet_b0@0.35")
EVERY_KIND: dict[str, Architecture] = {
    **{f"{choice}, {bits} bits": block_spec(choice, bits) for choice in BLOCK_CHOICES for bits in (8, 4)},
    **{f"{name}, 4 bits": reference(name, resolution=20, in_channels=1, num_classes=10, bits=4) for name in MOBILE},
    "shufflenetv2, 8 bits": reference("shufflenetv2@0.5", resolution=20, in_channels=1, num_classes=10, bits=8),
    # Large input: a max-pool behind the 8-bit stem.
    "shufflenetv2, 96 pixels": reference("shufflenetv2@0.5", resolution=96, in_channels=1, num_classes=10, bits=4),
    "7x7 stem": reference("resnet18@0.125", resolution=40, in_channels=1, num_classes=10, bits=4),
}


@pytest.mark.parametrize("name", EVERY_KIND)
def test_every_kind_of_network_can_be_quantized_trained_and_stored(
    name: str, images: tuple[DeviceImages, DeviceImages]
) -> None:
    """Levels of every tensor, a gradient for every parameter, and the same logits from the stored weights."""
    spec = EVERY_KIND[name]
    torch.manual_seed(0)
    network = build_network(spec)
    x = nn.functional.interpolate(images[0].normalised(slice(0, 8)), (spec.resolution, spec.resolution))
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(x)
    quantized = QuantizedNetwork(network, keep_norms=True).eval()
    pixels = DeviceImages((x * 40 + 128).clamp(0, 255).byte(), images[0].labels[:8], 128, 40.0)
    quantized.calibrate(pixels)
    quantized.train()(x).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in quantized.parameters() if p.requires_grad)
    quantized.eval().finish()
    check_levels(quantized, x)
    stored = load_network(spec, weights_of(quantized))
    assert compare_exactly(quantized, frozen_network(stored), x) == 0


def test_each_tensor_of_a_block_has_a_quantizer_of_its_own(images: tuple[DeviceImages, DeviceImages]) -> None:
    """But for the two halves of a Ghost module, which share one and are concatenated as they are."""
    quantized = QuantizedNetwork(build_network(block_spec("se_ghost", 4)))
    joined = [node for node in quantized.graph.nodes if isinstance(node.op, Concat)]
    seconds = {quantized.graph.nodes[node.inputs[1]].name for node in joined}
    assert len(joined) == len(seconds) == 12
    nodes = [n for n in quantized.graph.nodes[:-1] if not isinstance(n.op, MovesOnly | Concat)]
    gates = [f"{node.name}_linear" for node in nodes if node.act == "sigmoid"]
    assert len(gates) == 6 and all(gate.endswith("se_expand_linear") for gate in gates)
    assert set(quantized.tensors) == {*(node.name for node in nodes), *gates} - seconds
    assert {quantized.tensors[gate].bits for gate in gates} == {8}


# --- scales that are given or shared --------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 4])
def test_the_integers_of_the_image_are_its_pixels(bits: int, images: tuple[DeviceImages, DeviceImages]) -> None:
    """All 256 of them, whatever the normalisation: what a camera gives goes in as it is."""
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    for mean, std in ((0.0, 0.1), (73 / 255, 0.353), (1.0, 1 / 255)):
        pixels = to_device(
            every.permute(0, 2, 3, 1).numpy(), np.zeros(1, np.int64), mean=mean, std=std, resolution=16, device=CPU
        )
        quantized = QuantizedNetwork(build_network(block_spec("basic", bits)))
        quantized.calibrate(pixels)
        scale = quantized.scales()["input"]
        assert scale == TensorScale(step=pytest.approx(1 / (255 * std)), zero_point=round(255 * mean))
        x = pixels.normalised(slice(0, 1))
        with torch.no_grad():
            values = quantized.tensors["input"](x)
        torch.testing.assert_close(values, x, rtol=1e-5, atol=1e-5)
        assert torch.equal((values / scale.step).round() + scale.zero_point, every.float())


def test_given_scales_stay_as_they_are_in_training(images: tuple[DeviceImages, DeviceImages]) -> None:
    """Of the image and of each sigmoid, also of those within SiLUs; the others learn theirs."""
    spec = reference("efficientnet_b0@0.35", resolution=20, in_channels=1, num_classes=10, bits=4)
    quantized = QuantizedNetwork(build_network(spec), keep_norms=True)
    small = DeviceImages(
        nn.functional.interpolate(images[0].images[:64].float(), (20, 20)).byte(),
        images[0].labels[:64],
        images[0].mean,
        images[0].std,
    )
    quantized.calibrate(small)
    before = quantized.scales()
    optimiser = torch.optim.SGD(quantized.parameters(), lr=0.1)
    quantized.train()(small.normalised(slice(0, 64))).square().mean().backward()
    optimiser.step()
    after = quantized.scales()
    given = [name for name, tensor in quantized_tensors(quantized.graph).items() if tensor.given]
    nodes = quantized.graph.nodes
    sigmoids = [node.name for node in nodes if node.act == "sigmoid"]
    within = [sigmoid_name(node) for node in nodes if node.act == "silu"]
    assert len(sigmoids) > 10 and len(within) > 20
    assert set(given) == {"input", *sigmoids, *within}
    assert {after[name] for name in (*sigmoids, *within)} == {SIGMOID_SCALE}
    assert after["input"] == before["input"]
    assert sum(after[name] == before[name] for name in after) - len(given) < 0.1 * len(after)


def test_a_shared_range_holds_all_of_its_tensors() -> None:
    """Of both halves of a Ghost module, averaged over the batches; and each half has no finer scale of its own."""
    halves = torch.tensor([[-1.0, 2.0]]), torch.tensor([[-3.0, 1.0]])
    quantizer = ActivationQuantizer(8)
    quantizer.start_calibration()
    for factor in (1, 3):
        for half in halves:
            quantizer(factor * half)
        quantizer.next_batch()
    quantizer.end_calibration()
    assert (float(quantizer.low), float(quantizer.high)) == (-6.0, 4.0)


# --- storage and the whole evaluation -------------------------------------------------------------


@pytest.mark.parametrize("bits", [(32,), (8,), (4,), (32, 8, 4)])
def test_stored_weights_are_the_same_network(
    bits: tuple[int, ...], float_network: GraphNetwork, images: tuple[DeviceImages, DeviceImages]
) -> None:
    assert isinstance(SPEC, ArchSpec)
    network = with_bits(float_network, *bits)
    if min(bits) < 32:
        network = post_training(float_network, images[0], *bits)
    stored = load_network(SPEC.with_bits(*bits), weights_of(network))
    assert type(stored) is type(network)
    assert not stored.training
    x = images[1].normalised(slice(0, 100))
    assert compare_exactly(network, frozen_network(stored), x) == 0
    assert weights_of(stored) == weights_of(network)


@pytest.mark.slow
def test_an_evaluation_reports_the_accuracy_of_the_weights_it_returns(
    images: tuple[DeviceImages, DeviceImages],
) -> None:
    assert isinstance(SPEC, ArchSpec)
    config = TrainingConfig(epochs=2, images=1000, validation_images=0, resolution_scale=0.5, precision="float32")
    for bits in (32, 8, 4):
        spec = SPEC.with_bits(bits)
        candidate = Candidate(spec=spec.to_dict(), seed=0, data=DataConfig(), training=config)
        evaluation = evaluate(candidate)
        stored = channels_last(load_network(spec, evaluation.weights))  # as it was when it was measured
        _, validation = load_images(DataConfig(), config, spec.resolution, CPU)
        assert measure_accuracy(stored, validation) == evaluation.observation.accuracy
        assert [point.quantized for point in evaluation.observation.curve] == [False, bits == 4]
        assert evaluation.observation.float_accuracy == evaluation.observation.curve[0 if bits == 4 else 1].metric


# --- the quantizers -------------------------------------------------------------------------------


def test_quantize_is_the_nearest_of_all_representable_values() -> None:
    torch.manual_seed(0)
    x = 3 * torch.randn(500)
    step, offset, low, high = torch.tensor(0.37), torch.tensor(5.0), 0, 15
    values = torch.stack([step * (n - offset) for n in range(low, high + 1)])
    nearest = values[(x[:, None] - values).abs().argmin(1)]
    torch.testing.assert_close(quantize(x, step, offset, low, high), nearest)


@pytest.mark.parametrize("zero_point", [0, 1, 6, 7])
def test_half_way_values_go_where_onnx_puts_them(zero_point: int) -> None:
    """To the even integer before the zero point is added; pixels do lie half-way."""
    x = torch.arange(-12, 40) * 0.25
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["integers"]),
        helper.make_node("DequantizeLinear", ["integers", "scale", "zero"], ["y"]),
    ]
    constants = {"scale": np.float32(0.5), "zero": np.uint8(zero_point)}
    initializers = [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("x", "y")]
    model = helper.make_model(
        helper.make_graph(nodes, "ends", ends[:1], ends[1:], initializers),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    (expected,) = make_session(model.SerializeToString()).run(None, {"x": x.numpy()})
    found = quantize(x, torch.tensor(0.5), torch.tensor(float(zero_point)), 0, 255)
    np.testing.assert_array_equal(found.numpy(), expected)


def test_gradients_are_those_of_lsq() -> None:
    """Esser et al. 2020, eq. 3 for the step, eq. 5 for the values; with an offset n - offset stands for n."""
    torch.manual_seed(0)
    x = (3 * torch.randn(300)).requires_grad_()
    step = torch.full((300,), 0.5, requires_grad=True)  # one each, to read the gradients apart
    quantize(x, step, 3.0, 0, 7).sum().backward()  # type: ignore[no-untyped-call]
    scaled = x.detach() / 0.5
    inside = (scaled > -3) & (scaled < 4)
    expected = torch.where(inside, scaled.round() - scaled, torch.where(scaled <= -3, -3.0, 4.0))
    assert step.grad is not None and x.grad is not None
    torch.testing.assert_close(step.grad, expected)
    assert torch.equal(x.grad, inside.float())
    assert 50 < int(inside.sum()) < 250


def test_eight_bit_weights_are_within_half_a_step() -> None:
    torch.manual_seed(0)
    weight = torch.randn(16, 4, 3, 3) * torch.logspace(-3, 1, 16)[:, None, None, None]
    quantizer = WeightQuantizer(weight, 8)
    largest = weight.abs().flatten(1).amax(1)
    torch.testing.assert_close(quantizer.step.flatten() * 127, largest)
    with torch.no_grad():
        error = (quantizer(weight) - weight).abs().flatten(1).amax(1)
    assert (error <= largest / 127 / 2 * 1.001).all()


@pytest.mark.parametrize(("high", "step"), [(1, 1.224), (3, 0.6508), (7, 0.3534)])
def test_closest_steps_are_those_of_a_normal_distribution(high: int, step: float) -> None:
    """Max 1960, table II: the best equally spaced output levels, 3, 7 and 15 of them, for a unit normal."""
    torch.manual_seed(0)
    found = closest_steps(torch.randn(2, 40_000) * torch.tensor([[1.0], [100.0]]), high)
    assert float(found[0]) == pytest.approx(step, rel=0.1)
    assert float(found[1]) == pytest.approx(100 * step, rel=0.1)


def test_steps_of_a_dead_channel_are_finite() -> None:
    weight = torch.zeros(2, 9)
    weight[1] = torch.randn(9)
    for bits in (8, 4, 2):
        quantizer = WeightQuantizer(weight, bits)
        assert (quantizer.step > 0).all()
        assert torch.equal(quantizer(weight)[0], weight[0])


def ranged(bits: int, *batches: Tensor) -> ActivationQuantizer:
    quantizer = ActivationQuantizer(bits)
    quantizer.start_calibration()
    for batch in batches:
        assert quantizer(batch) is batch
        quantizer.next_batch()
    quantizer.end_calibration()
    return quantizer


def test_activation_ranges_are_averages_of_the_batches_and_hold_zero() -> None:
    one, two = torch.tensor([[-1.0, 3.0]]), torch.tensor([[-2.0, 7.0]])
    quantizer = ranged(8, one, two)
    assert (float(quantizer.low), float(quantizer.high)) == (-1.5, 5.0)
    assert quantizer.step.item() == pytest.approx(6.5 / 255)
    assert quantizer(torch.tensor([[0.0]])).item() == 0.0
    assert float(ranged(8, torch.tensor([[2.0, 4.0]])).low) == 0.0
    assert float(ranged(8, torch.tensor([[-2.0, -4.0]])).high) == 0.0


def test_calibrating_twice_forgets_the_first_time(
    float_network: GraphNetwork, images: tuple[DeviceImages, DeviceImages]
) -> None:
    quantized = post_training(float_network, images[0], 4)
    first = weights_of(quantized)
    quantized.calibrate(images[0])
    assert weights_of(quantized) == first


def test_few_bits_leave_out_the_rarest_values() -> None:
    """Of a unit normal 2 bits cover all but a hundredth on either side."""
    torch.manual_seed(0)
    quantizer = ranged(2, torch.randn(4, 32, 28, 28))
    assert [float(quantizer.low), float(quantizer.high)] == pytest.approx([-2.326, 2.326], abs=0.06)


def test_the_range_is_not_that_of_one_column() -> None:
    """Maps whose size and number are powers of two, with a border unlike the rest."""
    x = torch.rand(100, 256, 8, 8)
    x[..., 0] *= 10
    assert x.numel() // 100_000 == 16
    assert float(ranged(2, x).high) == pytest.approx(float(torch.quantile(x[:10].flatten(), 0.99)), rel=0.05)


def test_graph_without_weights_below_32_bits_has_no_quantizer() -> None:
    g = GraphBuilder(1, 8)
    g.linear(g.global_pool(g.conv(g.input, 4, kernel=3)), 2)
    graph: Graph = g.build()
    assert lowest_bits(graph) == 32
    assert len(QuantizedNetwork(build_network(graph)).tensors) == 0
