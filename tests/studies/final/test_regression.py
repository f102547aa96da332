"""Whether a result that is larger or slower than what was given is told from one that is not."""

import pytest

from objectives import known_costs
from runners.recipes.results import StepResult
from search_space.references import reference
from studies.final.regression import regressions


def step(name: str, latency_ms: float | None = None, *, network: str = "resnet8", bits: int = 32) -> StepResult:
    graph = reference(network, resolution=32, bits=bits).build_graph()
    return StepResult(name=name, accuracy=0.5, costs=known_costs(graph), latency_ms=latency_ms, epochs=0, seconds=0.0)


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (step("start", 1.0), step("quantize", 0.5, bits=8), ""),
        (step("start", 1.0), step("quantize", 1.04, bits=8), ""),
        (step("start", 1.0), step("quantize", 1.06, bits=8), "Latency, measured 1.06 ms instead of 1 ms"),
        (step("start", 1.0), step("train", 2.0), ""),
        (step("start"), step("quantize", bits=8), ""),
        (step("start", bits=4), step("quantize", bits=8), "Packed size 80.1 kB instead of 42 kB"),
        (step("start"), step("prune", network="resnet20"), "MACs 40.8 M instead of 12.5 M"),
    ],
)
def test_what_rose_is_said(first: StepResult, last: StepResult, said: str) -> None:
    """One network with the same costs is the same graph: a second timing of it says nothing."""
    between = step("fine-tune", 9.0, network="resnet20")
    found = regressions([first, between, last])
    assert len(found) == bool(said)
    if said:
        assert found[0].startswith("the result is larger or slower than what was given: ") and said in found[0]
