"""The check that images cover the variety of real training images.

Small because each check of the gate is a file.
"""

from collections.abc import Mapping

from balancer.quality.checks.check import Check
from balancer.quality.config import GateConfig
from balancer.quality.figures import Figures, SameN


class CoverageCheck(Check[SameN]):
    """Coverage of training images by each extractor's features, at the n that real images have.

    An extractor that also chose the images is not asked, unless it is the first.
    """

    name = "coverage"

    def read(self, figures: Figures) -> Mapping[str, SameN | None]:
        """Return the coverage by each extractor that is asked."""
        every = [
            (name, distance)
            for name, distance in figures.against.get("training", {}).items()
            if name.startswith(self.name)
        ]
        found = {
            name: distance.same_n
            for place, (name, distance) in enumerate(every)
            if place == 0 or not distance.chose
        }
        return found or {self.name: None}

    def limit(self, label: str, figure: SameN, gate: GateConfig) -> float:
        """Ask for `gate.min_coverage` of the coverage by real images."""
        return gate.min_coverage * figure.real_against_real

    def passes(self, label: str, figure: SameN, limit: float) -> bool:
        """Compare the coverages."""
        return figure.value >= limit

    def sentence(self, label: str, figure: SameN, limit: float) -> str:
        """Give the coverages."""
        return (
            f"{figure.value:.3f} at n = {figure.n} (limit {limit:.3f}; real "
            f"{figure.real_against_real:.3f})"
        )
