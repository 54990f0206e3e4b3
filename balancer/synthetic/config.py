"""The section `synthesis` of the configuration."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from balancer.ratio import TargetRatio
from balancer.section import ConfigSection


class SynthesisConfig(ConfigSection):
    """How many images are made."""

    ratio: str = "2:1"
    """Largest class : every other class in the training split, real and synthetic together."""
    max_images: Annotated[int, Field(ge=1)] = 100_000
    """A plan that needs more images is refused."""
    screen: tuple[Literal["near-copy", "outlier", "low-confidence"], ...] = (
        "near-copy",
        "outlier",
        "low-confidence",
    )
    """Reasons for which an image is rejected and another made in its place; see `gate`."""
    max_attempts: Annotated[float, Field(ge=1)] = 10.0
    """Images made at most, as a multiple of those wanted, before the plan is given up."""

    @field_validator("ratio", mode="before")
    @classmethod
    def _is_ratio(cls, ratio: object) -> str:
        return str(TargetRatio.parse(str(ratio)))
