"""Count the images that `evaluate` and `serve` call too far from the training images.

Usage: python benchmarks/unlike_films.py -w WORKSPACE [--size 96] [--most 100] [DIR ...]

WORKSPACE has an index of radiographs. Its test images are new films of the same hospitals; 100 of
them are also shown as negatives, upside down, turned and mirrored. Each DIR holds other images, of
which 100 at random are read as grey squares. For each set it prints the share beyond the limit, and
the AUROC of the distance against the test images: 0.5 if it tells nothing.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from balancer.data.index import load_index
from balancer.data.io import decode_radiograph, read_bytes, resize_square
from balancer.quality.extractors import load_extractor
from balancer.quality.familiarity import measure_familiarity
from balancer.workspace import Workspace

Pixels = NDArray[np.uint8]

ALTERED: Mapping[str, Callable[[Pixels], Pixels]] = {
    "negative": lambda images: 255 - images,
    "upside down": lambda images: images[:, ::-1],
    "turned by 90 degrees": lambda images: np.rot90(images, axes=(1, 2)),
    "mirrored": lambda images: images[:, :, ::-1],
}
_SUFFIXES = (".png", ".jpg", ".jpeg")


def main() -> None:
    """Print a line of a Markdown table for each set of images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-w", "--workspace", type=Path, required=True)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--most", type=int, default=100, help="images of a set")
    parser.add_argument("folders", nargs="*", type=Path)
    asked = parser.parse_args()
    workspace = Workspace(asked.workspace)
    index, cache = load_index(workspace.index_dir), workspace.feature_cache_dir
    familiarity = measure_familiarity(index, asked.size, load_extractor("lite0"), cache=cache)
    if familiarity is None:
        raise SystemExit("The index should have two validation images or more.")
    tests = np.concatenate([index.pixels(asked.size, "test", label) for label in index.classes])
    usual = familiarity.largest_shares(tests, cache=cache)
    print("| images | n | beyond the limit | AUROC of the distance |\n|---|---|---|---|")
    print(f"| test images | {len(tests)} | {(usual > 1).mean():.3f} | |")
    for name, images in sets(tests, asked.folders, asked.size, asked.most):
        shares = familiarity.largest_shares(images, cache=cache)
        is_other = np.repeat([0, 1], [len(usual), len(shares)])
        score = roc_auc_score(is_other, np.concatenate([usual, shares]))
        print(f"| {name} | {len(images)} | {(shares > 1).mean():.3f} | {score:.3f} |", flush=True)


def sets(tests: Pixels, folders: list[Path], size: int, most: int) -> Iterator[tuple[str, Pixels]]:
    """Yield the name of each set of images, and at most so many of them."""
    rng = np.random.default_rng(0)
    some = tests[rng.permutation(len(tests))[:most]]
    for name, alter in ALTERED.items():
        yield name, np.ascontiguousarray(alter(some))
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
        chosen = [files[row] for row in rng.permutation(len(files))[:most]]
        films = [decode_radiograph(read_bytes(path), path).pixels for path in chosen]
        yield folder.name, np.stack([resize_square(film, size) for film in films])


if __name__ == "__main__":
    main()
