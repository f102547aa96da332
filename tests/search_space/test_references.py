"""Named networks against the counts that papers, torchvision, timm and fvcore give for them."""

import json
from collections import Counter
from dataclasses import replace

import pytest
import torch

from runners.verification.counts import fvcore_macs
from search_space.architectures import architecture_from_dict
from search_space.backends.torch_network import build_network
from search_space.errors import SpecError, UserError
from search_space.graph import Conv, GlobalPool, Graph, GraphBuilder, Linear, Node, Weighted
from search_space.references import (
    ReferenceSpec,
    layers_on_main_path,
    reference,
    reference_names,
)
from search_space.spec import Architecture, ArchSpec

MOBILE = ("efficientnet_b0", "ghostnet", "mobilenetv2", "mobilenetv3_small", "shufflenetv2")


def count_params(graph: Graph) -> int:
    return sum(node.num_params for node in graph.nodes)


def count_macs(graph: Graph) -> int:
    return sum(node.macs for node in graph.nodes)


def count_norm_params(graph: Graph) -> int:
    convs = [node.op for node in graph.nodes if isinstance(node.op, Conv)]
    return sum(2 * op.out_channels for op in convs if op.norm)


def weighted(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if isinstance(node.op, Weighted)]


# --- counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet20", 272_474),
        ("resnet32", 466_906),
        ("resnet44", (466_906 + 855_770) // 2),  # 6n + 2 layers: linear in n, and n is 5, 7, 9 for 32, 44, 56
        ("resnet56", 855_770),
        ("resnet110", 1_730_714),
        ("se_resnet50", 28_088_024),
        # Nine blocks a stage, each with a gate of 8 hidden channels: weights both ways and two biases.
        ("se_resnet56", 855_770 + 9 * sum(2 * 8 * width + 8 + width for width in (16, 32, 64))),
        ("mobilenetv2", 3_504_872),
        ("mobilenetv3_small", 2_542_856),
        ("shufflenetv2@0.5", 1_366_792),
        ("shufflenetv2", 2_278_604),
        ("shufflenetv2@1.5", 3_503_624),
        ("shufflenetv2@2", 7_393_996),
        ("efficientnet_b0", 5_288_548),
    ],
)
def test_parameters_equal_the_published_ones(name: str, params: int) -> None:
    assert count_params(reference(name).build_graph()) == params


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("resnet20", 40_813_184),
        ("resnet32", 69_124_736),
        ("resnet44", (69_124_736 + 125_747_840) // 2),
        ("resnet56", 125_747_840),
        ("resnet110", 253_149_824),
    ],
)
def test_macs_equal_the_published_ones(name: str, macs: int) -> None:
    assert count_macs(reference(name).build_graph()) == macs


@pytest.mark.parametrize(
    ("name", "millions", "tolerance"),
    [
        ("resnet8", 0.078, 0.0005),  # MLPerf Tiny
        ("ghost_resnet56", 0.43, 0.015),  # Han et al. 2020; reproductions vary with the stem
        ("ghostnet@0.5", 2.6, 0.05),  # Han et al. 2020, table 7
        ("ghostnet", 5.18, 0.005),
        ("ghostnet@1.3", 7.3, 0.06),  # timm counts 7.36
        ("mobilenetv3_small@0.75", 2.04, 0.005),  # timm; 2.0 in Howard et al. 2019, table 3
        ("mobilenetv3_small@0.5", 1.59, 0.005),  # timm
        ("mobilenetv2@0.35", 1.68, 0.005),  # timm
        ("mobilenetv2@0.5", 1.97, 0.005),  # timm
        ("mobilenetv2@0.75", 2.64, 0.005),  # timm
        ("mobilenetv2@1.4", 6.11, 0.005),  # timm
    ],
)
def test_parameters_round_to_the_published_ones(name: str, millions: float, tolerance: float) -> None:
    assert count_params(reference(name).build_graph()) / 1e6 == pytest.approx(millions, abs=tolerance)


@pytest.mark.parametrize(
    ("name", "resolution", "millions", "tolerance"),
    [
        ("resnet8", 32, 12.5, 0.05),
        ("ghost_resnet56", 32, 63, 3),
        ("resnet18", 224, 1814.1, 0.05),
        ("resnet34", 224, 3664, 0.5),
        ("resnet50", 224, 4089.2, 0.05),
        ("resnet101", 224, 7801, 0.5),
        ("mobilenetv2@0.35", 224, 59, 0.5),  # tensorflow/models, slim/nets/mobilenet, as are the next ones
        ("mobilenetv2@0.5", 224, 97, 0.5),
        ("mobilenetv2@0.75", 128, 69, 0.5),
        ("mobilenetv2@0.75", 224, 209, 0.5),
        ("mobilenetv2", 224, 300, 1),
        ("mobilenetv2", 160, 154, 0.5),
        ("mobilenetv2", 96, 56, 0.5),
        ("mobilenetv2@1.3", 224, 509, 0.5),
        ("mobilenetv2@1.4", 224, 582, 0.5),
        ("mobilenetv3_small", 224, 56.5, 0.05),
        ("mobilenetv3_small@0.75", 224, 44, 0.7),  # Howard et al. 2019, table 3
        (
            "shufflenetv2@0.5",
            224,
            41,
            0.6,
        ),  # Ma et al. 2018, table 8, about 1 % above the plain layers' count
        ("shufflenetv2", 224, 145, 0.5),
        ("shufflenetv2@1.5", 224, 299, 4),
        ("shufflenetv2@2", 224, 591, 8),
        ("efficientnet_b0", 224, 390, 5),
        ("ghostnet@0.5", 224, 42, 0.5),  # Han et al. 2020, table 7
        ("ghostnet", 224, 141, 0.5),
        ("ghostnet@1.3", 224, 226, 1.1),
    ],
)
def test_macs_round_to_the_published_ones(name: str, resolution: int, millions: float, tolerance: float) -> None:
    graph = reference(name, resolution=resolution).build_graph()
    assert count_macs(graph) / 1e6 == pytest.approx(millions, abs=tolerance)


@pytest.mark.parametrize(("width", "millions"), [(0.35, 1.66), (0.5, 1.95), (0.75, 2.61), (1.3, 5.34), (1.4, 6.06)])
def test_mobilenetv2_without_norm_counts_as_in_the_authors_table(width: float, millions: float) -> None:
    graph = reference(f"mobilenetv2@{width}").build_graph()
    assert (count_params(graph) - count_norm_params(graph)) / 1e6 == pytest.approx(millions, abs=0.005)


def test_squeeze_excite_hardly_adds_macs() -> None:
    """Hu et al. 2018, sec. 4: 2.5 M parameters and 0.01 GFLOPs more than ResNet-50."""
    plain, gated = reference("resnet50").build_graph(), reference("se_resnet50").build_graph()
    assert (count_params(gated) - count_params(plain)) / 1e6 == pytest.approx(2.5, abs=0.05)
    assert 0 < (count_macs(gated) - count_macs(plain)) / 1e9 < 0.01


# --- torch and fvcore -----------------------------------------------------------------------------

SMALL = [(name, 32) for name in reference_names()]
WIDTHS = [(f"{name}@{width}", 32) for name in MOBILE for width in (0.35, 1.3)]
LARGE = [(name, 96) for name in MOBILE]


@pytest.mark.parametrize(("name", "resolution"), SMALL + WIDTHS + LARGE)
def test_torch_and_fvcore_count_the_same(name: str, resolution: int) -> None:
    spec = reference(name, resolution=resolution, num_classes=7)
    graph = spec.build_graph()
    network = build_network(graph).eval()
    images = torch.randn(2, 3, resolution, resolution)
    assert sum(p.numel() for p in network.parameters()) == count_params(graph)
    with torch.no_grad():
        assert network(images).shape == (2, 7)
        assert fvcore_macs(network, images[:1]) == count_macs(graph)


@pytest.mark.parametrize("name", MOBILE)
@pytest.mark.parametrize("width", ["0.5", "1.0"])
def test_published_variants_run_at_224(name: str, width: str) -> None:
    network = build_network(reference(f"{name}@{width}")).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 224, 224)).shape == (1, 1000)


# --- activations, which no count shows ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "acts"),
    [
        # All but the 17 projections; the last None is the classifier, here and below.
        ("mobilenetv2", {"relu6": 1 + 1 + 16 * 2 + 1, None: 17 + 1}),
        # Nine gated blocks; expansion and depthwise of blocks 4 to 11 are hard_swish, of 1 to 3 relu.
        ("mobilenetv3_small", {"hard_swish": 1 + 8 * 2 + 2, "relu": 5 + 9, "hard_sigmoid": 9, None: 11 + 1}),
        ("efficientnet_b0", {"silu": 1 + 1 + 15 * 2 + 16 + 1, "sigmoid": 16, None: 16 + 1}),
        # 13 basic and 3 downsampling units; no activation after a depthwise convolution.
        ("shufflenetv2", {"relu": 1 + 13 * 2 + 3 * 3 + 1, None: 13 + 3 * 2 + 1}),
        # 16 bottlenecks, 7 gated, 4 strided, 5 with a projection of two layers.
        ("ghostnet", {"relu": 1 + 16 * 2 + 7 + 2, "hard_sigmoid": 7, None: 16 * 2 + 4 + 5 * 2 + 1}),
    ],
)
def test_activations_are_the_papers(name: str, acts: dict[str | None, int]) -> None:
    graph = reference(name).build_graph()
    assert Counter(node.act for node in weighted(graph)) == acts
    assert {node.act for node in graph.nodes if not isinstance(node.op, Weighted)} == {None}


def test_shufflenet_passes_half_of_the_channels_unchanged() -> None:
    """Ma et al. 2018, fig. 3c: after the shuffle they are the even ones."""
    graph = reference("shufflenetv2", resolution=32).build_graph()
    names = [node.name for node in graph.nodes]
    start, end = names.index("stage1_block2_slice1"), names.index("stage1_block2_shuffle1")
    network = build_network(graph).eval()
    source = graph.nodes[start].inputs[0]
    x = torch.randn(1, *graph.nodes[source].shape)
    values = {source: x}
    with torch.no_grad():
        for position in range(start, end + 1):
            node = graph.nodes[position]
            values[position] = network.run_node(node, *(values[i] for i in node.inputs))
    assert torch.equal(values[end][:, 0::2], x[:, : x.shape[1] // 2])


# --- variants -------------------------------------------------------------------------------------


def last_map(spec: Architecture) -> int:
    """Height of the tensor that the last pooling reads."""
    nodes = spec.build_graph().nodes
    pool = [node for node in nodes if isinstance(node.op, GlobalPool)][-1]
    return nodes[pool.inputs[0]].shape.height


@pytest.mark.parametrize("name", MOBILE)
def test_small_input_leaves_out_two_reductions(name: str) -> None:
    small, large = reference(name, resolution=32), reference(name, resolution=96)
    assert isinstance(small, ReferenceSpec)
    assert isinstance(large, ReferenceSpec)
    assert (small.small_input, large.small_input) == (True, False)
    assert last_map(small) == 32 // 8
    assert last_map(replace(small, small_input=False)) == 32 // 32
    assert last_map(large) == 96 // 32
    assert small.depth == large.depth


@pytest.mark.parametrize("name", reference_names())
@pytest.mark.parametrize("width", [0.3, 1.0, 2.7])
def test_width_multipliers_keep_the_structure(name: str, width: float) -> None:
    """Same layers at any width; parameters grow with it."""
    graph, double = (reference(f"{name}@{width * k}").build_graph() for k in (1, 2))
    assert layers_on_main_path(graph) == layers_on_main_path(double)
    assert count_params(graph) < count_params(double)


def test_resnet_widths_round_to_multiples_of_eight() -> None:
    spec = reference("resnet56@0.7")
    assert isinstance(spec, ArchSpec)
    assert (spec.stem_width, *(stage.width for stage in spec.stages)) == (8, 8, 24, 48)  # 11.2, 22.4, 44.8
    assert reference("resnet56@1.0") == reference("resnet56")


@pytest.mark.parametrize("name", reference_names())
def test_options_reach_the_graph(name: str) -> None:
    spec = reference(name, resolution=48, num_classes=5, in_channels=1)
    nodes = spec.build_graph().nodes
    assert nodes[0].shape == (1, 48, 48) == (spec.in_channels, spec.resolution, spec.resolution)
    assert nodes[-1].shape == (5, 1, 1)
    assert spec.num_classes == 5


@pytest.mark.parametrize("name", reference_names())
@pytest.mark.parametrize("bits", [4, 8, 32])
def test_first_and_last_layer_keep_eight_bits(name: str, bits: int) -> None:
    first, *middle, last = weighted(reference(name, bits=bits).build_graph())
    assert first.bits == last.bits == max(8, bits)
    assert {node.bits for node in middle} == {bits}
    assert isinstance(last.op, Linear)


# --- depth ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        (
            "mobilenetv2",
            1 + 1 + 16 * 2 + 2,
        ),  # stem; a first block without expansion; the others; head, classifier
        ("efficientnet_b0", 1 + 1 + 15 * 2 + 2),
        ("mobilenetv3_small", 1 + 1 + 10 * 2 + 3),
        ("shufflenetv2", 1 + 16 * 2 + 2),
        ("ghostnet", 1 + 16 * 2 + 3),
    ],
)
def test_depth_counts_separable_convolutions_once(name: str, depth: int) -> None:
    spec = reference(name)
    assert isinstance(spec, ReferenceSpec)
    assert spec.depth == depth


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*reference_names(), "mobilenetv2@0.5", "resnet56@0.5"])
def test_round_trip_through_json(name: str) -> None:
    spec = reference(name, resolution=64, num_classes=12, in_channels=1, bits=4)
    again = architecture_from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert again.key == spec.key
    assert isinstance(spec, Architecture)


def test_keys_tell_networks_apart() -> None:
    names = [*reference_names(), *(f"{name}@0.5" for name in reference_names())]
    keys = {reference(name, bits=bits).key for name in names for bits in (8, 32)}
    assert len(keys) == 2 * len(names)


def test_equal_specs_have_equal_keys() -> None:
    one = ReferenceSpec(name="ghostnet", width_multiplier=1, small_input=False)
    assert one == reference("ghostnet")
    assert one.key == reference("ghostnet").key


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mobilnetv2", "unknown reference 'mobilnetv2'; did you mean 'mobilenetv2'?"),
        ("mobilnetv2@0.5", "unknown reference 'mobilnetv2'; did you mean 'mobilenetv2'?"),
        ("mobilenetv2@", "width_multiplier: must be a number, as in 'mobilenetv2@0.5', not ''"),
        ("resnet56@wide", "width_multiplier: must be a number, as in 'resnet56@0.5', not 'wide'"),
        ("resnet56@0", "width_multiplier: must be a number above 0 and up to 10, not 0.0"),
        ("ghostnet@-1", "width_multiplier: must be a number above 0 and up to 10, not -1.0"),
        ("ghostnet@nan", "width_multiplier: must be a number above 0 and up to 10, not nan"),
        ("ghostnet@1@2", "width_multiplier: must be a number, as in 'ghostnet@0.5', not '1@2'"),
    ],
)
def test_a_bad_name_is_answered_in_one_line(name: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        reference(name)
    assert str(caught.value) == message
    assert isinstance(caught.value, SpecError) is not message.startswith("unknown")


@pytest.mark.parametrize("name", ["mobilenetv2", "resnet18"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bits", 5),
        ("bits", True),
        ("resolution", 3),
        ("resolution", 64.0),
        ("num_classes", 0),
        ("in_channels", 0),
    ],
)
def test_options_out_of_range_are_refused(name: str, field: str, value: int) -> None:
    with pytest.raises(SpecError, match=f"^{field}: must be .*, not {value!r}$"):
        reference(name, **{field: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": "mobilenet"}, "unknown network 'mobilenet'"),
        ({"reference": "resnet56"}, "unknown network 'resnet56'"),
        ({"reference": ["ghostnet"]}, "unknown network"),
        ({"schema": 99}, "schema: must be 1, not 99"),
        ({"small_input": 1}, "small_input: must be true or false, not 1"),
        ({"width_multiplier": "1"}, "width_multiplier: must be a number above 0 and up to 10, not '1'"),
        ({"width_multiplier": True}, "width_multiplier: must be a number above 0 and up to 10, not True"),
        ({"widht_multiplier": 1}, "did you mean 'width_multiplier'?"),
        ({"name": "ghostnet"}, "unknown key 'name'; did you mean 'reference'?"),
    ],
)
def test_a_bad_dict_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        architecture_from_dict(reference("ghostnet").to_dict() | changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dict_that_leaves_out_small_input_is_refused() -> None:
    with pytest.raises(SpecError, match="missing key 'small_input'"):
        architecture_from_dict({"schema": 1, "reference": "ghostnet"})
    with pytest.raises(SpecError, match="must be an object"):
        architecture_from_dict([])  # type: ignore[arg-type]


def test_layers_on_main_path_does_not_follow_gates() -> None:
    g = GraphBuilder(3, 8)
    x = g.squeeze_excite(g.conv(g.input, 16, kernel=3))
    g.linear(g.global_pool(x), 2)
    assert layers_on_main_path(g.build()) == 2
