"""Limits as `--max` and `--min` take them, by how much they are exceeded, and what is refused."""

import math
from typing import Literal

import pytest

from objectives.limits import Limit, parse_limit, violated
from search_space.errors import UserError


@pytest.mark.parametrize(
    ("kind", "text", "limit", "shown"),
    [
        ("max", "macs=1e6", Limit(objective="macs", kind="max", value=1e6), "macs <= 1,000,000"),
        (
            "max",
            " file_bytes = 300_000 ",
            Limit(objective="file_bytes", kind="max", value=3e5),
            "file_bytes <= 300,000",
        ),
        ("max", "file_bytes=300k", Limit(objective="file_bytes", kind="max", value=3e5), "file_bytes <= 300,000"),
        ("max", "latency_ms=1.5 ms", Limit(objective="latency_ms", kind="max", value=1.5), "latency_ms <= 1.5"),
        (
            "max",
            "file_bytes=1 MiB",
            Limit(objective="file_bytes", kind="max", value=2**20),
            "file_bytes <= 1,048,576",
        ),
        ("max", "macs=1,200,000", Limit(objective="macs", kind="max", value=1.2e6), "macs <= 1,200,000"),
        ("max", "latency_ms=200us", Limit(objective="latency_ms", kind="max", value=0.2), "latency_ms <= 0.2"),
        ("min", "accuracy=90 %", Limit(objective="accuracy", kind="min", value=0.9), "accuracy >= 0.9"),
        ("min", "accuracy=0.9", Limit(objective="accuracy", kind="min", value=0.9), "accuracy >= 0.9"),
    ],
)
def test_parse_limit(kind: Literal["max", "min"], text: str, limit: Limit, shown: str) -> None:
    assert parse_limit(kind, text) == limit
    assert str(limit) == shown


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("max", "macs", "--max macs: write objective=value, for example file_bytes=300k"),
        ("max", "macs=", "--max macs=: '' is no amount; write a number, which may end in k, M"),
        ("max", "macs=lots", "--max macs=lots: 'lots' is no amount"),
        (
            "max",
            "latency_ms=0,2",
            "--max latency_ms=0,2: '0,2' is no amount; write a number in ms, or with a unit: ms, us, s",
        ),
        ("max", "macs=5 ms", "--max macs=5 ms: '5 ms' is no amount"),
        ("max", "macs=k", "--max macs=k: 'k' is no amount"),
        ("min", "accuracy=101 %", "--min accuracy: must be a fraction below 1, not 1.01"),
        ("max", "macs<5", "--max macs<5: write objective=value"),
        ("max", "mac=5", "unknown objective 'mac'; did you mean 'macs'?"),
        ("max", "macs=0", "--max macs: must be a positive number, not 0"),
        ("min", "accuracy=-1", "--min accuracy: must be a positive number, not -1"),
        ("max", "macs=inf", "--max macs: must be a positive number, not inf"),
        ("max", "macs=nan", "--max macs: must be a positive number, not nan"),
        ("min", "accuracy=90", "--min accuracy: must be a fraction below 1, not 90"),
        ("min", "accuracy=1", "--min accuracy: must be a fraction below 1, not 1"),
    ],
)
def test_a_bad_limit_is_answered_in_one_line(kind: Literal["max", "min"], text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_limit(kind, text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_excess_is_a_share_of_the_limit() -> None:
    most, least = parse_limit("max", "macs=200"), parse_limit("min", "accuracy=0.8")
    assert [most.excess({"macs": value}) for value in (100, 200, 250)] == [-0.5, 0.0, 0.25]
    assert [least.excess({"accuracy": value}) for value in (1.0, 0.8, 0.6)] == pytest.approx([-0.25, 0.0, 0.25])


def test_known_before_training() -> None:
    assert parse_limit("max", "macs=200").known
    assert not parse_limit("min", "accuracy=0.8").known


def test_violated_names_what_is_exceeded_and_skips_what_is_not_there() -> None:
    limits = [parse_limit("max", "macs=200"), parse_limit("min", "accuracy=0.8"), parse_limit("max", "params=10")]
    assert violated(limits, {"macs": 200, "accuracy": 0.8, "params": 10}) == []
    assert violated(limits, {"macs": 201, "accuracy": 0.9}) == ["macs <= 200 (is 201)"]
    assert violated(limits, {"macs": 300, "accuracy": 0.5, "params": 11}) == [
        "macs <= 200 (is 300)",
        "accuracy >= 0.8 (is 0.5)",
        "params <= 10 (is 11)",
    ]
    assert violated(limits, {}) == []


def test_no_figure_keeps_no_limit() -> None:
    """A failed measurement must not count as within the limit."""
    assert violated([parse_limit("max", "macs=200")], {"macs": math.nan}) == ["macs <= 200 (is nan)"]
    assert violated([parse_limit("min", "accuracy=0.8")], {"accuracy": math.nan}) == ["accuracy >= 0.8 (is nan)"]
