"""Channels that hang together are found, and a network without some of them computes what it did with those at 0."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from runners.recipes.pruning import LEAST_CHANNELS, group_macs, removal_order, without_channels
from search_space import ArchSpec, SpecError, StageSpec, architecture_from_dict, build_network, reference
from search_space.backends.torch_network import GraphNetwork
from search_space.graph import Conv, GraphBuilder, Node, Weighted
from search_space.pruning.channels import channel_groups
from search_space.pruning.pruned import PrunedSpec, prune_architecture
from search_space.spec import Architecture

BLOCKS = [(name, se) for name in ("basic", "bottleneck", "depthwise", "ghost") for se in (False, True)]
REFERENCES = [
    "mobilenetv2@0.5",
    "shufflenetv2@0.5",
    "ghost_resnet56",
    "efficientnet_b0",
    "mobilenetv3_small",
    "ghostnet",
]


def block_spec(block: str, se: bool) -> ArchSpec:
    stages = tuple(
        StageSpec(block=block, se=se, num_blocks=2, width=width, stride=stride)
        for width, stride in ((16, 1), (24, 2), (32, 2))
    )
    return ArchSpec(stem="3x3", stem_width=16, stages=stages, resolution=16)


def small(name: str) -> Architecture:
    return reference(name, resolution=32, num_classes=10)


NETWORKS = [*(block_spec(*block) for block in BLOCKS), *(small(name) for name in REFERENCES)]
IDS = [*(f"{name}{'+SE' if se else ''}" for name, se in BLOCKS), *REFERENCES]


def randomised(architecture: Architecture) -> GraphNetwork:
    torch.manual_seed(0)
    network = build_network(architecture)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.eval()


class Masked(GraphNetwork):
    """The same network with the outputs of some channels at 0 wherever they are made."""

    def __init__(self, network: GraphNetwork, masks: dict[str, Tensor]) -> None:
        super().__init__(network.graph)
        self.layers = network.layers
        self.masks = masks

    def run_node(self, node: Node, *inputs: Tensor | None) -> Tensor:
        y = super().run_node(node, *inputs)
        return y * self.masks[node.name] if node.name in self.masks else y


@pytest.mark.parametrize("architecture", NETWORKS, ids=IDS)
def test_a_pruned_network_computes_what_it_did_with_those_channels_at_0(architecture: Architecture) -> None:
    network = randomised(architecture)
    graph = network.graph
    groups = channel_groups(graph)
    scores = np.random.default_rng(0).random(groups.count)
    order = removal_order(graph, groups, scores)
    keep = np.ones(groups.count, dtype=bool)
    keep[[group for portion in order[: len(order) // 2] for group in portion]] = False
    pruned = without_channels(network, architecture, groups, keep)
    masks = {
        node.name: torch.from_numpy(groups.mask(keep, position))[None, :, None, None]
        for position, node in enumerate(graph.nodes)
        if isinstance(node.op, Weighted)
    }
    images = torch.randn(3, 3, architecture.resolution, architecture.resolution)
    with torch.no_grad():
        expected = Masked(network, masks).eval()(images)
        found = pruned.network.eval()(images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    again = pruned.architecture.build_graph()
    assert again == pruned.network.graph
    assert sum(node.macs for node in again.nodes) < 0.9 * sum(node.macs for node in graph.nodes)
    for node in again.nodes:
        if isinstance(node.op, Conv) and node.name != again.nodes[-1].name:
            assert node.op.out_channels >= min(LEAST_CHANNELS, groups.count)
    twice = architecture_from_dict(pruned.architecture.to_dict())
    assert twice == pruned.architecture and twice.key == pruned.architecture.key != architecture.key


def test_what_is_pruned_twice_has_one_base() -> None:
    architecture: Architecture = block_spec("ghost", True)
    network = randomised(architecture)
    for _ in range(2):
        groups = channel_groups(network.graph)
        keep = np.ones(groups.count, dtype=bool)
        portions = removal_order(network.graph, groups, np.arange(groups.count, dtype=float))[:12]
        keep[[group for portion in portions for group in portion]] = False
        pruned = without_channels(network, architecture, groups, keep)
        architecture, network = pruned.architecture, pruned.network
        assert isinstance(architecture, PrunedSpec) and isinstance(architecture.base, ArchSpec)
        assert architecture.build_graph() == network.graph
    assert architecture.with_bits(8, 4, 4).base.bits == (8, 4, 4)
    assert {node.bits for node in architecture.with_bits(4).build_graph().nodes} == {8, 4}
    assert architecture.with_input(resolution=24).resolution == 24


def test_groups_by_hand() -> None:
    """A residual ties channel by channel, a shuffle in two groups ties its halves, the image and the logits stay."""
    g = GraphBuilder(3, 8)
    x = g.conv(g.input, 4, kernel=3)
    y = g.conv(x, 4, kernel=3)
    z = g.channel_shuffle(g.add(x, y), 2)
    g.linear(g.global_pool(z), 5)
    graph = g.build()
    groups = channel_groups(graph)
    image, first, second, added, shuffled, _, logits = groups.of_node
    assert groups.count == 3 + 2 + 5 and groups.fixed.sum() == 8
    assert first.tolist() == second.tolist() == added.tolist() == shuffled.tolist()[::1] or first[0] == first[2]
    assert first[0] == first[2] != first[1] == first[3]
    assert shuffled.tolist() == [first[0], first[2], first[1], first[3]]
    assert groups.fixed[image].all() and groups.fixed[logits].all() and not groups.fixed[first].any()
    macs = group_macs(graph, groups)
    # Channels 0 and 2 of both convolutions: half of what makes them, half of what reads them.
    assert macs[first[0]] == 64 * 9 * (3 * 2 + 4 * 2 + 4 * 2) + 2 * 5


@pytest.mark.parametrize(
    ("channels", "slices", "words"),
    [
        ({"nothing": 3}, {}, "no layer 'nothing'"),
        ({"stage1_block1_conv1": 0}, {}, "cannot have 0"),
        ({"stage1_block1_conv1": 17}, {}, "cannot have 17"),
        ({"stage1_block1_conv2": 8}, {}, "'stage1_block1_add1' gets 8 and 16"),
        ({"head_linear1": 3}, {}, "gives the classes"),
        ({}, {"stage1_block1_conv1": (0, 2)}, "cannot be"),
    ],
)
def test_channels_that_do_not_fit_are_refused(
    channels: dict[str, int], slices: dict[str, tuple[int, int]], words: str
) -> None:
    with pytest.raises(SpecError) as error:
        PrunedSpec(base=block_spec("basic", False), channels=channels, slices=slices)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "change", [{"schema": 2}, {"more": 1}, {"channels": [1]}, {"slices": {"x": [1]}}, {"pruned": 3}]
)
def test_a_dict_that_is_none_is_refused(change: dict[str, object]) -> None:
    good = PrunedSpec(base=block_spec("basic", False), channels={"stage1_block1_conv1": 5}).to_dict()
    assert architecture_from_dict(good).to_dict() == good
    with pytest.raises(SpecError):
        architecture_from_dict({**good, **change})


def test_pruning_nothing_is_the_same_network() -> None:
    architecture = block_spec("basic", False)
    groups = channel_groups(architecture.build_graph())
    assert prune_architecture(architecture, groups, np.ones(groups.count, dtype=bool)) is architecture


@pytest.mark.parametrize("architecture", NETWORKS[: len(BLOCKS)], ids=IDS[: len(BLOCKS)])
@pytest.mark.parametrize("multiple", [4, 8])
def test_layers_are_left_with_multiples(architecture: Architecture, multiple: int) -> None:
    graph = architecture.build_graph()
    groups = channel_groups(graph)
    order = removal_order(graph, groups, np.random.default_rng(1).random(groups.count), multiple=multiple)
    assert order
    keep = np.ones(groups.count, dtype=bool)
    keep[[group for portion in order for group in portion]] = False
    pruned = prune_architecture(architecture, groups, keep).build_graph()
    for before, after in zip(graph.nodes[:-1], pruned.nodes[:-1], strict=True):
        if isinstance(after.op, Weighted) and after.shape.channels != before.shape.channels:
            assert after.shape.channels % multiple == 0
    assert sum(node.macs for node in pruned.nodes) < 0.8 * sum(node.macs for node in graph.nodes)
