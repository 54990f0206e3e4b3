"""Information in colours: the same frozen features of images read in colour and as grey.

Usage: python benchmarks/colour_probe.py DIR... [--splits 10]

Each folder is prepared twice, with `data.channels` 3 and 1, in a temporary workspace. The features
are those of the frozen Lite0; a logistic regression with balanced class weights is trained on the
training and validation images of each of several splits by group and tested on its test images,
the same splits for both.
"""

import argparse
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from balancer.config import load_config
from balancer.data.index import Index, load_index
from balancer.data.split import split_groups
from balancer.quality.extractors import LITE0_SIDE, load_extractor
from balancer.quality.features import features_of
from balancer.stages import prepare
from balancer.workspace import Workspace

_STRENGTH = 1e-3
"""C of the regression; one for all, so that nothing is chosen on test images."""


def main() -> None:
    """Print a line for each folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--splits", type=int, default=10)
    chosen = parser.parse_args()
    logging.getLogger("balancer").setLevel(logging.ERROR)
    print(f"{'':20}{'images':>8}{'colour':>8}{'grey':>8}{'colour - grey':>24}")
    for folder in chosen.folders:
        colour, grey = (_accuracies(folder, channels, chosen.splits) for channels in (3, 1))
        n_images, by_colour = colour
        difference = by_colour - grey[1]
        spread = f"{difference.mean():+.3f} ({difference.min():+.3f} to {difference.max():+.3f})"
        print(
            f"{folder.name:20}{n_images:8}{by_colour.mean():8.3f}{grey[1].mean():8.3f}{spread:>24}",
            flush=True,
        )


def _accuracies(folder: Path, channels: int, n_splits: int) -> tuple[int, NDArray[np.float64]]:
    """Return the number of images, and the balanced accuracy on each split's test images."""
    changes = [f"data.channels={channels}", "data.skip_bad=true", "gan.image_size=128"]
    with tempfile.TemporaryDirectory() as place:
        workspace = Workspace(Path(place) / "w")
        config = load_config(
            assignments=[*changes, "classifier.image_size=128"], options={"data.root": str(folder)}
        )
        prepare.run(config, workspace)
        index = load_index(workspace.index_dir)
        features = features_of(load_extractor("lite0"), index.image_set(LITE0_SIDE).pixels)
    return len(index.records), np.array(
        [_tested(index, features, seed) for seed in range(n_splits)]
    )


def _tested(index: Index, features: NDArray[np.float32], seed: int) -> float:
    groups, labels = _groups(index), np.array([record.label for record in index.records])
    split_of = split_groups(groups, list(labels), shares=(0.70, 0.15, 0.15), seed=seed)
    test = np.array([split_of[group] == "test" for group in groups])
    regression = LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=2000)
    model = make_pipeline(StandardScaler(), regression)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features[~test], labels[~test])
    return float(balanced_accuracy_score(labels[test], model.predict(features[test])))


def _groups(index: Index) -> Sequence[str]:
    return [record.group for record in index.records]


if __name__ == "__main__":
    main()
