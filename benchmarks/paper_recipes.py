"""Every recipe of `configs/papers/` end to end on a few real images.

Usage: python benchmarks/paper_recipes.py --data FOLDER --out FOLDER [--recipes PREFIX ...]

Each recipe runs through `balancer prepare` and `balancer classify` as its file says, but for the
images (`--images-per-class`, drawn once, the same for all) and the length (`--epochs`, shared out
over its phases). So few of either say that a system runs and how long it takes, not how good it is.

Beside the recipes as they are:

- `--grid augmentation`: with and without the recipe's transforms;
- `--grid pretraining`: from ImageNet weights, where they are on this machine, and from scratch;
  both grids together are the six-network comparison's ablation;
- `--sweep unfreezing`: 33, 44 and 55 % of the layers learn, in the recipes that freeze some.

Writes `paper-recipes.md` and `.json`, and one picture with the lightweight networks' ROC curves.
"""

import argparse
import csv
import itertools
import json
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from balancer.allocator import keep_freed_memory
from balancer.config import BalancerConfig, bundled_recipes, load_config
from balancer.drawing.plots import save_roc
from balancer.evaluation.predictions import read_predictions
from balancer.results import installed_versions
from balancer.stages import classify, prepare
from balancer.workspace import Workspace
from classifier.cards import BUNDLED
from classifier.models import ModelError, build, model_card
from classifier.weights import find_weights

IMAGES = (".png", ".jpg", ".jpeg")
PLAIN = dict.fromkeys(
    ("rotation_degrees", "shift", "zoom", "brightness", "horizontal_flip", "vertical_flip"), 0
)
UNFROZEN = (0.33, 0.44, 0.55)
METRICS = ("accuracy", "balanced_accuracy", "auroc")
ROC_OF = "lightweight"
WITHOUT_WEIGHTS = (
    "The weights are random, so all layers learn whatever the share; add --set "
    "classifier.weights=torchvision (or timm), or --set classifier.model=lite0."
)


@dataclass(frozen=True, slots=True)
class Variant:
    """A recipe, and what a grid changes of it."""

    recipe: str
    label: str = "as it is"
    changes: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    """Run every recipe and variant that is asked for, and write a table of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="A folder per class.")
    parser.add_argument("--out", type=Path, required=True, help="Folder of the result files.")
    parser.add_argument("--images-per-class", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=3, help="Of each run, at least one a phase.")
    parser.add_argument("--recipes", nargs="*", default=[""], help="Prefixes of their names.")
    parser.add_argument("--grid", nargs="*", default=[], choices=["augmentation", "pretraining"])
    parser.add_argument("--sweep", nargs="*", default=[], choices=["unfreezing"])
    parser.add_argument("--set", action="append", default=[], help="key=value, for every recipe.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    keep_freed_memory()
    names = [
        name.removeprefix("papers/")
        for name in bundled_recipes()
        if name.startswith(tuple(f"papers/{prefix}" for prefix in options.recipes))
    ]
    if not names:
        parser.error(f"no recipe in configs/papers starts with {' or '.join(options.recipes)}")
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    with TemporaryDirectory() as folder:
        data = Path(folder) / "images"
        counts = draw_images(options.data, data, options.images_per_class, options.seed)
        variants = [
            variant for name in names for variant in variants_of(name, options.grid, options.sweep)
        ]
        for number, variant in enumerate(variants):
            config = configured(variant, data, options)
            row = run(variant, config, Path(folder) / f"run-{number}")
            print(" | ".join(cells(row)), flush=True)
            rows.append(row)
    curves = save_roc_of_all(rows, options.out)
    write(options.out, rows, counts, curves, options)


def draw_images(source: Path, target: Path, per_class: int, seed: int) -> dict[str, int]:
    """Copy some images of every class, and what the metadata says of them."""
    chosen: dict[str, list[str]] = {}
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGES)
        drawn = random.Random(seed).sample(files, min(per_class, len(files)))
        chosen[folder.name] = [path.relative_to(source).as_posix() for path in drawn]
        for path in drawn:
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    metadata = source / "metadata.csv"
    if metadata.is_file():
        kept = set(itertools.chain.from_iterable(chosen.values()))
        with metadata.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if row["path"] in kept]
            names = list(reader.fieldnames or ())
        with (target / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
    return {name: len(files) for name, files in chosen.items()}


def variants_of(name: str, grids: Sequence[str], sweeps: Sequence[str]) -> Iterator[Variant]:
    """A recipe as it is, or every cell of the grids and every step of the sweep."""
    recipe = load_config(f"papers/{name}").classifier
    axes: list[list[tuple[str, dict[str, Any]]]] = []
    transforms = recipe.augment.model_dump(include=set(PLAIN))
    if "augmentation" in grids and any(transforms.values()):
        axes.append([("augmented", {}), ("not augmented", {"classifier.augment": PLAIN})])
    if "pretraining" in grids:
        library = model_card(recipe.model).library
        axes.append([("from scratch", {"classifier.weights": "none"})])
        if library != "own":
            axes[-1].append(("pretrained", {"classifier.weights": library}))
    phases = [phase.model_dump(exclude_none=True) for phase in recipe.phases]
    if "unfreezing" in sweeps and any(0 < phase["unfrozen"] < 1 for phase in phases):
        axes.append([(f"{share:.0%} unfrozen", _unfrozen(phases, share)) for share in UNFROZEN])
    for cell in itertools.product(*axes):
        changes = {key: value for _, part in cell for key, value in part.items()}
        yield Variant(name, ", ".join(label for label, _ in cell) or "as it is", changes)


def _unfrozen(phases: list[dict[str, Any]], share: float) -> dict[str, Any]:
    return {
        "classifier.phases": [
            {**phase, "unfrozen": share if 0 < phase["unfrozen"] < 1 else phase["unfrozen"]}
            for phase in phases
        ]
    }


def configured(variant: Variant, data: Path, options: argparse.Namespace) -> BalancerConfig:
    """The recipe with its changes, as long as asked for."""
    changes = {**variant.changes, "data.root": data, "seed": options.seed}
    name = f"papers/{variant.recipe}"
    recipe = load_config(name, assignments=options.set, options=changes).classifier
    if recipe.phases:
        changes["classifier.phases"] = [
            {
                **phase.model_dump(exclude_none=True),
                "epochs": max(1, round(options.epochs * phase.epochs / recipe.n_epochs)),
            }
            for phase in recipe.phases
        ]
    else:
        changes["classifier.epochs"] = options.epochs
        changes["classifier.head_epochs"] = min(recipe.head_epochs, options.epochs)
    return load_config(name, assignments=options.set, options=changes)


def run(variant: Variant, config: BalancerConfig, folder: Path) -> dict[str, Any]:
    """Prepare, train and test; a row of the table, or why there is none."""
    recipe = config.classifier
    row: dict[str, Any] = {"recipe": variant.recipe, "variant": variant.label}
    try:
        file = find_weights(recipe.weights, model_card(recipe.model))
    except ModelError as error:
        return row | {"skipped": str(error)}
    bundled = recipe.model in BUNDLED and recipe.weights == "auto"
    if "unfrozen" in variant.label and file is None and not bundled:
        return row | {"skipped": WITHOUT_WEIGHTS}
    workspace = Workspace(folder)
    with workspace.lock():
        prepare.run(config, workspace)
        result = classify.run(config, workspace)
    place = workspace.classify_dir(classify.REAL_ARM)
    n_classes = len(result.metrics.test.per_class)
    with torch.device("meta"):  # shapes alone
        network = build(recipe, n_classes, pretrained=False)
    predictions = read_predictions(place / "predictions.csv")
    positive = predictions.class_names.index(result.metrics.positive_class)
    return row | {
        "model": recipe.model,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "input_size": network.preprocessing.input_size,
        "test": result.metrics.test.model_dump(exclude_unset=True),
        "seconds": result.seconds,
        "scores": predictions.probabilities[:, positive].tolist(),
        "positives": (predictions.labels == positive).tolist(),
        "settings": recipe.model_dump(mode="json"),
    }


def save_roc_of_all(rows: Sequence[dict[str, Any]], out: Path) -> str | None:
    """One ROC picture of the lightweight networks; its name, or None where none was run."""
    found = [row for row in rows if row["recipe"].startswith(ROC_OF) and "scores" in row]
    if not found:
        return None
    scores = {
        row["model"] + ("" if row["variant"] == "as it is" else f", {row['variant']}"): np.array(
            row["scores"]
        )
        for row in found
    }
    save_roc(scores, np.array(found[0]["positives"]), out / "paper-recipes-roc.png")
    return "paper-recipes-roc.png"


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table."""
    first = [row["recipe"], row["variant"]]
    if "skipped" in row:
        return [*first, "not run: see below", *[""] * (len(METRICS) + 2)]
    test = [
        f"{row['test'][key]['value']:.3f} ({row['test'][key]['low']:.3f} to "
        f"{row['test'][key]['high']:.3f})"
        for key in METRICS
    ]
    return [
        *first,
        f"{row['parameters'] / 1e6:.2f} M",
        f"{row['input_size']} px",
        *test,
        f"{row['seconds']:.0f}",
    ]


def write(
    out: Path,
    rows: Sequence[dict[str, Any]],
    counts: dict[str, int],
    curves: str | None,
    options: argparse.Namespace,
) -> None:
    """Write `paper-recipes.json` and `paper-recipes.md`."""
    record = {
        "images": counts,
        "epochs": options.epochs,
        "seed": options.seed,
        "set": options.set,
        "rows": [
            {k: v for k, v in row.items() if k not in ("scores", "positives")} for row in rows
        ],
        "versions": installed_versions(),
    }
    (out / "paper-recipes.json").write_text(json.dumps(record, indent=2) + "\n")
    images = ", ".join(f"{count} {name}" for name, count in counts.items())
    lines = [
        f"# The papers' recipes on a few images: {options.data.name}",
        "",
        "That each system runs, and how long it takes; so few images and epochs do not say how "
        f"good it is. {images}; {options.epochs} epochs, seed {options.seed}; 95 % intervals.",
        "",
        "| recipe | variant | parameters | input | accuracy | balanced accuracy | AUROC "
        "| seconds |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
        *("| " + " | ".join(cells(row)) + " |" for row in rows),
        "",
    ]
    if curves:
        lines += [f"![ROC curves of the lightweight networks]({curves})", ""]
    reasons = [f"- {row['recipe']}: {row['skipped']}" for row in rows if "skipped" in row]
    lines += dict.fromkeys(reasons)
    (out / "paper-recipes.md").write_text("\n".join(lines).rstrip("\n") + "\n")


if __name__ == "__main__":
    main()
