"""What is done with every file of a pass; the same in a thread, a process and on a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from balancer.data.cache import cached_pixels
from balancer.data.config import DataConfig
from balancer.data.film.examine import DOUBTFUL_LUNGS, Examined, Seen, look_at
from balancer.data.io import PIXEL_RECIPE, Pixels
from balancer.data.masks.of_index import LungMasks
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage
from balancer.imaging.lungs.segment import DOUBTFUL
from balancer.imaging.preprocess import Preprocessor


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How files are looked at.

    Attributes:
        roots: Where they lie.
        config: What makes an image usable.
        sizes: Sides at which pixels are kept.
        preprocessor: What is done to an image before; None: nothing.
        masks: Of the lungs, by path of the image; None: there are none.
    """

    roots: Roots
    config: DataConfig
    sizes: tuple[int, ...] = ()
    preprocessor: Preprocessor | None = None
    masks: LungMasks | None = None

    def at(self, found: FoundImage) -> tuple[Seen, dict[int, Pixels]]:
        """Read a file and examine it.

        Returns:
            What was seen, without its pixels, and uint8 (side, side) by side: none of a file that
            is no image, and of a film that is such a square itself only that one, from which the
            others can be made at any time.
        """
        return self.squares_of(look_at(self.roots, found, self.config))

    def squares_of(self, seen: Seen) -> tuple[Seen, dict[int, Pixels]]:
        """The same for a file that was examined."""
        pixels, seen = seen.pixels, Seen(seen.digest, seen.result)
        if pixels is None or not self.sizes:
            return seen, {}
        if self.preprocessor is not None:
            mask = None if self.masks is None else self.masks.read(seen.result.path)
            qualities: list[float] = []
            pixels = self.preprocessor.watched(qualities).apply(pixels, mask)
            seen = _with_doubt(seen, qualities)
        elif stored := self.stored_side(seen):
            return seen, {stored: pixels}
        return seen, {side: cached_pixels(pixels, side) for side in self.sizes}

    def stored_side(self, seen: Seen) -> int:
        """The size that the file itself has, so that its pixels are kept as they are; 0: none."""
        found = seen.result
        if self.preprocessor is not None or not isinstance(found, Examined):
            return 0
        return found.width if found.width == found.height and found.width in self.sizes else 0

    @property
    def settings(self) -> str:
        """All that decides what is seen in a file, in words."""
        recipe = "" if self.preprocessor is None else self.preprocessor.recipe
        masks = "" if self.masks is None else self.masks.fingerprint
        limits = self.config.model_dump_json(include={"min_side", "max_aspect", "max_megapixels"})
        return f"{self.roots} {limits} {PIXEL_RECIPE} {self.sizes} {recipe} {masks}"


def _with_doubt(seen: Seen, qualities: Sequence[float]) -> Seen:
    found = seen.result
    if not isinstance(found, Examined) or not any(quality < DOUBTFUL for quality in qualities):
        return seen
    return replace(seen, result=replace(found, flags=(*found.flags, DOUBTFUL_LUNGS)))
