"""Copies are told from honest images by every space, on drawn chests."""

import cv2
import numpy as np
import pytest

from balancer.quality.extractors import load_extractor
from balancer.quality.memorization import CopyDetector
from support.tiny_pipeline import draw_folder


@pytest.fixture(scope="module")
def chests(tmp_path_factory):
    """Drawn chests of one class: 30 to train on, 12 held out, 20 honest ones; uint8 (N, 64, 64)."""
    folder = draw_folder(tmp_path_factory.mktemp("chests") / "films", n_covid=62, n_normal=8)
    paths = [path for path in sorted(folder.glob("*/*.png")) if "covid" in str(path).lower()]
    images = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]
    small = [cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA) for image in images]
    return np.split(np.stack(small), [30, 42])


@pytest.fixture(scope="module")
def detector(chests):
    training, held_out, _ = chests
    return CopyDetector(
        training,
        held_out,
        extractors={"lite0": load_extractor("lite0")},
        decisive=["lite0"],
        correlation=0.9,
        distance=0.6,
    )


def test_honest_images_measure_like_held_out_ones(detector, chests):
    found = detector.nearest(chests[2])
    measured = detector.measure(found, np.random.default_rng(0))
    assert measured.near_copies.generated <= measured.near_copies.held_out + 0.15
    for space in ("lite0", "edges"):
        assert measured.distance[space].held_out == pytest.approx(1)
        assert measured.distance[space].generated == pytest.approx(1, abs=0.15)
        assert 0.3 < measured.distance[space].closer_to_training < 0.7


@pytest.mark.parametrize("change", ["none", "flipped", "upside down", "noisy"])
def test_copies_are_found(detector, chests, change):
    noise = np.random.default_rng(0).normal(0, 5, chests[0].shape)
    copies = {
        "none": chests[0],
        "flipped": np.ascontiguousarray(chests[0][:, :, ::-1]),
        "upside down": np.ascontiguousarray(chests[0][:, ::-1]),
        "noisy": (chests[0] + noise).clip(0, 255).astype(np.uint8),
    }[change]
    found = detector.nearest(copies)
    assert found.is_copy.mean() > 0.95
    measured = detector.measure(found, np.random.default_rng(0))
    assert measured.near_copies.generated > measured.near_copies.held_out + 0.5
    if change != "upside down":  # found by the pixels alone
        assert measured.distance["edges"].generated < 0.7


def test_exact_copies_lie_at_distance_0_and_closer_to_training(chests):
    training, held_out, _ = chests
    # As many held-out as training images, so that every draw holds the original.
    detector = CopyDetector(
        training[:12],
        held_out,
        extractors={"lite0": load_extractor("lite0")},
        decisive=["lite0"],
        correlation=0.9,
        distance=0.6,
    )
    found = detector.nearest(training[:12])
    assert found.rows.tolist() == list(range(12))
    measured = detector.measure(found, np.random.default_rng(0))
    for entry in measured.distance.values():
        assert entry.generated == pytest.approx(0, abs=1e-4)
        assert entry.closer_to_training == 1


def test_the_cache_changes_nothing(chests, tmp_path):
    training, held_out, honest = chests
    found = [
        CopyDetector(
            training,
            held_out,
            extractors={"lite0": load_extractor("lite0")},
            decisive=["lite0"],
            correlation=0.9,
            distance=0.6,
            cache=tmp_path if attempt else None,
        ).nearest(honest)
        for attempt in range(3)
    ]
    assert list(tmp_path.iterdir())
    for other in found[1:]:
        assert np.array_equal(found[0].relative["lite0"], other.relative["lite0"])
        assert np.array_equal(found[0].is_copy, other.is_copy)


def test_a_space_that_does_not_decide_is_reported_all_the_same(chests):
    training, held_out, _ = chests
    extractors = {"lite0": load_extractor("lite0")}
    options = {"correlation": 1.0, "distance": 0.99}
    both = CopyDetector(training, held_out, extractors=extractors, decisive=["lite0"], **options)
    edges = CopyDetector(training, held_out, extractors=extractors, decisive=[], **options)
    one, other = both.nearest(held_out), edges.nearest(held_out)
    assert one.is_copy.sum() > other.is_copy.sum()
    assert np.array_equal(one.relative["lite0"], other.relative["lite0"])


def test_few_copies_among_few_images_are_no_proof(detector, chests):
    training, _, honest = chests
    some = detector.measure(
        detector.nearest(np.concatenate((training[:1], honest[:9]))), np.random.default_rng(0)
    ).near_copies
    many = detector.measure(detector.nearest(training), np.random.default_rng(0)).near_copies
    assert some.generated_at_least < 0.05 < some.generated
    assert many.generated_at_least > 0.8
