"""Progressive resizing: the first epochs of a schedule train on smaller images, the last ones at the full resolution.

A convolutional network learns most of what it learns at a fraction of the arithmetic, but it must end at the resolution
at which it will run: one that is fed larger images than it was trained on sees objects at another size and has other
activation statistics (Touvron et al. 2019, sec. 3; the schedule is that of Howard's entry to DAWNBench, 2018).
"""

from torch import nn

from ..config import TrainingConfig
from .batches import DeviceImages, ImageBatches
from .weight_average import estimate_norm_statistics

ImagePair = tuple[DeviceImages, DeviceImages]
"""Training and validation images at one resolution."""


class EpochImages:
    """Batches and validation images of each epoch of one schedule."""

    def __init__(self, reduced: ImagePair, full: ImagePair, config: TrainingConfig, *, seed: int) -> None:
        """`reduced` and `full` hold the same images; the first `config.reduced_epochs` epochs take the reduced ones."""
        self.full = full
        is_smaller = reduced[0].images.shape != full[0].images.shape
        self.reduced_epochs = config.reduced_epochs if is_smaller else 0
        self._reduced = reduced
        self.batches = ImageBatches(
            reduced[0] if self.reduced_epochs else full[0],
            batch_size=config.batch_size,
            crop=config.crop,
            flip=config.flip,
            cutout=config.cutout,
            seed=seed,
        )
        """The batches of the current epoch."""

    def start_epoch(self, epoch: int, network: nn.Module) -> DeviceImages:
        """Set `batches` for `epoch` (0 is the first), and return its validation images.

        Before the first epoch at the full resolution the batch-norms of `network` get their statistics there.
        """
        if epoch < self.reduced_epochs:
            return self._reduced[1]
        if self.batches.data is not self.full[0]:
            self.batches = self.batches.resized(self.full[0])
        if epoch == self.reduced_epochs > 0:
            estimate_norm_statistics(network, self.full[0])
        return self.full[1]

    def full_validation(self, network: nn.Module) -> DeviceImages:
        """Return the validation images at the full resolution, on which `network` is about to be measured.

        After an epoch on reduced images its batch-norms first get their statistics at the full resolution.
        """
        if self.batches.data is not self.full[0]:
            estimate_norm_statistics(network, self.full[0])
        return self.full[1]
