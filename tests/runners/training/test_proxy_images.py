"""Which images a proxy sees: the study's record and the workers must count the same ones."""

import numpy as np
import pytest
import torch

from runners.config import DataConfig, TrainingConfig
from runners.datasets import Dataset, DatasetError, load_dataset
from runners.training.load_images import load_images
from runners.training.proxy_images import proxy_images, validation_source


def uneven(*, own_validation: bool = False) -> Dataset:
    """60, 30 and 10 training images; the one pixel of each tells its number."""
    labels = np.repeat(np.arange(3), (60, 30, 10)).astype(np.int64)
    images = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
    own = np.array([0, 1, 1, 1, 2], dtype=np.int64)
    return Dataset(
        name="uneven",
        train_images=images,
        train_labels=labels,
        val_images=images[:5] if own_validation else None,
        val_labels=own if own_validation else None,
        class_names=("a", "b", "c"),
    )


def test_held_out_images_are_stratified_and_keep_their_labels() -> None:
    dataset, data = uneven(), DataConfig(validation_fraction=0.2)
    training, validation = proxy_images(dataset, data)
    assert (len(training), len(validation)) == (80, 20)
    assert validation.commonest_share == pytest.approx(0.6)
    numbers = np.concatenate([training.source[training.chosen].ravel(), validation.source[validation.chosen].ravel()])
    assert sorted(numbers.tolist()) == list(range(100))
    for part in (training, validation, *proxy_images(dataset, data, 30, 10)):
        assert np.array_equal(dataset.train_labels[part.source[part.chosen].ravel()], part.labels)


def test_subsets_lie_in_the_whole() -> None:
    dataset, data = uneven(), DataConfig(validation_fraction=0.2, seed=4)
    for whole, part in zip(proxy_images(dataset, data), proxy_images(dataset, data, 30, 10), strict=True):
        assert set(part.source[part.chosen].ravel().tolist()) < set(whole.source[whole.chosen].ravel().tolist())
    assert [len(part) for part in proxy_images(dataset, data, 30, 10)] == [30, 10]
    assert [len(part) for part in proxy_images(dataset, data, 900, 900)] == [80, 20]
    with pytest.raises(DatasetError, match="cannot take 2 of 20 images"):
        proxy_images(dataset, data, 30, 2)


def test_the_datas_own_validation_images_are_taken_and_nothing_is_held_out() -> None:
    dataset = uneven(own_validation=True)
    training, validation = proxy_images(dataset, DataConfig())
    assert (len(training), len(validation)) == (100, 5)
    assert validation.commonest_share == 3 / 5
    assert validation_source(dataset, DataConfig()) == "the data set's own validation split"
    said = "30 % held out of the training images with seed 4"
    assert validation_source(uneven(), DataConfig(validation_fraction=0.3, seed=4)) == said
    assert training.source[training.chosen].base is dataset.train_images.base, "copied, although it is all of them"


@pytest.mark.parametrize("count", [0, 100])
def test_workers_measure_on_the_same_images(count: int) -> None:
    data = DataConfig(name="digits", validation_fraction=0.3)
    config = TrainingConfig(images=200, validation_images=count)
    trained, measured = load_images(data, config, 8, torch.device("cpu"))
    training, validation = proxy_images(load_dataset("digits"), data, 200, count)
    assert training.labels.tolist() == trained.labels.tolist()
    assert validation.labels.tolist() == measured.labels.tolist()
    commonest = measured.labels.bincount().max().item() / len(measured)
    assert validation.commonest_share == pytest.approx(commonest)
