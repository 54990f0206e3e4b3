"""Diversity of one set of images; no reference is needed."""

import numpy as np
import torch
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from balancer.imaging.pixels import planes
from balancer.quality.aligned import Images, nearest_aligned
from balancer.quality.figures import MsSsim

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_KERNEL = 11
_BATCH = 64


def pairwise_ms_ssim(images: Images, rng: np.random.Generator, *, pairs: int) -> float:
    """Compute the mean MS-SSIM of random pairs (Wang 2003; for GANs: Odena 2017, 1610.09585).

    Five scales need 176 px; smaller images have as many as fit, with weights that sum to 1.

    Args:
        images: uint8 (N, S, S) or (N, S, S, 3), N >= 2, S >= 11; the channels are averaged.
        rng: Random numbers that choose the pairs.
        pairs: Number of pairs; all of them if there are fewer.

    Returns:
        At most 1, which is the same image repeated; real images set the scale.
    """
    first, second = _pairs(len(images), pairs, rng)
    weights = _weights(images.shape[1])
    values = [
        multiscale_structural_similarity_index_measure(
            _tensor(images[first[start : start + _BATCH]]),
            _tensor(images[second[start : start + _BATCH]]),
            kernel_size=_KERNEL,
            reduction="none",
            data_range=255.0,
            betas=weights,
            normalize="relu",
        )
        for start in range(0, len(first), _BATCH)
    ]
    return float(torch.cat([value.reshape(-1) for value in values]).double().mean())


def compare_ms_ssim(
    generated: Images, real: Images, rng: np.random.Generator, *, pairs: int
) -> MsSsim:
    """Measure `pairwise_ms_ssim` of synthetic images, and of equally many real ones."""
    value, floor = (pairwise_ms_ssim(some, rng, pairs=pairs) for some in (generated, real))
    return MsSsim(
        generated=value,
        real=floor,
        ratio=value / max(floor, 1e-12),
        n=len(generated),
        recipe=ms_ssim_recipe(generated.shape[1], pairs),
    )


def twin_share(images: Images, correlation: float) -> float:
    """Compute the share of images that have a near copy among the others of their set.

    It grows with the number of images, so compare sets of equal size only.

    Args:
        images: uint8 (N, S, S), N >= 2.
        correlation: Correlation of aligned pixels at or above which two images are near copies.
    """
    nearest = nearest_aligned(images, images, same_set=True)
    return float((nearest.correlations >= correlation).mean())


def ms_ssim_recipe(side: int, pairs: int) -> str:
    """Describe `pairwise_ms_ssim` in words."""
    return f"MS-SSIM of {len(_weights(side))} scales, mean over {pairs} random pairs"


def _weights(side: int) -> tuple[float, ...]:
    scales = 1
    while scales < len(_WEIGHTS) and side // 2**scales >= _KERNEL:
        scales += 1
    total = sum(_WEIGHTS[:scales])
    return tuple(weight / total for weight in _WEIGHTS[:scales])


def _pairs(n: int, pairs: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.triu_indices(n, 1)
    chosen = rng.permutation(len(first))[:pairs]
    return first[chosen], second[chosen]


def _tensor(images: Images) -> torch.Tensor:
    return torch.from_numpy(planes(images).astype(np.float32))
