"""`balancer lungs train` and `apply`, from masks to masks."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from balancer.cli import main
from balancer.data.index import load_index
from balancer.data.io import read_radiograph
from balancer.data.masks.read import load_masks, mask_files
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.imaging.lungs.segment import dice, segment_lungs
from balancer.lungs.config import LungsConfig
from balancer.lungs.examples import choose_parts
from balancer.lungs.table import mask_names
from balancer.results import MissingStage
from balancer.stages import lungs, prepare
from samples.phantom import draw_lung_field, draw_phantom
from support.radiograph_folders import configured, in_workspace, save

TINY = (
    *("lungs.image_size=64", "lungs.filters=4", "lungs.images_shown=320"),
    *("lungs.learning_rate=0.01", "hardware.accelerator=cpu"),
)
PER_CLASS = 12


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`films/` with two classes of phantoms, and `masks/` with their exact lungs, half as large."""
    root = tmp_path_factory.mktemp("drawn")
    for place, label in enumerate(("COVID", "Normal")):
        for number in range(PER_CLASS):
            seed = 100 * place + number
            film = draw_phantom(seed, covid=label == "COVID", size=96)
            save(root / "films" / label / f"{number:02}.png", film)
            mask = draw_lung_field(seed, size=48).astype(np.uint8) * 255
            save(root / "masks" / label / f"{number:02}.png", mask)
    return root


@pytest.fixture
def workspace(films: Path, tmp_path: Path):
    workspace = in_workspace(tmp_path)
    prepare.run(configured(films / "films"), workspace)
    return workspace


def _config(films: Path, *more: str):
    return configured(films / "films", *TINY, f"lungs.masks={films / 'masks'}", *more)


def _rows(workspace) -> list[dict[str, str]]:
    with (workspace.lungs_dir / "lungs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_masks_without_training(films, workspace):
    result = lungs.run(_config(films), workspace, action="apply")
    rows = _rows(workspace)
    index = load_index(workspace.index_dir)
    assert [row["image_id"] for row in rows] == [record.image_id for record in index.records]
    assert {row["method"] for row in rows} == {"classical"}
    agreement = []
    for row in rows:
        film = read_radiograph(films / "films" / row["path"])
        written = read_radiograph(workspace.lungs_dir / "masks" / row["path"])
        assert set(np.unique(written)) <= {0, 255}
        assert np.array_equal(written > 0, segment_lungs(film).mask)
        drawn = cv2.imread(str(films / "masks" / row["path"]), cv2.IMREAD_GRAYSCALE)
        drawn = cv2.resize(drawn, (96, 96), interpolation=cv2.INTER_NEAREST_EXACT)
        agreement.append(dice(written > 0, drawn > 0))
        assert float(row["dice"]) == pytest.approx(agreement[-1], abs=1e-4)
    told = result.metrics.dice.unseen
    assert told.mean == pytest.approx(np.mean(agreement), abs=1e-4)
    assert told.n == len(rows)
    assert result.metrics.dice.seen is None
    for name in ("outlines.png", "before-after.png"):
        assert read_radiograph(workspace.lungs_dir / name).std() > 10
    assert any("Lung masks of 24 images" in str(line) for line in lungs.summary(result))


def test_training_then_masks_by_the_network(films, workspace):
    lungs.run(_config(films), workspace, action="apply")
    trained = lungs.run(_config(films), workspace, action="train")
    counts = dict.fromkeys(("train", "val", "test"), 0)
    for record in load_index(workspace.index_dir).records:
        counts[record.split] += 1
    assert trained.metrics.train_images == counts["train"]
    assert trained.metrics.validation_images == counts["val"]
    card = json.loads((workspace.lungs_dir / "model" / "unet.json").read_text())
    by_id = {record.image_id: record for record in load_index(workspace.index_dir).records}
    assert {by_id[each].split for each in card["provenance"]["training_ids"]} == {"train"}
    assert {by_id[each].split for each in card["provenance"]["validation_ids"]} == {"val"}
    applied = lungs.run(_config(films), workspace, action="apply")  # runs again by itself
    assert applied.metrics.method == "unet"
    assert applied.metrics.dice.seen.n == counts["train"]
    assert applied.metrics.dice.unseen.n == counts["val"] + counts["test"]
    assert (workspace.lungs_dir / "model" / "unet.safetensors").is_file()
    for result in (trained, applied):
        assert all(isinstance(line, str) for line in lungs.summary(result))


@pytest.mark.parametrize("name", ["unet.safetensors", "unet.json", "validation.png"])
def test_a_network_that_lost_a_file_is_refused_by_name(films, workspace, name):
    lungs.run(_config(films), workspace, action="train")
    (workspace.lungs_dir / "model" / name).unlink()
    settings = [f"--set={one}" for one in (*TINY, f"lungs.masks={films / 'masks'}")]
    words = ["lungs", "train", "-w", str(workspace.root), "--data", str(films / "films")]
    done = CliRunner().invoke(main, [*words, *settings])
    assert done.exit_code == 4, done.output
    assert name in done.stderr.splitlines()[-1]
    assert CliRunner().invoke(main, [*words, *settings, "--force"]).exit_code == 0


def test_up_to_date_or_not(films, workspace):
    config = _config(films)
    first = lungs.run(config, workspace, action="apply")
    assert lungs.run(config, workspace, action="apply") == first
    with pytest.raises(ConfigurationError, match="method"):
        lungs.run(_config(films, "lungs.method=classical"), workspace, action="apply")
    rows = _rows(workspace)
    (workspace.lungs_dir / "masks" / rows[0]["path"]).unlink()
    with pytest.raises(IntegrityError, match=r"\.png"):
        lungs.run(config, workspace, action="apply")
    lungs.run(config, workspace, action="apply", force=True)
    table = workspace.lungs_dir / "lungs.csv"
    table.write_text(table.read_text().replace("classical", "unet"))
    with pytest.raises(IntegrityError, match=r"lungs\.csv"):
        lungs.run(config, workspace, action="apply")


def test_masks_that_were_written_are_masks_to_every_other_command(films, workspace):
    lungs.run(_config(films), workspace, action="apply")
    index = load_index(workspace.index_dir)
    masks = load_masks(workspace.lungs_dir / "masks", index.roots, index.records, 32)
    assert masks.present.all()
    again = mask_files(index, workspace.lungs_dir / "masks")
    assert len(again) == len(index.records)


def test_the_masks_of_the_archive_need_no_naming(films, tmp_path):
    """`images/` beside `masks/` in every class, as in the COVID-19 Radiography Database."""
    for kind, folder in (("films", "images"), ("masks", "masks")):
        for file in (films / kind).glob("*/*.png"):
            save(
                tmp_path / "archive" / file.parent.name / folder / file.name, read_radiograph(file)
            )
    workspace = in_workspace(tmp_path)
    config = configured(tmp_path / "archive", *TINY)
    prepare.run(config, workspace)
    result = lungs.run(config, workspace, action="apply")
    assert result.metrics.dice.unseen.n == 2 * PER_CLASS
    assert lungs.run(config, workspace, action="train").metrics.validation.unet.n


def test_what_is_missing_is_named(films, tmp_path, workspace):
    bare = configured(films / "films", *TINY)
    with pytest.raises(DataError, match="--masks"):
        lungs.run(bare, workspace, action="train")
    with pytest.raises(ConfigurationError, match="lungs train"):
        lungs.run(_config(films, "lungs.method=unet"), workspace, action="apply")
    empty = tmp_path / "nothing"
    empty.mkdir()
    with pytest.raises(DataError, match="nothing"):
        lungs.run(_config(films, f"lungs.masks={empty}"), workspace, action="train")
    with pytest.raises(MissingStage):
        lungs.run(bare, in_workspace(tmp_path / "elsewhere"), action="apply")


def test_nothing_is_left_of_a_failure(films, tmp_path, workspace):
    masks = tmp_path / "masks"
    for label in ("COVID", "Normal"):
        for number in range(PER_CLASS):
            save(masks / label / f"{number:02}.png", np.zeros((32, 32), np.uint8))
    config = _config(films, f"lungs.masks={masks}")
    with pytest.raises(DataError, match="--masks"):
        lungs.run(config, workspace, action="train")
    assert not workspace.lungs_dir.exists() or not any(workspace.lungs_dir.iterdir())
    (masks / "COVID" / "00.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"00\.png"):
        lungs.run(config, workspace, action="apply")
    assert not workspace.lungs_dir.exists() or not any(workspace.lungs_dir.iterdir())


def test_a_changed_network_is_refused(films, workspace):
    lungs.run(_config(films, "lungs.images_shown=8"), workspace, action="train")
    weights = workspace.lungs_dir / "model" / "unet.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(IntegrityError, match=r"unet\.safetensors"):
        lungs.run(_config(films), workspace, action="apply")


def test_no_group_is_on_both_sides(films, workspace):
    """Without masks in the validation split, groups are held back; test images are never used."""
    index = load_index(workspace.index_dir)
    masks = {record.image_id: Path() for record in index.records if record.split != "val"}
    parts = choose_parts(index, masks, LungsConfig(), seed=0)
    assert parts.train
    assert parts.val
    assert not {r.group for r in parts.train} & {r.group for r in parts.val}
    assert {r.split for r in (*parts.train, *parts.val)} == {"train"}
    few = choose_parts(index, masks, LungsConfig(max_images=6), seed=0)
    assert len(few.train) + len(few.val) <= 6
    assert few == choose_parts(index, masks, LungsConfig(max_images=6), seed=0)
    one = {parts.train[0].image_id: Path()}
    with pytest.raises(DataError):
        choose_parts(index, one, LungsConfig(), seed=0)


def test_masks_have_names_of_their_own():
    assert mask_names(["A/1.jpg", "B/1.jpg"]) == {"A/1.jpg": "A/1.png", "B/1.jpg": "B/1.png"}
    twins = mask_names(["A/1.jpg", "A/1.png"])
    assert twins == {"A/1.jpg": "A/1.jpg.png", "A/1.png": "A/1.png.png"}


def test_the_commands(films, tmp_path):
    shared = ["-w", str(tmp_path / "w"), "--data", str(films / "films")]
    settings = [word for change in TINY for word in ("--set", change)]
    masks = ["--masks", str(films / "masks")]
    trained = CliRunner().invoke(main, ["lungs", "train", *shared, *settings, *masks])
    assert trained.exit_code == 0, trained.stderr
    assert "U-Net: Dice" in trained.stdout
    applied = CliRunner().invoke(main, ["lungs", "apply", *shared, *masks, "--json"])
    assert applied.exit_code == 0, applied.stderr
    assert json.loads(applied.stdout)["metrics"]["method"] == "unet"
    refused = CliRunner().invoke(main, ["lungs", "apply", *shared, "--method", "classical"])
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
