"""Patients and slides in the names of files, as well-known archives write them."""

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from balancer.data.metadata import UNKNOWN, patient_text
from balancer.data.scan import Scan

_NEARLY_ALL = 0.95


@dataclass(frozen=True, slots=True)
class NamePattern:
    """Pattern of names that give the patient.

    Attributes:
        example: Example of a name, for readers.
        pattern: Expression that matches the whole path below the class folder without the suffix;
            its first group is the patient.
        sure: Names of this form give patients even if each has one image.
        kind: Kind of thing that is named: `patient`, or a unit such as `slide`.
    """

    example: str
    pattern: re.Pattern[str]
    sure: bool = False
    kind: str = "patient"


def _stem(expression: str) -> re.Pattern[str]:
    return re.compile(rf"(?:.*/)?{expression}", re.IGNORECASE)


PATTERNS = (
    NamePattern("00000001_000.png (NIH)", _stem(r"(\d{8})_\d{3}"), sure=True),
    NamePattern("person12_bacteria_34.jpeg (Kaggle)", _stem(r"(person\d+)_(?:bacteria|virus)_\d+")),
    NamePattern(
        "IM-0115-0001.jpeg (Kaggle, one examination)",
        _stem(r"((?:NORMAL2-)?IM-\d{4})-\d{4}(?:-\d{4})?"),
    ),
    NamePattern("CNV-1016042-12.jpeg (Kermany)", _stem(r"[A-Z]+-(\d{5,})-\d+")),
    NamePattern(
        "patient00001/study1/view1_frontal.jpg", re.compile(r"(?:.*/)?(patient\d+)[/_-].*")
    ),
    NamePattern("p10000032/s50414267/... (MIMIC)", re.compile(r"(?:.*/)?(p\d{8})/s\d{8}/.*")),
    NamePattern(
        "Mass-Training_P_00001_LEFT_CC (CBIS-DDSM)", _stem(r".*(P_\d{5})_(?:LEFT|RIGHT).*")
    ),
    NamePattern("TCGA-05-4244-01A (TCGA)", _stem(r"(TCGA-\w{2}-\w{4}).*")),
    NamePattern("002_S_0295_... (ADNI)", _stem(r"(?:.*[_-])?(\d{3}_S_\d{4}).*")),
    NamePattern("OAS1_0001_MR1 (OASIS)", _stem(r"(OAS\d_\d{4,5})_.*")),
    NamePattern(
        "SOB_B_A-14-22549AB-40-001.png (BreakHis)", _stem(r"SOB_[BM]_\w+-(\d+-\w+)-\d+-\d+")
    ),
    NamePattern("sub-01_ses-1.png (BIDS)", _stem(r"(sub-[a-z0-9]+)_.*")),
    NamePattern(
        "patient_12_3.png",
        _stem(r"(?:.*[_\- ])?((?:patient|subject|subj|person|pat|case)[_\- ]?\d+)[_\- .(].*"),
    ),
    NamePattern(
        "patient_12/3.png",
        re.compile(
            r"(?:.*/)?((?:patient|subject|subj|person|pat|case)[_\- ]?\d+)/.*", re.IGNORECASE
        ),
    ),
    NamePattern(
        "slide_12_3.png", _stem(r"(?:.*[_\- ])?((?:slide|wsi)[_\- ]?\d+)[_\- .(].*"), kind="slide"
    ),
    NamePattern(
        "slide_12/3.png",
        re.compile(r"(?:.*/)?((?:slide|wsi)[_\- ]?\d+)/.*", re.IGNORECASE),
        kind="slide",
    ),
)
"""The archives' own names first; a class takes the first pattern that nearly all of it fits."""


def take_patients_from_names(scan: Scan) -> None:
    """Fill in the patients of classes whose files nearly all have names of one known form.

    Except for NIH's names, at least one patient must have two images: otherwise a number of the
    image would be taken for that of a patient.

    Args:
        scan: Scan whose metadata name no patients; its metadata and notes are changed.
    """
    names: dict[str, dict[str, str]] = defaultdict(dict)
    for path, label in scan.files():
        # The class folder is no patient, even where it is called `case 1`.
        below = path.partition(f"{label}/")[2] or path
        names[label][path] = str(PurePosixPath(below).with_suffix(""))
    taken: dict[NamePattern, dict[str, str]] = defaultdict(dict)
    for of_class in names.values():
        pattern, patients = _first_that_fits(of_class)
        if pattern is not None:
            taken[pattern] |= patients
    for pattern, patients in taken.items():
        if not pattern.sure and len({*patients.values()}) == len(patients):
            continue
        for path, patient in patients.items():
            known = scan.metadata.get(path, UNKNOWN)
            if pattern.kind == "patient":
                scan.metadata[path] = replace(known, patient_id=patient)
            else:
                scan.metadata[path] = replace(known, unit=f"{pattern.kind}:{patient}")
        scan.notes.append(
            f"The {pattern.kind}s of {len(patients)} images are read from their names, such as "
            f"{pattern.example}: {len({*patients.values()})} {pattern.kind}s."
        )


def _first_that_fits(names: dict[str, str]) -> tuple[NamePattern | None, dict[str, str]]:
    for pattern in PATTERNS:
        found = {}
        for path, name in names.items():
            match = pattern.pattern.fullmatch(name)
            if match and patient_text(match[1]):
                found[path] = match[1].lower()
        if len(found) >= max(1.0, _NEARLY_ALL * len(names)):
            return pattern, found
    return None, {}
