"""`balancer audit`: a longer look at a prepared index, with features, and a page with pictures."""

import csv
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from balancer.config import BalancerConfig
from balancer.data.audit.findings import Finding, count
from balancer.data.audit.text import refuse_findings
from balancer.data.index import Index, load_index
from balancer.errors import IntegrityError
from balancer.quality.extractors import LITE0_SIDE, load_extractor
from balancer.quality.features import features_of
from balancer.quality.look_alikes import LookAlike, look_alikes
from balancer.report.render.audit_page import pictures_of, render_audit
from balancer.results import UntypedResult, perform, standing_result
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

PAIRS_NAME = "same-film.csv"
_EXTRACTOR = "lite0"
_SURE = 0.75
"""Similarity from which on a pair in two splits counts: no two strangers measured are so alike."""


def run(
    config: BalancerConfig, workspace: Workspace, *, force: bool = False, strict: bool = False
) -> UntypedResult:
    """Search for duplicates in feature space, and show all findings of the audit.

    Writes `audit.json`, `audit.html` and `same-film.csv`, the pairs, one a line: what is left of
    them after a look can be kept in one split with `data.same_film`.

    Args:
        config: Nothing of it is used; the index knows how it was made.
        workspace: Reads `index/`; writes `audit/`.
        force: Search again whatever stands there.
        strict: Refuse findings that count, once all is written.

    Raises:
        MissingStage: There is no index.
        IntegrityError: The index was changed; or with `strict`, there is a finding.
        EnvironmentFault: The weights of the extractor are not on this machine.
    """
    index = load_index(workspace.index_dir)
    extractor = load_extractor(_EXTRACTOR)
    content = _content(workspace.index_dir / "audit.json")
    settings = {"extractor": _EXTRACTOR, "side": LITE0_SIDE}
    inputs = {
        "index": index.index_hash,
        "audit": hashlib.sha256(content).hexdigest(),
        "extractor": extractor.recipe["weights_sha256"],
    }
    directory = workspace.audit_dir

    def work(folder: Path) -> dict[str, Any]:
        images = index.image_set(LITE0_SIDE).pixels
        log.info("Comparing the features of %d images.", len(images))
        features = features_of(extractor, images, cache=workspace.feature_cache_dir)
        audit = _extended(json.loads(content), index, look_alikes(features))
        _write(folder, audit, index)
        return {
            "findings": {f["name"]: len(f["groups"]) for f in audit["findings"] if f["counts"]},
            "look_alikes": len(audit["look_alikes"]),
            "look_alikes_across_splits": sum(p["across_splits"] for p in audit["look_alikes"]),
        }

    result = standing_result(directory, settings=settings, inputs=inputs, force=force)
    if result is None:
        result = perform("audit", workspace, directory, settings=settings, inputs=inputs, work=work)
    log.info("Open %s in a browser.", directory / "audit.html")
    if strict:
        refuse_findings(directory)
    return result


def summary(result: UntypedResult) -> list[RenderableType]:
    """What the terminal shows of a result."""
    findings: dict[str, int] = result.metrics["findings"]
    if not findings:
        return ["Nothing was found that somebody should act on."]
    table = Table("finding", title="Findings", title_justify="left")
    table.add_column("number", justify="right")
    for name, number in findings.items():
        table.add_row(Text(name), str(number or "-"))
    return [table]


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        json.loads(content)["findings"]
    except (OSError, ValueError, KeyError, TypeError):
        raise IntegrityError(
            f"{path} should hold the audit of the index, but is missing, changed or of another "
            "version; run prepare again with --force."
        ) from None
    return content


def _extended(audit: dict[str, Any], index: Index, pairs: Sequence[LookAlike]) -> dict[str, Any]:
    known = {
        frozenset((one, other)) for paths in audit["clusters"] for one in paths for other in paths
    }
    told = [_pair(index, pair) for pair in pairs]
    told = [pair for pair in told if frozenset((pair["first"], pair["second"])) not in known]
    extended = audit | {"look_alikes": told}
    if told:
        extended["findings"] = [*audit["findings"], asdict(_finding(told))]
        shown = {path for pair in told for path in (pair["first"], pair["second"])}
        label_of = {record.path: record.label for record in index.records}
        extended["labels"] = audit["labels"] | {path: label_of[path] for path in sorted(shown)}
    return extended


def _pair(index: Index, pair: LookAlike) -> dict[str, Any]:
    first, second = index.records[pair.first], index.records[pair.second]
    return {
        "first": first.path,
        "second": second.path,
        "similarity": round(pair.similarity, 4),
        "across_classes": first.label != second.label,
        "across_splits": first.split != second.split,
        "one_group": first.group == second.group,
    }


def _finding(pairs: Sequence[Mapping[str, Any]]) -> Finding:
    apart = sum(pair["across_splits"] for pair in pairs)
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
        counts=any(pair["across_splits"] and pair["similarity"] >= _SURE for pair in pairs),
        groups=[[pair["first"], pair["second"]] for pair in pairs],
        captions=[
            f"similarity {pair['similarity']:.2f}"
            f"{', IN TWO SPLITS' if pair['across_splits'] else ''}"
            f"{', in two classes' if pair['across_classes'] else ''}"
            for pair in pairs
        ],
    )


def _write(folder: Path, audit: Mapping[str, Any], index: Index) -> None:
    text = json.dumps(audit, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "audit.json").write_text(text + "\n", encoding="utf-8")
    page = render_audit(audit, pictures_of(index.roots))
    (folder / "audit.html").write_text(page, encoding="utf-8")
    with (folder / PAIRS_NAME).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["first", "second"])
        writer.writerows([pair["first"], pair["second"]] for pair in audit["look_alikes"])
