"""The findings of an audit, in words, with the images that show them.

A finding counts for `--strict` if it needs action: see `docs/audit.md`.
"""

from collections.abc import Iterator, Mapping, Sequence

from balancer.data.audit.content import Audit, Finding, NearDuplicatePair
from balancer.data.audit.left_out import LOSES, sentence_of
from balancer.data.audit.suspects import BROKEN, INVERTED, LATERAL, TEXT_HEAVY, UPSIDE_DOWN
from balancer.data.film.examine import (
    COLOURED,
    COLOURED_MARKS,
    DOUBTFUL_LUNGS,
    FEW_LEVELS,
    LOW_CONTRAST,
    OTHER_FORMAT,
)

_TITLES = {
    BROKEN: (
        "broken",
        "Broken, probably",
        "A band does not fit the rest, as where a damaged file was decoded.",
    ),
    INVERTED: ("inverted", "Negatives", "They look like the reverse of a {kind}."),
    UPSIDE_DOWN: ("upside-down", "Upside down", "Their abdomen is where the neck should be."),
    LATERAL: (
        "lateral",
        "Not frontal, probably",
        "Lateral images, other parts of the body, or images that are far off centre.",
    ),
    TEXT_HEAVY: (
        "text",
        "Much text",
        "Dates, names of days or captions cover 1 % of the image or more; a classifier can read.",
    ),
    COLOURED_MARKS: ("colour", "Colour", "Marks or text in colour; radiographs have none."),
    COLOURED: (
        "coloured",
        "Coloured images",
        "They are read as grey: what only colour shows is lost.",
    ),
    LOW_CONTRAST: ("low-contrast", "Hardly any contrast", "Nearly blank."),
    FEW_LEVELS: (
        "few-levels",
        "Few grey levels",
        "Black and white are there, but hardly anything between: a marker or dead pixel, a narrow "
        "window, two tones, or a mask in place of an image.",
    ),
    DOUBTFUL_LUNGS: (
        "doubtful-lungs",
        "Lungs found with doubt",
        "Their lung view may show the wrong part. `balancer lungs apply` draws the outlines; your "
        "own masks, or a U-Net trained on some, are better.",
    ),
    OTHER_FORMAT: ("format", "Misnamed files", "Their content is not what their name says."),
}


def find(audit: Audit, label_of: Mapping[str, str]) -> list[Finding]:
    """List what an audit found, the gravest first.

    Args:
        audit: Content of `audit.json`, without the findings.
        label_of: Class of every path.
    """
    return [*_wrong(audit), *_copies(audit, label_of), *_flagged(audit), *_given_away(audit)]


def _wrong(audit: Audit) -> Iterator[Finding]:
    torn = audit.same_image_in_several_classes
    told = {path for paths in torn for path in paths}
    unusable = [file for file in audit.unusable if file.path not in told]
    if unusable:
        yield Finding(
            "unusable",
            "Files that are no usable images",
            f"{count(len(unusable), 'file')} set aside{_listed(audit)}.",
            True,
            [[file.path] for file in unusable],
            [file.reason for file in unusable],
        )
    # Files that were set aside are findings of their own.
    losing = {
        label: lost
        for label, lost in audit.left_out.items()
        if (lost.images - audit.classes[label].quarantined) * lost.share > LOSES * lost.images
    }
    if losing:
        yield Finding(
            "images-left-out",
            "Images left out",
            "A class that loses images looks rarer than it is. "
            + " ".join(sentence_of(label, lost) for label, lost in losing.items()),
            True,
        )
    if torn:
        yield Finding(
            "same-image-in-two-classes",
            "The same image in two classes",
            f"{count(len(torn), 'image')} with equal pixels in different classes: one label is "
            f"wrong, but it is unknown which. All of them are set aside{_listed(audit)}.",
            True,
            torn,
            [count(len(paths), "file") for paths in torn],
        )
    across = [pair for pair in audit.near_duplicates if pair.across_classes]
    if across:
        yield Finding(
            "near-duplicates-across-classes",
            audit.kind.say("One {image} in two classes"),
            f"{count(len(across), 'pair')} of near duplicates in different classes: one label is "
            f"wrong, or the classes are one (data.classes joins them). {_split(audit, 'They')}, "
            "but a network still learns both.",
            True,
            [[pair.first, pair.second] for pair in across],
            [how(pair) for pair in across],
        )
    patients = audit.patients_in_several_classes
    if patients:
        yield Finding(
            "patients-in-several-classes",
            "Patients in several classes",
            f"{count(len(patients), 'patient')} with images in more than one class. That can be "
            "the course of a disease, or a wrong label. "
            f"{_split(audit, 'All images of a patient')}.",
            True,
            patients,
            [count(len(paths), "image") for paths in patients],
        )


def _copies(audit: Audit, label_of: Mapping[str, str]) -> Iterator[Finding]:
    copies: dict[str, list[str]] = {}
    for copy in audit.copies:
        copies.setdefault(copy.kept, [copy.kept]).append(copy.dropped)
    if copies:
        yield Finding(
            "copies",
            "Exact copies",
            f"{count(len(audit.copies), 'file')} with the bytes of another; the first of each "
            f"by name {'is in the index' if audit.splits else 'counts'}, the others are left out.",
            True,
            list(copies.values()),
            [count(len(paths), "file") for paths in copies.values()],
        )
    inside = [paths for paths in audit.clusters if len({label_of[path] for path in paths}) == 1]
    if inside:
        best = {(pair.first, pair.second): pair for pair in audit.near_duplicates}
        yield Finding(
            "near-duplicates",
            "Near duplicates",
            f"{count(len(inside), 'cluster')} of images that show one {audit.kind.image}. "
            f"{_split(audit, 'The images of a cluster')}.",
            True,
            inside,
            [_caption(paths, best) for paths in inside],
        )


def _flagged(audit: Audit) -> Iterator[Finding]:
    for flag, paths in audit.flags.items():
        name, title, sentence = _TITLES.get(flag, ("flag", flag.capitalize(), ""))
        images, sentence = count(len(paths), "image"), audit.kind.say(sentence)
        yield Finding(
            name, title, f"{images}. {sentence}".strip(), True, [[path] for path in paths]
        )


def _given_away(audit: Audit) -> Iterator[Finding]:
    for name, known in (("source", audit.source), ("view", audit.view)):
        if known is not None and known.gives_label_away:
            yield Finding(
                f"{name}-gives-class-away",
                f"The {name} gives the class away",
                f"The {name} of an image predicts its class; the table below shows it.",
                True,
            )
    masks = audit.masks
    if masks is not None and masks.gives_label_away:
        table = "; ".join(
            f"{method}: {', '.join(f'{number} {label}' for label, number in row.items())}"
            for method, row in masks.table.items()
        )
        yield Finding(
            "masks-give-class-away",
            "The origin of the lung masks gives the class away",
            f"Masks of different origin differ in shape, and so do the classes ({table}).",
            True,
        )
    told: set[str] = set()
    for found in audit.statistics.gives_away if audit.statistics else ():
        if found.statistic in told:
            continue  # of two classes, what tells one from the rest tells the other too
        if len(audit.classes) == 2:
            told.add(found.statistic)
        size = "larger" if found.larger else "smaller"
        also = f"; {audit.kind.disease} can change it too" if found.of_the_lungs else ""
        yield Finding(
            "statistic-gives-class-away",
            f"The {found.title} gives {found.label} away",
            f"It is {size} in {found.label} than in the rest: AUROC {found.strength:.2f}, "
            f"95 % interval from {found.low:.2f}{also}.",
            not found.of_the_lungs,
        )


def _listed(audit: Audit) -> str:
    return "; quarantine.csv lists them" if audit.splits else ""


def _split(audit: Audit, what: str) -> str:
    """Say what keeps images together, or that nothing does before they are split."""
    return f"{what} {'are kept' if audit.splits else 'have to be kept'} in one split"


def how(pair: NearDuplicatePair) -> str:
    """Say how alike two films are, and how one differs, as far as it is known."""
    flip = f", {pair.flip}" if pair.flip else ""
    crop = f", cropped by {pair.cropped:.0%}" if pair.cropped >= 0.01 else ""
    return f"correlation {pair.correlation:.3f}{flip}{crop}"


def _caption(paths: Sequence[str], pairs: Mapping[tuple[str, str], NearDuplicatePair]) -> str:
    if len(paths) > 2:
        return count(len(paths), "image")
    return how(pairs.get((paths[0], paths[1])) or pairs[paths[1], paths[0]])


def count(number: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
