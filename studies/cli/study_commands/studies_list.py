"""`resfront studies`: which studies there are."""

from pathlib import Path
from typing import Any

import typer

from search_space.errors import UserError
from search_space.texts.counting import count_of

from ..options import DEFAULT_RUNS, JSON, RUNS, print_json, print_table


def studies(as_json: JSON = False, runs: RUNS = DEFAULT_RUNS) -> None:
    """List the studies, the one that was touched last first."""
    from ...results.listing import study_names

    if not runs.is_dir():
        raise UserError(f"{runs}: no such directory; start a study, or name its directory with --runs")
    found = [_summary(name, runs) for name in study_names(runs)]
    if as_json:
        print_json({"runs": str(runs), "studies": found})
    elif found:
        print_table(["study", "state", "trials", "front", "best", "objectives"], [_row(one) for one in found], left=2)
    else:
        typer.echo(f"no study in {runs}; start one: resfront search quick --name demo", err=True)


def _summary(name: str, runs: Path) -> dict[str, Any]:
    """How one study stands; what is wrong with it is part of the answer."""
    from ...results.listing import study_state
    from ...results.reading import StudyReader
    from ...study.record import study_directory

    reader = StudyReader(study_directory(name, runs))
    try:
        results = reader.read()
    except UserError as error:
        return {"name": name, "state": "damaged", "problem": str(error)}
    front = results.front
    return {
        "name": name,
        "state": study_state(results, is_exhausted=reader.is_exhausted),
        "trials": results.config["search"]["trials"],
        "evaluated": results.evaluated,
        "front": len(front),
        "metric": results.metric.name,
        "best": float(results.best_first(front)[results.metric.name].iloc[0]) if len(front) else None,
        "objectives": [objective.name for objective in results.objectives],
    }


def _row(one: dict[str, Any]) -> list[str]:
    from objectives import OBJECTIVES

    from ...results.listing import STATES
    from ...texts.wording import format_value

    state = STATES[one["state"]]
    if "problem" in one:
        return [one["name"], state, "", "", "", one["problem"]]
    best = one["best"]
    return [
        one["name"],
        state,
        f"{one['evaluated']:,} of {one['trials']:,}",
        count_of(one["front"], "network"),
        "–" if best is None else format_value(OBJECTIVES[one["metric"]], best),
        ", ".join(one["objectives"]),
    ]
