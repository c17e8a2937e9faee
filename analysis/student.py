"""
The t-mixture: one e-value for means whose noise was estimated, in closed form.

A mean difference is normal around the true effect, with a variance that is known as well as ``nu`` degrees
of freedom tell it. Gauges, log-latency scores and before/after comparisons all use it, each with its own
variance.

References
----------
H. Jeffreys, Theory of Probability, 1961, ch. 5: the same scale-invariant prior on both sides of the ratio.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr, stdtr

from analysis.grid import TINY, Floats

GAUGE_EFFECT: Final = 0.15  # standard deviation of the effects looked for, gauges and log-latency
RATE_EFFECT: Final = 0.8  # the same for log rates
INFINITE: Final = 1e6  # more degrees of freedom than this are a known variance
LARGEST_LOG: Final = 700.0


def log_mixture(excess: ArrayLike, variance: ArrayLike, dof: ArrayLike, effect: float = GAUGE_EFFECT) -> Floats:
    """
    Return the log evidence that an effect lies above 0.

    Parameters
    ----------
    excess : array_like
        x, the mean difference less the boundary of the null.
    variance : array_like
        a, its variance if there is no difference; where it is not positive nothing is known and nothing is said.
    dof : array_like, > 0
        nu, the degrees of freedom behind that variance; above 1e6 it counts as known.
    effect : float, > 0
        tau, the standard deviation of the half-normal effect that is looked for, in the unit of ``excess``.

    Returns
    -------
    float64 array of the broadcast shape
        Log E in nats; rises with ``excess``, so that a true effect below 0 only lowers it. 0 where ``variance`` is not
        positive.

    Notes
    -----
    ``E = 2 (1+k)^(-1/2) ((nu+z^2)/Q)^((nu+1)/2) T_{nu+1}(z sqrt(k/(1+k)) sqrt((nu+1)/Q))`` with ``k = tau^2/a``,
    ``z = x/sqrt(a)``, ``Q = nu + z^2/(1+k)`` and T Student's distribution function: the ratio of the marginal
    likelihoods of an effect, half-normal with variance ``k s2``, and of none, both with
    ``x | s2 ~ N(theta, s2)``, ``nu a/s2 ~ chi^2_nu`` and the prior ``1/s2``. Known variance: the limit, with the normal
    distribution function. It is a martingale if the variance is right; where the variance is estimated on the way, the
    error rates rest on simulation.

    Examples
    --------
    >>> float(log_mixture(0.0, 0.01, 30.0).round(3))
    -0.589
    >>> bool(log_mixture(0.3, 0.003, 10.0) > log_mixture(0.1, 0.003, 10.0))
    True
    """
    x, a, nu = (np.asarray(v, dtype=np.float64) for v in (excess, variance, dof))
    told, known = a > 0, nu > INFINITE
    safe = np.where(told, a, 1.0)
    kappa = effect**2 / safe
    z = np.minimum(np.maximum(x / np.sqrt(safe), -1e100), 1e100)
    squared = z**2
    shrunk = squared / (1 + kappa)
    finite = np.where(known, 1.0, nu)
    lean = z * np.sqrt(kappa / (1 + kappa))
    tail = np.log(np.maximum(stdtr(finite + 1, lean * np.sqrt((finite + 1) / (finite + shrunk))), TINY))
    growth = 0.5 * (finite + 1) * (np.log1p(squared / finite) - np.log1p(shrunk / finite)) + tail
    if known.any():
        growth = np.where(known, 0.5 * (squared - shrunk) + log_ndtr(lean), growth)
    return np.where(told, np.log(2.0) - 0.5 * np.log1p(kappa) + growth, 0.0)


def half_width(variance: ArrayLike, dof: ArrayLike, alpha: float, effect: float = GAUGE_EFFECT) -> Floats:
    """
    Return how far from the mean a true effect may lie, at every look at once.

    Parameters
    ----------
    variance, dof : array_like
        a and nu, as in `log_mixture`.
    alpha : float, in (0, 1)
        One minus the confidence.
    effect : float
        tau: where the interval is narrowest; any value is valid.

    Returns
    -------
    float64 array
        h: effects within ``mean +- h`` are those that the two-sided mixture does not reject at ``alpha``.
        Infinite where the degrees of freedom are too few to bound anything, or the variance is not known.

    Notes
    -----
    The mixture over a normal effect is ``(1+k)^(-1/2) ((nu+z^2)/Q)^((nu+1)/2)``; set to ``1/alpha`` and
    solved for z. With ``b = (sqrt(1+k)/alpha)^(2/(nu+1))``: ``z^2 = nu (b-1)/(1 - b/(1+k))``.

    Examples
    --------
    >>> float(half_width(0.01, 1e9, 0.05).round(3))
    0.322
    """
    a, nu = (np.asarray(v, dtype=np.float64) for v in (variance, dof))
    safe = np.where(a > 0, a, 1.0)
    kappa = effect**2 / safe
    goal = 0.5 * np.log1p(kappa) - np.log(alpha)
    known = nu > INFINITE
    finite = np.where(known, 1.0, nu)
    b = np.exp(np.minimum(2 * goal / (finite + 1), LARGEST_LOG))
    room = 1 - b / (1 + kappa)
    squared = np.where(room > 0, finite * (b - 1) / np.where(room > 0, room, 1.0), np.inf)
    squared = np.where(known, 2 * goal * (1 + kappa) / kappa, squared)
    return np.asarray(np.where(a > 0, np.sqrt(squared * safe), np.inf))
