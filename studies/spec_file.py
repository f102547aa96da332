"""Which network does a file or a directory hold? Its spec, and weights that are held against it."""

import json
from pathlib import Path

from search_space.architectures import architecture_from_dict
from search_space.errors import SpecError, UserError
from search_space.spec import Architecture

_LONGEST = 160
"""Characters of what torch says, which may list every tensor."""


def read_spec(path: Path) -> Architecture:
    """The network of a spec file or of a directory with `spec.json`; raises UserError that names the file."""
    file = path / "spec.json" if path.is_dir() else path
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise SpecError("must be a JSON object")
        return architecture_from_dict(data)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file") from None
    except UnicodeDecodeError:
        raise SpecError(f"{file}: is no spec (JSON); give spec.json or the directory that holds it") from None
    except (OSError, json.JSONDecodeError, SpecError) as error:
        raise SpecError(f"{file}: {error}") from None


def check_weights(name: str, architecture: Architecture, weights: bytes) -> None:
    """Raise UserError, in one line that begins with `name`, unless the weights are those of the architecture."""
    from safetensors import SafetensorError

    from runners.evaluate import load_network

    try:
        load_network(architecture, weights)
    except (SafetensorError, RuntimeError) as error:
        lines = [line.strip() for line in str(error).strip().splitlines()]
        reason = lines[1] if len(lines) > 1 and lines[0].endswith(":") else lines[0]
        reason = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}..."
        raise UserError(f"{name}: not the weights of this spec: {reason}") from None
