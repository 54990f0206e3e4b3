"""The check that grey levels, borders and sharpness do not give synthetic images away.

Small because each check of the gate is a file.
"""

from collections.abc import Mapping

from balancer.quality.checks.check import Check
from balancer.quality.config import GateConfig
from balancer.quality.descriptors import trivial_statistics
from balancer.quality.figures import Figures, Tell
from balancer.quality.probes import find_tell
from balancer.quality.sets import ClassFeatures


class ShortcutCheck(Check[Tell]):
    """AUROC of a probe that sees no anatomy."""

    name = "shortcut"
    too_few = "too few images for a probe"

    def measure(self, images: ClassFeatures) -> Tell | None:
        """Separate accepted images from real ones by twelve statistics of their pixels."""
        return find_tell(images, trivial_statistics)

    def read(self, figures: Figures) -> Mapping[str, Tell | None]:
        """Return the one figure."""
        return {self.name: figures.tells.trivial_statistics}

    def limit(self, label: str, figure: Tell, gate: GateConfig) -> float:
        """Allow `gate.max_trivial_auroc`."""
        return gate.max_trivial_auroc

    def passes(self, label: str, figure: Tell, limit: float) -> bool:
        """Compare the AUROC."""
        return figure.value <= limit

    def sentence(self, label: str, figure: Tell, limit: float) -> str:
        """Give the AUROC."""
        return (
            f"grey levels, borders and sharpness alone tell synthetic from real with AUROC "
            f"{figure.value:.3f} (limit {limit:.3f}; 0.5 cannot)"
        )
