"""`balancer audit`: search an index for duplicates by features, and write a page with pictures."""

import csv
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

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
from balancer.data.audit.findings import count
from balancer.data.audit.text import refuse_findings
from balancer.data.index import Index, load_index
from balancer.data.records import AuditMetrics
from balancer.errors import IntegrityError
from balancer.quality.extractors import LITE0_SIDE, load_extractor
from balancer.quality.features import features_of
from balancer.quality.look_alikes import LookAlike, look_alikes
from balancer.report.render.audit_page import pictures_of, render_audit
from balancer.results import StageResult, perform, standing_result
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

PAIRS_NAME = "same-film.csv"
_EXTRACTOR = "lite0"
_SURE = 0.75
"""Similarity at or above which a pair in two splits counts; no two strangers measured reach it."""


def run(
    config: BalancerConfig, workspace: Workspace, *, force: bool = False, strict: bool = False
) -> StageResult[AuditMetrics]:
    """Search for duplicates in feature space, and show all findings of the audit.

    Writes `audit.json`, `audit.html` and `same-film.csv`, a pair per line: those that you confirm
    can be kept in one split with `data.same_film`.

    Args:
        config: Not used: the index records how it was made.
        workspace: Reads `index/`; writes `audit/`.
        force: Replace an existing result.
        strict: Refuse findings that count, once all is written.

    Raises:
        MissingStage: There is no index.
        IntegrityError: The index was changed; or with `strict`, there is a finding.
        EnvironmentFault: The weights of the extractor are not on this machine.
    """
    index = load_index(workspace.index_dir)
    extractor = load_extractor(_EXTRACTOR)
    content, of_index = _read(workspace.index_dir)
    settings = {"extractor": _EXTRACTOR, "side": LITE0_SIDE}
    inputs = {
        "index": index.index_hash,
        "audit": hashlib.sha256(content).hexdigest(),
        "extractor": extractor.recipe["weights_sha256"],
    }
    directory = workspace.audit_dir

    def work(folder: Path) -> AuditMetrics:
        images = index.image_set(LITE0_SIDE).pixels
        log.info("Comparing the features of %d images.", len(images))
        features = features_of(extractor, images, cache=workspace.feature_cache_dir)
        audit = _extended(of_index, index, look_alikes(features))
        _write(folder, audit, index)
        return AuditMetrics(
            findings={f.name: len(f.groups) for f in audit.findings if f.counts},
            look_alikes=len(audit.look_alikes),
            look_alikes_across_splits=sum(pair.across_splits for pair in audit.look_alikes),
        )

    result = standing_result(directory, AuditMetrics, settings=settings, inputs=inputs, force=force)
    if result is None:
        result = perform("audit", workspace, directory, settings=settings, inputs=inputs, work=work)
    log.info("Open %s in a browser.", directory / "audit.html")
    if strict:
        refuse_findings(directory)
    return result


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


def _extended(audit: Audit, index: Index, alike: Sequence[LookAlike]) -> Audit:
    known = {
        frozenset((one, other)) for paths in audit.clusters for one in paths for other in paths
    }
    pairs = [_pair(index, pair) for pair in alike]
    pairs = [pair for pair in pairs if frozenset((pair.first, pair.second)) not in known]
    if not pairs:
        return audit.model_copy(update={"look_alikes": pairs})
    shown = {path for pair in pairs for path in (pair.first, pair.second)}
    label_of = {record.path: record.label for record in index.records}
    return audit.model_copy(
        update={
            "findings": [*audit.findings, _finding(pairs)],
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


def _finding(pairs: Sequence[LookAlikePair]) -> Finding:
    apart = sum(pair.across_splits for pair in pairs)
    splits = (
        f"; {apart} of them in different splits. Where they are one film or one patient, keep "
        f"their lines in {PAIRS_NAME} and pass it to balancer prepare --force --set "
        "data.same_film=FILE"
        if apart
        else ", each within one split"
    )
    return Finding(
        name="look-alikes",
        title="Alike in feature space",
        sentence=(
            f"{count(len(pairs), 'pair')} that a network takes for nearly the same film{splits}. "
            "An edited copy or another film of the same patient, as a rule; it is for you to tell."
        ),
        counts=any(pair.across_splits and pair.similarity >= _SURE for pair in pairs),
        groups=[[pair.first, pair.second] for pair in pairs],
        captions=[
            f"similarity {pair.similarity:.2f}"
            f"{', IN TWO SPLITS' if pair.across_splits else ''}"
            f"{', in two classes' if pair.across_classes else ''}"
            for pair in pairs
        ],
    )


def _write(folder: Path, audit: Audit, index: Index) -> None:
    (folder / AUDIT_NAME).write_text(audit_text(audit), encoding="utf-8")
    page = render_audit(audit, pictures_of(index.roots))
    (folder / "audit.html").write_text(page, encoding="utf-8")
    with (folder / PAIRS_NAME).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["first", "second"])
        writer.writerows([pair.first, pair.second] for pair in audit.look_alikes)
