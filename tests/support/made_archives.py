"""Small imitations of public archives: their layouts, with drawn images.

Column names and folders are those of the archives; docs/layouts.md names the sources.
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from openpyxl import Workbook

from balancer.data.config import DataConfig
from balancer.data.layouts.archives import read_archives
from balancer.data.roots import Roots
from balancer.data.scan import Scan
from support.radiograph_folders import film, save

COHEN_COLUMNS = (
    *("patientid", "offset", "sex", "age", "finding", "RT_PCR_positive", "survival", "view"),
    *("modality", "date", "location", "folder", "filename", "doi", "url", "license"),
    *("clinical_notes", "other_notes", ""),
)
ACTUALMED_COLUMNS = (
    *("patientid", "offset", "sex", "age", "finding", "survival", "temperature"),
    *("pO2 saturation", "view", "modality", "imagename", "artifacts/distortion", "notes"),
)
FIGURE1_COLUMNS = (
    *("patientid", "offset", "sex", "age", "finding", "survival", "temperature"),
    *("pO2 saturation", "view", "modality", "artifacts/distortion", "notes"),
)
NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
UID = "00a1b2c3-0000-4000-8000-{:012}"
"""Image id of the form that the RSNA uses."""


def scanned(*places: Path, min_classes: int = 2, **settings: object) -> Scan:
    """Scan archives as `prepare` does."""
    config = DataConfig(min_images=3, **settings)  # type: ignore[arg-type]
    return read_archives(Roots.of(places), config, min_classes=min_classes)


def labels_of(scan: Scan) -> dict[str, str]:
    """Map path to class."""
    return {image.path: image.label for image in scan.images}


def patients_of(scan: Scan) -> dict[str, str]:
    """Map path to patient, for the images that have one."""
    return {path: one.patient_id for path, one in scan.metadata.items() if one.patient_id}


def write_csv(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, object]],
    *,
    encoding: str = "utf-8",
    newline: str = "\n",
) -> Path:
    """Write a table; cells that a row does not name are empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, lineterminator=newline)
        writer.writerow(columns)
        writer.writerows([row.get(name, "") for name in columns] for row in rows)
    return path


def films(root: Path, paths: Iterable[str], *, first_seed: int = 0) -> None:
    """Draw an image at every path."""
    for seed, path in enumerate(paths, first_seed):
        save(root / path, film(seed))


def radiography_database(root: Path, *, first_seed: int = 0, count: int = 3) -> Path:
    """Make COVID and Normal, with masks; the workbook has NORMAL for the folder Normal."""
    urls = {
        "COVID": ["https://sirm.org/category/x/", "https://github.com/armiro/COVID-CXNet"],
        "Normal": ["https://www.kaggle.com/c/rsna-pneumonia-detection-challenge/data"],
    }
    for label, of_label in urls.items():
        book = Workbook()
        sheet = book.active
        sheet.append(["FILE NAME", "FORMAT", "SIZE", "URL"])
        for number in range(1, count + 1):
            name = f"{label}-{number}"
            films(root, [f"{label}/images/{name}.png"], first_seed=first_seed)
            save(root / label / "masks" / f"{name}.png", np.full((32, 32), 255, np.uint8))
            sheet.append([name.upper(), "PNG", "256*256", of_label[number % len(of_label)]])
            first_seed += 1
        book.save(root / f"{label}.metadata.xlsx")
    (root / "README.md.txt").write_text("drawn")
    return root


def covidx(root: Path, *, four_columns: bool = True, classes: Sequence[str] = ()) -> Path:
    """Make train and test lists with folders; `cohen` and `rsna` both have a patient 1."""
    of = classes or ("COVID-19", "normal", "pneumonia")
    rows = [
        ("train", "1", "a.png", of[0], "cohen"),
        ("train", "1", "b.png", of[0], "cohen"),
        ("train", "COVID 7", "COVID(7).png", of[0], "sirm"),
        ("test", "COVID-00003a", "c.jpg", of[0], "fig1"),
        ("test", "COVID-00003b", "d.jpg", of[0], "fig1"),
        ("train", "1", "e.png", of[1], "rsna"),
        ("train", "2", "f.png", of[1], "rsna"),
        ("test", "3", "g.png", of[1], "rsna"),
    ]
    if len(of) > 2:
        rows += [("train", "4", f"p{number}.png", of[2], "rsna") for number in range(3)]
    root.mkdir(parents=True, exist_ok=True)
    films(root, [f"{part}/{name}" for part, _, name, _, _ in rows])
    for part in ("train", "test"):
        lines = [" ".join(row[1:] if four_columns else row[1:-1]) for row in rows if row[0] == part]
        (root / f"{part}.txt").write_text("\n".join(lines) + "\n")
    return root


def cohen(root: Path, rows: Iterable[Mapping[str, object]], **how: str) -> Path:
    """Make Cohen's collection from rows, with an image for each X-ray."""
    filled = [{"modality": "X-ray", "folder": "images", "view": "PA"} | dict(row) for row in rows]
    write_csv(root / "metadata.csv", COHEN_COLUMNS, filled, **how)
    films(root, [f"images/{row['filename']}" for row in filled if row["modality"] == "X-ray"])
    return root


def cohen_rows() -> list[dict[str, object]]:
    """Return five rows of COVID-19, four of SARS, and some that are to be left out."""
    covid, sars = "Pneumonia/Viral/COVID-19", "Pneumonia/Viral/SARS"
    rows: list[dict[str, object]] = [
        {"patientid": f"{number // 2}", "finding": covid, "filename": f"c{number}.jpeg"}
        for number in range(5)
    ]
    rows[4]["view"] = "AP Supine"
    rows += [
        {"patientid": f"9{'ab'[number % 2]}", "finding": sars, "filename": f"s{number}.png"}
        for number in range(4)
    ]
    return [
        *rows,
        {"patientid": 1, "finding": covid, "filename": "lateral.png", "view": "L"},
        {"patientid": 1, "finding": covid, "filename": "ct.png", "modality": "CT", "view": "Axial"},
        {"patientid": 2, "finding": "todo", "filename": "todo.png"},
        {"patientid": 3, "finding": "", "filename": "nothing.png"},
        {"patientid": 4, "finding": f"{covid}, ARDS", "filename": "both.png"},
    ]


def actualmed(root: Path) -> Path:
    """Make three images of each finding, and an inconclusive one; the notes are Latin-1."""
    rows = [
        {
            "patientid": f"ANON{number // 2}",
            "finding": ("COVID-19", "No finding")[number % 2],
            "view": ("AP", "PA")[number % 2],
            "modality": "X-ray",
            "imagename": f"CR.1.2.{number}.png",
            "notes": "fi\u00e8vre",
        }
        for number in range(6)
    ]
    rows.append({"patientid": "ANON9", "imagename": "CR.1.2.9.png", "view": "PA"})
    write_csv(root / "metadata.csv", ACTUALMED_COLUMNS, rows, encoding="latin-1")
    films(root, [f"images/{row['imagename']}" for row in rows])
    return root


def figure1(root: Path) -> Path:
    """Make images named after patients; 00003a and 00003b are one person."""
    ids = ("COVID-00001", "COVID-00003a", "COVID-00003b", "COVID-00004", "COVID-00005", "N-1")
    findings = ("COVID-19", "COVID-19", "COVID-19", "No finding", "No finding", "No finding")
    rows = [
        {"patientid": one, "finding": finding, "view": "AP erect", "notes": "39\u00b0"}
        for one, finding in zip(ids, findings, strict=True)
    ]
    write_csv(root / "metadata.csv", FIGURE1_COLUMNS, rows, encoding="latin-1")
    films(root, [f"images/{one}.{'png' if one[-1] == 'a' else 'jpg'}" for one in ids])
    return root


def nih(root: Path, *, scattered: bool = False) -> Path:
    """Make three Cardiomegaly, three No Finding, one of two others; in images/ or images_0NN/."""
    labels = ["Cardiomegaly"] * 3 + ["No Finding"] * 3 + ["Infiltration|Mass"]
    lines = [NIH_HEADER]
    for number, label in enumerate(labels):
        name = f"{number // 2 + 1:08}_{number:03}.png"
        lines.append(f"{name},{label},0,{number // 2 + 1},58,M,PA,2682,2749,0.143,0.143,")
        folder = f"images_{number % 2 + 1:03}/images" if scattered else "images"
        films(root, [f"{folder}/{name}"], first_seed=number)
    (root / "Data_Entry_2017.csv").write_text("\r\n".join(lines) + "\r\n")
    return root


def rsna(root: Path, *, mapped: bool = False, images: bool = True) -> Path:
    """Make nine images of three classes, two rows for those with two boxes."""
    classes = ("Lung Opacity", "Normal", "No Lung Opacity / Not Normal")
    names = [UID.format(number) for number in range(9)]
    of = {name: classes[number // 3] for number, name in enumerate(names)}
    boxes = [*names, *(name for name in names if of[name] == "Lung Opacity")]
    write_csv(
        root / "stage_2_detailed_class_info.csv",
        ("patientId", "class"),
        [{"patientId": name, "class": of[name]} for name in boxes],
    )
    write_csv(
        root / "stage_2_train_labels.csv",
        ("patientId", "x", "y", "width", "height", "Target"),
        [{"patientId": name, "Target": int(of[name] == "Lung Opacity")} for name in boxes],
    )
    if images:
        films(root, [f"stage_2_train_images/{name}.png" for name in names])
    if mapped:
        entries = [
            {"subset_img_id": name, "img_id": f"{number // 2 + 1:08}_{number:03}.png"}
            for number, name in enumerate(names)
        ]
        path = root / "pneumonia-challenge-dataset-mappings_2018.json"
        path.write_text(json.dumps(entries))
    return root


def medmnist(path: Path, *, side: int = 32, several: bool = False) -> Path:
    """Make twelve rows in three parts, with PneumoniaMNIST's 2 or ChestMNIST's 14 labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[np.uint8]] = {}
    for seed, (part, count) in enumerate({"train": 8, "val": 2, "test": 2}.items()):
        images = np.stack([film(100 * seed + number, side) for number in range(count)])
        labels = np.arange(count, dtype=np.uint8)[:, None] % 2
        if several:
            labels = np.zeros((count, 14), np.uint8)
            labels[::2, 6] = 1  # every other one pneumonia, the rest without a finding
            labels[0, 2] = part == "train"  # and the first one effusion too
        arrays |= {f"{part}_images": images, f"{part}_labels": labels}
    np.savez_compressed(path, **arrays)
    return path
