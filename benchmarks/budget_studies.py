"""Does a study with limits end with the best network inside them? Real studies against named references.

On CIFAR-10 and traffic signs written to folders, and on Fashion-MNIST: studies of the preset cifar10 on 4,000 images
with the limits of a small device, and references trained by the same proxy at the bits that fit (8, else float), some
of them outside the search space. A study passes where

- its best network is no worse than any reference: two standard errors of the difference on the same validation images;
- at the costs of some reference a network of its own is better than every reference within those costs;
- no reference dominates a network of its front.

Accuracies of single trainings on the validation images; `mean` is that of two trainings where the study trained its
best again. Studies and trainings that are in --work are not repeated, so that an interrupted run goes on.

    python benchmarks/budget_studies.py --cifar10 path/to/cifar10 --signs path/to/signs --save
"""

import argparse
import json
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from prior_tables import prior_without
from record import report, table

from objectives.base import costs_of
from objectives.limits import violated
from runners.candidate import Candidate, Evaluation, candidate_seed
from runners.config import StudyConfig
from runners.datasets import load_dataset
from runners.engines.base import Result
from runners.engines.local import LocalEngine
from runners.evaluate import evaluate
from runners.network_weights import load_network
from runners.search.pricing.latency_meter import latencies, open_meter
from runners.storage.study_files import weights_path
from runners.training.load_images import load_images
from search_space.architectures import architecture_from_dict
from search_space.references import reference
from search_space.space import SearchSpace
from studies.launch.create import create_study
from studies.launch.resume import resume_study
from studies.launch.run import run_search
from studies.results.reading import load_results
from studies.results.study_results import StudyResults
from studies.study.config import load_config
from studies.study.record import STUDY_FILE

LIMITS = {"latency_ms": 2.0, "file_bytes": 350e3}
REFERENCES = ("resnet20", "resnet20@0.5", "resnet32@0.5", "ghost_resnet56@0.5", "resnet8", "shufflenetv2@0.25")
OUTSIDE = ("resnet8", "shufflenetv2@0.25")
"""Those that are no point of the space; they stand beside the others and do not decide whether a study passes."""
SETS = {"cifar10-folder": "cifar10", "signs": "signs", "fashion-mnist": "fashion-mnist"}
"""Images of the studies -> what prior_table.py calls them."""
PLAN = ((12, True), (16, True), (16, False))
"""Trials of a study, and whether it begins with references."""
SEEDS = (0, 1)
FOLDER_IMAGES = 20_000
"""Images of CIFAR-10 that are written to folders."""
Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Network:
    """One trained network: a reference, or a trial of a study."""

    name: str
    accuracy: float
    file_bytes: float
    latency_ms: float
    correct: tuple[bool, ...] = ()
    """For each validation image, whether it was classified correctly."""

    def fits(self, most: "Network") -> bool:
        return self.file_bytes <= most.file_bytes and self.latency_ms <= most.latency_ms


@dataclass(frozen=True)
class Verdict:
    """One study against all references within the limits."""

    best: Network
    mean: float
    used: float
    """Share of the file size's limit."""
    worst_difference: float
    """Between the best and a reference, in points, where it is least in units of its standard error."""
    its_error: float
    rival: str
    better_at: str
    """The reference at whose costs a network of the study is better than all references; empty where there is none."""
    dominated: str

    @property
    def passes(self) -> bool:
        return self.worst_difference >= -2 * self.its_error and bool(self.better_at) and not self.dominated


def config_of(
    name: str, folders: Mapping[str, Path], trials: int, begins: bool, seed: int, *, has_prior: bool
) -> StudyConfig:
    settings = ["training.images=4000", f"search.trials={trials}", f"search.seed={seed}", "workers.threads=1"]
    settings += [f"limits.max.{objective}={most}" for objective, most in LIMITS.items()]
    settings += [] if begins else ["search.references=[]"]
    settings += [] if has_prior else ["search.like=['none']"]
    if name in folders:
        settings += ["data.name=image-folder", f"data.path='{folders[name]}'", "data.resolution=32"]
    else:
        settings += [f"data.name={name}", "space.resolution=[20, 28]"]
    return load_config("cifar10", settings)


def write_cifar10(source: Path, target: Path) -> None:
    """The first training images of CIFAR-10 in a folder for each class."""
    if target.exists():
        return
    dataset = load_dataset("cifar10", source)
    for number in range(FOLDER_IMAGES):
        folder = target / dataset.class_names[int(dataset.train_labels[number])]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.train_images[number]).save(folder / f"{number}.png")


def correct_of(spec: Mapping[str, object], weights: bytes, config: StudyConfig) -> Bits:
    """Return which validation images a network classifies correctly, (N,)."""
    architecture = architecture_from_dict(dict(spec))
    network = load_network(architecture, weights)
    _, images = load_images(config.data, config.training, architecture.resolution, torch.device("cpu"))
    found = []
    with torch.inference_mode():
        for part in torch.arange(len(images)).split(256):
            logits = network(images.normalised(part))
            found.append(logits.argmax(dim=1).cpu() == images.labels[part].cpu())
    return np.asarray(torch.cat(found).numpy(), dtype=bool)


def references_of(config: StudyConfig, space: SearchSpace, file: Path) -> list[Network]:
    """The references within the limits, at 8 bits where these fit, trained with the study's seed."""
    if file.exists():
        return [Network(**{**row, "correct": tuple(row["correct"])}) for row in json.loads(file.read_text())]
    limits = config.limits.as_limits()
    waiting: dict[int, tuple[str, Candidate, dict[str, float]]] = {}
    with open_meter(config) as meter:
        for name in REFERENCES:
            for bits in (8, 32):
                network = reference(
                    name,
                    resolution=max(space.resolution),
                    num_classes=space.num_classes,
                    in_channels=space.in_channels,
                    bits=bits,
                )
                graph = network.build_graph()
                costs = costs_of(graph, config.figures)
                costs |= latencies(meter.measure(network.key, graph, nullcontext))
                if not violated(limits, costs):
                    candidate = Candidate(
                        spec=network.to_dict(),
                        seed=candidate_seed(config.search.seed, network.key),
                        data=config.data,
                        training=config.training,
                    )
                    waiting[len(waiting)] = f"{name}, {bits} bits", candidate, costs
                    break
    engine = LocalEngine(config.workers)
    found = []
    try:
        jobs = list(waiting)
        done: list[Result] = []
        running = 0
        while jobs or running:
            while jobs and running < engine.slots:
                engine.submit(jobs[0], waiting[jobs.pop(0)][1])
                running += 1
            results = engine.collect(timeout_s=1.0)
            done += results
            running -= len(results)
        for result in done:
            name, candidate, costs = waiting[result.ticket]
            assert isinstance(result.outcome, Evaluation), f"{name}: {result.outcome}"
            correct = correct_of(candidate.spec, result.outcome.weights, config)
            found.append(network_of(name, result.outcome.observation.accuracy, costs, correct))
    finally:
        engine.close()
    file.write_text(json.dumps([asdict(network) for network in found], default=bool))
    return found


def network_of(name: str, accuracy: float, costs: Mapping[str, float], correct: Bits | None = None) -> Network:
    told = () if correct is None else tuple(bool(one) for one in correct)
    return Network(name, float(accuracy), float(costs["file_bytes"]), float(costs["latency_ms"]), told)


def study_of(config: StudyConfig, directory: Path) -> StudyResults:
    is_new = not (directory / STUDY_FILE).exists()
    record = create_study(directory, config) if is_new else resume_study(directory, config)
    if is_new or load_results(directory).evaluated < config.search.trials:
        run_search(record)
    return load_results(directory)


def judge(results: StudyResults, references: list[Network], config: StudyConfig) -> Verdict:
    trials = results.trials[(results.trials["status"] == "completed") & results.trials["feasible"]]
    own = [network_of(str(row["trial"]), first(row), row) for _, row in trials.iterrows() if row["label"] is None]
    front = [network_of(str(row["trial"]), first(row), row) for _, row in results.front.iterrows()]
    row = trials.sort_values("accuracy", ascending=False).iloc[0]
    best = network_of(
        row["network"], first(row), row, correct_of(row["record"].spec, weights_of(results, row, config), config)
    )
    references = [other for other in references if not other.name.startswith(OUTSIDE)]
    differences = {other.name: paired(best.correct, other.correct) for other in references}
    rival = min(differences, key=lambda name: differences[name][0] / max(differences[name][1], 1e-9))

    def better_than_all_at(place: Network) -> bool:
        rivals = [other.accuracy for other in references if other.fits(place)]
        return max((one.accuracy for one in own if one.fits(place)), default=0.0) > max(rivals)

    dominated = [
        f"trial {member.name} by {other.name}"
        for member in front
        for other in references
        if other.fits(member) and (other.accuracy, -other.file_bytes) > (member.accuracy, -member.file_bytes)
    ]
    return Verdict(
        best=best,
        mean=float(row["accuracy"]),
        used=best.file_bytes / LIMITS["file_bytes"],
        worst_difference=100 * differences[rival][0],
        its_error=100 * differences[rival][1],
        rival=rival,
        better_at=next((other.name for other in references if better_than_all_at(other)), ""),
        dominated="; ".join(dominated),
    )


def weights_of(results: StudyResults, row: Mapping[str, Any], config: StudyConfig) -> bytes:
    """The weights of a trial's own training, which is repeated where they were not kept."""
    path = weights_path(results.directory, int(row["trial"]))
    if path.exists():
        return path.read_bytes()
    seed = candidate_seed(config.search.seed, row["key"])
    return evaluate(Candidate(spec=row["record"].spec, seed=seed, data=config.data, training=config.training)).weights


def first(row: object) -> float:
    """The accuracy of a trial's own training."""
    again = row["first_metric"]  # type: ignore[index]
    return float(row["accuracy"] if math.isnan(again) else again)  # type: ignore[index]


def paired(one: tuple[bool, ...], other: tuple[bool, ...]) -> tuple[float, float]:
    """Difference of two accuracies on the same images, and its standard error."""
    difference = np.array(one, dtype=float) - np.array(other, dtype=float)
    return float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(len(difference)))


def line(name: str, trials: int, begins: bool, seed: int, found: Verdict, references: list[Network]) -> list[str]:
    top, outside = (
        max((one for one in references if one.name.startswith(OUTSIDE) is wanted), key=lambda one: one.accuracy)
        for wanted in (False, True)
    )
    return [
        name,
        f"{trials}" if begins else f"{trials}, none",
        str(seed),
        f"{100 * found.best.accuracy:.1f}",
        f"{100 * found.mean:.1f}",
        f"{found.best.file_bytes / 1e3:.0f} kB, {found.best.latency_ms:.2f} ms",
        found.best.name,
        f"{100 * top.accuracy:.1f} ({top.name})",
        f"{100 * outside.accuracy:.1f} ({outside.name}, {outside.file_bytes / 1e3:.0f} kB)",
        f"{found.worst_difference:+.1f} ± {found.its_error:.1f} ({found.rival})",
        found.better_at or "nowhere",
        found.dominated or "none",
        "yes" if found.passes else "no",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, required=True)
    parser.add_argument("--signs", type=Path, required=True, help="a folder of images, a folder a class")
    parser.add_argument("--work", type=Path, default=Path("runs/budget-studies"))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--trials", default="12,16")
    parser.add_argument("--prior", action="store_true", help="with a prior from the other images of prior_table.py")
    parser.add_argument("--save", action="store_true")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    folders = {"cifar10-folder": (args.work / "images").resolve(), "signs": args.signs.resolve()}
    write_cifar10(args.cifar10, folders["cifar10-folder"])
    rows = []
    for name in args.sets.split(","):
        for seed in map(int, args.seeds.split(",")):
            for trials, begins in PLAN:
                if str(trials) not in args.trials.split(","):
                    continue
                config = config_of(name, folders, trials, begins, seed, has_prior=args.prior)
                kind = ("" if begins else "-none") + ("-prior" if args.prior else "")
                prior = partial(prior_without, SETS[name])
                with patch("studies.launch.priors.shipped_prior", prior):  # else it would know these images
                    results = study_of(config, args.work / f"{name}-{seed}-{trials}{kind}")
                references = references_of(config, space_of(config), args.work / f"{name}-{seed}-references.json")
                rows.append(line(name, trials, begins, seed, judge(results, references, config), references))
                print(" | ".join(rows[-1]), flush=True)
    heads = [
        "images", "trials", "seed", "best, %", "mean, %", "its costs", "network", "best reference, %",
        "outside the space, %",
        "least difference to one", "better than all at", "dominated by one", "passes",
    ]  # fmt: skip
    command = "python benchmarks/budget_studies.py --cifar10 path/to/cifar10 --signs path/to/signs --save"
    what = "budget-studies-prior" if args.prior else "budget-studies"
    report(what, command + (" --prior" if args.prior else ""), table(heads, rows), save=args.save)


def space_of(config: StudyConfig) -> SearchSpace:
    """The space for the images of the configuration."""
    dataset = load_dataset(config.data.name, config.data.path, resolution=config.data.resolution)
    return replace(config.space, num_classes=dataset.num_classes, in_channels=dataset.in_channels)


if __name__ == "__main__":
    main()
