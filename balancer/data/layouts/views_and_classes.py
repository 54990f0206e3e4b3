"""Choice of images of an archive by view and label, and the class of each label."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace

from balancer.data.class_places import why_no_class
from balancer.data.metadata import FINDING, UNKNOWN
from balancer.data.scan import FoundImage, Scan, Unusable
from balancer.errors import ConfigurationError, DataError

SEVERAL_FINDINGS = "image with several findings"
UNCERTAIN_FINDING = "image with an uncertain finding"
_SURE_SEPARATORS = ("|", ";")
_SEPARATORS = (*_SURE_SEPARATORS, ",", "+", "&", "/")
_YAML_WORDS = ("null", "true", "false", "yes", "no", "on", "off")
_SIDES = {"l", "r"}
"""Lateral views if the letter is alone; in `PA (L)` it is a marker on the image."""
_NOT_FRONTAL = {
    *("ll", "rl", "lat", "llat", "rlat", "lateral", "latero", "laterolateral", "profile"),
    *("oblique", "obl", "lao", "rao", "lpo", "rpo", "llo", "rlo"),
    *("decubitus", "decub", "lld", "rld", "axial", "coronal", "sagittal", "ct"),
}


def is_frontal(view: str) -> bool:
    """Return whether a view may be frontal; an unknown one may.

    >>> is_frontal("AP(supine)"), is_frontal("N/A"), is_frontal("L"), is_frontal("Left Lateral")
    (True, True, False, False)
    """
    words = {word for word in re.split(r"[/(),\s_-]+", view.lower()) if word}
    return not words & _NOT_FRONTAL and not (words and words <= _SIDES)


def select(
    scan: Scan,
    *,
    frontal: bool,
    classes: Mapping[str, str] | None,
    several: str = "",
    uncertain: str = "",
) -> Scan:
    """Keep the images with the chosen views and labels, under their classes; count the others.

    Args:
        scan: Scan from a layout.
        frontal: Leave out images that are known not to be frontal.
        classes: Label to class; other labels are left out. None: all labels, unchanged.
        several: Separator of several findings in a label.
        uncertain: End of an uncertain finding in a label.
    """
    ignored: Counter[str] = Counter()
    left_out: dict[str, Counter[str]] = defaultdict(Counter)
    wanted: dict[str, str] = {}
    for label, reasons in scan.left_out.items():
        if classes is None or label in classes:
            left_out[label if classes is None else classes[label]] += reasons
    for path, label in scan.files():
        if reason := _why_no_class(label, classes, several, uncertain):
            ignored[reason] += 1
            continue
        wanted[path] = label if classes is None else classes[label]
        view = scan.metadata.get(path, UNKNOWN).view
        if frontal and not is_frontal(view):
            reason = f"image of the view {view} (data.views=all takes it)"
            ignored[reason] += 1
            left_out[wanted.pop(path)][reason] += 1
    return Scan(
        labels=tuple(sorted({*wanted.values()})),
        images=[
            FoundImage(image.path, wanted[image.path])
            for image in scan.images
            if image.path in wanted
        ],
        refused=[
            Unusable(file.path, wanted[file.path], file.reason)
            for file in scan.refused
            if file.path in wanted
        ],
        ignored=scan.ignored + ignored,
        layout=scan.layout,
        metadata={path: known for path, known in scan.metadata.items() if path in wanted},
        masks={path: mask for path, mask in scan.masks.items() if path in wanted},
        left_out=left_out,
        parts={path: part for path, part in scan.parts.items() if path in wanted},
        notes=scan.notes,
        min_side=scan.min_side,
    )


def _why_no_class(
    label: str, classes: Mapping[str, str] | None, several: str, uncertain: str
) -> str:
    if uncertain and label not in (classes or {}) and uncertain in label:
        return UNCERTAIN_FINDING
    if classes is not None and label not in classes:
        return f"image of {label!r}, for which no class is named"
    if classes is None and several and several in label:
        return SEVERAL_FINDINGS
    return ""


def findings_of(label: str, separator: str = "") -> list[str]:
    """Return the findings that a label names; `separator` is tried before the usual ones.

    >>> findings_of("Edema|Mass"), findings_of("No Finding")
    (['Edema', 'Mass'], ['No Finding'])
    """
    for one in (separator, *_SEPARATORS):
        if one and one in label:
            return [part for part in (part.strip() for part in label.split(one)) if part]
    return [label]


def one_against_the_rest(
    labels: Collection[str], target: str, separators: Collection[str], marks: Collection[str]
) -> dict[str, str]:
    """Return label to class, for the classes that have a finding and that do not.

    Labels in which the finding is uncertain are in neither.

    Args:
        labels: Labels of the archives, of one or several findings.
        target: The finding, in any case.
        separators: Separators of findings of the layouts; the usual ones are tried too.
        marks: Ends of uncertain findings of the layouts.

    Raises:
        ConfigurationError: No label names the finding.
    """
    separator = next((one for one in separators if one), "")
    uncertain = {f"{target}{mark}".casefold() for mark in marks if mark}
    classes, found = {}, set()
    for label in labels:
        names = findings_of(label, separator)
        found |= {*names}
        folded = {name.casefold() for name in names}
        if not uncertain & folded:
            fits = label == target or target.casefold() in folded
            classes[label] = target if fits else f"not {target}"
    if target not in classes.values():
        certain = [name for name in sorted(found) if not name.endswith(tuple(filter(None, marks)))]
        listed = ", ".join(certain[:30])
        raise ConfigurationError(
            f"data.target should be one of the findings of the archives, but {target!r} is none "
            f"of them; they are {listed}."
        )
    return classes


def keep_other_findings(scan: Scan, target: str, separator: str, mark: str) -> None:
    """Note the findings beside the target as columns of the metadata, such as `finding:Edema`.

    Their cells are `yes`, `no` or `uncertain`; a finding that no label of the archive names has no
    column.

    Args:
        scan: Scan of one archive; its metadata are changed.
        target: The finding that is told from the rest, in any case.
        separator: Separator of findings of the layout; the usual ones are tried too.
        mark: End of an uncertain finding of the layout; empty if all are certain.
    """
    of_label = {label: {*findings_of(label, separator)} for label in scan.labels}
    named = {name.removesuffix(mark) for names in of_label.values() for name in names}
    others = sorted(name for name in named if name.casefold() != target.casefold())

    def answer(name: str, names: Collection[str]) -> str:
        uncertain = bool(mark) and f"{name}{mark}" in names
        return "yes" if name in names else "uncertain" if uncertain else "no"

    cells = {
        label: {f"{FINDING}{name}": answer(name, names) for name in others}
        for label, names in of_label.items()
    }
    for path, label in scan.files():
        known = scan.metadata.get(path, UNKNOWN)
        scan.metadata[path] = replace(known, columns={**known.columns, **cells[label]})


def refuse_joined_labels(scan: Scan) -> None:
    """Stop at labels of several findings, which would become classes of their own.

    A label counts if it has a bar or semicolon, or if another of the usual separators stands
    between names of which one is a label itself.

    Raises:
        DataError: There are such labels.
    """
    counts = Counter(label for _, label in scan.files())
    joined = {label: names for label in counts if (names := _joined(label, counts))}
    if not joined:
        return
    single: Counter[str] = Counter()
    for label, number in counts.items():
        for name in joined.get(label, ()):
            single[name] += number
    for name in single:
        single[name] += counts[name]
    target = single.most_common(1)[0][0]
    others = ", ".join(name for name, _ in single.most_common(6)[1:])
    label = max(joined, key=lambda one: (counts[one], one))
    raise DataError(
        f"Every label should name one class, but {label!r} and {len(joined) - 1} others name "
        f"several findings at once ({sum(counts[one] for one in joined)} of {counts.total()} "
        f"images); choose one against the rest by --set {_set('data.target', target)} (or "
        f"{others}), or name the classes in data.classes."
    )


def _joined(label: str, labels: Collection[str]) -> list[str]:
    """Return the findings of a label of several; none for a label of one."""
    for separator in _SEPARATORS:
        names = findings_of(label, separator) if separator in label else []
        if len(names) > 1 and (
            separator in _SURE_SEPARATORS or any(one in labels for one in names)
        ):
            return names
    return []


def _set(setting: str, value: str) -> str:
    plain = re.fullmatch(r"[\w.-]+", value)
    return f"{setting}={value}" if plain else f"'{setting}={_quoted(value)}'"


def refuse_strange_labels(scan: Scan) -> None:
    """Stop at a label that cannot be the name of a class.

    Raises:
        DataError: There is such a label.
    """
    for label in scan.labels:
        reason = why_no_class(label)
        if reason:
            raise DataError(
                f"Every label should be a valid class name, but {label!r} is not: {reason}; "
                "give it another name in data.classes."
            )


def refuse_small_labels(scan: Scan, fewest: int) -> None:
    """Stop early at labels of a table that are too rare, and show all counts.

    Raises:
        DataError: A label has fewer images than `fewest`.
    """
    counts = Counter(label for _, label in scan.files())
    small = [label for label in scan.labels if counts[label] < fewest]
    if small:
        listed = ", ".join(f"{label} {number}" for label, number in counts.most_common(12))
        more = f" and {len(counts) - 12} more" if len(counts) > 12 else ""
        enough = [label for label, number in counts.most_common(2) if number >= fewest]
        example = ", ".join(f"{_quoted(label)}: {_quoted(label)}" for label in enough)
        advice = "choose one against the rest by data.target, or classes, such as "
        advice += f"--set 'data.classes={{{example}}}'"
        if len(enough) < 2:
            advice = "add images, or join labels by data.classes"
        raise DataError(
            f"Every class should have {fewest} or more images (data.min_images), but "
            f"{len(small)} of the labels have fewer, first {small[0]!r} with {counts[small[0]]} "
            f"(found: {listed}{more}); {advice}."
        )


def _quoted(label: str) -> str:
    """Quote a label for YAML inside single quotes of a shell: a plain `0` would be a number."""
    if re.fullmatch(r"[A-Za-z][\w .+-]*", label) and label.lower() not in _YAML_WORDS:
        return label
    return json.dumps(label, ensure_ascii=False).replace("'", "\\u0027")
