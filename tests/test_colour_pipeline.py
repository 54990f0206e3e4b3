"""The main job on images in colour, from the files to the page, at the command."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import classifier
import gan
from balancer.app.desk import DECIDED, Desk
from balancer.app.models import find_models
from balancer.cli import main
from balancer.data.config import DataConfig
from balancer.data.index import load_index
from balancer.quality.extractors import load_extractor
from balancer.quality.features import features_of
from balancer.workspace import Workspace
from samples.phantom import draw_phantom
from support.radiograph_folders import save
from support.tiny_pipeline import TINY


def stained(seed: int, *, rare: bool) -> np.ndarray:
    """A drawing whose class is in its hue alone, uint8 (40, 40, 3)."""
    grey = draw_phantom(seed, covid=False, size=40).astype(np.float64)
    weights = (1.2, 0.9, 0.8) if rare else (0.8, 1.0, 1.5)
    tinted = np.stack([grey * weight for weight in weights], axis=2)
    luma = tinted @ (0.299, 0.587, 0.114)
    scale = (grey / np.maximum(luma, 1))[..., None]
    return np.clip(np.round(tinted * scale), 0, 255).astype(np.uint8)


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def run(words: list[str], workspace: Path, *options: str) -> None:
    changes = [word for change in TINY for word in ("--set", change)]
    done = CliRunner().invoke(main, [*words, "-w", str(workspace), *changes, *options])
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("colour")
    for number in range(56):
        rare = number < 16
        path = root / "data" / ("rare" if rare else "usual") / f"{number}.png"
        save(path, stained(number, rare=rare))
    place = root / "w"
    run(["prepare"], place, "--data", str(root / "data"))
    for words in (["gan-train"], ["synthesize", "--ratio", "2:1"], ["quality"], ["classify"]):
        run(words, place)
    run(["classify", "--with-synthetic"], place)
    run(["explain"], place)
    return Workspace(place)


def test_generated_images_are_in_colour_and_made_again(workspace: Workspace) -> None:
    loaded = gan.load(workspace.gan_dir("rare"))
    assert loaded.generator.channels == 3
    images = gan.sample(loaded, 3, seed=loaded.metadata.seed)
    assert images.shape == (3, 32, 32, 3)
    paths = sorted(workspace.synthetic_dir.glob("**/rare/00000[0-2].png"), key=lambda p: p.name)
    for path, image in zip(paths, images, strict=True):
        np.testing.assert_array_equal(opened(path), image)
    assert opened(workspace.gan_dir("rare") / "grid.png").shape[2] == 3


def test_the_classifier_learns_what_only_colour_shows(workspace: Workspace) -> None:
    for arm in ("real", "real+synthetic"):
        loaded = classifier.load(workspace.classify_dir(arm))
        assert loaded.network.preprocessing.channels == 3
    index = load_index(workspace.index_dir)
    pixels = index.image_set(32).pixels
    with pytest.raises(ValueError, match="channel"):
        classifier.predict(loaded, pixels[..., 0])


def test_a_generator_or_classifier_of_other_channels_is_refused(workspace: Workspace) -> None:
    card = json.loads((workspace.gan_dir("rare") / "generator.json").read_text())
    assert (card["channels"], card["preprocessing"]["channels"]) == (3, 3)
    grey = workspace.root.parent / "grey"
    data = str(workspace.root.parent / "data")
    run(["prepare"], grey, "--data", data, "--set", "data.channels=1")
    (grey / "gan").symlink_to(workspace.gan_dir("rare").parent)
    changes = [word for change in TINY for word in ("--set", change)]
    done = CliRunner().invoke(main, ["synthesize", "--ratio", "2:1", "-w", str(grey), *changes])
    assert done.exit_code == 4, done.output


def test_pictures_have_the_colours(workspace: Workspace) -> None:
    for place in (workspace.quality_dir / "real-rare.png", workspace.root / "explain/grad-cam.png"):
        sheet = opened(place)[..., :3]
        assert (np.ptp(sheet.astype(int), axis=2) > 20).mean() > 0.2


def test_no_word_of_chests_stands_in_a_report_of_other_images(workspace: Workspace) -> None:
    run(["report"], workspace.root)
    text = (workspace.root / "report" / "report.md").read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)  # settings
    text += (workspace.root / "report" / "methods.txt").read_text(encoding="utf-8")
    chests = re.compile(
        r"\b(films?|radiographs?|lungs?|chests?|frontal|opacit\w+)\b", re.IGNORECASE
    )
    assert not chests.findall(text)


def test_the_page_answers_for_images_in_colour(workspace: Workspace) -> None:
    index = load_index(workspace.index_dir)
    models = find_models(workspace, ())
    desk = Desk(
        workspace=workspace, limits=DataConfig(), index=index, models=models,
        familiarity=None, studios={}, problems=(),
    )  # fmt: skip
    path = index.roots.locate(index.select("val")[0].path)
    card = desk.classify(str(path), list(models), DECIDED)
    assert "colour picture" not in card
    assert card.count("data:image/png") > len(models)


def test_features_of_three_equal_channels_are_those_of_grey() -> None:
    grey = np.stack([draw_phantom(seed, covid=False, size=64) for seed in range(3)])
    extractor = load_extractor("lite0")
    in_colour = features_of(extractor, np.repeat(grey[..., None], 3, axis=3))
    np.testing.assert_allclose(in_colour, features_of(extractor, grey), atol=1e-4)
