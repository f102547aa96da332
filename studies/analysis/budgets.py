"""What does an application allow? Named budgets in numbers, for those who have none of their own yet."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from objectives.limits import Limit
from search_space.errors import UserError, unknown_name

BUDGETS = Path(__file__).parent / "budgets.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The limits of one kind of device."""

    name: str
    description: str
    limits: tuple[Limit, ...]


def budget(name: str) -> Budget:
    """The budget called `name`; raises UserError with the closest known one."""
    if name not in budgets():
        raise UserError(f"--for: {unknown_name('budget', name, budgets())}")
    return budgets()[name]


@cache
def budgets() -> dict[str, Budget]:
    """All of them, by name, the smallest device first."""
    tables = tomllib.loads(BUDGETS.read_text(encoding="utf-8"))
    return {
        name: Budget(
            name=name,
            description=table["description"],
            limits=tuple(
                Limit(objective=objective, kind="max", value=float(value)) for objective, value in table["max"].items()
            ),
        )
        for name, table in tables.items()
    }
