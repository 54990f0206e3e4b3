import numpy as np
import pytest

from balancer.ablation.power_curve import fit_curves

SIZES = np.array([9.0, 18, 36, 72, 145, 176, 207])


def test_an_exact_power_law_is_found_again() -> None:
    values = 0.97 - 0.4 * SIZES**-0.5
    curve = fit_curves(SIZES, values[None])
    fitted = np.array([curve.at(n)[0] for n in SIZES])
    assert fitted == pytest.approx(values, abs=2e-4)
    assert curve.exponent[0] == pytest.approx(0.5, rel=0.1)


def test_every_curve_rises_or_is_flat() -> None:
    values = np.random.default_rng(0).normal(0.9, 0.02, (500, len(SIZES)))
    curve = fit_curves(SIZES, values)
    fitted = np.stack([curve.at(n) for n in np.geomspace(9, 207, 60)])
    assert (np.diff(fitted, axis=0) >= -1e-12).all()
    assert (curve.scale == 0).any()  # some of these fall, and are levelled


def test_the_inverse_undoes_the_curve() -> None:
    curve = fit_curves(SIZES, (0.97 - 0.4 * SIZES**-0.5)[None])
    for n in (9.5, 40.0, 206.0):
        assert curve.inverse(curve.at(n))[0] == pytest.approx(n, rel=1e-6)


def test_nothing_is_extrapolated() -> None:
    curve = fit_curves(SIZES, (0.97 - 0.4 * SIZES**-0.5)[None])
    assert curve.inverse(curve.at(208.0))[0] == np.inf
    assert curve.inverse(np.array([2.0]))[0] == np.inf
    assert curve.inverse(curve.at(8.0))[0] == -np.inf


def test_a_falling_curve_is_a_constant_that_reaches_nothing_else() -> None:
    falling = (0.9 - 0.0001 * SIZES)[None]
    curve = fit_curves(SIZES, falling)
    assert curve.at(9.0)[0] == pytest.approx(falling.mean())
    assert curve.inverse(np.array([falling.mean() + 0.001]))[0] == np.inf
    assert curve.inverse(np.array([falling.mean() - 0.001]))[0] == -np.inf
