"""CNN classifiers for medical images, grey or in colour: training, prediction, metrics.

Names are imported when first used, so that `import classifier` alone loads no torch.

Example:
    >>> import numpy as np
    >>> from classifier import ArrayTable, ClassifierConfig, load, predict, train
    >>> images = np.random.default_rng(0).integers(0, 256, (24, 32, 32), dtype=np.uint8)
    >>> table = ArrayTable.of(images, labels=[0, 0, 1] * 8)
    >>> config = ClassifierConfig(model="bam-cnn", batch_size=8, epochs=1, batches="balanced")
    >>> result = train(table, table, config, out_dir="balanced")
    >>> predict(load(result.checkpoint), images).shape
    (24, 2)
"""

import importlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from classifier.cards import ModelError, registered_models
    from classifier.checkpoint import ClassifierCheckpointError, LoadedClassifier, load
    from classifier.config import AugmentConfig, ClassifierConfig, Phase, StepPlan, plan_steps
    from classifier.data import Pretraining
    from classifier.decision import choose_threshold
    from classifier.metrics import evaluate
    from classifier.module import ClassifierDiverged
    from classifier.onnx_export import ClassifierExportError, ExportDifference, export_onnx
    from classifier.prediction import predict
    from classifier.samplers import BalancedBatchSampler
    from classifier.tables import ArrayTable
    from classifier.trainer import TrainingHardware
    from classifier.training import ClassifierResult, train
else:
    # Type checkers read the imports above, and so refuse unknown names.
    _MODULES = {
        "ArrayTable": "tables",
        "AugmentConfig": "config",
        "BalancedBatchSampler": "samplers",
        "ClassifierCheckpointError": "checkpoint",
        "ClassifierConfig": "config",
        "ClassifierDiverged": "module",
        "ClassifierExportError": "onnx_export",
        "ClassifierResult": "training",
        "ExportDifference": "onnx_export",
        "LoadedClassifier": "checkpoint",
        "ModelError": "cards",
        "Phase": "config",
        "Pretraining": "data",
        "StepPlan": "config",
        "TrainingHardware": "trainer",
        "choose_threshold": "decision",
        "evaluate": "metrics",
        "export_onnx": "onnx_export",
        "load": "checkpoint",
        "plan_steps": "config",
        "predict": "prediction",
        "registered_models": "cards",
        "train": "training",
    }

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "ArrayTable",
    "AugmentConfig",
    "BalancedBatchSampler",
    "ClassifierCheckpointError",
    "ClassifierConfig",
    "ClassifierDiverged",
    "ClassifierExportError",
    "ClassifierResult",
    "ExportDifference",
    "LoadedClassifier",
    "ModelError",
    "Phase",
    "Pretraining",
    "StepPlan",
    "TrainingHardware",
    "choose_threshold",
    "evaluate",
    "export_onnx",
    "load",
    "plan_steps",
    "predict",
    "registered_models",
    "train",
]

# Without a handler of the caller's, Python would print the warnings of a library to stderr.
logging.getLogger(__name__).addHandler(logging.NullHandler())
