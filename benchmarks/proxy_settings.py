"""Which proxy ranks networks best for its time? The networks of a fidelity run under other settings.

`resfront fidelity STUDY --top K --epochs E --images N` has trained some of a study's networks for longer and keeps
them; this trains the same networks as the study's proxy would under each setting below, on one thread, and compares
the ranks. Time is the processor's, so that what else the machine does counts for little.

    python benchmarks/proxy_settings.py path/to/runs/quick --top 4 --epochs 10 --save
    python benchmarks/proxy_settings.py path/to/runs/quick --top 4 --epochs 10 --settings 3000x4@0.5,5400x4@0.5
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from record import report, table

from runners.candidate import Candidate, candidate_seed
from runners.evaluate import evaluate
from studies.analysis.fidelity import LongerTrained, fidelity_of, measure_fidelity
from studies.results.reading import load_results
from studies.study.record import open_study_record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="the study's directory")
    parser.add_argument("--top", type=int, required=True, help="as it was given to resfront fidelity")
    parser.add_argument("--epochs", type=int, required=True, help="as it was given to resfront fidelity")
    parser.add_argument("--images", type=int, default=0, help="as it was given to resfront fidelity")
    parser.add_argument(
        "--settings",
        default="3000x2@0.5,3000x4@0.5,3000x8@0.5,5400x4@0.5,3000x4@1.0",
        help="images x epochs @ share of the resolution, with commas between",
    )
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    results, record = load_results(args.study), open_study_record(args.study)
    longer = measure_fidelity(results, record, top=args.top, epochs=args.epochs, images=args.images).networks
    config, rows = record.config, []
    specs = results.trials.set_index("trial")["record"].map(lambda record: record.spec)
    for setting in args.settings.split(","):
        images, rest = setting.split("x")
        epochs, scale = rest.split("@")
        training = replace(config.training, images=int(images), epochs=int(epochs), resolution_scale=float(scale))
        networks = list[LongerTrained]()
        for network in longer:
            spec = dict(specs[network.trial])
            seed = candidate_seed(config.search.seed, results.trials.set_index("trial")["key"][network.trial])
            started = time.process_time()
            candidate = Candidate(spec=spec, seed=seed, data=config.data, training=training)
            accuracy = evaluate(candidate).observation.accuracy
            took = time.process_time() - started
            networks.append(replace(network, proxy_accuracy=accuracy, proxy_s=took))
            print(f"{setting}, trial {network.trial}: {100 * accuracy:.2f} %, {took:.0f} s", flush=True)
        found = fidelity_of(networks, args.epochs, args.images)
        cells = [f"{found.tau:.2f}", f"{found.tau_front:.2f}", f"{100 * found.regret:.1f}"]
        rows.append([setting, *cells, f"{statistics.mean(network.proxy_s for network in networks):.0f} s"])
    heads = ["images x epochs @ resolution", "tau", "tau on the front", "regret, points", "a network"]
    command = f"python benchmarks/proxy_settings.py runs/{args.study.name} --top {args.top} --epochs {args.epochs}"
    report(f"proxy-settings-{args.study.name}", f"{command} --save", table(heads, rows), save=args.save)


if __name__ == "__main__":
    main()
