"""What each stage loses at few bits: of a network that knows something, on enough images to see it."""

import pytest
import torch

from runners.quantization.requantize import requantized
from runners.quantization.sensitivity import Sensitivity, StageAccuracy, measure_sensitivity, propose_mix
from runners.quantization.simulation import QuantizedLayer, QuantizedNetwork
from runners.training.batches import DeviceImages
from runners.training.loop import measure_accuracy
from search_space.backends.torch_network import GraphNetwork
from search_space.errors import UserError
from tests.runners.quantization.test_simulation import (
    SPEC,
    float_network,
    images,
    layers_of,
    logits,
    post_training,
    trained_further,
)

pytestmark = pytest.mark.numbers

__all__ = ["float_network", "images"]  # fixtures


def test_each_stage_is_quantized_alone(float_network: GraphNetwork, images: tuple[DeviceImages, DeviceImages]) -> None:
    """Next to nothing is lost at 8 bits, much at 2, and as much as the network loses with that stage at those bits."""
    found = measure_sensitivity(float_network, SPEC, *images, choices=(8, 2))
    assert found.accuracy == measure_accuracy(float_network, images[1]) > 0.6
    assert found.own_bits == (32, 32, 32)
    rows = {(row.stage, row.bits): row.accuracy for row in found.rows}
    assert list(rows) == [(stage, bits) for stage in (1, 2, 3) for bits in (8, 2)]
    for (stage, bits), accuracy in rows.items():
        widths = [bits if number == stage else 32 for number in (1, 2, 3)]
        alone = post_training(float_network, images[0], *widths)
        alone.finish()
        assert accuracy == measure_accuracy(alone, images[1])
        assert found.loss(stage, bits) == max(0.0, found.accuracy - accuracy)
        if bits == 8:
            assert accuracy == pytest.approx(found.accuracy, abs=0.02)
    assert min(rows[stage, 2] for stage in (1, 2, 3)) < found.accuracy - 0.1


def test_the_mix_is_the_one_that_loses_least_within_the_size(
    float_network: GraphNetwork, images: tuple[DeviceImages, DeviceImages]
) -> None:
    found = measure_sensitivity(float_network, SPEC, *images, choices=(8, 2))
    sizes = {bits: propose_mix(SPEC, found, 1e9, choices=(bits,)).packed_bytes for bits in (8, 2)}
    roomy = propose_mix(SPEC, found, sizes[8], choices=(8, 2))
    assert roomy.expected_loss == pytest.approx(sum(min(found.loss(s, 8), found.loss(s, 2)) for s in (1, 2, 3)))
    tight = propose_mix(SPEC, found, (sizes[8] + sizes[2]) / 2, choices=(8, 2))
    assert tight.packed_bytes <= (sizes[8] + sizes[2]) / 2 and 2 in tight.bits
    assert tight.expected_loss >= roomy.expected_loss
    with pytest.raises(UserError, match="the smallest network has"):
        propose_mix(SPEC, found, sizes[2] - 1, choices=(8, 2))


# --- networks that are quantized already ----------------------------------------------------------


@pytest.fixture(scope="module")
def few_bits(float_network: GraphNetwork, images: tuple[DeviceImages, DeviceImages]) -> QuantizedNetwork:
    """Trained at 4 bits, the middle stage at 8, and finished."""
    network = trained_further(float_network, images, 1, 4, 8, 4)[0]
    network.finish()
    return network


def at(network: QuantizedNetwork, images: tuple[DeviceImages, DeviceImages], *bits: int) -> QuantizedNetwork:
    return requantized(network, SPEC.with_bits(*bits).build_graph(), images[0])


def test_a_quantized_network_is_its_own_baseline(
    few_bits: QuantizedNetwork, images: tuple[DeviceImages, DeviceImages]
) -> None:
    """Every row is below a stage's own bits, and what the network has with that stage alone changed."""
    spec = SPEC.with_bits(4, 8, 4)
    found = measure_sensitivity(few_bits, spec, *images, choices=(8, 6, 4, 2))
    assert found.accuracy == measure_accuracy(few_bits, images[1]) > 0.6
    assert found.own_bits == (4, 8, 4)
    rows = {(row.stage, row.bits): row.accuracy for row in found.rows}
    assert list(rows) == [(1, 2), (2, 6), (2, 4), (2, 2), (3, 2)]
    assert rows[2, 6] == pytest.approx(found.accuracy, abs=0.02)
    assert rows[1, 2] == measure_accuracy(at(few_bits, images, 2, 8, 4), images[1]) < found.accuracy - 0.03


def test_at_its_own_bits_a_network_stays_as_it_is(
    few_bits: QuantizedNetwork, images: tuple[DeviceImages, DeviceImages]
) -> None:
    """With the learned steps: ranges of training images alone would give other outputs."""
    torch.testing.assert_close(logits(at(few_bits, images, 4, 8, 4), images[1]), logits(few_bits, images[1]))


def test_other_stages_keep_their_scales_and_a_stage_starts_from_its_integers(
    few_bits: QuantizedNetwork, images: tuple[DeviceImages, DeviceImages]
) -> None:
    changed = at(few_bits, images, 2, 8, 4)
    before, after = few_bits.scales(), changed.scales()
    assert before.keys() == after.keys()
    differ = {name for name in before if before[name] != after[name]}
    assert differ and all(name.startswith("stage1") for name in differ)
    sources = dict(layers_of(few_bits))
    for name, layer in layers_of(changed):
        assert layer.quantizer is not None
        if not name.startswith("stage1"):
            torch.testing.assert_close(rounded(layer), rounded(sources[name]))
        else:
            assert layer.quantizer.bits == 2
            torch.testing.assert_close(layer.weight.detach(), rounded(sources[name]))


def rounded(layer: QuantizedLayer) -> torch.Tensor:
    assert layer.quantizer is not None
    return layer.quantizer(layer.weight).detach()  # type: ignore[no-any-return]


def test_no_stage_is_proposed_more_bits_than_it_has() -> None:
    """Although more bits would lose less by these figures."""
    rows = tuple(StageAccuracy(stage=stage, bits=2, accuracy=0.5) for stage in (1, 2, 3))
    found = Sensitivity(accuracy=0.6, own_bits=(4, 4, 2), rows=rows[:2])
    roomy = propose_mix(SPEC, found, 1e9, choices=(8, 2))
    assert (roomy.bits, roomy.expected_loss) == ((4, 4, 2), 0.0)
    tight = propose_mix(SPEC, found, roomy.packed_bytes - 1, choices=(8, 2))
    assert tight.bits in {(2, 4, 2), (4, 2, 2)} and tight.expected_loss == pytest.approx(0.1)
