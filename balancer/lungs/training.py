"""The training of the lung U-Net: Lightning module, loss, augmentation."""

import logging
import math
import time
from collections.abc import Iterator
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from balancer.errors import Diverged
from balancer.imaging.lungs.unet import LungUNet
from balancer.lungs.config import LungsConfig
from balancer.lungs.examples import LungExamples
from classifier.augmentation import Augmentation
from classifier.trainer import (
    TrainingHardware,
    new_trainer,
    plain_interrupts,
    quiet,
)

log = logging.getLogger(__name__)

_WARM_UP = 0.15
"""Share of the steps over which the learning rate rises before it falls in a half cosine."""
_WEIGHT_DECAY = 1e-4

Batch = tuple[Tensor, Tensor]


def train_unet(
    examples: LungExamples, config: LungsConfig, *, seed: int, hardware: TrainingHardware
) -> LungUNet:
    """Train a U-Net from scratch; the last weights are kept.

    The same arguments give the same weights on a CPU with the same number of threads.

    Args:
        examples: Images and masks at `image_size`.
        config: The recipe.
        seed: Seed for initial weights, order and augmentation.
        hardware: Device and precision.

    Returns:
        The network in eval mode, on the CPU.

    Raises:
        Diverged: The loss is not finite.
        KeyboardInterrupt: Ctrl-C.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LungUNet(config.filters)
    n_steps = max(1, math.ceil(config.images_shown / config.batch_size))
    module = LungModule(network.to(memory_format=torch.channels_last), config, n_steps)
    stream = _Stream(examples, config, seed, n_steps)
    with quiet(), plain_interrupts():
        trainer = new_trainer(hardware, n_steps)
        trainer.fit(module, DataLoader(stream, batch_size=config.batch_size))
    return network.to("cpu").eval().requires_grad_(False)


class LungModule(L.LightningModule):
    """AdamW, one cycle, binary cross-entropy plus Dice loss.

    Args:
        network: The network to train.
        config: `learning_rate` and `batch_size` are used.
        n_steps: Number of optimizer steps of the run.
    """

    def __init__(self, network: LungUNet, config: LungsConfig, n_steps: int) -> None:
        super().__init__()
        self.network = network
        self._config, self._n_steps = config, n_steps
        self._started = time.monotonic()

    def configure_optimizers(self) -> Any:
        """Let the rate rise linearly and fall to zero in a half cosine."""
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self._config.learning_rate, weight_decay=_WEIGHT_DECAY
        )
        rise = max(1, round(_WARM_UP * self._n_steps))

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            return 0.5 + 0.5 * math.cos(math.pi * (step - rise) / max(1, self._n_steps - rise))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch: uint8 images and masks (N, 1, S, S)."""
        images, masks = batch
        loss = lung_loss(self.network(images), masks.float())
        value = loss.item()
        if not math.isfinite(value):
            raise Diverged(
                f"The loss of the lung U-Net should stay finite but was {value} after step "
                f"{self.global_step + 1} of {self._n_steps}; lower lungs.learning_rate "
                f"(now {self._config.learning_rate:g})."
            )
        done = batch_idx + 1
        if done % max(1, self._n_steps // 6) == 0:
            shown = done * self._config.batch_size
            rate = shown / max(time.monotonic() - self._started, 1e-9)
            total = self._n_steps * self._config.batch_size
            log.info("U-Net: %d of %d images, loss %.3f, %.0f images/s", shown, total, value, rate)
        return loss


def lung_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return binary cross-entropy plus 1 - soft Dice, each the mean over images.

    Soft Dice of Milletari, Navab and Ahmadi 2016 (arXiv 1606.04797), without squares.

    Args:
        logits: float (N, 1, S, S).
        masks: float (N, 1, S, S), 0 or 1.
    """
    chances = logits.sigmoid()
    both = (chances * masks).sum(dim=(1, 2, 3))
    total = chances.sum(dim=(1, 2, 3)) + masks.sum(dim=(1, 2, 3))
    dice = (2 * both + 1) / (total + 1)
    return F.binary_cross_entropy_with_logits(logits, masks) + (1 - dice).mean()


class LungAugment:
    """Affine, mirror, brightness and contrast changes of an image and its mask alike."""

    def __init__(self, config: LungsConfig, seed: int) -> None:
        self._seed = seed
        self._augment = Augmentation(
            rotation=config.rotation_degrees,
            shift=config.shift,
            zoom=config.zoom,
            warp_probability=0.8,
            brightness=config.brightness,
            brightness_probability=0.8,
            horizontal_flip=0.5,
        )

    def __call__(
        self, film: NDArray[np.uint8], mask: NDArray[np.bool_], number: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Change an image, uint8 (S, S), and its mask, bool (S, S); `number` counts them.

        Returns:
            uint8 (S, S) both, the mask 0 and 1.
        """
        state = np.random.SeedSequence((self._seed, number)).generate_state(1)
        return self._augment.with_mask(film, mask.astype(np.uint8), seed=int(state[0]))


class _Stream(IterableDataset[Batch]):
    """All images of a run, in a new order for each pass over them."""

    def __init__(
        self, examples: LungExamples, config: LungsConfig, seed: int, n_steps: int
    ) -> None:
        self._examples, self._seed = examples, seed
        self._augment = LungAugment(config, seed)
        self._length = n_steps * config.batch_size

    def __iter__(self) -> Iterator[Batch]:
        films, masks = self._examples.films, self._examples.masks
        for number in range(self._length):
            visit, place = divmod(number, len(films))
            if place == 0:
                order = np.random.default_rng([self._seed, visit]).permutation(len(films))
            film, mask = self._augment(films[order[place]], masks[order[place]], number)
            yield torch.from_numpy(film)[None], torch.from_numpy(mask)[None]
