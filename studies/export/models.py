"""Which files run the network elsewhere? ONNX in float32 and int8, and a torch program, each checked."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from runners.quantization.simulation import lowest_bits
from runners.training.batches import DeviceImages
from runners.verification.answer_agreement import ReferenceRun
from runners.verification.check_files import FileCheck, check_onnx_file, check_program_file
from runners.verification.onnx_files import unfused_layers
from runners.verification.torch_export import export_program, float_network, network_values
from search_space.backends.onnx_model import build_onnx
from search_space.backends.torch_network import GraphNetwork
from search_space.errors import UserError, unknown_name
from search_space.graph import FLOAT_BITS
from search_space.spec import Architecture

from .errors import Refusal, refused
from .predict import predict_program

MODEL, INT8_MODEL, SYMMETRIC_MODEL, PROGRAM = "model.onnx", "model.int8.onnx", "model.int8.symmetric.onnx", "model.pt2"
MODELS = (MODEL, INT8_MODEL, SYMMETRIC_MODEL, PROGRAM)
FLOAT_SHORTFALL = 0.03
"""How far the float file of a quantized network may fall short of the reported accuracy and still be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Options of an export."""

    dynamic_batch: bool = False
    """Leave the ONNX files' batch axis open, instead of 1."""
    symmetric: bool = False
    """Also write an int8 file with int8 activations and zero points 0, as TensorRT wants it."""
    without: tuple[str, ...] = ()
    """Model files that are left out; a file that is refused may be among them. Raises UserError for other names."""

    def __post_init__(self) -> None:
        for name in self.without:
            if name not in MODELS:
                raise UserError(f"--without: {unknown_name('model file', name, MODELS)}")


@dataclass(frozen=True, slots=True)
class Models:
    """The files and what was found about them."""

    files: dict[str, bytes]
    """The model files, and the program that runs the best of them."""
    accuracies: dict[str, float]
    """File -> accuracy on the validation images, run by its own runtime; nothing where the outputs are no classes."""
    findings: tuple[str, ...]
    """What was checked, a sentence each."""
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What a file holds, where its name does not say it; a sentence each."""


def class_names_of(directory: Path) -> tuple[str, ...] | None:
    """The classes that the files of a directory tell apart; None where there are no files, or they do not say."""
    names = _metadata_of(directory, "class_names")
    return None if names is None else tuple(names)


def check_model(file: Path, architecture: Architecture) -> None:
    """Raise UserError where an ONNX file says that it is of another network; one that says nothing passes."""
    spec = _said_by(file, "spec")
    if spec not in (None, architecture.to_dict()):
        raise UserError(f"{file}: is the file of another network than spec.json beside it")


def _metadata_of(directory: Path, key: str) -> Any:
    """What the ONNX files of a directory say under `key`; None where none of them says it."""
    found = (_said_by(directory / name, key) for name in (MODEL, INT8_MODEL))  # not every network has a float file
    return next((value for value in found if value is not None), None)


def _said_by(file: Path, key: str) -> Any:
    try:
        metadata = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
        return json.loads(metadata[key])
    except (OSError, KeyError, ValueError, DecodeError):
        return None


def build_models(
    architecture: Architecture,
    network: GraphNetwork,
    validation: DeviceImages,
    *,
    reference: ReferenceRun,
    accuracy: float,
    options: ModelOptions,
    metadata: Mapping[str, Any],
    progress: Callable[[str], None] = lambda line: None,
) -> Models:
    """Return the model files of a trained network, whose `accuracy` was reported; raises ExportRefused.

    `accuracy` is NaN where none was reported. `reference` is what torch computes for the validation images.

    The float file of a quantized network is left out, with a warning, where its accuracy falls short of the reported
    one by more than `FLOAT_SHORTFALL`.
    """
    graph = architecture.build_graph()
    bits = lowest_bits(graph)
    files, accuracies, findings, warnings = dict[str, bytes](), dict[str, float](), list[str](), list[str]()
    refusals = list[Refusal]()
    if {MODEL, PROGRAM, *((INT8_MODEL,) if bits < FLOAT_BITS else ())} <= set(options.without):
        raise UserError(f"--without {', '.join(options.without)}: no model would be left; leave out fewer")

    def add(name: str, content: bytes, check: FileCheck, *, as_reported: bool) -> None:
        if check.problem:
            refusals.append(Refusal(name, check.problem, check.answers))
            return
        if as_reported and abs(check.accuracy - accuracy) > reference.accuracy_tolerance:
            reason = f"reaches {check.accuracy:.2%}, reported {accuracy:.2%}"
            refusals.append(Refusal(name, reason, check.answers))
            return
        files[name], found = content, f"{name}: {check.finding}"
        if check.accuracy == check.accuracy:
            accuracies[name], found = check.accuracy, f"{found}; accuracy {check.accuracy:.2%}"
        findings.append(found)

    def add_onnx(name: str, computed: GraphNetwork, *, int8: bool = False, symmetric: bool = False) -> None:
        if name in options.without:
            return
        layout = {"int8": int8, "symmetric": symmetric}
        values = network_values(computed)
        model = build_onnx(graph, values, **layout, dynamic_batch=options.dynamic_batch, metadata=metadata)
        content = model.SerializeToString()
        known = reference if computed is network else None
        is_classifier = reference.labels is not None
        check = check_onnx_file(content, computed, validation, **layout, is_classifier=is_classifier, reference=known)
        if computed is not network and not check.problem and check.accuracy < accuracy - FLOAT_SHORTFALL:
            warnings.append(_left_out(bits, check.accuracy, accuracy))
            return
        add(name, content, check, as_reported=computed is network and not symmetric)

    if bits == FLOAT_BITS:
        add_onnx(MODEL, network)
        if options.symmetric:
            warnings.append(f"no {SYMMETRIC_MODEL}: this network runs in float")
    else:
        add_onnx(MODEL, float_network(network))
        add_onnx(INT8_MODEL, network, int8=True)
        if INT8_MODEL in files:
            unfused = unfused_layers(files[INT8_MODEL], graph, network_values(network))
            warnings += [_computed_in_float(name) for name in unfused.unavoidable]
            if unfused.avoidable:
                del files[INT8_MODEL]
                reason = f"the runtime computes {', '.join(unfused.avoidable)} in float"
                refusals.append(Refusal(INT8_MODEL, reason, ""))
        if options.symmetric:
            add_onnx(SYMMETRIC_MODEL, network, int8=True, symmetric=True)
    if PROGRAM not in options.without:
        program = export_program(network, architecture.resolution)
        add(PROGRAM, program, check_program_file(program, network, validation, reference=reference), as_reported=True)
    if refusals:
        raise refused(refusals, len(files))
    warnings += [f"no {name}: it was left out (--without)" for name in options.without]
    for line in (*findings, *(f"warning: {warning}" for warning in warnings)):
        progress(line)
    if (runnable := INT8_MODEL if INT8_MODEL in files else MODEL) in files:
        files["predict.py"] = predict_program(runnable).encode()
    notes = (_float_note(bits, MODEL in accuracies),) if MODEL in files and bits != FLOAT_BITS else ()
    return Models(files, accuracies, tuple(findings), tuple(warnings), notes)


def _float_note(bits: int, is_measured: bool) -> str:
    """What the float file of a quantized network holds."""
    end = ", so its accuracy is measured by itself." if is_measured else "."
    if bits < 8:
        return (
            f"`{MODEL}` computes in float with the weights that the {bits}-bit integers stand for; its activations are "
            f"not rounded{end}"
        )
    return f"`{MODEL}` computes in float with the weights before quantization{end}"


def _left_out(bits: int, found: float, reported: float) -> str:
    return (
        f"no {MODEL}: in float this {bits}-bit network reaches {found:.2%}, more than "
        f"{100 * FLOAT_SHORTFALL:.0f} points below the reported {reported:.2%}; "
        f"{INT8_MODEL} and {PROGRAM} compute the network as it was trained"
    )


def _computed_in_float(layer: str) -> str:
    return f"{INT8_MODEL}: the runtime computes {layer} in float, because its input comes from a float stage"
