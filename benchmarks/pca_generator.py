"""The cheapest generator there is: principal components and a Gaussian of their scores.

python benchmarks/pca_generator.py TRAIN OUT COUNT SEED

It keeps the components that hold 95 % of the variance (Jolliffe 2002, chapter 3), draws scores from
a Gaussian with the covariance of the training images, which is diagonal there, and adds no noise.
As an arm: 'command name=pca run="python benchmarks/pca_generator.py {train} {out} {count} {seed}"'.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

_KEPT = 0.95


def main(train: Path, out: Path, count: int, seed: int) -> None:
    """Fit to the images of a folder and write `count` new ones."""
    paths = sorted(train.iterdir())
    films = np.stack([cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths])
    flat = films.reshape(len(films), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    _, singular, components = np.linalg.svd(flat - mean, full_matrices=False)
    share = np.cumsum(singular**2) / np.sum(singular**2)
    n = int(np.searchsorted(share, _KEPT)) + 1
    spread = singular[:n] / np.sqrt(len(films) - 1)
    scores = np.random.default_rng(seed).standard_normal((count, n)) * spread
    drawn = np.clip(np.round(mean + scores @ components[:n]), 0, 255).astype(np.uint8)
    for number, image in enumerate(drawn.reshape(count, *films.shape[1:])):
        cv2.imwrite(str(out / f"{number:05d}.png"), image)
    print(f"{n} components of {len(films)} images")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
