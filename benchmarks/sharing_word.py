"""How often images get the word "do not share": independent ones, and planted leaks.

    python benchmarks/sharing_word.py --sets 400

Real images seen and unseen by a generator, and synthetic ones, are drawn as features: normal with a
few strong directions, in two spaces that depend on each other, as the features of one image do. The
numbers of near copies are drawn too. The word is that of `balancer.quality.release`, beside the
same five tests at 5 % each without the correction for their number.
"""

from collections.abc import Callable

import click
import numpy as np
from numpy.typing import NDArray

from balancer.quality.figures import Release
from balancer.quality.release import COPIES, NEVER, SHARE, judged, measure_leak

Features = NDArray[np.float32]
LEVEL = 0.05
SIZES = ((150, 75, 75), (600, 150, 300), (60, 40, 40))
"""Numbers of seen, unseen and synthetic images."""
_WIDTH = 30
Generator = Callable[[Features, int, np.random.Generator], Features]


def population(n: int, rng: np.random.Generator) -> Features:
    """Draw features with a few strong directions: float32 (n, 30)."""
    return (rng.normal(size=(n, _WIDTH)) / np.sqrt(1 + np.arange(_WIDTH))).astype(np.float32)


def independent(seen: Features, n: int, rng: np.random.Generator) -> Features:
    """Draw images that know nothing of the seen ones."""
    return population(n, rng)


def leaning(share: float) -> Generator:
    """Return a generator that mixes each image with a seen one."""

    def draw(seen: Features, n: int, rng: np.random.Generator) -> Features:
        chosen = seen[rng.integers(len(seen), size=n)]
        mixed = share * chosen + np.sqrt(1 - share**2) * population(n, rng)
        return mixed.astype(np.float32)

    return draw


GENERATORS: dict[str, tuple[Generator, float]] = {
    "independent images": (independent, 0.0),
    "independent images, 1 in 100 alike by chance": (independent, 0.01),
    "one image in ten is a copy": (independent, 0.1),
    "each image mixed with a seen one, 0.5": (leaning(0.5), 0.0),
    "each image mixed with a seen one, 0.7": (leaning(0.7), 0.0),
    "each image mixed with a seen one, 0.9": (leaning(0.9), 0.0),
}
"""Name to a generator, and the share of near copies among its images."""


def words(name: str, sizes: tuple[int, int, int], seed: int) -> tuple[bool, bool]:
    """Return whether a set is condemned, with and without the correction."""
    generator, rate = GENERATORS[name]
    rng = np.random.default_rng(seed)
    n_seen, n_unseen, n = sizes
    seen, unseen = population(n_seen, rng), population(n_unseen, rng)
    made = generator(seen, n, rng)
    turn = np.linalg.qr(rng.normal(size=(_WIDTH, _WIDTH)))[0][:, : _WIDTH // 2].astype(np.float32)
    leaks = {
        space: measure_leak(*(view(some) for some in (seen, unseen, made)), rng=rng)
        for space, view in (("lite0", lambda x: x), ("edges", lambda x: np.tanh(x @ turn)))
    }
    by_chance = rate if "chance" in name else 0.0
    copies, held_out = int(rng.binomial(n, rate)), int(rng.binomial(n_unseen, by_chance))
    found = Release(
        word=SHARE, reasons=(), n=n, copies=tuple(range(copies)),
        expected_copies=held_out / n_unseen * n, reproduced=copies, leaks=leaks,
    )  # fmt: skip
    found = judged(found, held_out_copies=held_out, n_held_out=n_unseen)
    alone = judged(
        found.model_copy(update={"leaks": {}}), held_out_copies=held_out, n_held_out=n_unseen
    )
    values = [alone.tests[COPIES]]
    values += [p for leak in leaks.values() for p in (leak.membership_p, leak.closer_p) if p]
    return found.word == NEVER, min(values) < LEVEL


@click.command()
@click.option("--sets", default=400, show_default=True, help="Number of sets of each kind.")
def main(sets: int) -> None:
    """Print a table: the share of sets that are condemned."""
    print("| images | seen, unseen, synthetic | do not share | without the correction |")
    print("|---|---|---|---|")
    for sizes in SIZES:
        for name in GENERATORS:
            found = np.array([words(name, sizes, seed) for seed in range(sets)])
            corrected, alone = found.mean(axis=0)
            shown = ", ".join(map(str, sizes))
            print(f"| {name} | {shown} | {corrected:.3f} | {alone:.3f} |", flush=True)


if __name__ == "__main__":
    main()
