"""Control arms: what must not help, and what a perfect generator could have added."""

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.families.arm import RATIO, Arm, FoldData, Maker, Needs, register, repeated
from balancer.ablation.families.generated import largest_class
from balancer.data.io import Pixels
from balancer.errors import IntegrityError
from balancer.synthetic.dcgan import UntrainedSource, load_dcgan
from balancer.synthetic.source import draw_resized

_COPYCAT_SHIFT, _COPYCAT_NOISE = 2, 2


@register
class NoiseArm(Arm):
    """Images of an untrained generator."""

    family = "noise"
    kind = "control"
    describes = (
        "Images of an untrained generator labelled as the rare class, until {ratio}: must not help."
    )
    takes = (RATIO,)
    needs = Needs.UNTRAINED_GENERATOR
    images = "images of noise"

    def maker(self, fold: FoldData, rng: np.random.Generator) -> Maker:
        """Draw from a generator with its first weights."""

        def make(label: str, count: int) -> Pixels:
            source = UntrainedSource(fold.config.gan, fold.seed, fold.index.preprocessing.channels)
            return draw_resized(source, count, fold.config.classifier_image_size)

        return make


@register
class MislabelledArm(Arm):
    """Images of the largest class under the rare label."""

    family = "mislabelled"
    kind = "control"
    describes = (
        "GAN images of the largest class labelled as the rare one, until {ratio}: must not help."
    )
    takes = (RATIO,)
    needs = Needs.LARGEST_GENERATOR
    images = "images of another class"

    def maker(self, fold: FoldData, rng: np.random.Generator) -> Maker:
        """Draw from the fold's generator of the largest class."""
        source = load_dcgan(largest_class(fold.index), fold.place, fold.index)

        def make(label: str, count: int) -> Pixels:
            return draw_resized(source, count, fold.config.classifier_image_size)

        return make


@register
class CopycatArm(Arm):
    """Training images moved a little."""

    family = "copycat"
    kind = "control"
    describes = (
        "Rare training images moved by up to two pixels and two grey levels, until {ratio}: worth "
        "what repeating them is worth."
    )
    takes = (RATIO,)
    images = "copies of the training images, more than repeated ones,"
    beyond_duplicates = True

    def altered(self, images: Pixels, rng: np.random.Generator) -> Pixels:
        """Move each copy."""
        return np.stack([_moved(image, rng) for image in images])


@register
class HeldBackRealArm(Arm):
    """Real images that no other arm gets."""

    family = "held-back-real"
    kind = "control"
    describes = (
        "Rare real images that no other arm may see, in place of a perfect generator's, until "
        "{ratio}: what real images would have added."
    )
    takes = (RATIO,)
    needs = Needs.HELD_BACK
    suits_frozen = True

    def rows_to_add(
        self, fold: FoldData, label: str, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the images that were set aside, each as often as any other."""
        rows = fold.held_back_rows(label)
        if not rows:
            raise IntegrityError(
                f"{self.family} needs images of {label} that were set aside, but this fold has "
                "none; run `balancer ablate --force`."
            )
        return repeated(rows, count, np.random.default_rng(fold.seed))


def _moved(image: Pixels, rng: np.random.Generator) -> Pixels:
    down, right = rng.integers(-_COPYCAT_SHIFT, _COPYCAT_SHIFT + 1, 2)
    around = [(_COPYCAT_SHIFT, _COPYCAT_SHIFT)] * 2 + [(0, 0)] * len(image.shape[2:])
    padded = np.pad(image, around, mode="edge")
    top, left = _COPYCAT_SHIFT + down, _COPYCAT_SHIFT + right
    moved = padded[top : top + image.shape[0], left : left + image.shape[1]]
    noise = rng.integers(-_COPYCAT_NOISE, _COPYCAT_NOISE + 1, image.shape)
    changed: Pixels = np.clip(moved.astype(np.int64) + noise, 0, 255).astype(np.uint8)
    return changed
