"""The reference documentation: it holds every public name, docstrings say what they must, and the site builds."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import griffe
import pytest
import yaml
from mkdocstrings import Inventory

import resfront

ROOT = Path(__file__).parents[2]
PACKAGES = ("search_space", "objectives", "runners", "studies", "resfront")
DIRECTIVES = [
    found
    for page in sorted((ROOT / "docs" / "reference").glob("*.md"))
    for found in re.findall(r"^::: (\S+)\n((?: +.*\n)*)", page.read_text(), re.MULTILINE)
]
DOCUMENTED = {name: (yaml.safe_load(lines) or {}).get("options", {}) for name, lines in DIRECTIVES}
"""Names that the pages of the reference document -> options of mkdocstrings."""
OFFLINE = {f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https", "all")}
"""Environment in which nothing can be fetched."""


@pytest.fixture(scope="module")
def code() -> griffe.ModulesCollection:
    """All packages as mkdocstrings reads them."""
    loader = griffe.GriffeLoader(search_paths=[ROOT], docstring_parser="numpy")
    for package in PACKAGES:
        loader.load(package)
    loader.resolve_aliases(external=False)
    return loader.modules_collection


def target_of(found: griffe.Object | griffe.Alias) -> griffe.Object:
    return found.final_target if isinstance(found, griffe.Alias) else found


def shown_of(name: str, code: griffe.ModulesCollection) -> Iterator[griffe.Object]:
    """Yield what the reference shows of a name: itself, and those members of a class that the options select."""
    target = target_of(code[name])
    yield target
    if target.is_class:
        options = DOCUMENTED[name]
        hidden = [rule.removeprefix("!") for rule in options.get("filters", ["!^_"])]
        for member in options.get("members", target.members):
            if not any(re.search(rule, member) for rule in hidden):
                yield target_of(target.members[member])


def sections_of(shown: griffe.Object, kind: griffe.DocstringSectionKind) -> list[griffe.DocstringSection]:
    parsed = shown.docstring.parsed if shown.docstring else []
    return [section for section in parsed if section.kind is kind]


def documented_parameters(shown: griffe.Object) -> list[str]:
    found = sections_of(shown, griffe.DocstringSectionKind.parameters)
    return [parameter.name.lstrip("*") for section in found for parameter in section.value]


def own_parameters(function: griffe.Function) -> list[str]:
    return [parameter.name for parameter in function.parameters if parameter.name not in ("self", "cls")]


def test_every_public_name_is_in_the_reference() -> None:
    assert {f"resfront.{name}" for name in resfront.__all__} <= set(DOCUMENTED)
    assert len(DOCUMENTED) == len(DIRECTIVES), "a name is documented twice"


@pytest.mark.parametrize("name", DOCUMENTED)
def test_all_that_the_reference_shows_has_a_docstring(name: str, code: griffe.ModulesCollection) -> None:
    assert [shown.path for shown in shown_of(name, code) if not shown.has_docstring] == []


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstrings_describe_every_parameter(name: str, code: griffe.ModulesCollection) -> None:
    functions = [shown for shown in shown_of(name, code) if isinstance(shown, griffe.Function)]
    described = {function.path: documented_parameters(function) for function in functions}
    assert described == {function.path: own_parameters(function) for function in functions}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_classes_describe_what_they_are_made_of(name: str, code: griffe.ModulesCollection) -> None:
    """Dataclasses and named tuples do so field by field, others in their docstring."""
    found = target_of(code[name])
    init = found.members.get("__init__") if found.is_class else None
    if isinstance(init, griffe.Function) and "dataclass" not in found.labels:
        assert documented_parameters(found) == own_parameters(init)


@pytest.mark.parametrize("name", [f"resfront.{name}" for name in resfront.__all__])
def test_public_functions_describe_what_they_return(name: str, code: griffe.ModulesCollection) -> None:
    for shown in shown_of(name, code):
        if isinstance(shown, griffe.Function) and str(shown.returns) != "None":
            assert sections_of(shown, griffe.DocstringSectionKind.returns), shown.path


class Addresses(HTMLParser):
    """Addresses of what a browser loads for a page, beside its links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = "href" if tag == "link" else "src"
        self.found += [value for key, value in attrs if key == name and value and tag != "a"]


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_needs_no_network(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    environment = os.environ | OFFLINE | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    with (site / "objects.inv").open("rb") as inventory:
        assert set(DOCUMENTED) <= set(Inventory.parse_sphinx(inventory))
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        loaded = Addresses(page.read_text()).found
        assert loaded and not [address for address in loaded if "//" in address], page
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", styles)
