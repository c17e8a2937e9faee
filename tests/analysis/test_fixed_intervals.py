"""Miettinen-Nurminen and Koopman: published values, other roads to the same figure, coverage, odd tables."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import bdtr, gammaln, ndtri
from statsmodels.stats import proportion

from analysis.compare.intervals import Shares, constrained, difference, ratio, score
from analysis.errors import InvalidInput
from tests.analysis import slow_intervals

TABLES = [(56, 70, 48, 80), (9, 10, 3, 10), (5, 56, 0, 29), (0, 300, 57, 5700), (2, 300, 57, 5700), (300, 900, 5, 20)]


def shares(x1, n1, x2, n2) -> Shares:
    return Shares(canary_bad=x1, canary_total=n1, baseline_bad=x2, baseline_total=n2)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        pytest.param((56, 70, 48, 80), 0.0528, 0.3382, id="a"),
        pytest.param((9, 10, 3, 10), 0.1700, 0.8406, id="b"),
        pytest.param((6, 7, 2, 7), 0.0342, 0.8534, id="c"),
        pytest.param((5, 56, 0, 29), -0.0326, 0.1933, id="d, one side without events"),
        pytest.param((0, 10, 0, 20), -0.1658, 0.2844, id="e, no events"),
        pytest.param((0, 10, 0, 10), -0.2879, 0.2879, id="f, no events, sides alike"),
        pytest.param((10, 10, 0, 20), 0.7156, 1.0, id="g, all against none"),
        pytest.param((10, 10, 0, 10), 0.6636, 1.0, id="h, all against none, sides alike"),
    ],
)
def test_differences_are_those_of_newcombes_table(table, low, high):
    """Newcombe 1998, table II, method 6 (Miettinen and Nurminen), to the four digits printed."""
    found = difference(shares(*table))
    assert float(found.low) == pytest.approx(low, abs=5.1e-5)
    assert float(found.high) == pytest.approx(high, abs=5.1e-5)
    assert float(found.estimate) == pytest.approx(table[0] / table[1] - table[2] / table[3])


def test_the_ratio_is_that_of_koopmans_example():
    """Koopman 1984, p. 516: 36 of 40 against 16 of 80 gives 2.94 to 7.15."""
    found = ratio(shares(36, 40, 16, 80))
    assert (round(float(found.low), 2), round(float(found.high), 2)) == (2.94, 7.15)


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_intervals_equal_closed_forms_and_a_scan(table):
    """The bounds lie where a scan over closed-form statistics has its first and last value that is not refuted."""
    found, scanned = difference(shares(*table)), slow_intervals.difference(*table)
    assert float(found.low) == pytest.approx(scanned[0], abs=6e-4)
    assert float(found.high) == pytest.approx(scanned[1], abs=6e-4)
    found, scanned = ratio(shares(*table)), slow_intervals.ratio(*table)
    assert math.log(max(float(found.low), 1e-3)) == pytest.approx(math.log(scanned[0]), abs=4e-3)
    assert math.log(min(float(found.high), 1e3)) == pytest.approx(math.log(scanned[1]), abs=4e-3)


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_the_constrained_shares_are_the_most_likely(table):
    """No share on the line is more likely than the one found, by a fine scan of the likelihood itself."""
    x1, n1, x2, n2 = table
    for slope, offset in ((1.0, 0.07), (1.0, -0.2), (1.7, 0.0), (0.3, 0.0)):
        low, high = max(0.0, -offset / slope), min(1.0, (1 - offset) / slope)
        p2 = np.linspace(low, high, 20_003)[1:-1]
        p1 = slope * p2 + offset
        log_lik = x1 * np.log(p1) + (n1 - x1) * np.log1p(-p1) + x2 * np.log(p2) + (n2 - x2) * np.log1p(-p2)
        found = constrained(shares(*table), np.array(slope), np.array(offset))
        assert float(found[1][0]) == pytest.approx(float(p2[log_lik.argmax()]), abs=(high - low) / 10_000)
        assert float(found[0][0]) == pytest.approx(slope * float(found[1][0]) + offset, abs=1e-12)


@pytest.mark.parametrize("table", [(56, 70, 48, 80), (9, 10, 3, 10), (2, 300, 57, 5700), (300, 900, 5, 20)], ids=str)
def test_ratios_equal_those_of_statsmodels(table):
    """Its score interval for ratios is right, unlike that for differences: the same bounds to 1e-6."""
    low, high = proportion.confint_proportions_2indep(*table, method="score", compare="ratio", correction=False)
    found = ratio(shares(*table))
    assert (float(found.low), float(found.high)) == pytest.approx((low, high), rel=1e-6)


def coverage(found, n1: int, n2: int, p1: float, p2: float, truth: float) -> float:
    """The exact chance that the intervals of all tables hold the truth."""
    x1, x2 = tables(n1, n2)
    chance = np.exp(_log_binomial(x1, n1, p1) + _log_binomial(x2, n2, p2))
    return float(chance[(found.low <= truth) & (truth <= found.high)].sum() / chance.sum())


def tables(n1: int, n2: int) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of bad events."""
    return tuple(np.meshgrid(np.arange(n1 + 1.0), np.arange(n2 + 1.0), indexing="ij"))


def _log_binomial(x, n, p):
    return gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1) + x * np.log(p) + (n - x) * np.log1p(-p)


@pytest.mark.parametrize(("n1", "n2"), [(15, 15), (10, 40), (40, 25)], ids=str)
def test_coverage_is_near_the_level_for_small_tables(n1, n2):
    """Enumerated over all tables: on average over shares 95 % within half a point, and never below 91 %."""
    grid = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
    for measure, truth in ((difference, lambda a, b: a - b), (ratio, lambda a, b: a / b)):
        x1, x2 = tables(n1, n2)
        found = measure(shares(x1[..., None], n1, x2[..., None], n2))
        held = [coverage(found, n1, n2, a, b, truth(a, b)) for a in grid for b in grid]
        assert 0.945 <= np.mean(held) <= 0.975
        assert min(held) >= 0.91


def test_coverage_over_a_ramp_that_drifts():
    """4,000 ramps of four steps, base 0.5 to 2 %, ratio 1.5: missed in 5 %, by a bound that is wrong once in 1,000."""
    rng = np.random.default_rng(12)
    base, n_c = np.array([0.005, 0.008, 0.013, 0.02]), np.array([150.0, 300.0, 750.0, 1500.0])
    n_s = 3000 - n_c
    x_c, x_s = (rng.binomial(n.astype(int), p, (4000, 4)) for n, p in ((n_c, 1.5 * base), (n_s, base)))
    found = ratio(shares(x_c, n_c, x_s, n_s))
    missed = int(((found.low > 1.5) | (found.high < 1.5)).sum())
    assert 0.001 <= bdtr(missed, 4000, 0.05) <= 0.999
    pooled = ratio(shares(x_c.sum(1)[:, None], n_c.sum(), x_s.sum(1)[:, None], n_s.sum()))
    assert float(((pooled.low > 1.5) | (pooled.high < 1.5)).mean()) > 0.5


def test_one_step_in_two_parts_is_not_two_steps():
    """Steps of equal shares give nearly what pooling gives; the estimate of one step is the plain one."""
    parts = shares([10.0, 20.0], [500.0, 1000.0], [100.0, 200.0], [9500.0, 19_000.0])
    whole = shares(30, 1500, 300, 28_500)
    for measure in (difference, ratio):
        a, b = measure(parts), measure(whole)
        assert float(a.estimate) == pytest.approx(float(b.estimate))
        assert float(a.low) == pytest.approx(float(b.low), rel=2e-3)
        assert float(a.high) == pytest.approx(float(b.high), rel=2e-3)


@pytest.mark.parametrize(
    ("table", "estimate", "low", "high"),
    [
        pytest.param((0, 0, 5, 50), math.nan, -1, 1, id="no canary request"),
        pytest.param((3, 30, 0, 0), math.nan, -1, 1, id="no stable request"),
        pytest.param((0, 0, 0, 0), math.nan, -1, 1, id="nothing"),
        pytest.param((1, 1, 0, 1), 1.0, None, 1, id="one request a side"),
        pytest.param((20, 20, 20, 20), 0.0, None, None, id="all bad"),
    ],
)
def test_odd_tables_of_a_difference(table, estimate, low, high):
    """What was not seen is not bounded, and no table gives NaN bounds or a warning."""
    found = difference(shares(*table))
    assert float(found.estimate) == pytest.approx(estimate, nan_ok=True)
    assert low is None or float(found.low) == low
    assert high is None or float(found.high) == pytest.approx(high)
    assert -1 <= float(found.low) <= float(found.high) <= 1


@pytest.mark.parametrize(
    ("table", "estimate", "low", "high"),
    [
        pytest.param((0, 300, 57, 5700), 0.0, 0.0, None, id="no canary event"),
        pytest.param((5, 56, 0, 29), math.inf, None, math.inf, id="no stable event"),
        pytest.param((0, 10, 0, 20), math.nan, 0.0, math.inf, id="no event"),
        pytest.param((3, 30, 0, 0), math.nan, 0.0, math.inf, id="no stable request"),
        pytest.param((20, 20, 20, 20), 1.0, None, None, id="all bad"),
    ],
)
def test_odd_tables_of_a_ratio(table, estimate, low, high):
    """0 and infinity are bounds where a side has no event; NaN is only ever an estimate."""
    found = ratio(shares(*table))
    assert float(found.estimate) == pytest.approx(estimate, nan_ok=True)
    assert low is None or float(found.low) == low
    assert high is None or float(found.high) == high
    assert 0 <= float(found.low) < float(found.high)


def test_a_silent_step_says_nothing():
    """A step in which a side had no request changes no bound."""
    for measure in (difference, ratio):
        plain = measure(shares([9.0, 30.0], [300.0, 1500.0], [57.0, 30.0], [5700.0, 1500.0]))
        more = measure(shares([9.0, 30.0, 4.0], [300.0, 1500.0, 80.0], [57.0, 30.0, 0.0], [5700.0, 1500.0, 0.0]))
        assert (float(plain.low), float(plain.high)) == pytest.approx((float(more.low), float(more.high)))


EVERY_TABLE = [(1, 1), (3, 9), (8, 20), (2, 60)]


@pytest.mark.parametrize(("n1", "n2"), EVERY_TABLE, ids=str)
def test_swapping_the_sides_turns_the_interval_round(n1, n2):
    """Every table: the difference changes its sign, the ratio is one over it, and the estimate lies inside."""
    x1, x2 = (x[..., None] for x in tables(n1, n2))
    one, other = shares(x1, n1, x2, n2), shares(x2, n2, x1, n1)
    a, b = difference(one), difference(other)
    np.testing.assert_allclose(a.low, -b.high, atol=1e-9)
    np.testing.assert_allclose(a.high, -b.low, atol=1e-9)
    assert np.all((a.low - 1e-9 <= a.estimate) & (a.estimate <= a.high + 1e-9))
    a, b = ratio(one), ratio(other)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(a.low, 1 / b.high, rtol=1e-6)
        np.testing.assert_allclose(a.high, 1 / b.low, rtol=1e-6)
    assert not np.any((a.estimate < a.low) | (a.estimate > a.high))


@pytest.mark.parametrize(("n1", "n2"), EVERY_TABLE, ids=str)
def test_one_more_canary_error_moves_both_bounds_up(n1, n2):
    """Every table: the interval is monotone in the canary's bad events."""
    x1, x2 = (x[..., None] for x in tables(n1, n2))
    for measure in (difference, ratio):
        found = measure(shares(x1, n1, x2, n2))
        for bound in (found.low, found.high):
            assert np.all(bound[1:] >= bound[:-1] - 1e-9)


def test_the_score_is_zero_at_the_estimate_and_the_quantile_at_the_bounds():
    """An interval is a test inverted: its bounds are where the statistic is 1.96 either way."""
    counts = shares([9.0, 40.0], [300.0, 1500.0], [57.0, 30.0], [5700.0, 1500.0])
    for measure, name in ((difference, "difference"), (ratio, "ratio")):
        found = measure(counts)
        assert float(score(counts, found.estimate, name)) == pytest.approx(0, abs=1e-9)
        assert float(score(counts, found.low, name)) == pytest.approx(ndtri(0.975), rel=1e-6)
        assert float(score(counts, found.high, name)) == pytest.approx(-ndtri(0.975), rel=1e-6)


@pytest.mark.parametrize(
    ("table", "place"),
    [
        pytest.param((5, 4, 1, 10), "/canary_bad", id="more bad than all"),
        pytest.param((1, 4, -1, 10), "/baseline_bad", id="negative"),
        pytest.param((1, math.nan, 1, 10), "/canary_total", id="not a number"),
    ],
)
def test_counts_that_cannot_be_are_refused(table, place):
    """The error names the place."""
    with pytest.raises(InvalidInput, match=place):
        shares(*table)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_that_is_none_is_refused(level):
    """A level lies strictly between 0 and 1."""
    with pytest.raises(InvalidInput, match="/level"):
        difference(shares(1, 10, 1, 10), level)


def test_one_shot_tests_load_nothing_heavy():
    """They need neither scipy.stats nor statsmodels: importing them is as quick as the gate."""
    script = "import sys, analysis.compare.fixed, analysis.compare.spending; print('scipy.stats' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
