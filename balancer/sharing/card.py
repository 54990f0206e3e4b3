"""The parts that every model card has: the head that hubs read, the data, and the limits."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from balancer.data.audit.content import Audit
from balancer.data.layouts.recognition import layouts_of
from balancer.data.records import CLUSTER, PATIENT, PrepareMetrics
from balancer.domains.domain import Domain
from balancer.drawing.wording import listing
from balancer.report.blocks import Answer, Block, Bullets, Paragraph, Report, Section, Table
from balancer.report.render.markdown import render_markdown
from balancer.results import StageResult

NOT_A_DEVICE = (
    "For research. It is no medical device: nobody has tested it in the care of patients, and no "
    "finding of a patient may rest on it."
)
_SPLITS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The images of a workspace, as a card tells of them.

    Attributes:
        index: `result.json` of `prepare`.
        audit: `audit.json`; None where there is none.
        domain: Kind of the images.
    """

    index: StageResult[PrepareMetrics]
    audit: Audit | None
    domain: Domain


def render_card(head: Mapping[str, Any], answer: Answer, sections: Sequence[Section]) -> str:
    """Return a card: the head between two lines of dashes, then Markdown.

    Args:
        head: Fields of the head; each is written as JSON, which YAML includes.
        answer: Title, sentence and limits.
        sections: The rest.
    """
    lines = [f"{key}: {json.dumps(value, ensure_ascii=True)}" for key, value in head.items()]
    return "\n".join(["---", *lines, "---", "", render_markdown(Report(answer, sections))])


def head_of(
    *, tags: Sequence[str], pipeline: str | None, licence: str | None, results: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields of a head in the words of Hugging Face; unknown ones are left out.

    Args:
        tags: Words to search for.
        pipeline: Task of the model in the words of the hub; None: it has none for it.
        licence: Licence of the model; None: nobody has chosen one.
        results: Entry of `model-index`; empty: there are no metrics.
    """
    return {
        **({"license": licence} if licence else {}),
        "library_name": "onnx",
        **({"pipeline_tag": pipeline} if pipeline else {}),
        "tags": ["medical-imaging", "onnx", "balancer", *tags],
        **({"model-index": [results]} if results else {}),
    }


def data_section(facts: DataFacts) -> Section:
    """Return the section on the images: where they are from, how many, and how they were split."""
    found = facts.index.metrics
    classes = sorted({label for counts in found.splits.values() for label in counts})
    rows = [
        [_SPLITS.get(split, split), *(str(counts.get(label, 0)) for label in classes)]
        for split, counts in found.splits.items()
    ]
    blocks: list[Block] = [
        Paragraph(" ".join(_sources(facts))),
        Table("Real images by split", ["split", *classes], rows),
        Paragraph(
            f"Split by {found.groups.kind}: {found.groups.number} groups, each in one split; the "
            f"largest has {found.groups.largest} images."
        ),
    ]
    if found.left_out:
        listed = [f"{label}: {one.images}" for label, one in found.left_out.items()]
        blocks.append(Paragraph(f"Images that were left out: {', '.join(listed)}."))
    return Section("data", "Data", blocks)


def limits_of_data(facts: DataFacts) -> Iterator[str]:
    """Yield what the images leave open."""
    found = facts.index.metrics
    if found.groups.kind not in (PATIENT, CLUSTER):
        yield (
            f"The patients are not known: the images of one {found.groups.kind} are in one split, "
            f"but two {found.groups.kind}s of one patient may be in two."
        )
    elif found.groups.kind != PATIENT:
        yield (
            "The patients are not known: images that look alike are kept in one split, but two "
            "images of one patient may be in two."
        )
    elif found.groups.images_without_patient:
        yield (
            f"The patient of {found.groups.images_without_patient} images is not known; they may "
            "have other images of theirs in another split."
        )
    if found.source_gives_class_away is None:
        yield "The sources of the images are not known, so they may give the class away."
    elif found.source_gives_class_away:
        yield "The source of an image gives its class away, and a model may have learnt the source."
    counted = [] if facts.audit is None else [one for one in facts.audit.findings if one.counts]
    for one in counted:
        yield f"The audit of the images found: {one.title} ({len(one.groups)})."
    yield "The model was not compared across age, sex or severity."


def licence_section(licence: str | None, facts: DataFacts) -> Section:
    """Return the section on what one may do with the model."""
    own = (
        f"The model is shared under {licence}."
        if licence
        else "Nobody has chosen a licence for the model; without one, ask its makers before use."
    )
    archives = layouts_of(facts.index.metrics.layout)
    of_data = [f"Licence of {one.title}: {one.licence}." for one in archives if one.licence]
    return Section("licence", "Licence", [Bullets([own, *of_data])])


def making_section(results: Mapping[str, StageResult[Any]]) -> Section:
    """Return the section on the commands and versions behind the model.

    Args:
        results: Result of each stage by its folder in the workspace.
    """
    rows = [[name, f"balancer {one.stage}", one.config_hash[:12]] for name, one in results.items()]
    versions = next(iter(results.values())).versions
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Section("making", "How it was made", [
        Table("Stages, and the hashes of their settings", ["folder", "command", "settings"], rows,
              text_columns=(1, 2)),
        Paragraph(f"Versions: {listed}."),
    ])  # fmt: skip


def _sources(facts: DataFacts) -> Iterator[str]:
    found = facts.index.metrics
    yield f"{found.images} {facts.domain.title}."
    for layout in layouts_of(found.layout):
        if layout.citation:
            yield f"Archive: {layout.title} ({layout.citation})."
    source = None if facts.audit is None else facts.audit.source
    if source is not None:
        yield f"Sources on record: {listing(list(source.table))}."
    else:
        yield "No record names the source of an image."
