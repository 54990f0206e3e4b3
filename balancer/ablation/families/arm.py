"""The base of all arms: a family is a class, a line of configuration an object of it.

A family says what its arms add to the training images or leave out, where the added images come
from, and which settings of the classifier are its own. All that others ask of an arm is answered
here; no other module compares the name of a family.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.runs import OVERSAMPLE, ArmFacts, Kind
from balancer.config import BalancerConfig
from balancer.data.index import ImageSet, Index
from balancer.data.io import Pixels
from balancer.imaging.config import ImageRecipe
from balancer.manifest import HELD_BACK
from balancer.ratio import TargetRatio, plan_synthesis
from balancer.workspace import Workspace
from classifier.config import ClassifierConfig

Maker = Callable[[str, int], Pixels]
"""(class, number of images) to uint8 (number, S, S)."""


@dataclass(frozen=True, slots=True)
class Option:
    """A setting of an arm.

    Attributes:
        name: Its name in the line.
        read: Text to value; raises ValueError.
        default: Its value where the line does not give it; None: the synthesis ratio.
    """

    name: str
    read: Callable[[str], Any]
    default: Any


class Needs(Enum):
    """Source of an arm's images besides the training images of the fold."""

    NOTHING = "nothing"
    RARE_GENERATOR = "a generator of each rare class"
    LARGEST_GENERATOR = "a generator of the largest class"
    UNTRAINED_GENERATOR = "an untrained generator"
    HELD_BACK = "images that no other arm gets"
    OUTSIDE = "images of a generator that is not ours"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldData:
    """The material of one unit: a fold's images, and the settings of the run.

    Attributes:
        place: Workspace of the fold.
        index: Index of the fold.
        real: All real images of the fold, in the order of the index.
        config: Configuration of the run.
        seed: Seed of the unit.
    """

    place: Workspace
    index: Index
    real: ImageSet
    config: BalancerConfig
    seed: int

    def training_rows(self, label: str) -> list[int]:
        """Return the rows of a class's training images in the index."""
        return self._rows(label, "train")

    def held_back_rows(self, label: str) -> list[int]:
        """Return the rows of a class's images that were set aside."""
        return self._rows(label, HELD_BACK)

    def _rows(self, label: str, split: str) -> list[int]:
        return [
            row
            for row, record in enumerate(self.index.records)
            if record.split == split and record.label == label
        ]


@dataclass(frozen=True, slots=True)
class Blend:
    """Partners of images, and how much of the blend is theirs.

    Attributes:
        rows: Rows of the partners in the index, int64 (n,).
        shares: Shares of the partners, in [0, 1], float64 (n,).
    """

    rows: NDArray[np.int64]
    shares: NDArray[np.float64]

    def of(self, values: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Blend the rows of a table (N, ...), pixels or features, with their partners."""
        shares = self.shares.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray((1 - shares) * values[rows] + shares * values[self.rows], np.float64)


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        name: Canonical text; two arms never share it.
        options: Value of each option, defaults included.
        family: First word of the configuration line.
        kind: See `ArmFacts`.
        describes: One sentence for readers; `{...}` is filled with the options.
        takes: The options that its line may give.
        needs: Source of its images besides the training images.
        is_screened: Whether it takes only generated images that passed the screen.
        is_duplicates: Whether it repeats real images: what generated ones have to beat.
        suits_frozen: Whether a linear head on frozen features can train in its way: it takes real
            images unaltered or blends of them, and its settings are weights or offsets of the loss.
        images: Images of a negative control, in words.
        beyond_duplicates: See `ArmFacts`.
        is_view: Whether it sees its images, those of the tests included, in a way of its own.
    """

    name: str
    options: Mapping[str, Any]

    family: ClassVar[str]
    kind: ClassVar[Kind]
    describes: ClassVar[str]
    takes: ClassVar[tuple[Option, ...]] = ()
    needs: ClassVar[Needs] = Needs.NOTHING
    is_screened: ClassVar[bool] = False
    is_duplicates: ClassVar[bool] = False
    suits_frozen: ClassVar[bool] = False
    images: ClassVar[str] = ""
    beyond_duplicates: ClassVar[bool] = False
    is_view: ClassVar[bool] = False

    @classmethod
    def complete(cls, given: Mapping[str, Any], ratio: str) -> dict[str, Any]:
        """Add the defaults to the options of a line.

        Args:
            given: Options of the line.
            ratio: Ratio of an arm that adds images and gives none.

        Raises:
            ValueError: Two options exclude each other.
        """
        defaults = {
            option.name: ratio if option.default is None else option.default for option in cls.takes
        }
        return defaults | dict(given)

    @classmethod
    def assignments(cls, words: Sequence[str]) -> list[str]:
        """Return the words of a line after its family as `option=value`."""
        return list(words)

    @classmethod
    def title(cls, given: Mapping[str, str]) -> str:
        """Return the canonical text of the options that a line gives."""
        return " ".join([cls.family, *(f"{key}={text}" for key, text in given.items())])

    @property
    def ratio(self) -> TargetRatio:
        """Largest class : every other class; only of arms that add or leave out images."""
        return TargetRatio.parse(self.options["ratio"])

    @property
    def slug(self) -> str:
        """Name as a folder."""
        return slug_of(self.name)

    @property
    def trains_generator(self) -> bool:
        """Return whether a generator has to be trained for it on each fold."""
        return self.needs in (Needs.RARE_GENERATOR, Needs.LARGEST_GENERATOR)

    @property
    def uses_gan(self) -> bool:
        """Return whether it trains on images of our generator, trained or not."""
        return self.trains_generator or self.needs is Needs.UNTRAINED_GENERATOR

    @property
    def shows_generated(self) -> bool:
        """Return whether it trains on images of any generator."""
        return self.uses_gan or self.needs is Needs.OUTSIDE

    @property
    def adds_images(self) -> bool:
        """Return whether it adds images to the classes below its ratio."""
        return "ratio" in self.options

    @property
    def pretraining_share(self) -> float | None:
        """Share of the steps of a first phase on the added images; None: one phase on all."""
        return None

    @property
    def classifier_settings(self) -> Mapping[str, Any]:
        """Settings of the classifier that are its own."""
        return {}

    def recipe(self, shared: ClassifierConfig) -> ClassifierConfig:
        """Return the classifier settings that all arms share, with its own ones."""
        return ClassifierConfig.model_validate(shared.model_dump() | dict(self.classifier_settings))

    def preprocessing(self, shared: ImageRecipe) -> ImageRecipe:
        """Return the preprocessing of its images: that of the index, if not overridden."""
        return shared

    def seen(self, index: Index) -> Index:
        """Return an index as the arm sees its images."""
        return index.prepared_as(self.preprocessing(index.preprocessing))

    def images_wanted(self, index: Index) -> dict[str, int]:
        """Return the number of images it adds to each class that is below its ratio."""
        if not self.adds_images:
            return {}
        plans = plan_synthesis(index.counts("train"), self.ratio)
        return {plan.label: plan.to_make for plan in plans if plan.to_make}

    def rows(self, fold: FoldData, rng: np.random.Generator) -> dict[str, list[int]]:
        """Return the real training images of each class that it keeps: all, if not overridden."""
        return {label: fold.training_rows(label) for label in fold.index.classes}

    def maker(self, fold: FoldData, rng: np.random.Generator) -> Maker:
        """Return the source of its added images: repeated training images, if not overridden.

        Args:
            fold: Images and settings.
            rng: Draws which images are repeated; arms of one unit repeat the same ones.
        """

        def make(label: str, count: int) -> Pixels:
            rows = self.rows_to_add(fold, label, count, rng)
            return self.altered(fold.real.pixels[rows], rng)

        return make

    def rows_to_add(
        self, fold: FoldData, label: str, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the rows of the real images that it adds, repeats included: int64 (count,).

        Only of arms that add real images: training images, if not overridden.
        """
        return repeated(fold.training_rows(label), count, rng)

    def altered(self, images: Pixels, rng: np.random.Generator) -> Pixels:
        """Change repeated training images, uint8 (N, S, S); left as they are by default."""
        return images

    def blend(
        self,
        fold: FoldData,
        label: str,
        rows: NDArray[np.int64],
        features: NDArray[np.float32],
        rng: np.random.Generator,
    ) -> "Blend | None":
        """Return the images that added ones are blended with; None: they are added as they are.

        Args:
            fold: Images and settings.
            label: Class of the added images.
            rows: Their rows in the index, repeats included, int64 (n,).
            features: Features of the training images, float32 (N, d), in the order of the index;
                other rows are not used.
            rng: Draws partners and shares.
        """
        return None

    def images_hash(self, place: Workspace, index: Index) -> str | None:
        """Return the fingerprint of the files that its images come from; None: no such files.

        Args:
            place: Workspace of the fold.
            index: Index of the fold.
        """
        return None

    def facts(self, arms: Sequence["Arm"]) -> ArmFacts:
        """Return what the comparison needs, with the arm of `arms` that repeats as many images."""
        # Arms that add nothing have no ratio of their own: the plain `oversample` is theirs.
        candidates = sorted(arms, key=lambda arm: arm.name != OVERSAMPLE)
        return ArmFacts(
            name=self.name,
            kind=self.kind,
            describes=self.describes.format(**self.options),
            duplicates=next((arm.name for arm in candidates if self.is_matched_by(arm)), None),
            holds_back=self.needs is Needs.HELD_BACK,
            images=self.images,
            beyond_duplicates=self.beyond_duplicates,
        )

    def is_matched_by(self, other: "Arm") -> bool:
        """Return whether another arm repeats as many real images as this one adds."""
        return other.is_duplicates and self.options.get("ratio") in (None, other.options["ratio"])

    def equals(self, other: "Arm") -> bool:
        """Return whether another arm trains in the same way, under the same or another name."""
        return type(self) is type(other) and self.options == other.options


FAMILIES: dict[str, type[Arm]] = {}
"""All families by their names."""


def register(family: type[Arm]) -> type[Arm]:
    """Add a family to `FAMILIES`; a class decorator."""
    FAMILIES[family.family] = family
    return family


def number(low: float, high: float) -> Callable[[str], float]:
    """Return a reader of numbers in a range."""

    def read(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g} is wanted")
        return value

    return read


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers in a range."""

    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high} is wanted")
        return value

    return read


def _ratio(text: str) -> str:
    return str(TargetRatio.parse(text))


RATIO = Option("ratio", _ratio, None)
"""Option of arms that add or leave out images."""


def slug_of(name: str) -> str:
    """Return the name of an arm as a folder."""
    return name.replace(" ", "_").replace(":", "to").replace("=", "-")


def repeated(rows: list[int], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return `count` of the rows: whole rounds of all of them, the last one a draw of the rest."""
    rounds = [rng.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate([*rounds, np.empty(0, np.int64)])[:count].astype(np.int64)
