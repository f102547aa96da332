"""The program `predict.py` that is written beside exported models, and the metadata of the models that it reads."""

import ast
import inspect
from pathlib import Path
from typing import Any

from runners.datasets import Dataset, pixels
from search_space.spec import Architecture

TEMPLATE = Path(__file__).parent / "templates" / "predict.py"
_SHARED = "from runners.datasets.pixels import read_square, resize_square\n"


def predict_program(model_file: str) -> str:
    """Return the source of `predict.py`, which runs `model_file` by default and imports nothing of this project.

    Its functions that read an image are those of `runners/datasets/pixels.py`, copied, so that it sees the pixels that
    training sees.
    """
    template = TEMPLATE.read_text(encoding="utf-8")
    imports, found, rest = template.partition(_SHARED)
    assert found, f"{TEMPLATE} imports the functions to copy in one line"
    return f"{imports.rstrip()}\n\n{_functions()}\n\n{rest.strip()}\n".replace("model.onnx", model_file)


def metadata(architecture: Architecture, dataset: Dataset, *, is_classifier: bool = True) -> dict[str, Any]:
    """Return what a program that runs the model must know of its classes, where it has any, and of its images."""
    return {
        "class_names": list(dataset.class_names) if is_classifier else [],
        "mean": dataset.mean,
        "std": dataset.std,
        "resolution": architecture.resolution,
        "image_size": dataset.resolution,
        "grey_bits": dataset.grey_bits,
        "spec": architecture.to_dict(),
    }


def _functions() -> str:
    """The source of `pixels` after its docstring and its imports, which the template has where they are needed."""
    source = inspect.getsource(pixels)
    kept = [node for node in ast.parse(source).body[1:] if not isinstance(node, ast.Import | ast.ImportFrom | ast.If)]
    lines = source.splitlines(keepends=True)
    first = kept[0].lineno - 1
    while lines[first - 1].startswith("#"):
        first -= 1
    return "".join(lines[first:]).strip() + "\n"
