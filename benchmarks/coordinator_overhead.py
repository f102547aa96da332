"""What does the coordinator cost a trial, besides the sampler, when a study has 1,000 finished trials?

The engine answers at once, so all the time is the sampler's and the coordinator's; the sampler is random and is timed
on its own. Trials are watched, and none is stopped, because the engine hears of no floors.

    python benchmarks/coordinator_overhead.py --save
"""

import itertools
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import optuna
from record import arguments, report, table

from objectives.hypervolume_box import cost_ranges, hypervolume_box, sample_costs
from runners.candidate import Candidate, Epoch, Evaluation
from runners.config import SearchConfig, StudyConfig
from runners.search.coordinator import Coordinator
from runners.search.events import TrialEvent
from runners.search.pricing.latency_meter import LatencyMeter
from runners.storage.study_files import open_study
from search_space import SearchSpace

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.runners.engines.fake_engine import FakeEngine, fake_evaluation

AT = (100, 500, 1000)
WINDOW = 50


class TimedSampler(optuna.samplers.RandomSampler):
    """A random sampler that adds up its own time."""

    seconds = 0.0

    def sample_independent(self, *args: object, **kwargs: object) -> object:
        started = time.perf_counter()
        value = super().sample_independent(*args, **kwargs)  # type: ignore[arg-type]
        TimedSampler.seconds += time.perf_counter() - started
        return value


def with_curve(candidate: Candidate) -> Evaluation:
    """Every epoch is judged, as in a real training."""
    found = fake_evaluation(candidate)
    epochs = candidate.training.epochs
    curve = tuple(
        Epoch(
            step="train",
            epoch=epoch,
            train_loss=1.0,
            metric=found.observation.accuracy * epoch / epochs,
            seconds=0.0,
        )
        for epoch in range(1, epochs + 1)
    )
    return replace(found, observation=replace(found.observation, curve=curve))


def main() -> None:
    args = arguments(__doc__ or "").parse_args()
    space = SearchSpace(width_multipliers=(0.5, 0.75, 1.0, 1.25), resolution=(24, 32), bits=(32, 8, 4))
    config = StudyConfig(
        objectives=("accuracy", "macs", "file_bytes"),
        space=space,
        search=SearchConfig(trials=max(AT) + WINDOW, sampler="random", block_starts=False),
    )
    stamps: list[tuple[float, float]] = []

    def note(event: TrialEvent) -> None:
        if event.trial.status == "completed":
            stamps.append((time.perf_counter(), TimedSampler.seconds))

    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        study = open_study(directory, config.optimised)
        samples = sample_costs(space, config.figures, lambda network, graph: {})
        box = hypervolume_box(cost_ranges(samples, config.optimised), config.optimised, (), commonest_share=0.1)
        coordinator = Coordinator(
            study=study,
            directory=directory,
            config=config,
            box=box,
            commonest_share=0.1,
            engine=FakeEngine(answer=with_curve),
            meter=LatencyMeter({}),
            on_event=note,
        )
        study.sampler = TimedSampler(seed=0)
        coordinator.run()
    rows = []
    for finished in AT:
        window = stamps[finished - 1 : finished + WINDOW]
        total, sampling = (
            1000 * statistics.median(after[i] - before[i] for before, after in itertools.pairwise(window))
            for i in (0, 1)
        )
        rows.append([finished, f"{total:.1f}", f"{sampling:.1f}", f"{total - sampling:.1f}"])
    text = table(["finished trials", "median ms a trial", "of it the sampler", "of it the coordinator"], rows)
    report("coordinator-overhead", "python benchmarks/coordinator_overhead.py --save", text, save=args.save)


if __name__ == "__main__":
    main()
