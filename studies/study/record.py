"""What is a study on disk? A directory with its resolved configuration; made, opened, and compared here."""

import datetime
import hashlib
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from objectives.base import OBJECTIVES, costs_of, known_costs
from objectives.costs.latency_ms import accept_device
from objectives.hypervolume_box import cost_ranges, hypervolume_box, sample_costs
from objectives.limits import Limit
from runners.config import CONVENTIONS, NO_STUDY, SHIPPED, LimitsConfig, StudyConfig
from runners.datasets import Dataset, DatasetError, load_dataset
from runners.prior import Prior
from runners.samplers import JUDGES_ANEW, check_sampler
from runners.search.feasible import NoFeasibleCandidate, draw_feasible
from runners.search.latency_meter import latencies, open_meter
from runners.search.seeding import reference_spec
from runners.storage.errors import stored_in
from runners.storage.study_files import (
    DATABASE,
    PRIOR,
    StorageError,
    check_writable,
    study_lock,
    traces_of_trials,
    write_atomically,
)
from runners.training.proxy_images import proxy_images, validation_source
from search_space.errors import SpecError, UserError, unknown_name
from search_space.graph import Graph
from search_space.references import reference, reference_names
from search_space.space import SearchSpace
from search_space.spec import Architecture
from search_space.texts.counting import count_of

from ..texts.wording import describe_images, describe_limit
from .config import ConfigError, differences, dump_toml, parse_config, read_toml, to_tables
from .database import read_contents
from .foundations import Foundations, check_foundations, profiles_of, write_foundations
from .integrity import check_integrity

STUDY_FILE = "study.toml"
LONGEST_NAME = 100
"""Characters of a study's name."""
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}")
_STAYS = ("seed", "sampler", "rungs", "stop_confidence")
"""Of the search, what all trials of a study must share, besides the earlier studies that it knows."""
HOPELESS = 1.0
"""By what share of a measured limit the fastest networks of the space may exceed it before a study is refused."""
_NEWEST_KEY = "prior"
"""What earlier versions of resfront did not write into `study.toml`."""


class StudyNotFound(UserError):
    """There is no study of that name."""

    exit_code = 3


class StudyExists(UserError):
    """There is a study of that name already."""

    exit_code = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierLimits:
    """Limits that a study had until they were changed."""

    until: str
    """When they were changed, ISO 8601 in UTC."""
    limits: LimitsConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """What `study.toml` holds: the configuration, and what was resolved when the study was made."""

    directory: Path
    config: StudyConfig
    class_names: tuple[str, ...]
    dataset_fingerprint: str
    training_images: int
    """Images that a candidate is trained on: as many as the configuration asks for, where there are so many."""
    validation_images: int
    """Images that measure the accuracies: as many as the configuration asks for, where there are so many."""
    validation_source: str
    """Where those come from, in words."""
    commonest_share: float
    """Share of the validation images that are of the commonest class: the accuracy of always answering that class."""
    cost_ranges: dict[str, tuple[float, float]]
    """Objective -> the least and the most that networks of the space cost, whatever the limits."""
    reference_latencies: dict[str, dict[str, float]]
    """Named reference -> measured objective -> milliseconds, in float at the largest resolution."""
    created: str
    versions: dict[str, str]
    conventions: int = CONVENTIONS
    """Version of how images are normalised and tensors quantized."""
    earlier_limits: tuple[EarlierLimits, ...] = ()
    """Limits that held before those of the configuration, the oldest first."""
    prior: str = ""
    """First 12 hex digits of the sha256 of the file `prior.npz`; empty where there is none."""
    before: "StudyRecord | None" = field(default=None, compare=False, repr=False)
    """The study as `study.toml` has it, where this record changes it; None where they are the same."""

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def box(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Corners (worst, best) of the hypervolume's box, in the objectives' units."""
        config = self.config
        return hypervolume_box(self.cost_ranges, config.optimised, config.limits.as_limits(), self.commonest_share)


def study_directory(name: str, runs: Path) -> Path:
    """Where the study `name` lives; raises ConfigError for a name that is no plain file name."""
    if not _NAME.fullmatch(name):
        if len(name) > LONGEST_NAME:
            raise ConfigError(f"study {name[:20]}...: the name has {len(name)} characters; at most {LONGEST_NAME}")
        raise ConfigError(f"study {name!r}: use letters, digits, '.', '_' and '-', starting with a letter or digit")
    if name in (SHIPPED, NO_STUDY):
        raise ConfigError(f"study '{name}': `--like {name}` means something else; choose another name")
    return runs / name


def create_study(
    directory: Path,
    config: StudyConfig,
    on_note: Callable[[str], None] = lambda note: None,
) -> StudyRecord:
    """Check everything that can be checked, then make the directory with its `study.toml`.

    Earlier studies that it learns from lie beside it, and what they say is copied. Where a latency is to be measured,
    the extremes of the space and the named references are timed.

    Raises UserError (ConfigError, DatasetError, DeviceError, DeviceUnavailable, NoFeasibleCandidate, StudyExists,
    StorageError); nothing is written then.
    """
    _check_unused(directory)
    prior = _prior_of(config, directory.parent, on_note)
    profiles, asked = profiles_of(config), config.training
    config, dataset = _with_data(config)
    training, validation = proxy_images(dataset, config.data, config.training.images, config.training.validation_images)
    source = validation_source(dataset, config.data)
    on_note(describe_images(dataset.num_classes, len(training), len(validation), source))
    if config.training != asked:
        on_note(
            f"that is less than training.images = {asked.images:,}: {config.training.epochs} epochs instead of "
            f"{asked.epochs}, so that a network sees as many images"
        )
    limits = config.limits.as_limits()
    if limits:
        on_note(f"limits: {', '.join(map(describe_limit, limits))}")
    draw_feasible(config.space, partial(costs_of, objectives=config.figures), limits, random.Random(0))
    with open_meter(config) as meter:

        def measure(network: Architecture, graph: Graph) -> dict[str, float]:
            return latencies(meter.measure(network.key, graph, nullcontext))

        if meter.objectives:
            on_note("timing the extremes of the space and the named networks ...")
        samples = sample_costs(config.space, config.figures, measure)
        if note := _out_of_reach(samples, meter.objectives, limits):
            on_note(f"{note}. The search may find none")
        references = {}
        if meter.objectives:
            largest = max((sample["macs"] for sample in samples), default=0.0)
            references = _time_references(config.space, largest, measure)
    record = StudyRecord(
        directory=directory,
        config=config,
        class_names=dataset.class_names,
        dataset_fingerprint=dataset.fingerprint,
        training_images=len(training),
        validation_images=len(validation),
        validation_source=source,
        commonest_share=validation.commonest_share,
        cost_ranges=cost_ranges(samples, config.figures),
        reference_latencies=references,
        created=_now(),
        versions={name: version(name) for name in ("resfront", "optuna", "torch")},
        prior=_digest_of(prior),
    )
    try:
        _write_new(record, profiles, prior)
    except StorageError:
        with suppress(OSError):
            directory.rmdir()  # if it is empty
        raise
    return record


def _prior_of(config: StudyConfig, runs: Path, on_note: Callable[[str], None]) -> bytes:
    """Return what the study's file on earlier trainings is to hold; nothing where it learns from none."""
    from ..launch.priors import prior_from  # which reads studies, with scipy

    prior = prior_from(config.search.earlier_studies, runs)
    if prior is None:
        return b""
    known = ", ".join(f"{each.name} ({count_of(each.networks, 'network')})" for each in prior.trainings)
    on_note(f"prior: trainings on {known}")
    return prior.to_bytes()


def _digest_of(content: bytes) -> str:
    """Return the first 12 hex digits of the sha256; nothing for nothing."""
    return hashlib.sha256(content).hexdigest()[:12] if content else ""


def study_prior(record: StudyRecord) -> Prior | None:
    """Return what the study knows from earlier ones; raises StorageError where its file is not what it was."""
    if not record.prior:
        return None
    path = record.directory / PRIOR
    with stored_in(path, "cannot be read"):
        content = path.read_bytes() if path.exists() else b""
    if _digest_of(content) != record.prior:
        what = "is not what the study was made with" if content else "is missing"
        raise StorageError(f"{path}: {what}; put it back, or start a new study")
    return Prior.from_bytes(content, path)


def _write_new(record: StudyRecord, profiles: Mapping[str, Any], prior: bytes) -> None:
    directory = record.directory
    with study_lock(directory):
        _check_unused(directory)  # by now another process may have made it
        for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
            (directory / name).unlink(missing_ok=True)  # without trials, left by a process that was killed right here
        write_foundations(directory, record.config, Foundations(settings=_fixed_settings(record), profiles=profiles))
        if prior:
            write_atomically(directory / PRIOR, prior)
        write_record(record)


def _check_unused(directory: Path) -> None:
    """Raise StudyExists or StorageError where a new study would take the place of another."""
    if (directory / STUDY_FILE).exists():
        raise StudyExists(f"{directory}: this study exists already; go on with --resume or choose another --name")
    trials, _ = read_contents(directory / DATABASE)
    if trials or traces_of_trials(directory):
        raise StorageError(
            f"{directory}: holds trials of a study whose {STUDY_FILE} is gone; put that back, or choose another --name"
        )
    check_writable(directory, directory=True)


def _out_of_reach(samples: Sequence[Mapping[str, float]], measured: Sequence[str], limits: Sequence[Limit]) -> str:
    """Which measured limits no sample keeps, the smallest networks of the space among them; empty for none.

    Raises NoFeasibleCandidate where the fastest of them exceeds a limit by more than HOPELESS.
    """
    said = []
    for limit in limits:
        found = [sample[limit.objective] for sample in samples if limit.objective in sample]
        if limit.objective in measured and found and all(limit.excess({limit.objective: x}) > 0 for x in found):
            said.append(
                f"none of {len(found)} timed networks, the smallest among them, keeps {limit}: {min(found):.3g} at best"
            )
            if limit.excess({limit.objective: min(found)}) > HOPELESS:
                raise NoFeasibleCandidate(f"{said[-1]}; loosen it")
    return "; ".join(said)


def open_study_record(directory: Path) -> StudyRecord:
    """Read a study's `study.toml`; raises StudyNotFound with the closest name, StorageError where it is damaged."""
    path = directory / STUDY_FILE
    if not path.exists():
        known = [entry.parent.name for entry in directory.parent.glob(f"*/{STUDY_FILE}")]
        if not known:
            raise StudyNotFound(f"no study '{directory.name}' in {directory.parent}; it holds no study")
        raise StudyNotFound(f"{directory.parent}: {unknown_name('study', directory.name, known)}")
    try:
        tables = read_toml(path)
        if "resolved" not in tables:
            raise StorageError(f"{path}: damaged: its table [resolved], which the program wrote, is missing")
        resolved: dict[str, Any] = tables.pop("resolved")
        if _NEWEST_KEY not in resolved:
            raise StorageError(f"{path}: made by an earlier version of resfront, which is not read; start a new study")
        _accept_devices([*tables["objectives"], *(n for limits in tables["limits"].values() for n in limits)])
        return StudyRecord(
            directory=directory,
            config=parse_config(tables, str(path)),
            class_names=tuple(resolved["class_names"]),
            dataset_fingerprint=resolved["dataset_fingerprint"],
            training_images=resolved["training_images"],
            validation_images=resolved["validation_images"],
            validation_source=resolved["validation_source"],
            commonest_share=resolved["commonest_share"],
            prior=resolved["prior"],
            conventions=resolved.get("conventions", 1),
            cost_ranges={name: (low, high) for name, (low, high) in resolved["cost_ranges"].items()},
            earlier_limits=tuple(
                EarlierLimits(until=entry["until"], limits=LimitsConfig(max=entry["max"], min=entry["min"]))
                for entry in resolved.get("earlier_limits", [])
            ),
            reference_latencies=resolved["reference_latencies"],
            created=resolved["created"],
            versions=resolved["versions"],
        )
    except StorageError:
        raise
    except KeyError as error:
        raise StorageError(f"{path}: damaged: it has no {error}") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise StorageError(f"{path}: damaged: {error}") from None


def _accept_devices(names: Iterable[str]) -> None:
    """Have the devices of a study's figures known by name, wherever their profiles are now."""
    for name in names:
        _, separator, device = name.partition("@")
        if separator:
            accept_device(device)


def resume_study(directory: Path, config: StudyConfig) -> StudyRecord:
    """The study with `config`'s limits, search and worker settings, after checking that nothing else differs.

    Nothing is written: `take_up` does that, for who owns the study. The images may lie elsewhere than they did. Raises
    ConfigError with the differences, NoFeasibleCandidate, StudyNotFound, and StorageError where the database is not
    the study's or another process runs the study.
    """
    record = open_study_record(directory)
    foundations = check_study(record)
    if config.data.path is None:
        config = replace(config, data=replace(config.data, path=record.config.data.path))
    with _hint_at_moved_images():
        config, dataset = _with_data(config)
    old, new = _fixed_settings(record), _fixed_settings(replace(record, config=config))
    changed = differences({**old, "limits": {}}, {**new, "limits": {}})  # `_with_limits` checks those
    changed += _changed_images(record, dataset)
    if changed:
        raise ConfigError(f"{directory}: cannot resume with another configuration ({'; '.join(changed)})")
    judged = _with_limits(record, config)
    if judged is not record:
        figures = config.figures if foundations is None else foundations.figures(config)
        limits = config.limits.as_limits()
        draw_feasible(config.space, partial(costs_of, objectives=figures), limits, random.Random(0))
    with study_lock(directory):
        pass  # refused here where another process runs it, before anything is said about limits
    return replace(judged, config=config, before=record)


def take_up(record: StudyRecord) -> Foundations:
    """Check a study's database, and write down what a resumed study changes; the caller owns the study's lock.

    Raises as `check_study`, and StorageError where somebody else has changed the study meanwhile.
    """
    if record.before is not None and open_study_record(record.directory) != record.before:
        raise StorageError(f"{record.directory}: another process has changed this study meanwhile; resume it again")
    foundations = check_study(record)
    if foundations is None:  # whatever was there, no trial had begun
        foundations = Foundations(settings=_fixed_settings(record), profiles=profiles_of(record.config))
        write_foundations(record.directory, record.config, foundations)
    if record.before is not None:
        write_record(record)
    return foundations


def check_study(record: StudyRecord) -> Foundations | None:
    """Return what the study was made with, None where it has not begun, after checking that it is the same now.

    Whatever goes on with a study, exports its networks or trains others beside them calls it. Raises ConfigError and
    StorageError.
    """
    check_conventions(record)
    check_integrity(record.directory / DATABASE, record.config.optimised)
    return check_foundations(record.directory, _fixed_settings(record))


def load_study_images(record: StudyRecord, folder: Path | None = None) -> tuple[StudyRecord, Dataset]:
    """Return the study's images, and the study with the `folder` where they are now, if they have moved.

    Raises DatasetError where they are not there, ConfigError where they are others.
    """
    data = record.config.data
    if folder is not None:
        data = replace(data, path=folder.expanduser().resolve())
    with _hint_at_moved_images():
        dataset = load_dataset(data.name, data.path, resolution=data.resolution)
    if changed := _changed_images(record, dataset):
        raise ConfigError(f"{record.name}: these are other images than the study's ({'; '.join(changed)})")
    return replace(record, config=replace(record.config, data=data)), dataset


def _changed_images(record: StudyRecord, dataset: Dataset) -> list[str]:
    """Return how the images differ from the study's; nothing where they are the same, wherever they lie."""
    if dataset.fingerprint == record.dataset_fingerprint:
        return []
    return [f"images of {dataset.name}: {record.dataset_fingerprint} -> {dataset.fingerprint}"]


@contextmanager
def _hint_at_moved_images() -> Iterator[None]:
    try:
        yield
    except DatasetError as error:
        hint = "" if "--data-dir" in str(error) else "; if the images have moved, say where they are: --data-dir"
        raise DatasetError(f"{error}{hint}") from None


def _fixed_settings(record: StudyRecord) -> dict[str, Any]:
    """What all trials of the study share, as tables: not where the images lie, nor what `resume_study` may change."""
    tables = to_tables(record.config)
    tables["data"].pop("path", None)
    search, limits = tables.pop("search"), tables.pop("limits")
    tables.pop("workers")
    tables["search"] = {name: search[name] for name in _STAYS}
    tables["search"]["like"] = sorted(record.config.search.earlier_studies)
    if record.config.search.sampler not in JUDGES_ANEW:
        tables["limits"] = limits
    resolved = _resolved(record)
    resolved.pop("earlier_limits")
    return {**tables, "resolved": resolved}


def check_conventions(record: StudyRecord) -> None:
    """Raise ConfigError for a study whose images were normalised, or tensors quantized, otherwise than now.

    Whatever would train networks beside those of the study calls it: their accuracies would not be comparable.
    """
    if record.conventions != CONVENTIONS:
        raise ConfigError(
            f"{record.name}: made by another version of resfront (conventions {record.conventions}, now "
            f"{CONVENTIONS}); it normalised images, quantized tensors or measured accuracies otherwise; "
            "start a new study"
        )


def _with_limits(record: StudyRecord, config: StudyConfig) -> StudyRecord:
    """The record with the configuration's limits; those that it had until now are kept beside them.

    Raises ConfigError for a sampler that goes by the limits under which each trial ended, and for a figure that has not
    been found for the trials so far.
    """
    before, now = record.config.limits, config.limits
    if before == now:
        return record
    known = {figure.name for figure in record.config.figures}
    for figure in config.figures:
        if figure.source in ("measured", "estimated") and figure.name not in known:
            raise ConfigError(
                f"{record.name}: no trial has {figure.name}, which a limit would be on now; start a new study"
            )
    if config.search.sampler not in JUDGES_ANEW:
        raise ConfigError(
            f"{record.name}: the sampler '{config.search.sampler}' goes by the limits under which each trial ended; "
            f"they cannot change; with the samplers {', '.join(JUDGES_ANEW)} they can"
        )
    fastest = {name: low for name, (low, _) in record.cost_ranges.items()}
    for limit in now.as_limits():
        measured = OBJECTIVES[limit.objective].source == "measured" and limit.kind == "max"
        if measured and limit.objective in fastest and limit.excess(fastest) > HOPELESS:
            least = fastest[limit.objective]
            raise NoFeasibleCandidate(
                f"no network that was timed when the study was made keeps {limit}: {least:.3g} at best; loosen it"
            )
    return replace(
        record,
        config=replace(record.config, limits=now),
        earlier_limits=(*record.earlier_limits, EarlierLimits(until=_now(), limits=before)),
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _with_data(config: StudyConfig) -> tuple[StudyConfig, Dataset]:
    """The configuration for the images that it names, after checking what depends on names; raises UserError."""
    check_sampler(config.search.sampler)
    data = config.data
    if data.path is not None:
        data = replace(data, path=data.path.expanduser().resolve())
    dataset = load_dataset(data.name, data.path, resolution=data.resolution)
    space = replace(config.space, in_channels=dataset.in_channels, num_classes=dataset.num_classes)
    for name in config.search.references:
        reference_spec(space, name)
    if config.search.rungs and config.training.images > (there := len(proxy_images(dataset, config.data)[0])):
        raise UserError(
            f"search.rungs: training.images is {config.training.images}, of which rungs take their shares, "
            f"and {config.data.name} has {there}; set training.images to that or less"
        )
    training = config.training.for_images(len(proxy_images(dataset, data)[0]))
    return replace(config, space=space, data=data, training=training), dataset


def study_references(space: SearchSpace) -> dict[str, Architecture]:
    """Every named reference that can be built at the space's largest resolution, with its channels and classes."""
    found = {}
    for name in reference_names():
        try:
            found[name] = reference(
                name,
                resolution=max(space.resolution),
                num_classes=space.num_classes,
                in_channels=space.in_channels,
            )
        except SpecError:
            continue  # too small an image for it
    return found


def _time_references(
    space: SearchSpace, largest_macs: float, measure: Callable[[Architecture, Graph], dict[str, float]]
) -> dict[str, dict[str, float]]:
    """Latencies of the references that are not larger than what the space holds."""
    found = {}
    for name, network in study_references(space).items():
        graph = network.build_graph()
        if known_costs(graph)["macs"] <= largest_macs:
            found[name] = measure(network, graph)
    return found


def write_record(record: StudyRecord) -> None:
    """Write `study.toml`; the caller owns the study's lock."""
    text = dump_toml({**to_tables(record.config), "resolved": _resolved(record)})
    write_atomically(record.directory / STUDY_FILE, text.encode())


def _resolved(record: StudyRecord) -> dict[str, Any]:
    return {
        "class_names": list(record.class_names),
        "dataset_fingerprint": record.dataset_fingerprint,
        "training_images": record.training_images,
        "validation_images": record.validation_images,
        "validation_source": record.validation_source,
        "commonest_share": record.commonest_share,
        "prior": record.prior,
        "conventions": record.conventions,
        "cost_ranges": {name: list(span) for name, span in record.cost_ranges.items()},
        "earlier_limits": [
            {"until": entry.until, "max": entry.limits.max, "min": entry.limits.min} for entry in record.earlier_limits
        ],
        "reference_latencies": record.reference_latencies,
        "created": record.created,
        "versions": record.versions,
    }
