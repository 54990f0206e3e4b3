"""The check that few images have a near copy in their own set.

Small because each check of the gate is a file.
"""

from collections.abc import Mapping

from balancer.quality.checks.check import Check
from balancer.quality.config import GateConfig
from balancer.quality.diversity import twin_share
from balancer.quality.figures import Figures, Twins
from balancer.quality.sets import ClassFeatures


class TwinsCheck(Check[Twins]):
    """The share of images with a near copy in their own set, beside that of real images."""

    name = "twins"
    too_few = "share with a near copy in their own set: too few images"

    def measure(self, images: ClassFeatures) -> Twins | None:
        """Look for near copies within equally many synthetic and real images."""
        sets = images.pairable(images.rng(3))
        if sets is None:
            return None
        generated, real = (twin_share(some, images.gate.near_copy_correlation) for some in sets)
        return Twins(generated=generated, real=real, n=len(sets[0]))

    def read(self, figures: Figures) -> Mapping[str, Twins | None]:
        """Return the one figure."""
        return {self.name: figures.diversity.twins}

    def limit(self, label: str, figure: Twins, gate: GateConfig) -> float:
        """Allow `gate.max_twins` more than real images have."""
        return figure.real + gate.max_twins

    def passes(self, label: str, figure: Twins, limit: float) -> bool:
        """Compare the shares."""
        return figure.generated <= limit

    def sentence(self, label: str, figure: Twins, limit: float) -> str:
        """Give the shares."""
        return (
            f"share with a near copy in their own set {figure.generated:.3f} (limit {limit:.3f}; "
            f"real {figure.real:.3f})"
        )
