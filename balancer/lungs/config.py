"""The section `lungs` of the configuration."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from balancer.section import ConfigSection, Share


class LungsConfig(ConfigSection):
    """Search for lungs by `balancer lungs`, and training of its U-Net."""

    masks: Path | None = None
    """Folder of lung masks with the relative paths of the images; null: the archive's own."""
    method: Literal["auto", "classical", "unet"] = "auto"
    """Method of `apply`; `auto`: the U-Net of this workspace if there is one, else `classical`."""
    image_size: Annotated[int, Field(ge=32, le=1024, multiple_of=32)] = 256
    """Side of the images of the U-Net, in pixels."""
    filters: Annotated[int, Field(ge=4, le=32, multiple_of=4)] = 16
    """Number of feature maps of its first level; 16 make 1.2 million weights."""
    images_shown: Annotated[int, Field(ge=1)] = 6_000
    """Number of images shown in training."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 8
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2e-3
    """Peak learning rate of AdamW (one cycle)."""
    max_images: Annotated[int, Field(ge=2, le=100_000)] = 4_000
    """Largest number of images with masks that are read, drawn by group."""
    validation_share: Share = 0.2
    """Share of the groups with masks that is held back where the validation split has none."""
    rotation_degrees: Annotated[float, Field(ge=0, le=45)] = 10.0
    """Largest random rotation of a training image, either way."""
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.06
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.15
    brightness: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Largest random change of brightness and of contrast."""
