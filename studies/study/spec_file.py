"""Which network does a file or a directory hold? Its spec, and weights that are held against it."""

from pathlib import Path

from search_space.architectures import architecture_from_dict
from search_space.errors import SpecError, UserError
from search_space.spec import Architecture
from search_space.texts.parsing import TextError, parse_json, read_text

_LONGEST = 160
"""Characters of what torch says, which may list every tensor."""
MAX_PARAMS = 10**9
MAX_VALUES = 2**31
"""Of one activation tensor."""


def read_spec(path: Path) -> Architecture:
    """The network of a spec file or of a directory with `spec.json`; raises UserError that names the file."""
    file = path / "spec.json" if path.is_dir() else path
    try:
        data = parse_json(read_text(file))
        if not isinstance(data, dict):
            raise SpecError("must be a JSON object")
        architecture = architecture_from_dict(data)
        check_size(architecture)
        return architecture
    except FileNotFoundError:
        raise UserError(f"{file}: no such file") from None
    except UnicodeDecodeError:
        raise SpecError(f"{file}: is no spec (JSON); give spec.json or the directory that holds it") from None
    except (OSError, TextError, SpecError) as error:
        raise SpecError(f"{file}: {error}") from None


def check_size(architecture: Architecture) -> None:
    """Raise SpecError for a network whose weights or activations would exhaust any machine's memory."""
    nodes = architecture.build_graph().nodes
    if (params := sum(node.num_params for node in nodes)) > MAX_PARAMS:
        raise SpecError(f"is too large: {params:,} parameters; at most {MAX_PARAMS:,}")
    largest = max(nodes, key=lambda node: node.shape.numel)
    if largest.shape.numel > MAX_VALUES:
        raise SpecError(f"is too large: '{largest.name}' gives {largest.shape.numel:,} values; at most {MAX_VALUES:,}")


def check_weights(name: str, architecture: Architecture, weights: bytes) -> None:
    """Raise UserError, in one line that begins with `name`, unless the weights are those of the architecture."""
    from safetensors import SafetensorError

    from runners.network_weights import load_network

    try:
        load_network(architecture, weights)
    except (SafetensorError, RuntimeError) as error:
        lines = [line.strip() for line in str(error).strip().splitlines()]
        reason = lines[1] if len(lines) > 1 and lines[0].endswith(":") else lines[0]
        reason = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}..."
        raise UserError(f"{name}: not the weights of this spec: {reason}") from None
