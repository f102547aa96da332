"""What a block promises: a graph of the right shape, whose network trains, is counted, exported and pruned."""

import json
import random
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from runners.quantization.simulation import QuantizedNetwork
from runners.recipes.pruning import removal_order, without_channels
from runners.training.batches import DeviceImages, to_device
from runners.verification.check_files import check_onnx_file
from runners.verification.counts import verify_counts
from runners.verification.torch_export import network_values
from search_space.architectures import architecture_from_dict
from search_space.backends.onnx_model import build_onnx
from search_space.backends.torch_network import GraphNetwork, build_network
from search_space.blocks import BLOCKS, Block
from search_space.graph import FLOAT_BITS, Graph, GraphBuilder
from search_space.pruning.channels import channel_groups
from search_space.references import layers_on_main_path
from search_space.space import BLOCK_CHOICES, FixedTrial, RandomTrial, SearchSpace
from search_space.spec import ArchSpec, StageSpec
from search_space.stems import STEMS

_RESOLUTION, _CLASSES = 12, 5


class BlockContract:
    """Tests of the block `name`."""

    name: str

    @property
    def block(self) -> Block:
        """The entry under test."""
        return BLOCKS[self.name]

    def spec(self, *, se: bool = False, bits: int = FLOAT_BITS, num_blocks: tuple[int, ...] = (1, 2, 1)) -> ArchSpec:
        """Return a small network of the block, whose stages keep and change width and size."""
        unit = self.block.width_multiple * 8
        widths, strides = (unit, 2 * unit, 2 * unit), (1, 2, 2)
        stages = (
            StageSpec(block=self.name, num_blocks=count, width=width, stride=stride, se=se, bits=bits)
            for count, width, stride in zip(num_blocks, widths, strides, strict=True)
        )
        return ArchSpec(
            stem="3x3",
            stem_width=unit,
            stages=tuple(stages),
            in_channels=1,
            resolution=_RESOLUTION,
            num_classes=_CLASSES,
        )

    @pytest.mark.parametrize("se", [False, True])
    def test_it_gives_the_width_and_the_size_that_it_is_asked_for(self, se: bool) -> None:
        """`width` channels, and 1/stride of the input's height and width, rounded up."""
        unit = self.block.width_multiple
        for width in sorted({unit, 2 * unit, 3 * unit, 8 * unit, 17 * unit}):
            for in_channels in (8, width):
                for size, stride in ((8, 1), (8, 2), (7, 2), (1, 2)):
                    g = GraphBuilder(in_channels, size)
                    shape = g.shape(self.block.build(g, g.input, width, stride, se))
                    expected = (width, -(-size // stride), -(-size // stride))
                    assert shape == expected, f"{in_channels} channels, {size} px, stride {stride}: {tuple(shape)}"

    @pytest.mark.parametrize("se", [False, True])
    def test_a_stage_of_it_is_the_block_written_again_and_again(self, se: bool) -> None:
        """A stage copies its second block: the output comes last, and each block reads its input and itself alone."""
        spec = self.spec(se=se, num_blocks=(1, 4, 2))
        g = GraphBuilder(spec.in_channels, spec.resolution)
        g.enter("stem")
        x = STEMS[spec.stem](g, g.input, spec.stem_width)
        for number, stage in enumerate(spec.stages, start=1):
            for position in range(stage.num_blocks):
                g.enter_block(position + 1, number)
                x = self.block.build(g, x, stage.width, stage.stride if position == 0 else 1, se)
        g.enter("head")
        g.linear(g.global_pool(x), spec.num_classes)
        assert spec.build_graph() == g.build()

    def test_squeeze_excite_makes_another_network(self) -> None:
        """A block that ignored `se` would be trained twice, under two names."""
        assert self.spec(se=True).build_graph() != self.spec(se=False).build_graph()

    @pytest.mark.parametrize("se", [False, True])
    def test_its_layers_are_those_on_the_main_path(self, se: bool) -> None:
        """`layers` counts as the papers do: no projections, no gates, a separable convolution once."""
        spec = self.spec(se=se, num_blocks=(1, 3, 2))
        assert layers_on_main_path(spec.build_graph()) == spec.depth

    @pytest.mark.parametrize("se", [False, True])
    def test_torch_and_fvcore_count_the_same(self, se: bool) -> None:
        """Parameters and MACs."""
        for check in verify_counts(self.spec(se=se)):
            assert check.agrees, f"{check.figure}: {check.ours}, and {check.theirs} by {check.oracle}"

    @pytest.mark.parametrize("se", [False, True])
    def test_all_of_it_learns(self, se: bool) -> None:
        """Every weight has a gradient: no branch is left unread."""
        torch.manual_seed(0)
        network, images = build_network(self.spec(se=se)), _images()
        loss = F.cross_entropy(network(images.normalised(slice(0, 32))), images.labels[:32])
        loss.backward()  # type: ignore[no-untyped-call]
        idle = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
        assert idle == []
        assert torch.isfinite(loss)

    @pytest.mark.parametrize("se", [False, True])
    @pytest.mark.parametrize("bits", [FLOAT_BITS, 8])
    def test_onnxruntime_computes_what_torch_does(self, se: bool, bits: int) -> None:
        """Tensor by tensor and in its answers, in float and in integers."""
        network = _used(build_network(self.spec(se=se, bits=bits)))
        if bits < FLOAT_BITS:
            network = QuantizedNetwork(network)
            network.calibrate(_images())
            network.finish()
        network.eval()
        int8 = bits < FLOAT_BITS
        model = build_onnx(network.graph, network_values(network), int8=int8, dynamic_batch=True)
        assert check_onnx_file(model.SerializeToString(), network, _images(), int8=int8).problem is None

    @pytest.mark.parametrize("se", [False, True])
    def test_it_can_be_pruned(self, se: bool) -> None:
        """Without some channels it is a smaller network, which torch runs and which goes to JSON and back."""
        torch.manual_seed(0)
        spec = self.spec(se=se)
        network = build_network(spec).eval()
        groups = channel_groups(network.graph)
        scores = np.random.default_rng(0).random(groups.count)
        order = removal_order(network.graph, groups, scores)
        keep = np.ones(groups.count, dtype=bool)
        keep[[group for portion in order[: len(order) // 2] for group in portion]] = False
        pruned = without_channels(network, spec, groups, keep)
        assert _macs(pruned.network.graph) < _macs(network.graph) or not order
        assert pruned.network.eval()(_images().normalised(slice(0, 2))).shape == (2, _CLASSES)
        again = architecture_from_dict(json.loads(json.dumps(pruned.architecture.to_dict())))
        assert again == pruned.architecture and again.build_graph() == pruned.network.graph

    @pytest.mark.parametrize("se", [False, True])
    def test_its_networks_go_to_json_and_back(self, se: bool) -> None:
        """The same value, key and graph."""
        spec = self.spec(se=se, bits=8)
        again = architecture_from_dict(json.loads(json.dumps(spec.to_dict())))
        assert again == spec and again.key == spec.key and again.build_graph() == spec.build_graph()

    def test_a_space_can_be_searched_for_it(self) -> None:
        """With and without SE, at every width that a space has."""
        names = tuple(BLOCK_CHOICES.name_of(self.name, se) for se in (False, True))
        space = SearchSpace(depth=(8, 32), blocks=names, base_width=(8, 32), width_multipliers=(0.5, 1.0))
        draws = random.Random(0)
        seen = set()
        for _ in range(20):
            spec = space.sample(RandomTrial(draws))
            assert space.sample(FixedTrial(space.params_of(spec))) == spec
            assert spec.build_graph().nodes[-1].shape.channels == spec.num_classes
            seen.add(spec.stages[0].se)
        assert seen == {False, True}


@cache
def _images() -> DeviceImages:
    """Return 64 random images with labels."""
    draws = np.random.default_rng(0)
    pixels = draws.integers(0, 256, (64, _RESOLUTION, _RESOLUTION, 1), dtype=np.uint8)
    labels = np.arange(64) % _CLASSES
    return to_device(pixels, labels, mean=0.5, std=0.3, resolution=_RESOLUTION, device=torch.device("cpu"))


@torch.no_grad()
def _used(network: GraphNetwork) -> GraphNetwork:
    """Give a network batch norms that do something, with the statistics of the images."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.3)
            module.momentum = 1.0  # keeps the statistics of the last batch
    network.train()(_images().normalised(slice(None)))
    return network.eval()


def _macs(graph: Graph) -> int:
    return sum(node.macs for node in graph.nodes)
