"""Several devices train as one does, with one writer; each test starts real processes."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from balancer.cli import main
from classifier import ArrayTable, ClassifierConfig, TrainingHardware
from classifier import train as train_classifier
from classifier.models import ImageClassifier, build
from gan.module import LitDCGAN
from support.tiny_gan import train
from support.tiny_pipeline import arguments, metrics_of

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, to start quickly"),
]
TWO = {"devices": 2, "strategy": "ddp_fork"}


@pytest.fixture(autouse=True)
def threads_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked process must not use OpenMP's threads of this one."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def networks(folder: Path) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "last.ckpt", weights_only=True)["state"]
    return dict(state["networks"])


def test_two_devices_train_a_gan_as_one_does_with_the_same_total_batch(tmp_path: Path) -> None:
    recipe = {
        "images_shown": 32,
        "augment": ("translation", "cutout"),
        "augment_probability": 0.5,
        "discriminator_norm": "batch",
        "evaluate_every": 0,
    }
    train(tmp_path / "one", batch_size=8, **recipe)
    result = train(tmp_path / "two", batch_size=4, trainer_options=TWO, **recipe)
    assert result.images_shown == 32
    one, two = networks(tmp_path / "one"), networks(tmp_path / "two")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5, msg=name)
    with (tmp_path / "two" / "metrics.csv").open() as file:
        assert [row["images_shown"] for row in csv.DictReader(file)] == ["8", "16", "24", "32"]


def test_a_signal_to_the_parent_stops_all_devices_and_one_of_them_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = LitDCGAN.training_step

    def step(self: LitDCGAN, images: torch.Tensor, batch_idx: int) -> None:
        if batch_idx == 1 and self.global_rank == 1 and self.images_shown < 80:
            os.kill(os.getppid(), signal.SIGTERM)
        original(self, images, batch_idx)

    monkeypatch.setattr(LitDCGAN, "training_step", step)
    recipe = {"batch_size": 2, "evaluate_every": 0, "images_shown": 96}
    result = train(tmp_path, trainer_options=TWO, **recipe)
    assert result.interrupted_by == signal.SIGTERM
    assert result.images_shown == 40  # the devices vote after ten steps
    resumed = train(tmp_path, **recipe)
    assert (resumed.images_shown, resumed.interrupted_by) == (96, None)


def build_without_norm(*arguments: Any, **words: Any) -> ImageClassifier:
    network = build(*arguments, **words)
    for name, layer in list(network.named_modules()):
        if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            network.set_submodule(name, torch.nn.Identity())
    return network


def test_two_devices_train_a_classifier_as_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With weights and mixup, where the halves of a batch must know of each other.

    Without batch norm, whose statistics two devices share on GPUs alone, as a warning says.
    """
    monkeypatch.setattr("classifier.member.build", build_without_norm)
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32), dtype=np.uint8)
    table = ArrayTable.of(images, [0, 0, 0, 1] * 10)
    config = ClassifierConfig(
        model="bam-cnn", input_size=32, batch_size=8, epochs=2, members=1, dropout=0,
        mixup_alpha=0.4, class_weights="balanced", loss="cross-entropy", batches="natural",
    )  # fmt: skip
    both = [TrainingHardware("cpu"), TrainingHardware("cpu", devices=2, strategy="ddp_fork")]
    one, two = (
        train_classifier(table, table, config, out_dir=tmp_path / str(number), hardware=hardware)
        for number, hardware in enumerate(both)
    )
    for first, second in zip(one.history, two.history, strict=True):
        assert second == pytest.approx(first, rel=1e-4)
    weights = [load_file(result.checkpoint / "classifier.safetensors") for result in (one, two)]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-3, atol=1e-5, msg=name)
    assert "batch norm" in caplog.text


def test_batches_that_cannot_be_divided_are_refused(tmp_path: Path) -> None:
    table = ArrayTable.of(np.zeros((10, 32, 32), np.uint8), [0, 1] * 5)
    config = ClassifierConfig(model="bam-cnn", input_size=32, batch_size=5, members=1)
    with pytest.raises(ValueError, match="batch_size"):
        train_classifier(
            table, table, config, out_dir=tmp_path,
            hardware=TrainingHardware("cpu", devices=2, strategy="ddp_fork"),
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_torchrun_has_one_writer_and_the_others_help(data: Path, tmp_path: Path) -> None:
    """The whole run: a second process that met the lock, or wrote, would fail it."""
    program = tmp_path / "program.py"
    program.write_text("from balancer.cli import main\n\nif __name__ == '__main__':\n    main()\n")
    words = arguments(data, tmp_path / "w", "gan.batch_size=4", "gan.images_shown=32")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         str(program), "gan-train", *words],
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    metrics = metrics_of(tmp_path / "w" / "gan" / "COVID")
    assert metrics["images_shown"] == 32
    assert done.stdout.count("Generators") == 1  # the table of one process
    assert "another balancer command" not in done.stderr.lower()


@pytest.mark.parametrize(
    ("environment", "options", "word"),
    [
        ({}, ["--num-nodes", "2"], "torchrun"),
        (
            {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RANK": "0"},
            ["--devices", "3"],
            "--devices",
        ),
    ],
)
def test_devices_that_nobody_started_are_refused(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    options: list[str],
    word: str,
) -> None:
    monkeypatch.setattr("balancer.execution.join", lambda: None)  # nobody is there to meet
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["gan-train", *arguments(data, tmp_path / "w"), *options])
    assert done.exit_code == 2, done.output
    assert word in done.output
