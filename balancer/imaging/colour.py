"""Make the colours of images comparable: white balance, and the stain of tissue.

Each is a function of one image: no reference image has to be kept, and nothing is fitted to a set.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.imaging.pixels import Pixels, lightness

Floats = NDArray[np.float64]
_NORM = {"grey-world": 1.0, "shades-of-grey": 6.0}
"""Power of the Minkowski mean: 1 is grey world (Buchsbaum 1980), 6 the best of Finlayson and Trezzi
(2004), which Barata et al. (2014) found best for dermoscopy."""
_TO_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
_TO_OPPONENT = np.diag(1 / np.sqrt([3.0, 6.0, 2.0])) @ [[1, 1, 1], [1, 1, -2], [1, -1, 0]]
"""Matrices of the decorrelated space of Ruderman (1998) that Reinhard et al. (2001) use."""
_TARGET_MEAN = np.array([8.74108109, -0.12440419, 0.0444982])
_TARGET_SPREAD = np.array([0.6135447, 0.10989545, 0.0286032])
"""Mean and deviation of a slide of breast tissue in H&E (TCGA-A2-A3XS-DX1, Amgad et al. 2019), with
which HistomicsTK normalises."""
_LIGHTEST = 0.8
"""Share of full lightness (CIELAB) above which a pixel is glass and no tissue."""
_LEAST_TISSUE = 0.01
_LEAST_SPREAD = 1e-3
_LEAST_DENSITY, _LEAST_STAINED = 0.15, 32
"""Optical density of a stained pixel (Macenko et al. 2009), and fewest of them for two stains."""


def even_colours(pixels: Pixels, method: str) -> Pixels:
    """Apply a method of `preprocessing.colour` to an image in colour, uint8 (H, W, 3)."""
    return white_balance(pixels, _NORM[method]) if method in _NORM else reinhard(pixels)


def white_balance(pixels: Pixels, power: float) -> Pixels:
    """Divide each channel by the colour of the light, which is estimated as a Minkowski mean.

    Args:
        pixels: uint8 (H, W, 3).
        power: Power of the mean, 1 for grey world.

    Returns:
        uint8 (H, W, 3); the image itself where a channel is black.
    """
    levels = np.arange(256.0) ** power
    # Means from histograms: powers of 256 levels in place of those of all pixels.
    counts = np.stack([np.bincount(plane.ravel(), minlength=256) for plane in cv2.split(pixels)])
    light = (counts @ levels / counts[0].sum()) ** (1 / power)
    if light.min() <= 0:
        return pixels
    gains = np.linalg.norm(light) / (np.sqrt(3) * light)
    table = np.clip(np.rint(np.arange(256)[:, None] * gains), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table[None]), np.uint8)


def reinhard(pixels: Pixels) -> Pixels:
    """Give tissue the mean colour and contrast of a reference slide (Reinhard et al. 2001).

    Args:
        pixels: uint8 (H, W, 3), stained tissue.

    Returns:
        uint8 (H, W, 3); glass, which is not counted, becomes white or stays light. The image itself
        where under 1 % is tissue.
    """
    tissue = lightness(pixels) < _LIGHTEST * 255
    if tissue.mean() < _LEAST_TISSUE:
        return pixels
    values = np.log(np.maximum(pixels, 1) @ _TO_LMS.T) @ _TO_OPPONENT.T
    mean, spread = values[tissue].mean(axis=0), values[tissue].std(axis=0)
    values = (values - mean) * _TARGET_SPREAD / np.maximum(spread, _LEAST_SPREAD) + _TARGET_MEAN
    colours = np.exp(values @ np.linalg.inv(_TO_OPPONENT).T) @ np.linalg.inv(_TO_LMS).T
    return np.asarray(np.clip(np.rint(colours), 0, 255), np.uint8)


def stain_directions(pixels: Pixels) -> Floats:
    """Return the colours of the two stains of tissue (Macenko et al. 2009).

    They are the extreme directions, at the 1st and 99th percentile of the angle, of the optical
    densities in the plane of their two largest components: colours of the dyes, whatever their
    amounts.

    Args:
        pixels: uint8 (H, W, 3).

    Returns:
        float64 (2, 3), two unit vectors of optical density in red, green and blue, the one with
        more red first; zeros where an image has too few stained pixels.
    """
    density = -np.log((pixels.reshape(-1, 3) + 1.0) / 256)
    density = density[(density >= _LEAST_DENSITY).all(axis=1)]
    if len(density) < _LEAST_STAINED:
        return np.zeros((2, 3))
    _, axes = np.linalg.eigh(np.cov(density.T))
    plane = axes[:, 1:]
    plane = plane * np.where(plane.sum(axis=0) < 0, -1, 1)
    angles = np.arctan2(*(density @ plane).T)
    low, high = np.percentile(angles, [1, 99])
    found = np.array([plane @ [np.sin(angle), np.cos(angle)] for angle in (low, high)])
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found[np.argsort(-found[:, 0])]
