"""The baseline of the fine-tuned classifier: logistic regression on frozen Lite0 features.

Usage: python benchmarks/linear_baseline.py [-w WORKSPACE]

Reads the index and `classify/real/result.json` of a workspace and uses the same split, image size
and positive class. The strength of regularisation and the threshold are chosen on validation.
"""

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from balancer.data.index import evaluation_table, load_index, training_table
from classifier.config import ClassifierConfig
from classifier.data import EvaluationSet, evaluation_loader
from classifier.decision import choose_threshold
from classifier.metrics import auroc, evaluate
from classifier.models import ImageClassifier, build
from classifier.tables import ArrayTable

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
SHOWN = ("auroc", "balanced_accuracy", "sensitivity", "specificity")


def main() -> None:
    """Print one line for each way of weighting, and one for the fine-tuned classifier."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-w", "--workspace", type=Path, default=Path("balancer-workspace"))
    workspace: Path = parser.parse_args().workspace
    result = json.loads((workspace / "classify" / "real" / "result.json").read_text())
    tuned = result["metrics"]["test"]
    settings = result["settings"]
    config = ClassifierConfig(input_size=settings["classifier"]["input_size"])

    index = load_index(workspace / "index")
    images = index.image_set(settings["image_size"])
    classes = list(index.classes)
    positive = classes.index(tuned["positive_class"])
    tables: dict[str, ArrayTable] = {
        "train": training_table(images, classes),
        "val": evaluation_table(images, classes, "val"),
        "test": evaluation_table(images, classes, "test"),
    }
    network = build(config, len(classes)).eval()
    features = {name: extract(network, table, config) for name, table in tables.items()}
    labels = {name: table.labels for name, table in tables.items()}

    print(f"{'test images: ' + str(tuned['n']):32}" + "".join(f"{name:>26}" for name in SHOWN))
    for weight in (None, "balanced"):
        model, strength = fit(features, labels, weight)
        threshold = None
        if len(classes) == 2:
            scores = model.predict_proba(features["val"])[:, positive]
            threshold = choose_threshold(scores, labels["val"] == positive)
        found = evaluate(
            model.predict_proba(features["test"]),
            labels["test"],
            class_names=classes,
            positive=positive,
            threshold=threshold,
            groups=[record.group for record in index.select("test")],
            n_bootstrap=tuned["n_bootstrap"],
            seed=0,
        )
        show(f"frozen, {weight or 'equal'} weights, C={strength:g}", found)
    show(f"fine-tuned {settings['classifier']['model']}", tuned)


def extract(
    network: ImageClassifier, table: ArrayTable, config: ClassifierConfig
) -> NDArray[np.float32]:
    """Features (N, 1280) of untransformed images."""
    batches = evaluation_loader(
        EvaluationSet(table, network.preprocessing.input_size, config.contrast)
    )
    with torch.inference_mode():
        return torch.cat([network.features(batch) for batch, _ in batches]).numpy()


def fit(
    features: dict[str, NDArray[np.float32]],
    labels: dict[str, NDArray[np.int64]],
    weight: str | None,
) -> tuple[Pipeline, float]:
    """The regression of the greatest validation AUROC, and its strength C."""
    best: tuple[float, Pipeline, float] | None = None
    for strength in STRENGTHS:
        regression = LogisticRegression(C=strength, class_weight=weight, max_iter=2000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = make_pipeline(StandardScaler(), regression)
            model.fit(features["train"], labels["train"])
        rank = auroc(model.predict_proba(features["val"]), labels["val"]) or 0.0
        if best is None or rank > best[0]:
            best = (rank, model, strength)
    if best is None:
        raise ValueError("there is no strength to choose from")
    return best[1], best[2]


def show(name: str, metrics: dict[str, Any]) -> None:
    """Print one line of values and intervals."""
    cells = (metrics[key] for key in SHOWN)
    texts = (f"{c['value']:.3f} ({c['low']:.3f} to {c['high']:.3f})" for c in cells)
    print(f"{name:32}" + "".join(f"{text:>26}" for text in texts))


if __name__ == "__main__":
    main()
