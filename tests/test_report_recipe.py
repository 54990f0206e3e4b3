"""`report/recipe.yaml`: the settings of every stage, through its record and back."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image
from pydantic import BaseModel

from balancer.ablation import findings
from balancer.ablation.records import AblateMetrics
from balancer.ablation.registration import HeldStudy
from balancer.cli import main
from balancer.config import BalancerConfig, load_config
from balancer.data.index import load_index
from balancer.data.index_settings import index_settings
from balancer.data.records import PrepareMetrics
from balancer.data.roots import Roots
from balancer.evaluation.records import ClassifyMetrics
from balancer.lungs.records import LungApplyMetrics, LungTrainMetrics
from balancer.quality.records import QualityMetrics
from balancer.report.recipe import recipe, recipe_text
from balancer.report.records import ReportRecords
from balancer.results import Record, StageResult, new_result
from balancer.stages import classify, gan_train, lungs, prepare, quality, report, synthesize
from balancer.synthetic.records import GeneratorMetrics, SynthesizeMetrics
from balancer.workspace import Workspace
from support.made_ablation import read_json, write_ablation
from support.tiny_pipeline import config_for, draw_folder

CHANGED: dict[str, dict[str, Any]] = {
    "data": {
        "layout": "class-folders", "classes": {"COVID": "0", "Normal": "Normal"}, "views": "all",
        "channels": 3,
        "domain": "skin",
        "split": [0.6, 0.2, 0.2], "skip_bad": True, "duplicate_correlation": 0.9,
        "same_film": "/home/somebody/pairs.csv", "min_images": 4, "min_side": 16,
        "max_aspect": 3.5, "max_megapixels": 12.5, "max_memory_mb": 2000,
        "external_classes": {"A": "0"}, "patients": "ignored",
        "follow_links": True, "official_split": True,
    },
    "preprocessing": {
        "border": "remove", "lungs": "lungs-only", "masks": "classical", "contrast": "clahe",
        "colour": "reinhard",
        "clahe_tiles": 4, "clahe_clip": 3.5, "frame": "pad",
    },
    "lungs": {
        "method": "classical", "image_size": 64, "filters": 4, "images_shown": 16, "batch_size": 4,
        "learning_rate": 1e-5, "max_images": 40, "validation_share": 0.3, "rotation_degrees": 5.0,
        "shift": 0.02, "zoom": 0.05, "brightness": 0.1, "masks": "masks",
    },
    "gan": {
        "image_size": 32, "latent_dim": 16, "generator_filters": 4, "discriminator_filters": 8,
        "upsampling": "transposed", "full_resolution": False, "discriminator_norm": "batch",
        "batch_size": 8, "images_shown": 64, "learning_rate_generator": 0.0002,
        "learning_rate_discriminator": 0.0003, "beta1": 0.4, "beta2": 0.9, "decay_share": 0.25,
        "companion_share": 0.1, "augment": ["cutout"], "ema_half_life": 100.0,
        "augment_probability": 0.5, "evaluate_every": 32, "keep": "last", "evaluation_images": 16,
        "patience": 2,
        "channels_last": False, "grid_every": 16, "checkpoint_every": 24,
    },
    "synthesis": {
        "ratio": "3:2", "screen": ["near-copy", "outlier"], "max_attempts": 4.0, "max_images": 5000,
    },
    "quality": {
        "extractors": ["lite0"], "kid_subsets": 20, "kid_subset_size": 30, "neighbors": 3,
        "ms_ssim_pairs": 40, "max_images": 300,
    },
    "gate": {
        "near_copy_correlation": 0.8, "near_copy_distance": 0.5, "outlier_distance": 1.75,
        "confidence_quantile": 0.1, "max_near_copies": 0.1, "max_twins": 0.3,
        "max_similarity": 0.2, "max_registered_similarity": 0.12, "min_spread": 0.4,
        "min_coverage": 0.2, "min_own_class": 0.4,
        "max_trivial_auroc": 0.85,
    },
    "classifier": {
        "model": "lite2", "weights": "none", "image_size": 40, "input_size": 48,
        "contrast": "clahe", "pooling": "average+max", "head_units": [8, 4],
        "head_batch_norm": True, "dropout": 0.3, "batch_size": 16, "epochs": 3, "head_epochs": 2,
        "phases": [
            {"epochs": 1, "unfrozen": 0.5, "input_size": 32, "learning_rate": 0.002},
            {"epochs": 2, "unfrozen": 0.75, "input_size": 48, "learning_rate": 0.001},
        ],
        "patience": 4, "optimizer": "adam", "learning_rate": 0.002, "lowest_learning_rate": 0.0005,
        "schedule": "step", "step_epochs": 5, "step_factor": 0.5, "weight_decay": 0.02,
        "ema_half_life": 25.0, "keep": "best", "members": 2, "class_weights": "balanced",
        "class_weights_beta": 0.99, "class_weights_from": 0.5,
        "loss": "focal", "focal_gamma": 1.5, "logit_adjustment_tau": 0.5, "label_smoothing": 0.05,
        "posthoc_tau": 0.25, "ldam_margin": 0.25, "ldam_scale": 15.0,
        "batches": "balanced", "rare_share": 0.4, "head_retraining": 0.25, "mixup_alpha": 0.2,
        "augment": {
            "warp_probability": 0.25, "rotation_degrees": 5, "shift": 0.1, "zoom": 0.05,
            "brightness": 0.2, "horizontal_flip": 0.1, "vertical_flip": 0.2, "classes": "rare",
        },
        "views": ["plain", "flip"], "calibration": "none", "num_workers": 1,
        "channels_last": False,
    },
    "evaluation": {
        "positive_class": "Normal", "bootstrap_samples": 100, "specificity": 0.9,
        "deployment_prior": {"COVID": 0.25, "Normal": 0.75}, "subgroups": ["ward"],
        "decision_threshold": 0.3,
    },
    "ablation": {
        "arms": ["real", "oversample", "gan ratio=1:1"], "resampling": "folds", "repeats": 2,
        "folds": 3, "seeds": 2, "held_back_share": 0.2, "rare_images": 20, "primary": "mcc",
        "margin": 0.02, "alpha": 0.1, "looks": [2, 4], "max_probe_auroc": 0.8,
        "leave_source_out": False, "keep_models": False, "secondary": ["f1"], "worth": [0.5],
    },
    "travel": {"views": ["view lungs=lungs-only"], "largest_fall": 0.1},
    "hardware": {"accelerator": "cpu", "precision": "bf16-mixed"},
}  # fmt: skip
ONE_FINDING = {"classes": None, "target": "COVID"}
"""Data in place of classes that are named, with the preprocessing `WINDOW`."""
WINDOW = {
    "border": "keep", "contrast": "window", "window_percentiles": [1.0, 98.5],
    "lungs": "crop-to-lungs",
}  # fmt: skip
ELSEWHERE = {"looks": [], "verdict_on": "elsewhere", "keep_models": True}
"""A verdict on other images excludes planned looks, and needs the weights."""
NOT_RECORDED = {
    *(
        "tracking.logger",
        "tracking.options",
        "data.root",
        "data.same_film",
        "data.external_classes",
        "lungs.masks",
    ),
    *("quality.weights", "ablation.masks", "ablation.frozen_splits"),
    *("ablation.keep_models", "hardware.accelerator", "hardware.devices", "hardware.strategy"),
    *("hardware.num_nodes", "data.max_memory_mb", "travel.views", "travel.largest_fall"),
}
"""Paths of the machine, and settings that no stage records since they change no result."""


KINDS: dict[str, type[Record]] = {
    "prepare": PrepareMetrics, "ablate": AblateMetrics, "classify": ClassifyMetrics,
    "gan-train": GeneratorMetrics, "synthesize": SynthesizeMetrics, "quality": QualityMetrics,
    "lungs apply": LungApplyMetrics, "lungs train": LungTrainMetrics,
}  # fmt: skip


class _Recorded(Exception):
    """Stops a stage once it has said which settings it records."""


@pytest.fixture
def settings_by(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Run a stage up to the point where its settings are compared with those of a result."""

    def ask(module: ModuleType, call: Callable[[], object]) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def note(*_: object, settings: dict[str, Any], **__: object) -> None:
            found.update(settings)
            raise _Recorded

        with monkeypatch.context() as patch:
            patch.setattr(module, "standing_result", note)
            with pytest.raises(_Recorded):
                call()
        return found

    return ask


def recorded(stage: str, settings: dict[str, Any], **given: Any) -> StageResult[Any]:
    """The result of a stage with these settings, and with those metrics alone that are given."""
    metrics = KINDS[stage].model_construct(**given)
    return new_result(stage, settings=settings, inputs={}, seconds=1.0, metrics=metrics)


def indexed(config: BalancerConfig, *, quarantined: int = 0) -> StageResult[PrepareMetrics]:
    settings = index_settings(config, Roots.of([Path("/films")]))
    return recorded("prepare", settings, quarantined=quarantined)


def records_of(index: StageResult[PrepareMetrics], **others: Any) -> ReportRecords:
    nothing: dict[str, Any] = dict.fromkeys((
        *("audit", "ablation", "unit", "comparison", "synthetic", "quality", "fold"),
        *("fold_quality", "lungs", "lung_model", "explain", "ledger"),
    ))  # fmt: skip
    empty: dict[str, Any] = {
        key: {} for key in ("units", "arms", "generators", "trainings", "external")
    }
    return ReportRecords(index=index, seed=0, folder=Path(), **(nothing | empty | others))


def leaves(config: BalancerConfig) -> dict[str, Any]:
    """Settings by `section.name`."""
    found: dict[str, Any] = {}
    for section in type(config).model_fields:
        value = getattr(config, section)
        if isinstance(value, BaseModel):
            found |= {
                f"{section}.{name}": getattr(value, name) for name in type(value).model_fields
            }
        else:
            found[section] = value
    return found


def read_back(text: str, folder: Path) -> BalancerConfig:
    (folder / "recipe.yaml").write_text(text + "\n", encoding="utf-8")
    return load_config(folder / "recipe.yaml")


def comments(text: str) -> str:
    return " ".join(line[2:] for line in text.splitlines() if line.startswith("# "))


def missing_sections(text: str) -> list[str]:
    return comments(text).partition("so the defaults apply: ")[2].rstrip(".").split(", ")


def everything_recorded(
    config: BalancerConfig, workspace: Workspace, settings_by: Callable[..., dict[str, Any]]
) -> ReportRecords:
    """Records of all stages under a configuration, their settings from the stages themselves."""
    index = load_index(workspace.index_dir)
    study = SimpleNamespace(
        config=config,
        workspace=workspace,
        index=index,
        finished=[],
        external={},
        plan=SimpleNamespace(compares_views=False),
    )
    held = SimpleNamespace(
        main=study, explored=None, protocol=SimpleNamespace(newest=SimpleNamespace(hash=""))
    )
    masks = workspace.root.parent / "masks"
    for record in index.records:
        (masks / record.path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(masks / record.path)
    drawn = config.model_copy(update={"lungs": config.lungs.model_copy(update={"masks": masks})})
    trained = recorded(
        "classify", settings_by(classify, lambda: classify.run(config, workspace, force=False))
    )
    return records_of(
        indexed(config, quarantined=1),
        ablation=recorded(
            "ablate",
            settings_by(findings, lambda: findings.publish(cast(HeldStudy, held), force=False)),
        ),
        arms={"real": trained},
        trainings={
            "COVID": recorded(
                "gan-train", settings_by(gan_train, lambda: gan_train.run(config, workspace))
            )
        },
        synthetic=recorded(
            "synthesize", settings_by(synthesize, lambda: synthesize.run(config, workspace))
        ),
        quality=recorded("quality", settings_by(quality, lambda: quality.run(config, workspace))),
        lungs=recorded(
            "lungs apply",
            settings_by(lungs, lambda: lungs.run(drawn, workspace, action="apply")),
        ),
        lung_model=recorded(
            "lungs train",
            settings_by(lungs, lambda: lungs.run(drawn, workspace, action="train")),
        ),
    )


@pytest.mark.parametrize("preprocessing", [{}, WINDOW], ids=["clahe", "window"])
def test_every_setting_survives_record_recipe_and_load(
    preprocessing: dict[str, Any],
    copied: Workspace,
    tmp_path: Path,
    settings_by: Callable[..., dict[str, Any]],
) -> None:
    values = {"seed": 7, **CHANGED}
    values["data"] = CHANGED["data"] | (ONE_FINDING if preprocessing else {})
    values["ablation"] = CHANGED["ablation"] | (ELSEWHERE if preprocessing else {})
    values["preprocessing"] = CHANGED["preprocessing"] | preprocessing
    values["preprocessing"] = {
        key: value for key, value in values["preprocessing"].items()
        if not (preprocessing and key.startswith("clahe"))
    }  # fmt: skip
    (tmp_path / "changed.yaml").write_text(json.dumps(values))
    config = load_config(tmp_path / "changed.yaml")
    text = recipe_text(everything_recorded(config, copied, settings_by))
    again = read_back(text, tmp_path)
    was, now, default = leaves(config), leaves(again), leaves(BalancerConfig())
    for key, value in was.items():
        if key in NOT_RECORDED:
            assert now[key] == default[key], key
            named = key in comments(text) or key.partition(".")[0] in missing_sections(text)
            assert value is None or named, key
        else:
            assert now[key] == value, key
    assert again.preprocessing == config.preprocessing
    assert "somebody" not in text


def test_the_configuration_above_changes_every_setting(tmp_path: Path) -> None:
    """A new setting has to be added to it, or to those that are not recorded."""
    default, unchanged = leaves(BalancerConfig()), set(leaves(BalancerConfig()))
    for preprocessing in ({}, WINDOW):
        values = {"seed": 7, **CHANGED, "preprocessing": CHANGED["preprocessing"] | preprocessing}
        values["data"] = CHANGED["data"] | (ONE_FINDING if preprocessing else {})
        values["ablation"] = CHANGED["ablation"] | (ELSEWHERE if preprocessing else {})
        (tmp_path / "changed.yaml").write_text(json.dumps(values))
        changed = leaves(load_config(tmp_path / "changed.yaml"))
        unchanged &= {key for key in changed if changed[key] == default[key]}
    alone = {"synthesis.networks"}  # a GAN of one class is recorded as alone, whatever was set
    assert unchanged <= NOT_RECORDED | alone
    assert {*CHANGED["classifier"]["augment"]} == {
        *type(BalancerConfig().classifier.augment).model_fields
    }


def test_a_setting_is_in_the_recipe_or_named_as_missing(tmp_path: Path) -> None:
    index = indexed(BalancerConfig())
    found = recipe(records_of(index))
    for key in leaves(BalancerConfig()):
        section, _, name = key.partition(".")
        known = section in found.values and (not name or name in found.values[section])
        assert known != (key in found.missing or section in found.missing) or key == "data.root"
    assert {"gan", "classifier", "data.external_classes"} <= {*found.missing}


def test_records_that_differ_are_named(tmp_path: Path) -> None:
    index = indexed(BalancerConfig())
    gans = {
        label: recorded("gan-train", {"gan": {"batch_size": size}, "precision": "32-true"})
        for label, size in (("A", 8), ("B", 12))
    }
    found = recipe(records_of(index, trainings=gans))
    assert found.values["gan"]["batch_size"] == 8
    (line,) = found.unlike
    assert "gan/B/result.json" in line
    assert "gan.batch_size=12" in line


def test_a_file_of_weights_is_named_and_left_out(tmp_path: Path) -> None:
    index = indexed(BalancerConfig())
    arm = recorded("classify", {"classifier": {"weights": "/home/somebody/net.pt"}})
    text = recipe_text(records_of(index, arms={"real": arm}))
    assert "net.pt" in comments(text)
    assert "somebody" not in text
    assert read_back(text, tmp_path).classifier.weights == "auto"


@pytest.mark.parametrize(
    "name", ["a\nb", "\x85\u2028", "\x7f", "\ufeffé", "😀", '"# x', "1:2", "0"]
)
def test_class_names_of_any_characters_survive(name: str, tmp_path: Path) -> None:
    config = BalancerConfig.model_validate({"data": {"classes": {name: name, "b": "b"}}})
    index = indexed(config)
    assert read_back(recipe_text(records_of(index)), tmp_path).data.classes == config.data.classes


def test_the_recipe_prepares_the_same_index(tmp_path: Path) -> None:
    films = draw_folder(tmp_path / "films", n_covid=8, n_normal=14)
    (films / "COVID" / "broken.png").write_bytes(b"no image")
    config = config_for(
        films, "data.skip_bad=true", "data.split=[0.6, 0.2, 0.2]", "data.min_images=4",
        "data.classes={COVID: Sick, Normal: Well}", "preprocessing.border=remove",
        "preprocessing.lungs=lungs-only", "preprocessing.contrast=clahe",
        "preprocessing.clahe_clip=3.0", "preprocessing.frame=pad",
    )  # fmt: skip
    first, second = Workspace(tmp_path / "first"), Workspace(tmp_path / "second")
    prepare.run(config, first)
    write_ablation(first, load_index(first.index_dir).index_hash, n_folds=2, n=60)
    report.run(config, first)
    path = first.report_dir / "recipe.yaml"
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)
    wanted = ["prepare", "-c", str(path), "--data", str(films), "-w", str(second.root)]
    done = CliRunner().invoke(main, wanted)
    assert done.exit_code == 0, done.output
    a, b = (read_json(one.index_dir / "result.json") for one in (first, second))
    assert a["settings"] == b["settings"]
    assert a["config_hash"] == b["config_hash"]
    assert a["inputs"] == b["inputs"]
    assert (first.index_dir / "index.csv").read_bytes() == (
        second.index_dir / "index.csv"
    ).read_bytes()
