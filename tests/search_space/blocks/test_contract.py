"""The blocks of the project keep the contract of blocks."""

import pytest

from resfront.testing import BlockContract
from search_space.blocks import BLOCKS

pytestmark = pytest.mark.numbers


class TestBlocks(BlockContract):
    @pytest.fixture(autouse=True, params=sorted(BLOCKS))
    def named(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param
