"""`resfront compare`: networks across devices, and on equal terms: trained by one recipe, at the same bits."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search_space.errors import UserError

from ...launch.torch_device import check_device
from ...study.spec_file import read_spec
from ..options import DEFAULT_RUNS, JSON, MOST_EPOCHS, RUNS, parse_path, print_json
from ..training_options import DATA, DATA_DIR, SETTINGS, data_config, training_config
from .latency import THREADS

if TYPE_CHECKING:
    from runners.config import DataConfig, TrainingConfig

    from ...comparison.device_comparison import Contender
from .compare_output import comparison_as_json, print_comparison, print_standings, write_plot


@dataclass(frozen=True)
class ContenderOptions:
    """Networks to compare."""

    specs: Annotated[
        list[Path] | None, typer.Argument(metavar="[SPEC.json]...", help="Spec files or exported directories.")
    ] = None
    references: Annotated[str | None, typer.Option(metavar="A,B", help="Named networks.")] = None
    study: Annotated[str | None, typer.Option(metavar="NAME", help="The front of this study.")] = None
    bits: Annotated[int | None, typer.Option(metavar="B", help="Bit-width of the named networks.")] = None
    resolution: Annotated[int | None, typer.Option(metavar="R", help="Input of the named networks, in pixels.")] = None
    classes: Annotated[int | None, typer.Option(metavar="N", help="Classes of the named networks.")] = None
    runs: RUNS = DEFAULT_RUNS

    @property
    def study_directory(self) -> Path:
        """The directory of the study."""
        from ...study.record import study_directory

        return study_directory(str(self.study), self.runs)


@dataclass(frozen=True)
class TrainingOptions:
    """A training of all of them by one recipe, if it is asked for."""

    epochs: Annotated[
        int | None,
        typer.Option(metavar="E", min=1, max=MOST_EPOCHS, help="Train all of them for E epochs by one recipe, once."),
    ] = None
    as_study: Annotated[
        bool,
        typer.Option(
            "--as-study", help="Train the others as the study trains; those in float then stand in its figures."
        ),
    ] = False
    data: DATA = None
    data_dir: DATA_DIR = None
    top: Annotated[int, typer.Option(metavar="K", min=1, help="So many of the study's front are trained.")] = 5
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help="Networks that train side by side.")] = 1
    training_threads: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help="Threads of each training.")] = 1
    training_device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu"
    settings: SETTINGS = None

    @property
    def is_asked_for(self) -> bool:
        return self.epochs is not None or self.as_study


def compare(
    *,
    chosen: ContenderOptions,
    device_names: Annotated[
        str, typer.Option("--devices", metavar="A,B", help="cpu, ssh:user@host, or names of `resfront devices`.")
    ] = "cpu",
    threads: THREADS = 1,
    training: TrainingOptions,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.html", parser=parse_path, help="Write the plot there."),
    ] = None,
    as_json: JSON = False,
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
    if training.as_study and (chosen.study is None or training.epochs is not None):
        raise UserError("compare --as-study: needs --study NAME, and no --epochs")
    if training.as_study and (training.data or training.settings):
        raise UserError("compare --as-study: takes images and recipe from the study; leave out --data and --set")
    images = _images(chosen, training) if training.is_asked_for else None
    contenders = _contenders(chosen, images, training.top if training.epochs else None)
    epochs = None
    if images is not None:
        contenders, epochs = _trained(contenders, images, chosen, training)
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


def _contenders(chosen: ContenderOptions, images: "DataConfig | None", top: int | None) -> "list[Contender]":
    form = {"resolution": chosen.resolution, "num_classes": chosen.classes, "bits": chosen.bits}
    if images is not None:
        form |= _form_of(images, chosen)
    found = [
        *_from_specs(chosen.specs or []),
        *(_from_references(chosen.references, form) if chosen.references is not None else []),
        *(_from_study(chosen, top) if chosen.study is not None else []),
    ]
    if not found:
        raise UserError("compare: name spec files, --references A,B or --study NAME")
    return found


def _from_specs(paths: list[Path]) -> "list[Contender]":
    from ...comparison.device_comparison import Contender

    return [Contender(name=path.stem if path.is_file() else path.name, architecture=read_spec(path)) for path in paths]


def _images(chosen: ContenderOptions, training: TrainingOptions) -> "DataConfig":
    """The images to train on: those that are named, else the study's."""
    from ...study.record import open_study_record

    if training.data is None and chosen.study is not None:
        found = open_study_record(chosen.study_directory).config.data
        return found if training.data_dir is None else replace(found, path=training.data_dir.expanduser().resolve())
    if training.data is None:
        raise UserError("compare --epochs: name the images with --data, or a study with --study")
    return data_config(training.data, training.data_dir)


def _form_of(images: "DataConfig", chosen: ContenderOptions) -> dict[str, int | None]:
    """What the named networks must take and tell apart; at the largest resolution of the study, where there is one."""
    from runners.datasets import load_dataset

    from ...study.record import open_study_record

    dataset = load_dataset(images.name, images.path, resolution=images.resolution)
    resolution = chosen.resolution
    if resolution is None:
        space = None if chosen.study is None else open_study_record(chosen.study_directory).config.space
        resolution = dataset.resolution if space is None else max(space.resolution)
    return {"resolution": resolution, "num_classes": dataset.num_classes, "in_channels": dataset.in_channels}


def _trained(
    contenders: "list[Contender]", images: "DataConfig", chosen: ContenderOptions, training: TrainingOptions
) -> "tuple[list[Contender], int]":
    """The contenders with their accuracies, and the epochs of each; trained as a study trains, its own have theirs."""
    from ...comparison.same_recipe import train_contenders

    check_device(training.training_device)
    recipe, how = (
        _recipe(chosen, training.data_dir)
        if training.as_study
        else (
            training_config(training.epochs or 1, training.settings),
            {},
        )
    )
    known = [contender for contender in contenders if training.as_study and contender.from_study]
    trained = train_contenders(
        [contender for contender in contenders if contender not in known],
        images,
        recipe,
        progress=lambda line: typer.echo(line, err=True),
        workers=training.workers,
        threads=training.training_threads,
        device=training.training_device,
        **how,
    )
    return [*trained, *known], recipe.epochs


def _recipe(chosen: ContenderOptions, data_dir: Path | None) -> "tuple[TrainingConfig, dict[str, Any]]":
    """The study's own: its training, its seed, no average of the weights."""
    from ...study.record import open_study_record
    from ...study.sameness import check_study, load_study_images

    record = open_study_record(chosen.study_directory)
    check_study(record)
    config = record.config
    load_study_images(record, data_dir)  # they must not have changed
    return config.training, {"seed": config.search.seed, "average": 0.0}


def _from_references(names: str, form: dict[str, int | None]) -> "list[Contender]":
    from search_space.references import reference

    from ...comparison.device_comparison import Contender

    return [Contender(name=name.strip(), architecture=reference(name.strip(), **form)) for name in names.split(",")]


def _from_study(chosen: ContenderOptions, top: int | None) -> "list[Contender]":
    """The front, or `top` of it from its most accurate network to its least."""
    from search_space.architectures import architecture_from_dict

    from ...comparison.device_comparison import Contender
    from ...results.reading import load_results

    results = load_results(chosen.study_directory)
    if results.front.empty:
        raise UserError(f"compare: the front of {chosen.study} is empty")
    front = results.best_first(results.front)
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
