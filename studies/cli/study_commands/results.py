"""`resfront status`, `pareto`, `report` and `export`: what a study found, and taking a network home."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runners.trial_record import EVALUATED, Status
from search_space.errors import UserError

from ..options import DEFAULT_RUNS, JSON, NAME, RUNS, WITHOUT, parse_path, print_json

if TYPE_CHECKING:
    from ...results.study_results import StudyResults
from ..terminal.front_table import print_front


def status(name: NAME, as_json: JSON = False, runs: RUNS = DEFAULT_RUNS) -> None:
    """Show how far a study is."""
    results = _load(name, runs)
    trials = results.trials
    summary: dict[str, Any] = {
        "name": results.name,
        "objectives": [objective.name for objective in results.objectives],
        "limits": [str(limit) for limit in results.limits],
        "prior": list(results.earlier_studies),
        "trials": results.config["search"]["trials"],
        **{kind: results.count(kind) for kind in (*EVALUATED, Status.REJECTED, Status.DUPLICATE)},
        "unfinished": results.count(Status.RUNNING),
        "front": int(trials["front"].sum()),
        "hypervolume": _hypervolume(results),
        "training_s": float(trials["duration_s"].sum()),
        "training_saved": results.training_saved,
    }
    if as_json:
        print_json(summary)
    else:
        summary |= {key: ", ".join(summary[key]) or "none" for key in ("objectives", "limits", "prior")}
        summary["training_s"] = f"{summary['training_s']:.4g}"
        summary["hypervolume"] = f"{summary['hypervolume']:.4g}"
        summary["training_saved"] = "-" if math.isnan(results.training_saved) else f"{results.training_saved:.0%}"
        for key, value in summary.items():
            typer.echo(f"{key:14} {value}")


def pareto(name: NAME, as_json: JSON = False, runs: RUNS = DEFAULT_RUNS) -> None:
    """Print the Pareto front."""
    from ...texts.wording import accuracy_interval, first_metric

    results = _load(name, runs)
    if not as_json:
        print_front(results)
        return
    print_json(
        {
            "name": results.name,
            "objectives": [{"name": o.name, "direction": o.direction, "unit": o.unit} for o in results.objectives],
            "knee": results.knee_trial,
            "hypervolume": _hypervolume(results),
            "front": [
                {
                    "trial": int(row["trial"]),
                    "label": row["label"] if isinstance(row["label"], str) else None,
                    "values": _values(row),
                    "accuracy_interval": accuracy_interval(row),
                    "trainings": int(row["trainings"]),
                    "first_metric": first_metric(row, results.metric),
                    "spec": row["record"].spec,
                    "feasible": bool(row["feasible"]),
                }
                for _, row in results.front.iterrows()
            ],
        }
    )


def report(
    name: NAME,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", parser=parse_path, help="By default in the study.")
    ] = None,
    runs: RUNS = DEFAULT_RUNS,
) -> None:
    """Write the HTML report; it opens offline."""
    from ...report.page import write_report

    results = _load(name, runs)
    typer.echo(write_report(results, output or results.directory / "report.html"))


def export(
    name: NAME,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", parser=parse_path, help="A new directory.")],
    trial: Annotated[int | None, typer.Option(metavar="N", help="The trial to export.")] = None,
    knee: Annotated[bool, typer.Option("--knee", help="Export the knee of the front.")] = False,
    dynamic_batch: Annotated[
        bool, typer.Option("--dynamic-batch", help="Leave the ONNX files' batch axis open, instead of 1.")
    ] = False,
    symmetric: Annotated[
        bool, typer.Option("--symmetric", help="Also write int8 with zero points 0, as TensorRT wants it.")
    ] = False,
    without: WITHOUT = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="PATH", parser=parse_path, help="Where the study's images are now."),
    ] = None,
    runs: RUNS = DEFAULT_RUNS,
) -> None:
    """Export a network: spec, weights, ONNX (float32, int8), torch program, card; checked before they are written."""
    from studies.export import ModelOptions, export_trial

    if knee == (trial is not None):
        raise UserError("export: give --trial N or --knee, one of the two")
    results = _load(name, runs)
    number = results.knee_trial if knee else trial
    if number is None:
        raise UserError(f"export: the front of {name} is empty, so it has no knee")
    options = ModelOptions(dynamic_batch=dynamic_batch, symmetric=symmetric, without=tuple(without or ()))
    written = export_trial(
        results,
        number,
        output,
        data_dir=data_dir,
        options=options,
        progress=lambda line: typer.echo(line, err=True),
    )
    typer.echo(written)


def _values(row: Any) -> dict[str, float]:
    from objectives import OBJECTIVES

    return {name: float(row[name]) for name in row.index if name in OBJECTIVES or "@" in name}


def _hypervolume(results: "StudyResults") -> float:
    """So far; 0 before the first trial."""
    return float(results.trials["hypervolume"].fillna(0.0).max()) if len(results.trials) else 0.0


def _load(name: str, runs: Path) -> "StudyResults":
    from runners.storage.study_files import DATABASE, StorageError

    from ...results.reading import load_results
    from ...study.integrity import check_integrity
    from ...study.record import study_directory

    results = load_results(study_directory(name, runs))
    try:
        check_integrity(results.directory / DATABASE, results.objectives)
    except StorageError as error:  # what can be read of a study is shown, with what is wrong
        typer.echo(f"warning: {error}", err=True)
    return results
