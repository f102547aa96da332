"""Which networks, in rows? A table that sorts, scrolls through ten thousand trials, and is driven from the keyboard."""

from collections.abc import Sequence
from typing import Any

import dash_ag_grid as dag
import pandas as pd
from dash.development.base_component import Component

from objectives import Limit, Objective

from ...figures.trials import drawable
from ...results.study_results import StudyResults, keeps

_THEME = (
    "themeQuartz.withParams({backgroundColor: 'var(--card)', foregroundColor: 'var(--ink)', "
    "borderColor: 'var(--line)', headerBackgroundColor: 'var(--card)', headerTextColor: 'var(--muted)', "
    "accentColor: 'var(--accent)', fontFamily: 'inherit', fontSize: 13, spacing: 5, wrapperBorder: false, "
    "oddRowBackgroundColor: 'var(--card)'})"
)


def networks_table(results: StudyResults | None, limits: Sequence[Limit], selected: int | None) -> Component:
    """The table, with the front at first."""
    table: Component = dag.AgGrid(
        id="table",
        columnDefs=columns(results) if results is not None else [],
        rowData=rows(results, "front", limits) if results is not None else [],
        selectedRows={"ids": [] if selected is None else [str(selected)]},
        getRowId="params.data.id",
        defaultColDef={"sortable": True, "resizable": True, "suppressHeaderMenuButton": True},
        dashGridOptions={
            "theme": {"function": _THEME},
            "rowSelection": {"mode": "singleRow", "checkboxes": False, "enableClickSelection": True},
            "animateRows": False,
            "tabToNextCell": {"function": "false"},  # Tab leaves the table; the arrow keys move in it
            "suppressColumnVirtualisation": True,
        },
        style={"height": "420px"},
    )
    return table


def columns(results: StudyResults) -> list[dict[str, Any]]:
    """Trial, objectives, network, other figures, status: on a phone the first three columns are seen."""
    optimised = {objective.name for objective in results.objectives}
    first = [objective for objective in results.figures if objective.name in optimised]
    first.sort(key=lambda objective: objective != results.metric)
    return [
        {"field": "trial", "headerName": "Trial", "width": 78, "type": "rightAligned"},
        *(_figure_column(objective) for objective in first),
        {"field": "network", "headerName": "Network", "minWidth": 400, "flex": 1},
        *(_figure_column(objective) for objective in results.figures if objective not in first),
        {"field": "label", "headerName": "Known as", "width": 105},
        {"field": "status", "headerName": "Status", "width": 105},
    ]


def rows(results: StudyResults, which: str, limits: Sequence[Limit]) -> list[dict[str, Any]]:
    """The trials of `which` (front, evaluated, all) that keep the limits."""
    chosen = {"front": results.front, "evaluated": drawable(results)}.get(which, results.trials)
    chosen = chosen[keeps(chosen, limits)]
    names = [objective.name for objective in results.figures]
    texts = {name: [text if isinstance(text, str) else "" for text in chosen[name]] for name in ("network", "label")}
    numbers = chosen[names].astype(object).where(chosen[names].notna(), None)
    status = chosen["status"].where(~chosen["front"].astype(bool), "front")
    fields = {_field(name): numbers[name] for name in names}
    table = pd.DataFrame({"trial": chosen["trial"], **fields, "status": status}).assign(
        id=chosen["trial"].astype(str), **texts
    )
    return [dict(zip(table.columns, values, strict=True)) for values in table.to_numpy(dtype=object).tolist()]


def _field(name: str) -> str:
    """A dot would mean a value inside of another."""
    return name.replace(".", "_")


def _figure_column(objective: Objective) -> dict[str, Any]:
    form = {"fraction": ".2%", "ms": ".3~g"}.get(objective.unit, ".3~s")
    return {
        "field": _field(objective.name),
        "headerName": objective.label,
        "headerTooltip": objective.note,
        "type": "rightAligned",
        "width": 118,
        "wrapHeaderText": True,
        "autoHeaderHeight": True,
        "valueFormatter": {"function": f"params.value == null ? '–' : d3.format('{form}')(params.value)"},
    }
