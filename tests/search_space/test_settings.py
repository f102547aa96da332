"""Tables of settings: each mistake is one line, however the table is made."""

from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from search_space.errors import SpecError, UserError
from search_space.settings import read_settings, settings


@settings
class Inner:
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 6
    rate: Annotated[float, Field(ge=0.001, le=10.0)] = 0.2
    pixels: Annotated[int, Field(ge=8, le=1024)] | None = None
    is_on: bool = True
    mode: Literal["fast", "slow"] = "fast"
    names: tuple[str, ...] = ()
    path: Annotated[Path, Field(strict=False)] | None = None

    def __post_init__(self) -> None:
        if self.epochs == 7:
            raise SpecError("epochs: seven is no number of epochs")


@settings
class Outer:
    inner: Inner = field(default_factory=Inner)
    other: Inner | None = None
    most: dict[str, float] = field(default_factory=dict)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"epochs": 0}, "epochs: must be from 1 to 10,000, not 0"),
    ({"epochs": 10_001}, "epochs: must be from 1 to 10,000, not 10001"),
    ({"epochs": "3"}, "epochs: must be a whole number, not '3'"),
    ({"epochs": 1.5}, "epochs: must be a whole number, not 1.5"),
    ({"epochs": True}, "epochs: must be a whole number, not True"),
    ({"epochs": 7}, "epochs: seven is no number of epochs"),
    ({"rate": float("nan")}, "rate: must be from 0.001 to 10, not nan"),
    ({"rate": float("inf")}, "rate: must be from 0.001 to 10, not inf"),
    ({"pixels": 7}, "pixels: must be from 8 to 1024, not 7"),
    ({"is_on": 1}, "is_on: must be true or false, not 1"),
    ({"mode": "slwo"}, "mode: must be 'fast' or 'slow', not 'slwo'"),
    ({"names": "one"}, "names: must be a list, not 'one'"),
    ({"names": (1,)}, "names: must be a text, not 1"),
]


@pytest.mark.parametrize(("values", "told"), MISTAKES)
def test_a_mistake_is_one_line_wherever_it_is_made(values: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as here:
        Inner(**values)
    assert str(here.value) == told
    with pytest.raises(UserError):
        replace(Inner(), **values)
    for key in ("inner", "other"):
        with pytest.raises(UserError) as there:
            read_settings(Outer, {key: values})
        assert str(there.value) == f"{key}.{told}"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"innner": {}}, "innner: unknown key; did you mean 'inner'?"),
        ({"inner": {"epohcs": 3}}, "inner.epohcs: unknown key; did you mean 'epochs'?"),
        ({"inner": 3}, "inner: must be a table, not 3"),
        ({"most": {"macs": "3"}}, "most.macs: must be a number, not '3'"),
        ({"most": 3}, "most: must be a table, not 3"),
    ],
)
def test_a_mistake_in_a_file_is_named_by_its_path(values: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as caught:
        read_settings(Outer, values)
    assert str(caught.value) == told


def test_a_check_of_a_table_keeps_its_kind_of_error() -> None:
    with pytest.raises(SpecError):
        Inner(epochs=7)


def test_what_is_right_is_taken() -> None:
    """A list for a tuple, a whole number for any number, a text for a path, and no table where there may be none."""
    found = read_settings(
        Outer,
        {"inner": {"names": ["a", "b"], "rate": 1, "path": "/tmp", "pixels": 8}, "other": None, "most": {"macs": 3}},
    )
    assert found == Outer(inner=Inner(names=("a", "b"), rate=1.0, path=Path("/tmp"), pixels=8), most={"macs": 3.0})
    assert read_settings(Outer, {"other": {"epochs": 2}}).other == Inner(epochs=2)
    assert replace(found, other=Inner()).inner is found.inner
