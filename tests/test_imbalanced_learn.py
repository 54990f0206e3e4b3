"""GANSampler under imbalanced-learn's own estimator checks, with images where they draw numbers."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

pytest.importorskip("imblearn", reason="imbalanced-learn checks samplers")

from imblearn.over_sampling.base import BaseOverSampler
from imblearn.pipeline import make_pipeline
from imblearn.utils import check_sampling_strategy, estimator_checks

from balancer import GANSampler
from balancer.synthetic import gan_sampler
from balancer.synthetic.gan_sampler import draw_class
from gan import GANConfig
from support.tiny_gan import recipe

RECIPE = recipe(images_shown=8, evaluate_every=8)
SAMPLER = GANSampler(config=RECIPE, random_state=0)
CLASSES = np.repeat([0, 1, 2], [8, 12, 12])
BaseOverSampler.register(GANSampler)  # the checks ask more of an over-sampler


def rows(n: int = len(CLASSES)) -> np.ndarray:
    """Draw images of 32 px as rows of pixels from 0 to 1."""
    return np.random.default_rng(0).integers(0, 256, (n, 32 * 32), np.uint8) / 255


@pytest.fixture
def drawn_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the checks draw images: none of them is left out."""
    monkeypatch.setattr(estimator_checks, "sample_dataset_generator", lambda: (rows(), CLASSES))
    monkeypatch.setattr(
        estimator_checks, "make_blobs", lambda **_: (rows(20), np.repeat([0, 1], [12, 8]))
    )
    monkeypatch.setattr(estimator_checks, "StandardScaler", FunctionTransformer)  # keeps them
    monkeypatch.setattr(np.random, "random", lambda size: rows(size[0]))
    monkeypatch.setattr(gan_sampler, "draw_class", trained_once)


@cache
def _drawn(images: bytes, n: int, seed: int) -> np.ndarray:
    given = np.frombuffer(images, np.uint8).reshape(-1, 32, 32)
    return draw_class(given, n, RECIPE, seed)


def trained_once(images: np.ndarray, n: int, config: GANConfig, seed: int) -> np.ndarray:
    """Train a GAN for each class of images, and not again for each check."""
    return _drawn(images.tobytes(), n, seed)


@pytest.mark.usefixtures("drawn_images")
@pytest.mark.parametrize(
    "check",
    [check for _, check in estimator_checks.estimator_checks_generator(SAMPLER)],
    ids=lambda check: check.func.__name__,
)
def test_it_passes_the_check(check: Any) -> None:
    check(SAMPLER)


@pytest.mark.parametrize(
    ("strategy", "counts"),
    [
        *((word, (14, 9, 7)) for word in ("auto", "minority", "not minority", "not majority")),
        ("all", (14, 9, 7)),
        ({"b": 12, "c": 7}, (14, 9, 7)),
        (lambda y: {"c": int((y == "a").sum())}, (14, 9, 7)),
        *((share, (15, 7)) for share in (0.6, 0.7, 1.0)),
    ],
)
def test_a_strategy_asks_for_as_many_as_in_imbalanced_learn(
    strategy: Any, counts: tuple[int, ...]
) -> None:
    labels = np.repeat(["a", "b", "c"][: len(counts)], counts)
    expected = check_sampling_strategy(strategy, labels, "over-sampling")
    sampler = GANSampler(sampling_strategy=strategy).fit(rows(len(labels)), labels)
    assert sampler.sampling_strategy_ == expected


@pytest.mark.parametrize("strategy", ["majority", "none", 0.3, 1.5, {"a": 3}, {"d": 9}, {"a": -1}])
def test_a_strategy_that_imbalanced_learn_refuses_is_refused(strategy: Any) -> None:
    labels = np.repeat(["a", "b"], [15, 7])
    for refuses in (
        lambda: check_sampling_strategy(strategy, labels, "over-sampling"),
        lambda: GANSampler(sampling_strategy=strategy).fit(rows(len(labels)), labels),
    ):
        with pytest.raises(ValueError):  # noqa: PT011
            refuses()


def test_it_is_a_step_of_a_pipeline() -> None:
    pipeline = make_pipeline(SAMPLER, LogisticRegression())
    assert pipeline.fit(rows(), CLASSES).predict(rows()).shape == CLASSES.shape
