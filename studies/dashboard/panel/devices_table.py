"""How long does a network take, here and elsewhere? Its latency on every device that is known."""

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from dash import html
from dash.development.base_component import Component

from objectives import OBJECTIVES
from objectives.base import Unsupported
from objectives.device_costs.latency_ms import LATENCY
from objectives.devices import load_profile, profile_names
from objectives.devices.roofline import estimate_latency
from search_space.architectures import architecture_from_dict

from ...results.study_results import StudyResults
from ...texts.wording import format_value
from .trial_row import find_trial, has_network, latency_facts, original_trial, spans


class DeviceRow(NamedTuple):
    """How long a network takes on one device."""

    device: str
    what: str
    """The hardware in a few words; empty where it is not known."""
    kind: Literal["measured", "estimated"]
    latency_ms: float
    """NaN where the device cannot run the network."""
    reason: str = ""
    """Why it cannot; empty where it can."""


def device_rows(results: StudyResults, trial: int) -> tuple[DeviceRow, ...]:
    """What the study measured of a trial's network, then the estimate for every profile; empty for no known network.

    One image at a time on one thread.
    """
    row = find_trial(results, trial)
    if row is None or not has_network(row):
        return ()
    facts = latency_facts(original_trial(results, row))
    measured = [
        DeviceRow(str(o.device).removeprefix("ssh:"), _hardware(facts.get(o.name, {})), "measured", float(row[o.name]))
        for o in results.figures
        if o.source == "measured" and not math.isnan(row[o.name])
    ]
    return (*measured, *_estimates(json.dumps(row["record"].spec, sort_keys=True)))


@lru_cache(maxsize=512)
def _estimates(spec: str) -> tuple[DeviceRow, ...]:
    graph = architecture_from_dict(json.loads(spec)).build_graph()
    found = []
    for name in profile_names():
        profile = load_profile(name)
        what = profile.description.partition(":")[0]
        try:
            found.append(DeviceRow(name, what, "estimated", estimate_latency(graph, profile).latency_ms))
        except Unsupported as error:
            found.append(DeviceRow(name, what, "estimated", math.nan, str(error)))
    return tuple(found)


def device_table(rows: Sequence[DeviceRow]) -> list[Component]:
    body = []
    for row in rows:
        name = html.Th([row.device, *spans(row.what, "detail-what")], scope="row")
        if row.reason:
            cells = [html.Td(f"cannot run: {row.reason}", colSpan=2, className="detail-cannot")]
        else:
            latency = format_value(OBJECTIVES[LATENCY], row.latency_ms)
            cells = [html.Td(latency, className="detail-value"), html.Td(row.kind, className="detail-kind")]
        body.append(html.Tr([name, *cells]))
    head = html.Tr([html.Th("Device"), html.Th("Latency", className="detail-value"), html.Th("Kind")])
    note = "One image at a time, one thread. Estimates rank networks on a device; their digits hold within a quarter."
    return [
        html.Table([html.Thead(head), html.Tbody(body)], className="detail-devices"),
        html.P(note, className="detail-note"),
    ]


def _hardware(measured: Mapping[str, Any]) -> str:
    return f"{measured['processor']}, {measured['precision']}" if measured else ""
