"""
Score intervals for two shares: the difference by Miettinen and Nurminen, the ratio by Koopman, by step or pooled.

These are *one-shot*: their level holds for a single look that was fixed beforehand, a final report or an offline
comparison. Read at every look they would refute the truth in a third of all releases; for that there are the
confidence sequences of `analysis.bounds`. Nothing on the path of a verdict uses them.

Both are inverted score tests. For a supposed difference ``p_c = p_s + delta`` or ratio ``p_c = theta p_s`` the shares
are estimated under that line by maximum likelihood, the variance is taken there, and the interval holds every value
whose statistic stays within the normal quantile. The constrained maximum is found directly, as the one zero of the
derivative of a concave likelihood: no cubic is solved and no root is chosen, which is where closed forms go wrong.
That holds with no events, with nothing but events, and with twenty times more requests on one side.

Releases that ramp are compared **within each weight step**: with H steps the statistic is

``z = sum_h w_h (p_c,h - theta p_s,h) / sqrt(sum_h w_h^2 V_h)``, ``w_h = n_c,h n_s,h/(n_c,h + n_s,h)``

so a base rate that drifts over the ramp does no harm (counts pooled over such a ramp abort every good release). The
weights are those of Mantel and Haenszel: the estimates are theirs, and at "no difference" the statistic is that of
Cochran, Mantel and Haenszel. With one step it is the plain score test.

Arrays have the shape ``(..., H)``, any leading axes; a plain number is one release with one step.

References
----------
O. Miettinen, M. Nurminen, Comparative analysis of two rates, Statistics in Medicine 4, 1985, 213-226.
P. Koopman, Confidence intervals for the ratio of two binomial proportions, Biometrics 40, 1984, 513-517.
R. Newcombe, Interval estimation for the difference between independent proportions: comparison of eleven methods,
Statistics in Medicine 17, 1998, 873-890 (the published values of the tests).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import ndtri

from analysis.errors import InvalidInput
from analysis.grid import TINY, Floats

HALVINGS: Final = 60  # a unit interval is then narrower than the spacing of numbers near 1
OUTER_HALVINGS: Final = 50
LARGEST_RATIO: Final = 1e12  # ratios are sought up to here; beyond it "unbounded" is the honest word

Measure = Literal["difference", "ratio"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Interval:
    """
    An estimate with bounds that hold once, at one look that was fixed beforehand.

    Parameters
    ----------
    estimate, low, high : (...,) float64
        The estimate is NaN where the data has none (no requests, or a ratio of nothing); the bounds are then as wide
        as the measure allows.
    level : float
        Two-sided confidence, in (0, 1).
    """

    estimate: Floats
    low: Floats
    high: Floats
    level: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shares:
    """
    Bad events and requests of both sides, by weight step.

    Parameters
    ----------
    canary_bad, canary_total, baseline_bad, baseline_total : (..., H) float64
        Counts, not negative, bad events at most as many as requests; whole numbers are not required. Plain numbers
        are one step. A step in which a side had no request says nothing and is passed over.
    """

    canary_bad: Floats
    canary_total: Floats
    baseline_bad: Floats
    baseline_total: Floats

    def __post_init__(self) -> None:
        names = ("canary_bad", "canary_total", "baseline_bad", "baseline_total")
        arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(getattr(self, n), dtype=np.float64)) for n in names))
        for name, values in zip(names, arrays, strict=True):
            if not np.all(np.isfinite(values)) or np.any(values < 0):
                raise InvalidInput("must be finite and not negative", f"/{name}")
            object.__setattr__(self, name, values)
        for side in ("canary", "baseline"):
            if np.any(getattr(self, f"{side}_bad") > getattr(self, f"{side}_total")):
                raise InvalidInput("must not exceed the requests", f"/{side}_bad")

    @property
    def weights(self) -> Floats:
        """(..., H) the weight of each step, ``n_c n_s/(n_c + n_s)``; 0 where a side is silent."""
        return self.canary_total * self.baseline_total / _divisor(self.canary_total + self.baseline_total)

    @property
    def shares(self) -> tuple[Floats, Floats]:
        """(..., H) observed share of each side, 0 where it had no request."""
        return (
            self.canary_bad / _divisor(self.canary_total),
            self.baseline_bad / _divisor(self.baseline_total),
        )


def constrained(counts: Shares, slope: Floats, offset: Floats) -> tuple[Floats, Floats]:
    """
    Return the most likely shares on the line ``p_c = slope p_s + offset``, each step for itself.

    Parameters
    ----------
    counts : Shares
    slope : (...,) float64
        > 0: 1 for a difference, the ratio for a ratio.
    offset : (...,) float64
        In (-1, 1): the difference, or 0.

    Returns
    -------
    p_c, p_s : (..., H) float64
        Both in [0, 1]. Where a step says nothing, some point of the line.

    Notes
    -----
    The derivative ``slope [x_c/p_c - (n_c - x_c)/(1 - p_c)] + x_s/p_s - (n_s - x_s)/(1 - p_s)`` falls in ``p_s``
    because the likelihood is concave, so halving finds its only zero, or the end of the range that it points to.
    """
    a, b = np.asarray(slope)[..., None], np.asarray(offset)[..., None]
    nothing = np.zeros(counts.canary_bad.shape)
    low, high = np.maximum(0.0, -b / a) + nothing, np.minimum(1.0, (1 - b) / a) + nothing
    for _ in range(HALVINGS):
        p_s = (low + high) / 2
        p_c = a * p_s + b
        rise = a * _pull(counts.canary_bad, counts.canary_total, p_c)
        rise = rise + _pull(counts.baseline_bad, counts.baseline_total, p_s)
        low, high = np.where(rise > 0, p_s, low), np.where(rise > 0, high, p_s)
    p_s = (low + high) / 2
    return np.clip(a * p_s + b, 0.0, 1.0), p_s


def _pull(bad: Floats, total: Floats, share: Floats) -> Floats:
    """Return the derivative of a binomial log likelihood; a term without events is 0, also at the ends."""
    return np.asarray(bad / np.maximum(share, TINY) - (total - bad) / np.maximum(1 - share, TINY))


def score(counts: Shares, value: Floats, measure: Measure) -> Floats:
    """
    Return the score statistic of a supposed difference or ratio.

    Parameters
    ----------
    counts : Shares
    value : (...,) float64
        The difference in (-1, 1), or the ratio > 0, that is supposed.
    measure : {"difference", "ratio"}

    Returns
    -------
    (...,) float64
        Standard normal if ``value`` is true; positive where the canary lies above it, negative below. 0 where no step
        says anything, or where the supposed value fits exactly. ``scipy.special.ndtr(-z)`` is the chance of so much
        harm, and with a margin as ``value`` ``ndtr(z)`` is the test of "not worse than the margin" (Farrington and
        Manning 1990 without, Miettinen and Nurminen with the factor below).

    Notes
    -----
    The difference carries Miettinen and Nurminen's factor ``N/(N - 1)`` on the variance of each step; Koopman's
    statistic for the ratio has none. At difference 0 it is the Cochran-Mantel-Haenszel statistic.
    """
    value = np.asarray(value, dtype=np.float64)
    one, nothing = np.ones_like(value), np.zeros_like(value)
    slope, offset = (one, value) if measure == "difference" else (value, nothing)
    p_c, p_s = constrained(counts, slope, offset)
    spread = p_c * (1 - p_c) / _divisor(counts.canary_total)
    spread = spread + slope[..., None] ** 2 * p_s * (1 - p_s) / _divisor(counts.baseline_total)
    weights = counts.weights
    if measure == "difference":
        requests = counts.canary_total + counts.baseline_total
        spread = spread * requests / np.maximum(requests - 1, 0.5)
    seen_c, seen_s = counts.shares
    apart = (weights * (seen_c - slope[..., None] * seen_s - offset[..., None])).sum(axis=-1)
    variance = np.where(weights > 0, weights**2 * spread, 0.0).sum(axis=-1)
    z = apart / np.sqrt(np.where(variance > 0, variance, 1.0))
    return np.where(variance > 0, z, np.where(np.abs(apart) < 1e-12, 0.0, np.copysign(np.inf, apart)))


def difference(counts: Shares, level: float = 0.95) -> Interval:
    """
    Return the canary's share less stable's, with the interval of Miettinen and Nurminen.

    Parameters
    ----------
    counts : Shares
    level : float, default 0.95
        In (0, 1).

    Returns
    -------
    Interval
        Shapes ``(...,)``, within [-1, 1]. The estimate is Mantel and Haenszel's, the plain difference with one step.
        NaN within (-1, 1) where no step had requests on both sides.

    Raises
    ------
    InvalidInput
        If the level is no level.

    Examples
    --------
    >>> found = difference(Shares(canary_bad=56, canary_total=70, baseline_bad=48, baseline_total=80))
    >>> round(float(found.estimate), 4), round(float(found.low), 4), round(float(found.high), 4)
    (0.2, 0.0528, 0.3382)
    """
    goal = _quantile(level)
    seen_c, seen_s = counts.shares
    weights = counts.weights
    whole = weights.sum(axis=-1)
    known = whole > 0
    middle = (weights * (seen_c - seen_s)).sum(axis=-1) / np.where(known, whole, 1.0)
    low, high = _outermost(counts, "difference", middle, (-1.0, 1.0), goal)
    return Interval(
        estimate=np.where(known, middle, np.nan),
        low=np.where(known, low, -1.0),
        high=np.where(known, high, 1.0),
        level=level,
    )


def ratio(counts: Shares, level: float = 0.95) -> Interval:
    """
    Return the canary's share over stable's, with the interval of Koopman.

    Parameters
    ----------
    counts : Shares
    level : float, default 0.95
        In (0, 1).

    Returns
    -------
    Interval
        Shapes ``(...,)``, within [0, inf]. The estimate is Mantel and Haenszel's, the plain ratio with one step. With
        no bad event on the canary the estimate and the lower bound are 0; with none on stable the estimate and the
        upper bound are infinite; with none at all the estimate is NaN within (0, inf).

    Raises
    ------
    InvalidInput
        If the level is no level.

    Notes
    -----
    With one step it is consistent with Pearson's chi-square test of equal shares.

    Examples
    --------
    >>> found = ratio(Shares(canary_bad=36, canary_total=40, baseline_bad=16, baseline_total=80))
    >>> round(float(found.estimate), 2), round(float(found.low), 2), round(float(found.high), 2)
    (4.5, 2.94, 7.15)
    """
    goal = _quantile(level)
    seen_c, seen_s = counts.shares
    above, below = (counts.weights * seen_c).sum(axis=-1), (counts.weights * seen_s).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = above / below
    known = above + below > 0
    middle = np.where(known, np.clip(estimate, 1 / LARGEST_RATIO, LARGEST_RATIO), 1.0)
    low, high = _outermost(counts, "ratio", middle, (1 / LARGEST_RATIO, LARGEST_RATIO), goal)
    return Interval(
        estimate=estimate,
        low=np.where(above > 0, low, 0.0),
        high=np.where(below > 0, high, np.inf),
        level=level,
    )


def _outermost(counts: Shares, measure: Measure, middle: Floats, ends: tuple[float, float], goal: float) -> Floats:
    """
    Return, (2, ...), where the statistic leaves the quantile on the way from the estimate to either end.

    Ratios are halved on the log scale. An end that is never refuted is its own bound.
    """
    inside = np.stack([middle, middle])
    outside = np.stack([np.full_like(middle, end) for end in ends])
    for _ in range(OUTER_HALVINGS):
        probe = (inside + outside) / 2 if measure == "difference" else np.sqrt(inside * outside)
        held = np.abs(score(counts, probe, measure)) <= goal
        inside, outside = np.where(held, probe, inside), np.where(held, outside, probe)
    return inside


def _divisor(total: Floats) -> Floats:
    """Return totals that can be divided by: 1 where there is nothing, and nothing to divide."""
    return np.where(total > 0, total, 1.0)


def _quantile(level: float) -> float:
    if not 0 < level < 1:
        raise InvalidInput(f"must lie strictly between 0 and 1, got {level!r}", "/level")
    return float(ndtri((1 + level) / 2))
