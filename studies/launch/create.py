"""Making a study: everything that can be checked is checked before its directory is written."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from objectives import Objective
from objectives.base import costs_of, known_costs
from objectives.hypervolume_box import cost_ranges, sample_costs
from objectives.limits import Limit
from runners.candidate import ACCURACY
from runners.config import LEARNING_SAMPLER, NO_STUDY, SearchConfig, StudyConfig
from runners.datasets import Dataset, load_dataset
from runners.engines.base import ENGINES
from runners.own_training import load_evaluator
from runners.samplers import check_sampler
from runners.search.pricing.cost_check import NoFeasibleCandidate
from runners.search.pricing.latency_meter import latencies, open_meter
from runners.search.proposals.feasible import draw_feasible
from runners.search.proposals.opening import reference_spec
from runners.storage.errors import StorageError
from runners.storage.study_files import DATABASE, PRIOR, check_writable, study_lock, traces_of_trials, write_atomically
from runners.training.proxy_images import proxy_images, validation_source
from search_space.errors import UserError
from search_space.graph import Graph
from search_space.references import references_for
from search_space.space import SearchSpace
from search_space.spec import Architecture
from search_space.texts.counting import count_of

from ..results.study_results import COLUMNS
from ..study.database import read_contents
from ..study.foundations import Foundations, profiles_of, write_foundations
from ..study.record import STUDY_FILE, StudyExists, StudyRecord, utc_now, write_record
from ..study.sameness import fixed_settings
from ..texts.wording import describe_images, describe_limit
from .priors import digest_of, prior_from

HOPELESS = 1.0
"""By what share of a measured limit the fastest networks of the space may exceed it before a study is refused."""


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
    asked = config.training
    config, dataset = with_data(config)
    prior = _prior_of(config, directory.parent, on_note)
    profiles = profiles_of(config)
    training, validation = proxy_images(dataset, config.data, config.training.images, config.training.validation_images)
    source = validation_source(dataset, config.data)
    on_note(describe_images(dataset.num_classes, len(training), len(validation), source))
    if config.training.epochs != asked.epochs:
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
        created=utc_now(),
        versions={name: version(name) for name in ("resfront", "optuna", "torch")},
        prior=digest_of(prior),
        metrics=metrics_of(config),
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
    prior = prior_from(config.search.earlier_studies, runs)
    if prior is None:
        return b""
    known = ", ".join(f"{each.name} ({count_of(each.networks, 'network')})" for each in prior.trainings)
    on_note(f"prior: trainings on {known}")
    return prior.to_bytes()


def _write_new(record: StudyRecord, profiles: Mapping[str, Any], prior: bytes) -> None:
    directory = record.directory
    with study_lock(directory):
        _check_unused(directory)  # by now another process may have made it
        for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
            (directory / name).unlink(missing_ok=True)  # without trials, left by a process that was killed right here
        write_foundations(directory, record.config, Foundations(settings=fixed_settings(record), profiles=profiles))
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


def with_data(config: StudyConfig) -> tuple[StudyConfig, Dataset]:
    """The configuration for the images that it names, after checking what depends on names; raises UserError."""
    check_sampler(config.search.sampler)
    _ = ENGINES[config.workers.engine]
    data = config.data
    if data.path is not None:
        data = replace(data, path=data.path.expanduser().resolve())
    outputs, search = _check_training(config)
    dataset = load_dataset(data.name, data.path, resolution=data.resolution)
    space = replace(config.space, in_channels=dataset.in_channels, num_classes=outputs or dataset.num_classes)
    for name in config.search.references:
        reference_spec(space, name)
    if config.search.rungs and config.training.images > (there := len(proxy_images(dataset, config.data)[0])):
        raise UserError(
            f"search.rungs: training.images is {config.training.images}, of which rungs take their shares, "
            f"and {config.data.name} has {there}; set training.images to that or less"
        )
    training = config.training.for_images(len(proxy_images(dataset, data)[0]))
    return replace(config, space=space, data=data, training=training, search=search), dataset


def _check_training(config: StudyConfig) -> tuple[int | None, SearchConfig]:
    """Return how many outputs a training of the user's own wants, and the search as it goes with it.

    Raises UserError where a metric of the study is not what its training measures.
    """
    name, search, outputs = config.training.evaluator, config.search, None
    measured, by = {ACCURACY}, "the built-in training"
    if name:
        own = load_evaluator(name)
        measured, by, outputs = {metric.name for metric in own.metrics}, name, own.outputs
        if taken := sorted(measured & set(COLUMNS)):
            raise UserError(f"{name}: its metric {taken[0]} has the name of a column of the table of trials; rename it")
        if set(search.like) - {NO_STUDY}:
            raise UserError(f"like: earlier trainings of classifiers say nothing of what {name} measures; leave it out")
        search = replace(search, like=(NO_STUDY,)) if search.sampler == LEARNING_SAMPLER else search
        if search.rungs:
            raise UserError(f"search.rungs: {name} is always run to its end; leave them out")
    for figure in config.figures:
        if not figure.known and figure.name not in measured:
            raise UserError(f"{figure.name}: is not measured by {by}, which measures {', '.join(sorted(measured))}")
    return outputs, search


def metrics_of(config: StudyConfig) -> tuple[Objective, ...]:
    """Return what a training of the user's own measures; nothing for the built-in one."""
    return load_evaluator(config.training.evaluator).metrics if config.training.evaluator else ()


def _time_references(
    space: SearchSpace, largest_macs: float, measure: Callable[[Architecture, Graph], dict[str, float]]
) -> dict[str, dict[str, float]]:
    """Latencies of the references that are not larger than what the space holds."""
    found = {}
    for name, network in references_for(max(space.resolution), space.num_classes, space.in_channels).items():
        graph = network.build_graph()
        if known_costs(graph)["macs"] <= largest_macs:
            found[name] = measure(network, graph)
    return found
