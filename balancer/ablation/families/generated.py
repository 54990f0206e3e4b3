"""Arms with images of the fold's own generators, and how these images are taken."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from balancer.ablation.families.arm import (
    RATIO,
    Arm,
    FoldData,
    Maker,
    Needs,
    Option,
    number,
    register,
)
from balancer.data.cache import open_cache
from balancer.data.index import Index
from balancer.data.io import Pixels
from balancer.data.roots import Roots
from balancer.errors import DataError
from balancer.manifest import SyntheticRecord, read_table
from balancer.results import read_result
from balancer.synthetic.gates import load_with_rejects, synthetic_fingerprint
from balancer.synthetic.records import SynthesizeMetrics
from balancer.workspace import Workspace


@register
class GanArm(Arm):
    """The first images of the fold's generator."""

    family = "gan"
    kind = "gan"
    describes = (
        "Images of a GAN trained on the fold, as they come, until the classes reach {ratio}."
    )
    takes: ClassVar[tuple[Option, ...]] = (RATIO,)
    needs = Needs.RARE_GENERATOR

    def maker(self, fold: FoldData, rng: np.random.Generator) -> Maker:
        """Take the images that `synthesize` wrote in the fold, the first ones by number."""
        folder, size = fold.place.synthetic_dir, fold.config.classifier_image_size
        records = load_with_rejects(fold.place, fold.index)

        def make(label: str, count: int) -> Pixels:
            if self.is_screened:
                _require_screen(folder)
            rows = self._first(records, label, count)
            if len(rows) < count:
                raise DataError(
                    f"{count} images of {label} are wanted, but {folder} holds {len(rows)}; run "
                    "`balancer ablate --force`."
                )
            return open_cache(
                folder, Roots.of([folder]), records, size, fold.index.preprocessor.alone
            )[rows]

        return make

    def images_hash(self, place: Workspace, index: Index) -> str | None:
        """Return the fingerprint of the images it takes; None before they are made.

        More images of the same generator, which another arm asked for, do not change it.
        """
        manifest = place.synthetic_dir / "manifest.csv"
        if not manifest.is_file():
            return None
        records = read_table(manifest, SyntheticRecord)
        chosen = [
            records[row]
            for label, count in self.images_wanted(index).items()
            for row in self._first(records, label, count)
        ]
        return synthetic_fingerprint(chosen)

    def _first(self, records: Sequence[SyntheticRecord], label: str, count: int) -> list[int]:
        fitting = [
            row
            for row, record in enumerate(records)
            if record.label == label and (record.accepted or not self.is_screened)
        ]
        return fitting[:count]


@register
class GanFilteredArm(GanArm):
    """The first images of the fold's generator that passed the screen."""

    family = "gan-filtered"
    describes = "Images of the GAN that passed the screen, until the classes reach {ratio}."
    is_screened = True


@register
class GanPretrainArm(GanArm):
    """A first phase on images of the fold's generator, a second on real images."""

    family = "gan-pretrain"
    describes = (
        "The first {share} of the steps with GAN images in place of real rare ones, the rest on "
        "real images, under the learning rates that all arms share."
    )
    takes = (Option("share", number(0.01, 0.99), 0.5), RATIO)

    @property
    def pretraining_share(self) -> float | None:
        """Share of the steps of the first phase."""
        return float(self.options["share"])


def largest_class(index: Index) -> str:
    """Return the class with the most training images, the first of equals by name."""
    counts = index.counts("train")
    return max(sorted(counts), key=lambda label: counts[label])


def _require_screen(folder: Path) -> None:
    result = read_result(folder, SynthesizeMetrics)
    if result is None or not result.setting("screen.reasons"):
        raise DataError(
            "Images that pass the screen are wanted, but too few of this fold's generator did; "
            "train a better generator, or loosen gate or synthesis.screen."
        )
