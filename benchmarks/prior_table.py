"""Trainings to learn a prior from: 150 networks on each of CIFAR-10, Fashion-MNIST and traffic signs.

Each data set has its own draw over the space of the preset cifar10, with networks of one block and of several, depth 18
to 56, 16 to 32 pixels and 1 to 80 M MACs, covered evenly in logarithms. The schedule is the preset's. 8 bits is
post-training quantization of the float network, so one training serves both. Signs are split by track, whose frames
show one sign: about a quarter of the tracks of each class is held out; as they are few, they have more epochs. What is
in the table already is not trained again; rows are written as they come.

    python benchmarks/prior_table.py --cifar10 path/to/cifar10 --signs path/to/signs --workers 2
"""

import argparse
import csv
import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from objectives import known_costs
from runners.candidate import Candidate, Observation, candidate_seed
from runners.config import DataConfig, StudyConfig, WorkersConfig
from runners.datasets import load_dataset
from runners.engines.base import Failure
from runners.engines.local import LocalEngine
from runners.training.proxy_images import proxy_images
from search_space.space import RandomTrial, SearchSpace
from search_space.spec import ArchSpec
from studies.study.config import load_config

TABLE = Path(__file__).parent / "tables" / "prior-trainings.csv"
HEAD = ("data", "accuracy", "float_accuracy", "training_images", "validation_images", "seconds", "spec")
SETS = ("cifar10", "fashion-mnist", "signs")
NETWORKS = 150
MACS = (1e6, 80e6)
POOL = 4000
"""Random networks from which the draw is taken."""
NEAR = 15
"""Of the networks that are nearest to an aim in MACs, of which that of the rarest kinds so far is taken."""
HELD_OUT = 4
"""Of the tracks of a class, the last and each of so many before it are for validation."""


def draw(data: str, space: SearchSpace) -> Iterator[ArchSpec]:
    """Yield networks at 8 bits in an order in which each beginning covers the range of MACs."""
    generator = random.Random(f"prior {data}")
    scopes = [replace(space, block_scope=scope) for scope in ("net", "stage")]
    pool = dict[ArchSpec, float]()
    while len(pool) < POOL:
        spec = generator.choice(scopes).sample(RandomTrial(generator))
        macs = known_costs(spec.build_graph())["macs"]
        if MACS[0] <= macs <= MACS[1]:
            pool[spec] = math.log(macs)
    low, high = map(math.log, MACS)
    aims = [low + (high - low) * (part + 0.5) / NETWORKS for part in range(NETWORKS)]
    generator.shuffle(aims)
    seen = Counter[object]()
    for aim in aims:
        near = sorted(pool, key=lambda one: abs(pool[one] - aim))[:NEAR]
        spec = min(near, key=lambda one: sum(seen[kind] for kind in kinds(one)))
        del pool[spec]
        seen.update(kinds(spec))
        yield spec


def kinds(spec: ArchSpec) -> list[object]:
    """Return what a draw balances: each stage's block, whether they are several, the resolution, the depth."""
    blocks = [(stage.block, stage.se) for stage in spec.stages]
    return [*blocks, len(set(blocks)) > 1, spec.resolution, spec.depth // 10]


def split_by_track(source: Path, target: Path) -> Path:
    """Link the images of `source` into train/ and val/ of `target`, a track as a whole into one of them."""
    for images in sorted(source.glob("[0-9]*")):
        tracks = sorted({image.name.split("_")[0] for image in images.iterdir()})
        held_out = tracks[::-HELD_OUT]
        for image in images.iterdir():
            folder = target / ("val" if image.name.split("_")[0] in held_out else "train") / images.name
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / image.name).exists():
                (folder / image.name).symlink_to(image.resolve())
    return target


def studies(cifar10: Path, signs: Path) -> dict[str, StudyConfig]:
    """By data set, the preset's schedule on its images; a space of 16 to 32 pixels."""
    usual = load_config("cifar10", ["space.depth=[18,56]", "space.resolution=[16,20,24,28,32]", "space.bits=[8]"])
    data = {
        "cifar10": DataConfig(name="cifar10", path=cifar10),
        "fashion-mnist": DataConfig(name="fashion-mnist"),
        "signs": DataConfig(name="image-folder", path=signs, resolution=32),
    }
    found = {}
    for name, config in data.items():
        dataset = load_dataset(config.name, config.path, resolution=config.resolution)
        space = replace(usual.space, num_classes=dataset.num_classes, in_channels=dataset.in_channels)
        training = usual.training.for_images(len(proxy_images(dataset, config)[0]))
        training = replace(training, flip=name != "signs")  # a sign in the mirror is another sign
        found[name] = replace(usual, data=config, space=space, training=training)
    return found


def known() -> set[tuple[str, str]]:
    """Data set and key of what is in the table."""
    if not TABLE.exists():
        TABLE.write_text(",".join(HEAD) + "\n")
    with TABLE.open(newline="") as file:
        return {(row["data"], ArchSpec.from_dict(json.loads(row["spec"])).key) for row in csv.DictReader(file)}


def write(data: str, spec: ArchSpec, seen: Observation) -> None:
    figures = (seen.accuracy, seen.float_accuracy)
    row: Sequence[object] = (
        data,
        *(f"{figure:.4f}" for figure in figures),
        seen.training_images,
        seen.validation_images,
        f"{seen.duration_s:.1f}",
        json.dumps(spec.to_dict(), separators=(",", ":")),
    )
    with TABLE.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(row)


def train(waiting: list[tuple[str, ArchSpec]], configs: dict[str, StudyConfig], workers: int) -> None:
    running: dict[int, tuple[str, ArchSpec]] = {}
    tickets = itertools.count()
    with closing(LocalEngine(WorkersConfig(workers=workers, threads=1))) as engine:
        while waiting or running:
            while waiting and len(running) < engine.slots:
                data, spec = waiting.pop(0)
                running[ticket := next(tickets)] = data, spec
                config = configs[data]
                seed = candidate_seed(0, spec.key)
                engine.submit(
                    ticket, Candidate(spec=spec.to_dict(), seed=seed, data=config.data, training=config.training)
                )
            for result in engine.collect(timeout_s=1.0):
                data, spec = running.pop(result.ticket)
                if isinstance(result.outcome, Failure):
                    print(f"{data}, {spec.key}: {result.outcome.reason}", flush=True)
                    continue
                seen = result.outcome.observation
                write(data, spec, seen)
                left = f"{seen.duration_s:.0f} s; {len(waiting)} left"
                print(f"{data}, {spec.key}: {seen.accuracy:.4f}, {left}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, required=True)
    parser.add_argument("--signs", type=Path, required=True, help="a folder of images, a folder a class")
    parser.add_argument("--work", type=Path, default=Path("runs/prior-table"), help="where the signs are split")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    configs = studies(args.cifar10, split_by_track(args.signs, args.work / "signs"))
    done = known()
    drawn = [[(data, spec) for spec in draw(data, config.space)] for data, config in configs.items()]
    in_turn = [one for each in zip(*drawn, strict=True) for one in each]
    waiting = [(data, spec) for data, spec in in_turn if (data, spec.key) not in done]
    print(f"{len(waiting)} trainings", flush=True)
    train(waiting, configs, args.workers)


if __name__ == "__main__":
    main()
