"""Searches small random studies and exports every network of their fronts: none may be refused.

Six studies of four trials, on digits and fashion-mini, at 8, 4 and 2 bits; each draws from all blocks. The networks are
trained, searched and exported with the kernels that the environment asks for (`make test-kernels`). Prints a line a
network; exits with 1 where an export was refused. With --demo the study of `make demo` comes first.

    ONEDNN_MAX_CPU_ISA=SSE41 python -m tests.kernels.random_studies
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from search_space.errors import UserError
from studies.export import ModelOptions, export_trial
from studies.results.reading import load_results

STUDY = """
objectives = ["accuracy", "macs", "file_bytes"]
[data]
name = "{data}"
[space]
depth = [18, 34]
base_width = [8, 16]
width_multipliers = [0.5, 1.0, 2.0]
resolution = [{resolution}]
bits = [{bits}]
[training]
images = 1500
validation_images = 600
epochs = 3
batch_size = 64
[search]
trials = 4
sampler = "random"
references = []
seed = {seed}
[workers]
workers = 2
threads = 1
"""
STUDIES = [(data, resolution, bits) for data, resolution in (("digits", 8), ("fashion-mini", 14)) for bits in (8, 4, 2)]


def search(source: str, name: str, runs: Path) -> None:
    command = [sys.executable, "-m", "studies.cli", "search", source, "--name", name, "--runs", str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name}: the search ended with {done.returncode}: {done.stderr[-2000:]}")


def export_front(name: str, runs: Path) -> int:
    """Export every member of a study's front; return how many were refused."""
    results = load_results(runs / name)
    refused = 0
    for row in results.front.itertuples():
        output = runs / f"{name}-{row.trial}"
        try:
            export_trial(results, int(row.trial), output, options=ModelOptions(symmetric=True))
            found = "exported"
        except UserError as error:
            refused += 1
            found = f"REFUSED: {error}"
        print(f"{name}, trial {row.trial}, accuracy {row.accuracy:.2%}, {row.network}: {found}", flush=True)
    return refused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", action="store_true", help="also the study of `make demo`, which takes two minutes")
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = [
        f"{name}={os.environ[name]}" for name in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY") if name in os.environ
    ]
    print(f"kernels: {', '.join(settings) or 'default'} ({torch.backends.cpu.get_cpu_capability()})")
    refused = 0
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        if args.demo:
            search("quick", "demo", runs)
            refused += export_front("demo", runs)
        for seed, (data, resolution, bits) in enumerate(STUDIES):
            name = f"{data}-{bits}-bits"
            source = runs / f"{name}.toml"
            source.write_text(STUDY.format(data=data, resolution=resolution, bits=bits, seed=seed))
            search(str(source), name, runs)
            refused += export_front(name, runs)
    print(f"{refused} refused")
    sys.exit(bool(refused))


if __name__ == "__main__":
    main()
