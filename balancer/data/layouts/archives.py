"""Reading of one or several archives, each by its layout, into one scan."""

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from balancer.data.config import DataConfig
from balancer.data.entries import entries, is_formula, links_followed
from balancer.data.layouts import (
    class_folders,
    medmnist,
)
from balancer.data.layouts.layout import Layout
from balancer.data.layouts.recognition import ARCHIVES, LAYOUTS, OF_FOLDERS, recognise
from balancer.data.layouts.views_and_classes import (
    keep_other_findings,
    one_against_the_rest,
    refuse_joined_labels,
    refuse_small_labels,
    refuse_strange_labels,
    select,
)
from balancer.data.metadata import UNKNOWN
from balancer.data.parts import has_part, is_part, without_part
from balancer.data.patients import set_patients
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage, Scan, Unusable
from balancer.errors import ConfigurationError, DataError

log = logging.getLogger(__name__)

AUTO = "auto"


def read_archives(
    roots: Roots, config: DataConfig, *, min_classes: int = 2, setting: str = "data.classes"
) -> Scan:
    """Read archives, choose images by view and label, and merge all into one scan.

    With several archives, a path begins with the name of its archive, patients of different
    archives are different, and an image without a source gets the name of its archive.

    Args:
        roots: The archives.
        config: Settings, of which `layout`, `classes`, `target`, `views`, `patients`,
            `follow_links` and `min_images` are used.
        min_classes: Least number of classes; 1 is enough for a test set.
        setting: Name of the setting of `classes`, for errors.

    Raises:
        DataError: An archive cannot be recognised or read, or has too few classes.
        ConfigurationError: A layout is unknown, the number of layouts differs from that of the
            archives, or `classes` names a label that no image has.
        EnvironmentFault: An extra is missing.
    """
    with links_followed(config.follow_links):
        layouts = _layouts(config.layout, list(roots.archives.values()))
        read = [
            (name, layout, layout.read(place))
            for (name, place), layout in zip(roots.archives.items(), layouts, strict=True)
        ]
    for _, layout, scan in read:
        scan.layout = layout.name
        set_patients(scan, config.patients == "known")
    scans = [scan for _, _, scan in read]
    classes = config.classes
    if classes is None and config.target is not None:
        labels = {label for scan in scans for label in scan.labels}
        separators = {layout.several for layout in layouts}
        marks = {layout.uncertain for layout in layouts}
        classes = one_against_the_rest(labels, config.target, separators, marks)
        for _, layout, scan in read:
            keep_other_findings(scan, config.target, layout.several, layout.uncertain)
    else:
        _refuse_unknown_labels(scans, classes, setting)
    frontal = config.views == "frontal"
    chosen = {
        name: select(
            scan,
            frontal=frontal,
            classes=classes,
            several=layout.several,
            uncertain=layout.uncertain,
        )
        for name, layout, scan in read
    }
    merged = _merge(chosen, roots)
    if classes is None:
        refuse_joined_labels(merged)
    refuse_strange_labels(merged)
    _refuse_formulas(merged)
    _warn_of_similar(merged.labels)
    if min_classes > 1 and not set(layouts) <= set(OF_FOLDERS):
        refuse_small_labels(merged, config.min_images)
    if len(merged.labels) < min_classes or not merged.labels:
        folders = set(layouts) <= set(OF_FOLDERS)
        _refuse_few_classes(roots, merged, min_classes, folders=folders)
    return merged


def _layouts(wanted: str | tuple[str, ...], places: Sequence[Path]) -> list[Layout]:
    names = [wanted] * len(places) if isinstance(wanted, str) else list(wanted)
    if len(names) == 1:
        names *= len(places)
    if len(names) != len(places):
        raise ConfigurationError(
            f"--layout needs one name, or one for each of {len(places)} archives, not {len(names)}."
        )
    known = {layout.name: layout for layout in LAYOUTS}
    chosen = []
    for name, place in zip(names, places, strict=True):
        if name == AUTO:
            layout, evidence = recognise(place)
            log.info("%s: read as %s because of %s.", place, layout.name, evidence)
        elif name in known:
            layout = known[name]
            _refuse_without_marks(layout, place)
        else:
            raise ConfigurationError(
                f"--layout should be auto or one of {', '.join(known)}, not {name!r}."
            )
        chosen.append(layout)
    return chosen


def _refuse_without_marks(layout: Layout, place: Path) -> None:
    """Stop if the given layout does not fit; general layouts check this when they read."""
    if layout not in ARCHIVES or layout in (class_folders.DARKCOVIDNET, medmnist.LAYOUT):
        return
    if not place.is_file():
        entries(place)
    tables = any((place / name).is_file() for name in layout.tables)
    if not tables and not layout.recognise(place):
        raise DataError(
            f"{str(place)!r} should have the layout {layout.name}, which is recognised by "
            f"{layout.marks}, but has none of these; give another folder or --layout auto."
        )


def _merge(scans: Mapping[str, Scan], roots: Roots) -> Scan:
    if len(scans) == 1:
        return next(iter(scans.values()))
    # Of folders such as train and test of one archive, equal patients are the same.
    one_archive = len({place.parent for place in roots.archives.values()}) == 1
    one_archive = one_archive and all(is_part(name) for name in scans)
    merged = Scan(labels=(), layout=" + ".join(scan.layout for scan in scans.values()))
    labels: set[str] = set()
    for name, scan in scans.items():
        labels |= {*scan.labels}
        merged.images += [FoundImage(f"{name}/{one.path}", one.label) for one in scan.images]
        merged.refused += [
            Unusable(f"{name}/{one.path}", one.label, one.reason) for one in scan.refused
        ]
        merged.ignored.update({f"{kind} ({name})": number for kind, number in scan.ignored.items()})
        for label, reasons in scan.left_out.items():
            merged.left_out[label] += Counter(
                {f"{kind} ({name})": number for kind, number in reasons.items()}
            )
        merged.notes += [f"{name}: {note}" for note in scan.notes]
        merged.parts |= {f"{name}/{path}": part for path, part in scan.parts.items()}
        merged.masks |= {f"{name}/{path}": f"{name}/{mask}" for path, mask in scan.masks.items()}
        for path, _ in scan.files():
            known = scan.metadata.get(path, UNKNOWN)
            merged.metadata[f"{name}/{path}"] = replace(
                known,
                patient_id=f"{'' if one_archive else name}:{known.patient_id}"
                if known.patient_id
                else "",
                source=known.source or name,
                unit=known.unit if one_archive else known.unit.replace(":", f":{name}:", 1),
            )
    merged.labels = tuple(sorted(labels))
    merged.min_side = min((scan.min_side for scan in scans.values() if scan.min_side), default=None)
    merged.images.sort(key=lambda image: image.path)
    merged.refused.sort(key=lambda file: file.path)
    return merged


def _refuse_formulas(scan: Scan) -> None:
    """Stop at a text that a spreadsheet would run when it opens one of the tables of a run."""
    for path, _ in scan.files():
        known = scan.metadata.get(path, UNKNOWN)
        for what, text in (("path", path), ("source", known.source), ("view", known.view)):
            if is_formula(text):
                raise DataError(
                    f"The {what} of the image {path!r} should be text that a spreadsheet shows and "
                    f"does not run as a formula, but is {text!r:.80}; rename it in the archive."
                )


def _refuse_unknown_labels(
    scans: Iterable[Scan], classes: Mapping[str, str] | None, setting: str
) -> None:
    found = sorted({label for scan in scans for label in scan.labels})
    unknown = [label for label in classes or {} if label not in found]
    if unknown:
        listed = ", ".join(found[:30]) + (f" and {len(found) - 30} more" if found[30:] else "")
        raise ConfigurationError(
            f"{setting} should name labels of the archives, but {unknown[0]!r} is none of them; "
            f"the labels are {listed}."
        )


def _warn_of_similar(labels: Sequence[str]) -> None:
    of_parts: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        of_parts[without_part(label)].append(label)
    for names in of_parts.values():
        if len(names) > 1 and any(has_part(name) for name in names):
            log.warning(
                "%s are %d classes, although their names differ only in words for parts of an "
                "archive; data.classes can join them.",
                " and ".join(map(repr, names)),
                len(names),
            )
    alike: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        alike[re.sub(r"[\s_]|-(?=\w)", "", label.casefold())].append(label)
    for names in alike.values():
        if len(names) > 1:
            log.warning(
                "%s are %d classes, although their names differ only in case, spaces or hyphens; "
                "data.classes can join them.",
                " and ".join(map(repr, names)),
                len(names),
            )


def _refuse_few_classes(roots: Roots, scan: Scan, min_classes: int, *, folders: bool) -> None:
    found = f"only {scan.labels[0]!r}" if scan.labels else "none"
    if scan.ignored:
        reasons = scan.ignored.most_common(3)
        found += f" (left out: {'; '.join(f'{number} x {kind}' for kind, number in reasons)})"
    wanted = "each of two or more classes" if min_classes > 1 else "each class"
    option = "--data" if min_classes > 1 else "--external"
    advice = f"give the folder above the class folders to {option}"
    if not folders:
        advice = "add rows with other labels, or include more of those left out"
    raise DataError(
        f"{str(roots)!r} should hold a folder of images for {wanted}, or a table of them, but has "
        f"{found}; {advice}."
    )
