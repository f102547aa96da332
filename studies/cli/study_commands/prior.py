"""`resfront prior`: what earlier trainings say, and how much a study agrees with them."""

from typing import TYPE_CHECKING, Annotated

import typer

from search_space.texts.counting import count_of

from ..options import DEFAULT_RUNS, JSON, RUNS, print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from runners.prior import Prior

    from ...launch.priors import Agreement


_LEGEND = """
Each row compares the accuracies of one data set with what the trainings of the other rows expect of its networks.
Kendall's tau: 1 where all networks are ranked as expected, 0 where the expectation is worth nothing; beside it the tau
of ranking them by MACs. Error: root mean square error of predicting each network from the others, by their expectations
and by their mean accuracy."""
_HEADS = ["trained on", "networks", "accuracies, %", "Kendall's tau", "of MACs", "error, points", "of the mean"]


def prior(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A study that knows some; by default what ships.")
    ] = None,
    as_json: JSON = False,
    runs: RUNS = DEFAULT_RUNS,
) -> None:
    """List the earlier trainings from which a study knows what to expect, and how far they agree with each other."""
    from ...launch.priors import agreement_of, left_out_agreements

    found = _prior_of(name, runs)
    rows = list(zip(found.trainings, left_out_agreements(found), strict=True))
    own = None if name is None else agreement_of(found, name, runs)
    if as_json:
        print_json(
            {
                "trainings": [
                    {
                        "name": each.name,
                        "validation_images": each.images,
                        "lowest_accuracy": float(each.accuracy.min()),
                        "highest_accuracy": float(each.accuracy.max()),
                        **agreement._asdict(),
                    }
                    for each, agreement in rows
                ],
                "study": None if own is None else own._asdict(),
            }
        )
        return
    print_table(
        _HEADS,
        [
            [
                each.name,
                str(agreement.networks),
                f"{100 * each.accuracy.min():.1f} to {100 * each.accuracy.max():.1f}",
                *_texts(agreement),
            ]
            for each, agreement in rows
        ],
    )
    typer.echo(_LEGEND)
    if own is not None:
        tau, of_macs, error, without = _texts(own)
        typer.echo(
            f"\n{name}, {count_of(own.networks, 'network')} trained so far: tau {tau} (of MACs {of_macs}), "
            f"error {error} points (of the mean {without})."
        )
        if own.may_be_chance:
            typer.echo(
                "They do not yet show whether the prior holds for these images: by chance a tau is often as far from 0."
            )


def _texts(agreement: "Agreement") -> list[str]:
    """Tau, tau of MACs, error and error of the mean, the errors in points of accuracy."""
    taus = agreement.kendall_tau, agreement.kendall_tau_of_macs
    errors = agreement.error, agreement.error_of_mean
    return [text.replace("nan", "–") for text in (*(f"{tau:.2f}" for tau in taus), *(f"{100 * e:.1f}" for e in errors))]


def _prior_of(name: str | None, runs: "Path") -> "Prior":
    from runners.prior import shipped_prior
    from search_space.errors import UserError

    from ...launch.priors import study_prior
    from ...study.record import open_study_record, study_directory

    if name is None:
        return shipped_prior()
    found = study_prior(open_study_record(study_directory(name, runs)))
    if found is None:
        raise UserError(f"{name}: knows nothing from earlier studies (--like none, or a sampler that learns nothing)")
    return found
