"""What would a long study have left on disk? Real specs and costs, invented accuracies, written by plain SQL.

The coordinator needs minutes for ten thousand trials because Optuna commits each attribute; here they take seconds.
"""

import json
import platform
import random
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution, IntDistribution, distribution_to_json

from objectives.base import costs_of
from objectives.limits import violated
from runners.candidate import Observation, candidate_seed
from runners.config import DataConfig, LimitsConfig, SearchConfig, StudyConfig
from runners.search.proposals.opening import reference_spec
from runners.storage.study_files import DATABASE, open_study
from runners.trial_record import Rung
from search_space.space import SearchSpace
from search_space.spec import ArchSpec
from studies.launch.create import create_study
from studies.study.record import StudyRecord, open_study_record
from tests.studies.conftest import plausible_accuracy, plausible_curve

DUPLICATES, FAILURES = 0.03, 0.02
"""Shares of the trials; the limits reject some 15 % of the rest."""
REFERENCE = "resnet20"
FIRST = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
TRAINING_IMAGES, VALIDATION_IMAGES = 5400, 600
"""Of fashion-mini, after holding out a tenth."""
SPACE = SearchSpace(
    depth=(18, 38),
    blocks=("basic", "depthwise", "ghost", "se"),
    block_scope="stage",
    base_width=(8, 24),
    width_multipliers=(0.5, 0.75, 1.0, 1.25),
    resolution=(16, 20, 24, 28),
    bits=(8, 4, 32),
    bits_scope="stage",
)
"""3,041,280 networks."""
STATES = {"completed": "COMPLETE", "duplicate": "COMPLETE", "rejected": "PRUNED", "failed": "FAIL"}
INSERTS = {
    "trials": "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete)"
    " VALUES (?, ?, 1, ?, ?, ?)",
    "trial_params": "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
    " VALUES (?, ?, ?, ?)",
    "trial_values": "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, ?, ?, 'FINITE')",
    "trial_user_attributes": "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
    "trial_system_attributes": "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
}
"""Optuna's tables; SQLite numbers the other columns."""


def study_config(trials: int, objectives: Sequence[str] = ("accuracy", "macs", "file_bytes")) -> StudyConfig:
    """A study in `SPACE` whose limits, known and trained, are broken now and then."""
    return StudyConfig(
        objectives=tuple(objectives),
        limits=LimitsConfig(max={"macs": 6e7, "file_bytes": 1.1e6}, min={"accuracy": 0.65}),
        space=SPACE,
        data=DataConfig(name="fashion-mini"),
        search=SearchConfig(
            trials=trials, sampler="random", references=(REFERENCE,), stop_confidence=0.0, block_starts=False
        ),
    )


def write_study(
    directory: Path,
    *,
    trials: int,
    seed: int = 0,
    running: int = 0,
    objectives: Sequence[str] = ("accuracy", "macs", "file_bytes"),
) -> None:
    """Make a study of `trials` trials, the last `running` of them begun only; without weights.

    The first is ResNet-20. Objectives and limits must be known without a device. The same arguments give the same
    trials.
    """
    record = create_study(directory, study_config(trials, objectives))
    open_study(directory, record.config.optimised)
    made = _Inventor(record, random.Random(seed))
    with closing(_connect(directory)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        _insert(connection, [made.next_trial(is_running=n >= trials - running) for n in range(trials)])
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def append_trials(directory: Path, count: int, seed: int) -> None:
    """Add `count` finished trials to a study that `write_study` made, each in a transaction of its own."""
    with closing(_connect(directory)) as connection:
        made = _Inventor(open_study_record(directory), random.Random())
        made.restore(connection)
        made.rng.seed(f"{seed} from {made.number}")  # else one seed would propose the same networks again
        for _ in range(count):
            _insert(connection, [made.next_trial()])


def _connect(directory: Path) -> sqlite3.Connection:
    return sqlite3.connect(directory / DATABASE, timeout=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """One trial as the database holds it."""

    number: int
    state: str
    started: datetime
    finished: datetime | None
    params: list[tuple[str, float, str]]
    """Name, Optuna's internal value, distribution."""
    values: list[float]
    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]


class _Suggestions:
    """Answers `SearchSpace.sample` from `given` or at random, and remembers as Optuna would."""

    def __init__(self, rng: random.Random, given: Mapping[str, Any] | None) -> None:
        self.rng = rng
        self.given = given
        self.params: list[tuple[str, float, str]] = []

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        value = int(self.given[name]) if self.given else self.rng.randrange(low, high + 1, step)
        self.params.append((name, float(value), _int_json(low, high, step)))
        return value

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        index = choices.index(self.given[name]) if self.given else self.rng.randrange(len(choices))
        self.params.append((name, float(index), _categorical_json(tuple(choices))))
        return choices[index]


@cache
def _int_json(low: int, high: int, step: int) -> str:
    return distribution_to_json(IntDistribution(low, high, step=step))


@cache
def _categorical_json(choices: tuple[Any, ...]) -> str:
    return distribution_to_json(CategoricalDistribution(choices))


@dataclass(frozen=True, slots=True)
class _Network:
    """One candidate, as it was sampled."""

    params: list[tuple[str, float, str]]
    """Name, Optuna's internal value, distribution."""
    spec: ArchSpec
    costs: dict[str, float]
    broken: list[str]
    """Limits that it breaks before training."""

    @property
    def facts(self) -> dict[str, Any]:
        """The attribute `candidate`."""
        return {"key": self.spec.key, "spec": self.spec.to_dict(), "costs": self.costs, "latency": {}}


@dataclass(slots=True)
class _Inventor:
    """Makes up one trial after the other, as one worker would have run them."""

    record: StudyRecord
    rng: random.Random
    number: int = 0
    """Of the next trial."""
    clock: datetime = FIRST
    completed: dict[str, tuple[int, dict[str, float]]] = field(default_factory=dict)
    """Key -> trial and values."""
    specs: list[dict[str, Any]] = field(default_factory=list)
    """Of the completed trials."""
    others: set[str] = field(default_factory=set)
    """Keys of what runs or has failed."""

    def restore(self, connection: sqlite3.Connection) -> None:
        """Take up what the database holds."""
        latest = "SELECT max(number), max(max(datetime_start), max(coalesce(datetime_complete, ''))) FROM trials"
        number, moment = connection.execute(latest).fetchone()
        self.number, self.clock = number + 1, datetime.fromisoformat(moment).replace(tzinfo=UTC)
        for original, state, candidate, outcome in connection.execute(
            "SELECT number, state, c.value_json, json_remove(o.value_json, '$.observation') FROM trials t"
            " JOIN trial_user_attributes c ON c.trial_id = t.trial_id AND c.key = 'candidate'"
            " LEFT JOIN trial_user_attributes o ON o.trial_id = t.trial_id AND o.key = 'outcome' ORDER BY number"
        ):
            facts = json.loads(candidate)
            if state in ("RUNNING", "FAIL"):
                self.others.add(facts["key"])
            elif state == "COMPLETE" and facts["key"] not in self.completed:
                self._note(original, facts, json.loads(outcome)["values"])

    def next_trial(self, *, is_running: bool = False) -> _Trial:
        """A trial that is rejected, a duplicate, failed or completed; or one that has only begun."""
        chance = self.rng.random()
        network = self._propose(repeats=chance < DUPLICATES, is_running=is_running)
        outcome = None if is_running else self._outcome(network, fails=chance > 1 - FAILURES)
        started = self.clock + timedelta(milliseconds=10)
        self.clock = started + timedelta(seconds=0 if outcome is None else _duration_s(outcome))
        trial = _Trial(
            number=self.number,
            state="RUNNING" if outcome is None else STATES[outcome["status"]],
            started=started,
            finished=None if outcome is None else self.clock,
            params=network.params,
            values=self._told(outcome),
            user_attrs={"candidate": network.facts} | ({} if outcome is None else {"outcome": outcome}),
            system_attrs=self._constraints(network, outcome),
        )
        if self.number == 0:
            trial.user_attrs["label"] = REFERENCE
            trial.system_attrs["fixed_params"] = self.record.config.space.params_of(
                reference_spec(self.record.config.space, REFERENCE)
            )
        self.number += 1
        return trial

    def _propose(self, *, repeats: bool, is_running: bool) -> _Network:
        """The reference, a network that has been completed, or, as a rule, any that has neither failed nor runs."""
        space, limits = self.record.config.space, self.record.config.limits.as_limits()
        given = None
        if self.number == 0:
            given = space.params_of(reference_spec(space, REFERENCE))
        elif repeats and self.specs and not is_running:
            given = space.params_of(ArchSpec.from_dict(self.rng.choice(self.specs)))
        while True:
            suggestions = _Suggestions(self.rng, given)
            spec = space.sample(suggestions)
            costs = costs_of(spec.build_graph(), self.record.config.figures)
            broken = violated(limits, costs)
            if spec.key in self.others or (is_running and (broken or spec.key in self.completed)):
                continue
            if is_running:
                self.others.add(spec.key)
            return _Network(suggestions.params, spec, costs, broken)

    def _outcome(self, network: _Network, *, fails: bool) -> dict[str, Any]:
        """The attribute `outcome`, in the coordinator's order: limits, known already, trained."""
        key = network.spec.key
        if network.broken:
            return {"status": "rejected", "reason": "; ".join(network.broken)}
        if key in self.completed:
            original, values = self.completed[key]
            return {"status": "duplicate", "reason": f"the network of trial {original}", "values": values}
        if fails:
            self.others.add(key)
            return {"status": "failed", "reason": "the loss became nan in epoch 2"}
        observation = self._observe(network.spec, network.costs)
        values = {**network.costs, "accuracy": observation.accuracy}
        self._note(self.number, network.facts, values)
        rungs = [asdict(Rung.of(observation))]
        return {"status": "completed", "values": values, "observation": observation.to_dict(), "rungs": rungs}

    def _note(self, number: int, facts: Mapping[str, Any], values: dict[str, float]) -> None:
        self.completed[facts["key"]] = (number, values)
        self.specs.append(facts["spec"])

    def _told(self, outcome: Mapping[str, Any] | None) -> list[float]:
        values = (outcome or {}).get("values")
        return [float(values[name]) for name in self.record.config.objectives] if values else []

    def _constraints(self, network: _Network, outcome: Mapping[str, Any] | None) -> dict[str, Any]:
        """By how much each limit is exceeded whose figure the trial ended with."""
        if outcome is None or outcome["status"] == "failed":
            return {}
        values = outcome.get("values", network.costs)
        limits = self.record.config.limits.as_limits()
        return {f"constraints:{limit}": limit.excess(values) for limit in limits if limit.objective in values}

    def _observe(self, spec: ArchSpec, costs: dict[str, float]) -> Observation:
        training = self.record.config.training
        lowest = min(spec.bits)
        qat_epochs = training.qat_epochs if lowest < 8 else 0
        # Shares of the images, so that networks tie as they do in a real study.
        accuracy = round(plausible_accuracy(spec, costs, self.rng) * VALIDATION_IMAGES) / VALIDATION_IMAGES
        before = accuracy + 1 / VALIDATION_IMAGES if lowest == 8 else accuracy
        points = plausible_curve(before, training.epochs, qat_epochs, self.rng)
        seconds = 2.0 + costs["macs"] / 1e7
        curve = tuple(replace(point, seconds=seconds) for point in points)
        return Observation(
            spec_key=spec.key,
            metrics={"accuracy": accuracy},
            float_metrics={"accuracy": curve[-1 - qat_epochs].metric},
            curve=curve,
            seed=candidate_seed(self.record.config.search.seed, spec.key),
            dataset=self.record.config.data.name,
            dataset_fingerprint=self.record.dataset_fingerprint,
            training_images=TRAINING_IMAGES,
            validation_images=VALIDATION_IMAGES,
            precision="float32",
            threads=1,
            device=platform.machine(),
            host="synthetic",
            processor="synthetic",
            versions={"python": platform.python_version()}
            | {p: self.record.versions[p] for p in ("torch", "resfront")},
            duration_s=seconds * training.epochs + 1.0,
            peak_rss_bytes=600_000_000,
        )


def _duration_s(outcome: Mapping[str, Any]) -> float:
    """From the trial's start to its end."""
    if outcome["status"] == "completed":
        return float(outcome["observation"]["duration_s"]) + 0.1
    return 4.0 if outcome["status"] == "failed" else 0.05


def _insert(connection: sqlite3.Connection, trials: Sequence[_Trial]) -> None:
    """Write the trials in one transaction, as Optuna 5 would over several."""
    tables: dict[str, list[tuple[Any, ...]]] = {table: [] for table in INSERTS}
    for trial in trials:
        identity = trial.number + 1  # one study in the database
        moments = [None if moment is None else _moment(moment) for moment in (trial.started, trial.finished)]
        tables["trials"].append((identity, trial.number, trial.state, *moments))
        tables["trial_params"] += [(identity, *param) for param in trial.params]
        tables["trial_values"] += [(identity, number, value) for number, value in enumerate(trial.values)]
        for table, attributes in (
            ("trial_user_attributes", trial.user_attrs),
            ("trial_system_attributes", trial.system_attrs),
        ):
            tables[table] += [(identity, key, json.dumps(value)) for key, value in attributes.items()]
    with connection:
        for table, rows in tables.items():
            connection.executemany(INSERTS[table], rows)


def _moment(moment: datetime) -> str:
    """Optuna 5 stores UTC without a zone, and gives out local time."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
