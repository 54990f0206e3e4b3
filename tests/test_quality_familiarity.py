"""Radiographs pass, other pictures do not."""

import numpy as np
import pytest

from balancer.app.desk import refuse_far
from balancer.app.uploads import RefusedFilmError
from balancer.data.index import load_index
from balancer.quality.extractors import Extractor, load_extractor
from balancer.quality.familiarity import (
    FEATURES,
    MARGIN,
    QUANTILE,
    SHAPE,
    Familiarity,
    measure_familiarity,
)
from balancer.quality.features import features_of
from balancer.workspace import Workspace
from samples.phantom import draw_phantom

SIZE = 32


def draw(seeds: range) -> np.ndarray:
    return np.stack([draw_phantom(seed, covid=seed % 3 == 0, size=SIZE) for seed in seeds])


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return load_extractor("lite0")


@pytest.fixture(scope="module")
def familiarity(extractor: Extractor) -> Familiarity:
    training, validation = draw(range(60)), draw(range(100, 130))
    return Familiarity(
        training,
        validation,
        features_of(extractor, training),
        features_of(extractor, validation),
        extractor,
    )


def test_films_of_the_same_kind_pass(familiarity: Familiarity) -> None:
    films = draw(range(200, 220))
    passed = [not familiarity.of(film).is_far for film in films]
    assert np.mean(passed) >= 0.9


@pytest.mark.parametrize("kind", ["noise", "negative", "stripes"])
def test_other_pictures_are_too_far(kind: str, familiarity: Familiarity) -> None:
    film = draw_phantom(200, covid=False, size=64)
    pictures = {
        "noise": np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8),
        "negative": 255 - film,
        "stripes": np.tile(np.uint8(255) * (np.arange(64, dtype=np.uint8) % 8 < 4), (64, 1)),
    }
    found = familiarity.of(pictures[kind])
    assert found.is_far
    with pytest.raises(RefusedFilmError):
        refuse_far(found)


def test_the_limit_is_the_margin_over_the_quantile_of_validation_images(
    extractor: Extractor,
) -> None:
    """With two equal validation images every quantile is their own distance."""
    training, one = draw(range(20)), draw(range(50, 51))
    validation = np.concatenate([one, one])
    features = [features_of(extractor, images) for images in (training, validation)]
    shares = Familiarity(training, validation, *features, extractor).of(one[0]).shares
    assert 0 < QUANTILE < 1
    assert shares == {FEATURES: pytest.approx(1 / MARGIN), SHAPE: pytest.approx(1 / MARGIN)}


def test_a_training_image_is_nearer_than_any_other(familiarity: Familiarity) -> None:
    """Brightness and contrast alone change nothing of the shape."""
    film = draw(range(1))[0]
    paler = (film.astype(np.float64) * 0.5 + 60).astype(np.uint8)
    assert familiarity.of(film).shares[SHAPE] == pytest.approx(
        familiarity.of(paler).shares[SHAPE], abs=0.02
    )
    assert not familiarity.of(film).is_far


def test_an_index_is_measured_once_and_kept(finished: Workspace, extractor: Extractor) -> None:
    index = load_index(finished.index_dir)
    found = measure_familiarity(index, SIZE, extractor, cache=finished.feature_cache_dir)
    assert found is not None
    image = index.pixels(SIZE, "train", index.classes[0])[0]
    assert max(found.of(np.array(image)).shares.values()) < 1
