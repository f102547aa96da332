"""How is a study run? Its lock, its database, its workers and its coordinator, put together and taken apart."""

from collections.abc import Callable

from objectives.base import Objective
from runners.engines.base import make_engine
from runners.search.coordinator import Coordinator, Ending
from runners.search.events import EpochEvent, TrialEvent
from runners.search.pricing.cost_check import NoFeasibleCandidate
from runners.search.pricing.latency_meter import open_meter
from runners.storage.errors import stored_in
from runners.storage.study_files import open_study, study_lock
from search_space.errors import UserError

from ..report.verdict import nothing_trained
from ..results.reading import load_results
from ..study.record import StudyRecord
from .discarding import discard_if_empty
from .priors import study_prior
from .resume import take_up

_ENDED = "the search ended (what has finished is kept; go on with --resume)"


def run_search(
    record: StudyRecord,
    on_event: Callable[[TrialEvent], None] = lambda event: None,
    on_epoch: Callable[[EpochEvent], None] = lambda event: None,
    on_stop: Callable[[int], None] = lambda running: None,
    on_note: Callable[[str], None] = lambda note: None,
    *,
    takes_signals: bool = False,
) -> Ending:
    """Run the study until it is done, out of time or stopped, and say which.

    With `takes_signals` Ctrl-C and SIGTERM stop it; otherwise they are whoever calls' to handle, in any thread.

    What a resumed study changes is written first. A study of which no network was trained when the search fails is
    removed, so that its name is free. Raises UserError (StorageError when another process runs it, NoFeasibleCandidate,
    DeviceUnavailable) and TooManyFailures.
    """
    with study_lock(record.directory), stored_in(record.directory, _ENDED):
        foundations = take_up(record)
        try:
            ending, evaluated = _run(
                record, foundations.figures(record.config), on_event, on_epoch, on_stop, on_note, takes_signals
            )
            if ending == "done" and not evaluated:
                raise NoFeasibleCandidate(f"study {record.name}: {nothing_trained(load_results(record.directory))}")
        except UserError:
            if discard_if_empty(record.directory):
                on_note(f"no network was trained, so there is no study {record.name}; the name is free")
            raise
        return ending


def _run(
    record: StudyRecord,
    figures: tuple[Objective, ...],
    on_event: Callable[[TrialEvent], None],
    on_epoch: Callable[[EpochEvent], None],
    on_stop: Callable[[int], None],
    on_note: Callable[[str], None],
    takes_signals: bool,
) -> tuple[Ending, int]:
    """Return how the search ended, and how many networks of the study have been trained."""
    study = open_study(record.directory, record.config.optimised)
    prior = study_prior(record)
    engine = make_engine(record.config.workers)
    try:
        with open_meter(record.config, on_note) as meter:
            if meter.objectives and not study.get_trials(deepcopy=False):
                on_note("choosing the first networks and timing them ...")
            coordinator = Coordinator(
                study=study,
                directory=record.directory,
                config=record.config,
                figures=figures,
                prior=None if prior is None else prior.expectation,
                box=record.box,
                commonest_share=record.commonest_share,
                engine=engine,
                meter=meter,
                on_event=on_event,
                on_epoch=on_epoch,
                on_stop=on_stop,
                on_note=on_note,
                takes_signals=takes_signals,
            )
            return coordinator.run(), coordinator.state.evaluated
    finally:
        engine.close()
