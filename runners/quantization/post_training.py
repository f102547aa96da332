"""Post-training quantization: a trained network as it runs at its few bits."""

from search_space.backends.torch_network import GraphNetwork
from search_space.graph import FLOAT_BITS
from search_space.spec import Architecture

from ..training.batches import DeviceImages
from .dequantize import at_bits
from .simulation import QuantizedNetwork, lowest_bits


def quantize(network: GraphNetwork, architecture: Architecture, images: DeviceImages) -> GraphNetwork:
    """Quantize a trained network without further training, as it computes at the bits of an architecture.

    Parameters
    ----------
    network
        Trained, of the same architecture at 32 bits.
    architecture
        With the bits that the network is to run at.
    images
        Training images, of which the ranges of activations are taken.

    Returns
    -------
    GraphNetwork
        A torch module of the same inputs and outputs that rounds weights and activations as an integer runtime does;
        `network` itself if all bits are 32.
    """
    found = at_bits(network, architecture.build_graph())
    if lowest_bits(found.graph) == FLOAT_BITS:
        return network
    quantized = QuantizedNetwork(found)
    quantized.calibrate(images)
    quantized.finish()
    return quantized
