"""Make the prior that the project ships, from the trainings of prior_table.py, and say what it is worth.

Leave-one-data-set-out: Kendall's tau of what the other data sets expect of a data set's networks with their
accuracies, for the model that ships and for what else was tried, all on the same features: in standard deviations from
the mean of their data set. Networks that were trained on both are left out of what the prior knows.

    pip install scikit-learn
    python benchmarks/prior_fit.py --save
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from prior_tables import data_sets, networks, prior_without, trainings_of
from record import arguments, report, table
from scipy.stats import kendalltau
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge

from runners.prior import SHIPPED_FILE, Prior
from runners.prior.features import NAMES
from runners.prior.model import PENALTY
from runners.samplers.models.gaussian_process import GaussianProcess

MOST_BYTES = 300_000
Array = NDArray[np.float64]


def centred(features: Array) -> Array:
    return features - features.mean(axis=0)


def ridge(penalty: float) -> Callable[[Array, Array, Array], Array]:
    return lambda x, y, at: np.asarray(Ridge(alpha=penalty).fit(x, y).predict(at))


def process(x: Array, y: Array, at: Array) -> Array:
    return GaussianProcess(x, y).predict(at)[0]


def boosting(x: Array, y: Array, at: Array) -> Array:
    model = GradientBoostingRegressor(n_estimators=200, learning_rate=0.05, subsample=0.7, random_state=0)
    return np.asarray(model.fit(x, y).predict(at))


def forest(x: Array, y: Array, at: Array) -> Array:
    return np.asarray(RandomForestRegressor(500, random_state=0).fit(x, y).predict(at))


OTHERS: dict[str, Callable[[Array, Array, Array], Array]] = {
    **{f"ridge, penalty {penalty:g}": ridge(penalty) for penalty in (10.0, 100.0, 300.0)},
    "Gaussian process": process,
    "boosting": boosting,
    "forest": forest,
}


def rows() -> Iterator[list[str]]:
    """A row for each data set that is left out, and one for their mean."""
    found = []
    for data in data_sets():
        held_out, prior = trainings_of(data), prior_without(data)
        truth = held_out.accuracy
        x = np.vstack([centred(each.features) for each in prior.trainings]) / prior.deviation
        y, at = np.concatenate([each.targets for each in prior.trainings]), centred(held_out.features) / prior.deviation
        taus = [kendalltau(held_out.features[:, NAMES.index("log_macs")], truth)[0]]
        taus.append(kendalltau(prior.expectations(held_out.features), truth)[0])
        taus += [kendalltau(model(x, y, at), truth)[0] for model in OTHERS.values()]
        found.append(taus)
        yield [data, str(len(truth)), *(f"{tau:.2f}" for tau in taus)]
    yield ["mean", "", *(f"{tau:.2f}" for tau in np.mean(found, axis=0))]


def main() -> None:
    args = arguments(__doc__ or "").parse_args()
    heads = ["left out", "networks", "MACs alone", f"ridge, penalty {PENALTY:g} (ships)", *OTHERS]
    text = f"Kendall's tau.\n\n{table(heads, list(rows()))}"
    prior = Prior.fitted([trainings_of(data) for data in data_sets()])
    content = prior.to_bytes()
    assert len(content) <= MOST_BYTES
    text += f"\n\nThe file: {len(content):,} bytes, {len(networks())} networks at 8 bits or in float."
    if args.save:
        SHIPPED_FILE.write_bytes(content)
    report("prior-fit", "python benchmarks/prior_fit.py --save", text, save=args.save)


if __name__ == "__main__":
    main()
