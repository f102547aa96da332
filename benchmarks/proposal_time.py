"""How long does a proposal take at 500 finished trials, with the costs of the real space?

The space, objectives and limits of the preset cifar10, and four objectives in the same space; latency as this machine's
calibration predicts it (`resfront calibrate` first). The finished trials are random networks that keep the limits, with
made-up accuracies; then twenty proposals are timed on one thread, each of them told. The first one of `front` also
prices the candidates that it would have met on the way.

    python benchmarks/proposal_time.py --save
"""

import random
import statistics
import time
from collections.abc import Container, Iterable, Iterator

import optuna
from optuna.trial import create_trial
from record import arguments, report, table
from threadpoolctl import threadpool_limits

from objectives.base import costs_of
from runners.config import StudyConfig
from runners.prior import shipped_prior
from runners.samplers import Task, make_sampler
from runners.samplers.priced_networks import Networks
from runners.search.pricing.latency_meter import open_meter
from search_space.graph import Graph
from search_space.space import RandomTrial
from studies.study.config import load_config

FINISHED, PROPOSALS = 500, 20
WITH_PRIOR = "front, with the prior that ships"
FOUR = 'objectives=["accuracy", "latency_ms", "file_bytes", "macs"]'


def main() -> None:
    args = arguments(__doc__ or "").parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = [
        *measure(load_config("cifar10", ()), ("front", WITH_PRIOR, "tpe")),
        *measure(load_config("cifar10", (FOUR,)), ("front", WITH_PRIOR)),
    ]
    heads = ["objectives", "sampler", "first proposal, s", "median of the next 19, s", "the longest of them, s"]
    report("proposal-time", "python benchmarks/proposal_time.py --save", table(heads, rows), save=args.save)


def measure(config: StudyConfig, samplers: Iterable[str]) -> Iterator[list[str]]:
    """A row a sampler."""
    with open_meter(config, print) as meter, threadpool_limits(1):

        def price(graph: Graph, names: Container[str]) -> dict[str, float]:
            return costs_of(graph, config.figures, names) | meter.predict(graph)

        limits = config.limits.as_limits()
        networks = Networks(config.space, config.optimised, limits, price)
        generator = random.Random(0)

        def values_of(params: dict[str, object]) -> list[float]:
            known = networks.known(params)
            accuracy = 0.1 * (networks.features(params)[0] - 1) + generator.gauss(0, 0.02)
            return [accuracy if value is None else value for value in known]

        finished = []
        while len(finished) < FINISHED:
            params = config.space.params_of(config.space.sample(RandomTrial(generator)))
            if all(excess <= 0 for excess in networks.constraints(params)):
                finished.append(params)
        for name in samplers:
            prior = shipped_prior().expectation if name == WITH_PRIOR else None
            asked = Networks(config.space, config.optimised, limits, price, prior)
            task = Task(seed=0, finished=FINISHED, networks=asked)
            study = optuna.create_study(
                directions=["maximize" if o.maximize else "minimize" for o in config.optimised],
                sampler=make_sampler("front" if name == WITH_PRIOR else name, task),
            )
            study.add_trials(
                [
                    create_trial(params=params, distributions=networks.distributions, values=values_of(params))
                    for params in finished
                ]
            )
            seconds = []
            for _ in range(PROPOSALS):
                started = time.perf_counter()
                trial = study.ask(networks.distributions)
                seconds.append(time.perf_counter() - started)
                study.tell(trial, values_of(trial.params))
            median, most = statistics.median(seconds[1:]), max(seconds[1:])
            objectives = ", ".join(objective.name for objective in config.optimised)
            yield [objectives, name, f"{seconds[0]:.2f}", f"{median:.3f}", f"{most:.3f}"]


if __name__ == "__main__":
    main()
