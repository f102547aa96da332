"""How much memory do the workers of the `quick` study need, and how much sooner are two workers done than one?

python benchmarks/worker_memory.py --save
"""

import tempfile
import time
from pathlib import Path

from record import arguments, report, table

from studies.launch.create import create_study
from studies.launch.run import run_search
from studies.results.reading import load_results
from studies.study.config import load_config


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--trials", type=int, default=16)
    args = parser.parse_args()
    rows = []
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            settings = [f"workers.workers={workers}", "workers.threads=1", f"search.trials={args.trials}"]
            # The random sampler proposes the same networks however many workers there are.
            config = load_config("quick", ["search.sampler=random", *settings])
            record = create_study(Path(folder) / "study", config)
            started = time.perf_counter()
            run_search(record)
            seconds = time.perf_counter() - started
            trials = load_results(record.directory).trials
            peak = max(r.observation.peak_rss_bytes for r in trials["record"] if r.observation is not None)
            rows.append([workers, f"{seconds:.0f}", f"{peak / 1e6:.0f}"])
    text = table(["workers, 1 thread each", "study, s", "peak memory of a worker, MB"], rows)
    report("worker-memory", "python benchmarks/worker_memory.py --save", text, save=args.save)


if __name__ == "__main__":
    main()
