"""Losses and trainings for long tails: no images are added; each arm names its paper."""

from collections.abc import Mapping
from typing import Any

from balancer.ablation.families.arm import Arm, Option, number, register
from balancer.ablation.families.remedies import LogitAdjustmentArm


@register
class BalancedSoftmaxArm(Arm):
    """A softmax that counts the classes in training.

    Balanced meta-softmax for long-tailed visual recognition, Ren 2020, arXiv 2007.10740; the loss
    is the logit adjustment of Menon 2021 with tau 1.
    """

    family = "balanced-softmax"
    kind = "cheap"
    describes = "Softmax weighted by the numbers of images inside the loss (Ren 2020)."
    suits_frozen = True

    @property
    def classifier_settings(self) -> Mapping[str, Any]:
        """Its loss."""
        return {"loss": "balanced-softmax"}

    def equals(self, other: Arm) -> bool:
        """Return whether another arm is the same loss, by either name."""
        same = isinstance(other, LogitAdjustmentArm) and other.options["tau"] == 1
        return same or super().equals(other)


@register
class PostHocAdjustmentArm(Arm):
    """Probabilities divided by a power of the class shares after the training.

    Long-tail learning via logit adjustment, Menon 2021, arXiv 2007.07314, section 4.1.
    """

    family = "post-hoc-adjustment"
    kind = "cheap"
    describes = "Logits lowered by {tau} times the log prior after the training (Menon 2021)."
    takes = (Option("tau", number(0, 5), 1.0),)
    suits_frozen = True

    @property
    def classifier_settings(self) -> Mapping[str, Any]:
        """Its power."""
        return {"posthoc_tau": self.options["tau"]}


@register
class ClassBalancedArm(Arm):
    """A loss weighted by the effective number of images.

    Class-balanced loss based on effective number of samples, Cui 2019, arXiv 1901.05555.
    """

    family = "class-balanced"
    kind = "cheap"
    describes = "The loss weighs classes by their effective number, beta {beta:g} (Cui 2019)."
    takes = (Option("beta", number(0, 0.999999), 0.999),)
    suits_frozen = True

    @property
    def classifier_settings(self) -> Mapping[str, Any]:
        """Its weights."""
        return {"class_weights": "effective", "class_weights_beta": self.options["beta"]}


@register
class LdamArm(Arm):
    """Larger margins for rarer classes, and class weights towards the end.

    Learning imbalanced datasets with label-distribution-aware margin loss, Cao 2019, arXiv
    1906.07413: LDAM with deferred re-weighting, with the weights of Cui 2019 for the last fifth of
    the steps, as the paper has them (epochs 160 to 200, beta 0.9999). Its head of cosines has no
    meaning for a penalised regression on frozen features.
    """

    family = "ldam"
    kind = "cheap"
    describes = (
        "LDAM: margins up to {margin} for the rarest class, on cosines times {scale:g}, and class "
        "weights for the last fifth of the steps (Cao 2019)."
    )
    takes = (
        Option("margin", number(0, 2), 0.5),
        Option("scale", number(0.001, 1000), 30.0),
    )

    @property
    def classifier_settings(self) -> Mapping[str, Any]:
        """Its loss and its deferred weights."""
        return {
            "loss": "ldam",
            "ldam_margin": self.options["margin"],
            "ldam_scale": self.options["scale"],
            "class_weights": "effective",
            "class_weights_beta": 0.9999,
            "class_weights_from": 0.8,
        }


@register
class DecoupledArm(Arm):
    """A network trained as `real` is, then a new head on balanced batches.

    Decoupling representation and classifier for long-tailed recognition, Kang 2020, arXiv
    1910.09217: classifier re-training (cRT).
    """

    family = "decoupled"
    kind = "cheap"
    describes = (
        "The last {share} of the steps train a new head on balanced batches, the backbone as it "
        "is (cRT, Kang 2020)."
    )
    takes = (Option("share", number(0.01, 0.9), 0.2),)
    suits_frozen = True

    @property
    def classifier_settings(self) -> Mapping[str, Any]:
        """Its share of the steps."""
        return {"head_retraining": self.options["share"]}
