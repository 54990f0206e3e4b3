"""The section `preprocessing` of the configuration."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from balancer.section import ConfigSection


class PreprocessingConfig(ConfigSection):
    """Preprocessing of every image before it becomes a square; the defaults change nothing."""

    border: Literal["keep", "remove"] = "keep"
    """Even frames, letterbox bars and rounded collimation around the film."""
    lungs: Literal[
        "none", "lungs-only", "lungs-blacked-out", "crop-to-lungs", "exposed-for-lungs"
    ] = "none"
    """View of the lungs; with `exposed-for-lungs` the whole film, its contrast set by the lungs."""
    masks: Literal["auto", "archive", "classical", "unet"] = "auto"
    """Source of lung masks: the archive, a segmentation without training, or the U-Net of
    `balancer lungs`; `auto`: the archive, and `classical` for images without a mask."""
    colour: Literal["keep", "grey-world", "shades-of-grey", "reinhard"] = "keep"
    """White balance (grey world; shades of grey), or the stain of tissue (Reinhard) made equal."""
    contrast: Literal["none", "clahe", "equalize", "window"] = "none"
    clahe_tiles: Annotated[int, Field(ge=1, le=64)] = 8
    """Number of tiles per side."""
    clahe_clip: Annotated[float, Field(gt=0, le=100)] = 2.0
    """Largest count of a bin, as a multiple of that of an even histogram."""
    window_percentiles: tuple[
        Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]
    ] = (0.5, 99.5)
    """Percentiles of the grey values that become black and white."""
    frame: Literal["stretch", "crop", "pad"] = "stretch"
    """Way from the film to a square."""

    @field_validator("window_percentiles")
    @classmethod
    def _rises(cls, window: tuple[float, float]) -> tuple[float, float]:
        if not window[0] < window[1]:
            raise ValueError("the first percentile must be below the second")
        return window

    @model_validator(mode="after")
    def _has_an_exposure(self) -> "PreprocessingConfig":
        if self.lungs == "exposed-for-lungs" and self.contrast not in ("window", "equalize"):
            raise ValueError(
                "exposed-for-lungs measures the contrast in the lungs; set contrast to window or "
                "equalize"
            )
        return self

    @model_validator(mode="after")
    def _keeps_the_lungs(self) -> "PreprocessingConfig":
        if self.lungs == "crop-to-lungs" and self.frame == "crop":
            raise ValueError(
                "crop after crop-to-lungs would cut the lungs; set frame to pad or stretch"
            )
        return self

    def in_channels(self, channels: int) -> "ImageRecipe":
        """Return the recipe of images that are read in a number of channels, 1 or 3."""
        return ImageRecipe.model_validate({**self.model_dump(), "channels": channels})

    def settings(self) -> dict[str, Any]:
        """Return the settings that change pixels, JSON types; empty where none does."""
        values = self.model_dump(mode="json")
        of_contrast = {
            "clahe": ("contrast", "clahe_tiles", "clahe_clip"),
            "window": ("contrast", "window_percentiles"),
            "equalize": ("contrast",),
        }
        keys = [
            *(("border",) if self.border != "keep" else ()),
            *(("lungs", "masks") if self.lungs != "none" else ()),
            *(("colour",) if self.colour != "keep" else ()),
            *of_contrast.get(self.contrast, ()),
            *(("frame",) if self.frame != "stretch" else ()),
        ]
        return {key: values[key] for key in keys}


class ImageRecipe(PreprocessingConfig):
    """Way from a file to the pixels of an index: its channels and its preprocessing."""

    channels: Literal[1, 3] = 1
    """Channels that images are read in; `data.channels` as it was decided."""

    def settings(self) -> dict[str, Any]:
        """Return the settings that change pixels, JSON types; empty where none does."""
        return {**({"channels": self.channels} if self.channels > 1 else {}), **super().settings()}

    @property
    def preprocessing(self) -> PreprocessingConfig:
        """Preprocessing alone."""
        return PreprocessingConfig.model_validate(self.model_dump(exclude={"channels"}))
