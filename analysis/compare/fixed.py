"""
One-shot tests: what two sides say at a single look that was fixed beforehand.

For a final report, an offline comparison, or a reader who knows these names. They are *not* what the gate decides by:
read at every look, a test at 5 % aborts a third of all good releases, and none of them knows of pods that differ,
errors in clumps or samples that resemble their neighbours. The sequential tests do (`analysis.evidence`).

===========================  ======================  =========================================================
data                         test                    effect
===========================  ======================  =========================================================
shares of bad events         `stratified`            ratio within weight steps (CMH; `intervals.ratio`)
shares, a margin             `intervals.score`       difference (Miettinen-Nurminen), ratio (Koopman)
events over an exposure      `rates`                 ratio of rates (conditional binomial, "C-test")
samples, any law             `ranks`                 shift (Mann-Whitney with Hodges-Lehmann)
samples, means               `means`                 difference of means (Welch)
a fixed number of looks      `spending.boundaries`   none: thresholds for z (Lan and DeMets)
===========================  ======================  =========================================================

Every test returns a `OneShot`: the chance of data at least so far above, so far below, so far either way if the sides
are alike, and the effect with bounds. Where the data cannot say anything the chances are NaN, the bounds are endless
and ``reason`` says why: no p-value of 1 is made up for a side that is empty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import betainc, betaincinv, ndtr, ndtri, stdtr, stdtrit

from analysis.compare.intervals import Interval, Shares, ratio
from analysis.errors import InvalidInput
from analysis.grid import Floats

__all__ = ["OneShot", "means", "ranks", "rates", "stratified"]

EXACT_BELOW: Final = 50  # samples a side; beyond it the normal law is right to three digits
BISECTIONS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class OneShot:
    """
    The answer of a one-shot test. "Above" is the canary above the baseline.

    Parameters
    ----------
    statistic : float
        What the test is known by: z, t, U or the canary's events; NaN if it was not computed.
    p_above, p_below : float
        One-sided p-values: the chance of data at least so far above (below) if the sides are alike. In [0, 1]; for
        counts their sum exceeds 1 by the chance of exactly what was seen. NaN if nothing can be said.
    p_either : float
        Two-sided: twice the smaller of both, at most 1.
    effect : Interval
        Estimate and bounds, each a single number.
    reason : str
        Why nothing can be said, or what was approximated; empty if neither.
    """

    statistic: float
    p_above: float
    p_below: float
    p_either: float
    effect: Interval
    reason: str = ""


def _answer(statistic: float, above: float, below: float, effect: Interval, reason: str = "") -> OneShot:
    either = min(1.0, 2 * min(above, below)) if math.isfinite(above) else math.nan
    return OneShot(statistic=statistic, p_above=above, p_below=below, p_either=either, effect=effect, reason=reason)


def _interval(estimate: float, low: float, high: float, level: float) -> Interval:
    return Interval(estimate=np.array(estimate), low=np.array(low), high=np.array(high), level=level)


def _nothing(level: float, reason: str, low: float = -math.inf, estimate: float = math.nan) -> OneShot:
    return _answer(math.nan, math.nan, math.nan, _interval(estimate, low, math.inf, level), reason)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InvalidInput(f"must lie strictly between 0 and 1, got {level!r}", "/level")


def stratified(counts: Shares, level: float = 0.95) -> OneShot:
    """
    Return the test of Cochran, Mantel and Haenszel, whether shares are alike within each weight step.

    Parameters
    ----------
    counts : Shares
        Arrays of shape (H,): one entry per weight step, or a plain number for one step.
    level : float, default 0.95
        Of the interval, in (0, 1).

    Returns
    -------
    OneShot
        ``statistic`` is z; its square is the chi-square of one degree of freedom, without continuity correction (it
        only makes the test too cautious). The effect is the common ratio of
        shares: Mantel and Haenszel's estimate with the score interval over all steps. NaN if no step had bad events,
        good ones and requests on both sides.

    Raises
    ------
    InvalidInput
        If the counts have more than one axis, or the level is no level.

    Notes
    -----
    ``z = sum(x_c - E)/sqrt(sum V)``, ``E = n_c x/N``, ``V = n_c n_s x (N - x)/(N^2 (N - 1))`` given the bad events x
    of each step. A base rate that drifts over a ramp cancels, which pooled counts do not.

    References
    ----------
    .. [1] N. Mantel, W. Haenszel, Statistical aspects of the analysis of data from retrospective studies of disease,
       J. Natl. Cancer Inst. 22, 1959, 719-748.

    Examples
    --------
    >>> ramp = Shares(canary_bad=[3, 10, 60], canary_total=[300, 600, 3000], baseline_bad=[30, 54, 60],
    ...               baseline_total=[5700, 5400, 3000])
    >>> found = stratified(ramp)
    >>> round(found.statistic, 2), round(float(found.effect.estimate), 2)
    (0.82, 1.13)
    """
    if counts.canary_bad.ndim != 1:
        raise InvalidInput(f"needs one entry per step, got {counts.canary_bad.shape}")
    effect = ratio(counts, level)
    n_c, n_s = counts.canary_total, counts.baseline_total
    both = (n_c > 0) & (n_s > 0)
    requests, events = (n_c + n_s)[both], (counts.canary_bad + counts.baseline_bad)[both]
    share = n_c[both] / requests
    apart = float((counts.canary_bad[both] - share * events).sum())
    spread = share * (1 - share) * events * (requests - events) / np.maximum(requests - 1, 0.5)
    variance = float(spread.sum())
    if variance <= 0:
        reason = "no step has bad events, good ones and requests on both sides"
        return _answer(math.nan, math.nan, math.nan, effect, reason)
    z = apart / math.sqrt(variance)
    return _answer(z, float(ndtr(-z)), float(ndtr(z)), effect)


def rates(
    canary: tuple[float, float], baseline: tuple[float, float], supposed: float = 1.0, level: float = 0.95
) -> OneShot:
    """
    Return the exact test of two event rates, conditional on the events of both sides (the "C-test").

    Parameters
    ----------
    canary, baseline : (events, exposure)
        Events of a Poisson kind, >= 0, and what they are counted over (requests, pod-seconds), > 0 and in the same
        unit on both sides. Events need not be whole.
    supposed : float, default 1
        The ratio of rates that is tested, > 0: ``p_above`` is small if the canary's is larger.
    level : float, default 0.95
        Of the interval, in (0, 1).

    Returns
    -------
    OneShot
        ``statistic`` is the canary's events. The effect is the ratio of rates with Clopper and Pearson's bounds: they
        hold at least at the level, for any rates. 0 events on the canary: estimate and lower bound 0; on the baseline:
        estimate and upper bound infinite; on both: nothing can be said.

    Raises
    ------
    InvalidInput
        If a figure is negative or not finite, an exposure or ``supposed`` not positive, or the level no level.

    Notes
    -----
    Given ``E = x_c + x_s``, ``x_c`` is binomial with share ``r t_c/(r t_c + t_s)`` at ratio r, whatever the rates
    [1]_. Two-sided p-values are twice the smaller tail, which agrees with the bounds; tables that add up the less
    likely outcomes differ a little. Events in clumps break it: it knows of no dispersion.

    References
    ----------
    .. [1] J. Przyborowski, H. Wilenski, Homogeneity of results in testing samples from Poisson series, Biometrika 31,
       1940, 313-323.

    Examples
    --------
    Eleven restarts in 800 pod-hours against twenty-one in 3,011:

    >>> found = rates((11, 800), (21, 3011))
    >>> round(float(found.effect.estimate), 3), round(float(found.effect.low), 3), round(float(found.effect.high), 3)
    (1.971, 0.858, 4.277)
    """
    _check_level(level)
    for name, (events, exposure) in (("canary", canary), ("baseline", baseline)):
        if not (math.isfinite(events) and events >= 0):
            raise InvalidInput(f"must be finite and not negative, got {events!r}", f"/{name}/events")
        if not (math.isfinite(exposure) and exposure > 0):
            raise InvalidInput(f"must be positive, got {exposure!r}", f"/{name}/exposure")
    if not (math.isfinite(supposed) and supposed > 0):
        raise InvalidInput(f"must be positive, got {supposed!r}", "/supposed")
    (x, t_c), (y, t_s) = canary, baseline
    if x + y == 0:
        return _nothing(level, "no event on either side", low=0.0)
    share = supposed * t_c / (supposed * t_c + t_s)
    above = float(betainc(x, y + 1, share)) if x > 0 else 1.0
    below = float(betainc(y, x + 1, 1 - share)) if y > 0 else 1.0
    tail = (1 - level) / 2
    low = float(betaincinv(x, y + 1, tail)) if x > 0 else 0.0
    high = float(betaincinv(x + 1, y, 1 - tail)) if y > 0 else 1.0
    scale = t_s / t_c
    estimate = x / y * scale if y > 0 else math.inf
    bounds = low / (1 - low) * scale, high / (1 - high) * scale if high < 1 else math.inf
    return _answer(x, above, below, _interval(estimate, *bounds, level))


def means(canary: Floats, baseline: Floats, level: float = 0.95) -> OneShot:
    """
    Return Welch's test of two means, variances not assumed alike.

    Parameters
    ----------
    canary, baseline : (m,), (n,) float64
        Independent samples; NaN is missing. Samples of one series a few seconds apart are *not* independent, and with
        them this test is wrong in a quarter of all good releases and more: use means of pods, or of minutes.
    level : float, default 0.95
        Of the interval, in (0, 1).

    Returns
    -------
    OneShot
        ``statistic`` is t; the effect the difference of means. NaN if a side has fewer than two samples, or if both
        are constant: a variance of 0 that was seen is not one that is known.

    Raises
    ------
    InvalidInput
        If an array has another shape, a sample is infinite, or the level is no level.

    Notes
    -----
    Degrees of freedom by Welch and Satterthwaite [1]_. Heavy tails (revenue, durations): cut them first, or compare
    logarithms.

    References
    ----------
    .. [1] B. Welch, The generalization of "Student's" problem when several different population variances are
       involved, Biometrika 34, 1947, 28-35.
    """
    _check_level(level)
    x, y = _samples(canary, "canary"), _samples(baseline, "baseline")
    apart = float(x.mean() - y.mean()) if x.size and y.size else math.nan
    if x.size < 2 or y.size < 2:
        return _nothing(level, "a side has fewer than two samples", estimate=apart)
    parts = float(x.var(ddof=1)) / x.size, float(y.var(ddof=1)) / y.size
    spread = sum(parts)
    if spread <= 0:
        return _nothing(level, "both sides are constant: their variance is unknown", estimate=apart)
    t = apart / math.sqrt(spread)
    # Shares of the variance before they are squared: tiny variances would vanish.
    weights = parts[0] / spread, parts[1] / spread
    freedom = 1 / (weights[0] ** 2 / (x.size - 1) + weights[1] ** 2 / (y.size - 1))
    reach = float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(spread)
    effect = _interval(apart, apart - reach, apart + reach, level)
    return _answer(t, float(stdtr(freedom, -t)), float(stdtr(freedom, t)), effect)


def ranks(canary: Floats, baseline: Floats, level: float = 0.95) -> OneShot:
    """
    Return the test of Mann and Whitney with the shift of Hodges and Lehmann.

    Parameters
    ----------
    canary, baseline : (m,), (n,) float64
        Independent samples; NaN is missing. The warning of `means` holds here too.
    level : float, default 0.95
        Of the interval, in (0, 1).

    Returns
    -------
    OneShot
        ``statistic`` is U: pairs in which the canary is larger, a tie counts half. The effect is the shift: the median
        of all differences ``x_i - y_j`` between two of them in order; endless where the samples are too few for the
        level. NaN if a side is empty or all samples are equal.

    Raises
    ------
    InvalidInput
        If an array has another shape, a sample is infinite, or the level is no level.

    Notes
    -----
    Exact where both sides have fewer than 50 samples and none is tied; else the normal law with the correction for
    ties and for continuity, which ``reason`` says. The interval uses the law without ties: with ties it holds the
    truth at least as often. The differences are never all written down: the k-th is found by halving and counting,
    so that 10,000 samples a side cost no more memory than the samples.

    The shift is one of location. On durations take logarithms: a shift of 0.22 is then a factor of 1.25.

    References
    ----------
    .. [1] H. Mann, D. Whitney, On a test of whether one of two random variables is stochastically larger than the
       other, Ann. Math. Stat. 18, 1947, 50-60.
    .. [2] J. Hodges, E. Lehmann, Estimates of location based on rank tests, Ann. Math. Stat. 34, 1963, 598-611.
    """
    _check_level(level)
    x, y = np.sort(_samples(canary, "canary")), np.sort(_samples(baseline, "baseline"))
    if not x.size or not y.size:
        return _nothing(level, "a side has no sample")
    pairs = x.size * y.size
    below = float(np.searchsorted(y, x, side="left").sum())
    u = (below + float(np.searchsorted(y, x, side="right").sum())) / 2
    ties = np.unique(np.concatenate([x, y]), return_counts=True)[1]
    if ties.size == 1:
        return _nothing(level, "all samples are equal", estimate=0.0)
    exact = max(x.size, y.size) < EXACT_BELOW and bool(np.all(ties == 1))
    middle = (_difference(x, y, (pairs + 1) // 2) + _difference(x, y, pairs // 2 + 1)) / 2
    if exact:
        law = _u_law(x.size, y.size)
        above, under = float(law[pairs - int(u)]), float(law[int(u)])
        left_out = int(np.searchsorted(law, (1 - level) / 2, side="right"))
    else:
        whole = x.size + y.size
        tied = float((ties.astype(np.float64) ** 3 - ties).sum()) / (whole * (whole - 1))
        sd = math.sqrt(pairs / 12 * (whole + 1 - tied))
        above, under = (float(ndtr((s * (pairs / 2 - u) + 0.5) / sd)) for s in (1, -1))
        untied = math.sqrt(pairs / 12 * (whole + 1))
        left_out = max(0, math.floor(pairs / 2 + float(ndtri((1 - level) / 2)) * untied + 0.5))
    low = _difference(x, y, left_out) if left_out else -math.inf
    high = _difference(x, y, pairs + 1 - left_out) if left_out else math.inf
    reason = "" if exact else "normal law"
    return _answer(u, min(1.0, above), min(1.0, under), _interval(middle, low, high, level), reason)


def _samples(values: Floats, name: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InvalidInput(f"needs a row of samples, got {array.shape}", f"/{name}")
    if np.any(np.isinf(array)):
        raise InvalidInput("must be finite, or NaN for missing", f"/{name}")
    return np.asarray(array[~np.isnan(array)])


def _u_law(m: int, n: int) -> Floats:
    """
    Return P(U <= u) for u = 0 ... m n, without ties.

    The ways to reach u are the coefficients of ``prod_i (1 - q^(n+i))/(1 - q^i)``, in whole numbers of any size.
    """
    ways = [1] + [0] * (m * n)
    for i in range(1, m + 1):
        for u in range(m * n, n + i - 1, -1):
            ways[u] -= ways[u - n - i]
        for u in range(i, m * n + 1):
            ways[u] += ways[u - i]
    whole, sums = math.comb(m + n, m), 0
    law = []
    for count in ways:
        sums += count
        law.append(sums / whole)
    return np.array(law)


def _difference(x: Floats, y: Floats, k: int) -> float:
    """Return the k-th smallest of all differences ``x_i - y_j``, k from 1; both arrays sorted."""
    low, high = math.nextafter(float(x[0] - y[-1]), -math.inf), float(x[-1] - y[0])
    for _ in range(BISECTIONS):
        middle = low + (high - low) / 2
        if not low < middle < high:
            break
        low, high = (low, middle) if _at_most(x, y, middle) >= k else (middle, high)
    # The answer lies in (low, high]: the smallest difference above low.
    place = np.searchsorted(y, x - low, side="left") - 1
    candidates = x[place >= 0] - y[place[place >= 0]]
    return float(candidates[candidates > low].min(initial=high))


def _at_most(x: Floats, y: Floats, limit: float) -> int:
    return int(y.size * x.size - np.searchsorted(y, x - limit, side="left").sum())
