"""Several archives in one index, and archives with other layouts as external test sets."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from balancer.cli import main
from balancer.config import load_config
from balancer.data.config import DataConfig
from balancer.data.index import load_index
from balancer.data.records import PrepareMetrics
from balancer.data.roots import Roots
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.evaluation.external import load_external
from balancer.manifest import fingerprint
from balancer.results import read_result, result_json
from balancer.stages import prepare
from support import made_archives as made
from support.radiograph_folders import class_folders, film, in_workspace, index_of, save

CLASSES = {"COVID": "COVID-19", "COVID-19": "COVID-19", "Normal": "normal", "No finding": "normal"}


@pytest.fixture
def places(tmp_path: Path) -> list[Path]:
    radiography = made.radiography_database(tmp_path / "radiography", first_seed=100)
    return [radiography, made.actualmed(tmp_path / "actualmed"), made.figure1(tmp_path / "fig1")]


def test_archives_merge_with_their_names_sources_and_patients(places: list[Path]) -> None:
    scan = made.scanned(*places, classes=CLASSES)
    assert scan.layout == "radiography-database + actualmed + figure1"
    assert scan.labels == ("COVID-19", "normal")
    assert len(scan.images) == 18
    assert [image.path for image in scan.images] == sorted(made.labels_of(scan))
    known = scan.metadata
    assert known["radiography/COVID/images/COVID-2.png"].source == "sirm.org"
    assert known["actualmed/images/CR.1.2.0.png"].source == "actualmed"
    assert known["actualmed/images/CR.1.2.0.png"].patient_id == "actualmed:ANON0"
    assert known["fig1/images/N-1.jpg"].patient_id == "fig1:N-1"
    assert scan.masks["radiography/COVID/images/COVID-1.png"] == (
        "radiography/COVID/masks/COVID-1.png"
    )
    assert scan.ignored["row without a finding (actualmed)"] == 1


def test_an_index_of_several_archives(places: list[Path], tmp_path: Path) -> None:
    for place in places[1:]:  # or Actualmed and Figure 1 would share their drawn films
        for number, path in enumerate(sorted((place / "images").iterdir())):
            save(path, film(200 + number + 50 * len(place.name)))
    settings = {"root": tuple(places), "classes": CLASSES, "min_images": 3}
    config = load_config().model_copy(update={"data": DataConfig(**settings)})
    workspace = in_workspace(tmp_path)
    result = prepare.run(config, workspace)
    assert result.settings["data"]["root"] == [str(place) for place in places]
    index = load_index(workspace.index_dir)
    assert {record.source for record in index.records} == {
        *("actualmed", "fig1", "sirm.org", "github.com/armiro/COVID-CXNet"),
        "kaggle.com/c/rsna-pneumonia-detection-challenge",
    }
    assert index.image_set(32).pixels.shape == (18, 32, 32)
    masked = [one.mask for one in index.details() if one.mask]
    assert len(masked) == 6
    assert all(index.roots.locate(mask).is_file() for mask in masked)
    # A later command, without --data, finds them again.
    unset = config.model_copy(update={"data": config.data.model_copy(update={"root": None})})
    assert prepare.run(unset, workspace) == result
    # Nothing of a patient's id is written.
    for path in workspace.index_dir.iterdir():
        if path.is_file():
            assert "ANON0" not in path.read_text(encoding="utf-8"), path


def test_a_film_of_two_archives_enters_once(tmp_path: Path) -> None:
    one = class_folders(tmp_path / "one", {"COVID": 4, "Normal": 4})
    other = class_folders(tmp_path / "other", {"COVID": 4, "Normal": 4}, first_seed=50)
    (other / "COVID" / "000.png").write_bytes((one / "COVID" / "001.png").read_bytes())
    config = DataConfig(root=(one, other), min_images=3)
    workspace = in_workspace(tmp_path)
    prepare.run(load_config().model_copy(update={"data": config}), workspace)
    paths = [record.path for record in load_index(workspace.index_dir).records]
    assert "one/COVID/001.png" in paths
    assert "other/COVID/000.png" not in paths
    assert len(paths) == 15


def test_archives_of_one_name_and_layouts_by_name(tmp_path: Path, places: list[Path]) -> None:
    again = made.actualmed(tmp_path / "again" / "actualmed")
    with pytest.raises(ConfigurationError, match="'actualmed'"):
        Roots.of([places[1], again])
    names = ("radiography-database", "actualmed", "figure1")
    assert made.scanned(*places, classes=CLASSES, layout=names).images
    with pytest.raises(DataError, match=r"metadata\.csv.* imagename"):
        made.scanned(*places, classes=CLASSES, layout=("auto", "auto", "actualmed"))


def test_the_shell_takes_data_and_layout_again_and_again(
    places: list[Path], tmp_path: Path
) -> None:
    words = ["prepare", "-w", str(tmp_path / "w"), "--set", "data.min_images=3", "-q"]
    for place in places[1:]:
        words += ["--data", str(place)]
    words += ["--layout", "actualmed", "--layout", "figure1"]
    done = CliRunner().invoke(main, words)
    # Both are drawn from the same seeds, and say different things of them.
    assert done.exit_code == 4, done.output
    assert "should have one class" in done.output
    words[-2] = "figure-1"
    assert CliRunner().invoke(main, words).exit_code == 2


def test_an_archive_of_another_layout_to_test_on(tmp_path: Path) -> None:
    index = index_of(
        class_folders(tmp_path / "data", {"COVID": 8, "Normal": 10}, first_seed=300),
        in_workspace(tmp_path),
    )
    place = made.actualmed(tmp_path / "actualmed")
    chosen = {"COVID-19": "COVID", "No finding": "Normal"}
    external = load_external(place, index, DataConfig(external_classes=chosen))
    assert external.facts().classes == {"COVID": 3, "Normal": 3}
    assert external.records[0].path == "images/CR.1.2.0.png"
    assert external.image_set(tmp_path / "cache", 32).pixels.shape == (6, 32, 32)
    with pytest.raises(DataError, match=r"data\.external_classes"):
        load_external(place, index, DataConfig())
    with pytest.raises(ConfigurationError, match=r"data\.external_classes .*'Flu'"):
        load_external(place, index, DataConfig(external_classes={"Flu": "COVID"}))


def test_details_are_guarded_and_an_old_index_knows_none(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", {"COVID": 8, "Normal": 10})
    (root / "metadata.csv").write_text("path,view\nCOVID/000.png,AP\n")
    workspace = in_workspace(tmp_path)
    index = index_of(root, workspace)
    assert [one.view for one in index.details()].count("AP") == 1
    path = workspace.index_dir / "details.csv"
    result = read_result(workspace.index_dir, PrepareMetrics)
    assert result is not None
    assert result.metrics.details_sha256 == fingerprint(path.read_bytes())
    path.write_text(path.read_text().replace(",AP,", ",PA,"))
    with pytest.raises(IntegrityError, match=r"details\.csv"):
        index.details()
    old = result_json(result)
    del old["metrics"]["details_sha256"]
    (workspace.index_dir / "result.json").write_text(json.dumps(old))
    assert {one.view for one in load_index(workspace.index_dir).details()} == {""}
