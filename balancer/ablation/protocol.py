"""`runs/protocol.json`: the question of an ablation, written before a test image is read.

The file is a list of entries. The first registers the study; each later one adds what changed,
when, and how many test reads there were by then. Each entry has the SHA-256 of the one before and
of itself, and each read in the ledger has that of the newest entry, so an entry that is changed or
removed is noticed.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from balancer.errors import IntegrityError
from balancer.evaluation.ledger import (
    EXPLAIN,
    EXTERNAL,
    INDEX_FOLD,
    TEST,
    Read,
    of_ablation,
    read_ledger,
)
from balancer.files import parse_json, replacing
from balancer.manifest import fingerprint
from balancer.results import Record, installed_versions
from balancer.workspace import Workspace

_SHOWN = 6
"""Number of changes that a sentence lists."""
_RESULT = "*/*/*/result.json"


class RegisteredQuestion(Record):
    """The question of a study, every default filled in.

    Attributes:
        primary: Key of the metric that the verdicts are about.
        secondary: Keys of further metrics whose harm is reported in the answer.
        margin: Differences up to this size count as none.
        alpha: One-sided level of each claim.
        looks: Numbers of repeats of all planned looks; empty: one look.
        arms: Names of the arms, `real` first.
        resampling: `splits` or `folds`.
        repeats: Number of times that the images are split; None: one of `looks`.
        folds: Parts of a cross-validation; None of other splits.
        seeds: Number of trainings of each arm on each split.
        seed: Seed for everything random.
        split: Shares of the training, validation and test split.
        held_back_share: Share of the rare class that only the positive control gets.
        leave_source_out: Whether sources are left out too.
        positive_class: Name of the positive class.
        specificity: Operating point: sensitivity is given at this specificity.
        deployment_prior: Class shares where the classifier will be used.
        decision_threshold: Probability at which one would act; None: the share of the class.
        bootstrap_samples: Number of resamples of the groups.
        max_probe_auroc: AUROC of a probe without lungs from which nothing can be claimed.
        masks: Fingerprint of the lung masks; None without any.
        rare_images: Number of training images of the positive class that are used; None: all.
        verdict_on: Name of the data set whose images carry the verdict; None: the test splits.
        verdict_images: Fingerprint of its images; None without such a set.
        verdict_labels: Fingerprint of their classes and groups; None without such a set.
        outside: Arm from outside to its folder or command; None without such an arm.
    """

    primary: str
    secondary: tuple[str, ...]
    margin: float
    alpha: float
    looks: tuple[int, ...]
    arms: tuple[str, ...]
    resampling: str
    repeats: int | None
    folds: int | None
    seeds: int
    seed: int
    split: tuple[float, float, float]
    held_back_share: float
    leave_source_out: bool
    positive_class: str
    specificity: float
    deployment_prior: Mapping[str, float]
    decision_threshold: float | None
    bootstrap_samples: int
    max_probe_auroc: float
    masks: str | None
    rare_images: int | None = None
    verdict_on: str | None = None
    verdict_images: str | None = None
    verdict_labels: str | None = None
    outside: Mapping[str, str] | None = None


class StudiedData(Record):
    """The images of a study.

    Attributes:
        index: Fingerprint of the index, with its own split.
        content: Fingerprint of its images, labels, groups, sources and preprocessing.
        images: Class to number of images.
    """

    index: str
    content: str
    images: Mapping[str, int]


class Inquiry(Record):
    """All that a study asks, and how.

    Attributes:
        question: The question.
        data: The images.
        settings: Settings of the sections that an ablation depends on.
        recipe: SHA-256 of those on how images are generated and classifiers trained.
    """

    question: RegisteredQuestion
    data: StudiedData
    settings: Mapping[str, Any]
    recipe: str


class Change(Record):
    """One changed value."""

    key: str
    before: Any
    after: Any

    @property
    def text(self) -> str:
        """The change as `margin 0.01 -> 0.2`."""
        if self.key == "arms":
            more = [f"+{one}" for one in self.after if one not in self.before]
            less = [f"-{one}" for one in self.before if one not in self.after]
            if more or less:
                return f"arms {', '.join([*more, *less])}"
        return f"{self.key} {_short(self.before)} -> {_short(self.after)}"


class ProtocolEntry(Inquiry):
    """One entry of the protocol.

    Attributes:
        kind: `registration` of the first entry, `amendment` of all others.
        time: UTC, ISO 8601.
        previous: Hash of the entry before; None of the first.
        reads: Number of reads of test splits by classifiers of the ablation so far, and, by other
            commands, of the images that carry the verdict.
        other_reads: Number of reads of test splits by other commands so far.
        forced: Whether everything is trained and tested again.
        changes: Differences to the entry before.
        versions: Versions of Python and of the packages that decide the numbers.
        hash: SHA-256 of the canonical JSON of all other fields.
    """

    kind: Literal["registration", "amendment"]
    time: str
    previous: str | None
    reads: int
    other_reads: int
    forced: bool
    changes: tuple[Change, ...]
    versions: Mapping[str, str]
    hash: str


@dataclass(frozen=True, slots=True)
class Protocol:
    """All entries of a protocol, verified.

    Attributes:
        entries: At least one, by time.
    """

    entries: tuple[ProtocolEntry, ...]

    @property
    def hash(self) -> str:
        """Hash of the first entry: what to deposit."""
        return self.entries[0].hash

    @property
    def newest(self) -> ProtocolEntry:
        """The entry in force."""
        return self.entries[-1]

    @property
    def registered(self) -> ProtocolEntry | None:
        """The last entry before any test image was read; None if the first came too late."""
        return next((entry for entry in reversed(self.entries) if not entry.reads), None)


def canonical_hash(entry: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record as JSON without `hash`: keys sorted, no spaces, UTF-8."""
    rest = {key: value for key, value in entry.items() if key != "hash"}
    text = json.dumps(
        rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return fingerprint(text.encode())


def changes_between(before: Inquiry, after: Inquiry) -> tuple[Change, ...]:
    """List what differs: the question first, then the images, then all other settings.

    A setting that only one of the two has is one of another version, and is skipped.
    """
    old, new = (one.question.model_dump(mode="json") for one in (before, after))
    found = list(_differences(old, new))
    was, now = before.data.content, after.data.content
    if was != now:
        found.append(Change(key="images", before=was[:12], after=now[:12]))
    for change in _differences(before.settings, after.settings):
        section, _, rest = change.key.partition(".")
        in_question = section in ("ablation", "evaluation") and rest.partition(".")[0] in old
        if not in_question:
            found.append(change)
    return tuple(found)


def sentence_of_changes(changes: Sequence[Change]) -> str:
    """Return changes in words, separated by commas."""
    more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return ", ".join(change.text for change in changes[:_SHOWN]) + more


def read_protocol(workspace: Workspace) -> Protocol | None:
    """Read and verify the protocol; None if there is none.

    Raises:
        IntegrityError: It was changed, or a read in the ledger names an entry that is missing.
    """
    path = workspace.protocol_file
    entries = _entries(path)
    known = {entry.hash for entry in entries}
    strange = {read.protocol for read in read_ledger(workspace.ledger_dir) if read.protocol} - known
    if strange:
        raise IntegrityError(
            f"{path} should have the entry {min(strange)[:12]}, under which test images were read, "
            "but it is missing; restore the file, or start a study in another --workspace."
        )
    return Protocol(entries) if entries else None


def amend(
    workspace: Workspace, protocol: Protocol | None, inquiry: Inquiry, *, forced: bool = False
) -> Protocol:
    """Write the first entry, or add one if something changed since the newest.

    Args:
        workspace: The main workspace.
        protocol: The protocol so far.
        inquiry: The current question.
        forced: Everything is trained and tested again.

    Raises:
        OSError: The file cannot be written; no test image must be read then.
    """
    reads = read_ledger(workspace.ledger_dir)
    changes = () if protocol is None else changes_between(protocol.newest, inquiry)
    n_reads = looks_taken(workspace, reads, inquiry.question)
    if protocol is not None and not changes and not (forced and n_reads):
        return protocol
    entry: dict[str, Any] = {
        "kind": "registration" if protocol is None else "amendment",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "previous": None if protocol is None else protocol.newest.hash,
        "reads": n_reads,
        "other_reads": len([one for one in reads if one.what in (TEST, EXPLAIN)])
        - len(of_ablation(reads)),
        "forced": forced,
        "changes": [change.model_dump(mode="json") for change in changes],
        **inquiry.model_dump(mode="json"),
        "versions": installed_versions(),
    }
    entry["hash"] = canonical_hash(entry)
    raw = [*_raw(workspace.protocol_file), entry]
    path = workspace.protocol_file
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"entries": raw}, indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    return Protocol(_entries(path))


def looks_taken(workspace: Workspace, reads: Sequence[Read], question: RegisteredQuestion) -> int:
    """Count reads of test splits by the ablation; finished units count without one too.

    If another data set carries the verdict, the reads of it by other commands are added. Images of
    its name count as its images: the same folder could have had a few more of them.
    """
    units = list((workspace.root / "runs" / "units").glob(_RESULT))
    elsewhere = 0
    if question.verdict_on is not None:
        elsewhere = sum(
            read.fold == INDEX_FOLD
            and read.what.startswith(EXTERNAL)
            and (
                read.what == f"{EXTERNAL}{question.verdict_on}"
                or read.images_sha256 == question.verdict_images
            )
            for read in reads
        )
    return max(len(of_ablation(reads)), len(units)) + elsewhere


def newest_hash(workspace: Workspace) -> str:
    """Return the hash of the newest entry, for a read in the ledger.

    Raises:
        IntegrityError: There is no protocol, so no test image may be read.
    """
    raw = _raw(workspace.protocol_file)
    if not raw:
        raise IntegrityError(
            f"{workspace.protocol_file} should be written before a test image is read, but is "
            "missing; run `balancer ablate` again."
        )
    return str(raw[-1].get("hash", ""))


def _entries(path: Path) -> tuple[ProtocolEntry, ...]:
    entries: list[ProtocolEntry] = []
    for number, raw in enumerate(_raw(path), 1):
        previous = entries[-1].hash if entries else None
        if raw.get("hash") != canonical_hash(raw) or raw.get("previous") != previous:
            raise IntegrityError(
                f"{path}, entry {number}, was changed after it was written; restore the file, or "
                "start a study in another --workspace."
            )
        try:
            entries.append(ProtocolEntry.model_validate(raw))
        except ValidationError as error:
            raise IntegrityError(
                f"{path}, entry {number}, was written by another version "
                f"({error.errors()[0]['msg'].lower()}); use that version, or start a study in "
                "another --workspace."
            ) from None
    return tuple(entries)


def _raw(path: Path) -> list[dict[str, Any]]:
    try:
        found = parse_json(path.read_bytes())["entries"]
        if isinstance(found, list) and found and all(isinstance(one, dict) for one in found):
            return found
        raise ValueError("it has no entries")
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{path} should be the protocol of an ablation, but: {error}; restore it, or start a "
            "study in another --workspace."
        ) from None


def _differences(old: Any, new: Any, key: str = "") -> Iterator[Change]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in old:
            if name in new:
                yield from _differences(old[name], new[name], f"{key}.{name}" if key else name)
    elif old != new:
        yield Change(key=key, before=old, after=new)


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if re.fullmatch("[0-9a-f]{64}", text):
        return text[:12]
    return text if len(text) <= 60 else f"{text[:57]}..."
