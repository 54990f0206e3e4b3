"""A demonstration of a leak: DarkCovidNet's random folds beside folds that keep patients whole.

Usage: python benchmarks/patient_leak.py --data FOLDER --out FOLDER

Ozturk et al. 2020 (DarkCovidNet, three classes, 0.870) part the images at random into five folds;
their public set holds several films of many patients, and 28 of its COVID patients supply 70 of the
125 images. Three protocols on the same images, with the same classifier and as many steps:

- `by patient`: whole groups go to training, validation or test; validation chooses the weights.
- `random`: every image goes where it falls; validation chooses the weights.
- `random, chosen on test`: as the published notebooks do it, the fold that is reported also chooses
  the weights.

Only the first says what would happen to a new patient. `balancer` itself offers no other.
"""

import argparse
import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import classifier
from balancer.ablation.folds import Fold, derived_seed, plan_folds
from balancer.allocator import keep_freed_memory
from balancer.config import BalancerConfig, load_config
from balancer.data.index import ImageSet, Index, evaluation_table, load_index, training_table
from balancer.evaluation.classifier_recipe import complete_recipe
from balancer.manifest import ImageRecord
from balancer.results import installed_versions
from balancer.stages import prepare
from balancer.workspace import Workspace

PROTOCOLS = ("by patient", "random", "random, chosen on test")
PUBLISHED = 0.8702
_CHOSEN_HERE = (
    "The default classifier was changed after results on these images (`warp_probability` on the",
    "first random fold), so its accuracy is optimistic and does not show that it is better than",
    "the published model.",
    "",
)


def main() -> None:
    """Run every fold of the protocols that is not done, and write a table of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="Folder of the two result files.")
    parser.add_argument(
        "--work", type=Path, required=True, help="Keeps what is done, fold by fold."
    )
    parser.add_argument("--config", default="default", help="The recipe of the classifier.")
    parser.add_argument("--size", type=int, help="Side of the images in pixels.")
    parser.add_argument("--split", default="[0.8,0.05,0.15]", help="Shares, as data.split.")
    parser.add_argument("--protocol", action="append", choices=PROTOCOLS, default=[])
    parser.add_argument("--fold", type=int, action="append", help="Train these and write no table.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    keep_freed_memory()
    size = [] if options.size is None else [f"classifier.input_size={options.size}"]
    config = load_config(
        options.config,
        assignments=[
            *size,
            f"data.split={options.split}",
            "ablation.resampling=folds",
            "ablation.repeats=1",
        ],
        options={"data.root": options.data, "seed": options.seed},
    )
    config = complete_recipe(config, beside_generated=False)
    workspace = Workspace(options.work / "index")
    if not workspace.index_dir.exists():
        with workspace.lock():
            prepare.run(config, workspace)
    index = load_index(workspace.index_dir)
    protocols = [name for name in PROTOCOLS if name in (options.protocol or PROTOCOLS)]
    found = {name: run_protocol(name, config, index, options) for name in protocols}
    if options.fold is None:
        write(options, found, index, config)


def run_protocol(
    protocol: str, config: BalancerConfig, index: Index, options: argparse.Namespace
) -> list[dict[str, float]]:
    """One row per fold: accuracy, balanced accuracy, and how many test images leak."""
    records = list(index.records)
    if protocol != "by patient":
        records = [replace(record, group=record.image_id) for record in records]
    folds = plan_folds(records, config.ablation, config.data.split, held_back=(), seed=config.seed)
    group_of = {record.image_id: record.group for record in index.records}
    rows = []
    for fold in folds:
        if options.fold is not None and fold.number not in options.fold:
            continue
        folder = options.work / f"{protocol.replace(', ', '-').replace(' ', '-')}-{fold.name}"
        done = folder / "row.json"
        if not done.exists():
            began = time.monotonic()
            row = run_fold(fold, protocol, config, index, folder)
            row["leaking"] = leaking(fold.records, group_of)
            row["minutes"] = (time.monotonic() - began) / 60
            done.write_text(json.dumps(row) + "\n")
        rows.append(json.loads(done.read_text()))
        shown = ", ".join(f"{key} {value:.3f}" for key, value in rows[-1].items())
        print(f"{protocol}, {fold.name}: {shown}", flush=True)
    return rows


def leaking(records: Sequence[ImageRecord], group_of: dict[str, str]) -> int:
    """Test images of a patient, or a film, that training has too."""
    trained = {group_of[record.image_id] for record in records if record.split == "train"}
    return sum(group_of[record.image_id] in trained for record in records if record.split == "test")


def run_fold(
    fold: Fold, protocol: str, config: BalancerConfig, index: Index, folder: Path
) -> dict[str, float]:
    """Train and test one classifier."""
    chosen_on_test = "chosen on test" in protocol
    keep = {"keep": "best"} if chosen_on_test else {}
    recipe = config.classifier.model_copy(update=keep)
    pixels = index.image_set(config.classifier_image_size).pixels
    real = ImageSet(fold.records, pixels)
    train = training_table(real, index.classes)
    test = evaluation_table(real, index.classes, "test")
    choosing = test if chosen_on_test else evaluation_table(real, index.classes, "val")
    classifier.train(
        train,
        choosing,
        recipe,
        class_names=list(index.classes),
        seed=derived_seed(config.seed, fold.number),
        out_dir=folder,
        hardware=classifier.TrainingHardware("cpu"),
        provenance={"protocol": protocol},
    )
    predicted = classifier.predict(classifier.load(folder), test).argmax(1)
    right = predicted == test.labels
    recalls = [right[test.labels == number].mean() for number in range(len(index.classes))]
    return {"accuracy": float(right.mean()), "balanced_accuracy": float(np.mean(recalls))}


def write(
    options: argparse.Namespace,
    found: dict[str, list[dict[str, float]]],
    index: Index,
    config: BalancerConfig,
) -> None:
    """Write `patient-leak.json` and `patient-leak.md`."""
    means = {
        protocol: {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        for protocol, rows in found.items()
    }
    spread = {p: float(np.std([r["accuracy"] for r in rows], ddof=1)) for p, rows in found.items()}
    recipe, out = config.classifier, options.out
    out.mkdir(parents=True, exist_ok=True)
    record = {
        "images": len(index.records),
        "groups": len({record.group for record in index.records}),
        "recipe": recipe.model_dump(mode="json"),
        "seed": config.seed,
        "split": list(config.data.split),
        "folds": found,
        "mean": means,
        "versions": installed_versions(),
    }
    (out / "patient-leak.json").write_text(json.dumps(record, indent=2) + "\n")
    lines = [
        f"# What random folds are worth: {options.data.name}",
        "",
        "A demonstration of a leak, not a result: see the head of "
        "[the script](../../benchmarks/patient_leak.py). "
        f"{record['images']} images in {record['groups']} groups, five folds, "
        f"{recipe.model} at {recipe.input_size} px, {recipe.n_epochs} epochs, seed {config.seed}.",
        "",
        "| protocol | accuracy | SD of the folds | balanced accuracy | test images that leak "
        "| minutes per fold |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for protocol, mean in means.items():
        lines.append(
            f"| {protocol} | {mean['accuracy']:.3f} | {spread[protocol]:.3f} "
            f"| {mean['balanced_accuracy']:.3f} | {mean['leaking']:.1f} per fold "
            f"| {mean['minutes']:.1f} |"
        )
    if {"by patient", "random"} <= means.keys():
        gain = 100 * (means["random"]["accuracy"] - means["by patient"]["accuracy"])
        lines += ["", f"Random folds stand {gain:+.1f} points beside folds by patient."]
    size = "" if options.size is None else f" --size {options.size}"
    protocols = "".join(f" --protocol {shlex.quote(name)}" for name in options.protocol)
    lines += [
        "",
        f"Published, random folds at 256 px: accuracy {PUBLISHED:.4f} (Ozturk 2020).",
        "",
        *(_CHOSEN_HERE if options.config == "default" else ()),
        f"    python benchmarks/patient_leak.py --data DARKCOVID-3CLASS --out {out} \\\n"
        f"        --work WORK --config {options.config} --split '{options.split}'{size}{protocols} "
        f"--seed {config.seed}",
        "",
    ]
    (out / "patient-leak.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
