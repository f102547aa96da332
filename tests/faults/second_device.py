"""A GPU where there is none: torch's `meta` device, which knows shapes and no values, each operation watched."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")
_READ = ("aten::item", "aten::_local_scalar_dense")
_COPY = ("aten::_to_copy", "aten::to")
_MAY_MIX = ("aten::copy_", *_COPY)
"""What moves tensors from device to device."""
_INDEXED = ("aten::index", "aten::index_put_", "aten::_index_put_impl_")
"""Take indices from the host."""


class SecondDevice(TorchDispatchMode):
    """Raises where an operation gets a tensor of the host beside one of the device, as CUDA would.

    What is read from the device, or copied to the host, is made up: ones.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func._schema.name, kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_device = [tensor for tensor in tensors if tensor.device == META]
        if on_device and name in _READ:
            return torch.ones((), dtype=on_device[0].dtype).item()
        target = next((leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.device)), META)
        if on_device and name in _COPY and target != META:
            return torch.ones(on_device[0].shape, dtype=kwargs.get("dtype") or on_device[0].dtype)
        if name == "aten::copy_" and args[0].device != META == args[1].device:
            return args[0].fill_(1)
        left = _left_on_host(name, args, tensors) if on_device else []
        if left:
            raise RuntimeError(f"{name}: a tensor {tuple(left[0].shape)} was left on the CPU")
        return func(*args, **kwargs)


def _left_on_host(name: str, args: Any, tensors: Iterable[Tensor]) -> list[Tensor]:
    if name in _MAY_MIX:
        return []
    if name in _INDEXED and args[0].device == META:
        tensors = [args[0], *(leaf for leaf in args[2:] if isinstance(leaf, Tensor))]
    # A single number may come from the host.
    return [tensor for tensor in tensors if tensor.device.type == "cpu" and tensor.ndim > 0]


@contextmanager
def second_device() -> Iterator[None]:
    """Watch every operation, backward passes too; without mixed precision and fused steps, which meta lacks."""
    plain_sgd = partial(_without_fusing, torch.optim.SGD)
    with (
        patch.object(torch, "autocast", lambda *_, **__: nullcontext()),
        patch.object(torch.optim, "SGD", plain_sgd),
        SecondDevice(),
    ):
        yield


def _without_fusing(make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return make(*args, **(kwargs | {"fused": False}))
