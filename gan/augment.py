"""DiffAugment (Zhao 2020, arXiv 2006.10738): the same random changes for real and fake images.

The strengths are the paper's, whose `color` is brightness, saturation and contrast. There is no
vertical flip, because radiographs are never upside down.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gan.config import Augmentation
from gan.randomness import BatchRandom

SHIFT_SHARE = 1 / 8
ZOOM_SHARE = 1 / 5
"""Largest change of the side by `zoom`, which is not in the paper."""
CUTOUT_SHARE = 1 / 2


def diff_augment(
    images: Tensor,
    policy: Sequence[Augmentation],
    random: BatchRandom,
    probability: float = 1.0,
) -> Tensor:
    """Apply random differentiable changes to each image.

    Args:
        images: float (N, C, S, S) in [-1, 1].
        policy: Names of transforms in their order; empty: the images are unchanged.
        random: Random numbers, on the device of the images.
        probability: Probability of each transform in (0, 1]; the choice is made for each image.

    Returns:
        float (N, C, S, S); brightness, saturation and contrast may leave [-1, 1].

    Raises:
        ValueError: The policy names an unknown transform.
    """
    for name in policy:
        if name not in _TRANSFORMS:
            known = ", ".join(sorted(_TRANSFORMS))
            raise ValueError(f"An augmentation should be one of {known}, not {name!r}.")
        changed = _TRANSFORMS[name](images, random)
        if probability < 1:
            chosen = random.uniform(len(images)) < probability
            changed = torch.where(chosen, changed, images)
        images = changed
    return images


def _brightness(images: Tensor, random: BatchRandom) -> Tensor:
    return images + (random.uniform(len(images)) - 0.5)


def _saturation(images: Tensor, random: BatchRandom) -> Tensor:
    mean = images.mean(dim=1, keepdim=True)
    return (images - mean) * (2 * random.uniform(len(images))) + mean


def _contrast(images: Tensor, random: BatchRandom) -> Tensor:
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (random.uniform(len(images)) + 0.5) + mean


def _translation(images: Tensor, random: BatchRandom) -> Tensor:
    """Shift by whole pixels; new pixels at the border are 0, mid-grey."""
    side = images.shape[-1]
    reach = round(side * SHIFT_SHARE)
    pixel = torch.arange(side, device=images.device)
    down = random.integers(len(images), -reach, reach)
    right = random.integers(len(images), -reach, reach)
    # Row y of the result is row y - down. Products with 0/1 matrices copy pixels exactly, and
    # their gradient is a product too, while that of indexing is a slow scatter.
    rows = (pixel[:, None] - down == pixel).to(images.dtype)  # (N, S, S), [n, out, in]
    columns = (pixel[:, None] == pixel - right).to(images.dtype)  # (N, S, S), [n, in, out]
    return rows.unsqueeze(1) @ images @ columns.unsqueeze(1)


def _zoom(images: Tensor, random: BatchRandom) -> Tensor:
    """Magnify by a random factor about the centre, bilinear; the border is repeated."""
    side = images.shape[-1]
    factor = 1 + ZOOM_SHARE * (2 * random.uniform(len(images))[:, 0] - 1)  # (N, 1, 1)
    pixel = torch.arange(side, device=images.device, dtype=images.dtype)
    middle = (side - 1) / 2
    source = ((pixel - middle) / factor + middle).clamp(0, side - 1)  # (N, 1, S)
    weights = (1 - (source.transpose(1, 2) - pixel).abs()).clamp_min(0)  # (N, S, S), [n, out, in]
    return weights.unsqueeze(1) @ images @ weights.transpose(1, 2).unsqueeze(1)


def _cutout(images: Tensor, random: BatchRandom) -> Tensor:
    """Blank a square of half the side; its centre may be at the border, so it may be clipped."""
    side = images.shape[-1]
    size = round(side * CUTOUT_SHARE)
    pixel = torch.arange(side, device=images.device)
    top = random.integers(len(images), -(size // 2), side - size // 2 - 1)
    left = random.integers(len(images), -(size // 2), side - size // 2 - 1)
    rows = (pixel[:, None] >= top) & (pixel[:, None] < top + size)  # (N, S, 1)
    columns = (pixel >= left) & (pixel < left + size)  # (N, 1, S)
    return images * ~(rows & columns).unsqueeze(1)


def _horizontal_flip(images: Tensor, random: BatchRandom) -> Tensor:
    return torch.where(random.uniform(len(images)) < 0.5, images.flip(3), images)


_TRANSFORMS: dict[Augmentation, Callable[[Tensor, BatchRandom], Tensor]] = {
    "brightness": _brightness,
    "saturation": _saturation,
    "contrast": _contrast,
    "translation": _translation,
    "zoom": _zoom,
    "cutout": _cutout,
    "horizontal-flip": _horizontal_flip,
}
