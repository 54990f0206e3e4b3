"""Candidates of `robust_views.py` compared in pairs, on the same resamples of tested films."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

RESAMPLES = 2000


@dataclass(frozen=True)
class Test:
    """Films whose order is tested: positive ones should score higher."""

    place: str
    name: str
    positive: Rows
    negative: Rows


@dataclass(frozen=True)
class Tested:
    """A test of one candidate.

    Attributes:
        test: The test.
        wins: float64 (positive, negative), the share of splits in which the positive film of a pair
            scores higher; equal scores count half. Its mean is the AUROC, averaged over the splits.
        ece: Expected calibration error, averaged over the splits.
    """

    test: Test
    wins: Floats
    ece: float


def compared(
    found: Mapping[str, dict[str, Any]], groups: NDArray[Any]
) -> dict[str, dict[str, Any]]:
    """Return each candidate's figures, and its differences from whole films in pairs."""
    base = found["whole film"]["tested"]
    drawn = Resamples(groups, [one.test for one in base])
    plain = drawn.aurocs(base)
    rows: dict[str, dict[str, Any]] = {}
    for name, one in found.items():
        own = drawn.aurocs(one["tested"])
        row: dict[str, Any] = {"home": round(one["home"], 4), "places": {}, "tests": {}}
        for test in one["tested"]:
            row["tests"][f"{test.test.place}: {test.test.name}"] = {
                "auroc": round(float(test.wins.mean()), 4), "ece": round(test.ece, 4)
            }  # fmt: skip
        for place in dict.fromkeys(test.test.place for test in one["tested"]):
            at = [number for number, test in enumerate(base) if test.test.place == place]
            values = np.mean([own[number] for number in at], axis=0)
            gains = values - np.mean([plain[number] for number in at], axis=0)
            row["places"][place] = {
                "auroc": _with_ends(values),
                "gain": _with_ends(gains),
                "ece": round(float(np.mean([one["tested"][number].ece for number in at])), 4),
            }
        rows[name] = row
    return rows


class Resamples:
    """Resamples of the groups of tested films, the same for every candidate; the first is plain."""

    def __init__(self, groups: NDArray[Any], tests: Sequence[Test]) -> None:
        """Draw them."""
        names, number = np.unique(groups, return_inverse=True)
        rng = np.random.default_rng(0)
        drawn = rng.poisson(1.0, (RESAMPLES, len(names))).astype(np.float64)
        drawn = np.concatenate([np.ones((1, len(names))), drawn])
        self.weights = [(drawn[:, number[t.positive]], drawn[:, number[t.negative]]) for t in tests]

    def aurocs(self, tested: Sequence[Tested]) -> list[Floats]:
        """Return the AUROC of each test in every resample."""
        return [
            np.einsum("bp,bp->b", up @ one.wins, down) / (up.sum(1) * down.sum(1))
            for one, (up, down) in zip(tested, self.weights, strict=True)
        ]


def _with_ends(values: Floats) -> list[float]:
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return [round(float(value), 4) for value in (values[0], low, high)]


def table(rows: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    places = list(next(iter(rows.values()))["places"])
    yield "| candidate | home | " + " | ".join(f"{p} | gain" for p in places) + " | ECE left out |"
    yield "|---|---|" + "---|" * (2 * len(places) + 1)
    for name, row in rows.items():
        cells = []
        for place in places:
            found = row["places"][place]
            cells += [
                f"{found['auroc'][0]:.3f}",
                "{:+.3f} ({:+.3f} to {:+.3f})".format(*found["gain"]),
            ]
        ece = row["places"]["left out"]["ece"]
        yield f"| {name} | {row['home']:.3f} | {' | '.join(cells)} | {ece:.3f} |"
