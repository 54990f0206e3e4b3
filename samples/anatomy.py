"""The soft parts of a drawn phantom: trunk, lungs, heart, airways, vessels.

Shadows are attenuations along the beam, in parts of the film's range.
"""

import numpy as np

from samples.drawing import Canvas, Layer, Points, curve, ellipse, ribbon, rounded
from samples.patient import SIDES, Patient, rows


def body(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> Layer:
    """Draw the soft tissue of trunk, neck and arms."""
    wall = patient.width + patient.flesh
    top = patient.shoulder
    neck = rng.uniform(0.17, 0.25)
    waist = wall + rng.uniform(-0.09, 0.05)
    half = [
        *(
            (neck, -2.0),
            (neck, top - 0.22),
            (neck + 0.1, top - 0.1),
            (0.62, top),
            (0.88, top + 0.06),
        ),
        *((wall + 0.20, top + 0.2), (wall + 0.13, top + 0.42), (wall + 0.04, -0.12)),
        *((wall + 0.01, 0.15), (wall - 0.02, 0.4), (waist, 0.8), (waist + 0.05, 2.5)),
    ]
    trunk = curve([*half, *((-x, y) for x, y in reversed(half))], closed=True)
    thickness = rounded(canvas.fill(trunk), 0.30 * canvas.unit)
    out = wall + 0.2 + rng.uniform(0.02, 0.34)
    arm = ribbon(curve([(0.9, top + 0.22), (wall + 0.2, top + 0.45), (out, 1.3)]), 0.27)
    arms = rounded(canvas.fill(*(arm * (side, 1.0) for side in SIDES)), 0.15 * canvas.unit)
    # In the direction of the beam the shoulders are thinner than the belly.
    depth = rows(canvas, (-1.0, -0.6, 0.1, 0.7), (0.50, 0.60, 0.67, 0.80))
    texture = 1 + np.float32(0.02) * canvas.clouds(rng, 0.22)
    flesh = np.maximum(thickness * depth, np.float32(0.45) * arms) * texture
    return canvas.soften(flesh, 0.014)


def lung_outline(patient: Patient, side: float, rng: np.random.Generator) -> Points:
    """Outline one lung: apex, side wall, costophrenic angle, dome, inner border."""
    w, a, d = patient.width, patient.apex, patient.dome_top(side)
    h, drop = d - a, patient.dome
    j = rng.normal(0, 0.010, 5)
    wall = curve(
        [
            *((0.11, a + 0.20), (0.16, a + 0.06), (0.27 + j[0], a + j[1]), (0.56 * w, a + 0.06)),
            *((w * 0.80 + j[2], a + 0.22 * h), (w * 0.91 + j[3], a + 0.44 * h)),
            *((w * 0.97, a + 0.70 * h), (w, a + 0.92 * h), (w * 0.99, d + drop)),
        ]
    )
    x = 0.50 * w + j[4]
    dome = curve(
        [
            *(
                (w * 0.99, d + drop),
                (w * 0.90, d + 0.46 * drop),
                (w * 0.72, d + 0.10 * drop),
                (x, d),
            ),
            *((w * 0.30, d + 0.10 * drop), (0.04, d + 0.42 * drop)),
        ]
    )
    inner = curve([(0.04, d + 0.42 * drop), (0.05, d - 0.3), (0.06, a + 0.45), (0.11, a + 0.20)])
    return np.concatenate([wall, dome[1:], inner[1:-1]]) * (side, 1.0)


def heart_outline(patient: Patient, rng: np.random.Generator) -> Points:
    """Outline mediastinum and heart: aortic knob, waist and apex to the viewer's right."""
    h, top, floor = patient.heart, patient.apex, patient.dome_top(1.0)
    tall = floor - top - 0.3
    knob, waist = rng.uniform(0.14, 0.19), rng.uniform(0.11, 0.165)
    points = np.array(
        [
            *((0.075, top - 0.1), (0.08, top + 0.18), (knob, top + 0.31), (knob, top + 0.40)),
            *((waist, top + 0.49), ((0.09 + 0.10 * h), top + 0.40 + 0.26 * tall)),
            *((0.29 * h, top + 0.40 + 0.48 * tall), (0.385 * h, top + 0.40 + 0.74 * tall)),
            *((0.40 * h, floor + 0.03), (0.34 * h, floor + 0.14), (0.0, floor + 0.3)),
            *((-0.15 * h, floor + 0.12), (-0.20 * h, floor - 0.06), (-0.195 * h, floor - 0.22)),
            *((-0.13, top + 0.42 + 0.30 * tall), (-0.095, top + 0.42), (-0.085, top + 0.2)),
            (-0.075, top - 0.1),
        ]
    )
    return curve(points + np.array([patient.turn, 0.0]), closed=True)


def windpipe(canvas: Canvas, patient: Patient) -> Layer:
    """Draw the air of trachea and main bronchi, in [0, 1]."""
    x, y = patient.turn * 0.7, patient.apex + 0.56
    trunk = curve([(0.6 * x, -1.6), (0.7 * x, patient.apex), (x - 0.012, y - 0.12), (x - 0.01, y)])
    right = curve([(x - 0.01, y - 0.02), (x - 0.08, y + 0.09), (x - 0.15, y + 0.16)])
    left = curve([(x - 0.01, y - 0.02), (x + 0.09, y + 0.07), (x + 0.19, y + 0.12)])
    branches = canvas.fill(ribbon(right, 0.05), ribbon(left, 0.042), blur=0.016)
    trachea = canvas.fill(ribbon(trunk, 0.082), blur=0.014)
    return np.asarray(np.maximum(trachea, 0.5 * branches), np.float32)


def vessels(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> Layer:
    """Draw the hilar vessels, branching and thinning outwards, and the hila themselves."""
    hila = [
        (side * 0.17 + patient.turn, patient.apex + 0.68 - 0.025 * side + rng.normal(0, 0.015))
        for side in SIDES
    ]
    start = np.repeat(np.array(hila), 9, axis=0)  # (18, 2)
    start += rng.normal(0, (0.015, 0.05), start.shape)
    side = np.repeat(SIDES, 9)
    fan = np.tile(np.linspace(-1.25, 1.45, 9), 2) + rng.normal(0, 0.15, 18)
    long = (0.15 + 0.05 * np.maximum(0, fan)) * patient.width / 0.7 * rng.uniform(0.7, 1.1, 18)
    strokes, width = [], 0.026
    for _ in range(4):
        lines, fan = _grow(start, fan, side, long, rng)
        strokes.append((lines, width))
        start, side = np.repeat(lines[:, -1], 2, axis=0), np.repeat(side, 2)
        fork = np.tile([-0.30, 0.38], len(fan)) * rng.uniform(0.4, 1.5, 2 * len(fan))
        fan, long, width = np.repeat(fan, 2) + fork, np.repeat(long, 2) * 0.78, width * 0.62
    tree = canvas.stroke(*reversed(strokes), blur=0.005)
    roots = [ellipse(x, y + 0.04, 0.05, 0.12) for x, y in hila]
    return np.float32(0.085 * patient.vessels) * (tree + canvas.fill(*roots, blur=0.05))


def _grow(
    start: Points, heading: Points, side: Points, long: Points, rng: np.random.Generator
) -> tuple[Points, Points]:
    """Grow one vessel from each start: bent lines (k, 4, 2), and the headings they end with."""
    lines = [start]
    for _ in range(3):
        heading = heading + rng.normal(0.03, 0.16, len(heading))
        step = np.stack([side * np.cos(heading), np.sin(heading)], axis=1)
        lines.append(lines[-1] + step * (long / 3)[:, None])
    return np.stack(lines, axis=1), heading


def breasts(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> Layer:
    """Draw breast shadows, densest at their lower edge."""
    low = patient.base + rng.uniform(-0.12, 0.12)
    wide, tall = rng.uniform(0.28, 0.38), rng.uniform(0.34, 0.46)
    x = 0.60 * patient.width
    mask = canvas.fill(
        *(ellipse(s * x, low - tall + rng.normal(0, 0.02), wide, tall) for s in SIDES), blur=0.02
    )
    ramp = rows(canvas, (low - 1.6 * tall, low), (0.0, 1.0))
    return np.float32(patient.breast) * mask * ramp


def stomach(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> Layer:
    """Draw gas under the left dome, in [0, 1]: a bubble on its fluid level, and loops of bowel."""
    x, y = rng.uniform(0.28, 0.48), patient.dome_top(1.0) + rng.uniform(0.13, 0.20)
    wide, tall = patient.stomach * rng.uniform(0.09, 0.17), patient.stomach * rng.uniform(0.05, 0.1)
    bubble = ellipse(x, y, wide, tall)
    bubble[:, 1] = np.minimum(bubble[:, 1], y + tall * rng.uniform(0.2, 1.0))
    loops = [
        ellipse(x + dx, y + dy, *rng.uniform(0.02, 0.06, 2))
        for dx, dy in rng.uniform((-0.2, 0.08), (0.25, 0.3), (rng.integers(0, 5), 2))
    ]
    gas = canvas.fill(bubble, blur=0.014)
    return np.asarray(np.maximum(gas, 0.5 * canvas.fill(*loops, blur=0.018)), np.float32)
