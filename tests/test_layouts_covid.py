"""Archives of COVID-19 images: images, patients and left-out rows of each."""

from pathlib import Path

import pytest
from openpyxl import Workbook

from balancer.data.layouts.covid_collections import leaf, one_person
from balancer.data.layouts.radiography import source_of
from balancer.errors import DataError
from support import made_archives as made
from support.radiograph_folders import class_folders, film, save


def test_radiography_database(tmp_path: Path) -> None:
    scan = made.scanned(made.radiography_database(tmp_path))
    assert scan.layout == "radiography-database"
    assert scan.labels == ("COVID", "Normal")
    assert made.labels_of(scan)["COVID/images/COVID-1.png"] == "COVID"
    assert len(scan.images) == 6
    # The workbooks shout the names.
    sources = {path: one.source for path, one in scan.metadata.items()}
    assert sources["COVID/images/COVID-1.png"] == "github.com/armiro/COVID-CXNet"
    assert sources["COVID/images/COVID-2.png"] == "sirm.org"
    assert (
        sources["Normal/images/Normal-1.png"] == "kaggle.com/c/rsna-pneumonia-detection-challenge"
    )
    assert scan.masks["Normal/images/Normal-3.png"] == "Normal/masks/Normal-3.png"
    assert len(scan.masks) == 6
    assert not made.patients_of(scan)


def test_a_row_without_its_image_and_an_image_without_its_row(tmp_path: Path) -> None:
    root = made.radiography_database(tmp_path)
    (root / "COVID" / "images" / "COVID-2.png").unlink()
    save(root / "Normal" / "images" / "extra.png", film(99))
    scan = made.scanned(root)
    assert [(file.path, file.label, file.reason) for file in scan.refused] == [
        (
            "COVID/images/COVID-2.png",
            "COVID",
            "it is missing, though COVID.metadata.xlsx, row 3, lists it",
        )
    ]
    assert "Normal/images/extra.png" in made.labels_of(scan)
    assert scan.ignored["image that no row of its metadata.xlsx lists, kept without a source"] == 1


def test_an_own_table_beside_the_workbooks_comes_first(tmp_path: Path) -> None:
    root = made.radiography_database(tmp_path)
    (root / "metadata.csv").write_text("path,source\nCOVID/images/COVID-1.png,mine\n")
    scan = made.scanned(root)
    assert {one.source for one in scan.metadata.values()} == {"mine"}


def test_a_broken_workbook_and_one_of_other_columns(tmp_path: Path) -> None:
    root = made.radiography_database(tmp_path)
    (root / "COVID.metadata.xlsx").write_bytes(b"no workbook")
    with pytest.raises(DataError, match=r"COVID\.metadata\.xlsx"):
        made.scanned(root)
    book = Workbook()
    book.active.append(["NAME", "URL"])
    book.save(root / "COVID.metadata.xlsx")
    with pytest.raises(DataError, match=r"data\.xlsx"):
        made.scanned(root)


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://eurorad.org", "eurorad.org"),
        ("https://www.eurorad.org/case/16660", "eurorad.org"),
        ("https://bimcv.cipf.es/bimcv-projects/bimcv-covid19/#159", "bimcv.cipf.es"),
        ("https://github.com/ml-workgroup/covid-19-image-repository/tree/master/png",
         "github.com/ml-workgroup/covid-19-image-repository"),
        ("github.com/armiro/COVID-CXNet", "github.com/armiro/COVID-CXNet"),
    ],
)  # fmt: skip
def test_an_address_becomes_a_collection(url: str, source: str) -> None:
    assert source_of(url) == source


def test_covidx_joins_its_lists_and_keeps_patients_of_sources_apart(tmp_path: Path) -> None:
    scan = made.scanned(made.covidx(tmp_path))
    assert scan.labels == ("COVID-19", "normal", "pneumonia")
    assert len(scan.images) == 11
    patients = made.patients_of(scan)
    assert patients["train/a.png"] == patients["train/b.png"] == "cohen-1"
    assert patients["train/e.png"] == "rsna-1"
    assert patients["train/COVID(7).png"] == "sirm-COVID 7"
    # Two films of one person under two ids.
    assert patients["test/c.jpg"] == patients["test/d.jpg"] == "fig1-COVID-00003"
    assert scan.metadata["train/e.png"].source == "rsna"


def test_covidx_of_three_columns_knows_no_source(tmp_path: Path) -> None:
    scan = made.scanned(made.covidx(tmp_path, four_columns=False))
    assert len(scan.images) == 11
    assert {one.source for one in scan.metadata.values()} == {""}
    assert made.patients_of(scan)["train/a.png"] == "1"


def test_covidx_of_positive_and_negative(tmp_path: Path) -> None:
    scan = made.scanned(made.covidx(tmp_path, classes=("positive", "negative")))
    assert scan.labels == ("negative", "positive")


def test_lists_of_two_labellings_contradict_each_other(tmp_path: Path) -> None:
    root = made.covidx(tmp_path)
    (root / "test_B.txt").write_text("1 a.png positive cohen\n")
    with pytest.raises(DataError):
        made.scanned(root)


def test_a_line_of_covidx_that_does_not_fit(tmp_path: Path) -> None:
    root = made.covidx(tmp_path)
    with (root / "test.txt").open("a") as file:
        file.write("\n7 film.png influenza cohen\n")
    with pytest.raises(DataError):
        made.scanned(root)


def test_names_with_spaces_are_found_by_asking_the_archive(tmp_path: Path) -> None:
    root = made.covidx(tmp_path)
    save(root / "train" / "my film.png", film(77))
    with (root / "train.txt").open("a") as file:
        file.write("P 9 my film.png COVID-19 sirm\n")
    assert made.patients_of(made.scanned(root))["train/my film.png"] == "sirm-P 9"


def test_cohen_takes_frontal_films_with_a_finding(tmp_path: Path) -> None:
    scan = made.scanned(made.cohen(tmp_path, made.cohen_rows()))
    assert scan.labels == ("COVID-19", "SARS")
    assert len(scan.images) == 9
    assert scan.metadata["images/c4.jpeg"].view == "AP Supine"
    patients = made.patients_of(scan)
    assert patients["images/c0.jpeg"] == patients["images/c1.jpeg"] == "0"
    assert patients["images/s0.png"] == patients["images/s1.png"] == "9"
    assert scan.ignored == {
        "image of the view L (data.views=all takes it)": 1,
        "row of the modality CT": 1,
        "row without a finding": 2,
        "image with several findings": 1,
        "image that no row lists": 2,  # the films of the rows without a finding
    }


def test_cohen_with_all_views_and_chosen_findings(tmp_path: Path) -> None:
    root = made.cohen(tmp_path, made.cohen_rows())
    assert "images/lateral.png" in made.labels_of(made.scanned(root, views="all"))
    scan = made.scanned(
        root, classes={"COVID-19": "COVID", "COVID-19, ARDS": "COVID", "SARS": "other"}
    )
    assert scan.labels == ("COVID", "other")
    assert made.labels_of(scan)["images/both.png"] == "COVID"


def test_the_oldest_table_of_cohen(tmp_path: Path) -> None:
    rows = [f"{n},,,,COVID-19,,PA,2020,,c{n}.jpg,," for n in range(3)]
    rows += [f"{n},,,,SARS,,AP,2020,,s{n}.jpg,," for n in range(3)]
    rows.append("17,9,M,54,COVID-19,Y,CT,2020,Korea,ct.jpg,,")
    header = "Patientid,offset,sex,age,finding,survival,view,date,location,filename,doi, url"
    (tmp_path / "metadata.csv").write_text("\r\n".join([header, *rows]), encoding="utf-8-sig")
    made.films(tmp_path, [f"images/{kind}{n}.jpg" for kind in "cs" for n in range(3)])
    scan = made.scanned(tmp_path)
    assert scan.layout == "cohen"
    assert scan.labels == ("COVID-19", "SARS")
    assert scan.ignored == {"row of the modality CT": 1}


def test_findings_that_are_too_rare_are_shown_with_their_numbers(tmp_path: Path) -> None:
    rows = [*made.cohen_rows(), {"patientid": 5, "finding": "Tuberculosis", "filename": "t.png"}]
    root = made.cohen(tmp_path, rows)
    with pytest.raises(DataError) as caught:
        made.scanned(root)
    told = str(caught.value)
    assert "'Tuberculosis' with 1" in told
    assert "COVID-19 5, SARS 4, Tuberculosis 1" in told
    assert "--set 'data.classes={COVID-19: COVID-19, SARS: SARS}'" in told
    assert len(made.scanned(root, classes={"COVID-19": "COVID", "SARS": "SARS"}).images) == 9


def test_actualmed(tmp_path: Path) -> None:
    scan = made.scanned(made.actualmed(tmp_path))
    assert scan.layout == "actualmed"
    assert scan.labels == ("COVID-19", "No finding")
    assert made.patients_of(scan)["images/CR.1.2.5.png"] == "ANON2"
    assert scan.metadata["images/CR.1.2.1.png"].view == "PA"
    assert scan.ignored == {"row without a finding": 1, "image that no row lists": 1}


def test_figure1(tmp_path: Path) -> None:
    scan = made.scanned(made.figure1(tmp_path))
    assert scan.layout == "figure1"
    assert made.labels_of(scan) == {
        "images/COVID-00001.jpg": "COVID-19",
        "images/COVID-00003a.png": "COVID-19",
        "images/COVID-00003b.jpg": "COVID-19",
        "images/COVID-00004.jpg": "No finding",
        "images/COVID-00005.jpg": "No finding",
        "images/N-1.jpg": "No finding",
    }
    patients = made.patients_of(scan)
    assert patients["images/COVID-00003a.png"] == patients["images/COVID-00003b.jpg"]
    assert patients["images/N-1.jpg"] == "N-1"


def test_words_of_the_tables() -> None:
    assert [leaf(text) for text in ("Pneumonia", "Pneumonia/Fungal/Pneumocystis", "A/ B ")] == [
        "Pneumonia",
        "Pneumocystis",
        "B",
    ]
    assert [one_person(text) for text in ("12", "360b", "ANON9", "3ab", "")] == [
        "12",
        "360",
        "ANON9",
        "3ab",
        "",
    ]


def test_darkcovidnet_knows_patients_by_the_names_of_nih(tmp_path: Path) -> None:
    root = class_folders(tmp_path, {"Covid-19": 3})
    names = ["00000007_000.png", "00000007_001.png", "00000008_000.png"]
    made.films(root, [f"No_findings/{name}" for name in names], first_seed=10)
    scan = made.scanned(root)
    assert scan.layout == "darkcovidnet"
    assert made.patients_of(scan) == {
        "No_findings/00000007_000.png": "00000007",
        "No_findings/00000007_001.png": "00000007",
        "No_findings/00000008_000.png": "00000008",
    }


def test_names_like_those_of_nih_count_only_where_all_of_a_class_are_and_no_table_knows_better(
    tmp_path: Path,
) -> None:
    root = class_folders(tmp_path, {"COVID": 3, "Normal": 3})
    made.films(root, ["Normal/00000001_000.png", "COVID/00000001_001.png"], first_seed=10)
    assert made.patients_of(made.scanned(root)) == {}
    for number in range(3):
        (root / "Normal" / f"{number:03}.png").unlink()
    made.films(root, [f"Normal/00000002_00{number}.png" for number in range(3)], first_seed=20)
    assert len(made.patients_of(made.scanned(root))) == 4
    (root / "metadata.csv").write_text("path,patient_id\nCOVID/000.png,p\n")
    assert made.patients_of(made.scanned(root)) == {"COVID/000.png": "p"}


def test_masks_beside_plain_class_folders(tmp_path: Path) -> None:
    root = class_folders(tmp_path, {"COVID": 2, "Normal": 2})
    save(root / "COVID" / "masks" / "000.png", film(50))
    save(root / "masks" / "Normal" / "001.JPG", film(51))
    assert made.scanned(root).masks == {
        "COVID/000.png": "COVID/masks/000.png",
        "Normal/001.png": "masks/Normal/001.JPG",
    }
