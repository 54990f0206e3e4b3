"""Compare networks trained on one view of each film, or on several, on films of other sources.

Usage: python benchmarks/robust_networks.py -w WORKSPACE --runs DIR [--splits 2] [--errors]

WORKSPACE is that of `robust_views.py`, and so are the films. The default network is trained at
96 px on 80 % of the films of `radiography-bam` by group, and tested on the other 20 % (`home`), on
each other source, and on pneumonia against no finding of one hospital. Then it is trained on the
ill films of it and the well ones of `darkcovid`, and tested on those left (`crossed`). With
several views, each use of a film in training shows one at random, and logits are averaged in the
test. All take the same number of steps. What is in DIR is not trained again.

With `--errors` it prints how well two numbers rank the wrong answers elsewhere above the right
ones: the distance to the training films in the network's own features (the mean of 5 neighbours,
Sun 2022, 2204.06507), and its lack of confidence (Hendrycks 2017, 1610.02136).
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paired_tests import Floats, Rows, Test, Tested, compared, table
from robust_views import Films, Trial, apart, crossed, parted, read_films, wins
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

import classifier
from balancer.data.io import resize_square
from balancer.data.threads import map_threaded
from balancer.imaging.config import ImageRecipe
from balancer.imaging.preprocess import preprocessor
from balancer.statistics.calibration import expected_calibration_error
from balancer.workspace import Workspace
from classifier import ArrayTable, ClassifierConfig
from classifier.models import ImageClassifier
from classifier.tables import Image

SIDE, MOST, EPOCHS = 96, 300, 10
ILL, WELL, FURTHER = "COVID", "Normal", "Pneumonia"
VIEWS = {
    "whole": ImageRecipe(),
    "window": ImageRecipe(lungs="exposed-for-lungs", contrast="window"),
    "equalize": ImageRecipe(lungs="exposed-for-lungs", contrast="equalize"),
    "crop": ImageRecipe(lungs="crop-to-lungs"),
    "only": ImageRecipe(lungs="lungs-only"),
    "only-window": ImageRecipe(lungs="lungs-only", contrast="window"),
}
WAYS = {
    "whole film": ("whole",),
    "five views mixed": ("whole", "window", "equalize", "crop", "only-window"),
    "lungs only": ("only",),
}
PAIR = "crossed bam/darkcovid"


@dataclass(frozen=True, slots=True)
class MixedTable(ArrayTable):
    """Films of which each use shows a view at random.

    Attributes:
        views: The films in each view, uint8 (N, SIDE, SIDE).
        rng: Random numbers that choose.
    """

    views: Sequence[Image]
    rng: np.random.Generator

    def __getitem__(self, number: int, /) -> tuple[Image, int]:
        view = self.views[self.rng.integers(len(self.views))]
        return view[number].copy(), int(self.labels[number])


@dataclass(frozen=True)
class Tried:
    """A trained network: its training films, those at home, and the logits of all that it tests."""

    folder: Path
    fit: Rows
    home: Rows
    logits: Mapping[int, float]

    def said(self, rows: Rows) -> Floats:
        """Return the logits of films."""
        return np.array([self.logits[row] for row in rows.tolist()])


def main() -> None:
    """Print a line of a Markdown table for each way to train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-w", "--workspace", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True, help="folder of the networks")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--splits", type=int, default=2, help="trainings on radiography-bam")
    parser.add_argument("--crossed", type=int, default=1, help="trainings on crossed sources")
    parser.add_argument("--errors", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    films = read_films(Workspace(asked.workspace), MOST)
    seen = views_of(films)
    found: dict[str, dict[str, Any]] = {}
    for way in asked.ways:
        tested: list[Tested] = []
        for trial in trials(films, with_crossed=asked.crossed > 0):
            splits = range(asked.splits if trial.has_home else asked.crossed)
            tried = [train(films, seen, trial, way, split, asked.runs) for split in splits]
            tested += [_tested(test, tried) for test in trial.tests]
            if trial.has_home:
                home = [_auroc(films, one.home, one) for one in tried]
                found[way] = {"home": float(np.mean(home)), "tested": tested}
                if asked.errors and way == "whole film":
                    print_errors(films, seen["whole"], trial, tried)
    print("\n".join(table(compared(found, films.groups))))


def views_of(films: Films) -> dict[str, Image]:
    """Return view to all films in it, uint8 (N, SIDE, SIDE)."""

    def show(row: int, name: str) -> Image:
        shown = preprocessor(VIEWS[name]).apply(films.pixels[row], films.lungs[row])
        return resize_square(shown, SIDE)

    rows = range(len(films.pixels))
    return {
        name: np.stack(map_threaded(lambda row: show(row, name), rows, task=f"View {name}"))  # noqa: B023
        for name in VIEWS
    }


def trials(films: Films, *, with_crossed: bool) -> Iterator[Trial]:
    """Yield the trial of one source, and that which crosses two."""
    well = films.rows("darkcovid", WELL)
    tests = (
        Test("left out", "cohen-50", films.rows("cohen-50", ILL), films.rows("cohen-50", WELL)),
        Test("left out", "darkcovid", films.rows("darkcovid", ILL), well),
        Test("one hospital", "darkcovid", films.rows("darkcovid", FURTHER), well),
    )
    train = apart(films, films.rows("bam", ILL, WELL), tests)
    yield Trial("bam", train, tests, has_home=True)
    if with_crossed:
        yield from (trial for trial in crossed(films, ILL, WELL) if trial.name == PAIR)


def train(
    films: Films, seen: Mapping[str, Image], trial: Trial, way: str, split: int, runs: Path
) -> Tried:
    """Train a network and test it, or read back what it said."""
    fit, home = parted(films, trial.train, split)
    folder = runs / f"{trial.name}-{split}-{way}".replace("/", "-").replace(" ", "-")
    kept = folder / "logits.npz"
    away = [rows for test in trial.tests for rows in (test.positive, test.negative)]
    tested = np.unique(np.concatenate([home, *away]))
    views = {name: seen[name] for name in WAYS[way]}
    if not kept.is_file():
        _fit(films, list(views.values()), fit, home[:20], split, folder)
        loaded = classifier.load(folder)
        said = {name: classifier.predict(loaded, view[tested]) for name, view in views.items()}
        logits = {name: np.log(p[:, 1]) - np.log(p[:, 0]) for name, p in said.items()}
        np.savez(kept, rows=tested, **logits)
    with np.load(kept) as found:
        mean = np.mean([found[name] for name in views], axis=0)
        return Tried(folder, fit, home, dict(zip(found["rows"].tolist(), mean, strict=True)))


def _fit(
    films: Films, views: Sequence[Image], fit: Rows, val: Rows, seed: int, folder: Path
) -> None:
    """Train the default network; validation chooses nothing of it."""
    labels = (films.labels != WELL).astype(np.int64)
    places = np.stack([np.zeros_like(fit), np.arange(len(fit))], axis=1)
    shown = [view[fit] for view in views]
    table = MixedTable(labels[fit], shown[:1], places, shown, np.random.default_rng(seed))
    watched = ArrayTable.of(
        np.concatenate([view[val] for view in views]), np.tile(labels[val], len(views))
    )
    recipe = ClassifierConfig(
        epochs=EPOCHS, input_size=SIDE, members=1, views=("plain",), calibration="none"
    )
    classifier.train(table, watched, recipe, out_dir=folder, seed=seed)


def print_errors(films: Films, view: Image, trial: Trial, tried: Sequence[Tried]) -> None:
    """Print how well the distance, and the lack of confidence, rank wrong answers elsewhere."""
    for test in trial.tests:
        rows = np.concatenate([test.positive, test.negative])
        for split, one in enumerate(tried):
            network = classifier.load(one.folder).network
            near = NearestNeighbors(n_neighbors=5).fit(_features(network, view[one.fit]))
            distance = near.kneighbors(_features(network, view[rows]))[0].mean(axis=1)
            said = one.said(rows)
            wrong = (said > 0) != (films.labels[rows] != WELL)
            by_distance, unsure = (
                roc_auc_score(wrong, distance),
                roc_auc_score(wrong, -np.abs(said)),
            )
            print(
                f"wrong answers, {test.place}, {test.name}, split {split}: by distance "
                f"{by_distance:.3f}, by lack of confidence {unsure:.3f}"
            )


def _features(network: ImageClassifier, images: Image) -> Floats:
    """Return the directions of features, float (N, F)."""
    starts = range(0, len(images), 64)
    with torch.inference_mode():
        parts = [
            network.features(torch.from_numpy(images[start : start + 64, None])) for start in starts
        ]
    return np.asarray(normalize(torch.cat(parts).numpy()), np.float64)


def _tested(test: Test, tried: Sequence[Tried]) -> Tested:
    rows = np.concatenate([test.positive, test.negative])
    truth = np.repeat([1, 0], [len(test.positive), len(test.negative)])
    chances = [1 / (1 + np.exp(-one.said(rows))) for one in tried]
    misses = [expected_calibration_error(np.stack([1 - p, p], 1), truth) for p in chances]
    won = [wins(one.said(test.positive), one.said(test.negative)) for one in tried]
    return Tested(test, np.mean(won, axis=0), float(np.mean(misses)))


def _auroc(films: Films, rows: Rows, one: Tried) -> float:
    return float(roc_auc_score(films.labels[rows] != WELL, one.said(rows)))


if __name__ == "__main__":
    main()
