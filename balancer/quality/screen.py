"""The screen: decide image by image which synthetic images may join the training split."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from balancer.errors import DataError
from balancer.quality.blind_probe import train_blind_probe
from balancer.quality.config import GateConfig
from balancer.quality.extractors import Extractor
from balancer.quality.features import Features, Images, features_of
from balancer.quality.memorization import CopyDetector

log = logging.getLogger(__name__)

NEAR_COPY, OUTLIER, LOW_CONFIDENCE = "near-copy", "outlier", "low-confidence"
LIMITS = {
    NEAR_COPY: ("near_copy_correlation", "near_copy_distance"),
    OUTLIER: ("outlier_distance",),
    LOW_CONFIDENCE: ("confidence_quantile",),
}
"""Settings of the gate that each reason depends on."""
FEW = 20
"""Number of validation images below which the limits that they set are unreliable."""


class Screen:
    """Finds reasons against images of one class, from training and validation images alone.

    Args:
        label: Class that the images are meant to be of.
        training: Real training images by class, uint8 (N, S, S) each.
        validation: Real validation images of the class, uint8 (M, S, S), M >= 1; they set every
            scale.
        extractor: Extractor of the features.
        gate: The limits.
        reasons: Reasons to look for.
        seed: Seed for the degradations that the probe learns to ignore.
        cache: Folder of kept features; None: nothing is kept.

    Raises:
        DataError: There are no validation images of the class.
    """

    def __init__(
        self,
        label: str,
        training: Mapping[str, Images],
        validation: Images,
        *,
        extractor: Extractor,
        gate: GateConfig,
        reasons: tuple[str, ...],
        seed: int,
        cache: Path | None = None,
    ) -> None:
        if not len(validation):
            raise DataError(
                f"Screening images of {label} needs validation images of that class, but there are "
                "none; enlarge data.split, or set synthesis.screen=[]."
            )
        if len(validation) < FEW:
            log.warning(
                "Only %d validation images of %s set the limits of the screen, so it may reject "
                "many good images; see synthesis.screen.",
                len(validation),
                label,
            )
        self._label = label
        self._reasons = reasons
        self._gate = gate
        self._name = extractor.name
        self._copies = CopyDetector(
            training[label],
            validation,
            extractors={self._name: extractor},
            decisive=[self._name],
            correlation=gate.near_copy_correlation,
            distance=gate.near_copy_distance,
            cache=cache,
        )
        if LOW_CONFIDENCE in reasons:
            self._probe = train_blind_probe(training, extractor=extractor, seed=seed, cache=cache)
            self._least = float(
                np.quantile(
                    self._confidence(features_of(extractor, validation, cache=cache)),
                    gate.confidence_quantile,
                )
            )

    def reasons(self, images: Images) -> list[str]:
        """Return the first reason against each image, uint8 (N, S, S); empty if there is none."""
        found = self._copies.nearest(images)
        distance = found.relative[self._name]
        against = {
            NEAR_COPY: found.is_copy,
            OUTLIER: distance > self._gate.outlier_distance,
        }
        if LOW_CONFIDENCE in self._reasons:
            against[LOW_CONFIDENCE] = self._confidence(found.features[self._name]) < self._least
        return [
            next((reason for reason in self._reasons if against[reason][row]), "")
            for row in range(len(images))
        ]

    def _confidence(self, features: Features) -> np.ndarray:
        probabilities = self._probe.probabilities(features)
        return np.asarray(probabilities[:, self._probe.classes.index(self._label)])
