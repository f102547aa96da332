"""What may a request to a callback say? Components that the callback has, and values of the type that they hold.

`refuse_wrong_values` puts this before all callbacks of an application: they may rely on their arguments' types.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from dash import Dash
from flask import request
from werkzeug.exceptions import BadRequest

from search_space.errors import UserError, shown
from search_space.texts.parsing import TextError, parse_json

from .guard import CALLBACKS

LOG = logging.getLogger("resfront.dashboard")
MOST_COUNT = 10**9
WILDCARDS = (["ALL"], ["MATCH"], ["ALLSMALLER"])


class Kind(NamedTuple):
    """What a property may hold, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: Any) -> bool:
    """Whether `value` is a whole number that a trial or a counter may have."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_COUNT


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _or_nothing(kind: Kind) -> Kind:
    return Kind(f"{kind.words} or nothing", lambda value: value is None or kind.holds(value))


def _one_of(*names: str) -> Kind:
    return Kind(f"one of {', '.join(names)}", lambda value: isinstance(value, str) and value in names)


def _list_of(kind: Kind) -> Kind:
    return Kind(f"a list of {kind.words}", lambda value: isinstance(value, list) and all(map(kind.holds, value)))


def _object(words: str, **fields: Kind) -> Kind:
    """An object whose fields, those of them that it has, are of these kinds."""

    def holds(value: Any) -> bool:
        return isinstance(value, Mapping) and all(kind.holds(value.get(name)) for name, kind in fields.items())

    return Kind(words, holds)


TEXT = Kind("a text", _is_text)
NUMBER = Kind("a number", is_number)
COUNT = Kind("a whole number", is_count)
SELECTED = Kind("the number of a trial", lambda value: value == -1 or is_count(value))
ANYTHING = Kind("anything", lambda value: True)
LIMIT = _object("limits", objective=TEXT, kind=_one_of("max", "min"), value=NUMBER)
POINT = _object("points", customdata=_or_nothing(COUNT))
CLICK = _or_nothing(_object("a click", points=_or_nothing(_list_of(POINT))))
ROWS = _list_of(_object("rows", trial=COUNT))
RANGE = _or_nothing(_list_of(NUMBER))
VIEWS = ("networks", "progress", "parallel", "curves", "importance")

KINDS: dict[tuple[str, str], Kind] = {
    ("url", "pathname"): _or_nothing(TEXT),
    ("url", "search"): _or_nothing(TEXT),
    ("study", "data"): TEXT,
    ("seen", "data"): _object("a version", version=COUNT, state=TEXT, additions=_or_nothing(COUNT)),
    ("limits", "data"): _or_nothing(_list_of(LIMIT)),
    ("selected", "data"): _or_nothing(SELECTED),
    ("step", "data"): _or_nothing(_object("a step", by=NUMBER)),
    ("zoom", "data"): _object("a zoom", of=_or_nothing(TEXT), xaxis=RANGE, yaxis=RANGE),
    ("drawn-rows", "data"): _or_nothing(_list_of(TEXT)),
    ("drawn-panel", "data"): _or_nothing(Kind("a list", lambda value: isinstance(value, list))),
    ("page-token", "data"): ANYTHING,  # `check_page_token` answers
    ("x-axis", "value"): _or_nothing(TEXT),
    ("y-axis", "value"): _or_nothing(TEXT),
    ("third", "value"): _or_nothing(TEXT),
    ("budget-name", "value"): _or_nothing(TEXT),
    ("budget-device", "value"): _or_nothing(TEXT),
    ("third-as", "value"): _one_of("colour", "size"),
    ("log", "value"): _list_of(_one_of("x", "y")),
    ("view-choice", "value"): _one_of(*VIEWS),
    ("table-rows", "value"): _or_nothing(_one_of("front", "evaluated", "all")),
    ("table", "columnDefs"): _or_nothing(Kind("a list", lambda value: isinstance(value, list))),
    ("table", "selectedRows"): _or_nothing(
        Kind("a list of rows", lambda value: isinstance(value, Mapping) or ROWS.holds(value))
    ),
    ("front", "relayoutData"): _or_nothing(_object("an event")),
    ("front", "clickData"): CLICK,
    ("view-figure", "clickData"): CLICK,
    ("limit-text", "value"): _or_nothing(TEXT),
    ("limit-slider", "value"): _or_nothing(NUMBER),
    ("limit-text", "id"): _object("an id", type=TEXT, name=TEXT),
    **{(name, "n_intervals"): _or_nothing(COUNT) for name in ("tick", "overview-tick", "after-front", "export-tick")},
    **{(name, "n_clicks"): _or_nothing(COUNT) for name in ("pick", "export", "spec", "archive")},
}
"""Component (of several of a type, the type) and property -> what it may hold."""
ID_FIELDS = {"type": TEXT, "name": TEXT, "title": TEXT, "trial": COUNT}
"""What stands in the id of one of several components."""


def refuse_wrong_values(app: Dash) -> None:
    """Have `app` answer a request that is none of its pages' with status 400 and one line in the log."""
    answer: Callable[..., Any] = app.server.view_functions[CALLBACKS]

    def checked(**options: Any) -> Any:
        try:
            check_request(parse_json(request.get_data(as_text=True)), app.callback_map)
            return answer(**options)
        except UserError as error:
            LOG.warning("a callback was refused: %s", " ".join(str(error).split()))
            raise BadRequest(f"The dashboard cannot answer this: {error}") from None

    app.server.view_functions[CALLBACKS] = checked


def check_request(body: Any, callbacks: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise UserError unless `body` asks one of `callbacks` as Dash's own page does, with values of the right types."""
    if not isinstance(body, Mapping) or body.get("output") not in [*callbacks]:
        raise UserError("the request names no output of this dashboard")
    callback = callbacks[body["output"]]
    for part in ("inputs", "state"):
        given, declared = body.get(part, []), callback[part]
        if not isinstance(given, list) or len(given) != len(declared):
            raise UserError(f"{part}: must be a list of {len(declared)} entries")
        for entry, expected in zip(given, declared, strict=True):
            _check_entry(entry, expected, part)
    _check_outputs(body["output"], body.get("outputs"))
    changed = body.get("changedPropIds", [])
    if not isinstance(changed, list) or not all(_is_input(name, callback["inputs"]) for name in changed):
        raise UserError(f"changedPropIds: must be names of inputs, not {shown(changed)}")


def _check_entry(entry: Any, expected: Mapping[str, Any], part: str) -> None:
    """One component with its value, or for ALL of a type a list of them."""
    wanted = _pattern(expected["id"])
    entries = entry if isinstance(wanted, Mapping) and ["ALL"] in wanted.values() else [entry]
    if not isinstance(entries, list):
        raise UserError(f"{part}: {expected['id']}: must be a list, not {shown(entry)}")
    for one in entries:
        if not isinstance(one, Mapping) or not _fits(one, wanted, expected["property"]):
            raise UserError(f"{part}: must be {expected['id']}.{expected['property']}, not {shown(one)}")
        name = wanted["type"] if isinstance(wanted, Mapping) else wanted
        kind = KINDS[name, expected["property"]]
        if not kind.holds(one.get("value")):
            raise UserError(f"{name}.{expected['property']}: must be {kind.words}, not {shown(one.get('value'))}")


def _check_outputs(output: str, given: Any) -> None:
    """The components that the answer is for."""
    several = output.startswith("..")
    names = output[2:-2].split("...") if several else [output]
    entries = given if several else [given]
    if not isinstance(entries, list) or len(entries) != len(names):
        raise UserError(f"outputs: must be those of {output}")
    for entry, name in zip(entries, names, strict=True):
        identity, _, prop = name.rpartition(".")
        if not isinstance(entry, Mapping) or not _fits(entry, _pattern(identity), prop):
            raise UserError(f"outputs: must be {name}, not {shown(entry)}")


def _is_input(name: Any, declared: Sequence[Mapping[str, Any]]) -> bool:
    """Whether `name`, such as `tick.n_intervals`, is one of the inputs."""
    if not isinstance(name, str):
        return False
    text, _, prop = name.rpartition(".")
    try:
        identity = parse_json(text) if text.startswith("{") else text
    except TextError:
        return False
    entry = {"id": identity, "property": prop}
    return any(_fits(entry, _pattern(expected["id"]), expected["property"]) for expected in declared)


def _pattern(identity: str) -> str | dict[str, Any]:
    """An id as the callback declares it: of one component, or of several of a type."""
    pattern: str | dict[str, Any] = json.loads(identity) if identity.startswith("{") else identity
    return pattern


def _fits(entry: Mapping[str, Any], wanted: str | Mapping[str, Any], prop: str) -> bool:
    identity = entry.get("id")
    if entry.get("property") != prop:
        return False
    if isinstance(wanted, str) or not isinstance(identity, Mapping):
        return bool(identity == wanted)
    return identity.keys() == wanted.keys() and all(
        ID_FIELDS[field].holds(identity[field]) and (wanted[field] in WILDCARDS or identity[field] == wanted[field])
        for field in wanted
    )
