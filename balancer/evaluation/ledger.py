"""The ledger: each read of test images, noted before it happens and never removed."""

import csv
import io
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field

from balancer.errors import IntegrityError
from balancer.files import parse_json, replacing
from balancer.manifest import fingerprint
from balancer.results import Record

TEST, EXPLAIN = "test", "explain"
INDEX_FOLD = "index"
"""Name of the fold of classifiers on the split of the workspace; other folds are an ablation's."""
QUICK = "quick:"
"""Prefix of reads by the quick study, which has splits of its own."""
EXTERNAL = "external:"
"""Prefix of reads of another data set, before its name."""
COPIES = "copies:"
"""Prefix of searches for copies of validation and test images, before the name of the source."""


@dataclass(frozen=True, slots=True)
class Read:
    """One classifier's read of one set of test images.

    Attributes:
        time: UTC, ISO 8601.
        what: `test`, `explain` for maps of test images, `quick:` and the kind of features for a
            study on frozen features, `external:` and the name of another data set, or `copies:`
            and the name of a source whose images were searched for copies.
        fold: Name of the classifier's fold; `index` for the split of the workspace.
        seed: Seed of the classifier.
        arm: Name of the classifier's arm.
        images: Number of images.
        images_sha256: Fingerprint of their ids, in order.
        protocol: Hash of the newest entry of the ablation's protocol; empty without one.
    """

    time: str
    what: str
    fold: str
    seed: int
    arm: str
    images: int
    images_sha256: str
    protocol: str = ""


class LedgerSummary(Record):
    """Number of times that test images were read.

    Attributes:
        reads: Number of reads of test splits.
        runs: Number of classifiers that read one.
        most_reads_of_a_case_per_arm_and_seed: Greatest number of reads by one classifier.
        read_again: Number of reads of each classifier with more than one.
        explained: Number of reads by `balancer explain` for each model.
        reads_elsewhere: Number of reads of each other data set.
        quick: Number of reads of its own test splits by the quick study.
        copies: Number of searches of each source from outside for copies of held-out images.
        sentence: The same for readers.
    """

    reads: int
    runs: int
    most_reads_of_a_case_per_arm_and_seed: int
    read_again: dict[str, int]
    explained: dict[str, int] = Field(default_factory=dict)
    reads_elsewhere: dict[str, int] = Field(default_factory=dict)
    sentence: str
    quick: int = 0
    copies: dict[str, int] = Field(default_factory=dict)


def note_read(
    directory: Path,
    *,
    what: str,
    fold: str,
    seed: int,
    arm: str,
    images: int,
    images_sha256: str,
    protocol: str = "",
) -> None:
    """Note a read, in a file of its own, so that several machines can write at once.

    Raises:
        OSError: The entry cannot be written; the images must not be read then.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    read = asdict(Read(now, what, fold, seed, arm, images, images_sha256, protocol))
    if not protocol:
        del read["protocol"]
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{now.replace(':', '')}-{uuid.uuid4().hex[:12]}.json"
    with replacing(path) as partial:
        partial.write_text(json.dumps(read) + "\n", encoding="utf-8")


def note_search(
    directory: Path,
    *,
    source: str,
    fold: str,
    seed: int,
    arm: str,
    image_ids: Sequence[str],
    protocol: str = "",
) -> None:
    """Note that images from outside are searched for copies of held-out images.

    Raises:
        OSError: The entry cannot be written; the images must not be searched then.
    """
    note_read(
        directory,
        what=f"{COPIES}{source}",
        fold=fold,
        seed=seed,
        arm=arm,
        images=len(image_ids),
        images_sha256=fingerprint_of_images(image_ids),
        protocol=protocol,
    )


def read_ledger(directory: Path) -> list[Read]:
    """Return all reads, by time.

    Raises:
        IntegrityError: An entry is damaged.
    """
    reads = []
    for path in sorted(directory.glob("*.json")):
        try:
            reads.append(Read(**parse_json(path.read_bytes())))
        except (ValueError, TypeError) as error:
            raise IntegrityError(
                f"{path} should be an entry of the ledger of test reads, but: {error}; restore it."
            ) from None
    return reads


def n_reads(directory: Path, *, arm: str, images_sha256: str) -> int:
    """Count the tests of classifiers of an arm on exactly these images.

    Raises:
        IntegrityError: An entry is damaged.
    """
    return sum(
        (read.what, read.arm, read.images_sha256) == (TEST, arm, images_sha256)
        for read in read_ledger(directory)
    )


def of_ablation(reads: Iterable[Read]) -> list[Read]:
    """Return the reads of test splits by classifiers of an ablation."""
    return [read for read in reads if read.what == TEST and read.fold != INDEX_FOLD]


def fingerprint_of_images(image_ids: Iterable[str]) -> str:
    """Return the SHA-256 of image ids in their order."""
    return fingerprint("\n".join(image_ids).encode())


def ledger_table(reads: Sequence[Read]) -> str:
    """Return the ledger as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Read.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(read) for read in reads)
    return text.getvalue()


def ledger_summary(reads: Sequence[Read]) -> LedgerSummary:
    """Count how often each classifier read its test images."""
    of_test = [read for read in reads if read.what == TEST]
    times = Counter((read.fold, read.seed, read.arm) for read in of_test)
    again = {f"{arm}, {fold}, seed {seed}": n for (fold, seed, arm), n in times.items() if n > 1}
    explained = Counter(read.arm for read in reads if read.what == EXPLAIN)
    elsewhere = Counter(
        read.what.partition(":")[2]
        for read in reads
        if read.what not in (TEST, EXPLAIN) and not read.what.startswith((QUICK, COPIES))
    )
    copies = Counter(
        read.what.removeprefix(COPIES) for read in reads if read.what.startswith(COPIES)
    )
    quick = sum(read.what.startswith(QUICK) for read in reads)
    sentence = f"{len(of_test)} reads of test splits by {len(times)} classifiers"
    if again:
        worst = ", ".join(f"{name} ({n})" for name, n in list(again.items())[:5])
        sentence += (
            f"; trained and tested more than once, {len(again)} of them: {worst}. What was "
            "chosen after the first look is no longer untouched by the test images."
        )
    else:
        sentence += ": each test case once per classifier."
    if explained:
        sentence += f" Maps of test images by `balancer explain`: {_counts(explained)}."
    if elsewhere:
        sentence += f" Reads of other data sets: {_counts(elsewhere)}."
    if quick:
        sentence += f" Reads by quick studies on frozen features, on their own splits: {quick}."
    if copies:
        sentence += (
            f" Searches for copies of validation and test images among images from outside: "
            f"{_counts(copies)}."
        )
    summary = LedgerSummary(
        reads=len(of_test),
        runs=len(times),
        most_reads_of_a_case_per_arm_and_seed=max(times.values(), default=0),
        read_again=again,
        explained=dict(sorted(explained.items())),
        reads_elsewhere=dict(sorted(elsewhere.items())),
        sentence=sentence,
    )
    more = {"quick": quick} if quick else {}
    found = {"copies": dict(sorted(copies.items()))} if copies else {}
    return summary.model_copy(update=more | found) if more or found else summary


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
