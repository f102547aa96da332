"""`resfront budgets`: the named budgets of `resfront recommend --for`, in numbers."""

import typer

from ..options import JSON, print_json


def budgets(as_json: JSON = False) -> None:
    """List the named budgets, for `resfront recommend NAME --for BUDGET`."""
    from ...analysis import budgets as named
    from ...texts.wording import describe_limit

    if as_json:
        print_json(
            [
                {"name": b.name, "description": b.description, "max": {li.objective: li.value for li in b.limits}}
                for b in named.budgets().values()
            ]
        )
        return
    for budget in named.budgets().values():
        typer.echo(f"{budget.name}: {budget.description}")
        typer.echo("".join(f"  {describe_limit(limit)}\n" for limit in budget.limits))
