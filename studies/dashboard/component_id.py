"""The text by which Dash names a component whose id is a dict. It is private: only this file uses it."""

from collections.abc import Mapping
from typing import Any

from dash._utils import stringify_id


def text_of_id(identity: Mapping[str, Any]) -> str:
    """Return the id that the component has in the page."""
    return str(stringify_id(identity))
