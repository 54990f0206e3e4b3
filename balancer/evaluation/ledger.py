"""Every look at test images is written down before it is taken, and never struck out."""

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
from balancer.manifest import fingerprint
from balancer.results import Record

TEST, EXPLAIN = "test", "explain"


@dataclass(frozen=True, slots=True)
class Read:
    """One classifier's look at one set of test images.

    Attributes:
        time: UTC, ISO 8601.
        what: `test`, `explain` for maps of test images, or `external:` and the name of another
            data set.
        fold: Of the classifier; `index` for the split of the workspace.
        seed: Of the classifier.
        arm: Of the classifier.
        images: Number of images.
        images_sha256: Fingerprint of their ids, in order.
    """

    time: str
    what: str
    fold: str
    seed: int
    arm: str
    images: int
    images_sha256: str


class LedgerFacts(Record):
    """Counts of the reads in a ledger.

    Attributes:
        reads: Number of reads of test splits.
        runs: Number of classifiers that read one.
        most_reads_of_a_case_per_arm_and_seed: Largest number of reads by one classifier.
        read_again: Classifiers with more than one read, and how many.
        explained: Arm to the number of maps of test images by `explain`.
        reads_elsewhere: Name of another data set to the number of its reads.
        sentence: The same in words.
    """

    reads: int
    runs: int
    most_reads_of_a_case_per_arm_and_seed: int
    read_again: dict[str, int]
    explained: dict[str, int] = Field(default_factory=dict)
    reads_elsewhere: dict[str, int] = Field(default_factory=dict)
    sentence: str


def note_read(
    directory: Path, *, what: str, fold: str, seed: int, arm: str, images: int, images_sha256: str
) -> None:
    """Write a read down; a file of its own each, so that many machines may write at once.

    Raises:
        OSError: It cannot be written; the images must not be looked at then.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    read = Read(now, what, fold, seed, arm, images, images_sha256)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{now.replace(':', '')}-{uuid.uuid4().hex[:12]}.json"
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(asdict(read)) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_ledger(directory: Path) -> list[Read]:
    """All reads, by time.

    Raises:
        IntegrityError: An entry is damaged.
    """
    reads = []
    for path in sorted(directory.glob("*.json")):
        try:
            reads.append(Read(**json.loads(path.read_text(encoding="utf-8"))))
        except (ValueError, TypeError) as error:
            raise IntegrityError(
                f"{path} should be an entry of the ledger of test reads, but: {error}; restore it."
            ) from None
    return reads


def n_reads(directory: Path, *, arm: str, images_sha256: str) -> int:
    """How often classifiers of an arm were tested on these very images.

    Raises:
        IntegrityError: An entry is damaged.
    """
    return sum(
        (read.what, read.arm, read.images_sha256) == (TEST, arm, images_sha256)
        for read in read_ledger(directory)
    )


def fingerprint_of_images(image_ids: Iterable[str]) -> str:
    """SHA-256 of image ids in their order."""
    return fingerprint("\n".join(image_ids).encode())


def ledger_table(reads: Sequence[Read]) -> str:
    """The ledger as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Read.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(read) for read in reads)
    return text.getvalue()


def ledger_summary(reads: Sequence[Read]) -> LedgerFacts:
    """Count how often each classifier's test images were read."""
    of_test = [read for read in reads if read.what == TEST]
    times = Counter((read.fold, read.seed, read.arm) for read in of_test)
    most = max(times.values(), default=0)
    again = {f"{arm}, {fold}, seed {seed}": n for (fold, seed, arm), n in times.items() if n > 1}
    sentence = f"{len(of_test)} reads of test splits by {len(times)} classifiers"
    if again:
        worst = ", ".join(f"{name} ({n})" for name, n in list(again.items())[:5])
        sentence += (
            f"; trained and tested more than once, {len(again)} of them: {worst}. What was "
            "chosen after the first look is no longer untouched by the test images."
        )
    else:
        sentence += ": each test case once per classifier."
    explained = Counter(read.arm for read in reads if read.what == EXPLAIN)
    if explained:
        told = ", ".join(f"{arm} {n}" for arm, n in sorted(explained.items()))
        sentence += f" Maps of test images by `balancer explain`: {told}."
    elsewhere = Counter(
        read.what.partition(":")[2] for read in reads if read.what not in (TEST, EXPLAIN)
    )
    if elsewhere:
        told = ", ".join(f"{name} {n}" for name, n in sorted(elsewhere.items()))
        sentence += f" Reads of other data sets: {told}."
    return LedgerFacts(
        reads=len(of_test),
        runs=len(times),
        most_reads_of_a_case_per_arm_and_seed=most,
        read_again=again,
        explained=dict(sorted(explained.items())),
        reads_elsewhere=dict(sorted(elsewhere.items())),
        sentence=sentence,
    )
