"""Share of held-out images that are found among images from outside, however they were disguised.

python benchmarks/smuggled.py DATA [--images FOLDER]

DATA is a folder per class. 50 validation and test images are disguised in each way and searched for
as `balancer import-synthetic` does. FOLDER holds images of a generator that saw no held-out image
of this split (`balancer gan-train`, `synthesize` in the workspace of --workspace): each one found
there is a false alarm.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from balancer import Workspace, load_config, prepare
from balancer.data.index import load_index
from balancer.data.io import Pixels, read_radiograph, resize_square
from balancer.synthetic.gates import held_out
from balancer.synthetic.real_copies import SEARCH_SIDE, find_real_copies

_PLANTED = 50


def disguises() -> dict[str, Callable[[Pixels], Pixels]]:
    """Return each way to disguise a film, uint8 (H, W), by its name."""
    rng = np.random.default_rng(0)

    def noisy(film: Pixels) -> Pixels:
        small = resize_square(film, 64)
        return np.clip(small + rng.normal(0, 8, small.shape), 0, 255).astype(np.uint8)

    def jpeg(film: Pixels) -> Pixels:
        small = resize_square(film, 128)
        _, coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 50])
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)

    def cut(share: float, *, corner: bool = False) -> Callable[[Pixels], Pixels]:
        def apply(film: Pixels) -> Pixels:
            rows, columns = (round(side * share) for side in film.shape)
            ends = (1, 1) if corner else (rows, columns)
            return np.ascontiguousarray(film[rows : -ends[0], columns : -ends[1]])

        return apply

    def turned(film: Pixels) -> Pixels:
        height, width = film.shape
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 7, 1.1)
        return np.asarray(cv2.warpAffine(film, matrix, (width, height)), np.uint8)

    return {
        "64 px": lambda film: resize_square(film, 64),
        "32 px": lambda film: resize_square(film, 32),
        "JPEG 50 at 128 px": jpeg,
        "mirrored, 64 px": lambda film: resize_square(film[:, ::-1].copy(), 64),
        "inverted, 64 px": lambda film: 255 - resize_square(film, 64),
        "gamma 1.6": lambda film: (255 * (film / 255) ** 1.6).astype(np.uint8),
        "noise of 8 levels, 64 px": noisy,
        "blur of 4 px": lambda film: np.asarray(cv2.GaussianBlur(film, (0, 0), 4), np.uint8),
        "8 % cut off each side": cut(0.08),
        "15 % cut off each side": cut(0.15),
        "25 % cut off two sides": cut(0.25, corner=True),
        "turned by 7 degrees, zoomed by 1.1": turned,
    }


def main() -> None:
    """Print a line per disguise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--workspace", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(asked.workspace or Path(scratch))
        if asked.workspace is None:
            prepare(load_config(data=asked.data), workspace)
        index = load_index(workspace.index_dir)
        apart = [record.split != "train" for record in index.records]
        films = [read_radiograph(index.roots.locate(one.path)) for one in held_out(index)]

        def found(images: list[Pixels]) -> int:
            squares = np.stack([resize_square(image, SEARCH_SIDE) for image in images])
            return len(find_real_copies(squares, index, apart, turned=True))

        chosen = films[:: max(1, len(films) // _PLANTED)][:_PLANTED]
        for name, disguise in disguises().items():
            print(f"{name}: {found([disguise(film) for film in chosen])} of {len(chosen)} found")
        if asked.images is not None:
            honest = [read_radiograph(path) for path in sorted(asked.images.rglob("*.png"))]
            print(f"honest images: {found(honest)} of {len(honest)} are false alarms")


if __name__ == "__main__":
    main()
