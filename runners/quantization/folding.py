"""Batch-norm folded into the convolution before it, and taken out again."""

from typing import cast

import torch
from torch import Tensor, nn

from search_space.backends.network_values import (
    Floats,
)
from search_space.backends.torch_network import ConvLayer, LinearLayer


def as_array(tensor: Tensor) -> Floats:
    """A tensor's values as a numpy array of its shape."""
    array: Floats = tensor.detach().cpu().contiguous().numpy()
    return array


def gain_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a batch-norm multiplies each channel by and adds in evaluation mode (Jacob et al. 2018, eq. 14)."""
    gain = norm.weight.detach() / torch.sqrt(cast(Tensor, norm.running_var) + norm.eps)
    return gain, norm.bias.detach() - cast(Tensor, norm.running_mean) * gain


def folded(layer: ConvLayer | LinearLayer) -> tuple[Tensor, Tensor]:
    """Copies of weight and bias (out_channels,), with the batch-norm's statistics folded in."""
    if isinstance(layer, LinearLayer):
        return layer.linear.weight.detach().clone(), layer.linear.bias.detach().clone()
    weight, bias = unfolded(layer)
    if layer.norm is None:
        return weight, bias
    gain, shift = gain_and_shift(layer.norm)
    return (weight * gain[:, None, None, None]).contiguous(memory_format=torch.channels_last), bias * gain + shift


def unfolded(layer: ConvLayer) -> tuple[Tensor, Tensor]:
    """Copies of a convolution's weight and bias, zeros where it has none."""
    weight, bias = layer.conv.weight.detach().clone(), layer.conv.bias
    return weight, weight.new_zeros(len(weight)) if bias is None else bias.detach().clone()
