"""Signs that a set was augmented before it was shared, looked for in the pass of `prepare`.

The whole search takes longer than `prepare` itself, so a sample is searched, and names are read;
`balancer audit` searches all images.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from balancer.data.audit.content import Audit, Finding
from balancer.data.audit.copy_families import copies_among
from balancer.data.audit.findings import count
from balancer.data.copies.grouping import clusters_of
from balancer.data.roots import Roots
from balancer.manifest import ImageRecord

_LARGEST, _SMALLEST, _ONE_IN = 48, 24, 4
"""Number of images of a sample, and the share of a set between these bounds."""
_RUN = 4
"""Number of neighbours by name that are drawn together: a copy often stands beside its original."""
_VOTES = 20
"""Least number of shared features; among few images, strangers share some too."""
_NAMED = 2
"""Least number of names that tell of an augmentation."""
_WORDS = re.compile(
    r"(?<![a-z])(aug|augmented|augmentation|rot|rotate|rotated|rotation|flip|flipped|[hv]flip"
    r"|mirror|mirrored|transposed|zoomed|sheared)(?![a-z])"
    r"|_original_.+_[0-9a-f]{8}-[0-9a-f]{4}-",  # as Augmentor names its images
    re.IGNORECASE,
)
_DATE = re.compile(r"\d{1,2}[-_ .]?aug[-_ .]?(19|20)?\d\d(?!\d)", re.IGNORECASE)

NEXT = "`balancer audit` searches all images and gives the command that keeps families together"


def with_augmentation(
    audit: Audit, records: Sequence[ImageRecord], roots: Roots, *, by_name: bool
) -> Audit:
    """Add a warning and a finding to an audit if the set looks augmented.

    Args:
        audit: Audit of the index.
        records: Images of the index.
        roots: Archives of the images, on this machine.
        by_name: Read names too; not after a table of families was given.

    Raises:
        IntegrityError: A file is missing, or its bytes are not those that were prepared.
    """
    drawn = sample(records)
    copies = copies_among(roots, drawn, least_votes=_VOTES)
    joined = clusters_of([(copy.first, copy.second) for copy in copies])
    families = sorted(sorted(drawn[place].path for place in places) for places in joined)
    named = [record.path for record in records if tells_of_augmentation(record)]
    named = named if by_name and len(named) >= _NAMED else []
    if not families and not named:
        return audit
    reasons = []
    if families:
        images = sum(len(paths) for paths in families)
        reasons.append(
            f"in a sample of {len(drawn)} of {count(len(records), 'image')}, {images} were turned, "
            "zoomed, framed or cropped from one another"
        )
    if named:
        reasons.append(
            f"{count(len(named), 'name')} of {len(records)} "
            f"{'tells' if len(named) == 1 else 'tell'} of an augmentation, such as {named[0]!r}"
        )
    sentence = (
        f"THE SET LOOKS AUGMENTED BEFORE IT WAS SHARED: {', and '.join(reasons)}; relatives in two "
        f"splits make every score too good, and {NEXT}."
    )
    groups = families or [[path] for path in named]
    finding = Finding(
        name="augmented-before-sharing",
        title="Augmented before sharing, probably",
        sentence=sentence,
        counts=True,
        groups=groups,
    )
    label_of = {record.path: record.label for record in records}
    shown = {path: label_of[path] for paths in groups for path in paths}
    return audit.model_copy(
        update={
            "warnings": [sentence, *audit.warnings],
            "findings": [finding, *audit.findings],
            "labels": {**audit.labels, **shown},
        }
    )


def sample(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Draw runs of neighbours by name, evenly over all records; the same ones each time."""
    size = min(_LARGEST, max(_SMALLEST, len(records) // _ONE_IN))
    if len(records) <= size:
        return list(records)
    runs = size // _RUN
    starts = [run * (len(records) - _RUN) // (runs - 1) for run in range(runs)]
    places = sorted({start + step for start in starts for step in range(_RUN)})
    return [records[place] for place in places]


def tells_of_augmentation(record: ImageRecord) -> bool:
    """Return whether the path of an image, without its class, has a word such as `rotated`."""
    parts = [part for part in PurePosixPath(record.path).parts if part != record.label]
    return any(_WORDS.search(_DATE.sub("", part)) for part in parts)
