"""How to repeat a study: its configuration, commands and versions."""

import shlex
from importlib.metadata import version
from platform import python_version

from ..results.study_results import StudyResults
from ..study.config import dump_toml
from .report_text import observations

PACKAGES = ("resfront", "optuna", "pandas", "plotly")


def config_toml(results: StudyResults) -> str:
    """The study's configuration as it stands in study.toml."""
    return dump_toml(results.config)


def commands(results: StudyResults) -> str:
    """Command lines that repeat the study and take home the network at the knee."""
    name = shlex.quote(results.name)
    lines = [f"resfront search study.toml --name {name}"]
    chosen = results.knee_trial
    if chosen is not None:
        lines.append(f"resfront export {name} --trial {chosen} -o {shlex.quote(f'{results.name}-{chosen}')}")
    return "\n".join(lines)


def versions(results: StudyResults) -> dict[str, str]:
    """What trained the networks, as far as they say, and what wrote the report."""
    current = {"python": python_version()} | {package: version(package) for package in PACKAGES}
    trained = {_joined(found.versions) for found in observations(results)}
    return {
        **({"Networks trained with": "; ".join(sorted(trained))} if trained else {}),
        "Report written with": _joined(current),
    }


def _joined(found: object) -> str:
    assert isinstance(found, dict)
    return ", ".join(f"{name} {number}" for name, number in found.items())
