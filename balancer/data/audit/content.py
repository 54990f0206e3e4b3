"""Content of `audit.json`: its types, and how it is read and written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from balancer.data.audit.admission import Copy
from balancer.data.audit.association import Association
from balancer.data.records import GroupFacts, LeftOut
from balancer.data.scan import Unusable
from balancer.domains.domain import CHEST, Domain, domain_of
from balancer.errors import IntegrityError
from balancer.results import Record

AUDIT_NAME = "audit.json"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to act on, or to know.

    Attributes:
        name: Stable, for programs.
        title: For readers.
        sentence: Meaning of the finding.
        counts: Whether `--strict` ends with exit code 4 for it.
        groups: Paths, those that belong together in one list; empty where none shows it.
        captions: A few words on each group.
    """

    name: str
    title: str
    sentence: str
    counts: bool
    groups: Sequence[Sequence[str]] = ()
    captions: Sequence[str] = ()


class ClassFiles(Record):
    """Number of files, usable images, quarantined files and dropped copies of a class."""

    files: int
    usable: int
    quarantined: int
    copies: int


class NearDuplicatePair(Record):
    """Two images that show one film.

    Attributes:
        first: Path of one.
        second: Path of the other.
        across_classes: Whether their classes differ.
        distance: Distance of their fingerprints; an older version recorded it.
        flip: Mirroring of the second image; empty if none, or in an older version.
        cropped: Largest share of a side that one of them lacks.
        correlation: Similarity of what both show.
    """

    first: str
    second: str
    across_classes: bool
    distance: int | None = None
    flip: str = ""
    cropped: float = 0.0
    correlation: float


class LookAlikePair(Record):
    """Two images that are alike in feature space.

    Attributes:
        first: Path of one.
        second: Path of the other.
        similarity: Cosine of their features.
        across_classes: Whether their classes differ.
        across_splits: Whether their splits differ.
        one_group: Whether they are of one group.
    """

    first: str
    second: str
    similarity: float
    across_classes: bool
    across_splits: bool
    one_group: bool


class TransformedPair(Record):
    """Two images of which one is the other turned, zoomed, framed or cropped.

    Attributes:
        first: Path of one.
        second: Path of the other.
        similarity: Correlation of what both show, once registered.
        mirrored: Whether one is mirrored against the other.
        degrees: Turn of the second against the first, after mirroring it.
        zoom: Size of what the second shows against the first.
        across_classes: Whether their classes differ.
        across_splits: Whether their splits differ.
    """

    first: str
    second: str
    similarity: float
    mirrored: bool
    degrees: float
    zoom: float
    across_classes: bool
    across_splits: bool


class StatisticOfClass(Record):
    """Median of a statistic in a class, and AUROC against the other classes; None: undefined."""

    median: float
    auroc: float | None


class StatisticRow(Record):
    """A statistic by class.

    Attributes:
        title: In plain words.
        of_the_lungs: Whether a disease of the lungs can change it.
        classes: Class to its numbers.
    """

    title: str
    of_the_lungs: bool
    classes: Mapping[str, StatisticOfClass]


class ClassStatistic(Record):
    """Separation of a class from the others by a statistic alone.

    Attributes:
        statistic: Name of the statistic.
        title: In plain words.
        label: The class; `class` in the file.
        auroc: AUROC, above 0.5 where the class has the larger values.
        strength: The larger of AUROC and 1 - AUROC.
        low: Lower end of the 95 % interval of the strength.
        larger: Whether the class has the larger values.
        of_the_lungs: Whether a disease of the lungs can change it.
        gives_class_away: Whether the strength is high beyond doubt.
    """

    statistic: str
    title: str
    label: str = Field(alias="class")
    auroc: float
    strength: float
    low: float
    larger: bool
    of_the_lungs: bool
    gives_class_away: bool


class Statistics(Record):
    """Sizes, grey levels, borders and text by class.

    Attributes:
        table: Name of a statistic to its row.
        strongest: The one that separates a class best; None where nothing varies.
        gives_away: All that give a class away.
    """

    table: Mapping[str, StatisticRow]
    strongest: ClassStatistic | None
    gives_away: Sequence[ClassStatistic]


class Audit(Record):
    """Content of `audit.json`; a field with a default is absent in files of older versions.

    Attributes:
        warnings: Sentences.
        classes: Class to its files.
        splits: Split to class to number of images.
        groups: Groups that are kept in one split.
        source: Source by class; None where no source is known.
        view: View by class; None where no view is known.
        masks: Origin of the lung masks by class; None where no masks are used.
        patients_in_several_classes: Paths of the images of each such patient.
        statistics: Statistics by class; None in an older version.
        quarantined: Number of files that were set aside.
        unusable: Files that are no usable images.
        same_image_in_several_classes: Paths of equal images in different classes.
        ignored: Kind to number of other files.
        copies: Files with the bytes of others.
        near_duplicates: Pairs of images that show one film.
        clusters: Paths of images joined by such pairs.
        flags: Peculiarity to the paths of its images.
        findings: The findings, the gravest first.
        labels: Path to class, for the images of findings.
        look_alikes: Pairs alike in feature space; `balancer audit` alone finds them.
        transformed: Pairs of turned, zoomed, framed or cropped copies; `balancer audit` alone
            finds them.
        notes: Sentences on how the archives were read.
        left_out: Class to its images that are left out.
        part: Part of the archives, such as `train`, by class; None where there are none.
        domain: Name of the kind of the images; absent for chest radiographs.
    """

    warnings: Sequence[str]
    classes: Mapping[str, ClassFiles]
    splits: Mapping[str, Mapping[str, int]]
    groups: GroupFacts
    source: Association | None
    view: Association | None
    masks: Association | None = None
    patients_in_several_classes: Sequence[Sequence[str]] = ()
    statistics: Statistics | None = None
    quarantined: int
    unusable: Sequence[Unusable] = ()
    same_image_in_several_classes: Sequence[Sequence[str]] = ()
    ignored: Mapping[str, int]
    copies: Sequence[Copy]
    near_duplicates: Sequence[NearDuplicatePair]
    clusters: Sequence[Sequence[str]] = ()
    flags: Mapping[str, Sequence[str]]
    findings: Sequence[Finding] = ()
    labels: Mapping[str, str] = {}
    look_alikes: Sequence[LookAlikePair] = ()
    transformed: Sequence[TransformedPair] = ()
    notes: Sequence[str] = ()
    left_out: Mapping[str, LeftOut] = {}
    part: Association | None = None
    domain: str = CHEST

    @property
    def kind(self) -> Domain:
        """Kind of the images, for words."""
        return domain_of(self.domain)


def audit_text(audit: Audit) -> str:
    """Return the content of `audit.json`."""
    values = audit.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_audit(directory: Path) -> Audit:
    """Read the audit in the folder of an index or of `balancer audit`.

    Raises:
        IntegrityError: The file is missing, was changed or is of another version.
    """
    path = directory / AUDIT_NAME
    try:
        return Audit.model_validate_json(path.read_bytes())
    except OSError as error:
        found = str(error.strerror)
    except ValidationError as error:
        found = f"{error.errors()[0]['msg'].lower()} ({error.errors()[0]['loc']})"
    raise IntegrityError(
        f"{path} should hold the audit of the images, but: {found}; run prepare again with --force."
    )
