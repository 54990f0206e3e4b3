"""The measures in which the chest of one phantom differs from another's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samples.drawing import Canvas, Layer

SIDES = (-1.0, 1.0)
"""The patient's right and left: seen from the front, the viewer's left and right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Measures of one chest; lengths in the units of the film.

    Attributes:
        width: From the midline to the widest point of a lung.
        apex: y of the tops of the lungs.
        base: y of the right dome of the diaphragm: large in a deep breath.
        dome_gap: How much lower the left dome stands.
        dome: Height of the domes over the costophrenic angles.
        heart: Size of the heart, 1 is usual.
        turn: Sideways shift of what lies in front of the spine, from axial rotation.
        flesh: Thickness of the chest wall beside the lungs.
        breast: Density of the breast shadows, 0 for none.
        bone: Density of the bones, 1 is usual.
        slope: How steeply the ribs fall from back to front.
        shoulder: y of the shoulders.
        clavicle: How far the outer ends of the clavicles stand over the inner ones.
        stomach: Size of the gastric bubble, 0 for none.
        vessels: Weight of the lung vessels, 1 is usual.
        bend: Sideways bend of the spine.
        air: How much less the lungs weaken the beam than flesh does.
        veil: Density of a basal veil that is no disease: fat, a shallow breath, a slack pose.
    """

    width: float
    apex: float
    base: float
    dome_gap: float
    dome: float
    heart: float
    turn: float
    flesh: float
    breast: float
    bone: float
    slope: float
    shoulder: float
    clavicle: float
    stomach: float
    vessels: float
    bend: float
    air: float
    veil: float

    def dome_top(self, side: float) -> float:
        """Give the y of a dome."""
        return self.base + (self.dome_gap if side > 0 else 0.0)


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draw the measures of a patient; about one in six breathes in poorly."""
    shallow = rng.random() < 0.16
    return Patient(
        width=float(np.clip(rng.normal(0.70, 0.045), 0.60, 0.80)),
        apex=rng.uniform(-0.84, -0.66),
        base=rng.uniform(0.06, 0.22) if shallow else rng.uniform(0.24, 0.50),
        dome_gap=rng.uniform(-0.01, 0.09),
        dome=rng.uniform(0.15, 0.29),
        heart=float(np.clip(rng.normal(0.97, 0.12) + 0.12 * shallow, 0.72, 1.35)),
        turn=float(np.clip(rng.normal(0, 0.025), -0.06, 0.06)),
        flesh=rng.uniform(0.07, 0.24),
        breast=rng.uniform(0.04, 0.13) if rng.random() < 0.45 else 0.0,
        bone=rng.uniform(0.60, 1.30),
        slope=rng.uniform(0.36, 0.60) - 0.1 * shallow,
        shoulder=rng.uniform(-0.94, -0.76),
        clavicle=rng.uniform(-0.02, 0.20),
        stomach=rng.uniform(0.6, 1.3) if rng.random() < 0.5 else 0.0,
        vessels=rng.uniform(0.7, 1.3) + 0.25 * shallow,
        bend=rng.normal(0, 0.02),
        air=rng.uniform(0.32, 0.44),
        veil=rng.uniform(0.05, 0.30) if shallow or rng.random() < 0.25 else 0.0,
    )


def rows(canvas: Canvas, y: Sequence[float], values: Sequence[float]) -> Layer:
    """Interpolate a quantity down the film: float32 (S, 1)."""
    where = np.linspace(-1, 1, canvas.size)
    return np.interp(where, y, values).astype(np.float32)[:, None]
