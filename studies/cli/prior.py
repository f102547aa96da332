"""`resfront prior`: what earlier trainings say, and how much a study agrees with them."""

from typing import TYPE_CHECKING, Annotated

import typer

from .options import DEFAULT_RUNS, JSON, RUNS, print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from runners.prior import Prior


def register(app: typer.Typer) -> None:
    app.command()(prior)


def prior(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A study that knows some; by default what ships.")
    ] = None,
    as_json: JSON = False,
    runs: RUNS = DEFAULT_RUNS,
) -> None:
    """List the trainings from which a study knows what to expect, and how well each is foreseen by the others."""
    from studies.priors import agreement_of, left_out_agreements

    found = _prior_of(name, runs)
    rows = list(zip(found.trainings, left_out_agreements(found), strict=True))
    own = None if name is None else agreement_of(found, name, runs)
    if as_json:
        print_json(
            {
                "trainings": [
                    {
                        "name": each.name,
                        "networks": len(each.accuracy),
                        "validation_images": each.images,
                        "lowest_accuracy": float(each.accuracy.min()),
                        "highest_accuracy": float(each.accuracy.max()),
                        "kendall_tau": tau,
                    }
                    for each, tau in rows
                ],
                "study": None if own is None else {"networks": own[0], "kendall_tau": own[1]},
            }
        )
        return
    print_table(
        ["trainings on", "networks", "accuracies", "foreseen by the others (Kendall's tau)"],
        [
            [
                each.name,
                str(len(each.accuracy)),
                f"{100 * each.accuracy.min():.1f} to {100 * each.accuracy.max():.1f} %",
                _tau(tau),
            ]
            for each, tau in rows
        ],
    )
    typer.echo("\n1: the others rank its networks as its own trainings do; 0: they say nothing of it")
    if own is not None:
        typer.echo(f"{name}: Kendall's tau {_tau(own[1])} over the {own[0]} networks that it has trained")


def _tau(tau: float) -> str:
    return "–" if tau != tau else f"{tau:.2f}"


def _prior_of(name: str | None, runs: "Path") -> "Prior":
    from runners.prior import shipped_prior
    from search_space.errors import UserError
    from studies.study import open_study_record, study_directory, study_prior

    if name is None:
        return shipped_prior()
    found = study_prior(open_study_record(study_directory(name, runs)))
    if found is None:
        raise UserError(f"{name}: knows nothing from earlier studies (--like none, or a sampler that learns nothing)")
    return found
