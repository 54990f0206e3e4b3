"""Chest phantoms: drawn films of nobody, for the samples, the demo and the tests.

`python -m samples.phantom samples` writes the bundled samples again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samples import anatomy, bones, disease
from samples.drawing import Canvas, Layer, rounded
from samples.film import expose
from samples.patient import SIDES, Patient, draw_patient

_SEEDS_PER_CLASS = 100_000
"""Room between the seeds of the two classes, so that no healthy phantom has an ill twin."""

_SMALLEST = 8


def draw_phantom(seed: int, *, covid: bool, size: int = 128) -> NDArray[np.uint8]:
    """Draw the frontal chest film of a phantom.

    Chest, pose, disease and film have random streams of their own: one seed gives the same chest
    and film with and without the disease.

    Args:
        seed: Of everything that varies, >= 0; the same seed gives the same pixels.
        covid: Add the hazy opacities of COVID-19 pneumonia.
        size: Side in pixels, >= 8.

    Returns:
        uint8 (size, size).

    Raises:
        ValueError: `size` or `seed` is too small.

    Example:
        >>> draw_phantom(7, covid=True, size=32).shape
        (32, 32)
    """
    canvas, patient, chest, illness, film = _posed(seed, size)
    haze = disease.opacities(canvas, patient, illness) if covid else np.float32(0)
    return expose(_shadow(canvas, patient, haze, chest), size, film)


def draw_lung_field(seed: int, *, size: int = 128) -> NDArray[np.bool_]:
    """Draw the exact lung mask of a phantom, the same with and without the disease.

    Args:
        seed: As of `draw_phantom`.
        size: Side in pixels, >= 8.

    Returns:
        bool (size, size), true where a lung lies and neither heart nor mediastinum covers it.

    Raises:
        ValueError: `size` or `seed` is too small.
    """
    canvas, patient, chest, _, _ = _posed(seed, size)
    anatomy.body(canvas, patient, chest)  # draws from the stream before the lungs do
    lungs, heart = _lungs_and_heart(canvas, patient, chest)
    field = (lungs > 0.5) & (heart < 0.5)
    small = cv2.resize(field.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(small >= 0.5, np.bool_)


def _posed(
    seed: int, size: int
) -> tuple[Canvas, Patient, np.random.Generator, np.random.Generator, np.random.Generator]:
    """The canvas, the patient, and what is left of the streams of chest, disease and film."""
    if size < _SMALLEST:
        raise ValueError(f"a phantom needs at least {_SMALLEST} pixels a side, not {size}")
    chest, illness, film = np.random.default_rng(seed).spawn(3)
    canvas = Canvas(
        max(2 * size, 128),
        zoom=chest.uniform(0.88, 1.20),
        tilt=chest.normal(0, 2.5),
        shift=(chest.normal(0, 0.04), chest.uniform(-0.05, 0.16)),
    )
    return canvas, draw_patient(chest), chest, illness, film


def _lungs_and_heart(
    canvas: Canvas, patient: Patient, rng: np.random.Generator
) -> tuple[Layer, Layer]:
    outlines = (anatomy.lung_outline(patient, side, rng) for side in SIDES)
    lungs = np.maximum(*(canvas.fill(outline, blur=0.009) for outline in outlines))
    return lungs, canvas.fill(anatomy.heart_outline(patient, rng), blur=0.022)


def _shadow(
    canvas: Canvas, patient: Patient, haze: Layer | np.float32, rng: np.random.Generator
) -> Layer:
    """Add up what each organ takes from the beam: float32 (S, S), 0 beside the body."""
    flesh = anatomy.body(canvas, patient, rng)
    lungs, heart = _lungs_and_heart(canvas, patient, rng)
    beside_heart = 1 - np.float32(0.92) * heart

    depth = canvas.soften(lungs * (0.55 + 0.45 * rounded(lungs, 0.24 * canvas.unit)), 0.008)
    air = depth * beside_heart * (1 - haze) * (1 - disease.basal_veil(canvas, patient))
    shadow = flesh - np.float32(patient.air) * air * np.minimum(1, 2 * flesh)
    shadow += anatomy.vessels(canvas, patient, rng) * lungs * beside_heart * (1 - 0.5 * haze)
    shadow += np.float32(0.10) * canvas.soften(heart, 0.05)
    # Under the diaphragm scatter all but hides the ribs.
    shadow += bones.ribs(canvas, patient, rng) * (np.float32(0.35) + np.float32(0.65) * lungs)
    shadow += bones.shoulder_girdle(canvas, patient, rng) + bones.spine(canvas, patient, rng)
    shadow -= np.float32(0.11) * anatomy.windpipe(canvas, patient)
    if patient.breast:
        shadow += anatomy.breasts(canvas, patient, rng)
    if patient.stomach:
        shadow -= np.float32(0.22) * anatomy.stomach(canvas, patient, rng) * (1 - lungs)
    return np.asarray(shadow, np.float32)


def write_samples(
    folder: Path, *, n_covid: int = 60, n_normal: int = 280, size: int = 128, seed: int = 0
) -> list[Path]:
    """Write a data folder of phantoms: `COVID/COVID-001.png`, `Normal/Normal-001.png` and so on.

    Args:
        folder: Made where it is missing; files of the same names are replaced.
        n_covid: Phantoms with opacities, at most 100,000.
        n_normal: Phantoms without, at most 100,000.
        size: Side in pixels.
        seed: Other seeds give other phantoms.

    Returns:
        The files, COVID first. They are 8-bit grey PNGs without metadata.

    Raises:
        ValueError: More phantoms of a class than that, or `size` or `seed` is too small.
    """
    if max(n_covid, n_normal) > _SEEDS_PER_CLASS:
        raise ValueError(f"a class holds at most {_SEEDS_PER_CLASS:,} phantoms")
    files = []
    for number, (label, count) in enumerate((("COVID", n_covid), ("Normal", n_normal))):
        (folder / label).mkdir(parents=True, exist_ok=True)
        first = (2 * seed + number) * _SEEDS_PER_CLASS
        for index in range(count):
            image = draw_phantom(first + index, covid=label == "COVID", size=size)
            file = folder / label / f"{label}-{index + 1:03d}.png"
            Image.fromarray(image).save(file, "PNG", optimize=True)
            files.append(file)
    return files


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the samples into the folder named on the command line."""
    parser = argparse.ArgumentParser(description="Write a data folder of drawn chest phantoms.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n-covid", type=int, default=60)
    parser.add_argument("--n-normal", type=int, default=280)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    write_samples(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
