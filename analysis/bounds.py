"""Estimate and bounds of a ratio that hold at every look at once, pods included."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from scipy.special import ndtr

from analysis.grid import HARM, NODES, POD_SDS, TINY, Floats, alternative, null_weights
from analysis.stakes import log_sum
from analysis.types import Effect

LEVEL: Final = 0.95
PRIOR_PARTS: Final = ((0.25, 0.1), (0.5, 0.7), (0.25, 2.0))
BOTH_SIDES: Final[Floats] = np.concatenate([-NODES[:0:-1], NODES])
EVERYWHERE: Final = slice(0, len(BOTH_SIDES))
NEAR: Final = 8.0
"""Standard deviations from which a normal law moves no bound: 1e-15 of it lies beyond."""
UNHEARD: Final = 60.0
"""Nats below the best log ratio from which a log ratio changes no digit of the bounds."""
_EDGES: Final[Floats] = np.concatenate([[-np.inf], (BOTH_SIDES[:-1] + BOTH_SIDES[1:]) / 2, [np.inf]])


def confidence(above: Floats, below: Floats, pod_factor: float, pod_weights: Floats) -> Effect:
    """
    Return the ratio of both sides with a 95 % confidence sequence.

    Parameters
    ----------
    above, below : (156,) float64
        Log likelihood summed over looks of the ratio ``e**g`` and ``e**-g`` against equality (null ratio 1,
        slack 0).
    pod_factor : float
        ``c`` of the current look.
    pod_weights : (7,) float64
        Pod weights of the current look.

    Returns
    -------
    Effect
        Posterior mean of the log ratio under ``1/4 N(0, .1^2) + 1/2 N(0, .7^2) + 1/4 N(0, 2^2)``; the
        interval holds every ratio that is not refuted at 20 : 1 by that prior, 0 and infinity where the grid
        ends inside it.

    Notes
    -----
    The interval is of the current look; intersecting it with those before would hide a late fault.

    References
    ----------
    .. [1] S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, Time-uniform, nonparametric, nonasymptotic
       confidence sequences, Ann. Stat. 2021 (mixture boundaries).
    """
    likelihood = np.concatenate([below[:0:-1], above])
    likelihood -= likelihood.max()
    variance = POD_SDS**2 * pod_factor
    return _bounded(likelihood, _prior(variance, pod_weights), _heard(likelihood, variance, pod_weights))


def confidences(above: Floats, below: Floats, pod_factor: Floats, pod_weights: Floats) -> list[Effect]:
    """
    Return what `confidence` says at each of K looks; looks with the same pods share the costly part.

    Parameters
    ----------
    above, below : (K, 156) float64
        As for `confidence`, summed up to each look.
    pod_factor : (K,) float64
    pod_weights : (K, 7) float64

    Returns
    -------
    list of Effect, length K
    """
    known: dict[bytes, tuple[Floats, Floats]] = {}  # prior, and where pods carry each ratio: rows are ratios
    found = []
    for k in range(len(pod_factor)):
        key = np.append(pod_weights[k], pod_factor[k]).tobytes()
        if key not in known:
            variance = POD_SDS**2 * pod_factor[k]
            carried = np.diff(_carried(variance, slice(0, len(BOTH_SIDES)), EVERYWHERE), axis=-1)
            known[key] = _prior(variance, pod_weights[k]), np.tensordot(pod_weights[k], carried, axes=1)
        likelihood = np.concatenate([below[k, :0:-1], above[k]])
        likelihood -= likelihood.max()
        found.append(_bounded(likelihood, known[key][0], known[key][1] @ np.exp(likelihood)))
    return found


def _prior(variance: Floats, pod_weights: Floats) -> Floats:
    """Return the prior of the log ratio, (311,), for pods of so many variances, (7,)."""
    prior = np.zeros(BOTH_SIDES.shape)
    for share, sd in PRIOR_PARTS:
        masses = np.diff(_below(_EDGES / np.sqrt(sd**2 + variance)[:, None]), axis=-1)
        prior += share * (pod_weights @ masses)
    return prior


def _carried(variance: Floats, rows: slice, window: slice) -> Floats:
    """Return, (7, M, W+1), how likely pods carry each of M ratios below each edge of a window of cells."""
    sds = np.maximum(np.sqrt(variance), 1e-9)
    edges = _EDGES[window.start : window.stop + 1]
    return _below((edges - BOTH_SIDES[rows, None]) / sds[:, None, None])


def _heard(likelihood: Floats, variance: Floats, pod_weights: Floats) -> Floats:
    """Return the likelihood of each ratio once pods have carried it somewhere, (311,)."""
    there = np.flatnonzero(likelihood > -UNHEARD)
    window = slice(int(there[0]), int(there[-1]) + 1)
    reach = NEAR * float(np.sqrt(variance.max()))  # no pod carries a ratio further
    low, high = BOTH_SIDES[window.start] - reach, BOTH_SIDES[window.stop - 1] + reach
    rows = slice(max(0, int(np.searchsorted(BOTH_SIDES, low)) - 1), int(np.searchsorted(BOTH_SIDES, high)) + 1)
    each = np.exp(likelihood[window])
    falls = np.concatenate([[0.0], each]) - np.concatenate([each, [0.0]])  # masses of cells, summed by parts
    found = np.zeros(likelihood.shape)
    found[rows] = pod_weights @ (_carried(variance, rows, window) @ falls)
    return found


def _bounded(likelihood: Floats, prior: Floats, heard: Floats) -> Effect:
    """Return estimate and bounds from the likelihood of each ratio, at most 0, and from what pods make of it."""
    log_mix = np.log(np.maximum(prior, TINY)) + likelihood
    whole = float(log_sum(log_mix))
    kept = heard > (1 - LEVEL) * np.exp(whole)
    inside = np.flatnonzero(kept)
    first, last = (int(inside[0]), int(inside[-1])) if inside.size else (0, len(BOTH_SIDES) - 1)
    mean = float(np.exp(log_mix - whole) @ BOTH_SIDES)
    return Effect(
        estimate=float(np.exp(mean)),
        low=0.0 if first == 0 else float(np.exp(BOTH_SIDES[first])),
        high=float("inf") if last == len(BOTH_SIDES) - 1 else float(np.exp(BOTH_SIDES[last])),
        level=LEVEL,
    )


def _below(z: Floats) -> Floats:
    """Return the standard normal law below z, worked out only where it is neither 0 nor 1 to the last digit but two."""
    found = np.asarray(z > 0, dtype=np.float64)
    near = np.abs(z) < NEAR
    found[near] = ndtr(z[near])
    return found


def reachable_abort(log_ratio: float, pod_factor: float, pod_weights: Floats) -> float:
    """
    Return the largest log e that endless requests can earn against a canary at a given excess.

    Parameters
    ----------
    log_ratio : float
        ``g = ln r - ln rho``, cut to the grid.
    pod_factor, pod_weights : float, (7,) float64
        ``c`` and pod weights of the current look.

    Returns
    -------
    float
        ``ln((w0 H)(g)/w0(g))``: below ``ln(1/alpha)`` the pods, not the requests, are too few.
    """
    return float(np.interp(log_ratio, NODES, _reachable(pod_factor, pod_weights.tobytes())))


@lru_cache(maxsize=32)
def _reachable(pod_factor: float, pod_weights: bytes) -> Floats:
    """Return `reachable_abort` at every node, (156,): a search for the smallest fault asks many times for one place."""
    prior = null_weights(np.array(pod_factor), np.frombuffer(pod_weights))
    found = np.log(np.maximum(prior @ HARM, TINY)) - np.log(prior)
    found.setflags(write=False)
    return np.asarray(found)


def reachable_promote(centres: Floats, pod_factor: float, pod_weights: Floats) -> float:
    """Return the largest log e that endless requests can earn for a canary at the first of ``centres``."""
    prior = null_weights(np.array(pod_factor), pod_weights)
    likely = alternative(centres, np.array(pod_factor), pod_weights)
    return float(np.interp(centres[0], NODES, np.log(likely) - np.log(prior)))
