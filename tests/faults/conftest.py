"""A table of the fault matrix, and which of its cases run when.

A test names its case and what must happen; it tells what it saw:

    @pytest.mark.fault("study.db is {damage}", expected="exit 4, weights kept")
    @pytest.mark.parametrize("damage", ["empty", "missing"])
    def test_...(damage: str, saw: Saw) -> None:
        ...
        saw(f"exit {done.code}: {done.err}")
        assert done.code == 4

Braces are filled in with the test's parameters. `make test` runs the cases that take seconds, `make faults` those
marked `long` as well, with the table at its end.
"""

from collections.abc import Callable

import pytest

Saw = Callable[[object], None]
"""Takes what was seen, for the table; several calls are joined."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", action="store_true", help="run the long cases of the fault matrix too")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("fault"):
            item.add_marker("slow")
    if config.getoption("--faults", default=False):
        return
    is_long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=is_long)
    items[:] = [item for item in items if item not in is_long]


@pytest.fixture
def saw(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Saw:
    def tell(what: object) -> None:
        record_property("saw", " ".join(str(what).split()))

    return tell


@pytest.fixture(autouse=True)
def case(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """Every test here has a case, so that the table is complete."""
    marker = request.node.get_closest_marker("fault")
    assert marker is not None, "a test of the fault matrix names its case: @pytest.mark.fault(case, expected=...)"
    params = getattr(request.node, "callspec", None)
    values = {name: getattr(value, "__name__", value) for name, value in params.params.items()} if params else {}
    record_property("case", marker.args[0].format(**values))
    record_property("expected", marker.kwargs["expected"].format(**values))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--faults", default=False):
        return
    terminalreporter.section("fault matrix: case | expected | seen")
    for outcome in ("passed", "failed", "skipped", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            told = dict[str, list[str]]()
            for name, value in getattr(report, "user_properties", []):
                told.setdefault(name, []).append(str(value))
            if "case" not in told:
                continue
            seen = "; ".join(told.get("saw", ["as expected" if outcome == "passed" else outcome]))
            mark = "" if outcome == "passed" else f"{outcome.upper()}  "
            terminalreporter.write_line(f"{mark}{told['case'][0]} | {told['expected'][0]} | {seen[:200]}")
