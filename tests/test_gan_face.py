"""The public face of gan: what `from gan import ...` offers, and what it does with plain arrays."""

import doctest
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gan
import gan.networks
from support.tiny_gan import noise, recipe

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = gan.GANTrainerOptions(accelerator="cpu")


def array(n: int = 20) -> np.ndarray:
    return noise(n)[:, 0].numpy()


def weights(folder: Path) -> bytes:
    return (folder / "generator.safetensors").read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the examples share, so that one training serves them all."""
    return tmp_path_factory.mktemp("examples")


@pytest.mark.parametrize("name", ["gan", *gan.__all__])
def test_each_public_name_has_an_example_that_runs(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    documented = gan if name == "gan" else getattr(gan, name)
    parser, report = doctest.DocTestParser(), list[str]()
    examples = parser.get_doctest(documented.__doc__ or "", {}, name, None, None)
    result = doctest.DocTestRunner().run(examples, out=report.append)
    assert result.attempted
    assert not result.failed, "".join(report)


def test_the_face_lists_its_names_and_no_others() -> None:
    assert {"GANConfig", "train", "load", "sample"} <= set(gan.__all__) <= set(dir(gan))
    assert sorted(gan.__all__) == gan.__all__
    with pytest.raises(AttributeError, match="fit"):
        gan.fit  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="fit"):
        from gan import fit  # type: ignore[attr-defined]  # noqa: F401


def test_settings_are_imported_without_torch() -> None:
    code = "import gan, sys; dir(gan); gan.GANConfig(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "lightning", "numpy", "matplotlib"} & set(done.stdout.split())


def test_arrays_of_all_kinds_train_like_a_tensor(tmp_path: Path) -> None:
    config, read_only = recipe(images_shown=16), array()
    read_only.flags.writeable = False
    images = {
        "tensor": noise(),
        "flat tensor": noise()[:, 0],
        "array": array(),
        "channel": array()[:, None],
        "read-only": read_only,
        "reversed": array()[::-1].copy()[::-1],
    }
    for name, some in images.items():
        result = gan.train(some, config, out_dir=str(tmp_path / name), trainer_options=CPU)
        assert result.directory == tmp_path / name
    assert len({weights(tmp_path / name) for name in images}) == 1
    metadata = gan.load(str(tmp_path / "array")).metadata
    assert (metadata.seed, metadata.index_hash, metadata.training_ids) == (0, "", ())


def test_validation_takes_arrays_and_scores_of_numpy(tmp_path: Path) -> None:
    def scores(images: np.ndarray) -> gan.SnapshotScores:
        return gan.SnapshotScores(
            kid=np.float64(-images.std()), diversity=np.float32(1), closer_to_training=0.5
        )

    validation = gan.Validation(array(9), scores)
    config = recipe(images_shown=48)
    result = gan.train(
        array(), config, out_dir=tmp_path, validation=validation, trainer_options=CPU
    )
    again = gan.train(array(), config, out_dir=tmp_path, validation=validation)
    assert isinstance(result.selected, gan.SnapshotEvaluation)
    assert again.selected == result.selected
    with pytest.raises(ValueError, match="validation images"):
        gan.train(
            array(), config, out_dir=tmp_path, validation=gan.Validation(array()[:, :8], scores)
        )


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"image_size": 48}, "image_size"),
        ({"image_size": "big"}, "image_size"),
        ({"learning_rate_generator": float("nan")}, "learning_rate_generator"),
        ({"augment": ("mirror",)}, r"augment\.0"),
        ({"learning_rate": 0.1}, "learning_rate"),
    ],
)
def test_a_wrong_setting_is_one_sentence(values: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=rf"GANConfig\.{name}") as caught:
        gan.GANConfig(**values)
    require_one_sentence(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda folder: gan.GANTrainerOptions(device=1),
        lambda folder: gan.Provenance(class_name="covid"),
        lambda folder: gan.train(array(), out_dir=folder),
        lambda folder: gan.train(array() / 255, recipe(), out_dir=folder),
        lambda folder: gan.train(array().tolist(), recipe(), out_dir=folder),
        lambda folder: gan.train(array()[:0], recipe(), out_dir=folder),
        lambda folder: gan.train(array()[0], recipe(), out_dir=folder),
        lambda folder: gan.train(array(), recipe(), out_dir=folder, seed=-1),
        lambda folder: gan.train(array(), recipe(), out_dir=folder, companions=array()),
        lambda folder: gan.train(array(), recipe(), out_dir=folder, seed=1.5),
        lambda folder: gan.train(array(), {"image_size": 16}, out_dir=folder),
        lambda folder: gan.train(array(), recipe(), out_dir=folder, trainer_options={}),
        lambda folder: gan.train(array(), recipe(), out_dir=folder, validation=array()),
        lambda folder: gan.train(array(), recipe(), out_dir=folder, provenance="films"),
        lambda folder: gan.sample(gan.networks.Generator(recipe()), 2.5),
        lambda folder: gan.sample(gan.networks.Generator(recipe()), -1),
        lambda folder: gan.sample(gan.networks.Generator(recipe()), 1, seed="0"),
        lambda folder: gan.load(folder),
        lambda folder: gan.sample(gan.load(folder), 4),
    ],
)
def test_wrong_input_is_one_sentence_and_writes_nothing(tmp_path: Path, call: Any) -> None:
    with pytest.raises(ValueError, match=r"\.$") as caught:
        call(tmp_path / "gan")
    require_one_sentence(caught.value)
    assert not (tmp_path / "gan").exists()


def require_one_sentence(error: ValueError) -> None:
    text = str(error)
    assert "\n" not in text
    assert "pydantic" not in text
    assert "http" not in text
    assert error.__suppress_context__ or error.__context__ is None


@pytest.mark.parametrize(("progress", "terminal"), [(False, True), (True, False), (True, True)])
def test_a_bar_is_shown_only_on_a_terminal_and_only_on_request(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    progress: bool,
    terminal: bool,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    gan.train(
        array(),
        recipe(images_shown=16),
        out_dir=tmp_path,
        trainer_options=CPU,
        progress=progress,
    )
    captured = capfd.readouterr()
    assert captured.out == ""
    assert ("16/16" in captured.err) == (progress and terminal)
    assert bool(captured.err) == (progress and terminal)


def test_samples_of_a_loaded_generator_continue_one_sequence(tmp_path: Path) -> None:
    gan.train(array(), recipe(images_shown=16), out_dir=tmp_path, trainer_options=CPU)
    generator = gan.load(tmp_path)
    images = gan.sample(generator, 70)
    assert np.array_equal(images[60:], gan.sample(generator, 10, start=60))
    assert not np.array_equal(images[:10], gan.sample(generator, 10, seed=1))
    assert isinstance(generator.generator(torch.zeros(1, 8)), torch.Tensor)


def test_what_is_no_image_or_generator_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="uint8"):
        gan.train(None, gan.GANConfig(image_size=32), out_dir=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"gan\.load"):
        gan.sample("folder", 2)  # type: ignore[arg-type]
