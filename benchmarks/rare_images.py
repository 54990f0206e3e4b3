"""How few images a GAN can learn from: the same classifier with its images and with weights alone.

Usage: python benchmarks/rare_images.py DIR RARE COMMON [--counts 10 20 40 80 160] [--seeds 1]
           [--side 32] [--shown 9600]

A DCGAN is trained on n images of the folder DIR/RARE. A logistic regression on frozen Lite0
features then learns RARE against COMMON from these n and 400 images of COMMON: with balanced class
weights alone, which cost nothing, and with generated images up to 200 of RARE. Both are tested on
the same images that nothing else saw.
"""

import argparse
import logging
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gan
from balancer.quality.distances import Kernels, kid_of_all
from balancer.quality.extractors import Extractor, load_extractor
from balancer.quality.features import Features, features_of
from balancer.quality.neighbors import closer_to_first, distances

_COMMON, _FILLED, _UNSEEN, _STRANGE = 400, 200, 100, 300
_STRENGTH = 1e-3
"""C of the regression; one for all, so that nothing is chosen on test images."""


def main() -> None:
    """Print a line for each number of images and seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("rare")
    parser.add_argument("common")
    parser.add_argument("--counts", nargs="+", type=int, default=[10, 20, 40, 80, 160])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--shown", type=int, default=9_600)
    chosen = parser.parse_args()
    logging.getLogger("gan").setLevel(logging.ERROR)
    extractor = load_extractor("lite0")
    print(f"{'n':>5}{'seed':>5}{'KID':>8}{'closer':>8}{'weights':>9}{'with GAN':>9}", flush=True)
    for seed in range(chosen.seeds):
        rng = np.random.default_rng(seed)
        rare, common = (
            rng.permutation(_read(chosen.folder / name, chosen.side))
            for name in (chosen.rare, chosen.common)
        )
        real, other = (
            features_of(extractor, some) for some in (rare, common[: _COMMON + _STRANGE])
        )
        for n in chosen.counts:
            values = _line(rare, real, other, n, seed, chosen.shown, extractor)
            print(f"{n:5}{seed:5}" + "".join(f"{value:8.3f} " for value in values), flush=True)


def _line(
    rare: NDArray[np.uint8],
    real: Features,
    other: Features,
    n: int,
    seed: int,
    shown: int,
    extractor: Extractor,
) -> tuple[float, float, float, float]:
    """Return KID, the share of images closer to the training images, and both AUROCs."""
    config = gan.GANConfig(image_size=rare.shape[1], images_shown=shown)
    with tempfile.TemporaryDirectory() as folder:
        gan.train(rare[:n], config, out_dir=folder, seed=seed)
        made = gan.sample(gan.load(folder), _FILLED, seed=seed)
    fake = features_of(extractor, made)
    unseen, strange = real[-_UNSEEN:], other[_COMMON:]
    closer = closer_to_first(
        distances(fake, real[:n]), distances(fake, unseen), np.random.default_rng(0), draws=10
    )
    tested = np.vstack((unseen, strange))
    truth = np.repeat([1, 0], [len(unseen), len(strange)])

    def auroc(positives: Features) -> float:
        table = np.vstack((positives, other[:_COMMON]))
        labels = np.repeat([1, 0], [len(positives), _COMMON])
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=2_000),
        ).fit(table, labels)
        return float(roc_auc_score(truth, model.decision_function(tested)))

    filled = np.vstack((real[:n], fake[: max(0, _FILLED - n)]))
    return kid_of_all(Kernels.of(fake, unseen)), closer, auroc(real[:n]), auroc(filled)


def _read(folder: Path, side: int) -> NDArray[np.uint8]:
    """Read all images of a folder as grey squares, uint8 (N, side, side)."""
    images = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(folder.iterdir())]
    size = (side, side)
    return np.stack(
        [np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA)) for one in images]
    )


if __name__ == "__main__":
    main()
