"""What a request may say is known for every component that a callback listens to."""

from pathlib import Path

import pytest

from search_space.errors import UserError
from studies.dashboard.app import create_app
from studies.dashboard.exports import Exporter
from studies.dashboard.library import Library
from studies.dashboard.requests import KINDS, _pattern, check_request


def test_every_value_that_a_callback_gets_has_a_kind(tmp_path: Path) -> None:
    app = create_app(Library(tmp_path), Exporter(tmp_path), "token")
    for name, callback in app.callback_map.items():
        for expected in (*callback["inputs"], *callback["state"]):
            pattern = _pattern(expected["id"])
            component = pattern if isinstance(pattern, str) else pattern["type"]
            assert (component, expected["property"]) in KINDS, name


@pytest.mark.parametrize("value", [5, ["drone"], {"name": "drone"}, True])
@pytest.mark.parametrize("component", ["budget-name", "budget-device"])
def test_a_budget_of_another_type_is_refused(tmp_path: Path, component: str, value: object) -> None:
    app = create_app(Library(tmp_path), Exporter(tmp_path), "token")
    output, callback = next(
        (name, found) for name, found in app.callback_map.items() if component in str(found["inputs"])
    )
    body = {
        "output": output,
        "inputs": [
            {"id": one["id"], "property": one["property"], "value": value if one["id"] == component else None}
            for one in callback["inputs"]
        ],
        "state": [],
    }
    with pytest.raises(UserError, match=r"budget-(name|device)\.value: must be a text or nothing"):
        check_request(body, app.callback_map)
