"""What a sampler promises: networks of the space, whatever earlier trials came to, and the same ones for one seed."""

from collections.abc import Sequence
from dataclasses import replace

import optuna
import pytest
from optuna.study import Study
from optuna.trial import Trial, TrialState

from objectives.base import known_costs, objectives_named
from objectives.limits import Limit, violated
from runners.samplers import SAMPLERS, Task, make_sampler
from runners.samplers.priced_networks import Networks
from runners.trial_record import Forecast, Status, started_record, write_end, write_start
from search_space.space import FixedTrial, SearchSpace
from search_space.spec import ArchSpec

_STATES = {Status.STOPPED: TrialState.PRUNED, Status.REJECTED: TrialState.PRUNED, Status.FAILED: TrialState.FAIL}
_TWO = ("accuracy", "macs")
_LIMIT, _TIGHTER_LIMIT = (Limit(objective="macs", kind="max", value=value) for value in (12e6, 6e6))
"""About half of the space keeps the first, a fifth the other."""


class SamplerContract:
    """Tests of the sampler `name`, which is asked and told as a study does it."""

    name: str
    keeps_limits: bool = False
    """Whether it never proposes a network that is known to exceed a limit. A study rejects such a network untrained."""
    space = SearchSpace(depth=(18, 26), base_width=(8, 24), blocks=("basic", "ghost", "depthwise"), bits=(32, 8))

    def study(self, figures: Sequence[str] = _TWO, *, limits: Sequence[Limit] = (), seed: int = 0) -> Study:
        """Return a new study of this sampler."""
        study = optuna.create_study(directions=[objective.direction for objective in objectives_named(figures)])
        study.set_user_attr("figures", list(figures))
        self.start(study, limits=limits, seed=seed)
        return study

    def start(self, study: Study, *, limits: Sequence[Limit] = (), seed: int = 0) -> None:
        """Give a study a sampler made anew, as each start of a search does."""
        objectives = objectives_named(study.user_attrs["figures"])
        networks = Networks(self.space, objectives, limits, known_costs)
        task = Task(seed=seed, finished=len(study.get_trials(deepcopy=False)), networks=networks)
        study.sampler = make_sampler(self.name, task)

    def ask(self, study: Study) -> tuple[Trial, ArchSpec]:
        """Return the next proposal, which must be of the space."""
        trial = study.ask()
        spec = self.space.sample(trial)
        choices = self.space.choices
        assert set(trial.params) == set(choices)
        assert all(value in choices[name] for name, value in trial.params.items()), trial.params
        assert self.space.sample(FixedTrial(self.space.params_of(spec))) == spec
        return trial, spec

    def run(
        self, study: Study, trials: int, *, limits: Sequence[Limit] = (), ends: Sequence[Status] = (Status.COMPLETED,)
    ) -> list[Status]:
        """Ask and tell, with these ends in turn; what exceeds a limit is rejected. Return how the trials ended."""
        found = []
        for number in range(trials):
            trial, spec = self.ask(study)
            found.append(_tell(study, trial, spec, limits, ends[number % len(ends)]))
        return found

    @pytest.mark.parametrize(
        "figures",
        [_TWO, ("macs", "accuracy", "file_bytes"), ("accuracy", "macs", "params", "peak_memory_bytes")],
        ids=["2 objectives", "3 objectives", "4 objectives"],
    )
    def test_it_proposes_networks_of_the_space(self, figures: Sequence[str]) -> None:
        """With two to four objectives, in any order."""
        study = self.study(figures)
        self.run(study, 11)
        assert len(set(map(str, (trial.params for trial in study.trials)))) > 6, "it proposes the same again and again"

    def test_the_same_seed_proposes_the_same(self) -> None:
        """And another seed something else."""
        proposed = []
        for seed in (1, 1, 2):
            study = self.study(seed=seed)
            self.run(study, 11)
            proposed.append([trial.params for trial in study.trials])
        first, again, other = proposed
        assert first == again
        assert first != other

    def test_it_lives_with_trials_that_run_fail_or_are_stopped(self) -> None:
        """Several run at a time, and not every one brings values."""
        study = self.study()
        self.run(study, 4)
        self.run(study, 9, ends=(Status.FAILED, Status.STOPPED, Status.RUNNING))
        self.run(study, 3)
        assert sum(trial.state == TrialState.RUNNING for trial in study.trials) == 3

    @pytest.mark.parametrize("end", [Status.FAILED, Status.STOPPED, Status.RUNNING])
    def test_it_goes_on_where_nothing_has_been_completed(self, end: Status) -> None:
        """All trials so far failed, were stopped, or are still running."""
        self.run(self.study(), 5, ends=(end,))

    def test_it_lives_with_limits(self) -> None:
        """Also with tighter ones after a restart, where `judges_anew` says that they may change."""
        study = self.study(limits=[_LIMIT])
        ends = self.run(study, 12, limits=[_LIMIT])
        limit = _TIGHTER_LIMIT if SAMPLERS[self.name].judges_anew else _LIMIT
        self.start(study, limits=[limit])
        ends += self.run(study, 6, limits=[limit])
        assert Status.COMPLETED in ends
        assert not (self.keeps_limits and Status.REJECTED in ends), "it proposes what exceeds a limit"

    def test_it_lives_with_costs_that_are_not_known_before(self) -> None:
        """A latency is measured: the sampler learns it when a trial has it, or has been rejected for it."""
        limits = [Limit(objective="latency_ms", kind="max", value=1.5)]
        study = self.study(("accuracy", "latency_ms"), limits=limits)
        ends = self.run(study, 14, limits=limits)
        assert {Status.COMPLETED, Status.REJECTED} >= set(ends)
        assert Status.COMPLETED in ends

    def test_it_goes_on_after_a_restart(self) -> None:
        """The same proposals wherever it is made anew after the same trials, and not once more those of the start."""
        proposed = []
        for _ in range(2):
            study = self.study()
            self.run(study, 6)
            self.start(study)
            self.run(study, 6)
            proposed.append([trial.params for trial in study.trials])
        first, again = proposed
        assert first == again
        assert first[6:] != first[:6]

    def test_what_is_enqueued_comes_first(self) -> None:
        """Networks that a user names are tried before any that are proposed."""
        study = self.study()
        wanted = {name: values[-1] for name, values in self.space.choices.items()}
        wanted = self.space.params_of(self.space.sample(FixedTrial(wanted)))
        study.enqueue_trial(wanted)
        trial, spec = self.ask(study)
        assert trial.params == wanted and self.space.params_of(spec) == wanted


def _tell(study: Study, trial: Trial, spec: ArchSpec, limits: Sequence[Limit], end: Status) -> Status:
    """End a trial as the search does, rejected where it exceeds a limit, or let it run. Return how it ended."""
    costs = dict(known_costs(spec.build_graph()))
    latency_ms = 1e-7 * costs["macs"] + 0.01 * spec.depth
    is_timed = "latency_ms" in study.user_attrs["figures"]
    known = {**costs, "latency_ms": latency_ms} if is_timed else costs
    values = {**known, "accuracy": 0.3 + 0.02 * spec.depth}
    measured = {"latency_ms": {"latency_ms": latency_ms}} if is_timed else {}
    record = started_record(trial, spec.key, spec.to_dict(), known, measured)
    write_start(trial, record)
    if end == Status.RUNNING:
        return end
    end = Status.REJECTED if violated(limits, known) else end
    forecast = Forecast(mean=0.4, deviation=0.02, optimistic=0.44) if end == Status.STOPPED else None
    record = replace(record, status=end, values=values if end == Status.COMPLETED else {}, forecast=forecast)
    for limit in limits:
        trial.set_constraint(str(limit), limit.excess(record.figures))
    write_end(trial, record)
    if end == Status.COMPLETED:
        study.tell(trial, [values[name] for name in study.user_attrs["figures"]])
    else:
        study.tell(trial, state=_STATES[end])
    return end
