"""How long does an ONNX file take here? A script that stands alone, so that it also runs on a device over ssh.

Needs onnxruntime and numpy, Python 3.8 or newer, nothing of this project.

python timing.py --threads 1 model.onnx more.onnx    # one line of JSON a model, the fingerprint first
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EXACT_INT8 = ("session.x64quantprecision", "1")
"""Session entry without which onnxruntime's int8 sums saturate on x86 without VNNI; its kernels are slower."""
NO_RUNTIME = 3
"""Exit code where onnxruntime or numpy is missing."""
WARMUP_RUNS, WARMUP_S = 10, 0.02
ROUND_S, MIN_RUNS, MAX_RUNS = 0.05, 10, 1000
PROFILED_RUNS = 20
MIN_ROUNDS, MAX_ROUNDS = 3, 5
AGREEMENT = 0.02
"""Rounds are repeated until the two fastest medians differ by at most this share."""


def make_session(model: str | bytes, threads: int, profile_prefix: str | None = None) -> Any:
    """An onnxruntime session on the CPU; idle threads sleep, as they must on a device that does other things too."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if int8_saturates():
        options.add_session_config_entry(*EXACT_INT8)
    options.log_severity_level = 3
    if profile_prefix:
        options.enable_profiling = True
        options.profile_file_prefix = profile_prefix
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def make_feed(session: Any, size: int | None = None) -> dict[str, Any]:
    """A random image of batch 1 for the session's one input; `size` (pixels) where the model leaves it open."""
    import numpy

    image = session.get_inputs()[0]
    batch, channels, height, width = (entry if isinstance(entry, int) else 0 for entry in image.shape)
    shape = (batch or 1, channels, height or size or 0, width or size or 0)
    if 0 in shape:
        raise ValueError("the model leaves the image's size open: give --size")
    return {image.name: numpy.random.default_rng(0).standard_normal(shape).astype("float32")}


def time_session(session: Any, feed: dict[str, Any]) -> dict[str, Any]:
    """Medians over rounds of single runs, in ms: others only ever add time, so the fastest round counts."""
    once = _run_ms(session, feed)
    warmed = time.perf_counter()
    runs = 1
    while runs < WARMUP_RUNS or time.perf_counter() - warmed < WARMUP_S:
        once = min(once, _run_ms(session, feed))
        runs += 1
    count = int(min(MAX_RUNS, max(MIN_RUNS, ROUND_S * 1e3 / once)))
    rounds: list[list[float]] = []
    while len(rounds) < MIN_ROUNDS or (len(rounds) < MAX_ROUNDS and _spread(rounds) > AGREEMENT):
        rounds.append(sorted(_run_ms(session, feed) for _ in range(count)))
    best = min(rounds, key=statistics.median)
    return {
        "latency_ms": statistics.median(best),
        "p90_ms": best[int(0.9 * (len(best) - 1))],
        "spread": _spread(rounds),
        "runs": count,
        "rounds": len(rounds),
    }


def profile_model(
    model: str | bytes, threads: int, size: int | None = None, runs: int = PROFILED_RUNS
) -> list[tuple[str, str, float]]:
    """Kernels in the order in which they run: node name, operator and us, as onnxruntime's profiler has them.

    The profiler counts whole microseconds, which many kernels take few of, so this is a mean, without the slowest runs.
    """
    with tempfile.TemporaryDirectory() as folder:
        session = make_session(model, threads, str(Path(folder) / "profile"))
        feed = make_feed(session, size)
        for _ in range(runs):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    durations: dict[tuple[str, str], list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            key = (event["name"][: -len("_kernel_time")], event["args"]["op_name"])
            durations.setdefault(key, []).append(event["dur"])
    kept = {key: sorted(spent[runs // 5 :]) for key, spent in durations.items()}
    return [(name, kind, statistics.fmean(spent[: int(0.8 * len(spent))])) for (name, kind), spent in kept.items()]


def fingerprint() -> dict[str, Any]:
    """What a latency depends on, besides the network: the machine and the runtime."""
    import onnxruntime

    return {
        "host": platform.node(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "runtime": "onnxruntime " + onnxruntime.__version__,
        "python": platform.python_version(),
    }


def _run_ms(session: Any, feed: dict[str, Any]) -> float:
    started = time.perf_counter()
    session.run(None, feed)
    return 1e3 * (time.perf_counter() - started)


def _spread(rounds: list[list[float]]) -> float:
    """By what share the second fastest round is slower than the fastest."""
    fastest, second = sorted(map(statistics.median, rounds))[:2]
    return second / fastest - 1


def int8_saturates() -> bool:
    """Whether this processor needs EXACT_INT8; x86 counts as such where its flags cannot be read."""
    if platform.machine() != "x86_64":
        return False
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text(errors="replace").split()) if info.exists() else set()
    return not flags & {"avx512_vnni", "avx_vnni"}


def processor() -> str:
    """Return the CPU's name, with family and model where a virtual machine hides which it is ("AMD EPYC")."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    facts: dict[str, str] = {}
    for line in info.read_text(errors="replace").splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name") or facts.get("Model") or facts.get("Hardware")
    if name is None:
        return platform.processor() or platform.machine()
    if "cpu family" in facts and not any(letter.isdigit() for letter in name):
        return f"{name} (family {facts['cpu family']}, model {facts['model']})"
    return name


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", type=int)
    parser.add_argument("--profile", action="store_true", help="kernels too")
    args = parser.parse_args()
    try:
        print(json.dumps(fingerprint()), flush=True)
        import numpy  # noqa: F401
    except ImportError as error:
        print(error, file=sys.stderr)
        return NO_RUNTIME
    for path in args.models:
        session = make_session(path, args.threads)
        found = time_session(session, make_feed(session, args.size))
        if args.profile:
            found["kernels"] = profile_model(path, args.threads, args.size)
        print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
