"""The teacher of a recipe: its weights, and the loss that learns from it."""

import hashlib
from pathlib import Path
from typing import Any, cast

import torch

from search_space.architectures import architecture_from_dict
from search_space.errors import UserError

from ..config import TrainingConfig
from ..network_weights import load_network
from ..training.distillation import distillation
from ..training.loop import Loss, resolve_precision
from .recipe import TeacherConfig


def read_teacher(teacher: TeacherConfig) -> bytes:
    """The teacher's weights; raises UserError where they are no longer those that the recipe means."""
    try:
        weights = Path(teacher.weights).read_bytes()
    except OSError as error:
        raise UserError(f"teacher {teacher.name}: {teacher.weights}: {error.strerror}") from None
    if hashlib.sha256(weights).hexdigest() != teacher.sha256:
        raise UserError(f"teacher {teacher.name}: {teacher.weights} has changed since the job began")
    return weights


def teacher_loss(teacher: TeacherConfig, training: TrainingConfig, device: torch.device) -> Loss:
    """Return the loss of a network that learns from a teacher; raises UserError as `read_teacher`."""
    network = load_network(architecture_from_dict(teacher.spec), read_teacher(teacher))
    return distillation(
        cast(Any, network).to(device, memory_format=torch.channels_last),
        temperature=teacher.temperature,
        hard_weight=teacher.hard_weight,
        label_smoothing=training.label_smoothing,
        precision=resolve_precision(training, network.graph, device),
    )
