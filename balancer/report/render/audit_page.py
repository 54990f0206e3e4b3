"""The audit as one HTML page with pictures of the findings; it loads no other file."""

import base64
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from balancer.data.audit.content import Audit, Finding, Statistics
from balancer.data.audit.findings import count
from balancer.data.audit.left_out import sentence_of
from balancer.data.audit.record import grouping_sentence, leakage_sentence
from balancer.data.audit.text import MOST_COLUMNS, turned
from balancer.data.io import Pixels, UnusableImageError, decode_radiograph, read_bytes
from balancer.data.roots import Roots
from balancer.imaging.pixels import COLOUR, for_opencv
from balancer.report.render.page import page_templates

_SIDE = 144
_QUALITY = 80
_GROUPS, _IMAGES = 16, 6
"""Largest number of groups shown per finding, and of images per group."""

Picture = Callable[[str], Pixels | None]


def pictures_of(roots: Roots) -> Picture:
    """Return a function that reads the image at a path, in its colours if it has any.

    It gives None if the image is unusable.
    """

    def read(path: str) -> Pixels | None:
        file = roots.locate(path)
        try:
            image = decode_radiograph(read_bytes(file), file, channels=COLOUR)
            return image.as_read if image.is_coloured else image.pixels
        except UnusableImageError:
            return None  # the page names the fault beside the gap

    return read


def render_audit(audit: Audit, picture: Picture, *, title: str = "Audit of the images") -> str:
    """Fill the template.

    Args:
        audit: Content of `audit.json`.
        picture: Function that reads an image.
        title: Title of the page.

    Returns:
        HTML; every text from the data is escaped.
    """
    environment = page_templates()
    leakage = leakage_sentence(audit.groups, audit.kind) if audit.splits else ""
    reading = [*audit.notes, *(sentence_of(*lost) for lost in audit.left_out.items())]
    split_corner, splits = turned("split", audit.splits)
    counting = [finding for finding in audit.findings if finding.counts]
    page: str = environment.get_template("audit.html").render(
        title=title,
        subject=audit.kind.subject,
        n_images=sum(row.usable for row in audit.classes.values()),
        classes=[f"{row.usable} {label}" for label, row in audit.classes.items()],
        labels=list(audit.classes),
        counting=counting,
        verdict=_verdict(counting),
        leakage=leakage,
        warnings=[
            *reading,
            *(text for text in audit.warnings if not counting and text not in (leakage, *reading)),
        ],
        findings=[_finding(finding, audit, picture) for finding in audit.findings],
        statistics=_statistics(audit.statistics),
        turn=len(audit.classes) > MOST_COLUMNS,
        associations=list(_associations(audit)),
        class_table={label: row.model_dump() for label, row in audit.classes.items()},
        splits=splits,
        split_corner=split_corner,
        groups=grouping_sentence(audit.groups) if audit.splits else "",
    )
    return page


def _verdict(counting: Sequence[Finding]) -> str:
    if not counting:
        return "Nothing was found that somebody should act on."
    titles = "; ".join(_lower(finding.title) for finding in counting)
    return f"{count(len(counting), 'finding')} to look at: {titles}."


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]


def _finding(finding: Finding, audit: Audit, picture: Picture) -> dict[str, Any]:
    groups, captions = finding.groups, finding.captions
    shown = []
    for place, paths in enumerate(groups[:_GROUPS]):
        images = [_image(path, audit.labels[path], picture) for path in paths[:_IMAGES]]
        caption = captions[place] if captions else ""
        shown.append({"images": images, "caption": caption, "more": max(0, len(paths) - _IMAGES)})
    return {
        "title": finding.title,
        "sentence": finding.sentence,
        "counts": finding.counts,
        "number": len(groups),
        "groups": shown,
        "more": max(0, len(groups) - _GROUPS),
    }


def _image(path: str, label: str, picture: Picture) -> dict[str, str]:
    pixels = picture(path)
    return {
        "path": path,
        "label": label,
        "name": path.removeprefix(f"{label}/"),
        "uri": "" if pixels is None else _uri(pixels),
    }


def _uri(pixels: Pixels) -> str:
    height, width = pixels.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, encoded = cv2.imencode(".jpg", for_opencv(small), (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def _statistics(found: Statistics | None) -> dict[str, Any]:
    if found is None:
        return {"rows": [], "sentence": "Not known: an older version measured none."}
    strong = {(one.statistic, one.label) for one in found.gives_away}
    rows = [
        {
            "title": row.title,
            "of_the_lungs": row.of_the_lungs,
            "cells": [
                {
                    "median": f"{cell.median:.3g}",
                    "auroc": "-" if cell.auroc is None else f"{cell.auroc:.2f}",
                    "strong": (name, label) in strong,
                }
                for label, cell in row.classes.items()
            ],
        }
        for name, row in found.table.items()
    ]
    return {"rows": rows, "sentence": _strongest(found)}


def _strongest(statistics: Statistics) -> str:
    found = statistics.strongest
    if found is None:
        return "All images have the same sizes, grey levels and borders."
    size = "larger" if found.larger else "smaller"
    sentence = (
        f"The strongest is the {found.title}: it is {size} in {found.label} than in the "
        f"rest with an AUROC of {found.strength:.2f}."
    )
    if found.gives_class_away:
        return f"{sentence} That alone gives the class away."
    return sentence if statistics.gives_away else f"{sentence} None gives a class away."


def _associations(audit: Audit) -> Iterator[dict[str, Any]]:
    known = [("source", audit.source), ("view", audit.view)]
    if audit.part is not None:
        known.append(("part", audit.part))
    for name, found in known:
        if found is None:
            yield {
                "name": name,
                "table": None,
                "sentence": f"Not known: the metadata name no {name}, so it was not checked.",
            }
            continue
        strength = found.cramers_v
        sentence = (
            "Cramer's V needs two values and two classes."
            if strength is None
            else f"Cramer's V: {strength:.2f} (0: independent, 1: one decides the other)."
        )
        if found.gives_label_away:
            sentence += f" The {name} alone gives the class away."
        corner, table = turned(name, found.table)
        yield {"name": name, "corner": corner, "table": table, "sentence": sentence}
