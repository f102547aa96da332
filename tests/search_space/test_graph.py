"""Inferred shapes against what torch computes, what the builder refuses, and the lifetimes that costs rest on."""

import itertools
import random
from collections.abc import Callable

import pytest
import torch

from search_space.backends.torch_network import GraphNetwork, build_network
from search_space.blocks import BLOCKS, block
from search_space.errors import SpecError, UserError
from search_space.graph import ACTS, Conv, Graph, GraphBuilder, Linear, Ref, Shape, Weighted
from search_space.named_registry import Registry
from search_space.references import reference, reference_names

Write = Callable[[GraphBuilder, Ref], Ref]


def values_of(graph: Graph, *, batch: int = 2) -> tuple[GraphNetwork, list[torch.Tensor]]:
    """The network in evaluation mode and the tensor of every node for random images."""
    network = build_network(graph).eval()
    values = [torch.randn(batch, *graph.nodes[0].shape)]
    with torch.no_grad():
        for node in graph.nodes[1:]:
            values.append(network.run_node(node, *(values[source].clone() for source in node.inputs)))
    return network, values


def written(write: Write, *, channels: int = 6, size: int = 9) -> Graph:
    g = GraphBuilder(channels, size)
    write(g, g.input)
    return g.build()


# --- shapes ---------------------------------------------------------------------------------------

OPERATORS: dict[str, Write] = {
    **{
        f"conv {kernel}x{kernel}, stride {stride}, {groups} groups": (
            lambda g, x, k=kernel, s=stride, n=groups: g.conv(x, 12, kernel=k, stride=s, groups=n)  # type: ignore[misc]
        )
        for kernel, stride, groups in itertools.product((1, 3, 5, 7), (1, 2, 3), (1, 2, 6))
    },
    "conv with bias": lambda g, x: g.conv(x, 5, kernel=3, norm=False, act=None),
    "depthwise": lambda g, x: g.depthwise(x, kernel=5, stride=2),
    **{
        f"max-pool {kernel}, stride {stride}": (lambda g, x, k=kernel, s=stride: g.max_pool(x, kernel=k, stride=s))  # type: ignore[misc]
        for kernel, stride in itertools.product((1, 3, 5), (1, 2, 3))
    },
    "global pool": lambda g, x: g.global_pool(x),
    "linear": lambda g, x: g.linear(g.global_pool(x), 4, act="relu"),
    "linear after linear": lambda g, x: g.linear(g.linear(g.global_pool(x), 4), 7),
    "add": lambda g, x: g.add(x, g.conv(x, 6, kernel=3), act="relu"),
    "multiply": lambda g, x: g.multiply(x, g.global_pool(x)),
    "concat": lambda g, x: g.concat(x, g.conv(x, 3, kernel=1), x),
    "slice": lambda g, x: g.slice(x, 1, 4),
    "shuffle": lambda g, x: g.channel_shuffle(x, 3),
    "squeeze-excite": lambda g, x: g.squeeze_excite(x),
    "projection": lambda g, x: g.shortcut(x, 8, 2),
    "strided shortcut": lambda g, x: g.shortcut(x, 6, 2),
}


@pytest.mark.parametrize("operator", OPERATORS)
def test_inferred_shapes_are_torchs(operator: str) -> None:
    for size in (1, 2, 5, 8, 9, 13):
        graph = written(OPERATORS[operator], size=size)
        network, values = values_of(graph)
        assert [tuple(value.shape[1:]) for value in values] == [tuple(node.shape) for node in graph.nodes]
        assert sum(p.numel() for p in network.parameters()) == sum(node.num_params for node in graph.nodes)


@pytest.mark.parametrize("act", ACTS)
def test_activations_are_torchs(act: str) -> None:
    modules = {
        "relu": torch.nn.ReLU(),
        "relu6": torch.nn.ReLU6(),
        "hard_swish": torch.nn.Hardswish(),
        "silu": torch.nn.SiLU(),
        "sigmoid": torch.nn.Sigmoid(),
        "hard_sigmoid": torch.nn.Hardsigmoid(),
    }
    torch.manual_seed(0)
    with_act = written(lambda g, x: g.conv(x, 6, kernel=3, act=act))  # type: ignore[arg-type]
    without = written(lambda g, x: g.conv(x, 6, kernel=3, act=None))
    one, other = build_network(with_act).eval(), build_network(without).eval()
    other.load_state_dict(one.state_dict())
    images = 4 * torch.randn(2, 6, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(one(images), modules[act](other(images)), rtol=0, atol=0)


def test_values_of_operators_that_only_move_or_combine() -> None:
    g = GraphBuilder(6, 5)
    sliced = g.slice(g.input, 1, 4)
    shuffled = g.channel_shuffle(g.input, 3)
    joined = g.concat(sliced, g.input)
    pooled = g.global_pool(g.input)
    gated = g.multiply(g.input, pooled)
    summed = g.add(g.input, gated, act="relu")
    _, values = values_of(g.build())
    x = values[0]
    assert torch.equal(values[sliced], x[:, [1, 2, 3]])
    assert torch.equal(values[shuffled], x[:, [0, 2, 4, 1, 3, 5]])  # three groups of two, read column by column
    assert torch.equal(values[joined], torch.cat([x[:, 1:4], x], 1))
    torch.testing.assert_close(values[pooled][:, :, 0, 0], x.mean((2, 3)))
    torch.testing.assert_close(values[gated], x * x.mean((2, 3), keepdim=True))
    torch.testing.assert_close(values[summed], (x + values[gated]).clamp(min=0))


def test_forward_frees_no_tensor_that_is_still_read() -> None:
    graph = reference("shufflenetv2@0.5", resolution=32, num_classes=5).build_graph()
    network, values = values_of(graph)
    with torch.no_grad():
        assert torch.equal(network(values[0]), values[-1].flatten(1))


# --- weights --------------------------------------------------------------------------------------


def test_weights_of_a_grouped_convolution_and_a_linear_layer() -> None:
    """Closed forms: 12 filters of 6 / 3 channels and 5 x 5; a norm has 2 parameters a channel, a bias 1."""
    conv = Conv(in_channels=6, out_channels=12, kernel=5, stride=2, groups=3, norm=True)
    assert (conv.num_weights, conv.num_params) == (12 * 2 * 25, 12 * 2 * 25 + 24)
    assert conv._replace(norm=False).num_params == 12 * 2 * 25 + 12
    assert (Linear(7, 5).num_weights, Linear(7, 5).num_params) == (35, 40)
    node = written(lambda g, x: g.conv(x, 12, kernel=5, stride=2, groups=3), size=9).nodes[1]
    assert (node.shape, node.macs) == (Shape(12, 5, 5), 12 * 2 * 25 * 5 * 5)


def test_squeeze_excite_keeps_at_least_eight_channels() -> None:
    for channels, reduced in ((16, 8), (128, 8), (256, 16)):
        nodes = written(lambda g, x: g.squeeze_excite(x), channels=channels).nodes
        assert [node.shape[0] for node in nodes] == [channels, channels, reduced, channels, channels]
        assert [node.act for node in nodes] == [None, None, "relu", "sigmoid", None]


def test_initial_weights_have_variance_two_over_fan_out() -> None:
    """He et al. 2015b, eq. 14."""
    torch.manual_seed(0)
    network = build_network(written(lambda g, x: g.conv(x, 256, kernel=3), channels=64))
    weight = next(iter(network.parameters()))
    assert weight.shape == (256, 64, 3, 3)
    assert weight.var().item() == pytest.approx(2 / (256 * 9), rel=0.02)


# --- names and lifetimes --------------------------------------------------------------------------


@pytest.mark.parametrize("name", reference_names())
def test_node_names_are_unique(name: str) -> None:
    names = [node.name for node in reference(name).build_graph().nodes]
    assert len(set(names)) == len(names)


def test_a_name_that_is_given_twice_is_refused() -> None:
    """Two layers of one name would share one module's weights."""
    g = GraphBuilder(8, 8)
    g.enter("block")
    x = g.squeeze_excite(g.conv(g.input, 8, kernel=3))
    with pytest.raises(SpecError, match="'block_se_reduce'"):
        g.squeeze_excite(x)
    g.enter("block")
    with pytest.raises(SpecError, match="'block_conv1'"):
        g.conv(x, 8, kernel=3)


def test_names_say_where_a_node_stands() -> None:
    nodes = reference("resnet20").build_graph().nodes
    names = [node.name for node in nodes]
    assert names[:5] == ["input", "stem_conv1", "stage1_block1_conv1", "stage1_block1_conv2", "stage1_block1_add1"]
    assert "stage2_block1_shortcut" in names
    assert "stage1_block1_shortcut" not in names
    assert names[-2:] == ["head_pool1", "head_linear1"]


def random_graph(generator: random.Random) -> Graph:
    """Twenty operators on random earlier nodes of one shape."""
    g = GraphBuilder(4, 5)
    refs = [g.input]
    for _ in range(20):
        x, y = generator.choice(refs), generator.choice(refs)
        writers: list[Callable[[], Ref]] = [
            lambda x=x: g.conv(x, 4, kernel=3),  # type: ignore[misc]
            lambda x=x, y=y: g.add(x, y),  # type: ignore[misc]
            lambda x=x, y=y: g.slice(g.concat(x, y), 2, 6),  # type: ignore[misc]
            lambda x=x: g.multiply(x, g.global_pool(x)),  # type: ignore[misc]
        ]
        refs.append(generator.choice(writers)())
    return g.build()


def test_last_uses_against_a_search_from_the_end() -> None:
    generator = random.Random(0)
    for _ in range(50):
        nodes = random_graph(generator).nodes
        expected = tuple(
            next((reader for reader in reversed(range(len(nodes))) if position in nodes[reader].inputs), position)
            for position in range(len(nodes))
        )
        assert Graph(nodes).last_uses == expected


def test_random_graphs_run_as_their_nodes_do() -> None:
    generator = random.Random(1)
    for _ in range(20):
        graph = random_graph(generator)
        network, values = values_of(graph)
        assert [tuple(value.shape[1:]) for value in values] == [tuple(node.shape) for node in graph.nodes]
        with torch.no_grad():
            torch.testing.assert_close(network(values[0]), values[-1].flatten(1), rtol=0, atol=0)


# --- bits -----------------------------------------------------------------------------------------


def test_bits_hold_for_the_nodes_that_follow() -> None:
    g = GraphBuilder(4, 8, 8)
    g.conv(g.input, 4, kernel=3)
    g.bits = 4
    g.add(g.conv(g.input, 4, kernel=3), g.input)
    assert [node.bits for node in g.build().nodes] == [8, 8, 4, 4]


def test_values_that_only_move_keep_their_bits() -> None:
    """Nothing is rounded anew by a slice, a shuffle or a max-pool."""
    g = GraphBuilder(4, 8, 8)
    g.bits = 2
    moved = [g.slice(g.input, 0, 2), g.channel_shuffle(g.input, 2), g.max_pool(g.input)]
    joined = g.concat(g.input, g.input)
    nodes = g.build().nodes
    assert [nodes[x].bits for x in moved] == [8, 8, 8]
    assert nodes[joined].bits == 2


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda g, x: g.conv(x, 0, kernel=3), "conv: 6 -> 0 channels do not divide into 1 groups"),
        (lambda g, x: g.conv(x, 12, kernel=3, groups=4), "conv: 6 -> 12 channels do not divide into 4 groups"),
        (lambda g, x: g.conv(x, 8, kernel=3, groups=3), "conv: 6 -> 8 channels do not divide into 3 groups"),
        (lambda g, x: g.conv(x, 8, kernel=2), "conv: kernel must be odd, not 2"),
        (lambda g, x: g.max_pool(x, kernel=2), "max_pool: kernel must be odd, not 2"),
        (lambda g, x: g.conv(x, 8, kernel=3, act="rleu"), "unknown activation 'rleu'; did you mean 'relu'?"),
        (lambda g, x: g.linear(x, 4), "linear: needs a 1 x 1 input, got 9 x 9"),
        (lambda g, x: g.add(x, g.max_pool(x)), "add: shapes differ: (6, 9, 9) and (6, 5, 5)"),
        (lambda g, x: g.add(x, g.global_pool(x)), "add: shapes differ"),
        (lambda g, x: g.multiply(x, x), "multiply: gate (6, 9, 9) does not fit (6, 9, 9)"),
        (lambda g, x: g.multiply(x, g.slice(g.global_pool(x), 0, 1)), "multiply: gate (1, 1, 1) does not fit"),
        (lambda g, x: g.concat(x, g.max_pool(x)), "concat: sizes differ: [(6, 9, 9), (6, 5, 5)]"),
        (lambda g, x: g.concat(), "concat: sizes differ: []"),
        (lambda g, x: g.slice(x, 2, 2), "slice: [2, 2) is not within 6 channels"),
        (lambda g, x: g.slice(x, -1, 2), "slice: [-1, 2) is not within 6 channels"),
        (lambda g, x: g.slice(x, 0, 7), "slice: [0, 7) is not within 6 channels"),
        (lambda g, x: g.channel_shuffle(x, 4), "channel_shuffle: 6 channels do not divide into 4 groups"),
    ],
)
def test_what_does_not_fit_is_refused(write: Write, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        written(write)
    assert str(caught.value).startswith(message)


# --- registries -----------------------------------------------------------------------------------


def test_blocks_are_known_and_no_name_is_taken_twice() -> None:
    assert list(BLOCKS) == ["basic", "bottleneck", "depthwise", "ghost"]
    assert {name: BLOCKS[name].layers for name in BLOCKS} == {"basic": 2, "bottleneck": 3, "depthwise": 2, "ghost": 2}
    assert all(BLOCKS[name].name == name for name in BLOCKS)
    with pytest.raises(RuntimeError, match="block 'ghost' is registered twice"):
        block("ghost", layers=1)(BLOCKS["basic"].build)
    with pytest.raises(UserError, match="unknown block 'gost'; did you mean 'ghost'"):
        BLOCKS["gost"]
    assert "gost" not in BLOCKS


def test_a_registry_imports_its_folder_only_when_asked() -> None:
    registry: Registry[int] = Registry("thing", "no.such.folder")
    registry.add("one", 1)
    with pytest.raises(ModuleNotFoundError):
        registry["one"]


@pytest.mark.parametrize(("name", "layers"), [("basic", 2), ("bottleneck", 3), ("depthwise", 4), ("ghost", 4)])
@pytest.mark.parametrize("se", [False, True])
@pytest.mark.parametrize(("width", "stride"), [(8, 1), (8, 2), (16, 1), (16, 2)])
def test_blocks_have_the_layers_of_their_papers(name: str, layers: int, se: bool, width: int, stride: int) -> None:
    """A shortcut only where the shape changes, gates only with SE, a ReLU in the end."""
    g = GraphBuilder(8, 8)
    BLOCKS[name].build(g, g.input, width, stride, se)
    nodes = g.build().nodes
    names = [node.name for node in nodes]
    assert nodes[-1].act == "relu"
    assert ("shortcut" in names) is (stride == 2 or width != 8)
    assert ("se_expand" in names) is se
    weighted = sum(isinstance(node.op, Weighted) for node in nodes)
    assert weighted == layers + ("shortcut" in names) + 2 * se
