"""Records of `gan-train` and `synthesize`: the metrics of their results, and the lineage."""

from collections.abc import Mapping
from typing import Literal

from pydantic import ConfigDict, Field, TypeAdapter

from balancer.ratio import ClassPlan
from balancer.results import Record

TrainingIds = tuple[str, ...] | Literal["unknown"]
Lineage = Literal["known", "declared", "unknown"]
"""`known`: its training images are listed, and compared with the splits; `declared`: somebody says
that it saw no validation or test image; `unknown`: nobody says anything."""


class _Labelled(Record):
    """A record of one class; the file calls its label `class`."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    label: str = Field(validation_alias="class", serialization_alias="class")


class Snapshot(Record):
    """The evaluation of the generator that was exported.

    Attributes:
        kid: KID of its images to validation images.
        diversity: Mean distance between two of its images, over that of real images.
        closer_to_training: Share of its images closer to training than to validation images.
        recall: Share of the validation images that lie among its images; None: not recorded.
        images_shown: Number of real images shown before it.
        loss_d: Mean loss of the discriminator since the evaluation before.
        membership_auroc: AUROC of the discriminator's logits, training against validation images.
    """

    kid: float
    diversity: float
    closer_to_training: float
    images_shown: int
    loss_d: float
    membership_auroc: float
    recall: float | None = None


class Membership(Record):
    """Separation of training images from validation images by the discriminator.

    Attributes:
        auroc: AUROC of its logits; 0.5 where it cannot.
        n_training: Number of training images.
        n_validation: Number of validation images.
    """

    auroc: float
    n_training: int
    n_validation: int


class GeneratorMetrics(_Labelled):
    """The training of one generator.

    Attributes:
        label: Class of its images.
        training_images: Number of different real images.
        images_shown: Number of real images shown, repeats included.
        seconds: Time of training, interrupted calls included.
        images_per_second: Speed of training.
        selected: The snapshot that was exported; None: the last weights were.
        stop_reason: Why training ended early; None where it did not.
        membership: Privacy of the exported snapshot; None where nothing was evaluated.
        folder: Path of the generator; only in the result of the command.
    """

    training_images: int
    images_shown: int
    seconds: float
    images_per_second: float
    selected: Snapshot | None
    stop_reason: str | None
    membership: Membership | None = None
    folder: str | None = None


class GanTrainMetrics(Record):
    """The result of `balancer gan-train`: its generators by class.

    Attributes:
        classes: Generators that were trained.
        planned_minutes: With --dry-run, the estimate for each class instead.
        one_network: With --dry-run, True if one network learns them all.
    """

    classes: dict[str, GeneratorMetrics]
    planned_minutes: dict[str, float] = Field(default_factory=dict)
    one_network: bool = False


class PlanRow(_Labelled):
    """The plan for one class.

    Attributes:
        label: The class.
        real: Number of real training images.
        target: Number of training images that the ratio asks for.
        to_make: Number of synthetic images to make.
        total: Number of training images afterwards.
    """

    real: int
    target: int
    to_make: int
    total: int

    @classmethod
    def of(cls, plan: ClassPlan) -> "PlanRow":
        """Record a plan."""
        return cls(
            label=plan.label,
            real=plan.real,
            target=plan.target,
            to_make=plan.to_make,
            total=plan.total,
        )


class ScreeningCounts(Record):
    """The screen's decisions on the images of one class.

    Attributes:
        made: Number of images made.
        accepted: Number of images accepted.
        keep_rate: The latter over the former.
        rejected: Number of images rejected, by reason.
    """

    made: int
    accepted: int
    keep_rate: float
    rejected: dict[str, int]


class GeneratorCard(Record):
    """The part of `generator.json` that a report shows; other fields are kept as they are.

    Attributes:
        training_ids: Content hashes of the training images; None where they were not recorded.
        images_shown: Number of real images shown before these weights; None likewise.
    """

    model_config = ConfigDict(extra="allow")

    training_ids: tuple[str, ...] | None = None
    images_shown: int | None = None


class OutsideSource(Record):
    """A source of synthetic images that is not ours, as every result names it.

    Attributes:
        name: Its name.
        lineage: What is known of the images that it was made from.
        licence: Licence of its images; None: not given.
    """

    name: str
    lineage: Lineage
    licence: str | None = None

    @property
    def words(self) -> str:
        """The name with its lineage, for people."""
        return f"{self.name} (lineage {self.lineage})"


def bracketed(sources: Mapping[str, OutsideSource]) -> str:
    """Return sources by class in brackets, after a blank; empty where there are none."""
    named = [f"{label} by {source.words}" for label, source in sources.items()]
    return f" [{'; '.join(named)}]" if named else ""


class SynthesizeMetrics(Record):
    """The result of `balancer synthesize`.

    Attributes:
        ratio: Target ratio, `A:B`.
        plan: A row per class.
        made: Number of images made, rejected ones included; None: none were wanted.
        manifest: SHA-256 of `manifest.csv`.
        screening: Decisions of the screen, by class.
        outside: Sources from outside, by class.
    """

    ratio: str
    plan: tuple[PlanRow, ...]
    made: int | None = None
    manifest: str | None = None
    screening: dict[str, ScreeningCounts] = Field(default_factory=dict)
    outside: dict[str, OutsideSource] = Field(default_factory=dict)


class ClassLineage(Record):
    """Origin of the synthetic images of one class.

    Attributes:
        checkpoint: SHA-256 of the weights that drew them; None: no such file exists.
        training_ids: Content hashes of the real images that the source was made from; `unknown`
            where it does not name them.
        name: Name of a source from outside; None: one of ours.
        declared: Whether somebody says that it saw no validation or test image.
        licence: Licence of its images; None: not given.
    """

    checkpoint: str | None
    training_ids: TrainingIds
    name: str | None = None
    declared: bool = False
    licence: str | None = None

    @property
    def state(self) -> Lineage:
        """Knowledge of the images that the source was made from."""
        if self.training_ids != "unknown":
            return "known"
        return "declared" if self.declared else "unknown"

    @property
    def source(self) -> OutsideSource:
        """The name of a source from outside, with what has to stand beside it."""
        given = {"licence": self.licence} if self.licence else {}
        return OutsideSource(name=str(self.name), lineage=self.state, **given)


LINEAGE = TypeAdapter(dict[str, ClassLineage])
"""The content of `lineage.json`, by class."""
