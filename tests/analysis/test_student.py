"""The t-mixture against quadrature, its limit and its bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from analysis.student import GAUGE_EFFECT, RATE_EFFECT, half_width, log_mixture


def by_quadrature(x: float, a: float, nu: float, tau: float) -> float:
    """Both marginal likelihoods integrated over the log of the unknown variance, on a fine grid."""
    kappa = tau**2 / a
    log_s2 = np.linspace(math.log(a) - 20, math.log(a) + 60 + 2 * math.log1p(abs(x) / math.sqrt(a)), 200_001)
    sd = np.exp(log_s2 / 2)
    scatter = stats.chi2.logpdf(nu * a / sd**2, nu) + np.log(nu * a / sd**2)
    none = stats.norm.logpdf(x, 0, sd) + scatter - np.log(a)
    some = (
        math.log(2)
        + stats.norm.logpdf(x, 0, sd * math.sqrt(1 + kappa))
        + stats.norm.logcdf(x * math.sqrt(kappa / (1 + kappa)) / sd)
        + scatter
        - np.log(a)
    )
    top = max(none.max(), some.max())
    above, below = (integrate.simpson(np.exp(part - top), x=log_s2) for part in (some, none))
    return math.log(above / below)


@pytest.mark.parametrize(
    ("x", "a", "nu", "tau"),
    [
        pytest.param(0.1, 0.004, 8.0, GAUGE_EFFECT, id="one and a half sd"),
        pytest.param(0.4, 0.004, 8.0, GAUGE_EFFECT, id="six sd, few degrees"),
        pytest.param(-0.1, 0.004, 8.0, GAUGE_EFFECT, id="the harmless side"),
        pytest.param(0.0, 0.004, 20.0, GAUGE_EFFECT, id="no difference"),
        pytest.param(0.7, 0.03, 17.0, RATE_EFFECT, id="a log rate"),
        pytest.param(0.2, 0.01, 0.5, GAUGE_EFFECT, id="half a degree of freedom"),
    ],
)
def test_the_closed_form_is_the_integral(x: float, a: float, nu: float, tau: float):
    """The gamma integral over the unknown variance, to six digits."""
    assert float(log_mixture(x, a, nu, tau)) == pytest.approx(by_quadrature(x, a, nu, tau), abs=1e-6)


@pytest.mark.parametrize("x", [-0.3, 0.0, 0.05, 0.3, 2.0])
def test_a_known_variance_gives_the_normal_formula(x: float):
    """Infinite degrees of freedom, and a million come close to them."""
    a, tau = 0.003, 0.15
    expected = (
        math.log(2)
        + stats.norm.logpdf(x, 0, math.sqrt(a + tau**2))
        + stats.norm.logcdf(x * tau / math.sqrt(a * (a + tau**2)))
        - stats.norm.logpdf(x, 0, math.sqrt(a))
    )
    assert float(log_mixture(x, a, np.inf, tau)) == pytest.approx(expected, rel=1e-9)
    assert float(log_mixture(x, a, 1e6, tau)) == pytest.approx(expected, rel=2e-2)


def test_evidence_rises_with_the_difference():
    """A true effect below the boundary only lowers it, so the boundary is the least favourable null."""
    x = np.linspace(-3, 3, 601)
    for nu in (0.5, 3.0, 8.0, 40.0, 1e5, np.inf):
        assert np.all(np.diff(log_mixture(x, 0.01, nu)) > 0)


def test_nothing_known_says_nothing():
    """Without a variance there is no evidence; the largest numbers give finite answers."""
    assert float(log_mixture(0.0, 0.0, 5.0)) == 0.0
    assert float(log_mixture(0.4, 0.0, 5.0)) == 0.0
    extreme = log_mixture([1e12, -1e12, 1e300, -1e300], 1e-12, 30.0)
    assert np.isfinite(extreme).all()
    assert math.isinf(half_width(0.0, 5.0, 0.05))


@pytest.mark.parametrize("nu", [4.0, 8.0, 60.0, np.inf])
@pytest.mark.parametrize("a", [1e-5, 0.003])
def test_bounds_lie_where_both_sides_together_reject(nu: float, a: float):
    """At the ends the mean of both one-sided mixtures is exactly 1/alpha."""
    h = float(half_width(a, nu, 0.05))
    if math.isinf(h):
        assert nu == 4.0
        assert np.logaddexp(*log_mixture([1e6, -1e6], a, nu)) - math.log(2) < math.log(20)
        return
    both = np.logaddexp(*log_mixture([h, -h], a, nu)) - math.log(2)
    assert both == pytest.approx(math.log(20), abs=1e-6)
