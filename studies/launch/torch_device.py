"""The check of the device that networks are trained on."""

from search_space.errors import UserError


def check_device(device: str) -> None:
    """Raise UserError unless torch has the device."""
    from runners.config import WorkersConfig

    WorkersConfig(device=device)
    if device == "cpu":
        return
    import torch

    index = int(device.partition(":")[2] or 0)
    if index >= torch.cuda.device_count():
        raise UserError(f"--device {device}: torch finds {torch.cuda.device_count()} CUDA devices here; use cpu")
