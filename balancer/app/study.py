"""The ablation of a workspace on the page."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from balancer.ablation.records import AblateMetrics
from balancer.app.pictures import png_uri
from balancer.errors import BalancerError, sentence_of
from balancer.manifest import fingerprint
from balancer.report.blocks import Block, Figure, Paragraph
from balancer.report.records import Study
from balancer.report.sections.arms import arms_section
from balancer.report.summary import ReportMetrics
from balancer.results import StageResult, read_result
from balancer.workspace import Workspace

_CAPTIONS = {
    "forest": "Difference of each arm to real images alone, and to as many repeated real images, "
    "with its 95 % interval; shaded: differences that count as none.",
    "variance": "Every run; runs of one split and seed are joined.",
    "roc": "ROC curves.",
    "precision-recall": "Precision and recall.",
    "balance": "Training images of each class in each arm.",
    "calibration": "Distance of probabilities from frequencies.",
    "reliability": "Predicted probabilities against frequencies.",
    "confusion": "Confusion of the classes.",
}
"""Pictures that `balancer report` draws of an ablation, in the order of the page."""
_SHRINK = 1.4
"""Pixels of a picture per pixel of the page."""


@dataclass(frozen=True, slots=True)
class StudyView:
    """The content of the page.

    Attributes:
        word: The verdict in a word; empty if there is none.
        sentence: The verdict, or why there is none.
        blocks: Tables and texts.
        pictures: Figures of the report.
        images: Name of a figure to its address and size.
        note: Note on the pictures.
    """

    word: str
    sentence: str
    blocks: Sequence[Block] = ()
    pictures: Sequence[Figure] = ()
    images: Mapping[str, Mapping[str, str | int]] | None = None
    note: str = ""


def view_study(workspace: Workspace, index_hash: str | None) -> StudyView:
    """Read the ablation of a workspace, if there is one of the current index."""
    try:
        result = read_result(workspace.ablation_dir, AblateMetrics)
    except BalancerError as error:
        return StudyView("", sentence_of(error))
    if result is None:
        return StudyView(
            "",
            f"There is no ablation in {workspace.root} yet: `balancer ablate` makes one, and "
            "`balancer ablate --dry-run` estimates its duration.",
        )
    if index_hash is None:
        return StudyView(
            "",
            f"There is no index.csv in {workspace.root} to compare the ablation with; run "
            "`balancer prepare` on the same images again.",
        )
    if result.inputs.get("index") != index_hash:
        return StudyView(
            "",
            "The ablation is of other images or splits than the current index.csv; run `balancer "
            "ablate --force`.",
        )
    return _view(workspace, result)


def _view(workspace: Workspace, result: StageResult[AblateMetrics]) -> StudyView:
    study = Study(result.metrics)
    verdict, control = result.metrics.verdict, result.metrics.control
    blocks: list[Block] = [Paragraph(control.sentence, "strong")] if control else []
    blocks += arms_section(study).blocks
    report = _report(workspace.report_dir)
    record = (workspace.ablation_dir / "result.json").read_bytes()
    is_fresh = report is not None and report.inputs.get("ablation") == fingerprint(record)
    names = [name for name in _CAPTIONS if (workspace.report_dir / f"{name}.png").is_file()]
    return StudyView(
        word=verdict.word,
        sentence=verdict.sentence,
        blocks=blocks,
        pictures=[
            Figure(name, _CAPTIONS[name], _CAPTIONS[name], kind="wide")
            for name in (names if is_fresh else ())
        ],
        images={name: _image(workspace.report_dir / f"{name}.png") for name in names},
        note=""
        if is_fresh
        else "No plots of this ablation have been drawn yet: `balancer report` draws them.",
    )


def _report(directory: Path) -> StageResult[ReportMetrics] | None:
    try:
        return read_result(directory, ReportMetrics)
    except BalancerError:
        return None


def _image(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        width, height = (round(side / _SHRINK) for side in image.size)
    return {"uri": png_uri(content), "width": width, "height": height}
