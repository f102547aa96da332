"""The samplers of the project keep the contract of samplers; how the networks of a study answer them."""

from collections.abc import Sequence

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from objectives import known_costs
from objectives.base import objectives_named
from objectives.limits import Limit
from resfront.testing import SamplerContract
from runners.samplers import SAMPLERS, check_sampler
from runners.samplers.priced_networks import Networks
from search_space import UserError
from search_space.space import FixedTrial

SPACE = SamplerContract.space
TWO = ("accuracy", "macs")


class TestSamplers(SamplerContract):
    @pytest.fixture(autouse=True, params=sorted(SAMPLERS))
    def named(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param
        self.keeps_limits = request.param == "front"


def networks(names: Sequence[str] = TWO, limits: Sequence[Limit] = ()) -> Networks:
    return Networks(SPACE, objectives_named(names), limits, known_costs)


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    with pytest.raises(UserError, match="did you mean 'front'"):
        check_sampler("frotn")


def test_networks_know_what_the_study_will_be_told() -> None:
    names = ("macs", "accuracy", "file_bytes", "latency_ms")
    subject = networks(names, (Limit(objective="macs", kind="max", value=20e6),))
    for depth in (18, 26):
        params = {name: choices[0] for name, choices in SPACE.choices.items()} | {"depth": depth}
        spec = SPACE.sample(FixedTrial(params))
        costs = known_costs(spec.build_graph())
        assert subject.known(params) == [costs["macs"], None, costs["file_bytes"], None]
        assert subject.constraints(params) == [pytest.approx(costs["macs"] / 20e6 - 1)]
        assert subject.key(params) == spec.key
    assert list(subject.distributions) == list(SPACE.choices)


def test_trials_are_judged_by_the_limits_as_they_are_now() -> None:
    def ended(**outcome: object) -> FrozenTrial:
        facts = {"candidate": {"costs": {"macs": 30e6}}, "outcome": outcome}
        return create_trial(state=TrialState.PRUNED, user_attrs=facts)

    done, rejected = ended(status="completed", values={"accuracy": 0.5, "macs": 30e6}), ended(status="rejected")
    tight, loose = (networks(limits=(Limit(objective="macs", kind="max", value=most),)) for most in (20e6, 40e6))
    assert not tight.is_feasible(done) and loose.is_feasible(done)
    assert not tight.is_in_reach(rejected) and loose.is_in_reach(rejected)
    assert not loose.is_in_reach(done)
