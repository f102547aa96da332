"""Validation splits and reduced training sets: stratified, nested, seeded, never empty of a class."""

import numpy as np
import pytest

from runners.datasets import DatasetError, split_validation, subsample


def uneven_labels(counts=(500, 90, 31, 2), seed=5):
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(labels)


def assert_one_line(error, *words):
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.33, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 7])
def test_validation_split_is_a_stratified_partition(fraction, seed):
    labels = uneven_labels()
    train, val = split_validation(labels, fraction, seed)
    assert np.array_equal(np.sort(np.concatenate([train, val])), np.arange(len(labels)))
    counts = np.bincount(labels)
    taken = np.bincount(labels[val], minlength=4)
    assert (taken >= 1).all() and (taken < counts).all()
    assert np.abs(taken - counts * fraction).max() < 2.5
    assert abs(len(val) - len(labels) * fraction) < 4


def test_validation_split_has_the_exact_size_where_classes_allow():
    labels = np.arange(5000) % 10
    train, val = split_validation(labels, 0.1, seed=3)
    assert (len(train), len(val)) == (4500, 500)
    assert np.bincount(labels[val]).tolist() == [50] * 10
    assert train.dtype == val.dtype == np.int64


def test_validation_split_depends_on_the_seed_alone():
    labels = uneven_labels()
    first, again, other = (split_validation(labels, 0.2, seed)[1] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_validation_fraction_out_of_range(fraction):
    with pytest.raises(DatasetError) as error:
        split_validation(uneven_labels(), fraction, 0)
    assert_one_line(error, str(fraction), "between 0 and 1")


def test_a_class_with_one_image_cannot_be_split():
    with pytest.raises(DatasetError, match="class 2 has 1 image"):
        split_validation(np.array([0, 0, 1, 1, 2]), 0.4, 0)
    with pytest.raises(DatasetError, match="0 images"):
        split_validation(np.zeros(0, np.int64), 0.4, 0)


def test_subsets_are_nested_stratified_and_exact():
    labels = uneven_labels()
    counts = np.bincount(labels)
    previous = set()
    for n in (4, 5, 17, 60, 200, 450, 622, 623):
        chosen = subsample(labels, n, seed=9)
        assert len(chosen) == len(set(chosen.tolist())) == n
        assert previous <= set(chosen.tolist())
        previous = set(chosen.tolist())
        taken = np.bincount(labels[chosen], minlength=4)
        assert (taken >= 1).all()
        assert np.abs(taken - counts * n / len(labels)).max() < 3


def test_a_subset_drawn_with_the_splits_seed_is_not_the_validation_set():
    labels = np.arange(1000) % 10
    val = split_validation(labels, 0.1, seed=4)[1]
    chosen = subsample(labels, 100, seed=4)
    assert len(set(val.tolist()) & set(chosen.tolist())) < 30


@pytest.mark.parametrize("n", [0, 3, 624, -1])
def test_subset_sizes_out_of_range(n):
    with pytest.raises(DatasetError) as error:
        subsample(uneven_labels(), n, 0)
    assert_one_line(error, f"cannot take {n} of 623", "4 (one a class) to 623")
