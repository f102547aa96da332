"""How does the dashboard answer? A Dash application over one runs directory: its pages, and their callbacks."""

from pathlib import Path
from urllib.parse import parse_qs

from dash import Dash, Input, Output, State
from dash.development.base_component import Component
from flask import Flask

from .callbacks import budget, front, parts, selection, taking_home
from .exports import Exporter
from .library import Library
from .pages import overview
from .pages import study_page as pages
from .requests import refuse_wrong_values

ASSETS = Path(__file__).parent / "assets"


def create_app(library: Library, exporter: Exporter, page_token: str) -> Dash:
    """The application, without its protection (`guard.protect`) and without a server."""
    # Everything that an environment variable or a file of the working directory could change is said here.
    app = Dash(
        "resfront",
        server=Flask("resfront", static_folder=None),  # type: ignore[arg-type]  # Dash takes an application too
        title="resfront",
        update_title="",
        assets_folder=str(ASSETS),
        assets_external_path="",
        include_assets_files=True,
        routes_pathname_prefix="/",
        requests_pathname_prefix="/",
        suppress_callback_exceptions=True,
        serve_locally=True,
        compress=False,
        use_pages=False,
        enable_mcp=False,
        add_log_handler=False,
    )
    app.layout = pages.frame(page_token)
    _open_pages(app, library)
    for part in (front, parts, budget, selection):
        part.register(app, library)
    taking_home.register(app, library, exporter, page_token)
    refuse_wrong_values(app)
    return app


def _open_pages(app: Dash, library: Library) -> None:
    @app.callback(Output("page", "children"), Input("url", "pathname"), State("url", "search"))
    def open_page(path: str | None, search: str | None) -> Component:
        name = (path or "/").strip("/")
        if not name:
            return overview.overview_page()
        look = library.look(name)
        asked = parse_qs((search or "").lstrip("?")).get("trial", [""])[0]
        return pages.study_page(look, None if look.results is None else selection.trial_of(look.results, asked))

    @app.callback(
        Output("studies", "children"),
        Output("runs", "children"),
        Input("overview-tick", "n_intervals"),
    )
    def list_studies(_: int | None) -> tuple[Component, str]:
        names = library.names()
        library.warm(names)
        return overview.studies_table([(name, library.peek(name)) for name in names]), str(library.runs)
