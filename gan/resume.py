"""`last.ckpt`: the state of an unfinished training, saved and checked so that it can resume."""

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from gan.checkpoint import GeneratorCheckpointError, Provenance, write_atomically
from gan.config import GANConfig
from gan.module import LitDCGAN
from gan.trainer import AfterStep

STATE_NAME = "last.ckpt"
KIND = "gan-training"
FORMAT = 2


def describe_run(
    config: GANConfig, sets: Sequence[Tensor], *, seed: int, provenance: Provenance
) -> dict[str, Any]:
    """Return what identifies a training, as plain values.

    Args:
        config: Recipe.
        sets: uint8 (N, C, S, S) each, all images of the training.
        seed: Seed for the run.
        provenance: Source of the images.
    """
    return {
        "kind": KIND,
        "format": FORMAT,
        "config": config.model_dump(mode="json"),
        "seed": seed,
        "provenance": provenance.model_dump(mode="json"),
        "images_sha256": [
            hashlib.sha256(images.contiguous().numpy().data).hexdigest() for images in sets
        ],
    }


class CheckpointWriter(AfterStep):
    """Callback that saves the state at intervals and at the end, but never one that is not finite.

    Args:
        path: Path to the file.
        run: Result of `describe_run`.
        seconds: Training time of earlier calls.
    """

    def __init__(self, path: Path, run: Mapping[str, Any], *, seconds: float) -> None:
        self._path = path
        self._run = run
        self._seconds = seconds
        self._saved: int | None = None
        self._started = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def after_step(self, module: LitDCGAN, step: int) -> None:
        """Save at multiples of `checkpoint_every`, and each snapshot that is the best so far."""
        due = module.passed_multiple(module.config.checkpoint_every, step)
        if due or module.has_just_improved():
            self._save(module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end, whether planned or stopped; the other processes wait for it."""
        module = cast(LitDCGAN, pl_module)
        if trainer.is_global_zero and self._saved != module.images_shown:
            self._save(module)
        trainer.strategy.barrier()

    def _save(self, module: LitDCGAN) -> None:
        module.require_finite()
        seconds = self._seconds + time.monotonic() - self._started
        save_state(self._path, self._run, module.training_state(), seconds=seconds)
        self._saved = module.images_shown


def save_state(
    path: Path, run: Mapping[str, Any], state: Mapping[str, Any], *, seconds: float
) -> None:
    """Write the checkpoint; after a kill, the file is either the old or the new one.

    Args:
        path: Path to the file.
        run: Result of `describe_run`.
        state: Result of `LitDCGAN.training_state`.
        seconds: Training time so far.

    Raises:
        OSError: The file cannot be written.
    """
    content = io.BytesIO()
    torch.save({"run": dict(run), "state": dict(state), "seconds": seconds}, content)
    write_atomically(path, content.getvalue())


def load_state(path: Path, run: Mapping[str, Any]) -> tuple[dict[str, Any], float] | None:
    """Read the checkpoint of the same run.

    Args:
        path: Path to the file.
        run: Result of `describe_run`; the checkpoint must hold an equal one.

    Returns:
        The state and the seconds so far; None if there is no file.

    Raises:
        GeneratorCheckpointError: The file is damaged or belongs to another run.
    """
    if not path.exists():
        return None
    try:
        # torch.load does not compare the checksums that torch.save stored.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} is wrong")
        content = torch.load(path, map_location="cpu", weights_only=True)
        found, state, seconds = content["run"], content["state"], content["seconds"]
    except Exception as error:  # torch.load documents no complete list of its errors
        reason = " ".join(str(error).split())[:200]
        raise GeneratorCheckpointError(
            f"{path} should be the checkpoint of a training, but: {reason}; delete it to train "
            "from the beginning."
        ) from None
    difference = _difference(found, run)
    if difference:
        raise GeneratorCheckpointError(
            f"{path} belongs to another training: {difference}; use the same settings to resume "
            "it, or delete it to train from the beginning."
        )
    return state, float(seconds)


def _difference(found: object, wanted: object, name: str = "") -> str | None:
    """Return the first difference in words; None if there is none."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in [*wanted, *(key for key in found if key not in wanted)]:
            inner = f"{name}.{key}" if name else str(key)
            difference = _difference(found.get(key), wanted.get(key), inner)
            if difference:
                return difference
        return None
    if found == wanted:
        return None
    return f"{name} is {json.dumps(found)[:80]} in the file and {json.dumps(wanted)[:80]} now"
