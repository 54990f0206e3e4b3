"""What is done to a film between decoding and resizing, in one order, under one name.

Border removal, then the view of the lungs, then contrast, then the way to a square.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from balancer.errors import DataError, IntegrityError
from balancer.imaging.borders import find_film
from balancer.imaging.config import PreprocessingConfig
from balancer.imaging.contrast import clahe, equalize, window
from balancer.imaging.pixels import Mask, Pixels, crop_square, fit_mask, pad_square

if TYPE_CHECKING:
    from balancer.imaging.lungs.segment import LungField

FindLungs = Callable[[Pixels], Mask]

VERSION = 1
"""Part of every recipe; to be raised whenever a step gives other pixels for the same settings."""
_WHOLE, _BORDER, _CONTRAST, _FRAME = "film", "border", "contrast", "frame"


@dataclass(frozen=True, slots=True)
class Step:
    """A film after one step.

    Attributes:
        name: `film` for what went in, then `border`, the view of the lungs, the kind of contrast
            and the kind of frame, of those that are wanted.
        pixels: uint8 (H, W).
    """

    name: str
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """Settings made into a function of pixels; see `preprocessor`.

    Attributes:
        config: What is done.
        recipe: Names all that decides the pixels, as a part of keys; empty where nothing is done.
        find_lungs: Finds the lungs of a film that comes without a mask; None: only masks do.
    """

    config: PreprocessingConfig
    recipe: str
    find_lungs: FindLungs | None

    @property
    def moves(self) -> bool:
        """Whether a place of the film may come to lie elsewhere than by stretching it."""
        config = self.config
        return (
            config.border != "keep" or config.lungs == "crop-to-lungs" or config.frame != "stretch"
        )

    def apply(self, pixels: Pixels, mask: Mask | None = None) -> Pixels:
        """Preprocess one film.

        Args:
            pixels: uint8 (H, W).
            mask: bool (h, w), the lungs, stretched to the film where its size differs; None: there
                is none. Of no meaning where no view of the lungs is wanted.

        Returns:
            uint8 (H', W'), to be resized to a square; the film itself where nothing is done. A film
            without lungs, by its mask or as none are found, is black where only they, or all but
            they, are to be seen.

        Raises:
            DataError: A view of the lungs is wanted, and nothing says where they are.
        """
        *_, last = self._run(pixels, mask)
        return last[0].pixels

    def watched(self, qualities: list[float]) -> "Preprocessor":
        """The same, noting the quality of lungs that it finds without training.

        Args:
            qualities: Grows by one, in [0, 1], whenever lungs are looked for.
        """
        if self.find_lungs is not _classical:
            return self

        def find(pixels: Pixels) -> Mask:
            field = _segmented(pixels)
            qualities.append(field.quality)
            return field.mask

        return replace(self, find_lungs=find)

    def steps(self, pixels: Pixels, mask: Mask | None = None) -> list[Step]:
        """The film and what each step makes of it; arguments and errors as of `apply`."""
        return [step for step, _ in self._run(pixels, mask)]

    def region(self, pixels: Pixels, mask: Mask | None, area: Mask) -> Mask:
        """Where an area of a film comes to lie in what `apply` makes of it.

        Args:
            pixels: The film, uint8 (H, W).
            mask: As for `apply`.
            area: bool (h, w), such as a lung mask; stretched to the film where its size differs.

        Returns:
            bool (H', W').
        """
        *_, (_, place) = self._run(pixels, mask, fit_mask(area, pixels.shape))
        return np.asarray(place, np.bool_)

    def _run(
        self, pixels: Pixels, mask: Mask | None, area: Mask | None = None
    ) -> Iterator[tuple[Step, Mask]]:
        """Each step with the place of the area after it."""
        config = self.config
        followed: Pixels = np.zeros_like(pixels) if area is None else area.astype(np.uint8) * 255
        yield Step(_WHOLE, pixels), followed > 0
        lungs = None
        if config.lungs != "none" and mask is not None and config.masks != "classical":
            lungs = fit_mask(mask, pixels.shape)
        if config.border == "remove":
            film = find_film(pixels)
            pixels, followed = film.of(pixels), film.of(followed)
            lungs = None if lungs is None else lungs[film.top : film.bottom, film.left : film.right]
            yield Step(_BORDER, pixels), followed > 0
        shown = None
        if config.lungs != "none":
            from balancer.imaging.lungs.views import lung_view

            lungs = self._lungs(pixels) if lungs is None else lungs
            if config.lungs == "crop-to-lungs":
                followed = lung_view(followed, lungs, config.lungs)
                pixels = lung_view(pixels, lungs, config.lungs)
            else:
                shown = lung_view(np.full_like(pixels, 255), lungs, config.lungs) > 0
                # Where no lungs were found, a film without them cannot be shown.
                shown &= lungs.any()
                pixels = np.where(shown, pixels, np.uint8(0))
            yield Step(config.lungs, pixels), followed > 0
        if config.contrast != "none":
            pixels = self._contrast(pixels, shown)
            yield Step(config.contrast, pixels), followed > 0
        if config.frame != "stretch":
            frame = crop_square if config.frame == "crop" else pad_square
            pixels, followed = frame(pixels), frame(followed)
            yield Step(config.frame, pixels), followed > 0

    def _lungs(self, pixels: Pixels) -> Mask:
        if self.find_lungs is None:
            raise DataError(
                f"preprocessing.lungs={self.config.lungs} with masks={self.config.masks} wants a "
                "lung mask for every film, but a film has none; give its mask, or prepare the "
                "images again with preprocessing.masks=auto."
            )
        return self.find_lungs(pixels)

    def _contrast(self, pixels: Pixels, shown: Mask | None) -> Pixels:
        """What was blacked out neither counts nor changes."""
        config = self.config
        pixels = np.ascontiguousarray(pixels)
        if config.contrast == "clahe":
            pixels = clahe(pixels, tiles=config.clahe_tiles, clip=config.clahe_clip)
        elif config.contrast == "equalize":
            pixels = equalize(pixels, shown)
        else:
            pixels = window(pixels, config.window_percentiles, shown)
        return pixels if shown is None else np.where(shown, pixels, np.uint8(0))


def preprocessor(config: PreprocessingConfig, find_lungs: FindLungs | None = None) -> Preprocessor:
    """Make the function that settings describe.

    Args:
        config: The settings.
        find_lungs: In place of the classical segmentation, such as a trained U-Net; required for
            films without a mask where `masks` is `unet`.
    """
    if find_lungs is None and config.masks in ("auto", "classical"):
        find_lungs = _classical
    return Preprocessor(config, _recipe(config), find_lungs)


def recorded(config: PreprocessingConfig) -> dict[str, Any]:
    """What a checkpoint notes of the films it learnt from; empty: they were left as they are."""
    settings = config.settings()
    return {"version": VERSION, **settings} if settings else {}


def from_record(record: object, where: str) -> PreprocessingConfig:
    """Read back what `recorded` gave.

    Args:
        record: The note, as it was read from a file.
        where: What holds it, for the error.

    Raises:
        IntegrityError: It is of another version, or no such note.
    """
    if not isinstance(record, Mapping):
        raise IntegrityError(
            f"{where} should note its preprocessing as a table, but has {record!r:.40}; make it "
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
        return PreprocessingConfig.model_validate(values)
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
