"""Gather the content of `audit.json`: tables, copies, images to examine, findings."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from balancer.data.audit.admission import Copy, class_table
from balancer.data.audit.association import associate
from balancer.data.audit.content import (
    Audit,
    ClassFiles,
    ClassStatistic,
    NearDuplicatePair,
    Statistics,
)
from balancer.data.audit.findings import count, find
from balancer.data.audit.left_out import left_out_by_class, sentence_of
from balancer.data.audit.statistics_by_class import by_class
from balancer.data.audit.suspects import collect_flags
from balancer.data.class_places import OTHER_FILE
from balancer.data.copies.duplicates import NearDuplicate
from balancer.data.copies.grouping import clusters_of, kind_of
from balancer.data.film.examine import COLOURED, Examined
from balancer.data.film.fingerprint import FLIPS
from balancer.data.layouts.views_and_classes import SEVERAL_FINDINGS
from balancer.data.metadata import UNKNOWN
from balancer.data.records import CLUSTER, PATIENT, GroupFacts
from balancer.data.scan import Scan, Unusable
from balancer.domains.domain import Domain


def record_audit(
    scan: Scan,
    *,
    kept: Sequence[Examined],
    unusable: Sequence[Unusable],
    conflicts: Sequence[Sequence[Examined]],
    copies: Sequence[Copy],
    images: Sequence[Examined],
    near: Sequence[NearDuplicate],
    groups: Sequence[str],
    splits: Mapping[str, Mapping[str, int]],
    mask_methods: Sequence[str] = (),
    domain: Domain,
) -> Audit:
    """Gather the content of `audit.json`.

    Args:
        scan: The files, and what is known of them.
        kept: Images of the index.
        unusable: Files set aside.
        conflicts: Equal images of several classes, among the files set aside.
        copies: Files with the bytes of others.
        images: All usable images, copies included.
        near: Pairs of these that show the same film.
        groups: Group of each image of the index, in their order.
        splits: Split to class to number of images.
        mask_methods: Method of the lung mask of each image of the index; empty: no masks are used.
        domain: Kind of the images.

    Returns:
        The content, without patient ids.
    """
    labels = [image.label for image in kept]
    of_kept = [scan.metadata.get(image.path, UNKNOWN) for image in kept]
    patients = [known.patient_id for known in of_kept]
    audit = Audit(
        warnings=[],
        classes={
            label: ClassFiles.model_validate(counts)
            for label, counts in class_table(scan.labels, kept, unusable, copies).items()
        },
        splits=splits,
        groups=_group_facts(groups, patients, [known.unit for known in of_kept]),
        source=associate([known.source for known in of_kept], labels),
        view=associate([known.view for known in of_kept], labels),
        masks=associate(mask_methods, labels) if mask_methods else None,
        patients_in_several_classes=_of_several_classes(kept, patients),
        statistics=Statistics.model_validate(by_class(kept, domain)),
        quarantined=len(unusable),
        unusable=list(unusable),
        same_image_in_several_classes=sorted(
            sorted(image.path for image in equals) for equals in conflicts
        ),
        ignored=dict(sorted(scan.ignored.items())),
        copies=list(copies),
        near_duplicates=[_pair(pair, images) for pair in near],
        clusters=_clusters(near, images),
        flags=collect_flags(kept, domain),
        findings=[],
        labels={},
    )
    if not domain.lungs:
        audit = audit.model_copy(update={"domain": domain.name})
    audit = _with_reading(audit, scan, kept, unusable)
    label_of = {image.path: image.label for image in images}
    label_of |= {file.path: file.label for file in unusable}
    findings = find(audit, label_of)
    shown = {path for finding in findings for paths in finding.groups for path in paths}
    return audit.model_copy(
        update={
            "warnings": _warnings(audit, scan.left_out),
            "findings": findings,
            "labels": {path: label_of[path] for path in sorted(shown)},
        }
    )


def _with_reading(
    audit: Audit, scan: Scan, kept: Sequence[Examined], unusable: Sequence[Unusable]
) -> Audit:
    """Add what is known of the reading; nothing where all images were simply read."""
    entered = {label: row.usable + row.copies for label, row in audit.classes.items()}
    left_out = left_out_by_class(scan.left_out, unusable, entered)
    parts = [scan.parts.get(image.path, "") for image in kept]
    added = {
        "notes": list(scan.notes),
        "left_out": left_out,
        "part": associate(parts, [image.label for image in kept]) if any(parts) else None,
    }
    return audit.model_copy(update={name: value for name, value in added.items() if value})


def _pair(pair: NearDuplicate, images: Sequence[Examined]) -> NearDuplicatePair:
    first, second = images[pair.first], images[pair.second]
    return NearDuplicatePair(
        first=first.path,
        second=second.path,
        across_classes=first.label != second.label,
        flip=FLIPS[pair.flip],
        cropped=round(pair.cropped, 3),
        correlation=round(pair.correlation, 4),
    )


def _clusters(near: Sequence[NearDuplicate], images: Sequence[Examined]) -> list[list[str]]:
    """Films that have near duplicates, joined through them, each cluster sorted by path."""
    found = clusters_of([(pair.first, pair.second) for pair in near])
    return sorted(sorted(images[place].path for place in places) for places in found)


def _of_several_classes(images: Sequence[Examined], patients: Sequence[str]) -> list[list[str]]:
    """Count the images of each patient in more than one class; the ids are not shown."""
    of_patient: dict[str, list[Examined]] = {}
    for image, patient in zip(images, patients, strict=True):
        if patient:
            of_patient.setdefault(patient, []).append(image)
    return sorted(
        sorted(image.path for image in own)
        for own in of_patient.values()
        if len({image.label for image in own}) > 1
    )


def _group_facts(
    groups: Sequence[str], patients: Sequence[str], units: Sequence[str]
) -> GroupFacts:
    sizes = Counter(groups)
    by_unit = next((kind_of(unit) for unit in units if unit), CLUSTER)
    return GroupFacts(
        kind=PATIENT if any(patients) else by_unit,
        number=len(sizes),
        largest=max(sizes.values()),
        of_several_images=sum(size > 1 for size in sizes.values()),
        images_without_patient=sum(not patient for patient in patients),
    )


def leakage_sentence(groups: GroupFacts, domain: Domain) -> str:
    """Describe what is not known about patients; empty if all are known."""
    if groups.kind not in (PATIENT, CLUSTER):
        return domain.say(
            f"Patient leakage NOT excluded: the metadata name {groups.kind}s and no patients, so "
            f"two {groups.kind}s of a patient may be in different splits; those of one "
            f"{groups.kind} are not."
        )
    if groups.kind == CLUSTER and domain.unit:
        return domain.say(
            "Patient leakage NOT excluded: the metadata name neither patients nor {unit}s (a "
            "column such as {unit}_id), so only copies of one {image} are kept in one split, and "
            "two {images} of a {unit} may be in different ones."
        )
    if groups.kind == CLUSTER:
        return domain.say(
            "Patient leakage NOT excluded: the metadata name no patients, so only copies of one "
            "{image} are kept in one split, and two {images} of a patient may be in different ones."
        )
    if groups.images_without_patient:
        return (
            f"Patient leakage NOT excluded for {count(groups.images_without_patient, 'image')} "
            "without a patient in the metadata."
        )
    return ""


def grouping_sentence(groups: GroupFacts) -> str:
    """Describe what keeps images in one split."""
    by = groups.kind
    if by != CLUSTER and groups.images_without_patient:
        by = f"{by} where one is known, else by {CLUSTER}"
    return (
        f"Grouped by {by}: {groups.number} groups, {groups.of_several_images} of several "
        f"images, the largest of {groups.largest}. No group is in two splits."
    )


def _warnings(audit: Audit, unread: Mapping[str, Mapping[str, int]]) -> list[str]:
    warnings = []
    flags = dict(audit.flags)
    if coloured := len(flags.pop(COLOURED, ())):
        total = sum(row.usable for row in audit.classes.values())
        warnings.append(
            f"COLOUR IS DROPPED: {coloured} of {total} images are coloured, and all are read as "
            "grey; what only colour shows is lost (data.channels=3 keeps it)."
        )
    if audit.splits and (sentence := leakage_sentence(audit.groups, audit.kind)):
        warnings.append(sentence)
    warnings.extend(audit.notes)
    warnings.extend(sentence_of(label, lost) for label, lost in audit.left_out.items())
    for name, found in (("source", audit.source), ("view", audit.view), ("part", audit.part)):
        if found is not None and found.gives_label_away:
            strength = "" if found.cramers_v is None else f" (Cramer's V {found.cramers_v:.2f})"
            warnings.append(
                f"THE {name.upper()} ALONE GIVES THE CLASS AWAY{strength}: a classifier can score "
                f"well here by recognising the {name} instead of the disease."
            )
    if audit.masks is not None and audit.masks.gives_label_away:
        warnings.append(
            "THE ORIGIN OF THE LUNG MASKS GIVES THE CLASS AWAY"
            f" (Cramer's V {audit.masks.cramers_v or 0:.2f}): a classifier can score well here by "
            "their shape; take all from one, such as preprocessing.masks=classical."
        )
    strongest = None if audit.statistics is None else audit.statistics.strongest
    if strongest is not None and strongest.gives_class_away:
        warnings.append(statistic_sentence(strongest, audit))
    warnings.extend(_of_labels_and_files(audit))
    in_classes: Counter[str] = Counter()
    for reasons in unread.values():
        in_classes.update(reasons)
    warnings.extend(
        f"{count(number, 'file or folder', 'files or folders')} ignored: {kind}{_way_in(kind)}."
        for kind, number in (Counter(audit.ignored) - in_classes).items()
        if kind != OTHER_FILE
    )
    warnings.extend(f"{count(len(paths), 'image')}: {flag}." for flag, paths in flags.items())
    return warnings


def _way_in(kind: str) -> str:
    """Return how images of an ignored kind can be read; empty if nothing is known."""
    return " (data.target=FINDING takes them)" if kind.startswith(SEVERAL_FINDINGS) else ""


def _of_labels_and_files(audit: Audit) -> Iterator[str]:
    if across := sum(pair.across_classes for pair in audit.near_duplicates):
        yield (
            f"{count(across, 'pair')} of near duplicates in two classes: one label is wrong, or "
            "the classes are one (data.classes joins them)."
        )
    if shared := len(audit.patients_in_several_classes):
        yield f"{count(shared, 'patient')} with images in several classes."
    if copies := len(audit.copies):
        yield f"{count(copies, 'file')} with the bytes of another left out."
    torn = sum(len(paths) for paths in audit.same_image_in_several_classes)
    if torn:
        yield (
            f"{count(torn, 'image')} with the same pixels in two classes set aside: quarantine.csv."
        )
    if unusable := audit.quarantined - torn:
        yield f"{count(unusable, 'unusable file')} set aside: quarantine.csv."


def statistic_sentence(found: ClassStatistic, audit: Audit) -> str:
    """Explain a statistic that separates a class from the others."""
    size = "larger" if found.larger else "smaller"
    if found.statistic == "colour":
        return (
            f"The {found.title} alone tells {found.label} from the rest with an AUROC of "
            f"{found.strength:.2f} (it is {size} there): the classes differ in colour, "
            + (
                "which is dropped, and grey levels may still show it."
                if COLOURED in audit.flags
                else "by the disease or by the camera; a classifier can use either."
            )
        )
    disease = audit.kind.disease
    cause = f"{disease[:1].upper()}{disease[1:]}"
    also = f" {cause} can change it too." if found.of_the_lungs else ""
    return (
        f"The {found.title} alone tells {found.label} from the rest with an AUROC of "
        f"{found.strength:.2f} (it is {size} there): a classifier can score well here without "
        f"looking at {audit.kind.subject}.{also}"
    )
