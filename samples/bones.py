"""The bones of a drawn phantom: spine, ribs, shoulder girdle.

Shadows are attenuations along the beam, in parts of the film's range.
"""

import numpy as np
from numpy.typing import NDArray

from samples.drawing import Canvas, Layer, Points, curve, ellipse, ribbon
from samples.patient import SIDES, Patient, rows

_RIBS = np.arange(11)


def spine(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> Layer:
    """Draw the column: vertebral bodies, the discs between them, pedicles, spinous processes."""
    pitch = rng.uniform(0.105, 0.125)
    y = np.arange(-1.5, 1.4, pitch)
    x = patient.bend * np.cos(1.6 * y)
    half = 0.060 + 0.018 * (y + 1) / 2
    column = canvas.fill(ribbon(np.stack([x, y], 1), 2 * half), blur=0.012)
    disc = np.stack([np.stack([x + k * half, y - 0.008 * (k == 0)], 1) for k in (-1, 0, 1)], 1)
    gaps = canvas.stroke((disc, 0.020), blur=0.009)
    middles = np.stack([x, y + pitch / 2 - 0.012], 1)
    pedicles = [middles + np.stack([side * 0.6 * half, 0 * half], 1) for side in SIDES]
    processes = middles + np.array([0.4 * patient.turn, 0.032])
    dots = np.concatenate([*pedicles, processes])[:, None] + ellipse(0, 0, 0.012, 0.022)
    relief = column * (1 - 0.4 * gaps) + 0.35 * canvas.fill(*dots, blur=0.006)
    # Heart and liver scatter so much that the spine nearly drowns in them.
    fade = rows(canvas, (-1.0, -0.5, 0.1, 0.6), (0.105, 0.085, 0.065, 0.085))
    return np.asarray(fade * relief * patient.bone, np.float32)


def ribs(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> Layer:
    """Draw eleven pairs of ribs: loops in planes that fall to the front, the front part fainter."""
    turn = np.linspace(0.08, 0.82 * np.pi, 28)
    half = int(np.searchsorted(turn, 0.53 * np.pi))
    first = patient.apex + rng.uniform(-0.04, 0.01)
    pitch = (patient.base + 0.20 - first) / rng.uniform(8.4, 9.8)
    size = 0.038 + 0.012 * np.minimum(_RIBS, 6) / 6
    paths = np.stack([_rib_loops(patient, turn, first, pitch, side, rng) for side in SIDES])
    back, front = (
        ribbon(part, scale * size[:, None])  # (2, 11, 2n, 2)
        for part, scale in ((paths[:, :, : half + 1], 1.0), (paths[:, :, half:], 1.2))
    )
    behind = 0.058 * canvas.fill(*_flat(back), blur=0.005)
    behind += 0.040 * canvas.stroke((_edges(back), 0.010), blur=0.002)
    before = 0.034 * canvas.fill(*_flat(front), blur=0.009)
    before += 0.020 * canvas.stroke((_edges(front), 0.010), blur=0.003)
    return (behind + before) * np.float32(patient.bone)


def _rib_loops(
    patient: Patient,
    turn: NDArray[np.float64],
    first: float,
    pitch: float,
    side: float,
    rng: np.random.Generator,
) -> Points:
    """Lines (11, n, 2) of one side's ribs, from the spine round the wall to the cartilage."""
    share = np.minimum(1.0, 0.46 + 0.125 * _RIBS - 0.0072 * _RIBS**2)
    fall = patient.slope * (0.35 + 0.65 * np.minimum(1.0, _RIBS / 5))
    start = first + pitch * _RIBS * (0.88 + 0.012 * _RIBS) + rng.normal(0, 0.007, len(_RIBS))
    arch = rng.uniform(0.03, 0.07)
    back_to_front = (1 - np.cos(turn)) / 2
    x = (patient.width + 0.02) * share[:, None] * np.sin(turn) ** 0.85
    y = start[:, None] + fall[:, None] * back_to_front - arch * np.sin(2 * turn).clip(0)
    return np.stack([side * x + patient.turn * back_to_front, y], axis=-1)


def shoulder_girdle(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> Layer:
    """Draw clavicles, scapulae and the upper ends of the humeri."""
    inner = patient.apex + rng.uniform(0.12, 0.25)
    outer = inner - patient.clavicle
    x = 0.88 * patient.width + rng.uniform(-0.03, 0.10)
    clavicles = np.stack([_clavicle(patient, inner, outer + rng.normal(0, 0.02), s) for s in SIDES])
    drop = outer + np.array([rng.normal(0, 0.02), rng.normal(0, 0.02)])
    blades, heads = [], []
    for side, y in zip(SIDES, drop, strict=True):
        blades.append(_scapula(x, y) * (side, 1.0))
        heads.append(ellipse(side * (x + 0.37), y + 0.14, 0.090, 0.100))
        shaft = curve([(x + 0.38, y + 0.15), (x + 0.42, y + 0.5), (x + 0.50, y + 1.2)])
        heads.append(ribbon(shaft, 0.10) * (side, 1.0))
    borders = np.stack([blade[-24:] for blade in blades])
    spines = np.stack([_scapular_spine(x, y) * (s, 1.0) for s, y in zip(SIDES, drop, strict=True)])
    bone = 0.090 * canvas.fill(*clavicles, blur=0.007)
    bone += 0.055 * canvas.stroke((_edges(clavicles), 0.010), blur=0.003)
    bone += 0.040 * canvas.fill(*blades, blur=0.018)
    bone += 0.045 * canvas.stroke((borders, 0.016), (spines, 0.03), blur=0.008)
    bone += 0.100 * canvas.fill(*heads, blur=0.013)
    return bone * np.float32(patient.bone)


def _clavicle(patient: Patient, inner: float, outer: float, side: float) -> Points:
    line = curve(
        [
            *((0.075, inner + 0.01), (0.20, inner - 0.02), (0.36, (inner + outer) / 2 - 0.01)),
            *((0.54, outer + 0.015), (0.70, outer - 0.01), (0.92, outer + 0.01)),
        ]
    )
    along = np.linspace(0, 1, len(line))
    width = np.interp(along, (0, 0.12, 0.6, 1), (0.080, 0.052, 0.042, 0.058))
    return ribbon(line * (side, 1.0) + (patient.turn * 0.8, 0.0), width)


def _scapula(x: float, y: float) -> Points:
    return curve(
        [
            *(
                (x + 0.02, y + 0.06),
                (x + 0.14, y + 0.09),
                (x + 0.26, y + 0.08),
                (x + 0.25, y + 0.20),
            ),
            *(
                (x + 0.16, y + 0.38),
                (x + 0.08, y + 0.60),
                (x + 0.045, y + 0.61),
                (x + 0.01, y + 0.32),
            ),
        ],
        closed=True,
    )


def _scapular_spine(x: float, y: float) -> Points:
    return curve([(x + 0.02, y + 0.15), (x + 0.16, y + 0.08), (x + 0.34, y + 0.0)])


def _flat(bands: Points) -> Points:
    return bands.reshape(-1, *bands.shape[-2:])


def _edges(bands: Points) -> Points:
    """Split the outlines (..., 2n, 2) of bands into their long edges (k, n, 2)."""
    return bands.reshape(-1, bands.shape[-2] // 2, 2)
