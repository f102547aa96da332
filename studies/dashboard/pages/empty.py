"""Figures and texts where there is nothing to show."""

from typing import Any

from dash import html
from dash.development.base_component import Component

from ...figures import draw_message


def empty_figure(message: str) -> Any:
    """In the place of a front that cannot be drawn."""
    return draw_message(message or "Nothing to show.")


def message(text: str) -> Component:
    """In the place of a view."""
    return html.P(text or "Nothing to show.", className="text muted")
