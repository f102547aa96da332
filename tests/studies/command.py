"""The command line in this process: what it prints, and how it ends."""

import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from studies.cli import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        def refuse(name: str) -> None:
            raise AssertionError(f"{name} is no JSON")

        return json.loads(self.out, parse_constant=refuse)


Resfront = Callable[..., Outcome]


def run_main(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, args: tuple[object, ...]) -> Outcome:
    monkeypatch.setattr(sys, "argv", ["resfront", *map(str, args)])
    with pytest.raises(SystemExit) as caught:
        main()
    captured = capsys.readouterr()
    return Outcome(int(caught.value.code or 0), captured.out, captured.err)
