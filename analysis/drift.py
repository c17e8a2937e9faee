"""
Before and after, without a concurrent baseline: how far the base rate moves by itself between two windows.

After a promotion, in blue/green and for in-place updates only an earlier time is left to compare with, and counts
alone would take the daily swing for a fault. The drift between windows is a random effect, learned at the same
hours of earlier days. The evidence saturates by design: another hour is not another day.

What is found began *since* the release; it is not thereby *because* of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from analysis.errors import InvalidInput
from analysis.grid import Floats
from analysis.student import GAUGE_EFFECT, RATE_EFFECT, log_mixture

PRIOR_DAYS: Final = 4.0
SHRINK_DAYS: Final = 2.0
MOST_DAYS: Final = 14
PRE_WINDOW: Final = 3600.0
LONGEST_PRE: Final = 4 * 3600.0
LARGEST: Final = 100.0  # ratio that is searched for what can be proved

Kind = Literal["rate", "level"]
PRIOR_SD: Final[dict[Kind, float]] = {"rate": 0.2, "level": 0.1}
EFFECT: Final[dict[Kind, float]] = {"rate": RATE_EFFECT, "level": GAUGE_EFFECT}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drift:
    """
    What is known of the move between windows at one age of N releases; each (N,).

    Parameters
    ----------
    shift : float64
        m, the move to expect at this hour, log ratio.
    variance : float64
        a, of the move that is left, counting noise included.
    dof : float64
        nu, its degrees of freedom.
    days : float64
        K, earlier days that were learned from; 0 is ``drift unknown``.
    """

    shift: Floats
    variance: Floats
    dof: Floats
    days: Floats


def before_window(judged: float) -> float:
    """Return how many seconds before the start are compared with: an hour, the judged length, at most four hours."""
    if not judged >= 0:
        raise InvalidInput(f"must not be negative, got {judged!r}", "/judged")
    return min(max(PRE_WINDOW, judged), LONGEST_PRE)


def log_rate_ratio(
    after: Floats, seconds_after: float | Floats, before: Floats, seconds_before: float | Floats
) -> Floats:
    """
    Return by how much a rate of events moved, ``ln((X+1/2)/t) - ln((Y+1/2)/s)``.

    Parameters
    ----------
    after, before : (...) float64
        Events of the two windows.
    seconds_after, seconds_before : (...) float64
        Their lengths (or requests), > 0.
    """
    return np.asarray(np.log((after + 0.5) / seconds_after) - np.log((before + 0.5) / seconds_before))


def counting_variance(after: Floats, before: Floats) -> Floats:
    """Return v, the part of the variance of a log ratio that counting explains; 0 belongs to levels."""
    return np.asarray(1 / (after + 0.5) + 1 / (before + 0.5))


def learn(moves: Floats, counting: Floats, kind: Kind = "rate") -> Drift:
    """
    Return what earlier days tell of the move between windows of the same clock hours and lengths.

    Parameters
    ----------
    moves : (N, K) float64
        D_k of up to 14 earlier days, from `log_rate_ratio` (levels: the difference of mean logarithms); NaN is a
        day without data, or with a release or an incident inside. K may be 0.
    counting : (N,) float64
        v of the judged windows, from `counting_variance`.
    kind : {"rate", "level"}

    Returns
    -------
    Drift
        ``V = (4 (s0^2 + v) + (K-1) var(D))/(4+K-1)``, ``m = K/(K+2) mean(D)``, ``a = V (1+1/K)``, ``nu = 4+K-1``;
        without days ``a = s0^2 + v``, ``nu = 4``, no shift. s0 is 0.2 for rates, 0.1 for levels and latency.
    """
    known = np.isfinite(moves)
    days = known.sum(axis=1).astype(np.float64)
    some = np.maximum(days, 1)
    mean = np.where(known, moves, 0.0).sum(axis=1) / some
    squares = np.where(known, (moves - mean[:, None]) ** 2, 0.0).sum(axis=1)  # (K-1) var
    prior = PRIOR_SD[kind] ** 2 + counting
    dof = PRIOR_DAYS + np.maximum(days - 1, 0)
    pooled = (PRIOR_DAYS * prior + squares) / dof
    return Drift(
        shift=days / (days + SHRINK_DAYS) * mean,
        variance=np.where(days > 0, pooled * (1 + 1 / some), prior),
        dof=dof,
        days=days,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DriftEvidence:
    """Log evidence of N releases at one age, (N,): worse, beyond the tolerance, within it, better."""

    warn: Floats
    tolerated: Floats
    promote: Floats
    better: Floats


def weigh(move: Floats, drift: Drift, ratio: float, kind: Kind = "rate", sign: int = 1) -> DriftEvidence:
    """
    Return what a move between the windows is evidence of.

    Parameters
    ----------
    move : (N,) float64
        D_0, log ratio of after to before.
    drift : Drift
        At this age.
    ratio : float, >= 1
        Tolerance.
    kind : {"rate", "level"}
    sign : {1, -1}
        -1 where a fall does harm.
    """
    if not (np.isfinite(ratio) and ratio >= 1):
        raise InvalidInput(f"must be at least 1, got {ratio!r}", "/tolerance/ratio")
    harm, edge = sign * (move - drift.shift), np.log(ratio)

    def evidence(excess: Floats) -> Floats:
        return log_mixture(excess, drift.variance, drift.dof, EFFECT[kind])

    return DriftEvidence(
        warn=evidence(harm), tolerated=evidence(harm - edge), promote=evidence(edge - harm), better=evidence(-harm)
    )


def provable_ratio(drift: Drift, alpha: float, kind: Kind = "rate") -> Floats:
    """
    Return the smallest true ratio that these windows could prove to be worse, (N,); infinite beyond 100.

    Parameters
    ----------
    drift : Drift
    alpha : float, in (0, 1)

    Notes
    -----
    More events take the counting noise away, never the drift: the answer for a busy service is that of ``learn`` with
    ``counting`` 0.
    """
    low, high = np.zeros_like(drift.variance), np.full_like(drift.variance, np.log(LARGEST))
    goal = -np.log(alpha)
    reachable = log_mixture(high, drift.variance, drift.dof, EFFECT[kind]) >= goal
    for _ in range(50):
        middle = (low + high) / 2
        enough = log_mixture(middle, drift.variance, drift.dof, EFFECT[kind]) >= goal
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(reachable, np.exp(high), np.inf)
