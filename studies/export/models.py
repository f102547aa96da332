"""Which files run the network elsewhere? ONNX in float32 and int8, and a torch program, each checked."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from google.protobuf.message import DecodeError

from runners.deploy import export_program, float_network, network_values
from runners.images import DeviceImages
from runners.quantization import lowest_bits
from runners.verify_onnx import largest_difference, onnx_accuracy, structural_error, unfused_layers
from search_space.graph import FLOAT_BITS
from search_space.network import GraphNetwork
from search_space.onnx_model import build_onnx
from search_space.spec import Architecture
from search_space.values import NetworkValues

from .errors import ExportRefused

MODEL, INT8_MODEL, SYMMETRIC_MODEL, PROGRAM = "model.onnx", "model.int8.onnx", "model.int8.symmetric.onnx", "model.pt2"
MAX_OUTPUT_DIFFERENCE = 1e-4
MAX_ACCURACY_DIFFERENCE = 0.005
COMPARED_IMAGES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """What a user can choose about the files."""

    dynamic_batch: bool = False
    """Leave the ONNX files' batch axis open, instead of 1."""
    symmetric: bool = False
    """Also write an int8 file with int8 activations and zero points 0, as TensorRT wants it."""


@dataclass(frozen=True, slots=True)
class Models:
    """The files and what was found about them."""

    files: dict[str, bytes]
    accuracies: dict[str, float]
    """File -> accuracy on the validation images, run by its own runtime."""
    findings: tuple[str, ...]
    """What was checked, a sentence each."""
    warnings: tuple[str, ...]


def class_names_of(model: Path) -> tuple[str, ...] | None:
    """The classes that an exported file tells apart; None where there is no such file, or it does not say."""
    try:
        metadata = {entry.key: entry.value for entry in onnx.load(model).metadata_props}
        return tuple(json.loads(metadata["class_names"]))
    except (OSError, KeyError, ValueError, DecodeError):
        return None


def build_models(
    architecture: Architecture,
    network: GraphNetwork,
    validation: DeviceImages,
    *,
    accuracy: float,
    options: ModelOptions,
    metadata: Mapping[str, Any],
    progress: Callable[[str], None] = lambda line: None,
) -> Models:
    """The model files of a trained network, whose `accuracy` was reported; raises ExportRefused.

    Where the images at which it was trained are smaller than its resolution, height and width of the ONNX input stay
    open, so that one file has both the accuracy and the latency that were reported.
    """
    graph, values = architecture.build_graph(), network_values(network)
    trained = int(validation.images.shape[-1])
    shape = {"dynamic_batch": options.dynamic_batch, "dynamic_size": trained != architecture.resolution}
    plain = build_onnx(graph, values, **shape, metadata=metadata).SerializeToString()
    files, findings, warnings = {MODEL: plain}, [_check_float(plain, network, validation)], list[str]()
    accuracies = {MODEL: onnx_accuracy(plain, validation)}
    if lowest_bits(graph) < FLOAT_BITS:
        files[INT8_MODEL] = build_onnx(graph, values, int8=True, **shape, metadata=metadata).SerializeToString()
        accuracies[INT8_MODEL] = _check_accuracy(files[INT8_MODEL], validation, accuracy)
        warnings += _check_fused(files[INT8_MODEL], architecture, values)
        findings.append(f"{INT8_MODEL}: onnx's checker; accuracy {accuracies[INT8_MODEL]:.4f}, reported {accuracy:.4f}")
        if options.symmetric:
            model = build_onnx(graph, values, int8=True, symmetric=True, **shape, metadata=metadata)
            files[SYMMETRIC_MODEL] = model.SerializeToString()
            symmetric_accuracy = onnx_accuracy(_well_formed(files[SYMMETRIC_MODEL], SYMMETRIC_MODEL), validation)
            accuracies[SYMMETRIC_MODEL] = symmetric_accuracy
            findings.append(f"{SYMMETRIC_MODEL}: onnx's checker; accuracy {symmetric_accuracy:.4f}, its own ranges")
    elif abs(accuracies[MODEL] - accuracy) > MAX_ACCURACY_DIFFERENCE:
        raise ExportRefused(
            f"{MODEL}: reaches {accuracies[MODEL]:.4f}, reported was {accuracy:.4f}; nothing was written"
        )
    files[PROGRAM] = export_program(network, trained)
    findings.append(_check_program(files[PROGRAM], network, validation))
    for line in (*findings, *(f"warning: {warning}" for warning in warnings)):
        progress(line)
    return Models(files, accuracies, tuple(findings), tuple(warnings))


def _well_formed(model: bytes, name: str) -> bytes:
    if error := structural_error(model):
        raise ExportRefused(f"{name}: onnx's checker: {error}; nothing was written")
    return model


def _check_float(model: bytes, network: GraphNetwork, validation: DeviceImages) -> str:
    images = validation.normalised(slice(0, COMPARED_IMAGES))
    difference = largest_difference(_well_formed(model, MODEL), float_network(network), images)
    if not difference <= MAX_OUTPUT_DIFFERENCE:
        raise ExportRefused(f"{MODEL}: outputs differ from torch's by up to {difference:.1e}; nothing was written")
    return f"{MODEL}: onnx's checker; outputs within {difference:.1e} of torch's on {len(images)} images"


def _check_accuracy(model: bytes, validation: DeviceImages, reported: float) -> float:
    accuracy = onnx_accuracy(_well_formed(model, INT8_MODEL), validation)
    if abs(accuracy - reported) > MAX_ACCURACY_DIFFERENCE:
        raise ExportRefused(f"{INT8_MODEL}: reaches {accuracy:.4f}, reported was {reported:.4f}; nothing was written")
    return accuracy


def _check_fused(model: bytes, architecture: Architecture, values: NetworkValues) -> list[str]:
    unfused = unfused_layers(model, architecture.build_graph(), values)
    if unfused.avoidable:
        raise ExportRefused(
            f"{INT8_MODEL}: the runtime computes {', '.join(unfused.avoidable)} in float; nothing was written"
        )
    return [
        f"{INT8_MODEL}: the runtime computes {name} in float, because its input comes from a float stage"
        for name in unfused.unavoidable
    ]


def _check_program(program: bytes, network: GraphNetwork, validation: DeviceImages) -> str:
    images = validation.normalised(slice(0, COMPARED_IMAGES))
    with torch.inference_mode():
        found = torch.export.load(io.BytesIO(program)).module()(images)
        difference = float((found - network.eval()(images)).abs().max())
    if not difference <= MAX_OUTPUT_DIFFERENCE:
        raise ExportRefused(f"{PROGRAM}: outputs differ from torch's by up to {difference:.1e}; nothing was written")
    return f"{PROGRAM}: read back; outputs within {difference:.1e} of torch's on {len(images)} images"
