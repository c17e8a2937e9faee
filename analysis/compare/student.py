"""
Evidence from a mean whose variance is estimated: one-sided mixtures of Student's law.

An effect that is half-normal(0, tau) against none, both seen through a mean with variance ``a`` known with ``nu``
degrees of freedom. Gauges and the log-mean of a latency share it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr, stdtr

from analysis.grid import TINY, Floats

EFFECT_SD: Final = 0.15
MANY: Final = 1e6  # degrees of freedom from which on the variance counts as known
LOG_LARGEST: Final = 20.0  # widest bound searched for, as a log ratio


def log_e_above(x: ArrayLike, variance: ArrayLike, nu: ArrayLike, effect_sd: float = EFFECT_SD) -> Floats:
    """
    Return the evidence that a mean lies above the boundary it was measured from.

    Parameters
    ----------
    x : (...,) float64
        Mean less the boundary.
    variance : (...,) float64
        Of ``x`` where there is no difference; where it is not positive nothing is known and nothing is said.
    nu : (...,) float64
        Degrees of freedom of ``variance``, > 0; beyond 1e6 it counts as known.
    effect_sd : float, default 0.15
        Scale tau of the effects that are looked for.

    Returns
    -------
    (...,) float64
        Log of ``E = 2 (1+k)^(-1/2) [(nu+z^2)/Q]^((nu+1)/2) T_(nu+1)(z sqrt(k/(1+k)) sqrt((nu+1)/Q))`` with
        ``k = tau^2/a``, ``z = x/sqrt(a)``, ``Q = nu + z^2/(1+k)`` and T Student's distribution function. It rises
        with ``x``, so a mean that truly lies below the boundary only lowers it.

    Notes
    -----
    The integral over the unknown variance, with its scale-invariant prior and ``nu a/s^2 ~ chi^2_nu``, is a gamma
    integral; the half-line of effects gives the factor T. It is a martingale where ``variance`` is right.

    Examples
    --------
    >>> float(log_e_above(0.0, 0.01, 30.0).round(3))
    -0.589
    """
    x, variance, nu = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, variance, nu)))
    known = variance > 0
    safe = np.where(known, variance, 1.0)
    kappa = effect_sd**2 / safe
    z = x / np.sqrt(safe)
    shrunk = z**2 / (1 + kappa)
    finite = np.minimum(nu, MANY)
    rest = finite + shrunk
    gain = 0.5 * (finite + 1) * (np.log1p(z**2 / finite) - np.log1p(shrunk / finite))
    slope = z * np.sqrt(kappa / (1 + kappa))
    half_line = np.log(np.maximum(stdtr(finite + 1, slope * np.sqrt((finite + 1) / rest)), TINY))
    normal = nu >= MANY
    gain = np.where(normal, 0.5 * (z**2 - shrunk), gain)
    half_line = np.where(normal, log_ndtr(slope), half_line)
    return np.where(known, np.log(2.0) - 0.5 * np.log1p(kappa) + gain + half_line, 0.0)


def mean_bounds(mean: float, variance: float, nu: float, level: float, effect_sd: float = EFFECT_SD) -> tuple[float, float]:
    """
    Return bounds of a mean that hold at every look at once.

    Parameters
    ----------
    mean, variance, nu : float
        As in `log_e_above`.
    level : float
        Confidence in (0, 1).
    effect_sd : float, default 0.15

    Returns
    -------
    (float, float)
        The values that neither side refutes at ``2/(1 - level)``; infinite where the search ends before one does.
    """
    goal = np.log(2 / (1 - level))
    far = float(log_e_above(LOG_LARGEST, variance, nu, effect_sd))
    if not variance > 0 or far < goal:
        return -np.inf, np.inf
    low, high = 0.0, LOG_LARGEST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if float(log_e_above(middle, variance, nu, effect_sd)) >= goal else (middle, high)
    return mean - high, mean + high
