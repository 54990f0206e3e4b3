"""The check that images differ from each other in more than their place and size.

Small because each check of the gate is a file.
"""

from collections.abc import Mapping

from balancer.quality.checks.diversity import DiversityCheck
from balancer.quality.config import GateConfig
from balancer.quality.diversity import compare_ms_ssim
from balancer.quality.figures import Figures, MsSsim
from balancer.quality.sets import ClassFeatures


class RegisteredDiversityCheck(DiversityCheck):
    """Mean MS-SSIM of pairs of registered images, beside that of real images.

    Copies that are moved about are unlike as they are, and alike once they are registered.
    """

    name = "registered diversity"

    def measure(self, images: ClassFeatures) -> MsSsim | None:
        """Compare random pairs within equally many registered synthetic and real images."""
        if images.registered is None:
            return None
        generated, real = (some.windows for some in images.registered)
        return compare_ms_ssim(generated, real, images.rng(7), pairs=images.quality.ms_ssim_pairs)

    def read(self, figures: Figures) -> Mapping[str, MsSsim | None]:
        """Return the one figure."""
        return {self.name: figures.diversity.registered}

    def limit(self, label: str, figure: MsSsim, gate: GateConfig) -> float:
        """Allow `gate.max_registered_similarity` more than real images have."""
        return figure.real + gate.max_registered_similarity
