"""Checks of the files that are written of a network: does each compute what torch computes?"""

import io
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from search_space.backends.torch_network import GraphNetwork
from search_space.graph import Graph
from search_space.spec import Architecture
from search_space.texts.counting import count_of

from ..network_weights import load_network
from ..training.batches import DeviceImages
from .answer_agreement import ReferenceRun, accuracy_of, run_reference
from .layer_comparison import EXACT_TOLERANCE, Logits, compare_exactly, compare_layers
from .onnx_files import onnx_logits, onnx_trace, structural_error
from .torch_export import frozen_network, network_values

MAX_TRACED_IMAGES, MIN_TRACED_IMAGES = 64, 4
_TRACED_VALUES, _TRACED_MACS = 5e7, 2e9
"""What a trace may hold and take, in values and in MACs: 400 MB, a second or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """What was found about a file."""

    problem: str | None
    """Why it is not the network; None where it is."""
    finding: str = ""
    """What was checked, as a clause."""
    accuracy: float = float("nan")
    """On the images, run by the file's own runtime; NaN where the outputs are no classes."""
    answers: str = ""
    """How many images get another answer than torch's; empty where the file does not run."""


def check_onnx_file(
    model: bytes,
    network: GraphNetwork,
    images: DeviceImages,
    *,
    int8: bool = False,
    symmetric: bool = False,
    is_classifier: bool = True,
    reference: ReferenceRun | None = None,
) -> FileCheck:
    """Check the structure of an ONNX file, each tensor on some of the images, and its answers for all of them.

    `network` is what the file is to compute, `reference` its run on the images where that is known. The symmetric
    layout has ranges of its own at 8 bits, so that its answers may differ and are not checked.
    """
    if error := structural_error(model):
        return FileCheck(problem=f"onnx's checker: {error}")
    some = images.normalised(slice(0, traced_images(network.graph)))
    values = network_values(network)
    try:
        trace = onnx_trace(model, network.graph, values, some, int8=int8, symmetric=symmetric)
        logits = onnx_logits(model, images)
    except Exception as error:  # the runtime has exceptions of its own, with no common base but this
        return FileCheck(problem=f"the runtime does not run it: {' '.join(str(error).split())[:300]}")
    known = reference or run_reference(network, images, is_classifier=is_classifier)
    agreement = known.compare(logits)
    if wrong := compare_layers(network, some, trace):
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        found = f"{wrong[0]} from what torch computes for it{more}"
        return FileCheck(problem=found, answers=agreement.answers)
    images_seen = count_of(len(some), "image")
    checked = f"onnx's checker; each of {len(trace)} tensors follows from those before it, on {images_seen}"
    accuracy = accuracy_of(logits, known.labels)
    if symmetric:
        return FileCheck(problem=None, finding=f"{checked}; its ranges at 8 bits are its own", accuracy=accuracy)
    problem = None if agreement.holds else str(agreement)
    return FileCheck(problem=problem, finding=f"{checked}; {agreement}", accuracy=accuracy, answers=agreement.answers)


def check_program_file(
    program: bytes, network: GraphNetwork, images: DeviceImages, *, reference: ReferenceRun | None = None
) -> FileCheck:
    """Check that a `torch.export` file is the same function as `network`, and its answers for all images."""
    module = torch.export.load(io.BytesIO(program)).module()
    logits = _program_logits(module, images)
    some = images.normalised(slice(0, traced_images(network.graph)))
    difference = compare_exactly(network, module, some)
    known = reference or run_reference(network, images)
    agreement = known.compare(logits)
    if not difference <= EXACT_TOLERANCE:
        problem = f"outputs in float64 differ from torch's by {difference:.1e} of the largest"
        return FileCheck(problem=problem, answers=agreement.answers)
    return FileCheck(
        answers=agreement.answers,
        problem=None if agreement.holds else str(agreement),
        finding=f"read back; the same in float64 on {count_of(len(some), 'image')}; {agreement}",
        accuracy=accuracy_of(logits, known.labels),
    )


def check_weights(
    weights: bytes, architecture: Architecture, network: GraphNetwork, images: DeviceImages
) -> tuple[GraphNetwork, FileCheck]:
    """Read weights back; return their network, and whether it is `network`. All on the device of the images."""
    device = images.images.device
    loaded = load_network(architecture, weights).to(device)
    some = images.normalised(slice(0, traced_images(network.graph))).cpu()
    difference = compare_exactly(network, frozen_network(loaded).cpu(), some)
    if not difference <= EXACT_TOLERANCE:
        return loaded, FileCheck(problem=f"outputs in float64 differ from the network's by {difference:.1e}")
    reference = run_reference(loaded, images)
    agreement = reference.compare(run_reference(network, images).logits)
    problem = None if agreement.holds else str(agreement)
    return loaded, FileCheck(problem=problem, finding=f"read back; {agreement}", accuracy=reference.accuracy)


def traced_images(graph: Graph) -> int:
    """Return on how many images every tensor is compared: as many as are quick, and fit into memory."""
    values = sum(node.shape.numel for node in graph.nodes)
    macs = sum(node.macs for node in graph.nodes)
    return int(max(MIN_TRACED_IMAGES, min(MAX_TRACED_IMAGES, _TRACED_VALUES // values, _TRACED_MACS // max(macs, 1))))


def _program_logits(module: nn.Module, images: DeviceImages, batch_size: int = 100) -> Logits:
    with torch.inference_mode():
        parts = [
            module(images.normalised(slice(start, start + batch_size))).numpy()
            for start in range(0, len(images), batch_size)
        ]
    return np.concatenate(parts)
