"""Processor time of each step of the preprocessing, beside that of decoding an image.

Usage: python benchmarks/preprocessing.py [--sides 224,1024] [--films 20] [--rounds 5]
       python benchmarks/preprocessing.py --borders FOLDER

Films are drawn chests with a frame around them, decoded from PNG and from JPEG of quality 90. One
thread; medians of the rounds. With `--borders`: how many films of each class have a border, in a
folder with a folder per class.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from balancer.data.io import decode_radiograph, png_bytes, read_radiograph, resize_square
from balancer.imaging.borders import find_film
from balancer.imaging.config import PreprocessingConfig as Config
from balancer.imaging.preprocess import preprocessor
from samples.phantom import draw_lung_field, draw_phantom

FILM = Path("film")
Films = Sequence[NDArray[np.uint8]]

STEPS = {
    "border=remove": Config(border="remove"),
    "contrast=clahe": Config(contrast="clahe"),
    "contrast=equalize": Config(contrast="equalize"),
    "contrast=window": Config(contrast="window"),
    "lungs=lungs-only, masks given": Config(lungs="lungs-only"),
    "lungs=crop-to-lungs, masks given": Config(lungs="crop-to-lungs"),
    "lungs=lungs-only, masks=classical": Config(lungs="lungs-only", masks="classical"),
    "frame=crop": Config(frame="crop"),
    "frame=pad": Config(frame="pad"),
    "border, CLAHE and pad": Config(border="remove", contrast="clahe", frame="pad"),
}


def main() -> None:
    """Print milliseconds per film and shares of the decoding of a PNG."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", default="224,1024")
    parser.add_argument("--films", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--borders", type=Path)
    options = parser.parse_args()
    if options.borders:
        count_borders(options.borders)
        return
    cv2.setNumThreads(1)
    for side in map(int, options.sides.split(",")):
        films, masks = draw(side, options.films)
        png = [png_bytes(film, {}) for film in films]
        jpeg = [_jpeg(film) for film in films]
        base = measure(lambda row, png=png: decode_radiograph(png[row], FILM), options)
        print(f"{side} px, ms per film: PNG {base:.2f}", end="")
        other = measure(lambda row, jpeg=jpeg: decode_radiograph(jpeg[row], FILM), options)
        print(f", JPEG {other:.2f}", end="")
        smaller = measure(lambda row, films=films: resize_square(films[row], 128), options)
        print(f", resized to 128 px {smaller:.2f}")
        for name, config in STEPS.items():
            step = preprocessor(config)
            spent = measure(
                lambda row, step=step, films=films, masks=masks: step.apply(films[row], masks[row]),
                options,
            )
            print(f"  {name:36} {spent:8.3f} ms {spent / base:7.2f} of decoding")


def count_borders(root: Path) -> None:
    """Print the films of each class, those with a border, and the median share that it takes."""
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        lost = []
        films = [
            path for path in sorted(folder.rglob("*")) if path.suffix in (".png", ".jpg", ".jpeg")
        ]
        for path in films:
            film = read_radiograph(path)
            lost.append(1 - find_film(film).of(film).size / film.size)
        bordered = [share for share in lost if share]
        median = statistics.median(bordered) if bordered else 0.0
        print(f"{folder.name}: {len(bordered)} of {len(films)}, median share {median:.1%}")


def draw(side: int, count: int) -> tuple[Films, Films]:
    """Phantoms with a frame of a tenth of the side on the left and above, and their lungs."""
    width = side // 10
    around = ((width, 0), (width, 0))
    films = [
        np.pad(draw_phantom(seed, covid=seed % 2 == 0, size=side - width), around)
        for seed in range(count)
    ]
    masks = [np.pad(draw_lung_field(seed, size=side - width), around) for seed in range(count)]
    return films, masks


def measure(work: Callable[[int], object], options: argparse.Namespace) -> float:
    """Median over rounds of the processor time per film, in ms."""
    rounds = []
    for _ in range(options.rounds + 1):
        start = time.process_time()
        for row in range(options.films):
            work(row)
        rounds.append(1000 * (time.process_time() - start) / options.films)
    return statistics.median(rounds[1:])


def _jpeg(film: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(film).save(content, "JPEG", quality=90)
    return content.getvalue()


if __name__ == "__main__":
    main()
