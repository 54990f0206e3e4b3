"""Real images alone, and the cheap remedies: no generator, no images from elsewhere."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from balancer.ablation.families.arm import RATIO, Arm, FoldData, Option, number, register
from balancer.data.io import Pixels
from classifier.config import AugmentConfig
from classifier.transforms import TrainTransform


@register
class RealArm(Arm):
    """Real images as they are."""

    family = "real"
    kind = "reference"
    describes = "Real images as they are; threshold from validation, prior corrected."
    suits_frozen = True


@register
class OversampleArm(Arm):
    """Rare images repeated."""

    family = "oversample"
    kind = "cheap"
    describes = "Rare real images repeated until the classes reach {ratio}."
    takes = (RATIO,)
    is_duplicates = True
    suits_frozen = True


@register
class UndersampleArm(Arm):
    """Images of the larger classes left out."""

    family = "undersample"
    kind = "cheap"
    describes = "Images of larger classes left out until the classes reach {ratio}."
    takes = (RATIO,)
    suits_frozen = True

    @property
    def adds_images(self) -> bool:
        """Its ratio leaves images out."""
        return False

    def rows(self, fold: FoldData, rng: np.random.Generator) -> dict[str, list[int]]:
        """Leave out images of larger classes until the smallest one reaches the ratio."""
        rows = super().rows(fold, rng)
        most = int(min(len(own) for own in rows.values()) * self.ratio.value)
        return {
            label: sorted(rng.permutation(own)[:most].tolist()) if len(own) > most else own
            for label, own in rows.items()
        }


@register
class ClassWeightsArm(Arm):
    """A weighted loss."""

    family = "class-weights"
    kind = "cheap"
    describes = "The loss weighs classes by inverse frequency."
    suits_frozen = True

    @property
    def classifier_settings(self) -> Mapping[str, Any]:
        """Its weights."""
        return {"class_weights": "balanced"}


@register
class FocalArm(Arm):
    """Focal loss."""

    family = "focal"
    kind = "cheap"
    describes = "Focal loss, gamma {gamma} (Lin 2017)."
    takes = (Option("gamma", number(0, 10), 2.0),)

    @property
    def classifier_settings(self) -> Mapping[str, Any]:
        """Its loss."""
        return {"loss": "focal", "focal_gamma": self.options["gamma"]}


@register
class LogitAdjustmentArm(Arm):
    """A loss with shifted logits."""

    family = "logit-adjustment"
    kind = "cheap"
    describes = "Logits shifted by {tau} times the log prior inside the loss (Menon 2021)."
    takes = (Option("tau", number(0, 5), 1.0),)
    suits_frozen = True

    @property
    def classifier_settings(self) -> Mapping[str, Any]:
        """Its loss."""
        return {"loss": "logit-adjusted", "logit_adjustment_tau": self.options["tau"]}


@register
class BalancedBatchesArm(Arm):
    """Batches with equal shares of the classes."""

    family = "balanced-batches"
    kind = "cheap"
    describes = "Every batch holds equal shares of the classes."

    @property
    def classifier_settings(self) -> Mapping[str, Any]:
        """Its batches."""
        return {"batches": "balanced"}


def _rare_or_all(text: str) -> str:
    if text not in ("rare", "all"):
        raise ValueError("rare or all is wanted")
    return text


@register
class ClassicAugmentationArm(Arm):
    """Rotated, shifted and brightened copies of rare images, or the same transforms of all."""

    family = "classic-augmentation"
    kind = "cheap"
    describes = (
        "Rotated, shifted and brightened copies of {of} classes (+-{rotation} degrees, "
        "{shift} of the side, {brightness} of the range)."
    )
    takes = (
        Option("of", _rare_or_all, "rare"),
        Option("rotation", number(0, 180), 20.0),
        Option("shift", number(0, 0.5), 0.1),
        Option("brightness", number(0, 1), 0.25),
        RATIO,
    )

    @classmethod
    def complete(cls, given: Mapping[str, Any], ratio: str) -> dict[str, Any]:
        """Add the defaults; an arm that augments all images adds none, and has no ratio."""
        options = super().complete(given, ratio)
        if options["of"] == "all":
            if "ratio" in given:
                raise ValueError(
                    "with of=all images are augmented and none is added; leave out ratio"
                )
            del options["ratio"]
        return options

    @property
    def classifier_settings(self) -> Mapping[str, Any]:
        """The transforms, where they are those of all images."""
        return {} if self.adds_images else {"augment": self._augmentation.model_dump()}

    def altered(self, images: Pixels, rng: np.random.Generator) -> Pixels:
        """Transform each copy."""
        transform = TrainTransform(self._augmentation, int(rng.integers(2**32)))
        changed = [transform(image, visit=0, index=place) for place, image in enumerate(images)]
        return np.stack(changed) if changed else images

    @property
    def _augmentation(self) -> AugmentConfig:
        return AugmentConfig(
            warp_probability=1.0,
            rotation_degrees=self.options["rotation"],
            shift=self.options["shift"],
            brightness=self.options["brightness"],
        )


@register
class MixupArm(Arm):
    """Mixed pairs of images and labels."""

    family = "mixup"
    kind = "cheap"
    describes = "Pairs of images and labels mixed, alpha {alpha} (Zhang 2018)."
    takes = (Option("alpha", number(0.001, 100), 0.2),)

    @property
    def classifier_settings(self) -> Mapping[str, Any]:
        """Its mixing."""
        return {"mixup_alpha": self.options["alpha"]}
