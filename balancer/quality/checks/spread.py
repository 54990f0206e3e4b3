"""The check that place and exposure vary as they do among real images.

Small because each check of the gate is a file.
"""

from collections.abc import Mapping

from balancer.quality.checks.check import Check
from balancer.quality.config import GateConfig
from balancer.quality.figures import Figures
from balancer.quality.sets import ClassFeatures
from balancer.quality.spread import FEWEST, Spreads, measure_spreads


class SpreadCheck(Check[Spreads]):
    """Standard deviations of place, size and exposure over the images, beside real ones."""

    name = "spread"
    too_few = "spread of place and exposure: too few images"

    def measure(self, images: ClassFeatures) -> Spreads | None:
        """Compare equally many synthetic and real images."""
        sets = images.pairable(images.rng(3))
        if sets is None or images.registered is None or len(sets[0]) < FEWEST:
            return None
        return measure_spreads(sets, images.registered, images.rng(8))

    def read(self, figures: Figures) -> Mapping[str, Spreads | None]:
        """Return the one figure."""
        return {self.name: figures.spread}

    def limit(self, label: str, figure: Spreads, gate: GateConfig) -> float:
        """Ask for `gate.min_spread` of the standard deviation of real images."""
        return gate.min_spread

    def passes(self, label: str, figure: Spreads, limit: float) -> bool:
        """Compare the upper end of each interval: a few images prove nothing."""
        return all(one.interval is None or one.interval[1] >= limit for one in figure.of.values())

    def sentence(self, label: str, figure: Spreads, limit: float) -> str:
        """Give the quantity that varies least."""
        name = figure.narrowest
        one = figure.of[name]
        ratio = "not known" if one.interval is None else "{:.2f} to {:.2f}".format(*one.interval)
        return (
            f"{name}: standard deviation {one.generated:.1f}, real {one.real:.1f}; their ratio, "
            f"the least of {len(figure.of)}, is {ratio} with 95 % confidence (limit {limit:.2f})"
        )
