"""`resfront recommend`: the best network within a budget, the one to weigh it against, and how to take it home."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runners.trial_record import Status
from search_space.errors import UserError
from search_space.texts.counting import count_of

from ..options import DEFAULT_RUNS, JSON, NAME, RUNS, print_json, print_table

if TYPE_CHECKING:
    from objectives import Limit

    from ...analysis.recommendation import Recommendation
    from ...results.study_results import StudyResults


class NoNetworkFits(UserError):
    """No evaluated network keeps the limits."""

    exit_code = 5


def recommend(
    name: NAME,
    maxima: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="OBJ=VALUE", help="At most, for example latency_ms=1; may be repeated."),
    ] = None,
    minima: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="OBJ=VALUE", help="At least, for example accuracy=0.8; may be repeated."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="BUDGET", help="A named budget, see `resfront budgets`; --max and --min add to it."
        ),
    ] = None,
    goal: Annotated[
        str | None,
        typer.Option(
            metavar="OBJ", help="Be best at this; by default accuracy, or cost where only accuracy is limited."
        ),
    ] = None,
    as_json: JSON = False,
    runs: RUNS = DEFAULT_RUNS,
) -> None:
    """Recommend the best network of a study within limits, and the next best to weigh it against."""
    from objectives import OBJECTIVES
    from objectives.limits import check_limits, parse_limit

    from ...analysis import recommendation
    from ...analysis.budgets import budget as named_budget
    from ...results.reading import load_results
    from ...study.record import open_study_record, study_directory

    directory = study_directory(name, runs)
    if directory.exists():
        open_study_record(directory)  # first: limits may be on metrics that only it knows
    named = [] if budget is None else list(named_budget(budget).limits)
    given = [
        *(parse_limit("max", text) for text in maxima or []),
        *(parse_limit("min", text) for text in minima or []),
    ]
    limits = [limit for limit in named if limit.objective not in {own.objective for own in given}] + given
    check_limits(limits)
    results = load_results(directory)
    aim = None if goal is None else OBJECTIVES[goal].name
    results = recommendation.with_figures(results, [limit.objective for limit in limits] + ([aim] if aim else []))
    found = recommendation.recommend(results, limits, goal=aim)
    if as_json:
        print_json(_as_json(results, found))
    if found.best is None:
        raise NoNetworkFits(_why_none(results, found))
    if not as_json:
        _print(results, found, found.best)


def _print(results: "StudyResults", found: "Recommendation", best: int) -> None:
    from objectives import OBJECTIVES

    from ...analysis.trade import beside_reference
    from ...texts.wording import describe_metric, describe_spec, describe_trainings, format_figure, heading

    limited = [OBJECTIVES[limit.objective] for limit in found.limits]
    shown = {objective.name: objective for objective in (*results.objectives, *limited, found.goal)}.values()
    rows = []
    for mark, trial in (("best", best), ("runner-up", found.runner_up)):
        if trial is not None:
            row = _row(results, trial)
            label = row["label"] if isinstance(row["label"], str) else ""
            network = " · ".join(filter(None, [describe_spec(row["record"].spec), label]))
            rows.append([mark, str(trial), *(format_figure(objective, row) for objective in shown), network])
    print_table(["", "trial", *(heading(objective) for objective in shown), "network"], rows)
    typer.echo(f"\n{describe_metric(results.metric, results.validation_images)}")
    for trial in (best, found.runner_up):
        if trial is not None and (trainings := describe_trainings(_row(results, trial), results.metric)):
            typer.echo(f"trial {trial}: {trainings}")
    if found.runner_up is not None:
        typer.echo(f"trial {found.runner_up} against {best}: {found.trade}")
    if beside := beside_reference(results, best):
        typer.echo(f"trial {best}: {beside}")
    typer.echo(_how_many(found))
    where = "" if results.directory.parent == DEFAULT_RUNS else f" --runs {results.directory.parent}"
    typer.echo(f"next: resfront export {results.name} --trial {best} -o {results.name}-{best}{where}")


def _how_many(found: "Recommendation") -> str:
    networks = count_of(found.considered, "network")
    if not found.limits:
        return f"best by {found.goal.name} of {networks}; no limits but the study's own"
    return (
        f"best by {found.goal.name} of the {found.remaining} of {networks} with {' and '.join(map(str, found.limits))}"
    )


def _why_none(results: "StudyResults", found: "Recommendation") -> str:
    if not found.considered:
        completed = results.count(Status.COMPLETED)
        why = "none of the completed trials keeps the study's limits" if completed else "no trial has completed yet"
        return f"{results.name}: nothing to recommend: {why}"
    if not found.binding:
        return f"{results.name}: {found.goal.name} is not known of any of the {count_of(found.considered, 'network')}"
    reason = f"{results.name}: none of {count_of(found.considered, 'network')} keeps the limits; what binds: "
    reason += ", ".join(map(str, found.binding))
    if found.nearest is None:
        return f"{reason} (not known of any network)"
    return f"{reason}; the nearest is trial {found.nearest}: {'; '.join(found.excess)}"


def _as_json(results: "StudyResults", found: "Recommendation") -> dict[str, Any]:
    nearest = _network(results, found.nearest)
    return {
        "goal": found.goal.name,
        "limits": [_limit(limit) for limit in found.limits],
        "remaining": found.remaining,
        "considered": found.considered,
        "best": _network(results, found.best),
        "runner_up": _network(results, found.runner_up),
        "trade": found.trade or None,
        "binding": [_limit(limit) for limit in found.binding],
        "nearest": nearest and {**nearest, "excess": found.excess},
    }


def _limit(limit: "Limit") -> dict[str, Any]:
    return {"objective": limit.objective, "kind": limit.kind, "value": limit.value}


def _network(results: "StudyResults", trial: int | None) -> dict[str, Any] | None:
    if trial is None:
        return None
    from ...texts.wording import accuracy_interval, first_metric

    row = _row(results, trial)
    return {
        "trial": trial,
        "label": row["label"] if isinstance(row["label"], str) else None,
        "values": {figure.name: float(row[figure.name]) for figure in results.figures},
        "accuracy_interval": accuracy_interval(row),
        "trainings": int(row["trainings"]),
        "first_metric": first_metric(row, results.metric),
        "spec": row["record"].spec,
    }


def _row(results: "StudyResults", trial: int) -> Any:
    return results.trials[results.trials["trial"] == trial].iloc[0]
