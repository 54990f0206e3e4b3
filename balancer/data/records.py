"""Records of an index that `prepare` and `audit` leave for other rooms."""

from collections.abc import Mapping

from balancer.results import Record

PATIENT, CLUSTER = "patient", "near-duplicate cluster"


class GroupFacts(Record):
    """Groups of images that are kept in one split.

    Attributes:
        kind: `PATIENT` where the metadata name one, else `lesion`, `slide` or `specimen` where they
            name these, else `CLUSTER`.
        number: Number of groups.
        largest: Number of images in the largest group.
        of_several_images: Number of groups of two or more images.
        images_without_patient: Number of images whose patient is not known.
    """

    kind: str
    number: int
    largest: int
    of_several_images: int
    images_without_patient: int


class LeftOut(Record):
    """Images of a class that are not in the index, exact copies aside.

    Attributes:
        images: Number of images.
        share: Their share of the images of the class, in [0, 1].
        reasons: Reason to number of images; of many reasons the rarest are joined.
    """

    images: int
    share: float
    reasons: Mapping[str, int]


class PrepareMetrics(Record):
    """Metrics of an index, of a workspace or of a fold.

    Attributes:
        layout: Layout of the archives; None in an index of an older version.
        details_sha256: SHA-256 of `details.csv`; None where an older version wrote none.
        unused_columns: Columns of the metadata that nothing reads.
        masks_sha256: Fingerprint of the lung masks; None where the preprocessing needs none.
        lungs_by: Method to number of lung masks; None likewise.
        index_sha256: SHA-256 of `index.csv`.
        images: Number of images.
        splits: Split to class to number of images.
        groups: Groups that are kept in one split.
        quarantined: Number of files that were set aside.
        copies: Number of files with the bytes of another.
        near_duplicates: Number of pairs of images that show one film.
        findings: Names of the findings that count with `--strict`.
        source_gives_class_away: Whether the source alone gives the class away; None where no
            source is known.
        warnings: Sentences.
        left_out: Class to its images that are left out; absent where none are.
        parts: Part of the archives, such as `train`, to number of images; absent without parts.
    """

    layout: str | None = None
    details_sha256: str | None = None
    unused_columns: tuple[str, ...] = ()
    masks_sha256: str | None = None
    lungs_by: Mapping[str, int] | None = None
    index_sha256: str
    images: int
    splits: Mapping[str, Mapping[str, int]]
    groups: GroupFacts
    quarantined: int
    copies: int
    near_duplicates: int
    findings: tuple[str, ...] = ()
    source_gives_class_away: bool | None
    warnings: tuple[str, ...]
    left_out: Mapping[str, LeftOut] | None = None
    parts: Mapping[str, int] | None = None


class AuditMetrics(Record):
    """Metrics of `balancer audit`.

    Attributes:
        findings: Name of each finding that counts to number of groups that show it.
        look_alikes: Number of pairs of images alike in feature space.
        look_alikes_across_splits: Number of these in two splits.
        suspect_labels: Number of labels that the other images contradict.
        copy_families: Number of families of turned, zoomed, framed or cropped copies.
        test_images: Number of test images.
        test_images_with_relatives: Number of these with a member of their family in training.
        next_command: Command that keeps each family in one split; empty where each is in one.
    """

    findings: Mapping[str, int]
    look_alikes: int
    look_alikes_across_splits: int
    suspect_labels: int = 0
    copy_families: int = 0
    test_images: int = 0
    test_images_with_relatives: int = 0
    next_command: str = ""
