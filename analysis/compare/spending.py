"""
Group-sequential boundaries: thresholds for a z statistic that is looked at a number of times fixed beforehand.

For one who plans an experiment of known size with a few looks, and for comparison: on such a plan nothing that may
stop at any look finds more of the small effects. The gate uses none of it, because its number of looks is not known and
its noise is learned; with another number of looks, or a model of the variance that does not hold, the level is lost.

References
----------
K. Lan, D. DeMets, Discrete sequential boundaries for clinical trials, Biometrika 70, 1983, 659-663.
D. Reboussin, D. DeMets, K. Kim, K. Lan, Computations for group sequential boundaries using the Lan-DeMets spending
function method, Controlled Clinical Trials 21, 2000, 190-207 (the published values of the tests).
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from analysis.errors import InvalidInput
from analysis.grid import Floats

Spending = Literal["obrien_fleming", "pocock"]

FAR: Final = 10.0  # standard deviations; what lies beyond has a chance of 1e-23
NODES_PER_STEP: Final = 4  # per standard deviation of an increment: the integral is then right to 1e-10
LEAST_SPENT: Final = 1e-300
RULE: Final = np.polynomial.legendre.leggauss(32)


def spent(fractions: Floats, alpha: float, spending: Spending = "obrien_fleming") -> Floats:
    """
    Return how much of the error rate may have been spent by each look.

    Parameters
    ----------
    fractions : (K,) float64
        Share of the planned information at each look, rising in (0, 1].
    alpha : float
        The whole error rate of one side, in (0, 1/2].
    spending : {"obrien_fleming", "pocock"}

    Returns
    -------
    (K,) float64
        Rising in [0, alpha]; ``alpha`` at fraction 1.

    Notes
    -----
    ``2 - 2 Phi(z_(alpha/2)/sqrt t)``: hardly anything at first, like O'Brien and Fleming; ``alpha ln(1 + (e - 1) t)``:
    nearly even, like Pocock. A large regression early is found sooner by the second.
    """
    if spending == "obrien_fleming":
        return np.asarray(2 * ndtr(ndtri(alpha / 2) / np.sqrt(fractions)))
    return np.asarray(alpha * np.log1p(math.expm1(1) * fractions))


def boundaries(
    fractions: Floats, alpha: float = 0.05, spending: Spending = "obrien_fleming", two_sided: bool = True
) -> Floats:
    """
    Return the thresholds of a z statistic at each of K planned looks.

    Parameters
    ----------
    fractions : (K,) float64
        Share of the planned information at each look, strictly rising in (0, 1]. Information is the inverse of the
        estimate's variance: events, not time. The last look need not be the end of the plan.
    alpha : float, default 0.05
        Error rate over all looks, in (0, 1/2]; with ``two_sided`` half of it on each side.
    spending : {"obrien_fleming", "pocock"}, default "obrien_fleming"
    two_sided : bool, default True
        Reject where ``|z|`` reaches the boundary; else where z does.

    Returns
    -------
    (K,) float64
        Positive unless nearly everything is spent at once; infinite where so little may be spent that no z reaches it.

    Raises
    ------
    InvalidInput
        If the fractions do not rise within (0, 1], alpha is no error rate, or the spending is unknown.

    Notes
    -----
    The sums ``B(t) = z sqrt t`` have independent normal increments. Look after look the density of those that have
    crossed nothing is carried on by Gauss-Legendre quadrature, and the boundary is where the chance of crossing now is
    what may be spent now [1]_. Published tables print 3.3569 for the second look below: that threshold spends
    0.04 % more than it may, as the bivariate normal law shows.

    References
    ----------
    .. [1] P. Armitage, C. McPherson, B. Rowe, Repeated significance tests on accumulating data, JRSS-A 132, 1969.

    Examples
    --------
    >>> [round(float(b), 4) for b in boundaries(np.arange(1, 6) / 5)]
    [4.8769, 3.357, 2.6803, 2.2898, 2.031]
    """
    times = np.asarray(fractions, dtype=np.float64)
    if times.ndim != 1 or not times.size or not np.all(np.diff(times, prepend=0.0) > 0) or not times[-1] <= 1:
        raise InvalidInput("must be one row that rises strictly within (0, 1]", "/fractions")
    if not 0 < alpha <= 0.5:
        raise InvalidInput(f"must lie in (0, 1/2], got {alpha!r}", "/alpha")
    if spending not in ("obrien_fleming", "pocock"):
        raise InvalidInput(f"must be obrien_fleming or pocock, got {spending!r}", "/spending")
    now = np.diff(spent(times, alpha / 2 if two_sided else alpha, spending), prepend=0.0)
    steps = np.sqrt(np.diff(times, prepend=0.0))
    found = np.empty(times.size)
    places, masses = np.zeros(1), np.ones(1)  # before the first look the sum is 0 for certain
    for k, (time, step) in enumerate(zip(times, steps, strict=True)):
        found[k] = _boundary(places, masses, math.sqrt(time), step, now[k])
        if k + 1 < times.size:
            reach = min(found[k], FAR) * math.sqrt(time)
            low = -reach if two_sided else -FAR * math.sqrt(time)
            finest = min(step, steps[k + 1])
            fresh, widths = _nodes(low, reach, finest)
            density = np.exp(-0.5 * ((fresh[:, None] - places) / step) ** 2) @ masses / (step * math.sqrt(2 * math.pi))
            places, masses = fresh, density * widths
    return found


def _boundary(places: Floats, masses: Floats, scale: float, step: float, goal: float) -> float:
    """Return the z at which the chance of crossing upwards now is ``goal``."""
    if goal < LEAST_SPENT:
        return math.inf

    def excess(z: float) -> float:
        return float(ndtr((places - z * scale) / step) @ masses) - goal

    return float(brentq(excess, -FAR, 40.0, xtol=1e-12)) if excess(40.0) < 0 < excess(-FAR) else math.inf


def _nodes(low: float, high: float, step: float) -> tuple[Floats, Floats]:
    """Return places and weights of quadrature in panels of 32 nodes, fine enough for increments of sd ``step``."""
    nodes, weights = RULE
    panels = max(1, math.ceil(NODES_PER_STEP * (high - low) / step / len(nodes)))
    half = (high - low) / (2 * panels)
    middles = low + half * (2 * np.arange(panels) + 1)
    return (middles[:, None] + half * nodes).ravel(), np.tile(half * weights, panels)
