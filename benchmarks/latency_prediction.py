"""How well is latency predicted on networks that the calibration never saw, and how quickly?

Calibrates this host for the space of `cifar10`, then times fresh networks of that space (another seed) and compares.
Nothing else should run meanwhile. Takes about five minutes.

python benchmarks/latency_prediction.py --save
"""

import random
import time
from itertools import islice

import numpy as np
from record import arguments, report, table

from objectives.latency.host import HostDevice
from objectives.latency.measurement import measure_graphs, runs_in_int8
from objectives.latency.prediction.calibrate import calibrate, prediction_error
from objectives.latency.prediction.calibration import Calibration, PredictionError
from runners.search.pricing.latency_meter import calibration_path
from runners.storage.study_files import write_atomically
from search_space.graph import Graph
from search_space.space import RandomTrial, SearchSpace
from studies.study.config import load_config

FRESH_NETS = 100
REPEATED = 30


def fresh_graphs(space: SearchSpace) -> list[Graph]:
    """Networks as a sampler would draw them, at their own bits."""
    generator = random.Random(2026)
    specs = (space.sample(RandomTrial(generator)) for _ in iter(int, 1))
    return [spec.build_graph() for spec in islice(specs, FRESH_NETS)]


def error_row(what: str, error: PredictionError) -> list[str]:
    return [
        what,
        str(error.nets),
        f"{100 * error.mean:.1f} %",
        f"{100 * error.within_10_percent:.0f} %",
        f"{100 * error.largest:.0f} %",
        f"{error.rank_correlation:.4f}",
    ]


def macs_baseline(graphs: list[Graph], measured: np.ndarray) -> PredictionError:
    """A straight line in the MACs, fitted to the very networks that it predicts."""
    macs = np.array([[sum(node.macs for node in graph.nodes), 1.0] for graph in graphs])
    line = np.linalg.lstsq(macs / measured[:, None], np.ones(len(graphs)), rcond=None)[0]
    return prediction_error((macs @ line).tolist(), measured.tolist())


def measured_ms(graphs: list[Graph], device: HostDevice) -> tuple[np.ndarray, list[float]]:
    """Latency of each network, and how many seconds it took to build its file and to time that."""
    latencies, seconds = [], []
    for graph in graphs:
        started = time.perf_counter()
        latencies.append(measure_graphs([graph], device)[0].latency_ms)
        seconds.append(time.perf_counter() - started)
    return np.array(latencies), seconds


def prediction_ms(calibration: Calibration, graphs: list[Graph]) -> float:
    """Milliseconds to predict one network from its graph."""
    started = time.perf_counter()
    for graph in graphs:
        calibration.predict_ms(graph)
    return 1e3 * (time.perf_counter() - started) / len(graphs)


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--keep", action="store_true", help="keep the calibration where studies look for it")
    args = parser.parse_args()
    space = load_config("cifar10", []).space
    device = HostDevice()
    calibration = calibrate(space, device)
    if args.keep:
        path = calibration_path(device.name, device.threads, max(space.resolution))
        write_atomically(path, calibration.to_json().encode())
    graphs = fresh_graphs(space)
    measured, seconds = measured_ms(graphs, device)
    again, _ = measured_ms(graphs[:REPEATED], device)
    predicted = np.array([calibration.predict_ms(graph) for graph in graphs])
    rows = [error_row(f"{p}, 5-fold cross-validation", error) for p, error in calibration.errors.items()]
    for precision in ("float32", "int8"):
        chosen = [runs_in_int8(graph) == (precision == "int8") for graph in graphs]
        error = prediction_error(predicted[chosen].tolist(), measured[chosen].tolist())
        rows.append(error_row(f"{precision}, fresh networks", error))
        line = macs_baseline([g for g, c in zip(graphs, chosen, strict=True) if c], measured[chosen])
        rows.append(error_row(f"{precision}, a line in the MACs instead", line))
    rows.append(
        error_row(
            "measuring the same networks a second time", prediction_error(again.tolist(), measured[:REPEATED].tolist())
        )
    )
    text = table(["what", "networks", "mean error", "within 10 %", "largest", "rank correlation"], rows)
    nets = len(calibration.nets) // 2
    text += f"\n\nCalibrated in {calibration.seconds:.0f} s from {nets} networks, each in float32 and in int8. "
    text += f"One prediction takes {prediction_ms(calibration, graphs):.2f} ms, from the graph. "
    text += f"Measuring one takes {np.mean(seconds):.2f} s on average, {max(seconds):.2f} s at most."
    report("latency-prediction", "python benchmarks/latency_prediction.py --save", text, save=args.save)


if __name__ == "__main__":
    main()
