"""A prior from made-up trainings: what carries over from one data set to another, and its file."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau
from sklearn.linear_model import Ridge

from runners.prior import Prior, Trainings, read_prior, shipped_prior
from runners.prior.features import NAMES
from runners.prior.model import PENALTY
from runners.storage.study_files import StorageError
from search_space import reference
from search_space.space import FixedTrial, SearchSpace

TABLES = Path(__file__).parents[3] / "benchmarks" / "tables"
SPACE = SearchSpace(
    depth=(20, 26),
    blocks=("basic", "bottleneck", "depthwise", "ghost", "se", "se_bottleneck", "se_depthwise"),
    base_width=(8, 24),
    resolution=(16, 20, 24, 28, 32),
    bits=(32, 8),
)
"""Of the older trainings (benchmarks/search_table.py)."""
WIDTHS = {"width_multiplier2": 1.0, "width_multiplier3": 1.0}


def made_up(name: str, seed: int, easy: float, count: int = 60, images: int = 2000) -> Trainings:
    """Accuracies that grow with two of the features, on a data set that is more or less easy."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, len(NAMES)))
    logits = easy + 0.3 * features[:, 0] - 0.2 * features[:, 3] + 0.02 * rng.standard_normal(count)
    return Trainings(name=name, features=features, accuracy=1 / (1 + np.exp(-logits)), images=images)


@pytest.fixture(scope="module")
def prior() -> Prior:
    return Prior.fitted([made_up("hard", 0, -2.0), made_up("easy", 1, 2.0)])


def test_what_is_learned_on_some_images_holds_on_others(prior: Prior) -> None:
    other = made_up("other", 2, 0.5, count=200)
    assert np.corrcoef(prior.expectations(other.features), other.targets)[0, 1] > 0.9


def test_data_sets_count_alike_however_difficult() -> None:
    for trainings in (made_up("hard", 0, -2.0), made_up("easy", 0, 2.0)):
        assert trainings.targets.mean() == pytest.approx(0, abs=1e-9) and trainings.targets.std() == pytest.approx(1)
    never = Trainings(name="", features=np.zeros((2, 1)), accuracy=np.array([0.0, 1.0]), images=100)
    assert never.logits == pytest.approx([-np.log(199), np.log(199)]), "as if half an image were right, or wrong"


def test_the_weights_are_those_of_ridge_regression(prior: Prior) -> None:
    """Against scikit-learn's, whatever they count, and wherever the networks of a data set lie."""
    hard, easy = replace(prior.trainings[0], weight=4.0), prior.trainings[1]
    x = np.vstack([(each.features - each.features.mean(axis=0)) / prior.deviation for each in (hard, easy)])
    weights = np.repeat(
        [each.weight * each.reliability for each in (hard, easy)], [len(each.accuracy) for each in (hard, easy)]
    )
    model = Ridge(alpha=PENALTY, fit_intercept=False)
    model.fit(x, np.concatenate([hard.targets, easy.targets]), sample_weight=weights)
    at = made_up("other", 2, 0.5).features
    found = prior.with_trainings([hard, easy]).expectations(at)
    assert found == pytest.approx(model.predict((at - prior.mean) / prior.deviation))
    moved = replace(hard, features=hard.features + 5.0)
    assert prior.with_trainings([moved, easy]).expectations(at) == pytest.approx(found)


def test_chance_counts_for_nothing(prior: Prior) -> None:
    """Accuracies that differ as much as 200 images make equal networks differ say nothing, those of a study much."""
    rng = np.random.default_rng(5)
    features = rng.standard_normal((400, len(NAMES)))
    noise = Trainings(name="noise", features=features, accuracy=rng.binomial(200, 0.4, 400) / 200, images=200)
    assert noise.reliability < 0.1 and made_up("some", 6, 0.0).reliability > 0.9
    half = replace(noise, accuracy=1 / (1 + np.exp(-0.144 * features[:, 0])) + rng.normal(0, 0.036, 400), images=200)
    assert half.reliability == pytest.approx(0.5, abs=0.1)
    certain = replace(noise, accuracy=np.full(400, 0.4))
    assert certain.reliability == 0
    at = made_up("other", 2, 0.5).features
    expected = prior.expectations(at)
    assert prior.with_trainings([*prior.trainings, certain]).expectations(at) == pytest.approx(expected)


def test_a_network_at_two_bits_is_one(prior: Prior) -> None:
    own = made_up("own", 7, 0.0, count=10)
    other_bits = own.features.copy()
    other_bits[:, NAMES.index("bits")] += 2
    both = replace(own, features=np.vstack([own.features, other_bits]), accuracy=np.tile(own.accuracy, 2))
    assert own.networks == both.networks == 10


def test_a_study_of_the_users_own_can_be_added_or_stand_alone(prior: Prior) -> None:
    own = made_up("own", 3, 0.0)
    own = Trainings(name="own", features=own.features, accuracy=1 - own.accuracy, images=2000)  # the other way round
    held_out = made_up("other", 4, 0.0, count=200)
    truth = held_out.targets
    agreement = [
        np.corrcoef(one.expectations(held_out.features), truth)[0, 1]
        for one in (prior, prior.with_trainings([*prior.trainings, own]), prior.with_trainings([own]))
    ]
    assert agreement[0] > agreement[1] > agreement[2] and agreement[2] < -0.7


def test_its_file_gives_the_same(prior: Prior, tmp_path: Path) -> None:
    (tmp_path / "prior.npz").write_bytes(prior.to_bytes())
    again = read_prior(tmp_path / "prior.npz")
    features = made_up("other", 5, 0.0).features
    assert again.expectations(features) == pytest.approx(prior.expectations(features), abs=1e-4)
    assert [each.name for each in again.trainings] == ["hard", "easy"]
    assert again.to_bytes() == prior.with_trainings(again.trainings).to_bytes()


def test_a_damaged_file_is_no_prior(prior: Prior, tmp_path: Path) -> None:
    """Wherever a byte is wrong: an archive checks what it holds, and what it does not check is read as damaged."""
    content = bytearray(prior.to_bytes())
    for place in range(0, len(content), len(content) // 60):
        damaged = content.copy()
        damaged[place] ^= 0xFF
        (tmp_path / "prior.npz").write_bytes(damaged)
        try:
            found = read_prior(tmp_path / "prior.npz")
        except StorageError:
            continue
        assert found.expectations(np.ones((1, len(NAMES)))) == pytest.approx(
            prior.expectations(np.ones((1, len(NAMES)))), abs=1e-3
        )


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"nothing"])
def test_a_damaged_file_is_said_to_be_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "prior.npz").write_bytes(content)
    with pytest.raises(StorageError, match=r"prior\.npz: cannot be read as a prior"):
        read_prior(tmp_path / "prior.npz")
    with pytest.raises(StorageError, match="No such file"):
        read_prior(tmp_path / "none.npz")


def test_what_ships_is_small_and_says_something() -> None:
    found = shipped_prior()
    assert len(found.to_bytes()) < 300_000 and len(found.trainings) >= 2
    small, large = (found.expectation(reference(name, bits=8).build_graph()) for name in ("resnet20@0.25", "resnet20"))
    assert large > small, "a network of a quarter of the width is less accurate"


def test_what_ships_ranks_older_trainings_on_other_images() -> None:
    """210 networks trained on CIFAR-10 by another schedule, foreseen without any training on CIFAR-10."""
    found = shipped_prior()
    prior = found.with_trainings([each for each in found.trainings if each.name != "cifar10"])
    with (TABLES / "resnets-curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    last = max(int(row["rung"]) for row in rows)
    accuracy = {row["key"]: float(row["final_accuracy"]) for row in rows if int(row["rung"]) == last}
    expected, truth = [], []
    with (TABLES / "resnets-networks.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            params = {name: int(row[name]) for name in ("depth", "base_width", "resolution", "bits")}
            graph = SPACE.sample(FixedTrial({**WIDTHS, **params, "block": row["block"]})).build_graph()
            expected.append(prior.expectation(graph))
            truth.append(accuracy[row["key"]])
    assert len(truth) == 420 and kendalltau(expected, truth)[0] > 0.6
