import copy
import csv
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy
from PIL import Image

import gan.module
from gan import GANDiverged, GANTrainerOptions, GeneratorCheckpointError, load
from gan.augment import diff_augment
from gan.losses import discriminator_loss, generator_loss
from gan.module import LitDCGAN
from gan.randomness import BatchRandom, Purpose, random_stream
from gan.stream import ImageStream
from gan.trainer import SIGNALS, make_trainer
from gan.transforms import to_unit_range
from support.tiny_gan import PROVENANCE, noise, recipe, train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted training."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    out_dir = tmp_path_factory.mktemp("finished")
    result = train(out_dir)
    torch.set_num_threads(threads)
    assert result.images_shown == 96
    assert result.interrupted_by is None
    return out_dir


def interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int, number: signal.Signals) -> None:
    """Send this process a signal in the middle of a step."""
    original = LitDCGAN.training_step
    taken = 0

    def step(self: LitDCGAN, images: torch.Tensor, batch_idx: int) -> None:
        nonlocal taken
        taken += 1
        if taken == steps:
            os.kill(os.getpid(), number)
        original(self, images, batch_idx)

    monkeypatch.setattr(LitDCGAN, "training_step", step)


def weights(out_dir: Path) -> bytes:
    return (out_dir / "generator.safetensors").read_bytes()


def test_files_of_a_finished_training(finished: Path) -> None:
    grids = sorted(path.name for path in (finished / "grids").iterdir())
    assert grids == ["images-000000048.png", "images-000000096.png"]
    with Image.open(finished / "grid.png") as grid:
        assert grid.size == (8 * 32, 8 * 32)
        assert len(np.unique(np.asarray(grid))) > 10
    with Image.open(finished / "losses.png") as plot:
        plot.verify()
    with (finished / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["images_shown"]) for row in rows] == list(range(8, 97, 8))
    assert float(rows[0]["gan/loss_d"]) == pytest.approx(2 * np.log(2), abs=0.2)
    assert any((finished / "tensorboard").glob("events.out.tfevents.*"))
    assert not list(finished.rglob("*.partial"))
    metadata = load(finished).metadata
    assert metadata.class_name == "covid"
    assert metadata.images_shown == 96


@pytest.mark.fault(44)
def test_checkpoint_loads_without_pickled_code(finished: Path) -> None:
    content = torch.load(finished / "last.ckpt", weights_only=True)
    assert content["state"]["images_shown"] == 96
    assert len(content["state"]["optimizers"]) == 2
    assert any(name.startswith("ema.") for name in content["state"]["networks"])


@pytest.mark.fault(39)
@pytest.mark.parametrize(
    ("steps", "number"),
    [(1, signal.SIGINT), (5, signal.SIGTERM), (7, signal.SIGINT), (3, signal.SIGHUP)],
)
def test_interrupted_and_resumed_equals_uninterrupted(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
    number: signal.Signals,
) -> None:
    handlers = [signal.getsignal(s) for s in SIGNALS]
    with monkeypatch.context() as patch:
        interrupt_after(patch, steps, number)
        first = train(tmp_path)
    assert first.interrupted_by == number
    assert first.images_shown == 8 * steps
    assert handlers == [signal.getsignal(s) for s in SIGNALS]
    assert load(tmp_path).metadata.images_shown == 8 * steps

    second = train(tmp_path)
    assert second.interrupted_by is None
    assert second.images_shown == 96
    assert weights(tmp_path) == weights(finished)
    assert (tmp_path / "grid.png").read_bytes() == (finished / "grid.png").read_bytes()


def test_an_ignored_signal_stays_ignored(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under `nohup` a training outlives its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        interrupt_after(monkeypatch, 3, signal.SIGHUP)
        result = train(tmp_path)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert result.interrupted_by is None
    assert weights(tmp_path) == weights(finished)


def test_killed_and_resumed_equals_uninterrupted(finished: Path, tmp_path: Path) -> None:
    """kill -9 at an unforeseen moment after the first checkpoint."""
    script = f"""
        import sys, time, torch
        sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parent.parent)!r}]
        torch.set_num_threads(1)
        from pathlib import Path
        from gan.module import LitDCGAN
        from support.tiny_gan import train
        original = LitDCGAN.training_step
        def slow(self, images, batch_idx):
            time.sleep(0.05)
            original(self, images, batch_idx)
        LitDCGAN.training_step = slow
        train(Path({str(tmp_path)!r}))
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    deadline = time.monotonic() + 120
    while not (tmp_path / "last.ckpt").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "generator.json").exists()
    train(tmp_path)
    assert weights(tmp_path) == weights(finished)


def test_a_finished_training_is_not_repeated_and_a_lost_export_is_made_again(
    tmp_path: Path,
) -> None:
    first = train(tmp_path, images_shown=16)
    content = weights(tmp_path)
    (tmp_path / "generator.safetensors").unlink()
    second = train(tmp_path, images_shown=16)
    assert weights(tmp_path) == content
    assert second.images_shown == first.images_shown == 16
    assert second.seconds == first.seconds


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"seed": 4}, "seed"),
        ({"learning_rate_generator": 1e-3}, r"config\.learning_rate_generator"),
        (
            {"provenance": PROVENANCE.model_copy(update={"index_hash": "x"})},
            r"provenance\.index_hash",
        ),
        ({"images": noise().flip(0)}, "images_sha256"),
    ],
)
def test_another_training_is_not_resumed(
    finished: Path, changes: dict[str, Any], name: str
) -> None:
    before = (finished / "last.ckpt").read_bytes()
    with pytest.raises(GeneratorCheckpointError, match=name):
        train(finished, **changes)
    assert (finished / "last.ckpt").read_bytes() == before


@pytest.mark.parametrize("fault", ["empty", "half", "flipped", "text"])
def test_a_damaged_checkpoint_is_refused(finished: Path, tmp_path: Path, fault: str) -> None:
    content = (finished / "last.ckpt").read_bytes()
    middle = len(content) // 2
    (tmp_path / "last.ckpt").write_bytes(
        {
            "empty": b"",
            "half": content[:middle],
            "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "text": b"hello",
        }[fault]
    )
    with pytest.raises(GeneratorCheckpointError, match=r"last\.ckpt"):
        train(tmp_path)


@pytest.mark.fault(49)
def test_nan_stops_the_training_and_keeps_the_last_good_checkpoint(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    original = gan.module.generator_loss

    def poisoned(logits: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return original(logits) * (float("nan") if calls == 7 else 1)

    with monkeypatch.context() as patch:
        patch.setattr(gan.module, "generator_loss", poisoned)
        with pytest.raises(GANDiverged, match="56"):
            train(tmp_path)
    assert not (tmp_path / "generator.safetensors").exists()
    train(tmp_path)  # resumes after 40 images
    assert weights(tmp_path) == weights(finished)


@pytest.mark.fault(42)
def test_unwritable_folder_is_an_error_not_a_silent_success(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").mkdir()
    with pytest.raises((OSError, GeneratorCheckpointError), match=r"last.ckpt"):
        train(tmp_path, images_shown=16)


@pytest.mark.fault(3)
def test_few_images_make_a_smaller_batch_and_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        result = train(tmp_path, images=noise(3), images_shown=7)
    assert result.images_shown == 9
    assert "batch_size" in caplog.text


@pytest.mark.parametrize(
    "images", [noise(side=64), noise().float(), noise(0), noise().expand(-1, 2, -1, -1)]
)
def test_images_that_do_not_fit_are_refused(tmp_path: Path, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="image_size"):
        train(tmp_path, images=images)


def test_stderr_has_no_noise_and_stdout_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, images_shown=16)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_two_processes_count_all_images(tmp_path: Path) -> None:
    options = {"devices": 2, "strategy": "auto"}
    result = train(tmp_path, batch_size=4, images_shown=24, trainer_options=options)
    assert result.images_shown == 24
    assert result.interrupted_by is None
    assert load(tmp_path).metadata.images_shown == 24
    with (tmp_path / "metrics.csv").open() as file:
        assert [row["images_shown"] for row in csv.DictReader(file)] == ["8", "16", "24"]


@pytest.mark.parametrize("strategy", ["auto", "ddp"])
def test_two_processes_are_spawned_from_this_one(tmp_path: Path, strategy: str) -> None:
    """Both words; Lightning's own `ddp` would run the whole command again."""
    options = GANTrainerOptions(accelerator="cpu", devices=2, strategy=strategy)
    chosen = make_trainer(options, tmp_path, []).strategy
    assert isinstance(chosen, DDPStrategy)
    assert chosen._start_method == "spawn"


def test_stream_shows_each_image_once_per_epoch_at_any_batch_size() -> None:
    images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1)
    stream = ImageStream(images, seed=0, batch_size=4, start=0, stop=40)
    shown = [int(image) for batch in stream.train_dataloader() for image in batch]
    epochs = [shown[i : i + 10] for i in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_stream_resumes_at_any_position() -> None:
    images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1)
    whole = ImageStream(images, seed=0, batch_size=4, start=0, stop=40)
    rest = ImageStream(images, seed=0, batch_size=4, start=12, stop=40)
    assert torch.equal(
        torch.cat(list(whole.train_dataloader())[3:]), torch.cat(list(rest.train_dataloader()))
    )
    assert len(rest.train_dataloader()) == 7


def test_average_without_half_life_is_the_generator_and_its_statistics_fit(tmp_path: Path) -> None:
    train(tmp_path, images_shown=32, ema_half_life=0)
    networks = torch.load(tmp_path / "last.ckpt", weights_only=True)["state"]["networks"]
    exported = load(tmp_path).generator.state_dict()
    for name, value in exported.items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(value, networks[f"generator.{name}"])


def test_statistics_of_the_average_are_those_of_its_own_activations() -> None:
    module = LitDCGAN(recipe(), seed=0)
    module.ema.project.weight.data.mul_(30)
    network = module.averaged_generator()
    latents = torch.randn(4096, 8, generator=torch.Generator().manual_seed(1))
    before = network.project(latents).view(-1, 4, 4, network.start[0].num_features)
    norm = network.start[0]
    torch.testing.assert_close(norm.running_var, before.var((0, 1, 2)), rtol=0.15, atol=0)
    first = {name: value.clone() for name, value in network.state_dict().items()}
    again = module.averaged_generator().state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_one_pass_gives_both_networks_the_gradients_of_their_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, norm: str
) -> None:
    """The step's gradients are those of the two losses, each computed by itself."""
    before: list[LitDCGAN] = []
    after: list[LitDCGAN] = []
    batches: list[torch.Tensor] = []
    original = LitDCGAN.training_step

    def step(self: LitDCGAN, images: torch.Tensor, batch_idx: int) -> None:
        before.append(copy.deepcopy(self))
        batches.append(images)
        original(self, images, batch_idx)
        after.append(self)

    monkeypatch.setattr(LitDCGAN, "training_step", step)
    changes = {"discriminator_norm": norm, "augment": ("translation", "zoom")}
    train(tmp_path, images_shown=8, evaluate_every=0, augment_probability=0.5, **changes)
    module, images = before[0], batches[0]
    random = BatchRandom(random_stream(Purpose.STEP, module.seed, 0, 0))
    fakes = module.generator(torch.randn(8, 8, generator=random.stream))
    real, fake = (
        module.discriminator(diff_augment(some, ("translation", "zoom"), random, 0.5))
        for some in (to_unit_range(images), fakes)
    )
    for network, trained, loss in (
        (module.discriminator, after[0].discriminator, discriminator_loss(real, fake)),
        (module.generator, after[0].generator, generator_loss(fake)),
    ):
        wanted = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        found = [parameter.grad for parameter in trained.parameters()]
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
