"""A training of one's own: networks that tell by how many degrees a picture is turned, instead of its class.

From the folder of this file:

    resfront search quick --name rotation --evaluator rotation:train --objectives angle_error_deg,macs
"""

import math
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

import resfront

ANGLE_ERROR = resfront.metric(
    "angle_error_deg",
    label="Angle error (degrees)",
    unit="degrees",
    direction="minimize",
    worst=90.0,  # of guessing
    best=1.0,
    note="mean of the absolute error over turns by any angle",
)
WITHIN_15 = resfront.metric(
    "within_15_deg", label="Within 15 degrees", unit="fraction", direction="maximize", worst=1 / 12, best=1.0
)

LEARNING_RATE = 0.005
"""Of AdamW; the study's own is meant for SGD."""


@resfront.evaluator(ANGLE_ERROR, WITHIN_15, outputs=2)
def train(candidate: resfront.Candidate, on_epoch: Callable[[resfront.Epoch], None]) -> resfront.Evaluation:
    """Train one network: its two outputs are the cosine and the sine of the angle."""
    started = time.perf_counter()
    architecture, schedule = candidate.architecture, candidate.training
    training, validation = resfront.candidate_images(candidate)
    generator = torch.Generator().manual_seed(candidate.seed)
    torch.manual_seed(candidate.seed)
    network = resfront.build_network(architecture.with_bits(32)).to(candidate.device)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=schedule.weight_decay)
    batches = math.ceil(len(training) / schedule.batch_size)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, schedule.epochs * batches)
    curve = []
    for epoch in range(1, schedule.epochs + 1):
        network.train()
        began, total = time.perf_counter(), 0.0
        for chosen in torch.randperm(len(training), generator=generator).split(schedule.batch_size):
            angles = (2 * math.pi * torch.rand(len(chosen), generator=generator)).to(candidate.device)
            outputs = network(turned(training.normalised(chosen), angles))
            loss = F.mse_loss(outputs, torch.stack([angles.cos(), angles.sin()], 1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
            total += float(loss.detach()) * len(chosen)
        error = measured(network, validation)[ANGLE_ERROR.name]
        seconds = time.perf_counter() - began
        curve.append(
            resfront.Epoch(step="train", epoch=epoch, train_loss=total / len(training), metric=error, seconds=seconds)
        )
        on_epoch(curve[-1])
    in_float = measured(network, validation)
    network = resfront.quantize(network, architecture, training)  # as it runs at the bits of the candidate
    return resfront.evaluation_of(
        candidate,
        network,
        metrics=measured(network, validation),
        float_metrics=in_float,
        curve=curve,
        training_images=len(training),
        validation_images=len(validation),
        started=started,
    )


def turned(images: Tensor, angles: Tensor) -> Tensor:
    """Return images (n, channels, side, side) turned by `angles` (n,) in radians, and cut to a disc.

    Without the disc the corners would give the angle away.
    """
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    matrices = torch.stack([cos, -sin, zero, sin, cos, zero], 1).view(-1, 2, 3)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    disc = (grid.square().sum(-1) <= 1)[:, None]
    return F.grid_sample(images, grid, align_corners=False) * disc


@torch.inference_mode()
def measured(network: torch.nn.Module, images: resfront.DeviceImages) -> dict[str, float]:
    """Return both metrics on images that are turned by the same angles each time."""
    network.eval()
    angles = torch.linspace(0, 2 * math.pi, len(images) + 1)[:-1].to(images.images.device)
    outputs = torch.cat(
        [
            network(turned(images.normalised(slice(start, start + 500)), angles[start : start + 500]))
            for start in range(0, len(images), 500)
        ]
    )
    apart = (torch.atan2(outputs[:, 1], outputs[:, 0]) - angles + math.pi).remainder(2 * math.pi) - math.pi
    degrees = torch.rad2deg(apart.abs())
    return {ANGLE_ERROR.name: float(degrees.mean()), WITHIN_15.name: float((degrees <= 15).float().mean())}
