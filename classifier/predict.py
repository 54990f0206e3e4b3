"""Probabilities of a trained classifier."""

import numpy as np
import torch
from numpy.typing import NDArray

from classifier.checkpoint import LoadedClassifier
from classifier.data import EvaluationSet, evaluation_loader
from classifier.tables import ImageTable, check_table


def predict_probabilities(loaded: LoadedClassifier, table: ImageTable) -> NDArray[np.float64]:
    """Classify images without transforms, in the table's order.

    Args:
        loaded: The classifier, on the device where it shall run.
        table: The images; their labels are not used.

    Returns:
        float64 (N, C), rows that sum to 1.

    Raises:
        ValueError: The table is empty, or the network gives no finite logits.
    """
    check_table(table, len(loaded.class_names), "prediction")
    device = next(loaded.network.parameters()).device
    images = EvaluationSet(table, loaded.config.input_size)
    with torch.inference_mode():
        logits = torch.cat(
            [loaded.network(batch.to(device)).cpu() for batch, _ in evaluation_loader(images)]
        )
    if not torch.isfinite(logits).all():
        raise ValueError(
            "The classifier should give finite logits but gave NaN or infinity; train it again "
            "with a lower classifier.learning_rate."
        )
    return np.asarray(logits.double().softmax(1).numpy(), np.float64)
