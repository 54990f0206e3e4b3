"""All records that a report is written from, read once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from balancer.ablation.arm_records import ArmResult, Difference
from balancer.ablation.records import AblateMetrics, AskedQuestion, Design
from balancer.ablation.run_predictions import RunPredictions
from balancer.ablation.runs import REAL, Kind
from balancer.data.audit.content import Audit
from balancer.data.records import PrepareMetrics
from balancer.domains.domain import CHEST, Domain, domain_of
from balancer.drawing.numbers import titles_of
from balancer.drawing.wording import TITLES
from balancer.evaluation.ledger import LedgerSummary
from balancer.evaluation.readers import ReaderScores
from balancer.evaluation.records import (
    ClassifyMetrics,
    Comparison,
    EvaluateMetrics,
    UnitMetrics,
)
from balancer.explanation.records import ExplainMetrics
from balancer.lungs.records import LungApplyMetrics, LungTrainMetrics
from balancer.quality.records import QualityMetrics
from balancer.results import StageResult
from balancer.synthetic.records import GeneratorCard, GeneratorMetrics, SynthesizeMetrics

INDEX, AUDIT = "index/result.json", "index/audit.json"
ABLATION, QUALITY, SYNTHETIC = (
    "ablation/result.json",
    "quality/result.json",
    "synthetic/result.json",
)
EXPLAIN, LUNGS, LUNG_MODEL = "explain/result.json", "lungs/result.json", "lungs/model/result.json"
LEDGER, REPORT, TRAVEL = "runs/ledger", "report/report.json", "travel"
READERS = "readers"
_MOST_CURVES = 6


class Pictures(Protocol):
    """The pictures of a page."""

    @property
    def folder(self) -> Path:
        """Folder of the pictures."""

    def has_picture(self, name: str) -> bool:
        """Return whether a picture exists in the folder."""


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """A folder of pictures."""

    folder: Path

    def has_picture(self, name: str) -> bool:
        """Return whether a picture exists in the folder."""
        return (self.folder / f"{name}.png").is_file()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRecords:
    """Records of the stages, and the folder of the pictures.

    Attributes:
        index: `result.json` of `prepare`.
        audit: `audit.json` of `prepare`; None where there is none.
        ablation: `result.json` of `ablate`; None if it has not run.
        units: Predictions of its runs, per arm; those that still exist.
        unit: `result.json` of one of its runs; None without any.
        comparison: The comparison of the two classifiers; None without both.
        arms: `result.json` of both arms of `classify`; empty without both.
        synthetic: `result.json` of `synthesize`, if it has run.
        quality: `result.json` of `quality`, if it has run.
        fold: Name of the first split of the ablation whose images were measured; the names of its
            pictures begin with `split-`.
        fold_quality: `result.json` of `quality` for that split; None if there is none.
        outside_quality: Name of an arm from outside to the same record of its images in that split.
        generators: Class to `generator.json` of its generator.
        trainings: Class to `result.json` of `gan-train`.
        lungs: `result.json` of `lungs apply`, if it has run.
        lung_model: `result.json` of `lungs train`, if it has run.
        explain: `result.json` of `explain` for the images of this index, if it has run.
        external: Folder in the workspace to `result.json` of `evaluate`, of the classifiers in
            `arms`.
        travel: The study of travel of these images; None if there is none, and of its own page.
        ledger: Facts of the ledger of test reads; None where it is empty.
        readers: Scores of blinded readers; None without a reading.
        seed: Seed for the resampling.
        folder: Path to the pictures.
    """

    index: StageResult[PrepareMetrics]
    audit: Audit | None
    ablation: StageResult[AblateMetrics] | None
    units: Mapping[str, list[RunPredictions]]
    unit: StageResult[UnitMetrics] | None
    comparison: Comparison | None
    arms: Mapping[str, StageResult[ClassifyMetrics]]
    synthetic: StageResult[SynthesizeMetrics] | None
    quality: StageResult[QualityMetrics] | None
    fold: str | None
    fold_quality: StageResult[QualityMetrics] | None
    generators: Mapping[str, GeneratorCard]
    trainings: Mapping[str, StageResult[GeneratorMetrics]]
    lungs: StageResult[LungApplyMetrics] | None
    lung_model: StageResult[LungTrainMetrics] | None
    explain: StageResult[ExplainMetrics] | None
    external: Mapping[str, StageResult[EvaluateMetrics]]
    travel: AblateMetrics | None = None
    ledger: LedgerSummary | None
    readers: ReaderScores | None = None
    outside_quality: Mapping[str, StageResult[QualityMetrics]] = field(default_factory=dict)
    seed: int
    folder: Path

    @property
    def domain(self) -> Domain:
        """Kind of the images, for words."""
        return domain_of(str(self.index.setting("data.domain", CHEST)))

    def has_picture(self, name: str) -> bool:
        """Return whether a picture exists in the folder."""
        return PictureFolder(self.folder).has_picture(name)

    @property
    def study(self) -> "Study | None":
        """The ablation; None if it has not run."""
        return None if self.ablation is None else Study(self.ablation.metrics)

    @property
    def results(self) -> dict[str, StageResult[Any]]:
        """Results of the stages by their paths in the workspace, the main ones first."""
        found = {
            ABLATION: self.ablation,
            **{classify_file(arm): result for arm, result in self.arms.items()},
            QUALITY: self.quality,
            **{training_file(label): result for label, result in self.trainings.items()},
            SYNTHETIC: self.synthetic,
            LUNG_MODEL: self.lung_model,
            LUNGS: self.lungs,
            EXPLAIN: self.explain,
            **{evaluate_file(place): result for place, result in self.external.items()},
            INDEX: self.index,
        }
        return {name: result for name, result in found.items() if result is not None}

    @property
    def by_file(self) -> dict[str, BaseModel]:
        """All records by their paths in the workspace."""
        others: dict[str, BaseModel | None] = {
            **{f"gan/{label}/generator.json": card for label, card in self.generators.items()},
            AUDIT: self.audit,
            LEDGER: self.ledger,
            TRAVEL: self.travel,
            READERS: self.readers,
        }
        return {
            **self.results,
            **{name: record for name, record in others.items() if record is not None},
        }


def classify_file(arm: str) -> str:
    """Return the path of the result of `classify` in the workspace."""
    return f"classify/{arm}/result.json"


def training_file(label: str) -> str:
    """Return the path of the result of `gan-train` in the workspace."""
    return f"gan/{label}/result.json"


def evaluate_file(place: str) -> str:
    """Return the path of the result of `evaluate` in a folder of the workspace."""
    return f"{place}/result.json"


def file_content(record: BaseModel | None) -> dict[str, Any] | None:
    """Return a record as its file has it, JSON types; None for none."""
    if record is None:
        return None
    return record.model_dump(mode="json", by_alias=True, exclude_unset=True)


@dataclass(frozen=True, slots=True)
class Study:
    """An ablation as a report shows it.

    Attributes:
        metrics: Its results.
    """

    metrics: AblateMetrics

    @property
    def question(self) -> AskedQuestion:
        """The question of the headline."""
        return self.metrics.question

    @property
    def arms(self) -> Mapping[str, ArmResult]:
        """All arms in the order of the configuration."""
        return self.metrics.arms

    @property
    def design(self) -> Design | None:
        """Splits, sizes and counts; None where they were not recorded."""
        return self.metrics.design

    @property
    def primary(self) -> str:
        """Key of the metric that the verdicts are about."""
        return self.question.primary

    @property
    def title(self) -> str:
        """Name of that metric."""
        return self.titles.get(self.primary, self.question.primary_title)

    @property
    def titles(self) -> Mapping[str, str]:
        """Names of the metrics; of early versions those that they had."""
        keys = {key for arm in self.arms.values() for key in arm.metrics}
        return TITLES | titles_of(keys, len(self.question.class_names))

    @property
    def positive(self) -> int:
        """Number of the positive class."""
        return self.question.class_names.index(self.question.positive_class)

    @property
    def references(self) -> list[str]:
        """Arms that others are compared with, `real` first."""
        found: list[str] = []
        for arm in self.arms.values():
            found += [name for name in arm.against if name not in found]
        return sorted(found, key=lambda name: (name != REAL, name))

    def of_kind(self, kind: Kind) -> list[str]:
        """Return the names of the arms of a kind."""
        return [name for name, arm in self.arms.items() if arm.kind == kind]

    def repeated(self, arm: str) -> str | None:
        """Return the arm of as many repeated real images that an arm is compared with."""
        return next((name for name in self.arms[arm].against if name != REAL), None)

    def difference(
        self, arm: str, reference: str | None, key: str | None = None
    ) -> Difference | None:
        """Return arm minus reference in a metric, by default the primary; None: not compared."""
        tests = None if reference is None else self.arms[arm].against.get(reference)
        return None if tests is None else tests.metrics.get(key or self.primary)

    def with_curves(self) -> list[str]:
        """Return the arms whose curves are shown: references, and all with images of a GAN.

        At most six, since more cannot be distinguished; the others are in the tables.
        """
        gans = self.of_kind("gan")
        repeated = [name for name in map(self.repeated, gans) if name is not None]
        wanted = [*self.of_kind("reference"), *repeated, *gans]
        if not gans:
            wanted += self.references
        return [name for name in self.arms if name in wanted][:_MOST_CURVES]
