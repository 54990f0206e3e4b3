"""The section `data` of the configuration."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_serializer, field_validator, model_validator

from balancer.domains.domain import domain_names
from balancer.section import ConfigSection, Label, Share

SMALLEST_SIDE = 32
"""Default of the smallest side of an image in pixels."""


class DataConfig(ConfigSection):
    """Way from archives of radiographs to an index."""

    root: Path | tuple[Path, ...] | None = None
    """An archive, or several that are merged: a folder, a table of paths and labels, or a MedMNIST
    file; null: the workspace's index, else the bundled samples."""
    layout: str | tuple[str, ...] = "auto"
    """Layout of the archive, or of each of several; see `balancer prepare --list-layouts`."""
    classes: dict[Label, Label] | None = None
    """Label of the archive to class; other labels are left out. Null: each label is a class."""
    target: Label | None = None
    """Finding to tell from the rest, for labels of several findings such as `Edema|Mass`; the
    classes are it and `not` it. Null: `classes`, or each label is a class."""
    external_classes: dict[Label, Label] | None = None
    """Label to class of the index, for the archives of `evaluate` and `--external`."""
    channels: Literal["auto", 1, 3] = "auto"
    """Channels that images are read in: 1 (grey), 3 (sRGB), or `auto`: 3 if most of a sample of
    them are coloured."""
    domain: str = "auto"
    """Kind of the images, for words, checks and probes: `chest`, `skin`, `blood`, `fundus`,
    `histology`, `ultrasound`, `general`, or `auto`: proposed by names of folders and classes."""
    views: Literal["frontal", "all"] = "frontal"
    """Views to take from archives that name the view of an image."""
    patients: Literal["known", "ignored"] = "known"
    """Use the patients that tables, tags and names give, or ignore them, such as placeholders."""
    follow_links: bool = False
    """Follow symbolic links that leave the data folder."""
    split: tuple[Share, Share, Share] = (0.70, 0.15, 0.15)
    """Shares of the images in the training, validation and test split."""
    official_split: bool = False
    """Take the split that the archive comes with: its train, val and test arrays or folders, or a
    column `split` of its table. Training images of a group that its test split has are left out."""
    skip_bad: bool = False
    """Quarantine and count unusable files instead of refusing them."""
    duplicate_correlation: Annotated[float, Field(gt=0.5, lt=1)] = 0.93
    """Least similarity of two registered images that count as copies."""
    same_film: Path | None = None
    """Path to a CSV of pairs of paths, `first,second`, to keep in one split; `audit` writes one."""
    min_images: Annotated[int, Field(ge=3)] = 8
    """Least number of usable images of a class."""
    min_side: Annotated[int, Field(ge=1)] | None = None
    """Smallest side of an image in pixels; null: 32, or 28 for the small files of MedMNIST."""
    max_aspect: Annotated[float, Field(ge=1)] = 4.0
    """Largest ratio of the long to the short side."""
    max_megapixels: Annotated[float, Field(gt=0)] = 64.0
    """Largest size of an image."""
    max_memory_mb: Annotated[int, Field(ge=64)] = 3072
    """Memory in MiB for all images that are being read, by all workers together. They wait for each
    other; one that needs more is refused from its header. The default is enough for 64 megapixels
    of any format and depth."""

    @field_validator("domain")
    @classmethod
    def _is_known(cls, domain: str) -> str:
        known = ["auto", *domain_names()]
        if domain not in known:
            raise ValueError(f"should be one of {', '.join(known)}")
        return domain

    @field_validator("split")
    @classmethod
    def _sums_to_one(cls, split: tuple[float, float, float]) -> tuple[float, float, float]:
        if abs(sum(split) - 1) > 1e-9:
            raise ValueError(f"the three shares must sum to 1, not {sum(split):g}")
        return split

    @model_validator(mode="after")
    def _has_one_choice_of_classes(self) -> "DataConfig":
        if self.target is not None and self.classes is not None:
            raise ValueError("data.target and data.classes are two choices of classes; give one")
        return self

    @field_serializer("min_side", when_used="json")
    def _record_side(self, min_side: int | None) -> int:
        """Record the limit that holds where none is chosen, as versions without null did."""
        return self.smallest_side if min_side is None else min_side

    @property
    def smallest_side(self) -> int:
        """Smallest side of an image in pixels, decided or not."""
        return SMALLEST_SIDE if self.min_side is None else self.min_side

    def with_side_of(self, archives: int | None) -> "DataConfig":
        """Return these settings, with the smallest side of the archives where none is chosen."""
        if self.min_side is not None or archives is None:
            return self
        return self.model_copy(update={"min_side": archives})

    @property
    def places(self) -> tuple[Path, ...]:
        """Archives that are named."""
        if self.root is None:
            return ()
        return self.root if isinstance(self.root, tuple) else (self.root,)
