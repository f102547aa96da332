"""FrontSampler in Optuna studies: the optimum it must find, limits it must keep, trials that run, fail or stop."""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import TrialState

from runners.samplers.acquisition.outlook import LEAST_SHARE, LEAST_WITHOUT_LIMIT
from runners.samplers.front import SPREAD, FrontSampler
from runners.samplers.history import Hint
from runners.samplers.knowledge import Knowledge

Params = dict[str, Any]
SPACE: dict[str, BaseDistribution] = {
    "depth": IntDistribution(2, 40, step=2),
    "width": IntDistribution(8, 64, step=8),
    "block": CategoricalDistribution(["basic", "ghost", "depthwise"]),
    "scale": FloatDistribution(0.25, 1.0),
}
FACTOR = {"basic": 1.0, "ghost": 0.5, "depthwise": 0.12}


def cost(params: Params) -> float:
    return float(params["depth"] * params["width"] ** 2 * FACTOR[params["block"]] * params["scale"] ** 2)


def size(params: Params) -> float:
    return float(params["depth"] * params["width"] ** 2 * FACTOR[params["block"]])


def accuracy(params: Params) -> float:
    """Rises with cost and saturates; some blocks are worth more than they cost."""
    bonus = {"basic": 0.0, "ghost": 0.06, "depthwise": 0.04}[params["block"]]
    return 0.9 - 0.8 * math.exp(-((cost(params) / 4000) ** 0.35)) + bonus - 0.02 * abs(params["depth"] - 20) / 20


def known(params: Params) -> list[float | None]:
    return [None, cost(params)]


def sampler(**options: Any) -> FrontSampler:
    return FrontSampler(SPACE, options.pop("known", known), seed=options.pop("seed", 0), **options)


def study_with(subject: optuna.samplers.BaseSampler, directions: Sequence[str] = ("maximize", "minimize")) -> Study:
    return optuna.create_study(directions=list(directions), sampler=subject)


def run(study: Study, trials: int, values: Callable[[Params], Sequence[float]], space: Any = SPACE) -> list[Params]:
    found = []
    for _ in range(trials):
        trial = study.ask(space)
        study.tell(trial, values(trial.params))
        found.append(trial.params)
    return found


def values(params: Params) -> list[float]:
    return [accuracy(params), cost(params)]


def best_within(found: Sequence[Params], most: float) -> float:
    return max((accuracy(params) for params in found if cost(params) <= most), default=0.0)


def regrets(found: Sequence[Params]) -> list[float]:
    """The accuracy that the users of four budgets forgo, which are at equal steps of the cost's logarithm."""
    grid = _grid()
    full = max(map(cost, grid))
    budgets = [full * LEAST_WITHOUT_LIMIT**saved for saved in (0.0, 0.25, 0.5, 0.75)]
    return [best_within(grid, most) - best_within(found, most) for most in budgets]


def test_within_its_budgets_it_comes_nearer_to_the_best_than_chance_with_thrice_the_trials() -> None:
    ours = np.array([regrets(run(study_with(sampler(seed=seed)), 20, values)) for seed in range(3)])
    theirs = np.array([regrets(run(study_with(RandomSampler(seed=seed)), 60, values)) for seed in range(3)])
    assert ours.mean() < 0.75 * theirs.mean()
    assert ours[:, 0].max() < 0.01


def test_what_costs_more_than_the_budget_is_not_proposed() -> None:
    """No constraint forbids it, and yet nothing is gained there, nor by what saves more than counts."""
    most = 3000.0
    subject = sampler(seed=0, budget=(0.0, most))
    found = run(study_with(subject), 20, values)[SPREAD:]
    assert max(map(cost, found)) <= most
    assert best_within(_grid(), most) - best_within(found, most) < 0.01
    assert sum(cost(params) < most * LEAST_SHARE for params in found) <= 3


@cache
def _grid() -> list[Params]:
    scales = np.linspace(0.25, 1.0, 16).tolist()
    axes = (range(2, 41, 2), range(8, 65, 8), FACTOR, scales)
    return [dict(zip(SPACE, point, strict=True)) for point in itertools.product(*axes)]


def test_a_known_optimum_is_found() -> None:
    """Two objectives of which one is the same everywhere: what is left is to find the best of 900."""
    space = {"a": IntDistribution(0, 29), "b": IntDistribution(0, 29)}

    def worth(params: Params) -> float:
        return 1.0 - (params["a"] - 21) ** 2 / 900 - (params["b"] - 7) ** 2 / 900

    subject = FrontSampler(space, lambda params: [None, 1.0], seed=0)
    found = run(study_with(subject), 25, lambda params: [worth(params), 1.0], space)
    assert max(map(worth, found)) > 1 - 3 / 900
    assert {"a": 21, "b": 7} in found


def test_the_same_seed_proposes_the_same_and_another_does_not() -> None:
    first, again, other = (run(study_with(sampler(seed=seed)), 9, values) for seed in (3, 3, 4))
    assert first == again != other


def test_a_sampler_made_anew_goes_on_as_the_first_would_have() -> None:
    """As when a study is resumed in another process."""
    whole = run(study_with(sampler()), 10, values)
    study = study_with(sampler())
    run(study, 6, values)
    study.sampler = sampler()
    assert run(study, 4, values) == whole[6:]


def test_what_breaks_a_constraint_is_never_proposed() -> None:
    subject = sampler(constraints=lambda params: [cost(params) - 3000, size(params) - 5000])
    found = run(study_with(subject), 25, values)
    assert all(cost(params) <= 3000 and size(params) <= 5000 for params in found)
    assert max(cost(params) for params in found) > 2000


def test_no_feasible_candidate_is_an_error() -> None:
    with pytest.raises(ValueError, match="no candidate was found that keeps them"):
        study_with(sampler(constraints=lambda params: [1.0])).ask(SPACE)


def test_running_trials_are_taken_into_account() -> None:
    """Eight proposals before any of them is told, twice: all are different, and spread over the costs."""
    study = study_with(sampler())
    run(study, 6, values)
    for _ in range(2):
        asked = [study.ask(SPACE) for _ in range(8)]
        params = [trial.params for trial in asked]
        assert len({tuple(one.values()) for one in params}) == 8
        costs = [cost(one) for one in params]
        assert max(costs) / min(costs) > 3
        for trial in asked:
            study.tell(trial, values(trial.params))
    assert max(regrets([trial.params for trial in study.trials])) < 0.03


def test_failed_trials_are_not_repeated() -> None:
    study, seen = study_with(sampler()), []
    for number in range(16):
        trial = study.ask(SPACE)
        seen.append(tuple(trial.params.values()))
        if number % 3:
            study.tell(trial, values(trial.params))
        else:
            study.tell(trial, state=TrialState.FAIL)
    assert len(set(seen)) == len(seen)


def test_values_that_are_not_finite_teach_nothing() -> None:
    """The study goes on as after a failure."""
    later = []
    for told in ({"values": [-math.inf, 1.0]}, {"state": TrialState.FAIL}):
        study = study_with(sampler())
        run(study, 5, values)
        study.tell(study.ask(SPACE), **told)
        later.append(run(study, 3, values))
    assert later[0] == later[1]


def test_an_exhausted_space_repeats_what_is_feasible() -> None:
    space = {"a": IntDistribution(0, 3), "b": CategoricalDistribution(["x", "y"])}
    subject = FrontSampler(
        space, lambda params: [None, 1.0 + params["a"]], constraints=lambda params: [params["a"] - 2.0], seed=0
    )
    found = run(study_with(subject), 9, lambda params: [params["a"] / 10, 1.0 + params["a"]], space)
    distinct = {tuple(params.values()) for params in found}
    assert distinct == set(itertools.product(range(3), "xy"))
    assert {tuple(params.values()) for params in found[:6]} == distinct


def test_candidates_of_one_key_are_one() -> None:
    subject = sampler(key=lambda params: (params["depth"] // 20, params["block"]))
    found = run(study_with(subject), 9, values)
    assert len({(params["depth"] // 20, params["block"]) for params in found}) == 9


@pytest.mark.parametrize(
    ("directions", "entries"),
    [
        (("minimize", "maximize"), lambda p: [cost(p), None]),
        (("maximize", "minimize", "minimize"), lambda p: [None, cost(p), size(p)]),
        (("maximize", "minimize", "minimize"), lambda p: [None, None, size(p)]),
        (("minimize", "maximize", "minimize", "minimize"), lambda p: [cost(p), None, size(p), float(p["depth"])]),
        (("maximize", "minimize"), lambda p: [None, None]),
    ],
)
def test_two_to_four_objectives_in_any_order(directions: tuple[str, ...], entries: Callable[[Params], Any]) -> None:
    """One or more of them unknown; what is told is what was known."""
    truth = {"maximize": accuracy, "minimize": cost}

    def told(params: Params) -> list[float]:
        return [truth[d](params) if e is None else e for d, e in zip(directions, entries(params), strict=True)]

    study = study_with(sampler(known=entries), directions)
    found = run(study, 14, told)
    assert len({tuple(params.values()) for params in found}) == 14
    random = run(study_with(RandomSampler(seed=1), directions), 14, told)
    assert np.mean(regrets(found)) < np.mean(regrets(random))


def test_known_must_fit_the_study() -> None:
    study = study_with(sampler(known=lambda params: [None, 1.0, 2.0]))
    with pytest.raises(ValueError, match="an entry for each of the study's 2 objectives, not 3"):
        run(study, SPREAD + 1, values)


def test_a_trial_that_was_stopped_teaches_what_it_hints_at() -> None:
    """One block is hopeless, and only stopped trials have ever met it."""
    space = {"block": CategoricalDistribution(["good", "bad"]), "width": IntDistribution(1, 200)}

    def hint(trial: optuna.trial.FrozenTrial) -> Hint:
        return Hint(params=trial.params, values=[0.1, 0.0], deviations=[0.05, 0.0])

    def proposals(hints: Callable[[optuna.trial.FrozenTrial], Hint] | None) -> list[str]:
        subject = FrontSampler(space, lambda params: [None, float(params["width"])], hints=hints, seed=0)
        study = study_with(subject)
        for width in range(10, 200, 20):
            study.add_trial(_done(space, {"block": "good", "width": width}, [0.3 + width / 400, float(width)]))
            study.add_trial(_stopped(space, {"block": "bad", "width": width + 5}))
        return [params["block"] for params in run(study, 6, lambda params: [0.3, float(params["width"])], space)]

    assert proposals(hint).count("bad") < proposals(None).count("bad")


def _done(space: dict[str, Any], params: Params, told: list[float]) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(params=params, distributions=space, values=told)


def _stopped(space: dict[str, Any], params: Params) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(params=params, distributions=space, state=TrialState.PRUNED)


def test_other_parameters_of_a_study_are_drawn_at_random() -> None:
    study = study_with(sampler())
    trial = study.ask(SPACE)
    assert 0 <= trial.suggest_float("dropout", 0, 1) <= 1


def test_optimize_with_threads() -> None:
    study = study_with(sampler())

    def objective(trial: optuna.Trial) -> list[float]:
        params = {
            "depth": trial.suggest_int("depth", 2, 40, step=2),
            "width": trial.suggest_int("width", 8, 64, step=8),
            "block": trial.suggest_categorical("block", list(FACTOR)),
            "scale": trial.suggest_float("scale", 0.25, 1.0),
        }
        return values(params)

    study.optimize(objective, n_trials=24, n_jobs=4)
    assert len(study.get_trials(states=[TrialState.COMPLETE])) == 24
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 24


def test_what_was_proposed_counts_before_optuna_has_stored_it() -> None:
    """Another thread may ask in between."""
    subject = sampler()
    study = study_with(subject)
    run(study, 2 * SPREAD, values)
    asked = [study.ask() for _ in range(4)]
    frozen = [next(t for t in study.trials if t.number == trial.number) for trial in asked]
    assert all(not trial.params for trial in frozen)
    found = [subject.sample_relative(study, trial, SPACE) for trial in frozen]
    assert len({tuple(params[name] for name in ("depth", "width", "block")) for params in found}) == 4


def test_few_points_of_a_large_space_keep_tight_limits() -> None:
    """One in some 50,000 random ones, and they are found by going towards the limits."""

    def constraints(params: Params) -> list[float]:
        return [abs(params["depth"] - 30) / 40, abs(params["width"] - 56) / 64, params["scale"] - 0.2502]

    study = study_with(sampler(constraints=constraints))
    space = {**SPACE, "depth": IntDistribution(2, 2000, step=2)}
    study.sampler = FrontSampler(space, known, constraints=constraints, seed=0)
    found = run(study, SPREAD + 4, values, space)
    assert all((p["depth"], p["width"]) == (30, 56) and p["scale"] <= 0.2502 for p in found)


def test_a_float_with_a_step_takes_all_of_its_values() -> None:
    space = {"x": FloatDistribution(0.0, 0.3, step=0.1), "width": IntDistribution(1, 2)}
    subject = FrontSampler(
        space, lambda params: [None, float(params["width"])], constraints=lambda params: [0.25 - params["x"]], seed=0
    )
    found = run(study_with(subject), 4, lambda params: [params["x"], float(params["width"])], space)
    assert [params["x"] for params in found] == [0.3] * 4


def test_a_float_of_one_value_beside_a_small_space() -> None:
    space = {"x": FloatDistribution(0.5, 0.5), "width": IntDistribution(1, 9)}
    subject = FrontSampler(space, lambda params: [None, float(params["width"])], seed=0)
    found = run(study_with(subject), 9, lambda params: [0.1 * params["width"], float(params["width"])], space)
    assert sorted(params["width"] for params in found) == list(range(1, 10))


def test_what_must_be_learned_is_the_same_for_all() -> None:
    study = study_with(sampler(known=lambda params: [None, None if params["depth"] > 20 else 1.0]))
    with pytest.raises(ValueError, match="must give None for the same objectives"):
        run(study, SPREAD + 1, values)


def test_what_is_wrong_about_a_candidate_is_wrong_when_it_is_asked_again() -> None:
    knowledge = Knowledge(SPACE, lambda params: [None, None if params["depth"] > 20 else 1.0], None, None, None)
    rest = {"width": 8, "block": "basic", "scale": 0.5}
    knowledge.facts({"depth": 2, **rest})
    for _ in range(2):
        with pytest.raises(ValueError, match="must give None for the same objectives"):
            knowledge.facts({"depth": 40, **rest})


def test_a_cost_of_nothing_is_no_trouble() -> None:
    """Some candidates cost 0, so that the cost is not compared in logarithms, by any of them."""
    space = {"width": IntDistribution(0, 40)}
    subject = FrontSampler(space, lambda params: [None, float(params["width"])], seed=0)
    found = run(study_with(subject), 14, lambda params: [params["width"] ** 0.5, float(params["width"])], space)
    assert len({params["width"] for params in found}) == 14


def test_the_example_of_the_docs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "search.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    best = names["study"].best_trials
    assert capsys.readouterr().out.splitlines() == [f"{trial.params} {trial.values}" for trial in best]
    assert len({trial.params["width"] for trial in best}) >= 6
    assert all(names["macs"](trial.params) <= 3000 for trial in names["study"].trials)
