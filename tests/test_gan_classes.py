"""One network for several classes, exported as one generator for each."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageOps

import gan
from balancer.cli import main
from gan.module import LitDCGAN
from gan.networks import Discriminator, Generator
from gan.stream import ClassStream
from support.tiny_gan import noise, recipe, watched
from support.tiny_pipeline import arguments, draw_folder, metrics_of, tree

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGES = {"dark": noise(9) // 4, "light": 192 + noise(20) // 4, "middle": 96 + noise(12) // 4}


def scored() -> dict[str, gan.Validation]:
    return {"dark": watched(0.5, 0.4, 0.3, 0.2), "light": watched(0.1, 0.2, 0.3, 0.4)}


def train(out_dir: Path, validation: dict[str, gan.Validation]) -> dict[str, gan.GANResult]:
    provenance = {
        name: gan.Provenance(class_name=name, index_hash="i", training_ids=(f"{name}-1",))
        for name in IMAGES
    }
    return gan.train_classes(
        IMAGES,
        recipe(),
        out_dir=out_dir,
        seed=3,
        validation=validation,
        provenance=provenance,
        trainer_options=gan.GANTrainerOptions(accelerator="cpu"),
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, gan.GANResult]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    trained = train(tmp_path_factory.mktemp("classes"), scored())
    torch.set_num_threads(threads)
    return trained


def test_each_class_has_a_generator_of_its_own(results: dict[str, gan.GANResult]) -> None:
    loaded = {name: gan.load(result.directory) for name, result in results.items()}
    assert list(loaded) == list(IMAGES)
    images = {name: gan.sample(one, 8) for name, one in loaded.items()}
    assert not (images["dark"] == images["light"]).all()
    metadata = loaded["dark"].metadata
    assert metadata.class_name == "dark"
    assert metadata.training_ids == ("dark-1",)
    assert metadata.companion_ids == ("light-1", "middle-1")
    for result in results.values():
        with Image.open(result.directory / "grid.png") as grid:
            assert grid.size == (256, 256)


def test_snapshots_are_chosen_class_by_class(results: dict[str, gan.GANResult]) -> None:
    """In turn after 24, 48 and 72 images, and all at the end: one evaluation costs as before."""
    shown = {name: result.selected for name, result in results.items()}
    assert shown["dark"] is not None
    assert shown["light"] is not None
    assert shown["dark"].images_shown == 96  # its KID falls from 24 to 96
    assert shown["light"].images_shown == 48  # its KID rises from 48 to 96
    assert shown["middle"] is None  # without validation images the last is exported
    assert gan.load(results["light"].directory).metadata.images_shown == 48


def test_the_generator_of_a_class_is_the_network_with_its_class_fixed() -> None:
    network = Generator(recipe(), classes=3)
    for name, weight in network.named_parameters():
        if name.endswith(("scales", "offsets")):
            torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(len(name)))
    latents = torch.randn(6, 8)
    network(latents, torch.arange(6) % 3)  # statistics that are not those of a new network
    network.eval()
    for number in range(3):
        alone = network.of_class(number)
        assert set(alone.state_dict()) == set(Generator(recipe()).state_dict())
        expected = network(latents, torch.full((6,), number))
        torch.testing.assert_close(alone(latents), expected, rtol=1e-4, atol=1e-5)


def test_logits_differ_by_the_projection_on_the_class() -> None:
    network = Discriminator(recipe(), classes=2)
    assert network.directions is not None
    images = torch.randn(4, 1, 32, 32)
    zeros, ones = torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    torch.testing.assert_close(network(images, zeros), network(images))
    network.directions.data[1] = network.judge.weight[0].data
    twice = 2 * network(images, zeros) - network.judge.bias
    torch.testing.assert_close(network(images, ones), twice)


def test_the_stream_shows_all_classes_equally_often() -> None:
    classes = [torch.full((n, 1, 1, 1), 10 * n) + torch.arange(n).view(-1, 1, 1, 1) for n in (2, 5)]
    stream = ClassStream(classes, seed=0, batch_size=3, start=0, stop=18)
    shown = [int(image) for batch in stream.train_dataloader() for image in batch]
    assert sorted(shown[0::2][:2]) == [20, 21]
    assert sorted(shown[1::2][:5]) == [50, 51, 52, 53, 54]
    rest = ClassStream(classes, seed=0, batch_size=3, start=9, stop=18)
    assert [int(image) for batch in rest.train_dataloader() for image in batch] == shown[9:]


def test_a_stopped_training_ends_as_an_uninterrupted_one(
    tmp_path: Path,
    results: dict[str, gan.GANResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original, validation = LitDCGAN.training_step, scored()

    def step(self: LitDCGAN, images: torch.Tensor, batch_idx: int) -> None:
        if self.images_shown == 40:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, images, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(LitDCGAN, "training_step", step)
        first = train(tmp_path, validation)
    assert {result.interrupted_by for result in first.values()} == {signal.SIGTERM}
    again = train(tmp_path, validation)
    for name, result in results.items():
        files = [one.directory / "generator.safetensors" for one in (result, again[name])]
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    "images", [{"a": noise(4)}, {"a": noise(4), "b/c": noise(4)}, {"a": noise(4), "..": noise(4)}]
)
def test_names_that_cannot_be_folders_are_refused(
    tmp_path: Path, images: dict[str, torch.Tensor]
) -> None:
    with pytest.raises(ValueError, match="two or more classes"):
        gan.train_classes(images, recipe(), out_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn films, where a third class is some of the normal ones in negative."""
    folder = draw_folder(tmp_path_factory.mktemp("three") / "films", n_covid=14, n_normal=40)
    (folder / "Negative").mkdir()
    for path in sorted((folder / "Normal").iterdir())[:15]:
        with Image.open(path) as film:
            ImageOps.invert(film).save(folder / "Negative" / f"negative-{path.name}")
        path.unlink()
    return folder


def test_a_command_trains_one_network_for_the_classes_that_grow(
    three: Path, tmp_path: Path
) -> None:
    changes = (
        *("gan.images_shown=40", "gan.evaluate_every=16"),
        *("synthesis.ratio=1:1", "synthesis.networks=shared"),
    )
    words = arguments(three, tmp_path / "w", *changes)
    planned = CliRunner().invoke(main, ["gan-train", "--dry-run", "--json", *words])
    assert planned.exit_code == 0, planned.output
    assert json.loads(planned.stdout)["metrics"]["one_network"] is True
    done = CliRunner().invoke(main, ["gan-train", *words])
    assert done.exit_code == 0, done.output
    folders = {path.name: path for path in (tmp_path / "w" / "gan").iterdir()}
    assert set(folders) == {"COVID", "Negative"}  # the largest class was shown, but needs none
    metadata = {name: gan.load(path).metadata for name, path in folders.items()}
    shown = {*metadata["COVID"].training_ids, *metadata["COVID"].companion_ids}
    assert shown == {*metadata["Negative"].training_ids, *metadata["Negative"].companion_ids}
    assert len(shown) > sum(len(one.training_ids) for one in metadata.values())
    for path in folders.values():
        assert metrics_of(path)["images_shown"] == 56
    before = tree(tmp_path / "w" / "gan")
    again = CliRunner().invoke(main, ["gan-train", *words])
    assert again.exit_code == 0, again.output
    assert tree(tmp_path / "w" / "gan") == before
    made = CliRunner().invoke(main, ["synthesize", *words, "--set", "synthesis.screen=[]"])
    assert made.exit_code == 0, made.output
    other = CliRunner().invoke(main, ["gan-train", *words, "--set", "synthesis.networks=per-class"])
    assert other.exit_code == 2, other.output
