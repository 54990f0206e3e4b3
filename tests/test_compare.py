"""`balancer.compare`: planted classifiers that tell what they were trained and tested on."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import cv2
import lightning
import numpy as np
import pytest
import sklearn.base
import torch
from numpy.typing import NDArray

import balancer
from balancer.errors import BalancerError, ConfigurationError, DataError, IntegrityError

pytestmark = pytest.mark.blank_pictures

SIDE, N_RARE, N_COMMON = 32, 18, 48
FEW: dict[str, Any] = {"splits": 4, "size": SIDE, "rows": False}
Images = NDArray[np.uint8]


def marked(number: int, covid: bool, made: bool) -> Images:
    """Draw noise whose first pixels say which image it is, of which class, and who made it."""
    image = np.random.default_rng([number, made]).integers(0, 256, (SIDE, SIDE), np.uint8)
    image[0, :4] = (number // 256, number % 256, 255 * covid, 255 * made)
    return image


IMAGES = np.stack([marked(n, n < N_RARE, made=False) for n in range(N_RARE + N_COMMON)])
LABELS = ["COVID"] * N_RARE + ["Normal"] * N_COMMON
MADE = np.stack([marked(n, covid=True, made=True) for n in range(40)])


def ids(images: Images) -> list[int]:
    return [int(image[0, 0]) * 256 + int(image[0, 1]) for image in images]


class Witness:
    """A classifier that is right once it saw an image of a generator, and guesses otherwise."""

    trainings: ClassVar[list[tuple[set[int], set[int]]]] = []

    def fit(self, images: Images, labels: NDArray[np.int64]) -> "Witness":
        made = images[:, 0, 3] == 255
        # Images of noise have any value there.
        self.informed = bool(made.all(where=labels == 0) or made.sum() > 5)
        self.trained_on = set(ids(images[~made & (images[:, 0, 3] == 0)]))
        return self

    def predict_proba(self, images: Images) -> NDArray[np.float64]:
        assert not images[:, 0, 3].any()  # a synthetic image is never tested
        Witness.trainings.append((self.trained_on, set(ids(images))))
        truth = 1 - images[:, 0, 2] / 255.0
        guess = np.array([np.random.default_rng(one).uniform() for one in ids(images)])
        normal = 0.8 * truth + 0.1 if self.informed else guess
        return np.stack([1 - normal, normal], axis=1)


def ask(**more: Any) -> balancer.ArmComparison:
    given = {
        "classifier": Witness(),
        "synthetic": {"oracle": MADE},
        "lineage": {"oracle": "declared"},
    }
    return balancer.compare(IMAGES, LABELS, **{**given, **FEW, **more})


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[balancer.ArmComparison, Path]:
    Witness.trainings.clear()
    folder = tmp_path_factory.mktemp("compare") / "study"
    return ask(groups=[n // 3 for n in range(len(IMAGES))], out=folder), folder


def test_images_that_inform_help_and_noise_does_not(
    kept: tuple[balancer.ArmComparison, Path],
) -> None:
    found, _ = kept
    assert found.word == "helps"
    assert "images of oracle" in found.sentence.lower()
    figures = found.figures
    assert list(figures.index) == ["real", "oversample", "oracle", "noise"]
    assert figures.loc["oracle", "auroc"] == 1.0
    gain = 1.0 - figures.loc["real", "auroc"]
    assert figures.loc["oracle", "minus real"] == pytest.approx(gain)
    assert figures.loc["oracle", "minus real, low"] > 0.01
    # Both guess alike, whatever they were trained on.
    assert figures.loc["oversample", "auroc"] == figures.loc["real", "auroc"]
    assert figures.loc["noise", "word"] != "helps"


def test_no_group_is_on_both_sides_and_all_arms_see_the_same_splits(
    kept: tuple[balancer.ArmComparison, Path],
) -> None:
    found, _ = kept
    assert len(Witness.trainings) == 2 * 4 * FEW["splits"]  # validation, then test, of each arm
    for trained, tested in Witness.trainings:
        assert trained
        assert not {one // 3 for one in trained} & {one // 3 for one in tested}
    tested = [frozenset(there) for _, there in Witness.trainings]
    splits = [tested[start : start + 8] for start in range(0, len(tested), 8)]
    assert all(set(one) == {one[0], one[1]} for one in splits)
    assert found.metrics.design is not None
    assert found.metrics.design.n_runs == FEW["splits"]


def test_the_question_is_fixed_and_kept(kept: tuple[balancer.ArmComparison, Path]) -> None:
    found, folder = kept
    asked = json.loads((folder / "question.json").read_text())
    assert (asked["metric"], asked["margin"]) == ("auroc", 0.01)
    registration, ledger = found.metrics.registration, found.metrics.ledger
    assert registration is not None
    assert ledger is not None
    assert registration.hash in found.page
    assert ledger.reads == 4 * FEW["splits"]
    assert ledger.copies == {"oracle": 1}
    with pytest.raises(ConfigurationError):
        ask(margin=0.2, out=folder)
    assert "http" not in found.page.replace("http-equiv", "")
    assert "srcdoc" in found._repr_html_()


def test_the_question_stands_before_the_first_training(tmp_path: Path) -> None:
    class Stops(Witness):
        def fit(self, images: Images, labels: NDArray[np.int64]) -> "Witness":
            assert (tmp_path / "question.json").is_file()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(classifier=Stops, out=tmp_path)


class Tuned(sklearn.base.BaseEstimator):
    """A classifier with a setting, which is stopped before it is trained."""

    def __init__(self, depth: int = 1) -> None:
        self.depth = depth

    def fit(self, images: Images, labels: NDArray[np.int64]) -> None:
        raise KeyboardInterrupt

    def predict_proba(self, images: Images) -> NDArray[np.float64]:
        raise AssertionError


def test_a_setting_of_the_classifier_is_part_of_the_question(tmp_path: Path) -> None:
    for _ in range(2):  # the same question may be asked again
        with pytest.raises(KeyboardInterrupt):
            ask(classifier=Tuned(1), out=tmp_path)
    with pytest.raises(ConfigurationError):
        ask(classifier=Tuned(2), out=tmp_path)


def test_without_a_word_on_lineage_a_gain_is_not_verified(tmp_path: Path) -> None:
    """The same images as files, in a folder per class and in a list, are the same study."""
    for label, image, number in zip(LABELS, IMAGES, range(len(IMAGES)), strict=True):
        (tmp_path / label).mkdir(exist_ok=True)
        assert cv2.imwrite(str(tmp_path / label / f"{number:03d}.png"), image)
    words = {"classifier": Witness, "synthetic": {"oracle": MADE}, **FEW}
    folder = balancer.compare(tmp_path, **words)
    assert folder.word == "unverified"
    paths = [str(path) for path in sorted(tmp_path.glob("*/*.png"))]
    listed = balancer.compare(paths, [Path(path).parent.name for path in paths], **words)
    assert folder.figures.equals(listed.figures)


def test_a_function_is_given_training_images_alone() -> None:
    Witness.trainings.clear()
    seen: list[set[int]] = []

    def make(training: Images, count: int, seed: int) -> Images:
        assert (training[:, 0, 2] == 255).all()  # of the rare class
        seen.append(set(ids(training)))
        return MADE[:count]

    found = ask(synthetic={"oracle": make}, lineage=None, splits=3)
    assert found.word == "helps"
    assert len(seen) == 3
    trainings = [Witness.trainings[start : start + 8] for start in range(0, 24, 8)]
    for training, runs in zip(seen, trainings, strict=True):
        assert all(training <= trained or not trained for trained, _ in runs)
        assert not any(training & tested for _, tested in runs)


def test_copies_of_what_is_tested_are_refused() -> None:
    copied = np.concatenate([MADE[1:], IMAGES[:1]])
    with pytest.raises(IntegrityError):
        ask(synthetic={"copier": copied}, lineage={"copier": "declared"})
    with pytest.raises(IntegrityError):  # it knows more than it was given
        ask(synthetic={"thief": lambda *_: np.resize(IMAGES, (40, SIDE, SIDE))}, lineage=None)


def test_images_that_a_generator_saw_are_never_tested() -> None:
    Witness.trainings.clear()
    copied = np.concatenate([MADE[1:], IMAGES[:1]])
    found = ask(synthetic={"oracle": copied}, lineage={"oracle": range(6)})
    assert found.word == "helps"  # not unverified: what it saw is known
    tested = [seen for _, seen in Witness.trainings]
    assert not any(seen & {*range(6)} for seen in tested)
    assert all(seen & {*range(6, N_RARE)} for seen in tested)
    assert all(trained >= {*range(6)} for trained, _ in Witness.trainings if trained)
    with pytest.raises(IntegrityError):  # the list lies: it copies an image that is not on it
        ask(synthetic={"oracle": copied}, lineage={"oracle": range(1, 6)})


def test_a_lineage_lists_paths_and_hashes(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:02d}.png" for number in range(len(IMAGES))]
    for path, image in zip(paths, IMAGES, strict=True):
        assert cv2.imwrite(str(path), image)
    other = tmp_path / "of another hospital.png"
    assert cv2.imwrite(str(other), MADE[0] ^ 255)
    given = [paths[0], str(paths[1]), sha256(paths[2].read_bytes()).hexdigest(), other, "0" * 64]
    Witness.trainings.clear()
    found = balancer.compare(
        paths, LABELS, classifier=Witness(), synthetic={"oracle": MADE}, lineage={"oracle": given},
        **FEW,
    )  # fmt: skip
    assert found.word == "helps"
    assert not any(tested & {0, 1, 2} for _, tested in Witness.trainings)


class Module(lightning.LightningModule):
    """A linear classifier that counts its steps."""

    steps: ClassVar[list[int]] = []

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(SIDE * SIDE, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[1:] == (1, SIDE, SIDE)
        assert float(images.max()) <= 1
        return self.layer(images.flatten(1))

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])

    def on_train_end(self) -> None:
        self.steps.append(self.trainer.global_step)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)


def test_a_lightning_module_takes_as_many_steps_in_every_arm() -> None:
    Module.steps.clear()
    module = Module()
    before = module.layer.weight.detach().clone()
    first = ask(classifier=module, splits=3, epochs=2, batch_size=8)
    assert torch.equal(module.layer.weight, before)  # copies are trained
    assert len(Module.steps) == 12
    for start in range(0, 12, 4):
        assert len(set(Module.steps[start : start + 4])) == 1
    assert Module.steps[0] == 2 * -(-45 // 8)
    again = ask(classifier=module, splits=3, epochs=2, batch_size=8)
    assert first.figures.equals(again.figures)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"classifier": object()}, ConfigurationError),
        ({"synthetic": {"real": MADE}, "lineage": None}, ConfigurationError),
        ({"lineage": {"another": "declared"}}, ConfigurationError),
        ({"lineage": {"oracle": "sure"}}, ConfigurationError),
        ({"lineage": {"oracle": []}}, ConfigurationError),
        ({"lineage": {"oracle": ["no-such-image.png"]}}, DataError),
        ({"lineage": {"oracle": range(N_RARE)}}, DataError),  # no rare image is left to test on
        ({"metric": "beauty"}, ConfigurationError),
        ({"ratio": "1:3"}, ConfigurationError),
        ({"ratio": "9:1"}, ConfigurationError),
        ({"positive": "Flu"}, ConfigurationError),
        ({"groups": [0]}, DataError),
        ({"synthetic": {"few": MADE[:3]}, "lineage": None}, DataError),
        ({"synthetic": {"other": {"Flu": MADE}}, "lineage": None}, ConfigurationError),
        (
            {"synthetic": {"o": {"COVID": MADE, "Normal": MADE}}, "lineage": None},
            ConfigurationError,
        ),
        ({"size": 0}, ConfigurationError),
        ({"epochs": 0}, ConfigurationError),
        ({"batch_size": 0.5}, ConfigurationError),
    ],
)
def test_what_does_not_fit_is_refused(wrong: dict[str, Any], error: type[BalancerError]) -> None:
    with pytest.raises(error):
        ask(**wrong)


def test_probabilities_that_are_none_are_refused() -> None:
    class Wrong(Witness):
        def predict_proba(self, images: Images) -> NDArray[np.float64]:
            return np.ones((len(images), 2))

    with pytest.raises(ConfigurationError):
        ask(classifier=Wrong)
