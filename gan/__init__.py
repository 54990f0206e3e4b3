"""Train a DCGAN on a small set of medical images, grey or in colour, and sample from it.

>>> import numpy as np, gan
>>> images = np.random.default_rng(0).integers(0, 256, (64, 32, 32), dtype=np.uint8)
>>> config = gan.GANConfig(image_size=32, images_shown=256)
>>> result = gan.train(images, config, out_dir="noise-gan")
>>> gan.sample(gan.load(result.directory), 4).shape
(4, 32, 32)
"""

import importlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gan.checkpoint import GeneratorCheckpointError, LoadedGenerator, Provenance, load
    from gan.classes import train_classes
    from gan.config import GANConfig, GANTrainerOptions
    from gan.module import GANDiverged
    from gan.sampling import sample
    from gan.selection import SnapshotEvaluation, SnapshotScores, Validation
    from gan.training import GANResult, train
else:
    # Importing `gan.config` runs this file, so it must not import torch: each name is imported
    # when it is first used. Type checkers read the imports above.
    _MODULES = {
        "classes": ("train_classes",),
        "checkpoint": ("GeneratorCheckpointError", "LoadedGenerator", "Provenance", "load"),
        "config": ("GANConfig", "GANTrainerOptions"),
        "module": ("GANDiverged",),
        "sampling": ("sample",),
        "selection": ("SnapshotEvaluation", "SnapshotScores", "Validation"),
        "training": ("GANResult", "train"),
    }

    def __getattr__(name: str) -> object:
        for module, names in _MODULES.items():
            if name in names:
                value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "GANConfig",
    "GANDiverged",
    "GANResult",
    "GANTrainerOptions",
    "GeneratorCheckpointError",
    "LoadedGenerator",
    "Provenance",
    "SnapshotEvaluation",
    "SnapshotScores",
    "Validation",
    "load",
    "sample",
    "train",
    "train_classes",
]

# Without a handler of the caller's, Python would print the warnings of a library to stderr.
logging.getLogger(__name__).addHandler(logging.NullHandler())
