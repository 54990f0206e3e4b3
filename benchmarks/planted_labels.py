"""Precision of the ranked labels of `balancer audit` where wrong labels were planted.

    balancer prepare -w WORKSPACE --data DIR
    python benchmarks/planted_labels.py WORKSPACE [--share 0.05] [--seeds 2]

Labels of random images are replaced by that of a random other class, in memory alone. Of as many
images as were planted, those that stand first count; precision of chance is the share.
"""

import argparse
from pathlib import Path

import numpy as np

from balancer.data.index import load_index
from balancer.quality.extractors import LITE0_SIDE, load_extractor
from balancer.quality.features import features_of
from balancer.quality.suspect_labels import out_of_fold_probabilities, rank_labels
from balancer.workspace import Workspace


def main() -> None:
    """Print a line per seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    workspace = Workspace(given.workspace)
    index = load_index(workspace.index_dir)
    images = index.image_set(LITE0_SIDE).pixels
    features = features_of(load_extractor("lite0"), images, cache=workspace.feature_cache_dir)
    labels = np.array([index.classes.index(record.label) for record in index.records], np.int64)
    groups = [record.group for record in index.records]
    n = round(given.share * len(labels))
    for seed in range(given.seeds):
        rng = np.random.default_rng(seed)
        planted = rng.choice(len(labels), n, replace=False)
        wrong = labels.copy()
        wrong[planted] += rng.integers(1, len(index.classes), n)
        wrong %= len(index.classes)
        probabilities = out_of_fold_probabilities(features, wrong, groups)
        if probabilities is None:
            parser.error("a class has fewer than two groups")
        ranked = rank_labels(probabilities, wrong)
        first = np.isin([doubt.row for doubt in ranked[:n]], planted).mean()
        suspects = [doubt.row for doubt in ranked if doubt.is_suspect]
        found, right = np.isin(planted, suspects).mean(), np.isin(suspects, planted).mean()
        print(
            f"seed {seed}: {n} planted of {len(labels)}; precision at {n} {first:.2f}; "
            f"{len(suspects)} suspects, precision {right:.2f}, recall {found:.2f}"
        )


if __name__ == "__main__":
    main()
