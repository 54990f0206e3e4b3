"""The section `preprocessing` of the configuration."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from balancer.section import ConfigSection


class PreprocessingConfig(ConfigSection):
    """What is done to every film before it becomes a square; the defaults leave it as it is."""

    border: Literal["keep", "remove"] = "keep"
    """Even frames, letterbox bars and rounded collimation frames around the film."""
    lungs: Literal["none", "lungs-only", "lungs-blacked-out", "crop-to-lungs"] = "none"
    masks: Literal["auto", "archive", "classical", "unet"] = "auto"
    """Where the lungs lie: by the archive's masks, a segmentation without training, or the U-Net of
    `balancer lungs`; `auto`: the archive's, and the classical one where it has none."""
    contrast: Literal["none", "clahe", "equalize", "window"] = "none"
    clahe_tiles: Annotated[int, Field(ge=1, le=64)] = 8
    """Tiles per side."""
    clahe_clip: Annotated[float, Field(gt=0, le=100)] = 2.0
    """Largest count of a bin, as a multiple of that of an even histogram."""
    window_percentiles: tuple[
        Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]
    ] = (0.5, 99.5)
    """Grey values that become black and white."""
    frame: Literal["stretch", "crop", "pad"] = "stretch"
    """How a film becomes a square."""

    @field_validator("window_percentiles")
    @classmethod
    def _rises(cls, window: tuple[float, float]) -> tuple[float, float]:
        if not window[0] < window[1]:
            raise ValueError("the first percentile must be below the second")
        return window

    @model_validator(mode="after")
    def _keeps_the_lungs(self) -> "PreprocessingConfig":
        if self.lungs == "crop-to-lungs" and self.frame == "crop":
            raise ValueError(
                "a square from the box of crop-to-lungs would cut lungs; pad or stretch it"
            )
        return self

    def settings(self) -> dict[str, Any]:
        """The settings that change pixels, JSON types; empty where none does."""
        values = self.model_dump(mode="json")
        of_contrast = {
            "clahe": ("contrast", "clahe_tiles", "clahe_clip"),
            "window": ("contrast", "window_percentiles"),
            "equalize": ("contrast",),
        }
        keys = [
            *(("border",) if self.border != "keep" else ()),
            *(("lungs", "masks") if self.lungs != "none" else ()),
            *of_contrast.get(self.contrast, ()),
            *(("frame",) if self.frame != "stretch" else ()),
        ]
        return {key: values[key] for key in keys}
