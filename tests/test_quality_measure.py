"""The entries of `measure`: counts, floors and refusals, on an extractor that costs nothing."""

import json

import numpy as np
import pytest
import torch

from balancer.errors import DataError
from balancer.quality.distances import frechet_distance
from balancer.quality.extractors import Extractor
from balancer.quality.features import features_of
from balancer.quality.figures import Distance
from balancer.quality.measure import measure


class Projection(torch.nn.Module):
    def forward(self, images):
        weights = torch.randn(64, 12, generator=torch.Generator().manual_seed(0))
        return (images.flatten(1).float() / 255 @ weights,)


EXTRACTOR = Extractor(
    suffix="[projection]",
    dimension=12,
    recipe={"extractor": "projection"},
    network=Projection(),
    registered_name="projection",
)


def images(n, low=0, seed=0, side=8):
    rng = np.random.default_rng(seed)
    return rng.integers(low, 256, (n, side, side), dtype=np.uint8)


def measured(fake, real, **options):
    entries = measure(fake, real, extractor=EXTRACTOR, **options)
    for entry in entries.values():
        text = json.dumps(entry.model_dump(mode="json", exclude_unset=True), allow_nan=False)
        assert Distance.model_validate_json(text) == entry
    return entries["fid[projection]"], entries["kid[projection]"]


def same_n_ratio(name, fake, real, **options):
    return measure(fake, real, extractor=EXTRACTOR, **options)[f"{name}[projection]"].same_n


def test_counts_subsets_and_recipe():
    fid, kid = measured(images(40), images(31, seed=1))
    for entry in (fid, kid):
        assert (entry.n_fake, entry.n_reference) == (40, 31)
        assert entry.same_n.n == 15
        assert entry.recipe["extractor"] == "projection"
    assert kid.recipe["subset_size"] == 15
    assert measured(images(400), images(310, seed=1))[1].recipe["subset_size"] == 100


def test_few_generated_images_set_n():
    fid, _ = measured(images(5), images(40, seed=1))
    assert fid.same_n.n == 5


def test_value_at_the_same_n_is_above_the_value_of_all():
    # Fewer images, larger FID: the floor has to be read against the former.
    fid, _ = measured(images(200), images(200, low=60, seed=1))
    assert fid.same_n.value > fid.value


def test_real_images_are_at_their_own_floor():
    everything = images(400)
    fid, kid = measured(everything[:100], everything[100:])
    low, high = fid.same_n.real_against_real_range
    assert 0.7 * low < fid.same_n.value < 1.4 * high
    assert kid.interval[0] < 0 < kid.interval[1]


def test_worse_images_are_above_the_floor():
    fid, kid = measured(images(100, low=120), images(100, seed=1))
    for entry in (fid, kid):
        assert entry.same_n.value > 3 * entry.same_n.real_against_real_range[1]
    assert kid.interval[0] < kid.value < kid.interval[1]


def test_halves_of_the_real_images_share_none():
    # Four images have three halvings; a floor of overlapping halves would be none of their values.
    real = images(4, seed=5)
    fid, _ = measured(images(4), real)
    pairs = [(0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2)]
    features = features_of(EXTRACTOR, real)
    possible = [frechet_distance(features[[a, b]], features[[c, d]]) for a, b, c, d in pairs]
    for end in fid.same_n.real_against_real_range:
        assert min(abs(end / value - 1) for value in possible) < 1e-6


@pytest.mark.fault(55)
@pytest.mark.parametrize(("n", "reliable"), [(12, False), (13, True)])
def test_fid_is_reliable_above_the_number_of_features(n, reliable):
    fid, kid = measured(images(n), images(50, seed=1))
    assert fid.reliable is reliable
    assert "reliable" not in kid.model_dump(exclude_unset=True)


@pytest.mark.fault(55)
@pytest.mark.parametrize(("n", "m", "size"), [(2, 2, 2), (3, 3, 2), (2, 50, 2)])
def test_few_images_are_measured_without_floor_or_with(n, m, size):
    fid, kid = measured(images(n), images(m, seed=1))
    assert kid.recipe["subset_size"] == size
    assert (fid.same_n is None) == (m < 4)


@pytest.mark.fault(55)
@pytest.mark.parametrize(("n", "m"), [(0, 9), (1, 9), (9, 1)])
def test_fewer_than_two_images_are_refused(n, m):
    with pytest.raises(DataError, match=f"there are {min(n, m)}"):
        measured(images(n), images(m))


@pytest.mark.fault(55)
def test_different_sizes_are_refused():
    with pytest.raises(DataError):
        measured(images(9), images(9, side=16))


def test_seed_decides():
    fake, real = images(20), images(30, seed=1)
    assert measured(fake, real, seed=1) == measured(fake, real, seed=1)
    assert measured(fake, real, seed=1) != measured(fake, real, seed=2)


@pytest.mark.parametrize("name", ["precision", "recall", "density", "coverage"])
def test_real_images_reach_the_floor_of_shares_and_noise_does_not(name):
    everything = images(300, seed=3)
    good = same_n_ratio(name, everything[:100], everything[100:])
    assert good.n == 100
    assert good.value == pytest.approx(good.real_against_real, abs=0.25)
    flat = same_n_ratio(name, np.full((100, 8, 8), 255, np.uint8), everything[100:])
    assert flat.value < 0.2 * flat.real_against_real


def test_a_stand_in_is_compared_with_the_whole_reference():
    reference, others = images(40, seed=1), images(90, seed=2)
    entry = same_n_ratio("fid", images(60), reference, stand_in=others)
    assert entry.n == 40
    # Generated images that are the stand-ins themselves are at the floor.
    itself = same_n_ratio("fid", others, reference, stand_in=others)
    assert itself.value == pytest.approx(itself.real_against_real, rel=0.1)


def test_ratios_only_to_floors_above_zero():
    like = images(200)
    assert same_n_ratio("fid", like[:100], like[100:]).ratio == pytest.approx(1, abs=0.3)
    low, _ = same_n_ratio("kid", like[:100], like[100:]).real_against_real_range
    assert low < 0
    assert same_n_ratio("kid", like[:100], like[100:]).ratio is None


def test_shares_need_more_images_than_neighbours():
    entries = measure(images(5), images(30, seed=1), extractor=EXTRACTOR, neighbors=5)
    assert set(entries) == {"fid[projection]", "kid[projection]"}
    few = measure(images(6), images(9, seed=1), extractor=EXTRACTOR, neighbors=5)
    assert few["coverage[projection]"].same_n is None
