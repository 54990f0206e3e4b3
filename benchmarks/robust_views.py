"""Compare views of the lungs by how well a classifier does on films of sources left out.

Usage: python benchmarks/robust_views.py -w WORKSPACE [--most 300] [--splits 5] [--out FILE]

The index needs a column `source` with several sources that each hold the positive and the negative
class. A linear head is trained on frozen features, several times on 80 % of the training films by
group, and tested in four places:

- `home`: the other 20 %.
- `left out`: films of a source that training never had, after training on all other sources.
- `crossed`: training on the positive films of one source and the negative films of another, then
  testing the negative films of the first against the positive films of the second. A classifier
  that reads the source in place of the disease is worse than a guess here.
- `one hospital`: films of a further class against the negative ones of the same source, left out of
  training. Nothing but the disease tells these apart.

A film that shares its group with a tested film trains nothing. Each candidate is compared with
whole films in pairs: the difference of the mean AUROC of a place, with a 95 % interval from 2,000
resamples of the groups of tested films. The rule, fixed before the figures were seen: a candidate
wins if its difference is shown to be above 0 where sources are crossed, and its interval ends
above 0 where sources are left out and in one hospital.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from lung_views import CROP, ONLY, WHOLE, Mask, Pixels, Recipe, show
from numpy.typing import NDArray
from paired_tests import Floats, Rows, Test, Tested, compared, table

from balancer.ablation.frozen_head import fit_head, one_thread
from balancer.data.index import ImageSet, load_index
from balancer.data.split import part_groups
from balancer.data.threads import map_threaded
from balancer.imaging.lungs.segment import DOUBTFUL, segment_lungs
from balancer.quality.extractors import load_extractor
from balancer.quality.features import features_of
from balancer.results import installed_versions
from balancer.statistics.calibration import expected_calibration_error
from balancer.workspace import Workspace
from classifier.config import ClassifierConfig

SIDE = 224
LEAST = 20
"""Films of a class and source from which a test counts."""


BOX = Recipe("crop-to-lungs", "symmetric hull")
CLEAREST = Recipe("lungs-only", "ellipse", "window")
LUNG_EXPOSURES = (WHOLE, Recipe(exposure="window"), Recipe(exposure="equalize"))
FILM_EXPOSURES = (WHOLE, Recipe(None, "film", "window"), Recipe(None, "film", "equalize"))


@dataclass(frozen=True)
class Candidate:
    """A way to train and test.

    Attributes:
        recipes: Views; the logits of several are averaged.
        mixed: One head is trained on all views, in place of one each.
        balanced: Every class of every source has the same weight.
    """

    recipes: tuple[Recipe, ...] = (WHOLE,)
    mixed: bool = False
    balanced: bool = False


CANDIDATES = {
    "whole film": Candidate(),
    "no lungs, the control": Candidate((Recipe("lungs-blacked-out"),)),
    "crop": Candidate((CROP,)),
    "lungs only": Candidate((ONLY,)),
    **{
        f"lungs only, {name}": Candidate((Recipe("lungs-only", name),))
        for name in ("hull", "ellipse", "floor", "symmetric", "symmetric hull")
    },
    "crop, symmetric hull": Candidate((Recipe("crop-to-lungs", "symmetric hull"),)),
    **{
        f"crop, {name} in the lungs": Candidate((Recipe("crop-to-lungs", "found", name),))
        for name in ("window", "equalize", "standardise")
    },
    **{
        f"lungs only, {name} in the lungs": Candidate((Recipe("lungs-only", "found", name),))
        for name in ("window", "equalize", "standardise")
    },
    "whole film, balanced sources": Candidate(balanced=True),
    "three views averaged": Candidate((WHOLE, CROP, ONLY)),
    "three views mixed": Candidate((WHOLE, CROP, ONLY), mixed=True),
    "crop and lungs only averaged": Candidate((CROP, ONLY)),
    # A second round, after the figures of those above were seen.
    "whole film and crop averaged": Candidate((WHOLE, CROP)),
    "whole film and lungs only averaged": Candidate((WHOLE, ONLY)),
    "three exposures averaged, a control": Candidate(LUNG_EXPOSURES),
    "three views as channels": Candidate((Recipe("channels"),)),
    "lungs only, ellipse, window in the lungs": Candidate((CLEAREST,)),
    "three completed views averaged": Candidate((WHOLE, BOX, CLEAREST)),
    "two completed views averaged": Candidate((BOX, CLEAREST)),
    # A third round, after those.
    "three exposures mixed": Candidate(LUNG_EXPOSURES, mixed=True),
    "three exposures of the film averaged": Candidate(FILM_EXPOSURES),
    "three exposures of the film mixed": Candidate(FILM_EXPOSURES, mixed=True),
    "five views averaged": Candidate((*LUNG_EXPOSURES, BOX, CLEAREST)),
    "five views mixed": Candidate((*LUNG_EXPOSURES, BOX, CLEAREST), mixed=True),
    # A fourth round, for a recipe of one view.
    **{
        f"whole film, {name} in the lungs": Candidate((Recipe(exposure=name),))
        for name in ("window", "equalize", "standardise")
    },
}


def main() -> None:
    """Print a line per candidate; write all figures as JSON if a file is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-w", "--workspace", type=Path, required=True)
    parser.add_argument("--negative", default="Normal")
    parser.add_argument("--positive", default="COVID")
    parser.add_argument("--most", type=int, default=300, help="films of a class and source")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="candidates; all without it")
    parser.add_argument("--out", type=Path, help="file of all figures")
    asked = parser.parse_args()
    films = read_films(Workspace(asked.workspace), asked.most)
    trials = [
        *left_out(films, asked.positive, asked.negative),
        *crossed(films, asked.positive, asked.negative),
    ]
    wanted = {"whole film": CANDIDATES["whole film"]} | {
        name: CANDIDATES[name] for name in asked.only or CANDIDATES
    }
    tested = {}
    for name, candidate in wanted.items():
        tested[name] = test(candidate, films, trials, asked.splits, asked.negative)
        print(f"tested: {name}", file=sys.stderr, flush=True)
    rows = compared(tested, films.groups)
    print("\n".join(table(rows)))
    if asked.out:
        record = {
            "command": shlex.join(["python", *sys.argv]),
            "versions": installed_versions(),
            "films": films.counts(),
            "doubtful": films.doubtful(),
            "tests": [trial.name for trial in trials],
            "candidates": rows,
        }
        asked.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@dataclass
class Films:
    """Films with what is known of them, and their features as each view shows them.

    Attributes:
        pixels: uint8 (N, SIDE, SIDE).
        labels, sources, groups: Of each film, (N,).
        lungs: bool (N, SIDE, SIDE), as found without training.
        quality: In [0, 1], (N,).
        features: View to float32 (N, d), filled as they are asked for.
    """

    pixels: Pixels
    labels: NDArray[np.str_]
    sources: NDArray[np.str_]
    groups: NDArray[np.str_]
    lungs: Mask
    quality: Floats
    cache: Path
    features: dict[Recipe, NDArray[np.float32]] = field(default_factory=dict)

    def rows(self, source: str | None, *labels: str) -> Rows:
        """Return the films of a source, or of all others than it with `!`, in some classes."""
        of = np.isin(self.labels, labels)
        if source is not None:
            of &= self.sources != source[1:] if source[0] == "!" else self.sources == source
        return np.flatnonzero(of)

    def seen(self, recipe: Recipe) -> NDArray[np.float32]:
        """Return the features of all films in a view."""
        if recipe not in self.features:
            shown = map_threaded(
                lambda row: show(self.pixels[row], self.lungs[row], recipe),
                range(len(self.pixels)),
                task="Showing a view",
            )
            with one_thread():
                self.features[recipe] = features_of(
                    load_extractor("lite0"), np.stack(shown), cache=self.cache
                )
        return self.features[recipe]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return source to class to number of films."""
        return {
            str(source): {
                str(label): len(self.rows(source, label)) for label in np.unique(self.labels)
            }
            for source in np.unique(self.sources)
        }

    def doubtful(self) -> dict[str, int]:
        """Return source to the number of films whose lungs were found with doubt."""
        doubt = self.quality < DOUBTFUL
        return {
            str(source): int(doubt[self.sources == source].sum())
            for source in np.unique(self.sources)
        }


def read_films(workspace: Workspace, most: int) -> Films:
    """Read at most so many films of each class and source, and find their lungs."""
    index = load_index(workspace.index_dir)
    images: ImageSet = index.image_set(SIDE)
    rng = np.random.default_rng(0)
    cells: dict[tuple[str, str], list[int]] = {}
    for row, record in enumerate(images.records):
        cells.setdefault((record.source, record.label), []).append(row)
    kept = np.sort(
        np.concatenate([rng.permutation(rows)[:most] for _, rows in sorted(cells.items())])
    )
    records = [images.records[row] for row in kept]
    pixels = np.ascontiguousarray(images.pixels[kept])
    fields = map_threaded(
        lambda row: segment_lungs(pixels[row]), range(len(pixels)), task="Finding lungs"
    )
    return Films(
        pixels,
        np.array([record.label for record in records]),
        np.array([record.source for record in records]),
        np.array([record.group for record in records]),
        np.stack([one.mask for one in fields]),
        np.array([one.quality for one in fields]),
        workspace.feature_cache_dir,
    )


# Training and testing.


@dataclass(frozen=True)
class Trial:
    """Films to train on, and what is tested afterwards."""

    name: str
    train: Rows
    tests: tuple[Test, ...]
    has_home: bool


def left_out(films: Films, positive: str, negative: str) -> Iterator[Trial]:
    """Yield a trial for every source with both classes: it is left out."""
    further = [str(label) for label in np.unique(films.labels) if label not in (positive, negative)]
    for source in map(str, np.unique(films.sources)):
        ill, well = films.rows(source, positive), films.rows(source, negative)
        if min(len(ill), len(well)) < LEAST:
            continue
        tests = [Test("left out", source, ill, well)]
        for label in further:
            others = films.rows(source, label)
            if len(others) >= LEAST:
                tests.append(Test("one hospital", f"{label}, {source}", others, well))
        train = apart(films, films.rows(f"!{source}", positive, negative), tests)
        yield Trial(f"without {source}", train, tuple(tests), has_home=True)


def crossed(films: Films, positive: str, negative: str) -> Iterator[Trial]:
    """Yield a trial for every two sources: classes from one each, and then the other way round."""
    for one, other in permutations(map(str, np.unique(films.sources)), 2):
        cells = [films.rows(one, positive), films.rows(other, negative)]
        asked = Test(
            "crossed", f"{one}/{other}", films.rows(other, positive), films.rows(one, negative)
        )
        train = apart(films, np.concatenate(cells), [asked])
        sizes = [np.isin(train, cell).sum() for cell in cells]
        if min(*sizes, len(asked.positive), len(asked.negative)) >= LEAST:
            yield Trial(f"crossed {one}/{other}", train, (asked,), has_home=False)


def apart(films: Films, train: Rows, tests: Sequence[Test]) -> Rows:
    """Leave out films that share a group, such as a copy, with a tested film."""
    tested = {films.groups[row] for test in tests for row in (*test.positive, *test.negative)}
    return np.array([row for row in train if films.groups[row] not in tested], np.int64)


def parted(films: Films, rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """Part films by group into 80 %, which train, and the rest, which test at home."""
    part = part_groups(
        [str(group) for group in films.groups[rows]],
        [str(label) for label in films.labels[rows]],
        shares=(0.8, 0.2),
        seed=seed,
    )
    own = np.array([part[group] for group in films.groups[rows]])
    return rows[own == 0], rows[own == 1]


def test(
    candidate: Candidate, films: Films, trials: Sequence[Trial], splits: int, negative: str
) -> dict[str, Any]:
    """Train and test a candidate; return its AUROC at home and its tests elsewhere."""
    found, home = [], []
    for trial in trials:
        scored: list[list[tuple[Floats, float]]] = [[] for _ in trial.tests]
        for split in range(splits):
            fit, rest = parted(films, trial.train, split)
            score = fitted(candidate, films, fit, negative)
            if trial.has_home:
                well = films.labels[rest] == negative
                home.append(wins(score(rest[~well]), score(rest[well])).mean())
            for number, asked in enumerate(trial.tests):
                up, down = score(asked.positive), score(asked.negative)
                chances = 1 / (1 + np.exp(-np.concatenate([up, down])))
                truth = np.repeat([1, 0], [len(up), len(down)])
                error = expected_calibration_error(np.stack([1 - chances, chances], 1), truth)
                scored[number].append((wins(up, down), error))
        found += [
            Tested(
                asked,
                np.mean([won for won, _ in values], axis=0),
                float(np.mean([error for _, error in values])),
            )
            for asked, values in zip(trial.tests, scored, strict=True)
        ]
    return {"home": float(np.mean(home)), "tested": found}


def fitted(
    candidate: Candidate, films: Films, train: Rows, negative: str
) -> Callable[[Rows], Floats]:
    """Train a candidate; return the function from films to their logits."""
    truth = (films.labels[train] != negative).astype(np.int64)
    weights = np.ones(len(train))
    if candidate.balanced:
        cells = [f"{films.sources[row]} {films.labels[row]}" for row in train]
        _, cell, counts = np.unique(cells, return_inverse=True, return_counts=True)
        weights = len(train) / (len(counts) * counts[cell])
    views = [films.seen(recipe) for recipe in candidate.recipes]
    # The budget is of films, however many views of each are shown.
    settings = {"recipe": ClassifierConfig(), "budget": len(train)}
    if candidate.mixed:
        n = len(views)
        rows = np.concatenate([view[train] for view in views])
        head = fit_head(rows, np.tile(truth, n), np.tile(weights, n), **settings)
        heads = [head] * n
    else:
        heads = [fit_head(view[train], truth, weights, **settings) for view in views]

    def score(rows: Rows) -> Floats:
        chances = [head.probabilities(view[rows]) for head, view in zip(heads, views, strict=True)]
        logits = [np.log(np.maximum(p[:, 1], 1e-12) / np.maximum(p[:, 0], 1e-12)) for p in chances]
        return np.asarray(np.mean(logits, axis=0), np.float64)

    return score


def wins(up: Floats, down: Floats) -> Floats:
    """Return 1 where a positive film scores above a negative one, 0.5 where equal, (P, N)."""
    above = up[:, None] - down[None]
    return np.asarray((above > 0) + 0.5 * (above == 0), np.float64)


if __name__ == "__main__":
    main()
