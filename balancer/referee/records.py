"""Records of `judge`: the sides, what their files give away, and a verdict per class."""

from pydantic import Field

from balancer.quality.figures import Tell
from balancer.quality.records import ClassQuality
from balancer.results import Record


class FileFact(Record):
    """A fact of the files, on both sides.

    Attributes:
        name: `format`, `mode` or `size`.
        real: Commonest values of real files, with their numbers.
        synthetic: The same of synthetic files.
        separation: Total variation distance of the two; 1: the fact alone sorts all files.
    """

    name: str
    real: dict[str, int]
    synthetic: dict[str, int]
    separation: float


class SideCounts(Record):
    """The images of one side.

    Attributes:
        name: Name of the folder.
        n: Number of images used.
        unusable: Number of files that are no usable images.
        left_out: Kind of other entry to number.
    """

    name: str
    n: int
    unusable: int = 0
    left_out: dict[str, int] = Field(default_factory=dict)


class ClassJudgement(Record):
    """The verdict on the synthetic images of one class.

    Attributes:
        real: Real images that the generator may have seen.
        held_out: Held-out real images.
        synthetic: The images judged.
        files: What the files give away.
        alike: Trivial tell after both sides were reduced and compressed alike; None with too few.
        copies: Paths of near copies of real images.
        quality: Figures and gate.
    """

    real: SideCounts
    held_out: SideCounts
    synthetic: SideCounts
    files: tuple[FileFact, ...]
    alike: Tell | None
    copies: tuple[str, ...]
    quality: ClassQuality


class JudgeMetrics(Record):
    """The result of `balancer judge`.

    Attributes:
        unseen: Whether the held-out images are known to be unseen by the generator.
        size: Side in pixels at which images were compared.
        channels: 1: as grey; 3: in colour.
        notes: What was done to bring both sides together.
        classes: A verdict per class.
        sentence: The verdict in one sentence.
    """

    unseen: bool
    size: int
    channels: int
    notes: tuple[str, ...]
    classes: dict[str, ClassJudgement]
    sentence: str

    @property
    def passed(self) -> bool | None:
        """False if a class fails; None if none does but something could not be asked."""
        found = [one.quality.gate.passed for one in self.classes.values()]
        return False if False in found else None if None in found else True
