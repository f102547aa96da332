"""What can a network learn from a better one? The teacher's probabilities, softened, beside the labels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from search_space.backends.torch_network import GraphNetwork

from .loop import Loss, cross_entropy


def distillation(
    teacher: GraphNetwork,
    *,
    temperature: float,
    hard_weight: float,
    label_smoothing: float,
    precision: torch.dtype = torch.float32,
) -> Loss:
    """hard_weight x cross-entropy + (1 - hard_weight) x T^2 x KL(teacher || student), both softened by T.

    Hinton et al. 2015, sec. 2: the factor T^2 keeps the share of the gradients when T changes. The teacher sees the
    same augmented images.
    """
    teacher = teacher.eval().requires_grad_(False)
    hard = cross_entropy(label_smoothing)

    def loss(images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
            theirs = teacher(images).float()
        soft = F.kl_div(
            F.log_softmax(logits / temperature, dim=1),
            F.log_softmax(theirs / temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return hard_weight * hard(images, logits, labels) + (1 - hard_weight) * temperature**2 * soft

    return loss
