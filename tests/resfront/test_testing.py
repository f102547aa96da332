"""Contracts notice what is broken: each test fails on an entry that breaks its promise."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch.nn.functional as F
from optuna.samplers import BaseSampler, RandomSampler

from resfront.testing import BlockContract, DatasetContract, EngineContract, SamplerContract
from runners.config import WorkersConfig
from runners.datasets import Dataset
from runners.datasets.base import LOADERS
from runners.datasets.errors import refuse_path
from runners.engines.base import ENGINES, Failure, Result
from runners.engines.local import LocalEngine
from runners.samplers import SAMPLERS, Task
from runners.samplers.base import Sampler
from runners.verification import counts
from search_space.backends.torch_network import APPLY_ACT
from search_space.blocks import BLOCKS, Block
from search_space.errors import UserError
from search_space.graph import GraphBuilder, Ref

FAILS = (Exception, pytest.fail.Exception)


# --- blocks ---------------------------------------------------------------------------------------


def sound(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    y = g.conv(g.conv(x, width, kernel=3, stride=stride), width, kernel=3)
    return g.squeeze_excite(y) if se else y


def of_another_width(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    return sound(g, x, width + 1, stride, se)


def of_no_stride(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    return sound(g, x, width, 1, se)


def of_an_output_in_the_middle(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    y = sound(g, x, width, stride, se)
    g.conv(y, width, kernel=1)
    return y


CALLS = itertools.count()


def of_another_kernel_each_time(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    return g.conv(sound(g, x, width, stride, se), width, kernel=1 + 2 * (next(CALLS) % 2))


def of_no_se(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    return sound(g, x, width, stride, False)


def of_a_branch_that_nothing_reads(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    g.conv(x, width, kernel=1, stride=stride)
    return sound(g, x, width, stride, se)


WRITTEN: list[tuple[str, Callable[..., Ref], dict[str, int]]] = [
    ("test_it_gives_the_width_and_the_size_that_it_is_asked_for", of_another_width, {}),
    ("test_it_gives_the_width_and_the_size_that_it_is_asked_for", of_no_stride, {}),
    ("test_a_stage_of_it_is_the_block_written_again_and_again", of_an_output_in_the_middle, {}),
    ("test_a_stage_of_it_is_the_block_written_again_and_again", of_another_kernel_each_time, {}),
    ("test_squeeze_excite_makes_another_network", of_no_se, {}),
    ("test_its_layers_are_those_on_the_main_path", sound, {"layers": 3}),
    ("test_all_of_it_learns", of_a_branch_that_nothing_reads, {}),
    ("test_a_space_can_be_searched_for_it", sound, {"width_multiple": 3}),
]


class SomeBlock(BlockContract):
    name = "some"


def arguments_of(test: str) -> dict[str, Any]:
    if test == "test_onnxruntime_computes_what_torch_does":
        return {"se": True, "bits": 8}
    without = ("test_squeeze_excite_makes_another_network", "test_a_space_can_be_searched_for_it")
    return {} if test in without else {"se": False}


def put_block(monkeypatch: pytest.MonkeyPatch, build: Callable[..., Ref] = sound, **facts: int) -> None:
    some = Block(name="some", build=build, **{"layers": 2, "width_multiple": 1, **facts})
    assert "some" not in BLOCKS
    monkeypatch.setitem(BLOCKS._entries, "some", some)


@pytest.mark.parametrize("test", [name for name in dir(BlockContract) if name.startswith("test_")])
def test_a_sound_block_keeps_the_contract(test: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put_block(monkeypatch)
    getattr(SomeBlock(), test)(**arguments_of(test))


@pytest.mark.parametrize(("test", "build", "facts"), WRITTEN)
def test_a_block_that_breaks_a_promise_is_noticed(
    test: str, build: Callable[..., Ref], facts: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_block(monkeypatch, build, **facts)
    with pytest.raises(FAILS):
        getattr(SomeBlock(), test)(**arguments_of(test))


def test_counts_and_files_that_differ_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    put_block(monkeypatch)
    monkeypatch.setitem(APPLY_ACT, "relu", F.leaky_relu)
    with pytest.raises(AssertionError):
        SomeBlock().test_onnxruntime_computes_what_torch_does(se=False, bits=32)
    monkeypatch.setattr(counts, "fvcore_macs", lambda network, images: 1)
    with pytest.raises(AssertionError, match="1 by fvcore"):
        SomeBlock().test_torch_and_fvcore_count_the_same(se=False)


# --- data sets ------------------------------------------------------------------------------------


def made(**changes: Any) -> Dataset:
    draws = np.random.default_rng(0)
    parts: dict[str, Any] = {
        "name": "some",
        "class_names": ("a", "b"),
        "train_images": draws.integers(0, 256, (40, 8, 8, 1), dtype=np.uint8),
        "train_labels": np.arange(40) % 2,
    }
    return Dataset(**{**parts, **changes})


def frozen(labels: np.ndarray) -> np.ndarray:
    labels.flags.writeable = False
    return labels


IMAGES = made().train_images
HELD: list[tuple[str, Callable[[], Any]]] = [
    ("test_it_has_images_and_labels_of_the_agreed_form", lambda: (IMAGES, np.arange(40) % 2)),
    ("test_it_has_images_and_labels_of_the_agreed_form", lambda: made(name="other")),
    ("test_its_pixels_use_the_grey_levels", lambda: made(train_images=(IMAGES > 127).astype(np.uint8))),
    ("test_its_images_differ", lambda: made(train_images=np.full_like(IMAGES, 100))),
    (
        "test_every_process_loads_the_same",
        lambda: made(train_images=np.random.default_rng().integers(0, 256, IMAGES.shape, dtype=np.uint8)),
    ),
    ("test_there_are_images_to_validate_on", lambda: made(train_labels=np.arange(40) // 39)),
    ("test_there_are_images_to_validate_on", lambda: made(val_images=IMAGES[:4], val_labels=np.arange(4) % 2)),
    ("test_torch_takes_it_without_a_complaint", lambda: made(train_labels=frozen(np.arange(40) % 2))),
    ("test_a_path_where_nothing_is_gets_one_line", made),
]


class SomeDataset(DatasetContract):
    name = "some"


@pytest.mark.parametrize(("test", "load"), HELD)
def test_a_data_set_that_breaks_a_promise_is_noticed(
    test: str, load: Callable[[], Dataset], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "some" not in LOADERS
    monkeypatch.setitem(LOADERS._entries, "some", lambda path, resolution: load())
    arguments = {
        "test_torch_takes_it_without_a_complaint": {"resolution": 8},
        "test_a_path_where_nothing_is_gets_one_line": {"tmp_path": tmp_path},
    }
    with pytest.raises(FAILS):
        getattr(SomeDataset(), test)(**arguments.get(test, {}))


def test_pixels_that_change_and_sizes_that_are_not_asked_for_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(path: Path | None, resolution: int | None) -> Dataset:
        refuse_path("some", path)
        data = made()
        assert data.fingerprint
        data.train_images[0] = 0
        return data

    monkeypatch.setitem(LOADERS._entries, "some", changed)
    with pytest.raises(AssertionError, match="have changed"):
        SomeDataset().test_its_fingerprint_is_that_of_what_it_holds()
    odd = made(train_images=np.zeros((40, 9, 9, 1), np.uint8))
    monkeypatch.setitem(LOADERS._entries, "some", lambda path, resolution: odd if resolution else made())
    with pytest.raises(AssertionError):
        SomeDataset().test_another_resolution_is_given_or_ignored(24)


# --- samplers -------------------------------------------------------------------------------------


class Steady(RandomSampler):
    """Proposes one network and no other."""

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return distribution.choices[0] if hasattr(distribution, "choices") else distribution.low


class Fragile(RandomSampler):
    """Wants values of every trial before."""

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        assert all(other.values for other in study.get_trials(deepcopy=False) if other.number < trial.number)
        return super().sample_independent(study, trial, name, distribution)


PROPOSED: list[tuple[str, Callable[[Task], BaseSampler], dict[str, Any]]] = [
    ("test_it_proposes_networks_of_the_space", lambda task: Steady(), {"figures": ("accuracy", "macs")}),
    ("test_the_same_seed_proposes_the_same", lambda task: RandomSampler(), {}),
    ("test_the_same_seed_proposes_the_same", lambda task: RandomSampler(seed=0), {}),
    ("test_it_lives_with_trials_that_run_fail_or_are_stopped", lambda task: Fragile(), {}),
    ("test_it_lives_with_limits", lambda task: RandomSampler(seed=task.seed), {}),
    ("test_it_lives_with_limits", lambda task: Fragile(), {}),
    ("test_it_lives_with_costs_that_are_not_known_before", lambda task: Fragile(), {}),
    ("test_it_goes_on_after_a_restart", lambda task: RandomSampler(seed=task.seed), {}),
]


class SomeSampler(SamplerContract):
    name = "some"
    keeps_limits = True


@pytest.mark.parametrize(("test", "make", "arguments"), PROPOSED)
def test_a_sampler_that_breaks_a_promise_is_noticed(
    test: str, make: Callable[[Task], BaseSampler], arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "some" not in SAMPLERS
    monkeypatch.setitem(SAMPLERS._entries, "some", Sampler(make, judges_anew=True))
    with pytest.raises(FAILS):
        getattr(SomeSampler(), test)(**arguments)


# --- engines --------------------------------------------------------------------------------------


class Mixing(LocalEngine):
    """Gives results back under other tickets."""

    def collect(self, timeout_s: float) -> list[Result]:
        return [replace(result, ticket=result.ticket + 1) for result in super().collect(timeout_s)]


class Fatal(LocalEngine):
    """Makes an error of every failure."""

    def collect(self, timeout_s: float) -> list[Result]:
        results = super().collect(timeout_s)
        assert not any(isinstance(result.outcome, Failure) for result in results)
        return results


class Patient(LocalEngine):
    """Makes a failure of images that are not there."""

    def collect(self, timeout_s: float) -> list[Result]:
        try:
            return super().collect(timeout_s)
        except UserError as error:
            return [Result(ticket=1, outcome=Failure(kind="error", reason=str(error)))]


class Soothing(LocalEngine):
    """Hides what is raised while it is quiet."""

    @contextmanager
    def quiet(self) -> Iterator[None]:
        with super().quiet(), suppress(ZeroDivisionError):
            yield


class Inventive(LocalEngine):
    """Has results that nobody asked for."""

    def collect(self, timeout_s: float) -> list[Result]:
        return super().collect(timeout_s) or [Result(ticket=0, outcome=Failure(kind="died", reason="gone"))]


BROKEN_ENGINES: list[tuple[str, type[LocalEngine]]] = [
    ("test_evaluations_come_back_under_their_tickets", Mixing),
    ("test_a_candidate_that_fails_is_a_failure_and_the_next_is_evaluated", Fatal),
    ("test_images_that_are_not_there_end_the_search", Patient),
    ("test_it_is_quiet_for_a_while_and_goes_on", Soothing),
    ("test_nothing_comes_of_nothing", Inventive),
    ("test_closing_it_ends_what_it_does", Inventive),
]


class SomeEngine(EngineContract):
    name = "some"


@pytest.mark.slow
@pytest.mark.parametrize(("test", "kind"), BROKEN_ENGINES)
def test_an_engine_that_breaks_a_promise_is_noticed(
    test: str, kind: type[LocalEngine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "some" not in ENGINES
    monkeypatch.setitem(ENGINES._entries, "some", kind)
    arguments: dict[str, Any] = {} if "closing" in test else {"engine": kind(WorkersConfig(workers=2, threads=1))}
    if "images" in test:
        arguments["tmp_path"] = tmp_path
    try:
        with pytest.raises(FAILS):
            getattr(SomeEngine(), test)(**arguments)
    finally:
        if "engine" in arguments:
            arguments["engine"].close()
