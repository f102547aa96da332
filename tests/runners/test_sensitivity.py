"""What each stage loses at few bits: of a network that knows something, on enough images to see it."""

import pytest

from runners.images import DeviceImages
from runners.sensitivity import measure_sensitivity, propose_mix
from runners.training import measure_accuracy
from search_space.errors import UserError
from search_space.network import GraphNetwork

from .test_quantization import SPEC, float_network, images, post_training

pytestmark = pytest.mark.numbers

__all__ = ["float_network", "images"]  # fixtures


def test_each_stage_is_quantized_alone(float_network: GraphNetwork, images: tuple[DeviceImages, DeviceImages]) -> None:
    """Next to nothing is lost at 8 bits, much at 2, and as much as the network loses with that stage at those bits."""
    found = measure_sensitivity(float_network, SPEC, *images, choices=(8, 2))
    assert found.float_accuracy == measure_accuracy(float_network, images[1]) > 0.6
    rows = {(row.stage, row.bits): row.accuracy for row in found.rows}
    assert list(rows) == [(stage, bits) for stage in (1, 2, 3) for bits in (8, 2)]
    for (stage, bits), accuracy in rows.items():
        widths = [bits if number == stage else 32 for number in (1, 2, 3)]
        alone = post_training(float_network, images[0], *widths)
        alone.finish()
        assert accuracy == measure_accuracy(alone, images[1])
        assert found.loss(stage, bits) == max(0.0, found.float_accuracy - accuracy)
        if bits == 8:
            assert accuracy == pytest.approx(found.float_accuracy, abs=0.02)
    assert min(rows[stage, 2] for stage in (1, 2, 3)) < found.float_accuracy - 0.1


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
