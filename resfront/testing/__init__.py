"""Contracts that plug-ins keep, as tests which their authors inherit.

    from resfront.testing import BlockContract

    class TestPlain(BlockContract):
        name = "plain"

pytest then runs every test of the contract on the entry of that name. This package needs pytest, the rest of resfront
does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .block import BlockContract
    from .dataset import DatasetContract
    from .engine import EngineContract
    from .sampler import SamplerContract

_HOMES = {
    "BlockContract": "block",
    "DatasetContract": "dataset",
    "EngineContract": "engine",
    "SamplerContract": "sampler",
}
"""Public name -> the module that has it, which is imported when it is first asked for."""

__all__ = ["BlockContract", "DatasetContract", "EngineContract", "SamplerContract"]

pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in _HOMES.values()))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
