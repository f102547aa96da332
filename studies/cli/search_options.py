"""Options of `resfront search` that change the configuration, and the keys that they stand for."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from search_space.errors import UserError

from .training_options import DATA_DIR

Changes = dict[tuple[str, ...], Any]
"""Path of a key -> its value."""


@dataclass(frozen=True)
class StudyOptions:
    """Options that change a preset or a TOML file."""

    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Evaluated networks in all, earlier runs included.")
    ] = None
    objectives: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="2 to 4 objectives, for example accuracy,macs,file_bytes."),
    ] = None
    maxima: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="OBJECTIVE=VALUE", help="Upper limit; may be repeated."),
    ] = None
    minima: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="OBJECTIVE=VALUE", help="Lower limit; may be repeated."),
    ] = None
    data: Annotated[
        str | None, typer.Option(metavar="DATASET", help="Data set, for example cifar10 or image-folder.")
    ] = None
    data_dir: DATA_DIR = None
    sampler: Annotated[str | None, typer.Option(help="front, tpe, nsga2, nsga3, gp, random or qmc.")] = None
    references: Annotated[
        str | None, typer.Option(metavar="A,B", help="Named networks of the space to evaluate first; '' for none.")
    ] = None
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Expect what this study found too, from five trained networks on; may be repeated. `none`: leave out "
            "the trainings that come with the program.",
        ),
    ] = None
    evaluator: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="A training of your own in the place of the built-in one."),
    ] = None
    seed: Annotated[int | None, typer.Option(help="Seed of the sampler and of every training.")] = None
    timeout: Annotated[float | None, typer.Option(metavar="S", help="Start no new network after S seconds.")] = None
    engine: Annotated[str | None, typer.Option(help="What runs the workers: local, or a plug-in's.")] = None
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes that train side by side.")] = None
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Threads of each worker; 0 shares the cores out.")
    ] = None
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key, for example training.epochs=3."),
    ] = None

    def changes(self) -> Changes:
        """Return the values that are given, but for the limits."""
        from ..study.config import KEYS

        references, data_dir = self.references, self.data_dir
        written = {
            "objectives": None if self.objectives is None else self.objectives.split(","),
            "data_dir": None if data_dir is None else str(data_dir),
            "references": None if references is None else [name for name in references.split(",") if name],
            "timeout_s": self.timeout,
        }
        given = {name: written[name] if name in written else getattr(self, name) for name in KEYS}
        return {tuple(KEYS[name].split(".")): value for name, value in given.items() if value is not None}

    def limits(self) -> Changes:
        """Return the limits that are given; raises UserError."""
        return _limits("max", self.maxima) | _limits("min", self.minima)


def _limits(kind: Any, texts: list[str] | None) -> Changes:
    from objectives.limits import parse_limit

    limits = [parse_limit(kind, text) for text in texts or []]
    names = [limit.objective for limit in limits]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"--{kind} {twice[0]}: is given twice")
    return {("limits", kind, limit.objective): limit.value for limit in limits}
