"""What a study expects of every sampler that it offers, on networks of a real space."""

from collections.abc import Sequence

import optuna
import pytest
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from objectives import known_costs
from objectives.base import objectives_named
from objectives.limits import Limit
from runners.samplers import SAMPLERS, Task, check_sampler, make_sampler
from runners.samplers.priced_networks import Networks
from search_space import ArchSpec, SearchSpace, UserError
from search_space.space import FixedTrial

SPACE = SearchSpace(depth=(18, 26), base_width=(8, 24), blocks=("basic", "ghost", "depthwise"), bits=(32, 8))
TWO = ("accuracy", "macs")


def networks(names: Sequence[str] = TWO, limits: Sequence[Limit] = ()) -> Networks:
    return Networks(SPACE, objectives_named(names), limits, known_costs)


def study_with(sampler: str, names: Sequence[str] = TWO, seed: int = 0) -> Study:
    task = Task(seed=seed, networks=networks(names))
    directions = ["maximize" if objective.maximize else "minimize" for objective in objectives_named(names)]
    return optuna.create_study(directions=directions, sampler=make_sampler(sampler, task))


def ask(study: Study) -> tuple[Trial, ArchSpec]:
    trial = study.ask()
    return trial, SPACE.sample(trial)


def values(spec: ArchSpec, names: Sequence[str] = TWO) -> list[float]:
    costs = {**known_costs(spec.build_graph()), "accuracy": 0.3 + 0.02 * spec.depth}
    return [float(costs[name]) for name in names]


def run(study: Study, trials: int, names: Sequence[str] = TWO) -> list[str]:
    keys = []
    for _ in range(trials):
        trial, spec = ask(study)
        study.tell(trial, values(spec, names))
        keys.append(spec.key)
    return keys


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_the_same_seed_proposes_the_same(sampler: str) -> None:
    first, again, other = (run(study_with(sampler, seed=seed), 12) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_running_failed_and_stopped_trials_are_lived_with(sampler: str) -> None:
    study = study_with(sampler)
    run(study, 4)
    ends = [TrialState.FAIL, TrialState.PRUNED, None, TrialState.FAIL, TrialState.PRUNED, None]
    asked = [ask(study) for _ in ends]
    for (trial, _), state in zip(asked, ends, strict=True):
        if state is not None:
            study.tell(trial, state=state)
    assert len(run(study, 3)) == 3


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_three_and_four_objectives(sampler: str) -> None:
    for names in (("macs", "accuracy", "file_bytes"), ("accuracy", "macs", "params", "peak_memory_bytes")):
        assert len(run(study_with(sampler, names), 6, names)) == 6


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_what_is_enqueued_comes_first(sampler: str) -> None:
    study = study_with(sampler)
    wanted = {"depth": 24, "block": "ghost", "base_width": 16, "width_multiplier2": 1.0, "width_multiplier3": 1.0}
    wanted |= {"resolution": 32, "bits": 8}
    study.enqueue_trial(wanted)
    trial, spec = ask(study)
    assert trial.params == wanted and SPACE.params_of(spec) == wanted


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
