"""
Fractions that are counts: an error share whose product with a request column is whole is judged as counts.

Nothing is assumed of the source; the test of wholeness decides. A rate per second, or a percentage of something
else, fails it and stays a series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import betainc, ndtri

from analysis.grid import TINY, Floats

WHOLE: Final = 0.02
WHOLE_SHARE: Final = 1e-3
MOST: Final = 0.95
FEWEST: Final = 3
SOME_REQUESTS: Final = 5.0
SIZE: Final = float(np.log(1.4))
SIGMAS: Final = 4.0
POINTS: Final = 0.004


@dataclass(frozen=True, slots=True, kw_only=True)
class CountStrength:
    """Strength of one share of bad events, with the ratio of the shares and the dispersion it allowed for."""

    strength: float
    ratio: float
    dispersion: float
    z: float


def counts_of(fraction: Floats, requests: Floats) -> tuple[Floats, Floats] | None:
    """
    Return events and requests if fractions times requests are whole numbers, else None.

    Parameters
    ----------
    fraction, requests : (n,) float64
        The same samples; NaN is missing.

    Returns
    -------
    (events, requests) or None
        Rounded, of the samples that have both. At least 95 % of three or more samples must be whole within
        ``max(0.02, 0.1 %)``, and some sample must have five requests.
    """
    if fraction.shape != requests.shape:
        return None
    known = np.isfinite(fraction) & np.isfinite(requests)
    share, total = fraction[known], requests[known]
    if len(share) < FEWEST or np.any(share < 0) or np.any(share > 1) or np.any(total < 0):
        return None
    events = share * total
    whole = np.abs(events - np.round(events)) <= np.maximum(WHOLE, WHOLE_SHARE * events)
    if whole.mean() < MOST or total.max() < SOME_REQUESTS:
        return None
    return np.round(events), np.round(total)


def count_strength(canary: tuple[Floats, Floats], stable: tuple[Floats, Floats], sign: int) -> CountStrength | None:
    """
    Return how strongly the canary's share of bad events departs from stable's.

    Parameters
    ----------
    canary, stable : ((n,), (n,)) float64
        Events and requests per sample, from `counts_of`.
    sign : {1, -1, 0}
        Which change does harm; 0: either.

    Returns
    -------
    CountStrength or None
        None if a side had no request. ``T = min(ln RR/ln 1.4, z/4, excess/0.4 points)``, RR with half an event
        added on each side; z from the conditional binomial tail of the counts divided by the Pearson
        dispersion between stable's samples.
    """
    (x_c, n_c), (x_s, n_s) = ((float(e.sum()), float(t.sum())) for e, t in (canary, stable))
    if n_c <= 0 or n_s <= 0:
        return None
    phi = _dispersion(*stable)
    ratio = ((x_c + 0.5) / n_c) / ((x_s + 0.5) / n_s)
    worse = sign > 0 or (sign == 0 and ratio >= 1)
    excess = x_c / n_c - x_s / n_s
    z = _score(x_c / phi, x_s / phi, n_c, n_s) if worse else _score(x_s / phi, x_c / phi, n_s, n_c)
    turned = 1.0 if worse else -1.0
    strength = min(turned * np.log(ratio) / SIZE, z / SIGMAS, turned * excess / POINTS)
    return CountStrength(strength=float(strength), ratio=float(ratio), dispersion=phi, z=float(z))


def _dispersion(events: Floats, requests: Floats) -> float:
    """Return the Pearson dispersion between samples, at least 1."""
    served = requests > 0
    share = events.sum() / max(requests.sum(), TINY)
    if served.sum() < 2 or not 0 < share < 1:
        return 1.0
    expected = share * requests[served]
    squares = ((events[served] - expected) ** 2 / (expected * (1 - share))).sum()
    return float(max(1.0, squares / (served.sum() - 1)))


def _score(x: float, y: float, n: float, m: float) -> float:
    """Return ``-Phi^-1(P(Bin(x+y, n/(n+m)) >= x))``; the counts need not be whole."""
    if x <= 0:
        return -np.inf if y > 0 else 0.0
    return float(-ndtri(max(float(betainc(x, y + 1, n / (n + m))), TINY)))
