"""Splits, trainings and tests of a study that is given from Python, and its comparison."""

import json
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from balancer.ablation.compare import compare
from balancer.ablation.families.arm import repeated
from balancer.ablation.folds import Fold, derived_seed, plan_folds
from balancer.ablation.given_study import NOISE, GivenImages, GivenStudy
from balancer.ablation.protocol import canonical_hash
from balancer.ablation.records import AblateMetrics, Design, MeanImages, Registration
from balancer.ablation.runs import REAL, Question, Run
from balancer.data.collection import Collection
from balancer.data.index import ImageSet, evaluation_table
from balancer.data.io import Pixels
from balancer.data.split import verify_splits
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.evaluation.fit_and_test import Reader, choose_and_test
from balancer.evaluation.ledger import ledger_summary, note_search, read_ledger
from balancer.files import parse_json, replacing
from balancer.imaging.pixels import luma
from balancer.ratio import plan_synthesis
from balancer.synthetic.real_copies import SEARCH_SIDE, find_real_copies

log = logging.getLogger(__name__)

QUESTION_NAME = "question.json"
_EVERY_SPLIT = "every split"


def run_given_study(study: GivenStudy) -> AblateMetrics:
    """Fix the question, then train and test every arm on every split, and compare them.

    Raises:
        ConfigurationError: The folder has the answer to another question, the classes reach the
            ratio already, or the classifier gives no probabilities.
        DataError: A class has too few groups, or a source too few images.
        IntegrityError: A synthetic image copies a real one that it must not know.
    """
    registration = _fix(study)
    index, ablation = study.index, study.config.ablation
    images = index.image_set(study.size)
    folds = _folds(study)
    is_tested = [record.group not in study.seen_groups for record in index.records]
    for one in study.synthetic:
        for some in one.fixed.values():
            _refuse_copies(study, one, some, _EVERY_SPLIT, is_tested)
    runs: list[Run] = []
    splits = []
    for fold in folds:
        split = _Split(study, fold, images.pixels, registration.hash)
        for seed in range(ablation.seeds):
            runs += [split.train(arm.name, seed) for arm in study.arms]
        splits.append(split.numbers)
        log.info("Trained and tested %d arms on %s", len(study.arms), fold.name)
    metrics = compare(runs, study.arms, _question(study))
    return metrics.model_copy(
        update={
            "design": _design(study, splits, runs),
            "ledger": ledger_summary(read_ledger(study.workspace.ledger_dir)),
            "registration": registration,
        }
    )


def _folds(study: GivenStudy) -> list[Fold]:
    """Split all images but those that a generator saw, which are training images in each split."""
    config, records, seen = study.config, study.index.records, study.seen_groups
    unseen = [record for record in records if record.group not in seen]
    if gone := {*study.index.classes} - {record.label for record in unseen}:
        raise DataError(
            f"Classifiers should be tested on images that no generator saw, but of {min(gone)} all "
            "are in the lineage, or of a patient in it; add images, or give a function that makes "
            "synthetic ones from the training images of each split."
        )
    folds = plan_folds(
        unseen,
        config.ablation,
        config.data.split,
        held_back=(),
        positive=study.positive,
        seed=config.seed,
    )
    found = []
    for fold in folds:
        split_of = {record.image_id: record.split for record in fold.records}
        rows = [replace(one, split=split_of.get(one.image_id, "train")) for one in records]
        verify_splits(rows)
        found.append(replace(fold, records=tuple(rows)))
    return found


def _fix(study: GivenStudy) -> Registration:
    """Write the question before the first look, and refuse a folder with another one."""
    path = study.workspace.root / QUESTION_NAME
    asked = study.asked
    if path.is_file():
        before = parse_json(path.read_bytes())
        changed = [key for key in asked if before.get(key) != asked[key]]
        if changed:
            raise ConfigurationError(
                f"{path} should hold this question, but holds one with another "
                f"{', '.join(changed)}, and its test images have been read; give another folder."
            )
    else:
        study.workspace.root.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")
    return Registration(
        status="confirmatory",
        sentence="The question was fixed in the call, before the first look at a test image; "
        "whether these images were looked at before is not known.",
        label="",
        hash=canonical_hash(asked),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        reads=0,
        entries=(),
        runs="",
    )


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Training images of a split by class: real ones, and those that the ratio lacks."""

    real: Mapping[str, int]
    lacking: Mapping[str, int]


class _Split:
    """One split: its images, and what each arm adds to them."""

    def __init__(self, study: GivenStudy, fold: Fold, pixels: Pixels, protocol: str) -> None:
        self.study, self.fold, self.pixels, self.protocol = study, fold, pixels, protocol
        self.index = replace(study.index, records=fold.records)
        counts = self.index.counts("train")
        plans = plan_synthesis(counts, study.ratio)
        lacking = {plan.label: plan.to_make for plan in plans if plan.to_make}
        self.numbers = _Numbers(counts, lacking)
        if not lacking:
            raise ConfigurationError(
                f"The arms should bring the classes to {study.ratio}, but they are there already "
                f"({counts}); ask for another ratio."
            )
        real = ImageSet(fold.records, pixels)
        self.validation, self.test = (
            evaluation_table(real, self.index.classes, split) for split in ("val", "test")
        )
        self.added = {arm.name: self._added(arm.name) for arm in study.arms}

    def rows(self, label: str) -> list[int]:
        """Return the rows of the training images of a class."""
        return [
            row
            for row, record in enumerate(self.fold.records)
            if record.split == "train" and record.label == label
        ]

    def train(self, arm: str, seed: int) -> Run:
        """Train an arm, choose its threshold on validation images, and test it once."""
        study, classes = self.study, self.index.classes
        images = [self.pixels[self.rows(label)] for label in classes]
        labels = [np.full(len(some), number) for number, some in enumerate(images)]
        extra, seconds = self.added[arm]
        for label, some in extra.items():
            images.append(some)
            labels.append(np.full(len(some), classes.index(label)))
        joined = np.concatenate(labels).astype(np.int64)
        started = time.monotonic()
        predict = study.classifier.fit(
            np.concatenate(images),
            joined,
            n_classes=len(classes),
            n_real=sum(self.numbers.real.values()),
            seed=derived_seed(study.config.seed, self.fold.number, seed, 0),
        )
        trained = time.monotonic() - started
        positive = classes.index(study.positive)
        threshold, chosen, tested = choose_and_test(
            lambda table: predict(self.pixels[table.places[:, 1]]),
            self.validation,
            self.test,
            positive,
            Reader(study.workspace.ledger_dir, self.fold.name, seed, arm, self.protocol),
        )
        return Run(
            arm=arm,
            fold=self.fold.name,
            seed=seed,
            positive=positive,
            threshold=threshold,
            training_prior=np.bincount(joined, minlength=len(classes)) / len(joined),
            n_outside=len(self.fold.records) - len(tested.labels),
            seconds=trained,
            seconds_of_images=seconds,
            test=tested,
            validation=chosen,
        )

    def _added(self, arm: str) -> tuple[dict[str, Pixels], float]:
        """Return the images that an arm adds, by class, and the seconds that they took."""
        started = time.monotonic()
        source = next((one for one in self.study.synthetic if one.name == arm), None)
        found: dict[str, Pixels] = {}
        for label, count in self.numbers.lacking.items() if arm != REAL else ():
            key = (self.study.config.seed, self.fold.number, self.index.classes.index(label))
            rng = np.random.default_rng(derived_seed(*key, 1))
            own = self.pixels[self.rows(label)]
            if source is not None:
                found[label] = self._made(source, own, label, count, derived_seed(*key, 2))
            elif arm == NOISE:
                found[label] = rng.integers(0, 256, (count, *own.shape[1:]), np.uint8)
            else:
                found[label] = own[repeated([*range(len(own))], count, rng)]
        return found, time.monotonic() - started

    def _made(self, source: GivenImages, own: Pixels, label: str, count: int, seed: int) -> Pixels:
        if source.make is None:
            images = source.fixed.get(label)
        else:
            images = source.make(own, count, seed)
            is_apart = [record.split != "train" for record in self.fold.records]
            _refuse_copies(self.study, source, images, self.fold.name, is_apart)
        n_images = 0 if images is None else len(images.images)
        if images is None or n_images < count:
            raise DataError(
                f"{source.name} should give {count} images of {label} for {self.fold.name}, but "
                f"gives {n_images}; give more, or ask for a lower ratio."
            )
        return self.study.pixels(images, self.study.size)[:count]


def _refuse_copies(
    study: GivenStudy, source: GivenImages, images: Collection, fold: str, wanted: Sequence[bool]
) -> None:
    """Refuse synthetic images that copy a real one which they must not know; note the look.

    Args:
        study: The study.
        source: Source of the images.
        images: The images.
        fold: Name of the split.
        wanted: Whether to compare with each real image. Images of a function, which was given
            training images alone, are not searched for turned and cut copies in every split.
    """
    records = [one for one, is_apart in zip(study.index.records, wanted, strict=True) if is_apart]
    note_search(
        study.workspace.ledger_dir,
        source=source.name,
        fold=fold,
        seed=study.config.seed,
        arm=source.name,
        image_ids=[record.image_id for record in records],
    )
    pixels = luma(study.pixels(images, SEARCH_SIDE))
    found = find_real_copies(pixels, study.index, wanted, turned=source.make is None)
    if found:
        first = found[0]
        raise IntegrityError(
            f"Images of {source.name} should copy no real image that a classifier is tested on, "
            f"but {len(found)} of {len(pixels)} do, first {images.images[first.number].path!r} of "
            f"{first.real.path!r}; give a function that makes them from the training images of "
            "each split."
        )


def _question(study: GivenStudy) -> Question:
    ablation, evaluation = study.config.ablation, study.config.evaluation
    counts = Counter(record.label for record in study.index.records)
    total = len(study.index.records)
    return Question(
        primary=ablation.primary,
        margin=ablation.margin,
        alpha=ablation.alpha,
        specificity=evaluation.specificity,
        deployment_prior=np.array([counts[label] / total for label in study.index.classes]),
        n_bootstrap=evaluation.bootstrap_samples,
        seed=study.config.seed,
        secondary=ablation.secondary,
    )


def _design(study: GivenStudy, splits: Sequence[_Numbers], runs: Sequence[Run]) -> Design:
    ablation, classes = study.config.ablation, study.index.classes
    before = {label: _mean(one.real[label] for one in splits) for label in classes}
    added = {label: _mean(one.lacking.get(label, 0) for one in splits) for label in classes}
    nothing = dict.fromkeys(classes, 0.0)
    images = {
        arm.name: {label: MeanImages(real=before[label], added=some[label]) for label in classes}
        for arm in study.arms
        for some in [nothing if arm.name == REAL else added]
    }
    n_train = _mean(sum(one.real.values()) for one in splits)
    return Design(
        resampling=ablation.resampling,
        repeats=ablation.repeats,
        folds=None,
        seeds=ablation.seeds,
        n_runs=len({(run.fold, run.seed) for run in runs}),
        n_train=round(n_train),
        n_val=round(_mean(len(run.validation.labels) for run in runs)),
        n_test=round(_mean(len(run.test.labels) for run in runs)),
        test_to_train=_mean(run.test_to_train for run in runs),
        held_back={},
        model=study.classifier.name,
        image_size=study.size,
        input_size=None,
        n_steps=study.classifier.steps(round(n_train)),
        batch_size=study.classifier.batch_size,
        training_images=images,
        before=before,
        after={
            name: {label: round(one.real + one.added, 1) for label, one in mine.items()}
            for name, mine in images.items()
        },
    )


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
