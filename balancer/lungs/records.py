"""Records of `lungs train` and `lungs apply`."""

from collections.abc import Mapping, Sequence

import numpy as np

from balancer.results import Record


class DiceSummary(Record):
    """Dice coefficients of masks with annotated ones.

    Attributes:
        n: Number of images.
        mean: Mean, in [0, 1].
        median: Median.
        worst: Smallest.
    """

    n: int
    mean: float
    median: float
    worst: float

    def __str__(self) -> str:
        return (
            f"Dice {self.mean:.3f} on average, median {self.median:.3f}, worst {self.worst:.3f}, "
            f"of {self.n} images"
        )


class DiceOfMethods(Record):
    """Dice coefficients of the U-Net and of the segmentation without training."""

    unet: DiceSummary
    classical: DiceSummary


class LungTrainMetrics(Record):
    """Metrics of `lungs train`.

    Attributes:
        weights_sha256: SHA-256 of the weights of the U-Net.
        train_images: Number of images it learnt from.
        validation_images: Number of images it was judged on.
        validation: Dice coefficients on these.
    """

    weights_sha256: str
    train_images: int
    validation_images: int
    validation: DiceOfMethods


class DiceOfImages(Record):
    """Dice coefficients on images that the U-Net did not learn from, and on those it did."""

    unseen: DiceSummary | None
    seen: DiceSummary | None


class LungApplyMetrics(Record):
    """Metrics of `lungs apply`.

    Attributes:
        images: Number of images.
        method: `classical` or `unet`.
        doubtful: Number of masks of low quality.
        flags: Flag to number of masks, the most frequent first.
        dice: Dice coefficients of the masks with annotated ones; None where there are none.
        table_sha256: SHA-256 of `lungs.csv`.
    """

    images: int
    method: str
    doubtful: int
    flags: Mapping[str, int]
    dice: DiceOfImages
    table_sha256: str


def summarize_dice(values: Sequence[float]) -> DiceSummary | None:
    """Return number, mean, median and worst of Dice coefficients; None where there are none."""
    if not values:
        return None
    return DiceSummary(
        n=len(values),
        mean=round(float(np.mean(values)), 4),
        median=round(float(np.median(values)), 4),
        worst=round(float(np.min(values)), 4),
    )
