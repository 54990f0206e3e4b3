"""Read one file of a pass, in the same way in a thread, in a process and on a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from balancer.data.cache import cached_pixels
from balancer.data.config import DataConfig
from balancer.data.film.examine import DOUBTFUL_LUNGS, Examined, FileResult, examine_file
from balancer.data.io import PIXEL_RECIPE, Pixels
from balancer.data.masks.of_index import LungMasks
from balancer.data.memory import one_image
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage
from balancer.imaging.lungs.segment import DOUBTFUL
from balancer.imaging.pixels import GREY
from balancer.imaging.preprocess import Preprocessor

_LIMITS = ("min_side", "max_aspect", "max_megapixels", "max_memory_mb")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReader:
    """Reader of files, with the settings that its results depend on.

    Attributes:
        roots: The archives that hold the files.
        config: Limits for usable images.
        sizes: Sides at which pixels are kept.
        preprocessor: Preprocessing of the pixels that are kept; None: none.
        masks: Lung masks by path of the image; None: none.
        channels: Channels that the pixels are kept in.
    """

    roots: Roots
    config: DataConfig
    sizes: tuple[int, ...] = ()
    preprocessor: Preprocessor | None = None
    masks: LungMasks | None = None
    channels: int = GREY

    def read(self, found: FoundImage) -> tuple[FileResult, dict[int, Pixels]]:
        """Read and examine a file.

        Returns:
            The result without its pixels, and squares by side, as `cached_pixels` makes them: none
            for an unusable file, and only its own for an image that already is such a square,
            because the others can be made from it later.
        """
        with one_image():
            return self.squares_of(
                examine_file(self.roots, found, self.config, channels=self.channels)
            )

    def squares_of(self, result: FileResult) -> tuple[FileResult, dict[int, Pixels]]:
        """Return the same for a file that is examined already."""
        pixels, result = result.pixels, FileResult(result.digest, result.outcome)
        if pixels is None or not self.sizes:
            return result, {}
        if self.preprocessor is not None:
            mask = None if self.masks is None else self.masks.read(result.outcome.path)
            qualities: list[float] = []
            pixels = self.preprocessor.watched(qualities).apply(pixels, mask)
            result = _with_doubt(result, qualities)
        elif stored := self.stored_side(result):
            return result, {stored: pixels}
        return result, {side: cached_pixels(pixels, side) for side in self.sizes}

    def stored_side(self, result: FileResult) -> int:
        """Return the size that the image has in its file, kept without resizing; 0: none."""
        found = result.outcome
        if self.preprocessor is not None or not isinstance(found, Examined):
            return 0
        return found.width if found.width == found.height and found.width in self.sizes else 0

    @property
    def settings(self) -> str:
        """Text of all settings that affect the results."""
        recipe = "" if self.preprocessor is None else self.preprocessor.recipe
        masks = "" if self.masks is None else self.masks.fingerprint
        limits = self.config.model_dump_json(include={*_LIMITS})
        pixels = f"{PIXEL_RECIPE} {self.channels}"
        return f"{self.roots} {limits} {pixels} {self.sizes} {recipe} {masks}"


def _with_doubt(result: FileResult, qualities: Sequence[float]) -> FileResult:
    found = result.outcome
    if not isinstance(found, Examined) or not any(quality < DOUBTFUL for quality in qualities):
        return result
    return replace(result, outcome=replace(found, flags=(*found.flags, DOUBTFUL_LUNGS)))
