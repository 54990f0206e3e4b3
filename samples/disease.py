"""Signs of COVID-19 pneumonia in a phantom: hazy opacities, and a harmless veil like them.

The pattern is that of early reports (Wong et al. 2020, Radiology 296:E72): ground-glass
opacities in both lungs, peripheral, most in the lower zones.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from samples.drawing import Canvas, Layer
from samples.patient import SIDES, Patient, rows

_RASTER = 48
"""Side of the coarse raster on which the smooth patches are computed."""


def opacities(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> Layer:
    """Draw the share of air that the disease has filled.

    Returns:
        float32 (S, S) in [0, 0.95], running on past the lungs.
    """
    mild = rng.random() < 0.25
    density = rng.uniform(0.33, 0.50) if mild else rng.uniform(0.50, 0.92)
    patches = 1 + rng.poisson(1.5 if mild else 3.5, 2)
    if rng.random() < 0.12:
        patches[rng.integers(2)] = 0  # one lung is spared now and then
    grid = canvas.grid(_RASTER)
    clear = np.ones((_RASTER, _RASTER))
    for side, count in zip(SIDES, patches, strict=True):
        for _ in range(count):
            clear *= 1 - rng.uniform(0.6, 1.0) * _patch(grid, patient, side, rng)
    filled = 1 - clear.astype(np.float32)
    whole = cv2.resize(filled, (canvas.size, canvas.size), interpolation=cv2.INTER_CUBIC)
    mottle = 0.92 + 0.19 * canvas.clouds(rng, 0.15) + 0.14 * canvas.clouds(rng, 0.06)
    return np.asarray(np.clip(density * whole * mottle, 0, 0.95), np.float32)


def _patch(
    grid: NDArray[np.float64], patient: Patient, side: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Weigh one flat-topped patch over the raster, in [0, 1]; most lie low and near the wall."""
    height = rng.beta(1.2, 2.6)
    low, high = patient.dome_top(side) + 0.04, patient.apex + 0.15
    reach = patient.width * (1 - 0.38 * height)
    x = side * (0.14 + (reach - 0.16) * rng.beta(3.0, 1.5))
    y = low + (high - low) * height
    wide, tall = rng.uniform(0.11, 0.28), rng.uniform(0.12, 0.32)
    lean = rng.uniform(-0.6, 0.6)
    dx, dy = grid[..., 0] - x, grid[..., 1] - y
    u, v = np.cos(lean) * dx + np.sin(lean) * dy, np.cos(lean) * dy - np.sin(lean) * dx
    squared = (u / wide) ** 2 + (v / tall) ** 2
    weight: NDArray[np.float64] = np.exp(-(squared**1.1) / 1.5)
    return weight


def basal_veil(canvas: Canvas, patient: Patient) -> Layer:
    """Draw the even haze over both bases of a large or shallowly breathing patient, healthy or not.

    Returns:
        float32 (S, 1), the share of air that it hides, in [0, 1).
    """
    return rows(canvas, (patient.base - 0.45, patient.base + 0.12), (0.0, patient.veil))
