"""GAN recipes side by side: the same images, as many of them shown, networks of the same width.

Each (recipe, seed) is trained by `balancer gan-train` on the training split of that seed, its
snapshot chosen on the validation split, and measured against the test split, which neither saw.
Recipes are to be compared by the validation KID; the test columns report. What is finished is not
done again, so the script can be stopped and called again.
"""

import json
import platform
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

import gan
from balancer.config import load_config
from balancer.data.index import load_index
from balancer.quality.extractors import load_extractor
from balancer.quality.measure import measure
from balancer.quality.memorization import CopyDetector
from balancer.stages import gan_train, prepare
from balancer.workspace import Workspace

IMAGES_SHOWN = 96_000
CLASSIC = [
    *("gan.upsampling=transposed", "gan.full_resolution=false", "gan.batch_size=32"),
    "gan.discriminator_norm=batch",
    *("gan.learning_rate_generator=2e-4", "gan.learning_rate_discriminator=2e-4"),
    *("gan.decay_share=0", "gan.keep=last"),
]
RECIPES = {
    "classic": [*CLASSIC, "gan.augment=[]", "gan.ema_half_life=0"],
    "classic + DiffAugment + EMA": [*CLASSIC, "gan.augment=[brightness, contrast, translation]"],
    "default at half resolution": ["gan.full_resolution=false"],
    "default + companions": ["gan.companion_share=0.5"],
    "default": [],
}
METRICS = ("kid", "fid", "precision", "recall", "density", "coverage")
GENERATED = 1_000


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--rare", default="COVID", show_default=True, help="Class that is trained on.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Workspaces go here.")
@click.option("--recipe", "names", multiple=True, help="By name; all without it.")
@click.option("--seed", "seeds", type=int, multiple=True, default=(0, 1, 2), show_default=True)
@click.option("--docs", type=click.Path(path_type=Path), help="Folder of the table and pictures.")
def main(
    data: Path,
    rare: str,
    out: Path,
    names: tuple[str, ...],
    seeds: tuple[int, ...],
    docs: Path | None,
) -> None:
    """Train what is missing, and print the table."""
    rows = []
    for seed in seeds:
        for name in names or RECIPES:
            rows.append(_row(name, seed, data, rare, out / f"{_slug(name)}-{seed}"))
            click.echo(_line(rows[-1]))
    click.echo(_table(rows))
    if docs is not None:
        _publish(rows, out, docs)


def _row(name: str, seed: int, data: Path, rare: str, folder: Path) -> dict[str, Any]:
    config = load_config(
        assignments=[f"gan.images_shown={IMAGES_SHOWN}", *RECIPES[name]],
        options={"data.root": data, "seed": seed},
    )
    settings = config.gan.model_dump(mode="json")
    path = folder / "row.json"
    if path.is_file():
        row: dict[str, Any] = json.loads(path.read_text())
        if row["gan"] != settings:
            raise click.ClickException(f"{folder} holds another recipe {name}; name another --out.")
        return row
    workspace = Workspace(folder)
    with workspace.lock():
        prepare.run(config, workspace)
        result = gan_train.run(config, workspace, classes=[rare])
    trained = result.metrics.classes[rare]
    size = config.gan.image_size
    index = load_index(workspace.index_dir)
    training, test = index.pixels(size, "train", rare), index.pixels(size, "test", rare)
    made = gan.sample(gan.load(workspace.gan_dir(rare)), GENERATED, seed=seed)
    extractor = load_extractor("lite0")
    measured = measure(made, test, extractor=extractor, stand_in=training, seed=seed)
    at_same_n = {
        key: same_n for key in METRICS if (same_n := measured[f"{key}[lite0]"].same_n) is not None
    }
    copies = CopyDetector(
        training,
        test,
        extractors={"lite0": extractor},
        decisive=["lite0"],
        correlation=config.gate.near_copy_correlation,
        distance=config.gate.near_copy_distance,
    )
    memorization = copies.measure(copies.nearest(made), np.random.default_rng(seed))
    curve = (workspace.gan_dir(rare) / "selection.csv").read_text().splitlines()
    row = {
        "recipe": name,
        "seed": seed,
        **{key: measured[f"{key}[lite0]"].value for key in METRICS},
        "floor": {key: same_n.real_against_real for key, same_n in at_same_n.items()},
        "same_n": {key: same_n.value for key, same_n in at_same_n.items()},
        "near_copies": memorization.near_copies.model_dump(),
        "closer_to_training": memorization.distance["lite0"].closer_to_training,
        "membership": trained.membership and trained.membership.model_dump(),
        "gan": settings,
        "validation_kid": trained.selected and trained.selected.kid,
        "kept_after": trained.selected and trained.selected.images_shown,
        "images_shown": trained.images_shown,
        "stop_reason": trained.stop_reason,
        "minutes": trained.seconds / 60,
        "images_per_second": trained.images_per_second,
        "curve": [[float(cell) for cell in line.split(",")[:2]] for line in curve[1:]],
        "columns": curve[0].split(",")[:2],
        "n": {"training": len(training), "test": len(test), "generated": len(made)},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
    }
    side = 8 * size
    grid = made[:64].reshape(8, 8, size, size).transpose(0, 2, 1, 3).reshape(side, side)
    Image.fromarray(grid).save(folder / "grid.png")
    path.write_text(json.dumps(row, indent=1) + "\n")
    return row


def _line(row: dict[str, Any]) -> str:
    numbers = ", ".join(f"{key} {row[key]:.3f}" for key in METRICS)
    return f"{row['recipe']}, seed {row['seed']}: {numbers}, {row['minutes']:.1f} min"


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| recipe | seed | validation KID | KID | FID | precision | recall | density | coverage | "
        "near copies | closer to training | membership AUROC | kept after | images/s | minutes |",
        "|---|" + "---:|" * 14,
    ]
    for row in sorted(rows, key=lambda r: (list(RECIPES).index(r["recipe"]), r["seed"])):
        membership = row["membership"]["auroc"] if row["membership"] else float("nan")
        lines.append(
            f"| {row['recipe']} | {row['seed']} | {row['validation_kid']:.3f} | "
            f"{row['kid']:.3f} | {row['fid']:.0f} | "
            f"{row['precision']:.2f} | {row['recall']:.2f} | {row['density']:.2f} | "
            f"{row['coverage']:.2f} | {row['near_copies']['generated']:.3f} | "
            f"{row['closer_to_training']:.2f} | {membership:.2f} | {row['kept_after']:,} | "
            f"{row['images_per_second']:.0f} | {row['minutes']:.1f} |"
        )
    for seed in sorted({row["seed"] for row in rows}):
        floor = next(row for row in rows if row["seed"] == seed)["floor"]
        lines.append(
            f"| real training images | {seed} | | {floor['kid']:.3f} | {floor['fid']:.0f} | "
            f"{floor['precision']:.2f} | {floor['recall']:.2f} | {floor['density']:.2f} | "
            f"{floor['coverage']:.2f} | | | | | | |"
        )
    return "\n".join(lines)


def _publish(rows: list[dict[str, Any]], out: Path, docs: Path) -> None:
    """Write the rows, the curves and, of the first seed, the grids."""
    (docs / "gan-recipes.json").write_text(json.dumps(rows, indent=1) + "\n")
    inks = dict(zip(RECIPES, ("#4c566a", "#2f7f9d", "#c08a2d", "#7a9a4f", "#bf3f5f"), strict=True))
    first = [row for row in rows if row["seed"] == min(r["seed"] for r in rows)]
    curves = Figure(figsize=(8, 4.5), dpi=110, layout="constrained")
    axes = curves.add_subplot()
    for row in rows:
        shown, kid = np.array(row["curve"]).T
        label = row["recipe"] if row in first else None
        axes.plot(shown, kid, color=inks[row["recipe"]], label=label, linewidth=1.2)
    axes.set(xlabel="real images shown", ylabel="KID[lite0] to validation images", ylim=(0, None))
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    curves.savefig(docs / "gan-recipes-kid.png")
    grids = Figure(figsize=(5 * len(first), 5.2), dpi=110, layout="constrained")
    for row, place in zip(first, grids.subplots(1, len(first), squeeze=False)[0], strict=True):
        with Image.open(out / f"{_slug(row['recipe'])}-{row['seed']}" / "grid.png") as grid:
            place.imshow(np.asarray(grid), cmap="gray", vmin=0, vmax=255)
        place.set_title(f"{row['recipe']}: KID {row['kid']:.3f}", fontsize=10)
        place.axis("off")
    grids.savefig(docs / "gan-recipes-grids.png")


def _slug(name: str) -> str:
    return name.replace(" + ", "-").replace(" ", "-")


if __name__ == "__main__":
    main()
