"""Spread of place and exposure over a set of images.

Features hardly depend on either, so metrics of features miss a collapse of it.
"""

import math

import numpy as np

from balancer.imaging.pixels import luma
from balancer.quality.placement import RECIPE, Floats, Images, Registered
from balancer.results import Record

QUANTITIES = (
    "horizontal place, % of the side",
    "vertical place, % of the side",
    "size, %",
    "mean grey level",
    "contrast, grey levels",
)
"""Place and size are found by registration; contrast is the standard deviation of an image."""
FEWEST = 10
"""Number of images below which a standard deviation says nothing."""
_RESAMPLES = 1_000
_TINY = 1e-6
"""Standard deviation that is one of rounding alone."""


class Spread(Record):
    """Standard deviation of one quantity over the images of a set.

    Attributes:
        generated: Among synthetic images.
        real: Among real training images.
        ratio: The former over the latter; None where real images hardly vary.
        interval: 95 % bootstrap interval of the ratio.
    """

    generated: float
    real: float
    ratio: float | None = None
    interval: tuple[float, float] | None = None


class Spreads(Record):
    """Spread of place and exposure.

    Attributes:
        n: Number of images of each set.
        of: Quantity, with its unit, to its spread.
        recipe: Definition of the figures.
    """

    n: int
    of: dict[str, Spread]
    recipe: str

    @property
    def narrowest(self) -> str:
        """Name of the quantity with the lowest upper end of its interval."""
        return min(self.of, key=lambda name: (self.of[name].interval or (0.0, math.inf))[1])


def measure_spreads(
    sets: tuple[Images, Images], registered: tuple[Registered, Registered], rng: np.random.Generator
) -> Spreads:
    """Compare the spreads of synthetic images with those of as many real ones.

    Args:
        sets: Synthetic and real images, uint8 (N, S, S) or (N, S, S, 3) each, N >= 2.
        registered: The same, registered.
        rng: Random numbers of the bootstrap.
    """
    generated, real = map(_quantities, sets, registered)
    columns = (generated, real, _resampled(generated, rng), _resampled(real, rng))
    return Spreads(
        n=len(generated),
        of={
            name: _spread(*(column[:, place] for column in columns))
            for place, name in enumerate(QUANTITIES)
        },
        recipe=f"standard deviation over n - 1; place and size: {RECIPE}; interval: 95 %, "
        f"{_RESAMPLES} bootstrap resamples of both sets",
    )


def _quantities(images: Images, found: Registered) -> Floats:
    greys = luma(images)
    percent = [100 * found.right, 100 * found.down, 100 * found.zoom]
    return np.stack([*percent, greys.mean(axis=(1, 2)), greys.std(axis=(1, 2))], axis=1)


def _resampled(values: Floats, rng: np.random.Generator) -> Floats:
    """Return the standard deviations in resamples of the images, float64 (resamples, 5)."""
    rows = rng.integers(len(values), size=(_RESAMPLES, len(values)))
    return np.asarray(values[rows].std(axis=1, ddof=1))


def _spread(generated: Floats, real: Floats, resampled: Floats, resampled_real: Floats) -> Spread:
    found = Spread(generated=float(generated.std(ddof=1)), real=float(real.std(ddof=1)))
    if resampled_real.min() < _TINY:  # it hardly varies among real images: nothing to ask
        return found
    low, high = np.quantile(resampled / resampled_real, [0.025, 0.975])
    return found.model_copy(
        update={"ratio": found.generated / found.real, "interval": (float(low), float(high))}
    )
