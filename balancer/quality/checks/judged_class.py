"""The check that a probe trained on real images labels the images as their own class."""

from collections.abc import Mapping

import numpy as np

from balancer.quality.blind_probe import train_blind_probe
from balancer.quality.checks.check import Check
from balancer.quality.config import GateConfig
from balancer.quality.features import Features
from balancer.quality.figures import Figures, LabelsGiven, LabelShares
from balancer.quality.probes import LinearProbe
from balancer.quality.sets import ClassFeatures


class JudgedClassCheck(Check[LabelsGiven]):
    """The share of images labelled as their own class, beside that of held-out images."""

    name = "judged class"

    def measure(self, images: ClassFeatures) -> LabelsGiven | None:
        """Label all images made, since the screen chose the accepted ones by such a probe."""
        if len(images.images.training) < 2:
            return None
        probe = train_blind_probe(
            images.images.training, extractor=images.main, seed=images.seed, cache=images.cache
        )
        return labels_given(images.label, probe, images.made, images.validation[images.label])

    def read(self, figures: Figures) -> Mapping[str, LabelsGiven | None]:
        """Return the one figure; none with one class, which leaves nothing to ask."""
        judged = figures.identity.judged
        return {} if judged is None else {self.name: judged}

    def limit(self, label: str, figure: LabelsGiven, gate: GateConfig) -> float:
        """Ask for `gate.min_own_class` of the share of held-out images."""
        return gate.min_own_class * figure.held_out.labels[label]

    def passes(self, label: str, figure: LabelsGiven, limit: float) -> bool:
        """Compare the share, and the most frequent label."""
        # A probe that takes the real images for another class cannot ask more of synthetic ones.
        is_own = figure.generated.most == label or figure.held_out.most != label
        return figure.generated.labels[label] >= limit and is_own

    def sentence(self, label: str, figure: LabelsGiven, limit: float) -> str:
        """Give the shares and the most frequent label."""
        return (
            f"a judge of real images takes {figure.generated.labels[label]:.1%} for {label}, most "
            f"for {figure.generated.most} (limit {limit:.1%}; "
            f"{figure.held_out.labels[label]:.1%} of held-out real ones)"
        )


def labels_given(
    label: str, probe: LinearProbe, generated: Features, held_out: Features
) -> LabelsGiven:
    """Count the labels that a probe gives to images.

    Args:
        label: Class that the images are meant to be of.
        probe: The probe.
        generated: Features (N, d).
        held_out: Features (M, d) of real images of the class.
    """
    own = probe.classes.index(label)

    def shares(features: Features) -> LabelShares:
        found = probe.probabilities(features)
        counts = np.bincount(found.argmax(axis=1), minlength=len(probe.classes))
        return LabelShares(
            labels=dict(zip(probe.classes, (counts / len(found)).tolist(), strict=True)),
            median_probability=float(np.median(found[:, own])),
        )

    return LabelsGiven(generated=shares(generated), held_out=shares(held_out))
