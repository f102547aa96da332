"""How is a study run? Its lock, its database, its workers and its coordinator, put together and taken apart."""

from collections.abc import Callable

from runners.coordinator import Coordinator, Ending, EpochEvent, Event
from runners.latency import open_meter
from runners.local import LocalEngine
from runners.storage import open_study, study_lock
from runners.storage_errors import stored_in

from .study import StudyRecord

_ENDED = "the search ended (what has finished is kept; go on with --resume)"


def run_search(
    record: StudyRecord,
    on_event: Callable[[Event], None] = lambda event: None,
    on_epoch: Callable[[EpochEvent], None] = lambda event: None,
    on_stop: Callable[[int], None] = lambda running: None,
    on_note: Callable[[str], None] = lambda note: None,
) -> Ending:
    """Run the study until it is done, out of time or stopped, and say which.

    Raises UserError (StorageError when another process runs it, NoFeasibleCandidate, DeviceUnavailable) and
    TooManyFailures.
    """
    with study_lock(record.directory), stored_in(record.directory, _ENDED):
        study = open_study(record.directory, record.config.optimised)
        engine = LocalEngine(record.config.workers)
        try:
            with open_meter(record.config, on_note) as meter:
                if meter.objectives and not study.get_trials(deepcopy=False):
                    on_note("choosing the first networks and timing them ...")
                coordinator = Coordinator(
                    study=study,
                    directory=record.directory,
                    config=record.config,
                    box=record.box,
                    commonest_share=record.commonest_share,
                    engine=engine,
                    meter=meter,
                    on_event=on_event,
                    on_epoch=on_epoch,
                    on_stop=on_stop,
                )
                return coordinator.run()
        finally:
            engine.close()
