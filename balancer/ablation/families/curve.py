"""The arms of a learning curve: real images, with fewer or more of the rare class.

No line of configuration names them, and no verdict is about them: `ablation.worth` asks for the
curve, and the worth of every other arm is read off it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.families.arm import Arm, FoldData
from balancer.ablation.folds import derived_seed
from balancer.data.index import Index
from balancer.manifest import HELD_BACK


class CurveArm(Arm):
    """A point of the curve; the images of one point are among those of the next.

    Its options are `label`, the class that is counted, and `share`: that of the images which every
    arm has. Above 1 it has all of them, and those that were set aside, each once.
    """

    family = "real-images"
    kind = "reference"
    describes = "Real images alone, with another number of {label}: a point of the curve of worth."

    def rows(self, fold: FoldData, rng: np.random.Generator) -> dict[str, list[int]]:
        """Return all training images, of the rare class the first of an order of the unit."""
        kept = super().rows(fold, rng)
        label, share = self.options["label"], self.options["share"]
        order = np.random.default_rng(derived_seed(fold.seed, 2)).permutation(kept[label])
        wanted = max(1, round(min(share, 1.0) * len(order)))
        return kept | {label: sorted(order[:wanted].tolist())}

    def images_wanted(self, index: Index) -> dict[str, int]:
        """Return the number of images that were set aside, if it has them."""
        label = self.options["label"]
        n = sum(one.split == HELD_BACK and one.label == label for one in index.records)
        return {label: n} if self.options["share"] > 1 and n else {}

    def rows_to_add(
        self, fold: FoldData, label: str, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the images that were set aside."""
        return np.array(fold.held_back_rows(label), np.int64)


def curve_arms(shares: Sequence[float], label: str) -> list[Arm]:
    """Return the points of a curve, the last one with all images.

    Args:
        shares: Shares of the images that every arm has, each below 1.
        label: The class that is counted.
    """
    points = [(share, f"{share:g}") for share in sorted(set(shares))] + [(2.0, "all")]
    return [
        CurveArm(f"{CurveArm.family} share={text}", {"label": label, "share": share})
        for share, text in points
    ]
