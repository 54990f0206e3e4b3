"""Lungs for the probes: those of given masks, or those that the built-in segmentation finds.

The built-in segmentation stops at dense opacities, so that the outline it finds depends on the
disease. What a probe must not see is therefore more than the lungs found in one image: it is also
every place where many images of the set have lungs, which hides the outline. Without this, a probe
of drawn chests whose classes differ by opacities alone reached AUROC 0.86; with it, 0.70.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.masks.read import MaskStack
from balancer.data.threads import map_threaded
from balancer.imaging.lungs.segment import DOUBTFUL, segment_lungs
from balancer.imaging.lungs.views import MARGINS
from balancer.imaging.pixels import fit_mask
from balancer.shortcuts.views import Images

FINEST = 128
"""Smallest side at which lungs are searched and sharpness is measured."""
_COMMON = 0.2
"""Share of the images from which a place counts as lung in all. At 0.1, marks beside the tips of
the lungs were hidden too; at 0.5, the disease showed."""
_MARGIN = MARGINS["lungs-blacked-out"]
_METHOD = b"classical lungs 1"

Stack = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LungsOfSet:
    """Lungs of all images, at the side that classifiers see and at the finest.

    Attributes:
        shown: bool (N, S, S), true in the lungs.
        hidden: bool (N, S, S), true in the lungs and, of found lungs, in a margin around them and
            where many other images have lungs.
        hidden_finest: The same, bool (N, L, L).
        near_finest: bool (N, L, L), the same without the lungs of other images.
        present: bool (N,), images whose lungs are known; the others take no part.
        origin: `given` by masks, or `found` by the built-in segmentation.
    """

    shown: Stack
    hidden: Stack
    hidden_finest: Stack
    near_finest: Stack
    present: NDArray[np.bool_]
    origin: Literal["given", "found"]

    def left_out(self, labels: Sequence[str]) -> dict[str, int]:
        """Return the number of images that take no part, for each class that has some."""
        lost = [label for label, known in zip(labels, self.present, strict=True) if not known]
        return {label: lost.count(label) for label in sorted(set(lost))}


def given_lungs(masks: MaskStack, finest: int) -> LungsOfSet:
    """Use lung masks as they are.

    Args:
        masks: Masks of all images, at the side that classifiers see.
        finest: Side L.
    """
    larger = _fit_all(masks.lungs, finest)
    return LungsOfSet(masks.lungs, masks.lungs, larger, larger, masks.present, "given")


def find_lungs(images: Images, size: int, *, cache: Path | None) -> LungsOfSet:
    """Find the lungs of all images; those of doubtful quality take no part.

    About 8 ms an image and core, once: lungs are kept under a hash of the pixels.

    Args:
        images: uint8 (N, L, L), at the finest side.
        size: Side S that classifiers see.
        cache: Folder for found lungs; None: none are kept.
    """
    lungs, quality = _kept(images, cache)
    present = quality >= DOUBTFUL
    common = np.zeros(images.shape[1:], np.bool_)
    if present.any():
        common = lungs[present].mean(axis=0) > _COMMON
    near = np.stack([_grown(mask) for mask in lungs])
    hidden = near | common
    shown = _fit_all(lungs, size)
    shown[~present] = False
    return LungsOfSet(shown, _fit_all(hidden, size), hidden, near, present, "found")


def doubtful_rows(images: Images, cache: Path | None) -> NDArray[np.bool_]:
    """Return whether the lungs of each image are found with doubt: bool (N,).

    Args:
        images: uint8 (N, L, L), at the finest side.
        cache: As for `find_lungs`, which shares what is kept.
    """
    return np.asarray(_kept(images, cache)[1] < DOUBTFUL)


def _fit_all(masks: Stack, side: int) -> Stack:
    return np.stack([fit_mask(mask, (side, side)) for mask in masks])


def _kept(images: Images, cache: Path | None) -> tuple[Stack, NDArray[np.float64]]:
    """Return lungs, bool (N, L, L), and their qualities, read back if they were found before."""
    if cache is None:
        return _found(images)
    digest = hashlib.sha256(_METHOD + repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    path = cache / f"{digest.hexdigest()}.npz"
    try:
        with np.load(path, allow_pickle=False) as kept:
            bits, quality = kept["lungs"], kept["quality"]
        lungs = np.unpackbits(bits, axis=-1, count=images.shape[-1]).astype(np.bool_)
        if lungs.shape == images.shape and quality.shape == (len(images),):
            return lungs, quality
    except (OSError, EOFError, ValueError, KeyError):
        pass  # missing or damaged: it is written again
    lungs, quality = _found(images)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            np.savez(file, lungs=np.packbits(lungs, axis=-1), quality=quality)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return lungs, quality


def _found(images: Images) -> tuple[Stack, NDArray[np.float64]]:
    fields = map_threaded(
        lambda row: segment_lungs(np.ascontiguousarray(images[row])),
        range(len(images)),
        task=f"Finding the lungs of {len(images)} images",
    )
    lungs = np.stack([field.mask for field in fields])
    return lungs, np.array([field.quality for field in fields], np.float64)


def _grown(mask: Stack) -> Stack:
    outside = (~mask).astype(np.uint8)
    if outside.all():
        return mask
    reach = _MARGIN * mask.shape[-1]
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 5) <= reach, np.bool_)
