"""How does a network leave the page? The callbacks of its buttons: the export that the command line does, downloads."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, html
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate
from werkzeug.exceptions import Forbidden

from search_space.errors import UserError

from ..exports import Exporter, ExportJob
from ..guard import check_page_token
from ..library import Library
from ..pages.actions import is_exportable
from ..pages.study_page import selected_from


def register(app: Dash, library: Library, exporter: Exporter, page_token: str) -> None:
    """The callbacks of the buttons."""

    @app.callback(
        Output("export-status", "children"),
        Output("export-tick", "disabled"),
        Input({"type": "export", "trial": ALL}, "n_clicks"),
        Input("export-tick", "n_intervals"),
        State("selected", "data"),
        State("study", "data"),
        State("page-token", "data"),
    )
    def export(_clicks: list[int | None], _: Any, trial: int | None, name: str, given: Any) -> tuple[Any, bool]:
        pressed = next((button for button in map(_pressed, ctx.triggered) if button is not None), None)
        if pressed is not None:
            try:
                check_page_token(given, page_token)
                job = exporter.start(name, pressed["trial"])
            except UserError as error:
                return html.P(str(error), className="problem"), True
            except Forbidden as error:
                return html.P(error.description, className="problem"), True
            return _job(job, _is_searching(library, name)), False
        selected = selected_from(trial)
        try:
            found = None if selected is None else exporter.job(name, selected)
        except UserError as error:
            return html.P(str(error), className="problem"), True
        if found is None:
            return [], True
        return _job(found, _is_searching(library, name)), found.state != "running"

    @app.callback(
        Output("download", "data"),
        Input({"type": "spec", "trial": ALL}, "n_clicks"),
        Input({"type": "archive", "trial": ALL}, "n_clicks"),
        State("study", "data"),
        prevent_initial_call=True,
    )
    def download(_specs: list[int | None], _archives: list[int | None], name: str) -> Any:
        cause = next((button for button in map(_pressed, ctx.triggered) if button is not None), None)
        results = library.look(name).results
        if results is None or cause is None:
            raise PreventUpdate
        trial = cause["trial"]
        if not is_exportable(results, trial):
            raise PreventUpdate
        if cause["type"] == "archive":
            try:
                content = base64.b64encode(exporter.archive(name, trial)).decode()
            except UserError:
                raise PreventUpdate from None  # somebody has moved the directory away
            return {"content": content, "filename": f"{name}-{trial}.zip", "base64": True}
        spec = results.trials.set_index("trial").loc[trial, "record"].spec
        return {"content": json.dumps(spec, indent=2) + "\n", "filename": f"{name}-{trial}.spec.json"}


def _pressed(change: Mapping[str, Any]) -> dict[str, Any] | None:
    """The button's id, where a change is a click; one that has just appeared, with no click, triggers too."""
    identity = ctx.triggered_prop_ids.get(change["prop_id"])
    return identity if isinstance(identity, dict) and change["value"] else None


def _is_searching(library: Library, name: str) -> bool:
    return library.look(name).state == "running"


def _job(job: ExportJob, is_searching: bool) -> list[Component]:
    """How far an export is."""
    if job.state == "failed":
        return [html.P(f"Not exported: {job.problem}", className="problem")]
    if job.state == "running":
        note = " The study is running as well, so both are slower." if is_searching else ""
        last = job.lines[-1] if job.lines else "starting …"
        return [html.P([html.Span(className="spinner"), f"{last}{note}"], className="note")]
    files = [html.Li([html.Code(file), html.Span(f" {size:,} bytes", className="muted")]) for file, size in job.files]
    return [
        html.P(["Exported and checked: ", html.Code(str(job.directory))]),
        html.Ul(files, className="files"),
        html.Button("Download all as .zip", id={"type": "archive", "trial": job.trial}, className="button"),
    ]
