"""The section `synthesis` of the configuration.

Small because each room owns its section.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from balancer.ratio import TargetRatio
from balancer.section import ConfigSection


class SynthesisConfig(ConfigSection):
    """The number of synthetic images, and the screen."""

    ratio: str = "2:1"
    """Target ratio: largest class : every other class, training split, real and synthetic."""
    max_images: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """Largest number of synthetic images; a plan that needs more is refused."""
    screen: tuple[Literal["near-copy", "outlier", "low-confidence"], ...] = (
        "near-copy",
        "outlier",
        "low-confidence",
    )
    """Reasons to reject an image and draw another in its place; limits are in `gate`."""
    max_attempts: Annotated[float, Field(ge=1)] = 10.0
    """Largest number of images drawn, as a multiple of the plan, before it fails."""
    networks: Literal["per-class", "shared"] = "per-class"
    """GANs of several classes that must grow: a network for each; or one that knows the class,
    learns from the largest one too, and takes 1.4 times the steps of one class for all."""

    @model_serializer(mode="wrap", when_used="json")
    def _without_default_networks(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what earlier versions did not write, so that their studies stay the same."""
        values: dict[str, Any] = serialize(self)
        if self.networks == "per-class":
            values.pop("networks", None)
        return values

    @field_validator("ratio", mode="before")
    @classmethod
    def _is_ratio(cls, ratio: object) -> str:
        return str(TargetRatio.parse(str(ratio)))
