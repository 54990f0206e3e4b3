"""The section `lungs` of the configuration."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from balancer.section import ConfigSection, Share


class LungsConfig(ConfigSection):
    """How `balancer lungs` finds lungs, and how its U-Net is trained."""

    masks: Path | None = None
    """Folder of lung masks with the relative paths of the images; null: the archive's own."""
    method: Literal["auto", "classical", "unet"] = "auto"
    """What `apply` uses; `auto`: the U-Net that was trained in this workspace, else `classical`."""
    image_size: Annotated[int, Field(ge=32, le=1024, multiple_of=32)] = 256
    """Side in pixels of what the U-Net sees."""
    filters: Annotated[int, Field(ge=4, le=32, multiple_of=4)] = 16
    """Feature maps of its first level; 16 make 1.2 million weights."""
    images_shown: Annotated[int, Field(ge=1)] = 6_000
    """Length of its training."""
    batch_size: Annotated[int, Field(ge=1)] = 8
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2e-3
    """Of AdamW at its highest, in one cycle."""
    max_images: Annotated[int, Field(ge=2)] = 4_000
    """Images with masks that are read at most, drawn by group."""
    validation_share: Share = 0.2
    """Of the groups with masks, held back where the validation split has none."""
    rotation_degrees: Annotated[float, Field(ge=0, le=45)] = 10.0
    """Random rotation of a training film, either way."""
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.06
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.15
    brightness: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Random change of brightness and of contrast."""
