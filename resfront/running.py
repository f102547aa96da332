"""Running a study for a program: its progress, and the error of one that found nothing."""

import math
from collections.abc import Callable

from runners.search.coordinator import Ending
from runners.search.events import EpochEvent, TrialEvent
from runners.search.pricing.cost_check import NoFeasibleCandidate
from studies.launch.run import run_search
from studies.report.verdict import why_no_front
from studies.results.reading import load_results
from studies.study.record import StudyRecord

from .progress import ProgressBar


def run(
    record: StudyRecord,
    on_event: Callable[[TrialEvent], None],
    on_epoch: Callable[[EpochEvent], None],
    progress: bool,
) -> Ending:
    """Search until the study is done, out of time or interrupted, and say which; raises UserError."""
    before = load_results(record.directory)
    metric = record.config.metric
    best = math.nan if before.front.empty else float(before.best_first(before.front)[metric.name].iloc[0])
    with ProgressBar(record.config.search.trials, metric, done=before.evaluated, best=best, shown=progress) as bar:

        def tell(event: TrialEvent) -> None:
            bar.on_event(event)
            on_event(event)

        ending = run_search(record, tell, on_epoch, on_note=bar.say)
    results = load_results(record.directory)
    if ending == "done" and results.front.empty:
        raise NoFeasibleCandidate(f"study {record.name} is done, and {why_no_front(results)}")
    return ending
