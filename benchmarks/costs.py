"""How many specs a second can be costed, on one core, and how often as fast is that as fvcore?

python benchmarks/costs.py --save
"""

import time
import warnings
from collections.abc import Callable

import torch
from record import arguments, report, table

from objectives import known_costs
from runners.verification.counts import fvcore_macs
from search_space import ArchSpec, build_network, reference

ROUNDS = 5


def rate(call: Callable[[], object], seconds: float = 1.0) -> float:
    """Calls a second, the median of a few rounds."""
    rates = []
    for _ in range(ROUNDS):
        calls, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds / ROUNDS or calls < 1:
            call()
            calls += 1
        rates.append(calls / elapsed)
    return sorted(rates)[ROUNDS // 2]


def main() -> None:
    args = arguments(__doc__ or "").parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in ("resnet20", "resnet56", "resnet110"):
        spec = reference(name)
        assert isinstance(spec, ArchSpec)
        network, images = build_network(spec).eval(), torch.zeros(1, 3, 32, 32)
        ours = rate(lambda spec=spec: known_costs(spec.build_graph()), seconds=3.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = rate(lambda net=network, x=images: fvcore_macs(net, x), seconds=3.0)
        assert known_costs(spec.build_graph())["macs"] == fvcore_macs(network, images)
        rows.append([name, f"{ours:,.0f}", f"{theirs:.1f}", f"{ours / theirs:,.0f}"])
    text = table(["network", "spec -> all six costs, a second", "fvcore, MACs alone, a second", "ratio"], rows)
    report("costs", "python benchmarks/costs.py --save", text, save=args.save)


if __name__ == "__main__":
    main()
