"""The engines of the project keep the contract of engines."""

import pytest

from resfront.testing import EngineContract
from runners.engines.base import ENGINES

pytestmark = pytest.mark.slow


class TestEngines(EngineContract):
    @pytest.fixture(autouse=True, params=sorted(ENGINES))
    def named(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param
