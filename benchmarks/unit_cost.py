"""Seconds and AUROC of cheaper trainings of one classifier, beside the default recipe.

Usage: python benchmarks/unit_cost.py FOLDER POSITIVE [--splits 4] [--recipes full,epochs-5]

FOLDER has one folder of images for each class. Each recipe is trained on the same random splits
(70/15/15 within each class), images read at 64 px and seen at 128 px as in an ablation beside a
64 px GAN, one thread, and tested once on each. Ratios of seconds count where nothing else runs.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from sklearn.metrics import log_loss, roc_auc_score

from balancer.allocator import keep_freed_memory
from classifier import ArrayTable, ClassifierConfig, Phase, load, predict, train

_HEAD = Phase(epochs=1, unfrozen=0.0)
RECIPES: dict[str, dict[str, Any]] = {
    "full": {},
    "other-seed": {},
    "epochs-5": {"epochs": 5},
    "epochs-5, batches of 16": {"epochs": 5, "batch_size": 16},
    "frozen-30-percent": {"phases": (_HEAD, Phase(epochs=9, unfrozen=0.7))},
    "frozen-30-percent, epochs-6": {"phases": (_HEAD, Phase(epochs=5, unfrozen=0.7))},
    "frozen-30-percent, epochs-6, batches of 16": {
        "batch_size": 16,
        "phases": (_HEAD, Phase(epochs=5, unfrozen=0.7)),
    },
    "frozen-30-percent, 96 px first": {
        "phases": (
            Phase(epochs=1, unfrozen=0.0, input_size=96),
            Phase(epochs=5, unfrozen=0.7, input_size=96),
            Phase(epochs=4, unfrozen=0.7, input_size=128),
        )
    },
}


def main() -> None:
    """Train every recipe on every split and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("positive")
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--recipes", default=";".join(RECIPES), help="names, separated by ;")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    images, labels, names = _read(options.folder)
    positive = names.index(options.positive)
    print("split | recipe | seconds | AUROC | log loss")
    for split in range(options.splits):
        parts = _split(labels, split)
        for name in options.recipes.split(";"):
            seconds, scores = _train(images, labels, parts, name, split)
            truth = labels[parts[2]] == positive
            auroc = roc_auc_score(truth, scores[:, positive])
            loss = log_loss(truth, scores[:, positive])
            print(f"{split} | {name} | {seconds:.0f} | {auroc:.4f} | {loss:.4f}", flush=True)


def _read(folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    images, labels = [], []
    for number, name in enumerate(names):
        for path in sorted((folder / name).rglob("*.*")):
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if image is not None:
                images.append(cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA))
                labels.append(number)
    return np.stack(images), np.array(labels), names


def _split(labels: np.ndarray, seed: int) -> tuple[list[int], list[int], list[int]]:
    rng = np.random.default_rng(seed)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        first, second = round(0.7 * len(rows)), round(0.85 * len(rows))
        for part, mine in zip(parts, np.split(rows, [first, second]), strict=True):
            part.extend(mine.tolist())
    return parts


def _train(
    images: np.ndarray,
    labels: np.ndarray,
    parts: tuple[list[int], list[int], list[int]],
    name: str,
    split: int,
) -> tuple[float, np.ndarray]:
    values: dict[str, Any] = {"image_size": 64, "input_size": 128, "members": 1}
    values |= RECIPES[name]
    training, validation = (ArrayTable.of(images[rows], labels[rows]) for rows in parts[:2])
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        result = train(
            training,
            validation,
            ClassifierConfig(**values),
            out_dir=Path(folder) / "classifier",
            seed=split + 100 * (name == "other-seed"),
        )
        seconds = time.perf_counter() - started
        return seconds, np.asarray(predict(load(result.checkpoint), images[parts[2]]))


if __name__ == "__main__":
    main()
