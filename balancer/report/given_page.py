"""The page of `balancer.compare`: a study whose classifier was given from Python."""

import json
from collections.abc import Iterator
from pathlib import Path

from balancer.ablation.records import AblateMetrics
from balancer.report.blocks import Answer, Block, Bullets, Paragraph, Report, Section
from balancer.report.content import clean_texts, draw_arms
from balancer.report.records import PictureFolder, Study
from balancer.report.render.markdown import render_markdown
from balancer.report.render.page import render_page
from balancer.report.sections.answer import forest_figure, question_of_page, registration
from balancer.report.sections.arms import arms_section
from balancer.report.sections.spread import balance_section, variance_section
from balancer.report.sections.travel import RESEARCH_ONLY


def write_given_page(metrics: AblateMetrics, folder: Path) -> str:
    """Write `compare.html`, `compare.md`, `compare.json` and their pictures.

    Args:
        metrics: Results of the study.
        folder: Folder to write to.

    Returns:
        The page.
    """
    study, pictures = Study(metrics), PictureFolder(folder)
    draw_arms(folder, study)
    balance = balance_section(pictures, study)
    report: Report = clean_texts(
        Report(
            _answer(study, pictures),
            [
                arms_section(study),
                variance_section(pictures, study),
                *([] if balance is None else [balance]),
                Section(
                    "question", "The question, and every look at test images", [*_asked(study)]
                ),
            ],
        )
    )
    page = render_page(report, folder, name="compare")
    (folder / "compare.html").write_text(page, encoding="utf-8")
    (folder / "compare.md").write_text(render_markdown(report), encoding="utf-8")
    text = json.dumps(metrics.model_dump(mode="json", exclude_unset=True), indent=1)
    (folder / "compare.json").write_text(text + "\n", encoding="utf-8")
    return page


def _answer(study: Study, pictures: PictureFolder) -> Answer:
    verdict = study.metrics.verdict
    blocks: list[Block] = [*registration(study)]
    if pictures.has_picture("forest"):
        blocks.append(forest_figure(pictures, study))
    return Answer(
        question_of_page(study), verdict.word, verdict.sentence, blocks, [*_limits(study)]
    )


def _limits(study: Study) -> Iterator[str]:
    yield RESEARCH_ONLY
    yield (
        "The verdicts speak of new splits and new trainings of this classifier on such images, not "
        "of other classifiers or hospitals."
    )
    yield (
        f"Differences in {study.title} up to {study.question.margin:g} count as none; whether that "
        "is small for patients is not known here."
    )
    if study.of_kind("gan"):
        yield "The quality of the synthetic images was not measured: `balancer.judge` does that."
        yield (
            "A copy of a test image is refused, but a generator that saw test images can gain from "
            "them without copying one; that is why images of unknown lineage are not verified."
        )


def _asked(study: Study) -> Iterator[Block]:
    asked, design, ledger = study.question, study.design, study.metrics.ledger
    yield Bullets([
        f"Metric: {asked.primary_title} of {asked.positive_class}; margin {asked.margin:g}; "
        f"one-sided level {asked.alpha:g}.",
        *([] if design is None else [
            f"Classifier: {design.model}, on images of {design.image_size} px; {design.repeats} "
            f"splits, {design.seeds} trainings each.",
        ]),
        f"Arms: {', '.join(study.arms)}.",
    ])  # fmt: skip
    if ledger is not None:
        yield Paragraph(ledger.sentence)
