"""The sections `quality` and `gate` of the configuration."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from balancer.section import ConfigSection

OWN = "classifier"
"""The extractor that is the run's own classifier."""
_LATER_LIMITS = ("max_registered_similarity", "min_spread")
"""Limits of the gate that earlier versions did not have."""
ExtractorName = Annotated[str, Field(pattern=r"^[\w.:-]+$")]


class QualityConfig(ConfigSection):
    """The measurement of synthetic images."""

    extractors: Annotated[tuple[ExtractorName, ...], Field(min_length=1)] = ("lite2", "lite0", OWN)
    """Feature extractors, the one that the gate rests on first: lite0, lite2, inception, rad-dino,
    timm:NAME, torchxrayvision:NAME, names of torch-fidelity such as dinov2-vit-b-14; `classifier`
    is the run's own, trained on real images, if it exists."""
    weights: dict[ExtractorName, Path] = Field(default_factory=dict)
    """Name of an extractor to the path of its weights; others are where libraries keep downloads.
    Nothing is downloaded."""
    kid_subsets: Annotated[int, Field(ge=2, le=10_000)] = 100
    """Number of pairs of subsets for KID."""
    kid_subset_size: Annotated[int, Field(ge=2, le=10_000)] = 100
    """Number of images per subset; at most half of the smaller set."""
    neighbors: Annotated[int, Field(ge=1, le=50)] = 5
    """k of precision, recall, density and coverage."""
    ms_ssim_pairs: Annotated[int, Field(ge=1, le=100_000)] = 400
    """Number of random pairs of images for the mean MS-SSIM of a set."""
    max_images: Annotated[int, Field(ge=4, le=20_000)] = 2_000
    """Largest number of synthetic images measured per class, the first by number."""

    @model_validator(mode="before")
    @classmethod
    def _is_of_an_earlier_version(cls, values: Any) -> Any:
        """Read `inception_weights`, which earlier versions recorded, as a part of `weights`."""
        if not isinstance(values, dict) or "inception_weights" not in values:
            return values
        path = values["inception_weights"]
        given = {} if path is None else {"inception": path}
        rest = {name: value for name, value in values.items() if name != "inception_weights"}
        return {**rest, "weights": given | (values.get("weights") or {})}

    @field_validator("extractors")
    @classmethod
    def _is_without_repeats(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("should name each extractor once")
        return names

    def without_own(self) -> "QualityConfig":
        """Leave out the classifier of a workspace, which images alone do not have."""
        names = tuple(name for name in self.extractors if name != OWN)
        return self.model_copy(update={"extractors": names or QualityConfig().extractors[:1]})

    def as_record(self) -> dict[str, Any]:
        """Return what a result depends on: weights count by their hashes, not by their paths."""
        return self.model_dump(mode="json", exclude={"weights"})


class GateConfig(ConfigSection):
    """Limits of the quality gate, for single images and for the set of a class.

    All are relative to real images of the same class that the generator never saw: those of the
    validation split. No test image is used.
    """

    near_copy_correlation: Annotated[float, Field(gt=0, le=1)] = 0.90
    """Correlation of aligned pixels at or above which an image is a near copy."""
    near_copy_distance: Annotated[float, Field(ge=0, lt=1)] = 0.60
    """Feature distance to a training image, as a share of that of held-out images, at or below
    which an image is a near copy."""
    outlier_distance: Annotated[float, Field(gt=1)] = 1.5
    """The same share above which an image is an outlier of its class."""
    confidence_quantile: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """An image is of low confidence if it looks less like its class than all but this share of
    held-out images."""
    max_near_copies: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Largest share of near copies among all images made, above that of held-out images. A set
    fails if the lower end of the 95 % interval is larger; if only the share is, nothing is told."""
    max_twins: Annotated[float, Field(ge=0, le=1)] = 0.20
    """Largest share of images with a near copy in their own set, above that of real images."""
    max_similarity: Annotated[float, Field(ge=0, le=1)] = 0.15
    """Largest mean MS-SSIM within the set, above that of real images."""
    max_registered_similarity: Annotated[float, Field(ge=0, le=1)] = 0.10
    """The same of images registered to the mean real image, which have no place and size."""
    min_spread: Annotated[float, Field(ge=0, le=1)] = 0.50
    """Least standard deviation of place, size, grey level and contrast, as a share of that of real
    images; the upper end of its 95 % interval counts."""
    min_coverage: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Least coverage, as a share of that of real images at the same n."""
    min_own_class: Annotated[float, Field(ge=0, le=1)] = 0.50
    """Least share of images taken for their own class, as a share of that of held-out images."""
    max_trivial_auroc: Annotated[float, Field(ge=0.5, le=1)] = 0.90
    """Largest AUROC of separating synthetic from real by grey levels, borders and sharpness."""

    @model_serializer(mode="wrap", when_used="json")
    def _without_later_limits(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what earlier versions did not write, so that their studies stay the same."""
        values: dict[str, Any] = serialize(self)
        for name in _LATER_LIMITS:
            if values[name] == type(self).model_fields[name].default:
                values.pop(name)
        return values
