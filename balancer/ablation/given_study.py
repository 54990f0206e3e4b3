"""A study of a classifier and of synthetic images that are given from Python.

Splits, pairs, statistics and words are those of `balancer ablate`; what differs is who trains. An
arm adds images to the real training images of a split until the classes reach the ratio: repeated
real ones, synthetic ones, or noise, which must not help.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from balancer.ablation.given_classifier import GivenClassifier
from balancer.ablation.runs import OVERSAMPLE, REAL, ArmFacts
from balancer.config import BalancerConfig
from balancer.data.collection import Collection
from balancer.data.index import Index
from balancer.data.io import Pixels
from balancer.evaluation.ledger import fingerprint_of_images
from balancer.ratio import TargetRatio
from balancer.workspace import Workspace

NOISE: Final = "noise"
OWN_ARMS = (REAL, OVERSAMPLE, NOISE)
"""Names that no set of synthetic images may have."""


@dataclass(frozen=True, slots=True)
class GivenImages:
    """Synthetic images of one source.

    Attributes:
        name: Name of the source.
        lineage: `known`, `declared` or `unknown`.
        fixed: Class to its images, the same ones for all splits; empty where there is a function.
        make: Function from training images of a class in a split, uint8 (N, S, S) or (N, S, S, 3),
            the number of images wanted and a seed to images; None where they are fixed.
        seen: Content hashes of the images that its generator was trained on, where it is known.
    """

    name: str
    lineage: str
    fixed: Mapping[str, Collection]
    make: Callable[[Pixels, int, int], Collection] | None = None
    seen: frozenset[str] = frozenset()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the fixed images; empty where a function makes them."""
        ids = [f"{label}:{one.image_id}" for label in sorted(self.fixed)
               for one in self.fixed[label].images]  # fmt: skip
        return fingerprint_of_images(ids) if ids else ""


@dataclass(frozen=True, slots=True)
class GivenStudy:
    """A study before its first look.

    Attributes:
        config: `ablation`, `evaluation`, `data.split` and `seed` are used.
        index: The real images; their splits are not used.
        classifier: The classifier.
        synthetic: Sets of synthetic images; the first is the main question.
        ratio: Ratio that every arm but `real` reaches.
        positive: The positive class.
        size: Side of the images in pixels.
        workspace: Folder of the question, the ledger and decoded pixels.
    """

    config: BalancerConfig
    index: Index
    classifier: GivenClassifier
    synthetic: Sequence[GivenImages]
    ratio: TargetRatio
    positive: str
    size: int
    workspace: Workspace

    @property
    def seen_groups(self) -> frozenset[str]:
        """Groups with an image that a generator saw: training images in every split."""
        seen = frozenset().union(*(one.seen for one in self.synthetic))
        return frozenset(one.group for one in self.index.records if one.image_id in seen)

    def pixels(self, images: Collection, size: int) -> Pixels:
        """Decode synthetic images as the real ones are, uint8 (N, size, size) or (..., 3)."""
        channels = self.index.preprocessing.channels
        return images.pixels(size, self.workspace.judge_cache_dir, channels=channels)

    @property
    def arms(self) -> list[ArmFacts]:
        """All arms, `real` first."""
        ratio = self.ratio
        found = [
            ArmFacts(name=REAL, kind="reference", describes="Real images alone.", duplicates=None),
            ArmFacts(
                name=OVERSAMPLE,
                kind="cheap",
                describes=f"Repeated real images, until the classes reach {ratio}.",
                duplicates=None,
            ),
        ]
        found += [
            ArmFacts(
                name=one.name,
                kind="gan",
                describes=f"Images of {one.name}, until the classes reach {ratio}. "
                f"Lineage: {one.lineage}.",
                images=f"images of {one.name}",
                lineage=one.lineage,
            )
            for one in self.synthetic
        ]
        if self.synthetic:
            found.append(
                ArmFacts(
                    name=NOISE,
                    kind="control",
                    describes=f"Images of noise, until the classes reach {ratio}: must not help.",
                    images="images of noise",
                )
            )
        return found

    @property
    def asked(self) -> dict[str, Any]:
        """The question, which is fixed before the first look."""
        ablation, seen = self.config.ablation, self.seen_groups
        return {
            "metric": ablation.primary,
            "secondary": list(ablation.secondary),
            "margin": ablation.margin,
            "alpha": ablation.alpha,
            "arms": [arm.name for arm in self.arms],
            "lineage": {one.name: one.lineage for one in self.synthetic},
            **({"seen": fingerprint_of_images(sorted(seen))} if seen else {}),
            "synthetic": {one.name: one.fingerprint for one in self.synthetic},
            "ratio": str(self.ratio),
            "positive": self.positive,
            "splits": ablation.repeats,
            "seeds": ablation.seeds,
            "seed": self.config.seed,
            "shares": list(self.config.data.split),
            "size": self.size,
            "classifier": self.classifier.recipe,
            "images": self.index.index_hash,
        }
