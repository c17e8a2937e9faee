"""Lan-DeMets boundaries: published tables, exact laws of two and three looks, simulated level."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import bdtr, ndtr

from analysis.compare.spending import boundaries, spent
from analysis.errors import InvalidInput

FIVE = np.arange(1, 6) / 5


@pytest.mark.parametrize(
    ("spending", "expected"),
    [
        pytest.param("obrien_fleming", [4.8769, 3.3569, 2.6803, 2.2898, 2.0310], id="O'Brien-Fleming"),
        pytest.param("pocock", [2.4380, 2.4268, 2.4101, 2.3966, 2.3859], id="Pocock"),
    ],
)
def test_five_looks_have_the_published_boundaries(spending, expected):
    """Two-sided 5 %, as in Reboussin and others 2000; their integration is good to about 1e-4."""
    np.testing.assert_allclose(boundaries(FIVE, 0.05, spending), expected, atol=1.5e-4)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("two_sided", [True, False], ids=["two-sided", "one-sided"])
def test_what_is_spent_is_what_may_be_spent(spending, two_sided):
    """The chance of a first crossing at looks 1 to 3, by the multivariate normal law, is the spending function."""
    times = np.array([0.1, 0.35, 1.0])
    edges = boundaries(times, 0.05, spending, two_sided)
    cov = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))
    allowed = spent(times, 0.025 if two_sided else 0.05, spending)
    survived = 1.0
    for k in (1, 2, 3):
        low = -edges[:k] if two_sided else np.full(k, -np.inf)
        law = stats.multivariate_normal(cov=cov[:k, :k], abseps=1e-10, releps=1e-10, maxpts=2_000_000, seed=1)
        survived = float(law.cdf(edges[:k], lower_limit=low))
        assert 1 - survived == pytest.approx(float(allowed[k - 1]) * (2 if two_sided else 1), abs=2e-7)


def test_one_look_is_the_ordinary_quantile():
    """All at once: 1.96 two-sided, 1.645 one-sided."""
    assert boundaries(np.ones(1))[0] == pytest.approx(1.959964, abs=1e-6)
    assert ndtr(-boundaries(np.ones(1), two_sided=False)[0]) == pytest.approx(0.05)


def test_many_uneven_looks_keep_the_level():
    """40 uneven looks, 20,000 paths without an effect: 5 % cross, by a bound that is wrong once in 1,000."""
    rng = np.random.default_rng(3)
    times = np.linspace(0.1, 1, 40) ** 1.7
    z = np.cumsum(rng.normal(size=(20_000, 40)) * np.sqrt(np.diff(times, prepend=0)), axis=1) / np.sqrt(times)
    for spending in ("obrien_fleming", "pocock"):
        crossed = int((np.abs(z) >= boundaries(times, 0.05, spending)).any(axis=1).sum())
        assert 0.001 <= bdtr(crossed, 20_000, 0.05) <= 0.999


def test_a_look_that_may_spend_nothing_has_no_boundary():
    """So early that nothing can be spent: infinite, and the later looks are as if it had not been."""
    with_early = boundaries(np.array([1e-5, *FIVE]))
    assert math.isinf(with_early[0])
    np.testing.assert_allclose(with_early[1:], boundaries(FIVE), rtol=1e-9)


def test_an_early_stop_of_the_plan_spends_less():
    """Three of five looks: the first three boundaries, because no look knows of those to come."""
    np.testing.assert_allclose(boundaries(FIVE[:3]), boundaries(FIVE)[:3], rtol=1e-12)


@pytest.mark.parametrize(
    ("fractions", "alpha", "spending", "place"),
    [
        pytest.param([0.5, 0.5], 0.05, "pocock", "/fractions", id="no new information"),
        pytest.param([0.5, 1.2], 0.05, "pocock", "/fractions", id="beyond the plan"),
        pytest.param([], 0.05, "pocock", "/fractions", id="no look"),
        pytest.param([1.0], 0.7, "pocock", "/alpha", id="no error rate"),
        pytest.param([1.0], 0.05, "haybittle", "/spending", id="unknown spending"),
    ],
)
def test_plans_that_cannot_be_are_refused(fractions, alpha, spending, place):
    """The error names the place."""
    with pytest.raises(InvalidInput, match=place):
        boundaries(np.array(fractions), alpha, spending)
