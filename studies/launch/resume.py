"""Going on with a study: only limits, search and workers may differ from what it was made with."""

import random
from dataclasses import replace
from functools import partial
from pathlib import Path

from objectives.base import OBJECTIVES, costs_of
from runners.config import StudyConfig
from runners.samplers import judges_anew
from runners.search.pricing.cost_check import NoFeasibleCandidate
from runners.search.proposals.feasible import draw_feasible
from runners.storage.errors import StorageError
from runners.storage.study_files import study_lock

from ..study.config import ConfigError, differences
from ..study.foundations import Foundations, profiles_of, write_foundations
from ..study.record import EarlierLimits, StudyRecord, open_study_record, utc_now, write_record
from ..study.sameness import changed_images, check_study, fixed_settings, hint_at_moved_images
from .create import HOPELESS, metrics_of, with_data


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
    with hint_at_moved_images():
        config, dataset = with_data(config)
    old, new = fixed_settings(record), fixed_settings(replace(record, config=config))
    changed = differences({**old, "limits": {}}, {**new, "limits": {}})  # `_with_limits` checks those
    changed += changed_images(record, dataset)
    measured, now = ([metric.name for metric in metrics] for metrics in (record.metrics, metrics_of(config)))
    if measured != now:
        changed.append(f"metrics of {config.training.evaluator}: {', '.join(measured)} -> {', '.join(now)}")
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
        foundations = Foundations(settings=fixed_settings(record), profiles=profiles_of(record.config))
        write_foundations(record.directory, record.config, foundations)
    if record.before is not None:
        write_record(record)
    return foundations


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
    if config.search.sampler not in judges_anew():
        raise ConfigError(
            f"{record.name}: the sampler '{config.search.sampler}' goes by the limits under which each trial ended; "
            f"they cannot change; with the samplers {', '.join(judges_anew())} they can"
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
        earlier_limits=(*record.earlier_limits, EarlierLimits(until=utc_now(), limits=before)),
    )
