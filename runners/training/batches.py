"""How do images reach the network? All of them as bytes on the device; crops, flips and cutout on batches there."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

HALF_UP = 1e-6
"""Grey levels: more than the rounding errors of a resized pixel in float64, less than what separates exact values."""
PART_BYTES = 2**23
"""Images are resized in parts whose floats take so many bytes."""


@dataclass(frozen=True, slots=True)
class DeviceImages:
    """Images and labels on one device, with the normalisation of the training set. `len` gives the number of images."""

    images: Tensor
    """Pixels, uint8 of shape (N, channels, resolution, resolution)."""
    labels: Tensor
    """Classes, int64 of shape (N,)."""
    mean: float
    """Mean grey level, a whole number from 0 to 255, the same for all channels."""
    std: float
    """Standard deviation in grey levels, the same for all channels."""
    index: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    """Position of each image among those of the data set's split, int64 of shape (N,); empty where it is not known."""

    def __len__(self) -> int:
        return len(self.labels)

    def cpu(self) -> "DeviceImages":
        """Copy the images to the host's memory.

        Returns
        -------
        DeviceImages
            The same images.
        """
        return DeviceImages(self.images.cpu(), self.labels.cpu(), self.mean, self.std, self.index.cpu())

    def normalised(self, index: slice | Tensor) -> Tensor:
        """Normalise some of the images, as networks take them.

        Parameters
        ----------
        index
            Which images: a slice, or a tensor of indices.

        Returns
        -------
        torch.Tensor
            float32 of shape (n, channels, resolution, resolution), with channels last in memory.
        """
        return normalise(self.images[index], self.mean, self.std)


def to_device(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    mean: float,
    std: float,
    resolution: int,
    device: torch.device,
    chosen: NDArray[np.int64] | slice = slice(None),
) -> DeviceImages:
    """Images (N, H, W, C) uint8 -> those `chosen` on `device` at `resolution` x `resolution` pixels, antialiased.

    `labels` are those of the chosen images, `mean` and `std` those of the data set, in [0, 1]. It takes a few times
    PART_BYTES of memory beside the result.
    """
    indices = np.arange(len(images))[chosen]
    count, channels = len(indices), images.shape[3]
    pixels = torch.empty((count, channels, resolution, resolution), dtype=torch.uint8, device=device)
    largest = channels * max(images.shape[1], resolution) ** 2
    step = max(1, PART_BYTES // (torch.float64.itemsize * largest))
    for start in range(0, count, step):
        part = torch.from_numpy(images[indices[start : start + step]]).to(device).permute(0, 3, 1, 2)
        pixels[start : start + step] = _resized(part, resolution)
    # The mean is a whole grey level / 255; rounding takes away what the division left.
    on_device = (torch.from_numpy(array).to(device) for array in (labels, indices))
    return DeviceImages(pixels, next(on_device), round(255 * mean), 255 * std, next(on_device))


def _resized(images: Tensor, resolution: int) -> Tensor:
    """uint8 (n, C, H, W) -> (n, C, resolution, resolution)."""
    size = (resolution, resolution)
    if images.shape[2:] == size:
        return images
    floats = F.interpolate(images.double(), size, mode="bilinear", antialias=True)
    # Halves, which are common, go up on every processor, whatever the last bits of its arithmetic.
    return floats.add_(HALF_UP).round_().clamp_(0, 255).to(torch.uint8)


def normalise(images: Tensor, mean: float, std: float) -> Tensor:
    """uint8 (n, C, H, W) -> float32 (pixel - mean) / std, channels last."""
    return images.to(torch.float32, memory_format=torch.channels_last).sub_(mean).div_(std)


def _with_borders(images: Tensor, padding: int) -> Tensor:
    """(n, C, H, H) with reflected borders, in bytes, which torch's own reflection does not take.

    Black borders would be a feature that the validation images lack.
    """
    n, channels, size, _ = images.shape
    padded = images.new_empty((n, channels, size + 2 * padding, size + 2 * padding))
    inner, end = slice(padding, padding + size), size + padding
    padded[:, :, inner, inner] = images
    for rows in (padded, padded.transpose(2, 3)):  # with the corners, the second time
        rows[:, :, :padding] = rows[:, :, padding + 1 : 2 * padding + 1].flip(2)
        rows[:, :, end:] = rows[:, :, end - padding - 1 : end - 1].flip(2)
    return padded


class ImageBatches:
    """Shuffled, augmented batches of an epoch; the same for the same seed, whatever ran before.

    Holds no copy of the images: what it takes beside them are some copies of one batch.
    """

    def __init__(
        self, data: DeviceImages, *, batch_size: int, crop: bool, flip: bool, cutout: float, seed: int
    ) -> None:
        self.batch_size = min(batch_size, len(data))
        self.crop, self.flip, self.cutout = crop, flip, cutout
        self._random = torch.Generator(device="cpu").manual_seed(seed)
        self._take(data)

    def resized(self, data: DeviceImages) -> "ImageBatches":
        """Return batches of the same images in another size, which go on with the same random numbers."""
        assert len(data) == len(self.data)
        other = copy.copy(self)
        other._take(data)
        return other

    def _take(self, data: DeviceImages) -> None:
        self.data = data
        self.resolution = data.images.shape[-1]
        self.padding = max(1, self.resolution // 8) if self.crop else 0
        self.hole = round(self.cutout * self.resolution)

    def __len__(self) -> int:
        """Batches in an epoch; a last, smaller one is left out because batch-norm would suffer from it."""
        return len(self.data) // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images float32 (batch, C, H, W), channels last, and labels (batch,)."""
        device = self.data.labels.device
        order = torch.randperm(len(self.data), generator=self._random)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            index = order[start : start + self.batch_size].to(device)
            images = self._cropped(index)
            if self.flip:
                images = torch.where(self._coins(len(index)), images.flip(3), images)
            batch = normalise(images, self.data.mean, self.data.std)
            if self.hole:
                batch = batch.masked_fill_(self._holes(len(index)), 0.0)
            yield batch, self.data.labels[index]

    def state(self) -> Tensor:
        """Of the random numbers behind the next epoch."""
        return self._random.get_state()

    def set_state(self, state: Tensor) -> None:
        """Go on as after the epoch at whose end `state` was taken."""
        self._random.set_state(state.cpu())

    def _cropped(self, index: Tensor) -> Tensor:
        offsets = self._integers(2 * self.padding + 1, (2, len(index)))
        images = self.data.images[index]
        if not self.padding:
            return images
        windows = _with_borders(images, self.padding).unfold(2, self.resolution, 1).unfold(3, self.resolution, 1)
        cropped: Tensor = windows[torch.arange(len(index), device=index.device), :, offsets[0], offsets[1]]
        return cropped

    def _coins(self, n: int) -> Tensor:
        return self._integers(2, (n,)).bool()[:, None, None, None]

    def _holes(self, n: int) -> Tensor:
        """Mask (n, 1, H, W) of squares centred anywhere in the image (DeVries & Taylor 2017)."""
        top, left = self._integers(self.resolution, (2, n, 1)) - self.hole // 2
        pixels = torch.arange(self.resolution, device=self.data.labels.device)
        rows = (pixels >= top) & (pixels < top + self.hole)
        columns = (pixels >= left) & (pixels < left + self.hole)
        holes: Tensor = rows[:, :, None] & columns[:, None, :]
        return holes[:, None]

    def _integers(self, high: int, size: tuple[int, ...]) -> Tensor:
        # Drawn on the CPU, so that a seed means the same on every device.
        return torch.randint(high, size, generator=self._random).to(self.data.labels.device)
