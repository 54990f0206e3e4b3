"""The check that no other class is nearer than the class that the images are meant to be of.

At small sizes FID and KID are far more sensitive to image quality than to the disease, so a
distance to the own class means little without the distances to the others.
"""

import logging
from collections.abc import Mapping

import numpy as np

from balancer.quality.checks.check import Check
from balancer.quality.config import GateConfig
from balancer.quality.descriptors import edge_histograms
from balancer.quality.distances import Kernels, kid_difference_interval, kid_of_all
from balancer.quality.features import Features
from balancer.quality.figures import ClassDistance, Figures
from balancer.quality.sets import FEWEST, ClassFeatures

log = logging.getLogger(__name__)

Distances = dict[str, ClassDistance]
"""KID by class."""


class NearestClassCheck(Check[tuple[str, Distances]]):
    """KID to every class, in each feature space; the figure is the space and its distances."""

    name = "nearest class"

    def measure(self, images: ClassFeatures) -> dict[str, Distances | None]:
        """Measure in the first extractor's features, and in edges: less sensitive to noise, blur.

        All images made are measured, since the screen chose the accepted ones by such features.
        """
        label, real = images.label, images.images
        few = [name for name, some in real.training.items() if len(some) < FEWEST]
        if few:
            log.warning("No distance to %s: it has one training image.", ", ".join(few))
        if label in few or min(len(real.made), len(real.own_validation)) < FEWEST:
            return {images.main.name: None, "edges": None}
        classes = [name for name in real.training if name not in few]
        return {
            images.main.name: class_distances(
                label,
                images.made,
                images.validation[label],
                {name: images.training[name] for name in classes},
                images.rng(5),
            ),
            "edges": class_distances(
                label,
                edge_histograms(real.made),
                edge_histograms(real.own_validation),
                {name: edge_histograms(real.training[name]) for name in classes},
                images.rng(5),
            ),
        }

    def read(self, figures: Figures) -> Mapping[str, tuple[str, Distances] | None]:
        """Return the distances of each space; with one class there is nothing to ask."""
        return {
            f"{self.name} [{space}]": None if found is None else (space, found)
            for space, found in figures.identity.distances.items()
            if found is None or len(found) > 1
        }

    def limit(self, label: str, figure: tuple[str, Distances], gate: GateConfig) -> float:
        """Allow no other class to be nearer beyond the interval of the difference."""
        return 0.0

    def passes(self, label: str, figure: tuple[str, Distances], limit: float) -> bool:
        """Compare the lower end of each interval."""
        others = (row for name, row in figure[1].items() if name != label)
        return all(row.interval is None or row.interval[0] <= limit for row in others)

    def sentence(self, label: str, figure: tuple[str, Distances], limit: float) -> str:
        """Give the distances."""
        space, table = figure
        others = "".join(
            f", {row.generated:.3f} to {name}" for name, row in table.items() if name != label
        )
        own = table[label]
        return (
            f"KID[{space}] of the images made is {own.generated:.3f} to {label}{others} "
            f"(held-out {label}: {own.held_out:.3f})"
        )


def class_distances(
    label: str,
    generated: Features,
    held_out: Features,
    training: Mapping[str, Features],
    rng: np.random.Generator,
) -> Distances:
    """Measure KID to the own class and to every other, beside those of held-out images.

    Args:
        label: Class that the images are meant to be of.
        generated: Features (N, d), N >= 2.
        held_out: Features (M, d) of real images of the class that are not among the training ones,
            M >= 2.
        training: Features of real training images, 2 or more of each class.
        rng: Random numbers for the bootstrap.
    """
    own = Kernels.of(generated, training[label])
    table: Distances = {}
    for name, features in sorted(training.items()):
        kernels = own if name == label else Kernels.of(generated, features)
        row = ClassDistance(
            generated=kid_of_all(kernels), held_out=kid_of_all(Kernels.of(held_out, features))
        )
        if name != label:
            row = row.model_copy(
                update={
                    "own_minus_this": kid_of_all(own) - kid_of_all(kernels),
                    "interval": kid_difference_interval(own, kernels, rng),
                }
            )
        table[name] = row
    return table
