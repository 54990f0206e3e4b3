"""Names of the columns of tables that people use for patients, files and classes."""

import functools
import re
from collections.abc import Sequence

PATIENT = "patient_id"
_PERSON = (
    r"(?:patients?|patienten|paciente|pat|pt|subjects?|subj|persons?|participants?|individual)"
)
_NUMBER = r"(?:id|ids|no|nr|num|number|nummer|code|key|uid|hash|identifier|name)"
_PATIENTS = (
    re.compile(rf"(?:anon\w*|deid\w*|study|hospital|unique)?{_PERSON}(?:anon\w*|study)?{_NUMBER}"),
    re.compile(rf"id{_PERSON}"),
    re.compile(r"(?:patients?|paciente)"),
    re.compile(r"(?:subjects?|persons?|participants?|individual|usubjid|pid|ptid|empi|empianon)"),
    re.compile(r"(?:mrn|medicalrecord(?:no|number)?|hospital(?:no|number)|case|cases)"),
    re.compile(rf"case{_NUMBER}"),
)
"""Patterns of the names of columns of patients without case and punctuation, the surest first."""
_GROUP = re.compile(
    r"(?:lesion|study|exam|examination|accession|series|donor|slide|specimen|animal|family|visit"
    rf"|encounter|biopsy|sample)(?:instance)?{_NUMBER}"
)
_UNITS = {
    "lesion": re.compile(rf"lesion{_NUMBER}"),
    "slide": re.compile(rf"(?:slide|wsi|wholeslide(?:image)?)(?:{_NUMBER})?"),
    "specimen": re.compile(rf"(?:specimen|biopsy|block){_NUMBER}"),
}
"""Things that several images can show, the surest first, and patterns of their columns. Numbers of
studies or visits often start anew with each patient, so their columns are only named."""
_FILE = re.compile(
    r"(?:full|rel|relative)?(?:file|image|img|picture|photo|scan|xray|radiograph)s?"
    r"(?:name|path|file|id|index|no|number)?|path|filenames?|fname|name|idcode|id"
)
_LABEL = re.compile(
    r"(?:class|label|category|diagnos[ie]s|dx|findings?|findinglabels?|target|disease|pathology"
    r"|outcome|condition|classification|grade|verdict|y|disorder|abnormality)(?:name|id|label)?s?"
    r"|(?:image|true|final|class|primary)(?:class|labels?|diagnosis|name)"
)
_NEITHER = re.compile(
    r"sex|gender|age.*|view.*|source|split|set|fold|part|subset|modality|.*date|time|laterality"
    r"|side|width|height|size|format|locali[sz]ation|location|dxtype|hospital|site|device|scanner"
    r"|manufacturer|model|country|institution|city|url|doi|licen[cs]e|survival|intubated|offset"
)


def plain(name: str) -> str:
    """Return the name of a column without case, blanks and punctuation."""
    return re.sub(r"[\W_]", "", name.lower())


def patient_columns(header: Sequence[str]) -> list[str]:
    """Return the columns that name patients, the surest first.

    >>> patient_columns(["path", "Patient ID", "mrn", "age"])
    ['Patient ID', 'mrn']
    """
    ranks = {}
    for name in header:
        rank = next((n for n, one in enumerate(_PATIENTS) if one.fullmatch(plain(name))), None)
        if rank is not None:
            ranks[name] = -1 if name.strip() == PATIENT else rank
    return sorted(ranks, key=lambda name: (ranks[name], header.index(name)))


def group_columns(header: Sequence[str]) -> list[str]:
    """Return the columns that name groups of images of one thing, such as a lesion or a study."""
    return [name for name in header if _GROUP.fullmatch(plain(name))]


@functools.cache
def unit_column(header: tuple[str, ...]) -> tuple[str, str]:
    """Return the kind of things that a column names, such as `lesion`, and the column; else empty.

    >>> unit_column(("path", "WSI", "lesion_id"))
    ('lesion', 'lesion_id')
    """
    for kind, pattern in _UNITS.items():
        for name in header:
            if pattern.fullmatch(plain(name)):
                return kind, name
    return "", ""


def names_file(name: str) -> bool:
    """Return whether the name of a column says that it names files."""
    return _FILE.fullmatch(plain(name)) is not None


def names_label(name: str) -> bool:
    """Return whether the name of a column says that it holds classes."""
    return _LABEL.fullmatch(plain(name)) is not None


def names_something_else(name: str) -> bool:
    """Return whether the name of a column says that it holds neither files nor classes."""
    return _NEITHER.fullmatch(plain(name)) is not None


def rename_hint(header: Sequence[str], wanted: Sequence[str]) -> str:
    """Say which columns of a table to rename, as far as their names tell; empty: unknown.

    Args:
        header: Columns of the table.
        wanted: Columns that are missing; `path` and `label` are known.
    """
    tests = {"path": names_file, "label": names_label}
    found = {}
    for column in wanted:
        fits = [name for name in header if column in tests and tests[column](name)]
        if not fits:
            return ""
        found[column] = fits[0]
    return "rename " + " and ".join(f"{name} to {column}" for column, name in found.items())
