"""The preprocessing of an image between decoding and resizing, as one function with one name.

Its steps are, in this order: border, view of the lungs, colour, contrast, frame.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from balancer.errors import DataError, IntegrityError
from balancer.imaging.borders import find_film
from balancer.imaging.colour import even_colours
from balancer.imaging.config import ImageRecipe, PreprocessingConfig
from balancer.imaging.contrast import clahe, equalize, window
from balancer.imaging.pixels import (
    GREY,
    Mask,
    Pixels,
    crop_square,
    fit_mask,
    on_lightness,
    over,
    pad_square,
    with_channels,
)

if TYPE_CHECKING:
    from balancer.imaging.lungs.segment import LungField

FindLungs = Callable[[Pixels], Mask]

VERSION = 1
"""Part of every recipe; raise it when a step gives other pixels for the same settings."""
_WHOLE, _BORDER, _CONTRAST, _FRAME = "film", "border", "contrast", "frame"


@dataclass(frozen=True, slots=True)
class Step:
    """An image after one step.

    Attributes:
        name: `film` for the original; then `border`, the view of the lungs, the change of colour,
            the kind of contrast and the kind of frame, as far as the settings name them.
        pixels: uint8 (H, W) or (H, W, 3).
    """

    name: str
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """A function of pixels that follows settings; see `preprocessor`.

    Attributes:
        config: The settings.
        recipe: All that decides the pixels, as a part of keys; empty for unchanged grey images.
        find_lungs: Finds the lungs of an image without a mask; None: every image needs a mask.
    """

    config: ImageRecipe
    recipe: str
    find_lungs: FindLungs | None

    @property
    def channels(self) -> int:
        """Number of channels that images are read in, 1 or 3."""
        return self.config.channels

    @property
    def alone(self) -> "Preprocessor":
        """Function for images that were made like the result of this one: it reads them alike."""
        return preprocessor(ImageRecipe(channels=self.config.channels))

    @property
    def changes(self) -> bool:
        """True if it changes an image after that was read."""
        return bool(self.config.preprocessing.settings())

    @property
    def moves(self) -> bool:
        """True if the geometry differs from stretching to a square."""
        config = self.config
        return (
            config.border != "keep" or config.lungs == "crop-to-lungs" or config.frame != "stretch"
        )

    def apply(self, pixels: Pixels, mask: Mask | None = None) -> Pixels:
        """Preprocess one image.

        Args:
            pixels: uint8 (H, W) or (H, W, 3).
            mask: Lung mask, bool (h, w), stretched to the image where its shape differs; None:
                there is none. Not used without a view of the lungs.

        Returns:
            uint8 (H', W') or (H', W', 3), to be resized to a square; the image itself where nothing
            is changed. Where no lungs are known or found, `lungs-only` and `lungs-blacked-out` give
            a black image.

        Raises:
            DataError: The view of the lungs needs a mask, and there is none.
        """
        *_, last = self._run(pixels, mask)
        return last[0].pixels

    def watched(self, qualities: list[float]) -> "Preprocessor":
        """Return a copy that records the quality of the lungs that it finds without training.

        Args:
            qualities: Receives a quality in [0, 1] each time lungs are searched for.
        """
        if self.find_lungs is not _classical:
            return self

        def find(pixels: Pixels) -> Mask:
            field = _segmented(pixels)
            qualities.append(field.quality)
            return field.mask

        return replace(self, find_lungs=find)

    def steps(self, pixels: Pixels, mask: Mask | None = None) -> list[Step]:
        """Return the original and the image after each step; see `apply`."""
        return [step for step, _ in self._run(pixels, mask)]

    def region(self, pixels: Pixels, mask: Mask | None, area: Mask) -> Mask:
        """Map a region through the same geometry as `apply`.

        Args:
            pixels: The image, uint8 (H, W) or (H, W, 3).
            mask: As for `apply`.
            area: The region, bool (h, w), such as a lung mask; stretched to the image where its
                shape differs.

        Returns:
            bool (H', W').
        """
        *_, (_, region) = self._run(pixels, mask, fit_mask(area, pixels.shape[:2]))
        return np.asarray(region, np.bool_)

    def _run(
        self, pixels: Pixels, mask: Mask | None, area: Mask | None = None
    ) -> Iterator[tuple[Step, Mask]]:
        """Yield each step with the region after it."""
        config = self.config
        shape = pixels.shape[:2]
        followed: Pixels = (
            np.zeros(shape, np.uint8) if area is None else area.astype(np.uint8) * 255
        )
        yield Step(_WHOLE, pixels), followed > 0
        lungs = None
        if config.lungs != "none" and mask is not None and config.masks != "classical":
            lungs = fit_mask(mask, shape)
        if config.border == "remove":
            film = find_film(with_channels(pixels, GREY))
            pixels, followed = film.of(pixels), film.of(followed)
            lungs = None if lungs is None else lungs[film.top : film.bottom, film.left : film.right]
            yield Step(_BORDER, pixels), followed > 0
        shown = counted = None
        if config.lungs != "none":
            from balancer.imaging.lungs.views import lung_view

            lungs = self._lungs(with_channels(pixels, GREY)) if lungs is None else lungs
            if config.lungs == "crop-to-lungs":
                followed = lung_view(followed, lungs, config.lungs)
                pixels = lung_view(pixels, lungs, config.lungs)
            elif config.lungs == "exposed-for-lungs":
                counted = lungs if lungs.any() else None
            else:
                shown = lung_view(np.full(lungs.shape, 255, np.uint8), lungs, config.lungs) > 0
                # Where no lungs were found, an image without them cannot be shown.
                shown &= lungs.any()
                pixels = np.where(over(pixels, shown), pixels, np.uint8(0))
                counted = shown
            yield Step(config.lungs, pixels), followed > 0
        if config.colour != "keep":
            pixels = even_colours(pixels, config.colour)
            yield Step(config.colour, pixels), followed > 0
        if config.contrast != "none":
            pixels = on_lightness(pixels, lambda greys: self._contrast(greys, shown, counted))
            yield Step(config.contrast, pixels), followed > 0
        if config.frame != "stretch":
            frame = crop_square if config.frame == "crop" else pad_square
            pixels, followed = frame(pixels), frame(followed)
            yield Step(config.frame, pixels), followed > 0

    def _lungs(self, pixels: Pixels) -> Mask:
        if self.find_lungs is None:
            raise DataError(
                f"preprocessing.lungs={self.config.lungs} with masks={self.config.masks} needs a "
                "lung mask for every image, but one has none; give its mask, or prepare the "
                "images again with preprocessing.masks=auto."
            )
        return self.find_lungs(pixels)

    def _contrast(self, pixels: Pixels, shown: Mask | None, counted: Mask | None) -> Pixels:
        """Change the contrast of the pixels that are shown, as those that count ask for."""
        config = self.config
        pixels = np.ascontiguousarray(pixels)
        if config.contrast == "clahe":
            pixels = clahe(pixels, tiles=config.clahe_tiles, clip=config.clahe_clip)
        elif config.contrast == "equalize":
            pixels = equalize(pixels, counted)
        else:
            pixels = window(pixels, config.window_percentiles, counted)
        return pixels if shown is None else np.where(shown, pixels, np.uint8(0))


def preprocessor(config: PreprocessingConfig, find_lungs: FindLungs | None = None) -> Preprocessor:
    """Make the function that settings describe.

    Args:
        config: The settings.
        find_lungs: Replaces the classical segmentation, such as a trained U-Net; required for
            images without a mask where `masks` is `unet`.
    """
    if find_lungs is None and config.masks in ("auto", "classical"):
        find_lungs = _classical
    recipe = config if isinstance(config, ImageRecipe) else config.in_channels(GREY)
    return Preprocessor(recipe, _recipe(recipe), find_lungs)


def recorded(config: PreprocessingConfig) -> dict[str, Any]:
    """Return the record of the preprocessing for checkpoint and index; empty: there is none."""
    settings = config.settings()
    return {"version": VERSION, **settings} if settings else {}


def from_record(record: object, where: str) -> ImageRecipe:
    """Read back a record made by `recorded`.

    Args:
        record: The record, as it was read from a file.
        where: Name of the file, for the error.

    Raises:
        IntegrityError: The record is of another version, or is no such record.
    """
    if not isinstance(record, Mapping):
        raise IntegrityError(
            f"{where} should record its preprocessing as a table, but has {record!r:.40}; make it "
            "again with this version of the balancer."
        )
    values = dict(record)
    version = values.pop("version", VERSION if not values else None)
    if version != VERSION:
        raise IntegrityError(
            f"{where} should be of version {VERSION} of the preprocessing, but names {version}; "
            "make it again with this version of the balancer."
        )
    try:
        return ImageRecipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise IntegrityError(
            f"{where} names an unusable setting preprocessing.{key}: {first['msg'].lower()}; make "
            "it again with this version of the balancer."
        ) from None


def _recipe(config: PreprocessingConfig) -> str:
    settings = recorded(config)
    return json.dumps(settings, separators=(",", ":")) if settings else ""


def _classical(pixels: Pixels) -> Mask:
    return _segmented(pixels).mask


def _segmented(pixels: Pixels) -> "LungField":
    from balancer.imaging.lungs.segment import segment_lungs

    return segment_lungs(np.ascontiguousarray(pixels))
