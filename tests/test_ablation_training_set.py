from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from balancer.ablation.arms import read_arms
from balancer.ablation.families.arm import (
    FAMILIES,
    RATIO,
    Arm,
    FoldData,
    Maker,
    Option,
    number,
    repeated,
)
from balancer.ablation.folds import plan_folds
from balancer.ablation.plan import make_plan
from balancer.ablation.training_set import TrainingSet, training_set
from balancer.ablation.workspaces import write_fold
from balancer.config import BalancerConfig
from balancer.data.index import ImageSet, Index, load_index
from balancer.errors import ConfigurationError, IntegrityError
from balancer.manifest import HELD_BACK
from balancer.ratio import TargetRatio
from balancer.stages import prepare
from balancer.workspace import Workspace
from support.tiny_pipeline import config_for

SIZE = 32


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("prepared") / "work")
    with workspace.lock():
        prepare.run(config_for(data), workspace)
    return workspace


@pytest.fixture(scope="module")
def index(prepared: Workspace, config: BalancerConfig) -> Index:
    main = load_index(prepared.index_dir)
    (fold, *_) = plan_folds(
        main.records,
        config.ablation,
        config.data.split,
        held_back=[TargetRatio.parse("2:1")],
        positive="COVID",
        seed=0,
    )
    return write_fold(prepared, main, fold, force=False)


@pytest.fixture(scope="module")
def real(index: Index) -> ImageSet:
    return index.image_set(SIZE)


def built(line: str, index: Index, real: ImageSet, config: BalancerConfig) -> TrainingSet:
    place = Workspace(index.directory.parent)
    fold = FoldData(place=place, index=index, real=real, config=config, seed=1)
    return training_set(arm_of(line), fold)


def arm_of(line: str) -> Arm:
    return next(arm for arm in read_arms([line], ratio="2:1") if arm.name == line)


def counts(found: TrainingSet, index: Index) -> dict[str, int]:
    numbers = np.bincount(found.train.labels, minlength=len(index.classes))
    return {name: int(n) for name, n in zip(index.classes, numbers, strict=True)}


def images_of(found: TrainingSet, number: int) -> list[bytes]:
    return [
        found.train[row][0].tobytes()
        for row in range(len(found.train))
        if found.train[row][1] == number
    ]


ADDING = (
    *("oversample", "copycat", "noise", "held-back-real", "classic-augmentation of=rare"),
    *("smote", "neighbor-mixing"),
)


@pytest.mark.parametrize("line", ADDING)
def test_arms_that_add_images_add_as_many(
    line: str, index: Index, real: ImageSet, config: BalancerConfig
) -> None:
    found = built(line, index, real, config)
    before = index.counts("train")
    wanted = arm_of("oversample").images_wanted(index)
    assert found.n_added == wanted
    assert counts(found, index) == {k: before[k] + wanted.get(k, 0) for k in before}
    assert counts(found, index)["COVID"] == -(-before["Normal"] // 2)


def test_real_is_the_training_split_and_nothing_else(
    index: Index, real: ImageSet, config: BalancerConfig
) -> None:
    found = built("real", index, real, config)
    rows = [row for row, record in enumerate(index.records) if record.split == "train"]
    assert counts(found, index) == index.counts("train")
    shown = [found.train[place][0] for place in range(len(rows))]
    assert np.array_equal(shown, real.pixels[rows])


@pytest.mark.parametrize("line", [*ADDING, "real", "undersample", "class-weights", "mixup"])
def test_no_arm_sees_validation_or_test_images(
    line: str, index: Index, real: ImageSet, config: BalancerConfig
) -> None:
    found = built(line, index, real, config)
    allowed = {"train", HELD_BACK} if line == "held-back-real" else {"train"}
    others = {
        real.pixels[row].tobytes()
        for row, record in enumerate(index.records)
        if record.split not in allowed
    }
    shown = {found.train[row][0].tobytes() for row in range(len(found.train))}
    assert not shown & others


def test_oversample_repeats_each_image_about_as_often(
    index: Index, real: ImageSet, config: BalancerConfig
) -> None:
    number = index.classes.index("COVID")
    times = Counter(images_of(built("oversample", index, real, config), number))
    assert len(times) == index.counts("train")["COVID"]
    assert max(times.values()) - min(times.values()) <= 1


def test_held_back_images_come_on_top(index: Index, real: ImageSet, config: BalancerConfig) -> None:
    found = built("held-back-real", index, real, config)
    held_back = {
        real.pixels[row].tobytes()
        for row, record in enumerate(index.records)
        if record.split == HELD_BACK
    }
    number = index.classes.index("COVID")
    assert held_back <= set(images_of(found, number))
    own = index.counts("train")["COVID"]
    assert sum(image in held_back for image in images_of(found, number)) == found.n_added["COVID"]
    assert len(images_of(found, number)) == own + found.n_added["COVID"]


def test_copycat_stays_within_two_pixels_and_two_grey_levels(
    index: Index, real: ImageSet, config: BalancerConfig
) -> None:
    found = built("copycat", index, real, config)
    own = real.pixels[[r for r, rec in enumerate(index.records) if rec.split == "train"]]
    added = [found.train[row][0] for row in range(len(own), len(found.train))]
    inner = np.s_[..., 2:-2, 2:-2]
    for image in added:
        shifted = [
            np.roll(image, (down, right), (0, 1)).astype(int)
            for down in range(-2, 3)
            for right in range(-2, 3)
        ]
        closest = min(
            np.abs(own.astype(int)[inner] - one[inner]).max(axis=(1, 2)).min() for one in shifted
        )
        assert closest <= 2


def test_undersample_leaves_out_images_of_the_larger_class(
    index: Index, real: ImageSet, config: BalancerConfig
) -> None:
    found = built("undersample", index, real, config)
    rare = index.counts("train")["COVID"]
    assert counts(found, index) == {"COVID": rare, "Normal": 2 * rare}
    assert found.n_added == {"Normal": 2 * rare - index.counts("train")["Normal"]}


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("real", {}),
        ("oversample", {}),
        ("class-weights", {"class_weights": "balanced"}),
        ("focal gamma=1", {"loss": "focal", "focal_gamma": 1.0}),
        ("logit-adjustment tau=0.5", {"loss": "logit-adjusted", "logit_adjustment_tau": 0.5}),
        ("balanced-batches", {"batches": "balanced"}),
        ("balanced-softmax", {"loss": "balanced-softmax"}),
        ("post-hoc-adjustment tau=0.5", {"posthoc_tau": 0.5}),
        ("class-balanced beta=0.9", {"class_weights": "effective", "class_weights_beta": 0.9}),
        ("decoupled share=0.5", {"head_retraining": 0.5}),
        ("mixup alpha=0.4", {"mixup_alpha": 0.4}),
    ],
)
def test_recipes_differ_in_what_the_arm_says_alone(
    line: str,
    changed: dict[str, object],
    index: Index,
    real: ImageSet,
    config: BalancerConfig,
) -> None:
    recipe = built(line, index, real, config).recipe.model_dump()
    shared = config.classifier.model_dump()
    assert {key: recipe[key] for key in recipe if recipe[key] != shared[key]} == changed


def test_a_new_family_is_planned_and_trained_without_another_change(
    index: Index, real: ImageSet, config: BalancerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class GreyArm(Arm):
        family = "grey"
        kind = "control"
        describes = "Grey images of level {level}, until {ratio}."
        takes = (Option("level", number(0, 255), 128.0), RATIO)

        def maker(self, fold: FoldData, rng: np.random.Generator) -> Maker:
            level = int(self.options["level"])
            return lambda label, count: np.full((count, SIZE, SIZE), level, np.uint8)

        @property
        def classifier_settings(self) -> Mapping[str, Any]:
            return {"dropout": 0.5}

    monkeypatch.setitem(FAMILIES, "grey", GreyArm)
    asked = config.ablation.model_copy(update={"arms": ("grey level=7",)})
    plan = make_plan(config.model_copy(update={"ablation": asked}), index)
    assert [arm.name for arm in plan.arms] == ["real", "grey level=7"]
    assert not plan.shows_generated
    found = built("grey level=7", index, real, config)
    assert found.n_added == arm_of("oversample").images_wanted(index)
    assert found.recipe.dropout == 0.5
    grey = np.full((SIZE, SIZE), 7, np.uint8).tobytes()
    number_of = index.classes.index("COVID")
    assert images_of(found, number_of).count(grey) == found.n_added["COVID"]


def test_arms_that_repeat_images_repeat_the_same_ones() -> None:
    first, second = (repeated([1, 2, 3], 7, np.random.default_rng(5)) for _ in range(2))
    assert first.tolist() == second.tolist()
    assert Counter(first.tolist()).most_common()[-1][1] == 2


def test_a_fold_shares_the_decoded_pixels(prepared: Workspace, index: Index) -> None:
    link = index.directory / "cache"
    assert link.is_symlink()
    assert link.resolve() == (prepared.index_dir / "cache").resolve()


def test_a_fold_of_other_splits_is_not_replaced(
    prepared: Workspace, config: BalancerConfig, index: Index
) -> None:
    main = load_index(prepared.index_dir)
    folds = [
        plan_folds(
            main.records,
            config.ablation,
            config.data.split,
            held_back=[],
            positive="COVID",
            seed=seed,
        )[0]
        for seed in (0, 1)
    ]
    for fold in folds:
        with pytest.raises(ConfigurationError, match="--force"):
            write_fold(prepared, main, fold, force=False)


def test_a_changed_fold_is_refused(tmp_path: Path, data: Path, config: BalancerConfig) -> None:
    workspace = Workspace(tmp_path / "work")
    with workspace.lock():
        prepare.run(config_for(data), workspace)
    main = load_index(workspace.index_dir)
    fold = plan_folds(
        main.records, config.ablation, config.data.split, held_back=[], positive="COVID", seed=0
    )[0]
    write_fold(workspace, main, fold, force=False)
    path = workspace.fold(fold.name).index_dir / "index.csv"
    path.write_text(path.read_text().replace(",test,", ",train,", 1))
    with pytest.raises(IntegrityError, match=r"index\.csv"):
        write_fold(workspace, main, fold, force=False)
