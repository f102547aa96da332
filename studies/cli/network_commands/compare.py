"""`resfront compare`: networks across devices, and on equal terms: trained by one recipe, at the same bits."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search_space.errors import UserError

from ...study.spec_file import read_spec
from ..options import DEFAULT_RUNS, JSON, MOST_EPOCHS, RUNS, parse_path, print_json
from ..torch_device import check_device
from ..training_options import DATA, DATA_DIR, SETTINGS, data_config, training_config
from .latency import THREADS

if TYPE_CHECKING:
    from runners.config import DataConfig, TrainingConfig

    from ...comparison.device_comparison import Contender
from .compare_output import comparison_as_json, print_comparison, print_standings, write_plot


def register(app: typer.Typer) -> None:
    app.command()(compare)


def compare(
    specs: Annotated[
        list[Path] | None, typer.Argument(metavar="[SPEC.json]...", help="Spec files or exported directories.")
    ] = None,
    device_names: Annotated[
        str, typer.Option("--devices", metavar="A,B", help="cpu, ssh:user@host, or names of `resfront devices`.")
    ] = "cpu",
    references: Annotated[str | None, typer.Option(metavar="A,B", help="Named networks.")] = None,
    study: Annotated[str | None, typer.Option(metavar="NAME", help="The front of this study.")] = None,
    bits: Annotated[int | None, typer.Option(metavar="B", help="Bit-width of the named networks.")] = None,
    resolution: Annotated[int | None, typer.Option(metavar="R", help="Input of the named networks, in pixels.")] = None,
    classes: Annotated[int | None, typer.Option(metavar="N", help="Classes of the named networks.")] = None,
    threads: THREADS = 1,
    epochs: Annotated[
        int | None,
        typer.Option(metavar="E", min=1, max=MOST_EPOCHS, help="Train all of them for E epochs by one recipe, once."),
    ] = None,
    as_study: Annotated[
        bool,
        typer.Option(
            "--as-study", help="Train the others as the study trains; those in float then stand in its figures."
        ),
    ] = False,
    data: DATA = None,
    data_dir: DATA_DIR = None,
    top: Annotated[int, typer.Option(metavar="K", min=1, help="So many of the study's front are trained.")] = 5,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help="Networks that train side by side.")] = 1,
    training_threads: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help="Threads of each training.")] = 1,
    training_device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    settings: SETTINGS = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.html", parser=parse_path, help="Write the plot there."),
    ] = None,
    as_json: JSON = False,
    runs: RUNS = DEFAULT_RUNS,
) -> None:
    """Compare networks' latencies across devices; with --epochs also their accuracies, all trained by one recipe."""
    from runners.storage.study_files import check_writable

    from ...comparison.device_comparison import check_device as check_latency_device
    from ...comparison.device_comparison import compare as compare_networks

    devices = list(dict.fromkeys(device.strip() for device in device_names.split(",")))
    for device in devices:
        check_latency_device(device)
    if output is not None:
        check_writable(output)
    if as_study and (study is None or epochs is not None):
        raise UserError("compare --as-study: needs --study NAME, and no --epochs")
    if as_study and (data or settings):
        raise UserError("compare --as-study: takes images and recipe from the study; leave out --data and --set")
    images = _images(data, data_dir, study, runs) if epochs is not None or as_study else None
    form = {"resolution": resolution, "num_classes": classes, "bits": bits}
    if images is not None:
        form |= _form_of(images, study, runs, resolution)
    contenders = [
        *_from_specs(specs or []),
        *(_from_references(references, form) if references is not None else []),
        *(_from_study(study, runs, top if epochs else None) if study is not None else []),
    ]
    if not contenders:
        raise UserError("compare: name spec files, --references A,B or --study NAME")
    if images is not None:
        check_device(training_device)
        training, how = _recipe(study, runs, data_dir) if as_study else (training_config(epochs or 1, settings), {})
        how |= {"workers": workers, "threads": training_threads, "device": training_device}
        contenders = _trained(contenders, images, training, how, keep_study=as_study)
        epochs = training.epochs
    found = compare_networks(
        contenders,
        devices,
        threads=threads,
        progress=lambda line: typer.echo(line, err=True),
    )
    if as_json:
        print_json(comparison_as_json(found))
    elif epochs:
        print_standings(found)
    else:
        print_comparison(found)
    if output is not None:  # last: what was found is shown, even where it cannot be written
        write_plot(found, output, images, epochs)
        if not as_json:
            typer.echo(f"\nplot: {output}")


def _from_specs(paths: list[Path]) -> "list[Contender]":
    from ...comparison.device_comparison import Contender

    return [Contender(name=path.stem if path.is_file() else path.name, architecture=read_spec(path)) for path in paths]


def _images(data: str | None, data_dir: Path | None, study: str | None, runs: Path) -> "DataConfig":
    """The images to train on: those that are named, else the study's."""
    from ...study.record import open_study_record, study_directory

    if data is None and study is not None:
        found = open_study_record(study_directory(study, runs)).config.data
        return found if data_dir is None else replace(found, path=data_dir.expanduser().resolve())
    if data is None:
        raise UserError("compare --epochs: name the images with --data, or a study with --study")
    return data_config(data, data_dir)


def _form_of(images: "DataConfig", study: str | None, runs: Path, resolution: int | None) -> dict[str, int | None]:
    """What the named networks must take and tell apart; at the largest resolution of the study, where there is one."""
    from runners.datasets import load_dataset

    from ...study.record import open_study_record, study_directory

    dataset = load_dataset(images.name, images.path, resolution=images.resolution)
    if resolution is None:
        space = None if study is None else open_study_record(study_directory(study, runs)).config.space
        resolution = dataset.resolution if space is None else max(space.resolution)
    return {"resolution": resolution, "num_classes": dataset.num_classes, "in_channels": dataset.in_channels}


def _recipe(study: str | None, runs: Path, data_dir: Path | None) -> "tuple[TrainingConfig, dict[str, Any]]":
    """The study's own: its training, its seed, no average of the weights."""
    from ...study.record import open_study_record, study_directory
    from ...study.sameness import check_study, load_study_images

    record = open_study_record(study_directory(str(study), runs))
    check_study(record)
    config = record.config
    load_study_images(record, data_dir)  # they must not have changed
    return config.training, {"seed": config.search.seed, "average": 0.0}


def _trained(
    contenders: "list[Contender]",
    images: "DataConfig",
    training: "TrainingConfig",
    how: dict[str, Any],
    keep_study: bool,
) -> "list[Contender]":
    """The contenders with their accuracies; with `keep_study` those of the study have theirs."""
    from ...comparison.same_recipe import train_contenders

    known = [contender for contender in contenders if keep_study and contender.from_study]
    others = [contender for contender in contenders if contender not in known]
    trained = train_contenders(others, images, training, progress=lambda line: typer.echo(line, err=True), **how)
    return [*trained, *known]


def _from_references(names: str, form: dict[str, int | None]) -> "list[Contender]":
    from search_space.references import reference

    from ...comparison.device_comparison import Contender

    return [Contender(name=name.strip(), architecture=reference(name.strip(), **form)) for name in names.split(",")]


def _from_study(name: str, runs: Path, top: int | None) -> "list[Contender]":
    """The front, or `top` of it from its most accurate network to its least."""
    from search_space.architectures import architecture_from_dict

    from ...comparison.device_comparison import Contender
    from ...results.reading import load_results
    from ...study.record import study_directory

    results = load_results(study_directory(name, runs))
    if results.front.empty:
        raise UserError(f"compare: the front of {name} is empty")
    front = results.front.sort_values("accuracy", ascending=False)
    if top is not None and top < len(front):
        front = front.iloc[[round(i * (len(front) - 1) / max(1, top - 1)) for i in range(top)]]
    return [
        Contender(
            name=row["label"] if isinstance(row["label"], str) else f"trial {row['trial']}",
            architecture=architecture_from_dict(dict(row["record"].spec)),
            accuracy=float(row["accuracy"]),
            from_study=True,
        )
        for _, row in front.iterrows()
    ]
