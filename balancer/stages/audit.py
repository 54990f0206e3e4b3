"""`balancer audit`: search an index for copies and look-alikes, and write a page with pictures."""

import csv
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from balancer.config import BalancerConfig
from balancer.data.audit.content import (
    AUDIT_NAME,
    Audit,
    Finding,
    LookAlikePair,
    audit_text,
    read_audit,
)
from balancer.data.audit.copy_families import (
    COPIES_NAME,
    CopyFamilies,
    find_families,
    finding_of,
    next_command,
    write_families,
)
from balancer.data.audit.findings import count
from balancer.data.audit.text import refuse_findings
from balancer.data.build import audit_of
from balancer.data.channels import decide_channels, decide_domain
from balancer.data.collection import Collection
from balancer.data.config import DataConfig
from balancer.data.copies.grouping import PAIR_COLUMNS
from balancer.data.index import Index, load_index
from balancer.data.records import AuditMetrics, PrepareMetrics
from balancer.errors import IntegrityError
from balancer.imaging.config import ImageRecipe
from balancer.quality.extractors import LITE0_SIDE, load_extractor
from balancer.quality.features import Features, features_of
from balancer.quality.look_alikes import LookAlike, look_alikes
from balancer.quality.suspect_labels import DoubtfulLabel, out_of_fold_probabilities, rank_labels
from balancer.report.render.audit_page import pictures_of, render_audit
from balancer.results import MissingStage, StageResult, perform, read_result, standing_result
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

PAIRS_NAME = "same-film.csv"
LABELS_NAME = "labels.csv"
_PAGE = "audit.html"
_EXTRACTOR = "lite0"
_SURE = 0.75
"""Similarity at or above which a pair in two splits counts; no two strangers measured reach it."""


def run(
    config: BalancerConfig, workspace: Workspace, *, force: bool = False, strict: bool = False
) -> StageResult[AuditMetrics]:
    """Search for transformed copies and in feature space, and show all findings of the audit.

    Writes `audit.json`, `audit.html`, and two tables for `data.same_film` with a pair per line:
    `copies.csv` holds turned, zoomed, framed and cropped copies, `same-film.csv` these and pairs
    alike in feature space, which you confirm first. `labels.csv` ranks all images by the doubt in
    their labels.

    Args:
        config: Not used: the index records how it was made.
        workspace: Reads `index/`; writes `audit/`.
        force: Replace an existing result.
        strict: Refuse findings that count, once all is written.

    Raises:
        MissingStage: There is no index.
        IntegrityError: The index or an image was changed; or with `strict`, there is a finding.
        EnvironmentFault: The weights of the extractor are not on this machine.
    """
    index = load_index(workspace.index_dir)
    extractor = load_extractor(_EXTRACTOR)
    content, of_index = _read(workspace.index_dir)
    settings = {"extractor": _EXTRACTOR, "side": LITE0_SIDE, "transformed_copies": True}
    settings["labels"] = True
    inputs = {
        "index": index.index_hash,
        "audit": hashlib.sha256(content).hexdigest(),
        "extractor": extractor.recipe["weights_sha256"],
    }
    directory = workspace.audit_dir
    prepared = _prepared(workspace)

    def work(folder: Path) -> AuditMetrics:
        images = index.image_set(LITE0_SIDE).pixels
        log.info("Comparing the features of %d images.", len(images))
        features = features_of(extractor, images, cache=workspace.feature_cache_dir)
        log.info("Registering turned, zoomed, framed and cropped copies.")
        families = find_families(index)
        command = next_command(prepared, workspace) if families.pairs else ""
        audit = _with_families(of_index, index, families, command)
        audit = _extended(audit, index, look_alikes(features), families.families)
        doubts = _doubts(features, index)
        suspects = [doubt for doubt in doubts if doubt.is_suspect]
        audit = _with_suspects(audit, index, suspects)
        _write(folder, audit, index)
        _write_labels(folder / LABELS_NAME, doubts, index)
        write_families(folder / COPIES_NAME, families, index, prepared)
        return AuditMetrics(
            findings={f.name: len(f.groups) for f in audit.findings if f.counts},
            look_alikes=len(audit.look_alikes),
            look_alikes_across_splits=sum(pair.across_splits for pair in audit.look_alikes),
            copy_families=len(families.families),
            suspect_labels=len(suspects),
            test_images=families.test,
            test_images_with_relatives=families.leaking,
            next_command=command if any(pair.across_splits for pair in families.pairs) else "",
        )

    result = standing_result(
        directory,
        AuditMetrics,
        settings=settings,
        inputs=inputs,
        force=force,
        files=[AUDIT_NAME, _PAGE, COPIES_NAME, PAIRS_NAME, LABELS_NAME],
    )
    if result is None:
        result = perform("audit", workspace, directory, settings=settings, inputs=inputs, work=work)
    log.info("Open %s in a browser.", directory / _PAGE)
    if result.metrics.next_command:  # in the log, which breaks no line of a command
        log.warning(
            "%d of %d test images have a turned, zoomed, framed or cropped copy in training. Keep "
            "each family in one split with\n    %s",
            result.metrics.test_images_with_relatives,
            result.metrics.test_images,
            result.metrics.next_command,
        )
    if strict:
        refuse_findings(directory)
    return result


def examine(side: Collection, data: DataConfig, directory: Path) -> tuple[Audit, str]:
    """Audit images that are in no workspace, with every search of the command.

    Args:
        side: The images.
        data: Limits of a usable image, and their kind.
        directory: Folder for decoded pixels and features.

    Returns:
        The audit, and its page.

    Raises:
        EnvironmentFault: The weights of the extractor are not on this machine.
    """
    scan = side.as_scan()
    channels = decide_channels(data, side.roots, scan.images)
    decided = data.model_copy(
        update={"domain": decide_domain(data, side.roots, scan, channels), "channels": channels}
    )
    audit, records = audit_of(scan, side.images, side.unusable, decided)
    recipe = ImageRecipe.model_validate({"channels": channels})
    index = Index(records, "", side.roots, directory, recipe)
    features = features_of(
        load_extractor(_EXTRACTOR), index.image_set(LITE0_SIDE).pixels, cache=directory / "features"
    )
    families = find_families(index)
    audit = _with_families(audit, index, families, "")
    audit = _extended(audit, index, look_alikes(features), families.families)
    if len(index.classes) > 1:
        suspects = [doubt for doubt in _doubts(features, index) if doubt.is_suspect]
        audit = _with_suspects(audit, index, suspects)
    return audit, render_audit(audit, pictures_of(index.roots))


def summary(result: StageResult[AuditMetrics]) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    findings = result.metrics.findings
    if not findings:
        return ["Nothing was found that needs action."]
    table = Table("finding", title="Findings", title_justify="left")
    table.add_column("number", justify="right")
    for name, number in findings.items():
        table.add_row(Text(name), str(number or "-"))
    return [table]


def _prepared(workspace: Workspace) -> StageResult[PrepareMetrics]:
    result = read_result(workspace.index_dir, PrepareMetrics)
    if result is None:
        raise MissingStage("prepare", f"There is no index in {workspace.index_dir}.", cheap=True)
    return result


def _read(index_dir: Path) -> tuple[bytes, Audit]:
    """Return the bytes and the content of the audit of an index.

    Raises:
        IntegrityError: It is missing, was changed or is of another version.
    """
    audit = read_audit(index_dir)
    if audit.statistics is None:
        raise IntegrityError(
            f"{index_dir / AUDIT_NAME} should hold statistics by class, but is of an older "
            "version; run prepare again with --force."
        )
    return (index_dir / AUDIT_NAME).read_bytes(), audit


def _with_families(audit: Audit, index: Index, found: CopyFamilies, command: str) -> Audit:
    if not found.pairs:
        return audit
    label_of = {record.path: record.label for record in index.records}
    shown = {path: label_of[path] for paths in found.families for path in paths}
    return audit.model_copy(
        update={
            # The whole search takes the place of the sample.
            "findings": [
                finding_of(found, command, is_split=bool(audit.splits)),
                *(one for one in audit.findings if one.name != "augmented-before-sharing"),
            ],
            "labels": {**audit.labels, **shown},
            "transformed": found.pairs,
        }
    )


def _extended(
    audit: Audit, index: Index, alike: Sequence[LookAlike], families: Sequence[Sequence[str]]
) -> Audit:
    known = {
        frozenset((one, other)) for paths in audit.clusters for one in paths for other in paths
    }
    family = {path: number for number, paths in enumerate(families) for path in paths}
    pairs = [_pair(index, pair) for pair in alike]
    pairs = [
        pair
        for pair in pairs
        if frozenset((pair.first, pair.second)) not in known
        and (pair.first not in family or family[pair.first] != family.get(pair.second))
    ]
    if not pairs:
        return audit.model_copy(update={"look_alikes": pairs})
    shown = {path for pair in pairs for path in (pair.first, pair.second)}
    label_of = {record.path: record.label for record in index.records}
    return audit.model_copy(
        update={
            "findings": [*audit.findings, _finding(pairs, audit)],
            "labels": {**audit.labels, **{path: label_of[path] for path in sorted(shown)}},
            "look_alikes": pairs,
        }
    )


def _pair(index: Index, pair: LookAlike) -> LookAlikePair:
    first, second = index.records[pair.first], index.records[pair.second]
    return LookAlikePair(
        first=first.path,
        second=second.path,
        similarity=round(pair.similarity, 4),
        across_classes=first.label != second.label,
        across_splits=first.split != second.split,
        one_group=first.group == second.group,
    )


def _finding(pairs: Sequence[LookAlikePair], audit: Audit) -> Finding:
    domain = audit.kind
    apart = sum(pair.across_splits for pair in pairs)
    splits = (
        f"; {apart} of them in different splits. Where they are one {domain.image} or one patient, "
        f"keep their lines in {PAIRS_NAME} and pass it to balancer prepare --force --set "
        "data.same_film=FILE"
        if apart
        else ", each within one split"
        if audit.splits
        else ""
    )
    return Finding(
        name="look-alikes",
        title="Alike in feature space",
        sentence=(
            f"{count(len(pairs), 'pair')} that a network takes for nearly the same {domain.image}"
            f"{splits}. An edited copy or another {domain.image} of the same patient, as a rule; "
            "it is for you to tell."
        ),
        counts=any(
            (pair.across_splits or not audit.splits) and pair.similarity >= _SURE for pair in pairs
        ),
        groups=[[pair.first, pair.second] for pair in pairs],
        captions=[
            f"similarity {pair.similarity:.2f}"
            f"{', IN TWO SPLITS' if pair.across_splits else ''}"
            f"{', in two classes' if pair.across_classes else ''}"
            for pair in pairs
        ],
    )


def _doubts(features: Features, index: Index) -> list[DoubtfulLabel]:
    """Rank the labels of all images; nothing where a class has a single group."""
    labels = np.array([index.classes.index(record.label) for record in index.records], np.int64)
    groups = [record.group for record in index.records]
    log.info("Predicting each image from the images of other groups.")
    probabilities = out_of_fold_probabilities(features, labels, groups)
    if probabilities is None:
        log.warning("Labels were not ranked: a class has fewer than two groups of images.")
        return []
    return rank_labels(probabilities, labels)


def _with_suspects(audit: Audit, index: Index, suspects: Sequence[DoubtfulLabel]) -> Audit:
    if not suspects:
        return audit
    records, classes = index.records, index.classes
    ranked = f"; all are ranked in {LABELS_NAME}" if audit.splits else ""
    advice = (
        " Correct labels of all splits by the same rule, then prepare again."
        if audit.splits
        else ""
    )
    finding = Finding(
        name="suspect-labels",
        title="Labels that the other images contradict",
        sentence=(
            f"{count(len(suspects), 'image')} that a model of the other images takes for another "
            f"class, the least probable label first{ranked}. A wrong label, or a rare look of its "
            f"class: it is for you to tell.{advice}"
        ),
        counts=False,
        groups=[[records[doubt.row].path] for doubt in suspects],
        captions=[
            f"{records[doubt.row].label} {doubt.own_probability:.2f}, "
            f"{classes[doubt.likely]} {doubt.likely_probability:.2f}"
            for doubt in suspects
        ],
    )
    shown = {records[doubt.row].path: records[doubt.row].label for doubt in suspects}
    return audit.model_copy(
        update={"findings": [*audit.findings, finding], "labels": {**audit.labels, **shown}}
    )


def _write_labels(path: Path, doubts: Sequence[DoubtfulLabel], index: Index) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label", "p_label", "likely", "p_likely", "suspect"])
        for doubt in doubts:
            record = index.records[doubt.row]
            own, other = f"{doubt.own_probability:.4f}", f"{doubt.likely_probability:.4f}"
            suspect = "yes" if doubt.is_suspect else "no"
            writer.writerow(
                [record.path, record.label, own, index.classes[doubt.likely], other, suspect]
            )


def _write(folder: Path, audit: Audit, index: Index) -> None:
    (folder / AUDIT_NAME).write_text(audit_text(audit), encoding="utf-8")
    page = render_audit(audit, pictures_of(index.roots))
    (folder / _PAGE).write_text(page, encoding="utf-8")
    with (folder / PAIRS_NAME).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(PAIR_COLUMNS)
        writer.writerows([pair.first, pair.second] for pair in audit.transformed)
        writer.writerows([pair.first, pair.second] for pair in audit.look_alikes)
