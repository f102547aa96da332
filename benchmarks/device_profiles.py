"""How near do the estimates of the device profiles come to published latencies, and how long does one take?

python benchmarks/device_profiles.py --save
"""

import time
from collections.abc import Sequence

from published_latencies import FURTHER_ROWS, HELD_OUT, ROWS, Published
from record import arguments, report, table

from objectives.devices import load_profile, profile_names
from objectives.devices.roofline import estimate_latency, unsupported_reason
from search_space import reference

CALLS = 200


def compared(rows: Sequence[Published]) -> tuple[str, list[float]]:
    """A table of estimate against published, and the ratios."""
    lines, ratios = [], []
    for row in rows:
        graph = reference(row.network, bits=row.bits, resolution=row.resolution).build_graph()
        estimate = estimate_latency(graph, load_profile(row.device), threads=row.threads)
        ratios.append(estimate.latency_ms / row.latency_ms)
        name = row.network if row.resolution is None else f"{row.network}, {row.resolution} px"
        bits = "float" if row.bits == 32 else f"int{row.bits}"
        figures = [f"{row.latency_ms:.3g}", f"{estimate.latency_ms:.3g}", f"{ratios[-1]:.2f}"]
        lines.append([row.device, row.threads, bits, name, *figures])
    heads = ["device", "threads", "arithmetic", "network", "published, ms", "estimated, ms", "ratio"]
    return table(heads, lines), ratios


def summary(ratios: Sequence[float]) -> str:
    close = sum(abs(ratio - 1) <= 0.25 for ratio in ratios)
    error = sum(abs(ratio - 1) for ratio in ratios) / len(ratios)
    return f"{close} of {len(ratios)} within 25 %, mean error {error:.0%}."


def speeds() -> str:
    """Milliseconds of one estimate, the fastest of five rounds."""
    lines = []
    for name in ("resnet20", "resnet56", "resnet110"):
        graph, rates = reference(name, bits=8).build_graph(), []
        profiles = [load_profile(device) for device in profile_names()]
        for profile in (each for each in profiles if unsupported_reason(graph, each) is None):
            rounds = []
            for _ in range(5):
                started = time.perf_counter()
                for _ in range(CALLS // 5):
                    estimate_latency(graph, profile)
                rounds.append((time.perf_counter() - started) / (CALLS // 5))
            rates.append(min(rounds))
        lines.append([name, f"{min(rates) * 1e3:.3f}", f"{max(rates) * 1e3:.3f}"])
    return table(["network", "fastest device, ms an estimate", "slowest device"], lines)


def main() -> None:
    args = arguments(__doc__ or "").parse_args()
    parts = []
    for title, rows in (
        ("Rows that the efficiencies were set from", ROWS),
        ("Further rows behind TensorRT's efficiencies", FURTHER_ROWS),
        ("Held out (an older ncnn)", HELD_OUT),
    ):
        text, ratios = compared(rows)
        parts.append(f"## {title}\n\n{text}\n\n{summary(ratios)}")
    parts.append(f"## Time of an estimate\n\n{speeds()}")
    report("device-profiles", "python benchmarks/device_profiles.py --save", "\n\n".join(parts), save=args.save)


if __name__ == "__main__":
    main()
