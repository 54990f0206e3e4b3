"""Choice of images of an archive by view and label, and the class of each label."""

import json
import re
from collections import Counter
from collections.abc import Mapping

from balancer.data.metadata import UNKNOWN
from balancer.data.scan import FoundImage, Scan, Unusable, why_no_class
from balancer.errors import DataError

SEVERAL_FINDINGS = "image with several findings"
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
    scan: Scan, *, frontal: bool, classes: Mapping[str, str] | None, several: str = ""
) -> Scan:
    """Keep the images with the chosen views and labels, under their classes; count the others.

    Args:
        scan: Scan from a layout.
        frontal: Leave out images that are known not to be frontal.
        classes: Label to class; other labels are left out. None: all labels, unchanged.
        several: Separator of several findings in a label.
    """
    ignored: Counter[str] = Counter()
    wanted: dict[str, str] = {}
    for path, label in scan.files():
        reason = _why_not(scan.metadata.get(path, UNKNOWN).view, label, frontal, classes, several)
        if reason:
            ignored[reason] += 1
        else:
            wanted[path] = label if classes is None else classes[label]
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
    )


def _why_not(
    view: str, label: str, frontal: bool, classes: Mapping[str, str] | None, several: str
) -> str:
    if classes is not None and label not in classes:
        return f"image of {label!r}, for which no class is named"
    if classes is None and several and several in label:
        return SEVERAL_FINDINGS
    if frontal and not is_frontal(view):
        return f"image of the view {view} (data.views=all takes it)"
    return ""


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
        advice = f"choose classes, such as --set 'data.classes={{{example}}}'"
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
