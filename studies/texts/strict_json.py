"""JSON that every reader takes: what is not a number (NaN, Infinity) becomes null."""

import json
import math
from collections.abc import Mapping
from typing import Any


def strict_json(data: Any) -> str:
    """Plain values as indented JSON text."""
    return json.dumps(_strict(data), indent=2, allow_nan=False)


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _strict(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(entry) for entry in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) >= 2 else value
    return value
