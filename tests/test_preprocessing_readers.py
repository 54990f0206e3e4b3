"""Whatever reads a film for a trained model does to it what was done to those it learnt from."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import classifier
from balancer.app.models import read_model
from balancer.app.reading import read_with
from balancer.data.cache import cached_pixels
from balancer.data.index import Index, load_index
from balancer.data.io import png_bytes, read_radiograph, resize_square
from balancer.data.preprocessing import learnt_from, refuse_other_preprocessing
from balancer.errors import DataError, IntegrityError
from balancer.evaluation.external import load_external
from balancer.explanation.cases import case_table, chosen_cases
from balancer.explanation.models import load_models
from balancer.imaging.config import PreprocessingConfig as Config
from balancer.imaging.preprocess import recorded
from balancer.stages import classify, evaluate, prepare
from balancer.synthetic.dcgan import load_dcgan
from balancer.workspace import Workspace
from classifier.checkpoint import CARD
from gan.checkpoint import Provenance
from support.tiny_pipeline import config_for, draw_folder

CHANGES = (
    "preprocessing.border=remove",
    "preprocessing.lungs=crop-to-lungs",
    "preprocessing.contrast=window",
    "classifier.members=1",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("seen") / "films", 14, 16, 64)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Workspace:
    workspace, config = Workspace(tmp_path_factory.mktemp("trained")), config_for(root, *CHANGES)
    prepare.run(config, workspace)
    classify.run(config, workspace)
    return workspace


@pytest.fixture
def index(trained: Workspace) -> Index:
    return load_index(trained.index_dir)


def predictions_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return {row["image_id"]: row for row in csv.DictReader(file)}


def test_the_card_notes_it(trained: Workspace, index: Index) -> None:
    provenance = classifier.load(trained.classify_dir("real")).provenance
    assert provenance["preprocessing"] == recorded(index.preprocessing)
    assert learnt_from(provenance, "it").settings() == index.preprocessing.settings()
    assert learnt_from({"index_hash": "of an old one"}, "it").preprocessing == Config()


def test_the_page_reads_test_films_as_the_test_did(trained: Workspace, index: Index) -> None:
    model = read_model(trained.classify_dir("real"), "real")
    told = predictions_of(trained.classify_dir("real"))
    for record in index.select("test"):
        film = read_radiograph(index.roots.locate(record.path))
        reading = read_with(model, film)
        np.testing.assert_array_equal(reading.seen, index.preprocessor.apply(film))
        for name, probability in zip(reading.class_names, reading.probabilities, strict=True):
            written = float(told[record.image_id][f"p:{name}"])
            assert probability == pytest.approx(written, abs=1e-6)


def test_generated_films_are_read_as_they_are(
    trained: Workspace, index: Index, tmp_path: Path
) -> None:
    model = read_model(trained.classify_dir("real"), "real")
    film = read_radiograph(index.roots.locate(index.records[0].path))
    assert read_with(model, film, synthetic=True).seen is film
    path = tmp_path / "made.png"
    path.write_bytes(png_bytes(film, {"Synthetic": "true"}))
    cases = chosen_cases(index, [str(path), index.records[0].image_id])
    made, real = case_table(cases, 32).sources[0]
    np.testing.assert_array_equal(made, resize_square(film, 32))
    np.testing.assert_array_equal(real, index.image_set(32).pixels[0])
    assert (made != real).any()


def test_another_data_set_is_read_as_the_classifier_learnt(
    trained: Workspace, index: Index, tmp_path: Path, root: Path
) -> None:
    folder = draw_folder(tmp_path / "elsewhere", 30, 34, 64)
    for path in folder.rglob("*.png"):  # what is left are other films than those of the index
        if (root / path.relative_to(folder)).exists():
            path.unlink()
    config = config_for(root, *CHANGES)
    result = evaluate.run(config, trained, images=folder)
    assert result.metrics.test.n > 10
    external = load_external(folder, index, config.data)
    pixels = external.image_set(tmp_path, 32, index.preprocessing).pixels
    for record, square in zip(external.records, pixels, strict=True):
        film = read_radiograph(folder / record.path)
        np.testing.assert_array_equal(square, cached_pixels(film, 32, index.preprocessor))
        assert (square != resize_square(film, 32)).any()
    by_network = Config(lungs="lungs-only", masks="unet")
    with pytest.raises(DataError, match=r"preprocessing\.masks"):
        external.image_set(tmp_path, 32, by_network)
    drawn = Config(lungs="lungs-only", masks="archive")
    with pytest.raises(DataError, match="masks=archive"):
        external.image_set(tmp_path, 32, drawn)


def test_a_classifier_that_learnt_from_other_films_is_refused(
    trained: Workspace, index: Index, tmp_path: Path
) -> None:
    folder = trained.classify_dir("real")
    other = tmp_path / "other"
    other.mkdir()
    for name in ("classifier.safetensors", "result.json"):
        (other / name).write_bytes((folder / name).read_bytes())
    card = json.loads((folder / CARD).read_text())
    card["provenance"]["preprocessing"]["border"] = "keep"
    (other / CARD).write_text(json.dumps(card))
    with pytest.raises(IntegrityError, match=r"preprocessing\.border=keep"):
        load_models([other], trained, index)
    card["provenance"]["preprocessing"] = {"version": 3}
    (other / CARD).write_text(json.dumps(card))
    with pytest.raises(IntegrityError, match="other"):
        read_model(other, "other")


def test_only_other_preprocessing_is_refused() -> None:
    for config in (Config(), Config(contrast="clahe"), Config(lungs="lungs-only", frame="pad")):
        refuse_other_preprocessing({"preprocessing": recorded(config)}, config, "It")
    with pytest.raises(IntegrityError):
        refuse_other_preprocessing({}, Config(contrast="clahe"), "It")


def test_a_generator_notes_it_and_one_of_before_still_loads(
    finished: Workspace, data: Path
) -> None:
    plain = Provenance(class_name="covid", index_hash="x", training_ids=("a",))
    assert "preprocessing" not in plain.model_dump(mode="json")
    made = plain.model_copy(update={"preprocessing": recorded(Config(border="remove"))})
    assert Provenance.model_validate_json(made.model_dump_json()) == made
    index = load_index(finished.index_dir)
    label = index.positive_class(None)
    assert load_dcgan(label, finished, index).loaded.metadata.preprocessing == {}
    changed = dataclasses.replace(index, preprocessing=Config(border="remove"))
    with pytest.raises(IntegrityError, match=r"preprocessing\.border"):
        load_dcgan(label, finished, changed)
