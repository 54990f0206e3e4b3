"""The check that few images are near copies of training images.

Small because each check of the gate is a file.
"""

from collections.abc import Mapping

from balancer.quality.checks.check import Check
from balancer.quality.config import GateConfig
from balancer.quality.figures import Figures, Memorization
from balancer.quality.memorization import without_held_out
from balancer.quality.sets import ClassFeatures


class MemorizationCheck(Check[Memorization]):
    """The share of near copies among all images made, beside that of held-out images."""

    name = "memorization"

    def measure(self, images: ClassFeatures) -> Memorization:
        """Compare all images made with the training images, and with others that may be seen."""
        found = images.copies.measure(images.nearest_made, images.rng(2))
        return found if images.images.unseen else without_held_out(found, images.made_copies)

    def read(self, figures: Figures) -> Mapping[str, Memorization | None]:
        """Return the one figure."""
        return {self.name: figures.memorization}

    def limit(self, label: str, figure: Memorization, gate: GateConfig) -> float:
        """Allow `gate.max_near_copies` more than held-out images have."""
        return figure.near_copies.held_out + gate.max_near_copies

    def passes(self, label: str, figure: Memorization, limit: float) -> bool | None:
        """Compare the lower end of the interval: a few images prove nothing, nor the opposite."""
        share = figure.near_copies
        if share.generated_at_least > limit:
            return False
        return True if share.generated <= limit else None

    def sentence(self, label: str, figure: Memorization, limit: float) -> str:
        """Give the shares."""
        share = figure.near_copies
        is_told = self.passes(label, figure, limit) is not None
        end = "" if is_told else ": too few images to tell, so look at the copies"
        return (
            f"{share.generated:.1%} of the {figure.n} images made are near copies of training "
            f"images, at least {share.generated_at_least:.1%} with 95 % confidence (limit "
            f"{limit:.1%}; {share.held_out:.1%} of held-out real ones are){end}"
        )
