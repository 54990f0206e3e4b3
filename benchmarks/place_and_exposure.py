"""Answers of the gate on diversity, place and exposure to real images and planted generators.

python benchmarks/place_and_exposure.py CLASS_FOLDER ... [--draws 20]

Each draw takes images of a class as training images, and as many unseen ones, which pose as
synthetic: as they are, halfway to their mean and moved about, all at one place, and at one
contrast. A row has the number of draws in which each check fails.
"""

import sys
from pathlib import Path

import click
import numpy as np

from balancer.data.io import decode_radiograph, is_coloured, read_bytes, resize_square
from balancer.quality.checks import DIVERSITY, REGISTERED_DIVERSITY, SPREAD, Check
from balancer.quality.config import GateConfig, QualityConfig
from balancer.quality.extractors import Extractor, load_extractor
from balancer.quality.features import Images
from balancer.quality.sets import ClassFeatures, ClassImages

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.planted_generators import alike, centred, moved, of_one_contrast

SIDE = 64
CHECKS: tuple[Check, ...] = (DIVERSITY, REGISTERED_DIVERSITY, SPREAD)


def read_class(folder: Path) -> Images:
    """Read the images of a class, uint8 (N, 64, 64) or (N, 64, 64, 3)."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    channels = 3 if is_coloured(paths[0]) else 1
    found = [decode_radiograph(read_bytes(path), path, channels=channels) for path in paths]
    return np.stack(
        [resize_square(one.pixels if one.colours is None else one.colours, SIDE) for one in found]
    )


def failed(generated: Images, training: Images, extractor: Extractor, pairs: int) -> list[bool]:
    """Ask each check of images that pose as synthetic; none of them asks the extractor."""
    sets = ClassFeatures(
        ClassImages("own", generated, generated, {"own": training}, {"own": training}),
        extractors={extractor.name: extractor},
        quality=QualityConfig(ms_ssim_pairs=pairs),
        gate=GateConfig(),
        seed=0,
        cache=None,
    )
    figures = [check.measure(sets) for check in CHECKS]
    return [
        not check.passes("own", figure, check.limit("own", figure, GateConfig()))
        for check, figure in zip(CHECKS, figures, strict=True)
    ]


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--draws", default=20, help="Number of random splits of each class.")
@click.option("--images", default=60, help="Number of images of each side, at most half of all.")
@click.option("--pairs", default=100, help="Number of pairs of the mean MS-SSIM.")
def main(folders: tuple[Path, ...], draws: int, images: int, pairs: int) -> None:
    """Print a row for each class and each kind of images."""
    print(f"| class | n | posing as synthetic | {' | '.join(check.name for check in CHECKS)} |")
    print("|---|---|---|" + "---|" * len(CHECKS))
    extractor = load_extractor("lite0")
    for folder in folders:
        every = read_class(folder)
        n = min(images, len(every) // 2)
        counts: dict[str, np.ndarray] = {}
        for draw in range(draws):
            order = np.random.default_rng(draw).permutation(len(every))
            training, unseen = every[order[:n]], every[order[n : 2 * n]]
            posing = {
                "unseen real images": unseen,
                "halfway to their mean, moved by 4 px": moved(alike(unseen), pixels=4),
                "all at one place and size": centred(unseen, training),
                "of one contrast": of_one_contrast(unseen),
            }
            for name, some in posing.items():
                found = np.array(failed(some, training, extractor, pairs), int)
                counts[name] = counts.get(name, 0) + found
        for name, row in counts.items():
            shares = " | ".join(f"{count}/{draws}" for count in row)
            print(f"| {folder.name} | {n} | {name} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
