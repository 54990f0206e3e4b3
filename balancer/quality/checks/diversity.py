"""The check that images are about as different from each other as real ones are.

Small because each check of the gate is a file.
"""

from collections.abc import Mapping

from balancer.quality.checks.check import Check
from balancer.quality.config import GateConfig
from balancer.quality.diversity import compare_ms_ssim
from balancer.quality.figures import Figures, MsSsim
from balancer.quality.sets import ClassFeatures


class DiversityCheck(Check[MsSsim]):
    """Mean MS-SSIM of pairs of images, beside that of real images."""

    name = "diversity"
    too_few = "mean MS-SSIM of pairs: too few images"

    def measure(self, images: ClassFeatures) -> MsSsim | None:
        """Compare random pairs within equally many synthetic and real images."""
        rng = images.rng(3)
        sets = images.pairable(rng)
        if sets is None:
            return None
        return compare_ms_ssim(*sets, rng, pairs=images.quality.ms_ssim_pairs)

    def read(self, figures: Figures) -> Mapping[str, MsSsim | None]:
        """Return the one figure."""
        return {self.name: figures.diversity.ms_ssim}

    def limit(self, label: str, figure: MsSsim, gate: GateConfig) -> float:
        """Allow `gate.max_similarity` more than real images have."""
        return figure.real + gate.max_similarity

    def passes(self, label: str, figure: MsSsim, limit: float) -> bool:
        """Compare the means."""
        return figure.generated <= limit

    def sentence(self, label: str, figure: MsSsim, limit: float) -> str:
        """Give the means."""
        return (
            f"mean MS-SSIM of pairs {figure.generated:.3f} (limit {limit:.3f}; "
            f"real {figure.real:.3f})"
        )
