"""Verdicts of `balancer judge` on planted sets that pose as synthetic images.

python benchmarks/judged_sets.py DATA RARE OTHER [--out FOLDER] [--set NAME ...]

DATA holds a folder of images per class. Half of both classes are the real images, a quarter the
held-out ones, and the last quarter of the rare class poses as synthetic: as it is, as bad JPEG,
blurred, or with one in ten replaced by a noisy copy of a real image; so do noisy copies of real
images, and images of the other class. One seeded draw; each verdict is that of a whole command.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import cv2
import numpy as np
from click.testing import CliRunner
from numpy.typing import NDArray

from balancer.cli import main as balancer

Image = NDArray[np.uint8]
PARTIAL = 10
"""One image of so many is a copy in the set that is copied in part."""


def noisy(image: Image, deviation: float) -> Image:
    """Add noise."""
    noise = np.random.default_rng(1).normal(0, deviation, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def shifted(image: Image) -> Image:
    """Move the image by two rows and a column, and add noise."""
    return noisy(np.roll(image, (2, -1), (0, 1)), 5)


def blurred(image: Image) -> Image:
    """Blur the image so that no detail is left."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 5), np.uint8)


def enlarged(image: Image) -> Image:
    """Make the image 1.5 times as large."""
    size = (image.shape[1] * 3 // 2, image.shape[0] * 3 // 2)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def copy_files(paths: Sequence[Path], folder: Path) -> None:
    """Copy files into a new folder."""
    folder.mkdir(parents=True)
    for path in paths:
        shutil.copy(path, folder / path.name)


def write_changed(
    paths: Sequence[Path], folder: Path, change: Callable[[Image], Image], suffix: str = ".png"
) -> None:
    """Write changed images into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths):
        image = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, 15] if suffix == ".jpg" else []
        cv2.imwrite(str(folder / f"{number:05}{suffix}"), change(image), quality)


def make_sets(data: Path, rare: str, other: str, folder: Path) -> dict[str, Path]:
    """Write `real` and `holdout`, and the sets that pose as synthetic: name to folder."""
    draw = np.random.default_rng(0)

    def shuffled(label: str) -> list[Path]:
        paths = sorted((data / label).iterdir())
        return [paths[place] for place in draw.permutation(len(paths))]

    own, others = shuffled(rare), shuffled(other)
    seen, held_out = len(own) // 2, len(own) * 3 // 4
    made, apart = own[held_out:], held_out - seen
    copy_files(own[:seen], folder / "real" / rare)
    copy_files(own[seen:held_out], folder / "holdout" / rare)
    copy_files(others[: 2 * seen], folder / "real" / other)
    copy_files(others[2 * seen : 2 * seen + apart], folder / "holdout" / other)
    sets = {
        name: folder / name.replace(" ", "-")
        for name in ("unseen", "bad JPEG", "copied", "one in ten copied", "blurred", "other class")
    }
    copy_files(made, sets["unseen"])
    write_changed(made, sets["bad JPEG"], enlarged, ".jpg")
    write_changed(own[:seen], sets["copied"], shifted)
    copy_files(
        [path for number, path in enumerate(made) if number % PARTIAL], sets["one in ten copied"]
    )
    write_changed(
        own[: -(-len(made) // PARTIAL)], sets["one in ten copied"], lambda one: noisy(one, 4)
    )
    write_changed(made, sets["blurred"], blurred)
    start = 2 * seen + apart
    copy_files(others[start : start + len(made)], sets["other class"])
    return sets


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("rare")
@click.argument("other")
@click.option("--out", type=click.Path(path_type=Path), help="Keep the sets and pages there.")
@click.option("--set", "wanted", multiple=True, help="Judge this set; repeat it. [all]")
def main(data: Path, rare: str, other: str, out: Path | None, wanted: Sequence[str]) -> None:
    """Print the verdict, the failed checks and the word on sharing of every set."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = out or Path(temporary)
        sets = make_sets(data, rare, other, folder)
        print("| posing as synthetic | images | near copies | verdict | not passed | sharing |")
        print("|---|---|---|---|---|---|")
        for name in wanted or sets:
            place = sets[name]
            words = ["judge", str(folder / "real"), str(place), "--class", rare, "-q", "--strict"]
            pages = folder / f"judged-{place.name}"
            words += ["--holdout", str(folder / "holdout"), "--out", str(pages)]
            done = CliRunner().invoke(balancer, words)
            if done.exit_code not in (0, 4):
                raise click.ClickException(done.stderr)
            found = json.loads((pages / "judge" / "judge.json").read_text())["classes"][rare]
            gate = found["quality"]["gate"]
            failed = ", ".join(one["name"] for one in gate["checks"] if one["passed"] is not True)
            verdict = {True: "pass", False: "fail", None: "cannot be told"}[gate["passed"]]
            copies = found["quality"]["memorization"]["near_copies"]["generated"]
            sharing = found["quality"]["release"]["word"]
            n_images = len(list(place.iterdir()))
            shown = (name, n_images, f"{copies:.3f}", verdict, failed, sharing)
            print(f"| {' | '.join(map(str, shown))} |", flush=True)


if __name__ == "__main__":
    main()
