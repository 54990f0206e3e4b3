"""Place, size and exposure of drawn chests, and what moving, centring and fading do to them."""

import numpy as np
import pytest

from balancer.quality.diversity import pairwise_ms_ssim
from balancer.quality.placement import register
from balancer.quality.spread import QUANTITIES, Spreads, measure_spreads
from samples.phantom import draw_phantom
from support.planted_generators import Images, alike, centred, moved

ACROSS, DOWN, SIZE, GREY, CONTRAST = QUANTITIES


@pytest.fixture(scope="module")
def chests() -> Images:
    """80 drawn chests, uint8 (80, 64, 64): one half poses as synthetic, one as real."""
    return np.stack([draw_phantom(seed, covid=True, size=64) for seed in range(80)])


def spreads(generated: Images, real: Images) -> Spreads:
    mean = real.mean(axis=0)
    registered = (register(generated, mean), register(real, mean))
    return measure_spreads((generated, real), registered, np.random.default_rng(0))


def ratio(found: Spreads, name: str) -> float:
    value = found.of[name].ratio
    assert value is not None
    return value


def test_a_window_of_the_mean_is_found_where_it_was_put(chests: Images) -> None:
    mean = chests[0].astype(float)
    rolled = np.stack([np.roll(chests[0], (down, across), (0, 1)) for down, across in
                       ((0, 0), (3, -5), (-7, 8))])  # fmt: skip
    found = register(rolled, mean)
    assert (64 * found.right).tolist() == [0, -5, 8]
    assert (64 * found.down).tolist() == [0, 3, -7]
    assert found.zoom.tolist() == [1, 1, 1]
    assert (found.windows == chests[0][8:-8, 8:-8]).all()


def test_colours_and_other_sizes_are_registered_alike(chests: Images) -> None:
    coloured = np.repeat(chests[:9, ..., None], 3, axis=3)
    large = chests[:9].repeat(2, axis=1).repeat(2, axis=2)
    grey, colour, twice = (
        register(some, mean)
        for some, mean in (
            (chests[:9], chests.mean(axis=0)),
            (coloured, chests.mean(axis=0)),
            (large, large[:, ::2, ::2].mean(axis=0).repeat(2, axis=0).repeat(2, axis=1)),
        )
    )
    assert colour.windows.shape == (9, 48, 48, 3)
    assert (colour.windows == grey.windows[..., None]).all()
    assert twice.windows.shape == (9, 96, 96)
    of_nine = register(chests[:9], chests[:9].mean(axis=0))
    assert twice.right == pytest.approx(of_nine.right)
    assert twice.zoom == pytest.approx(of_nine.zoom)


def test_jitter_hides_likeness_from_ms_ssim_but_not_once_registered(chests: Images) -> None:
    dull = alike(chests[:40])
    jittered = moved(dull, pixels=4)

    def similarity(images: Images) -> tuple[float, float]:
        windows = register(images, chests.mean(axis=0)).windows
        return tuple(
            pairwise_ms_ssim(some, np.random.default_rng(0), pairs=80) for some in (images, windows)
        )

    still, shaken = similarity(dull), similarity(jittered)
    assert still[0] - shaken[0] > 0.1
    assert abs(still[1] - shaken[1]) < 0.03


def test_equal_sets_have_the_ratio_1_and_a_scaled_contrast_its_factor(chests: Images) -> None:
    real = chests[:40]
    same = spreads(real, real)
    assert [ratio(same, name) for name in QUANTITIES] == pytest.approx([1] * 5)
    # Halved about its own mean, an image keeps its place and its mean, and half its contrast.
    means = real.mean(axis=(1, 2), keepdims=True)
    halved = np.rint(means + (real - means) / 2).astype(np.uint8)
    found = spreads(halved, real)
    assert ratio(found, CONTRAST) == pytest.approx(0.5, abs=0.01)
    assert ratio(found, GREY) == pytest.approx(1, abs=0.01)
    assert found.narrowest == CONTRAST


def test_a_collapse_of_place_is_that_of_place_alone(chests: Images) -> None:
    real = chests[40:]
    found = spreads(centred(chests[:40], real), real)
    for name in (ACROSS, DOWN):
        interval = found.of[name].interval
        assert interval is not None
        assert interval[1] < 0.6, name
    assert ratio(found, SIZE) < 0.8 < ratio(found, GREY)


def test_what_does_not_vary_among_real_images_is_not_asked(chests: Images) -> None:
    found = spreads(chests[:12], np.repeat(chests[:1], 12, axis=0))
    assert {one.ratio for one in found.of.values()} == {None}
    assert all(one.real == pytest.approx(0, abs=1e-9) for one in found.of.values())
