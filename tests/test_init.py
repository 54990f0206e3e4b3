"""`balancer init`: the recipe that it writes is read by the other commands."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from balancer import load_config
from balancer.ablation.estimate import Rates
from balancer.cli import main
from support.tiny_pipeline import draw_folder


@pytest.fixture(autouse=True)
def rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("balancer.first_recipe.measure_rates", lambda config: Rates(1.0, 2.0))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return draw_folder(tmp_path / 'a "quoted" folder')


def init(*words: object, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, ["init", *map(str, words)], input=answer)


def test_the_recipe_is_that_of_the_images(tmp_path: Path, images: Path) -> None:
    recipe = tmp_path / "first.yaml"
    done = init("--data", images, "--ratio", "3:2", "-o", recipe)
    assert done.exit_code == 0, done.stderr
    config = load_config(str(recipe))
    assert (config.data.root, str(config.synthesis.ratio)) == (images, "3:2")
    assert config.gan == load_config().gan
    for label in (one for one in images.iterdir() if one.is_dir()):
        assert f"{label.name} {len(list(label.iterdir()))}" in recipe.read_text()


def test_it_asks_for_the_folder(tmp_path: Path, images: Path) -> None:
    recipe = tmp_path / "first.yaml"
    assert init("-o", recipe, answer=f"{images}\n").exit_code == 0
    assert load_config(str(recipe)).data.root == images
    assert init("-o", tmp_path / "other.yaml", answer="").exit_code == 2


def test_an_existing_recipe_is_kept(tmp_path: Path, images: Path) -> None:
    recipe = tmp_path / "first.yaml"
    recipe.write_text("mine")
    assert init("--data", images, "-o", recipe).exit_code == 2
    assert recipe.read_text() == "mine"
    assert init("--data", images, "-o", recipe, "--force").exit_code == 0


def test_a_folder_without_images_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = init("--data", tmp_path / "empty", "-o", tmp_path / "first.yaml")
    assert done.exit_code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
