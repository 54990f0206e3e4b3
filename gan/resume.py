"""`last.ckpt`: the state of an unfinished training, and the check that it is this training's."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan.checkpoint import CheckpointError, Provenance, write_atomically
from gan.config import GANConfig

STATE_NAME = "last.ckpt"
KIND = "gan-training"
FORMAT = 2


def describe_run(
    config: GANConfig, sets: Sequence[Tensor], *, seed: int, provenance: Provenance
) -> dict[str, Any]:
    """What makes two trainings the same, as plain values.

    Args:
        config: The recipe.
        sets: uint8 (N, 1, S, S) each, all images that are trained on.
        seed: The run's seed.
        provenance: What the images are.
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


def save_state(
    path: Path, run: Mapping[str, Any], state: Mapping[str, Any], *, seconds: float
) -> None:
    """Write the checkpoint; the file is the old one or the new one, whenever the process dies.

    Args:
        path: The file.
        run: Of `describe_run`.
        state: Of `LitDCGAN.training_state`.
        seconds: Time spent in training so far.

    Raises:
        OSError: The file cannot be written.
    """
    content = io.BytesIO()
    torch.save({"run": dict(run), "state": dict(state), "seconds": seconds}, content)
    write_atomically(path, content.getvalue())


def load_state(path: Path, run: Mapping[str, Any]) -> tuple[dict[str, Any], float] | None:
    """Read the checkpoint of this very run.

    Args:
        path: The file.
        run: Of `describe_run`; the checkpoint must hold the same.

    Returns:
        The state and the seconds so far; None where there is no file.

    Raises:
        CheckpointError: The file is damaged or of another run.
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
    except Exception as error:  # torch.load names no complete list of what it raises
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path} should be the checkpoint of a training, but: {reason}; delete it to train "
            "from the beginning."
        ) from None
    difference = _difference(found, run)
    if difference:
        raise CheckpointError(
            f"{path} belongs to another training: {difference}; repeat that run's settings to go "
            "on with it, or delete it to train from the beginning."
        )
    return state, float(seconds)


def _difference(found: object, wanted: object, name: str = "") -> str | None:
    """The first difference in words, None where there is none."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in [*wanted, *(key for key in found if key not in wanted)]:
            inner = f"{name}.{key}" if name else str(key)
            difference = _difference(found.get(key), wanted.get(key), inner)
            if difference:
                return difference
        return None
    if found == wanted:
        return None
    return f"{name} is {json.dumps(found)[:80]} there and {json.dumps(wanted)[:80]} here"
