"""CMH, rates, ranks, means: published values, other implementations, levels, data that says nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import bdtr
from statsmodels.stats.contingency_tables import StratifiedTable

from analysis.compare.fixed import OneShot, means, ranks, rates, stratified
from analysis.compare.intervals import Shares, score
from analysis.errors import InvalidInput

PERMEABILITY = (
    np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]),
    np.array([1.15, 0.88, 0.90, 0.74, 1.21]),
)
SLEEP = (
    np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]),
    np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]),
)


def shares(**counts) -> Shares:
    """Counts as lists or numbers."""
    return Shares(**counts)


BERKELEY = shares(  # admitted women and men of six departments, 1973
    canary_bad=[89, 17, 202, 131, 94, 24],
    canary_total=[108, 25, 593, 375, 393, 341],
    baseline_bad=[512, 353, 120, 138, 53, 22],
    baseline_total=[825, 560, 325, 417, 191, 373],
)


def says_nothing(found: OneShot) -> bool:
    chances = (found.p_above, found.p_below, found.p_either)
    return all(math.isnan(p) for p in chances) and bool(found.reason)


def bounds(found: OneShot) -> tuple[float, float]:
    return float(found.effect.low), float(found.effect.high)


def test_strata_are_judged_as_by_mantel_and_haenszel():
    """Berkeley's admissions: chi-square 1.5246 without correction (1.4269 with it in R's manual), p 0.2169."""
    found = stratified(BERKELEY)
    columns = zip(
        BERKELEY.canary_bad, BERKELEY.canary_total, BERKELEY.baseline_bad, BERKELEY.baseline_total, strict=True
    )
    table = StratifiedTable([np.array([[a, n - a], [b, m - b]]) for a, n, b, m in columns])
    assert table.test_null_odds(correction=True).statistic == pytest.approx(1.4269, abs=5e-5)
    oracle = table.test_null_odds(correction=False)
    assert found.statistic**2 == pytest.approx(oracle.statistic, rel=1e-9)
    assert found.p_either == pytest.approx(oracle.pvalue, rel=1e-9)
    assert float(found.effect.estimate) == pytest.approx(table.riskratio_pooled, rel=1e-9)
    assert float(score(BERKELEY, np.array(0.0), "difference")) == pytest.approx(found.statistic, rel=1e-9)


def test_strata_keep_their_level_where_pooling_does_not():
    """A ramp 5 to 50 % while the base rate drifts: 4,000 good releases, 5 % above within what chance allows."""
    rng = np.random.default_rng(31)
    base, n_c = np.array([0.005, 0.008, 0.013, 0.02]), np.array([150, 300, 750, 1500])
    x_c, x_s = rng.binomial(n_c, base, (4000, 4)), rng.binomial(3000 - n_c, base, (4000, 4))
    ramps = [
        Shares(canary_bad=a, canary_total=n_c, baseline_bad=b, baseline_total=3000 - n_c)
        for a, b in zip(x_c, x_s, strict=True)
    ]
    z = np.array([float(score(r, np.array(0.0), "difference")) for r in ramps[:3]])
    assert z == pytest.approx([stratified(r, 0.9).statistic for r in ramps[:3]])
    requests, events = np.full(4, 3000.0), (x_c + x_s).astype(float)
    share = n_c / requests
    apart = (x_c - share * events).sum(1)
    fast = apart / np.sqrt((share * (1 - share) * events * (requests - events) / (requests - 1)).sum(1))
    assert fast[:3] == pytest.approx(z)
    assert 0.001 <= bdtr(int((fast > 1.6449).sum()), 4000, 0.05) <= 0.999


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param(shares(canary_bad=0, canary_total=10, baseline_bad=0, baseline_total=90), id="no events"),
        pytest.param(shares(canary_bad=10, canary_total=10, baseline_bad=9, baseline_total=9), id="nothing but events"),
        pytest.param(shares(canary_bad=0, canary_total=0, baseline_bad=9, baseline_total=90), id="no canary"),
    ],
)
def test_strata_that_say_nothing(counts):
    """No step with events, non-events and both sides: no p-value is made up, and the reason says it."""
    assert says_nothing(stratified(counts))


def test_rates_are_those_of_a_published_example():
    """R's poisson.test manual: 11 in 800 against 21 in 3,011 gives 1.9715 (0.8584 to 4.2773)."""
    found = rates((11, 800), (21, 3011))
    assert float(found.effect.estimate) == pytest.approx(1.971488, abs=1e-6)
    assert bounds(found) == pytest.approx((0.8584264, 4.2772659), abs=1e-6)


@pytest.mark.parametrize(("x", "y"), [(0, 4), (4, 0), (3, 9), (40, 12)], ids=str)
def test_rates_equal_the_binomial_test(x, y):
    """Given all events, the canary's are binomial: tails and bounds of scipy's exact test."""
    found = rates((x, 30.0), (y, 120.0), supposed=1.5)
    share = 1.5 * 30 / (1.5 * 30 + 120)
    assert found.p_above == pytest.approx(stats.binomtest(x, x + y, share, "greater").pvalue)
    assert found.p_below == pytest.approx(stats.binomtest(x, x + y, share, "less").pvalue)
    low, high = stats.binomtest(x, x + y).proportion_ci(0.95, "exact")
    assert bounds(found)[0] == pytest.approx(low / (1 - low) * 4)
    assert bounds(found)[1] == (math.inf if y == 0 else pytest.approx(high / (1 - high) * 4))


@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("mean", [1.0, 5.0, 30.0])
def test_bounds_of_rates_hold_for_any_rates(mean, ratio):
    """Enumerated: at least 95 % whatever the mean number of events, and a test at 5 % errs in at most 5 %."""
    lowest, highest = 0.0, 0.0
    covered = rejected = 0.0
    top = int(mean * 3 + 25)
    for x in range(top):
        for y in range(top):
            chance = stats.poisson.pmf(x, mean * ratio) * stats.poisson.pmf(y, mean)
            if chance < 1e-7:
                covered += chance
                continue
            found = rates((x, 1.0), (y, 1.0), supposed=ratio)
            lowest, highest = bounds(found)
            covered += chance * (lowest <= ratio <= highest)
            rejected += chance * (found.p_above <= 0.05)
    assert covered >= 0.95
    assert rejected <= 0.05


def test_no_event_on_either_side_says_nothing():
    """No p-value of 1 is made up; the ratio is anything."""
    found = rates((0, 10.0), (0, 90.0))
    assert says_nothing(found)
    assert bounds(found) == (0.0, math.inf)


@pytest.mark.parametrize(
    ("canary", "baseline", "supposed", "place"),
    [
        pytest.param((-1, 1), (1, 1), 1.0, "/canary/events", id="negative events"),
        pytest.param((1, 1), (1, 0), 1.0, "/baseline/exposure", id="no exposure"),
        pytest.param((1, 1), (1, 1), 0.0, "/supposed", id="ratio of nothing"),
    ],
)
def test_rates_that_cannot_be_are_refused(canary, baseline, supposed, place):
    """The error names the place."""
    with pytest.raises(InvalidInput, match=place):
        rates(canary, baseline, supposed)


def test_ranks_are_those_of_a_published_example():
    """Hollander and Wolfe 1973, p. 69 f.: U 35, p 0.1272, shift 0.305 with 96 % bounds -0.15 to 0.76."""
    found = ranks(*PERMEABILITY, level=0.96)
    assert (found.statistic, round(found.p_above, 4)) == (35.0, 0.1272)
    assert float(found.effect.estimate) == pytest.approx(0.305)
    assert bounds(found) == pytest.approx((-0.15, 0.76))


def slow_law(m: int, n: int) -> np.ndarray:
    """P(U <= u) by adding one sample after another: the largest of all is the canary's, or it is not."""
    ways = {(0, j): np.ones(1) for j in range(n + 1)} | {(i, 0): np.ones(1) for i in range(m + 1)}
    for i in range(1, m + 1):
        for j in range(1, n + 1):
            ways[i, j] = np.zeros(i * j + 1)
            ways[i, j][j:] += ways[i - 1, j]
            ways[i, j][: i * (j - 1) + 1] += ways[i, j - 1]
    return np.cumsum(ways[m, n]) / ways[m, n].sum()


@pytest.mark.parametrize("digits", [12, 1, 0], ids=["no ties", "some ties", "many ties"])
@pytest.mark.parametrize("sizes", [(6, 9), (30, 45), (60, 25), (200, 300)], ids=str)
def test_ranks_equal_scipy_and_all_differences(sizes, digits):
    """Tails as scipy has them; shift and bounds are order statistics of all differences."""
    rng = np.random.default_rng(sum(sizes))
    x, y = np.round(rng.normal(0.4, 1, sizes[0]), digits), np.round(rng.normal(0, 1, sizes[1]), digits)
    found = ranks(x, y)
    exact = max(sizes) < 50 and digits == 12
    for side, chance in (("greater", found.p_above), ("less", found.p_below), ("two-sided", found.p_either)):
        oracle = stats.mannwhitneyu(x, y, alternative=side, method="exact" if exact else "asymptotic")
        assert chance == pytest.approx(oracle.pvalue, rel=1e-9)
        assert found.statistic == oracle.statistic
    pairs = np.sort((x[:, None] - y).ravel())
    assert float(found.effect.estimate) == pytest.approx(np.median(pairs))
    low, high = bounds(found)
    assert (found.reason == "") == exact
    m, n = sizes
    sd = math.sqrt(m * n * (m + n + 1) / 12)
    normal = math.floor(m * n / 2 - 1.959964 * sd + 0.5)
    cut = int((slow_law(m, n) <= 0.025).sum()) if exact else normal
    assert abs(cut - normal) <= 1
    assert (low, high) == pytest.approx((pairs[cut - 1], pairs[-cut]))


def test_bounds_of_a_shift_hold():
    """2,000 pairs of skewed samples, shift 0.5: 95 % bounds miss at most as chance allows, wrong once in 1,000."""
    rng = np.random.default_rng(5)
    missed = 0
    for _ in range(2000):
        low, high = bounds(ranks(rng.gumbel(0.5, 1, 12), rng.gumbel(0, 1, 20)))
        missed += not low <= 0.5 <= high
    assert bdtr(missed, 2000, 0.05) >= 0.001
    assert bdtr(missed - 1, 2000, 0.05) <= 0.999


def test_too_few_samples_bound_nothing():
    """Three against three can never refute a shift at 95 %: the bounds are endless, the tails are exact."""
    found = ranks(np.array([4.0, 5.0, 6.0]), np.array([1.0, 2.0, 3.0]))
    assert bounds(found) == (-math.inf, math.inf)
    assert found.p_above == pytest.approx(1 / 20)


@pytest.mark.parametrize("test", [ranks, means], ids=["ranks", "means"])
@pytest.mark.parametrize(
    ("x", "y"),
    [
        pytest.param([], [1.0, 2.0], id="no canary sample"),
        pytest.param([1.0, 2.0], [math.nan], id="missing only"),
        pytest.param([3.0, 3.0], [3.0, 3.0], id="constant and equal"),
    ],
)
def test_samples_that_say_nothing(test, x, y):
    """Silence and identical constants are no evidence, not infinite evidence."""
    assert says_nothing(test(np.array(x), np.array(y)))


def test_constants_that_differ_have_no_known_variance():
    """A variance of 0 that was seen is not one that is known: the difference is told, its bounds are not."""
    found = means(np.array([2.0, 2.0]), np.array([1.0, 1.0]))
    assert says_nothing(found)
    assert float(found.effect.estimate) == 1.0


@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e120], ids=str)
def test_means_are_those_of_a_published_example(scale):
    """Student's sleep data in R's manual: t -1.8608, p 0.0794, -3.3655 to 0.2055, in any unit."""
    found = means(SLEEP[0] * scale, SLEEP[1] * scale)
    assert (found.statistic, found.p_either) == pytest.approx((-1.8608, 0.07939), abs=5e-5)
    assert bounds(found) == pytest.approx((-3.3654832 * scale, 0.2054832 * scale), rel=1e-6)


def test_means_equal_scipy():
    """Sizes and variances that differ, a missing sample: Welch as in scipy."""
    rng = np.random.default_rng(8)
    x, y = rng.normal(1, 5, 9), rng.normal(0, 1, 40)
    oracle = stats.ttest_ind(x, y, equal_var=False, alternative="greater")
    found = means(np.append(x, math.nan), y)
    assert (found.statistic, found.p_above) == pytest.approx((oracle.statistic, oracle.pvalue))


@pytest.mark.parametrize("test", [ranks, means], ids=["ranks", "means"])
def test_swapping_the_sides_swaps_the_tails(test):
    """Above becomes below, and the effect changes its sign."""
    one, other = test(*SLEEP), test(*SLEEP[::-1])
    assert (one.p_above, one.p_below) == pytest.approx((other.p_below, other.p_above))
    assert bounds(one) == pytest.approx((-bounds(other)[1], -bounds(other)[0]))


@pytest.mark.parametrize("test", [ranks, means], ids=["ranks", "means"])
def test_samples_that_cannot_be_are_refused(test):
    """Infinite samples and tables raise, and name the side."""
    with pytest.raises(InvalidInput, match="/canary"):
        test(np.array([math.inf]), np.array([1.0]))
    with pytest.raises(InvalidInput, match="/baseline"):
        test(np.array([1.0]), np.ones((2, 2)))
