"""What one part of the program promises another: values of the right types for callbacks, blocks, names of devices."""

import copy
import json
import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dash import Dash
from flask.testing import FlaskClient

from objectives import OBJECTIVES
from objectives.devices import load_profile, profile_names
from search_space.blocks import BLOCKS, Block
from search_space.errors import UserError
from search_space.graph import Graph, GraphBuilder, Ref
from search_space.spec import ArchSpec, StageSpec
from studies.dashboard.app import create_app
from studies.dashboard.component_id import text_of_id
from studies.dashboard.exports import Exporter
from studies.dashboard.guard import CALLBACKS
from studies.dashboard.library import Library
from tests.studies.synthetic import write_study

from .conftest import Saw

# --- the dashboard's callbacks --------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "url.pathname": "/drone",
    "url.search": "?trial=3",
    "study.data": "drone",
    "seen.data": {"version": 0, "state": "done"},
    "limits.data": [{"objective": "macs", "kind": "max", "value": 1e9}],
    "selected.data": 3,
    "step.data": {"by": 1, "at": 5},
    "zoom.data": {},
    "page-token.data": "token",
    "x-axis.value": "macs",
    "y-axis.value": "accuracy",
    "third.value": "",
    "third-as.value": "colour",
    "log.value": ["x"],
    "view-choice.value": "progress",
    "table-rows.value": "all",
    "limit-text.value": "300k",
    "limit-slider.value": 5.5,
    "limit-text.id": {"type": "limit-text", "name": "macs"},
    "front.relayoutData": {"xaxis.range[0]": 1, "xaxis.range[1]": 2},
    "front.clickData": {"points": [{"customdata": 4}]},
    "view-figure.clickData": {"points": [{"customdata": 4}]},
    "table.selectedRows": [{"trial": 4}],
}
"""What a page sends; None for all others."""
IDS = {"name": "macs", "trial": 4, "title": "Best"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    write_study(runs / "drone", trials=30)
    return runs


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The exports that were started: none is run."""
    trials: list[Any] = []

    def start(self: Exporter, name: str, trial: Any) -> Any:
        trials.append(trial)
        raise UserError("not in this test")

    monkeypatch.setattr(Exporter, "start", start)
    return trials


@pytest.fixture
def app(runs: Path, started: list[Any]) -> Iterator[Dash]:
    exporter = Exporter(runs)
    app = create_app(Library(runs), exporter, "token")
    app.server.test_client().get("/")
    yield app
    exporter.close()


def entry(declared: dict[str, Any]) -> Any:
    """One input or state, as a page sends it; of several of a type a list of one."""
    identity: Any = declared["id"]
    is_list = '["ALL"]' in identity
    if identity.startswith("{"):
        identity = {key: IDS.get(key, value) for key, value in json.loads(identity).items()}
    kind = identity["type"] if isinstance(identity, dict) else identity
    prop = declared["property"]
    value = VALUES.get(f"{kind}.{prop}", 1 if prop in ("n_clicks", "n_intervals") else None)
    found = {"id": identity, "property": prop, "value": copy.deepcopy(value)}
    return [found] if is_list else found


def request_of(app: Dash, output: str) -> dict[str, Any]:
    callback = app.callback_map[output]
    several = output.startswith("..")
    names = output[2:-2].split("...") if several else [output]
    outputs = [dict(zip(("id", "property"), name.rsplit(".", 1), strict=True)) for name in names]
    outputs = [{key: value for key, value in entry(one).items() if key != "value"} for one in outputs]
    inputs = [entry(one) for one in callback["inputs"]]
    first = inputs[0][0] if isinstance(inputs[0], list) else inputs[0]
    return {
        "output": output,
        "outputs": outputs if several else outputs[0],
        "inputs": inputs,
        "state": [entry(one) for one in callback["state"]],
        "changedPropIds": [f"{text_of_id(first['id'])}.{first['property']}"],
    }


def ask(client: FlaskClient, body: Any) -> int:
    client.application.config["PROPAGATE_EXCEPTIONS"] = False
    return client.post(CALLBACKS, data=body if isinstance(body, bytes) else json.dumps(body).encode(),
                       content_type="application/json").status_code  # fmt: skip


def flat(entries: list[Any]) -> list[dict[str, Any]]:
    return [one for given in entries for one in (given if isinstance(given, list) else [given])]


@pytest.mark.fault("every callback asked as its page asks it", expected="an answer")
def test_a_page_is_answered(app: Dash, saw: Saw) -> None:
    client = app.server.test_client()
    found = {output: ask(client, request_of(app, output)) for output in app.callback_map}
    saw(f"{len(found)} callbacks: statuses {sorted(set(found.values()))}")
    assert set(found.values()) <= {200, 204}, found


WRONG: list[Any] = [None, True, 2.9, -7, 10**30, "", "3", "x" * 100, [], [1], [None], {}, {"a": 1}, [[[]]], 1e308]


@pytest.mark.fault("every value of every callback replaced by {number} others", expected="an answer or 400, never 500")
@pytest.mark.parametrize("number", [len(WRONG)])
def test_no_value_of_a_wrong_type_is_an_error_of_the_program(
    app: Dash, saw: Saw, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    client, statuses = app.server.test_client(), list[int]()
    for output in app.callback_map:
        for part in ("inputs", "state"):
            for place in range(len(flat(request_of(app, output)[part]))):
                for wrong in WRONG[:number]:
                    body = request_of(app, output)
                    flat(body[part])[place]["value"] = wrong
                    caplog.clear()
                    status = ask(client, body)
                    assert status in (200, 204, 400), (output, flat(body[part])[place], status)
                    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
                    assert len(lines) == (status == 400) and not any(line.exc_info for line in lines)
                    statuses.append(status)
    saw(f"{len(statuses)} requests, {statuses.count(400)} of them 400, none 500")
    assert statuses.count(400) > len(statuses) / 3


@pytest.mark.fault("requests with parts left out, doubled or of another kind", expected="an answer or 400, never 500")
def test_no_request_of_another_form_is_an_error_of_the_program(app: Dash, saw: Saw) -> None:
    client, chosen, statuses = app.server.test_client(), random.Random(1), list[int]()
    for output in app.callback_map:
        for _ in range(40):
            body: Any = request_of(app, output)
            key = chosen.choice([*body])
            change = chosen.randrange(4)
            if change == 0:
                del body[key]
            elif change == 1:
                body[key] = chosen.choice([*WRONG, [{}], [{"id": 3}], [{"id": "tick"}], ["study.data"], ["{.x"]])
            elif change == 2 and isinstance(body[key], list) and body[key]:
                body[key] = body[key][1:] if chosen.random() < 0.5 else body[key] * 2
            else:
                one = chosen.choice(flat(body["inputs"]))
                one[chosen.choice(["id", "property"])] = chosen.choice([*WRONG, "study", "data", {"type": "spec"}])
            statuses.append(ask(client, body))
            assert statuses[-1] in (200, 204, 400), body
    for raw in (b"", b"3", b"[]", b"{", b'{"output": []}', b"[" * 100_000, b'{"a":' * 60_000, b"\xff", b"NaN"):
        statuses.append(ask(client, raw))
        assert statuses[-1] == 400, raw[:20]
    saw(f"{len(statuses)} requests, {statuses.count(400)} of them 400, none 500")


@pytest.mark.fault("the export of trial {trial!r}", expected="400, nothing started")
@pytest.mark.parametrize("trial", [2.9, "4", True, -1, None, [4]])
def test_no_other_trial_is_exported(app: Dash, started: list[Any], saw: Saw, trial: Any) -> None:
    client = app.server.test_client()
    output = next(name for name in app.callback_map if name.startswith("..export-status"))
    body = request_of(app, output)
    assert ask(client, body) == 200 and started == [4]
    identity = body["inputs"][0][0]["id"]
    identity["trial"] = trial
    body["changedPropIds"] = [f"{text_of_id(identity)}.n_clicks"]
    status = ask(client, body)
    saw(f"status {status}, started {started[1:]}")
    assert status == 400 and started == [4]


# --- blocks that repeat ---------------------------------------------------------------------------


def network(block: str, blocks: int = 4) -> ArchSpec:
    stages = [StageSpec(block=block, num_blocks=blocks, width=8, stride=1 + (i > 0)) for i in range(3)]
    return ArchSpec(stem="3x3", stem_width=8, stages=tuple(stages))


def ends_elsewhere(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    """Its output comes before its last node."""
    y = g.add(g.conv(x, width, kernel=3, stride=stride), g.shortcut(x, width, stride), act="relu")
    g.conv(y, width, kernel=1)
    return y


def ends_elsewhere_without_projection(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    """Where the shape changes its output comes last, else not."""
    y = g.conv(x, width, kernel=3, stride=stride)
    if stride == 1 and g.shape(x).channels == width:
        g.global_pool(x)
        return y
    return g.add(y, g.shortcut(x, width, stride))


def reads_the_image(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    """It reads a node far before it."""
    y = g.conv(x, width, kernel=3, stride=stride)
    gate = g.conv(g.global_pool(g.input), width, kernel=1, act="sigmoid", norm=False, name="gate")
    return g.multiply(y, gate)


def written_out(spec: ArchSpec, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """The graph with each block written by its function."""

    def refuse(self: GraphBuilder, x: Ref, block: int, stage: int) -> Ref:
        self.enter_block(block, stage)
        found = spec.stages[stage - 1]
        return BLOCKS[found.block].build(self, x, found.width, 1, found.se)

    with monkeypatch.context() as patch:
        patch.setattr(GraphBuilder, "repeat_block", refuse)
        return spec.build_graph()


@pytest.fixture
def other_block(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], str]:
    """Registers a block that somebody else has written, for one test."""

    def register(build: Any) -> str:
        BLOCKS["basic"]
        other = Block(name="other", layers=1, width_multiple=1, build=build)
        monkeypatch.setitem(BLOCKS._entries, "other", other)
        return "other"

    return register


@pytest.mark.fault("a block that {build}", expected="an error that names the block's contract, no wrong graph")
@pytest.mark.parametrize("build", [ends_elsewhere, ends_elsewhere_without_projection, reads_the_image])
def test_a_block_that_cannot_be_repeated_is_refused(
    other_block: Callable[[Any], str], saw: Saw, build: Callable[..., Ref]
) -> None:
    spec = network(other_block(build))
    with pytest.raises(AssertionError, match=r"stage1_block2: a block (must end with|reads only) its") as error:
        spec.build_graph()
    saw(error.value)
    network("other", blocks=2).build_graph()  # is written out, and right


@pytest.mark.fault("the project's own block {block}, repeated", expected="the graph that its function writes")
@pytest.mark.parametrize("block", sorted(BLOCKS))
def test_own_blocks_are_repeated_as_they_are_written(monkeypatch: pytest.MonkeyPatch, saw: Saw, block: str) -> None:
    spec = network(block)
    graph = spec.build_graph()
    assert graph == written_out(spec, monkeypatch)
    saw(f"{len(graph.nodes)} nodes")


# --- names ----------------------------------------------------------------------------------------

KNOWN = {
    "latency_ms": True,
    "latency_ms@rpi4": True,
    "latency_ms@cpu": True,
    "latency_ms@ssh:user@host": True,
    "latency_ms@rpi": False,
    "latency_ms@": False,
    "latency_ms@no.toml": False,
    "latency_ms@template": False,
    "macs@rpi4": False,
    "latency": False,
    "": False,
    3: False,
}


@pytest.mark.fault("{name!r} in OBJECTIVES", expected="as OBJECTIVES[...] has it")
@pytest.mark.parametrize("name", KNOWN)
def test_in_agrees_with_the_index(saw: Saw, name: Any) -> None:
    try:
        OBJECTIVES[name]
        found = True
    except (UserError, AttributeError):
        found = False
    saw(name in OBJECTIVES)
    assert (name in OBJECTIVES) == found == KNOWN[name]


@pytest.mark.fault("the template of device profiles as a device", expected="unknown, and listed nowhere")
@pytest.mark.parametrize("name", ["template", "latency_ms@template"])
def test_the_template_is_no_device(saw: Saw, name: str) -> None:
    assert "template" not in profile_names()
    with pytest.raises(UserError, match="unknown device 'template'") as error:
        OBJECTIVES[name] if "@" in name else load_profile(name)
    saw(error.value)
