"""All records that a report is written from, read once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from balancer.ablation.arm_records import ArmResult, Difference
from balancer.ablation.records import AblateMetrics, AskedQuestion, Design
from balancer.ablation.run_predictions import Floats, RunPredictions
from balancer.ablation.runs import REAL, Kind
from balancer.evaluation.records import Comparison

Json = Mapping[str, Any]
INDEX, AUDIT = "index/result.json", "index/audit.json"
ABLATION, QUALITY, SYNTHETIC = (
    "ablation/result.json",
    "quality/result.json",
    "synthetic/result.json",
)
EXPLAIN, LUNGS, LUNG_MODEL = "explain/result.json", "lungs/result.json", "lungs/model/result.json"
LEDGER, REPORT = "runs/ledger", "report/report.json"
_MOST_CURVES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRecords:
    """Records of the stages as JSON, and the folder of the pictures.

    Attributes:
        index: `result.json` of `prepare`.
        audit: `audit.json` of `prepare`.
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
        generators: Class to the provenance of its generator, `generator.json`.
        trainings: Class to `result.json` of `gan-train`.
        lungs: `result.json` of `lungs apply`, if it has run.
        lung_model: `result.json` of `lungs train`, if it has run.
        explain: `result.json` of `explain` for the images of this index, if it has run.
        external: Folder in the workspace to `result.json` of `evaluate`, of the classifiers in
            `arms`.
        ledger: Facts of the ledger of test reads; None where it is empty.
        seed: Seed for the resampling.
        folder: Path to the pictures.
    """

    index: Json
    audit: Json
    ablation: Json | None
    units: Mapping[str, list[RunPredictions]]
    unit: Json | None
    comparison: Comparison | None
    arms: Mapping[str, Json]
    synthetic: Json | None
    quality: Json | None
    fold: str | None
    fold_quality: Json | None
    generators: Mapping[str, Json]
    trainings: Mapping[str, Json]
    lungs: Json | None
    lung_model: Json | None
    explain: Json | None
    external: Mapping[str, Json]
    ledger: Json | None
    seed: int
    folder: Path

    def has_picture(self, name: str) -> bool:
        """Return whether a picture exists in the folder."""
        return (self.folder / f"{name}.png").is_file()

    @property
    def study(self) -> "Study | None":
        """The ablation; None if it has not run."""
        if self.ablation is None:
            return None
        return Study(AblateMetrics.model_validate(self.ablation["metrics"]))

    @property
    def by_file(self) -> dict[str, Json]:
        """The records by their paths in the workspace, the main results first."""
        found = {
            ABLATION: self.ablation,
            **{f"classify/{arm}/result.json": record for arm, record in self.arms.items()},
            QUALITY: self.quality,
            **{f"gan/{label}/result.json": record for label, record in self.trainings.items()},
            **{f"gan/{label}/generator.json": card for label, card in self.generators.items()},
            SYNTHETIC: self.synthetic,
            LUNG_MODEL: self.lung_model,
            LUNGS: self.lungs,
            EXPLAIN: self.explain,
            **{f"{place}/result.json": record for place, record in self.external.items()},
            INDEX: self.index,
            AUDIT: self.audit,
            LEDGER: self.ledger,
        }
        return {name: record for name, record in found.items() if record is not None}


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
        return self.question.primary_title

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

    @property
    def deployed(self) -> Floats:
        """Class shares to correct probabilities to, float64 (C,)."""
        prior = self.question.deployment_prior
        return np.array([prior[name] for name in self.question.class_names], np.float64)

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
