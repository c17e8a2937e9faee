"""Estimate and bounds of a ratio that hold at every look at once, pods included."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from analysis.beliefs import beliefs
from analysis.grid import HARM, MIDPOINTS, NODES, POD_SDS, TINY, Floats, alternative
from analysis.stakes import log_sum
from analysis.types import Effect

LEVEL: Final = 0.95
PRIOR_PARTS: Final = ((0.25, 0.1), (0.5, 0.7), (0.25, 2.0))
BOTH_SIDES: Final[Floats] = np.concatenate([-NODES[:0:-1], NODES])
NEAR: Final = 8.0
"""Standard deviations from which a normal law moves no bound: 1e-15 of it lies beyond."""
UNHEARD: Final = 60.0
"""Nats below the best log ratio from which a log ratio changes no digit of the bounds."""
AROUND: Final = range(-2, 2)
"""Places around a guess that are asked whether a bound lies there."""
GUESSES: Final = 2
NO_WEIGHT: Final = 1e-9
"""Weight of pods, as a part of what is asked for, that moves no bound."""
STRIDES: Final = (36, 6, 1)
"""Ratios from one that is asked to the next, where a guess was wrong: ever closer to where the bound lies."""
_EDGES: Final[Floats] = np.concatenate([[-np.inf], (BOTH_SIDES[:-1] + BOTH_SIDES[1:]) / 2, [np.inf]])
_SORTED: Final[list[float]] = BOTH_SIDES.tolist()
_PRIOR_SHARES: Final[Floats] = np.array([[share] for share, _ in PRIOR_PARTS])
_PRIOR_VARIANCES: Final[Floats] = np.array([[sd**2] for _, sd in PRIOR_PARTS])


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
    there = (likelihood > -UNHEARD).nonzero()[0]
    begin, end = int(there[0]), int(there[-1]) + 1
    variance = POD_SDS**2 * pod_factor
    log_mix = np.full(len(BOTH_SIDES), -np.inf)
    log_mix[begin:end] = np.log(np.maximum(_prior(variance, pod_weights, begin, end), TINY)) + likelihood[begin:end]
    whole = float(log_sum(log_mix))
    first, last = _kept(likelihood, begin, end, variance, pod_weights, (1 - LEVEL) * math.exp(whole))
    mean = float(np.exp(log_mix - whole) @ BOTH_SIDES)
    return Effect(
        estimate=math.exp(mean),
        low=0.0 if first == 0 else math.exp(BOTH_SIDES[first]),
        high=math.inf if last == len(BOTH_SIDES) - 1 else math.exp(BOTH_SIDES[last]),
        level=LEVEL,
    )


def _prior(variance: Floats, pod_weights: Floats, begin: int, end: int) -> Floats:
    """Return the prior of ratios ``begin … end - 1`` for pods of so many variances, (7,): alike on both sides of 0."""
    weights = (_PRIOR_SHARES * pod_weights).ravel()
    sds = np.sqrt(_PRIOR_VARIANCES + variance).ravel()
    equal = len(NODES) - 1
    farthest = max(equal - begin, end - 1 - equal)
    above = np.zeros((len(sds), len(MIDPOINTS)))  # as wide as ever: a product may round differently with its size
    above[:, : farthest + 1] = ndtr(-MIDPOINTS[: farthest + 1] / sds[:, None])
    beyond = weights @ above
    tail = np.append(beyond[:-1] - beyond[1:], beyond[-1])
    return np.concatenate([tail[::-1], [weights.sum() - 2 * beyond[0]], tail])[begin:end]


def _kept(
    likelihood: Floats, begin: int, end: int, variance: Floats, pod_weights: Floats, floor: float
) -> tuple[int, int]:
    """
    Return the first and the last ratio whose likelihood, once pods have carried it somewhere, is above a floor.

    Parameters
    ----------
    likelihood : (311,) float64
        Log likelihood of each ratio, at most 0.
    begin, end : int
        The ratios that are heard at all: ``begin … end - 1``.
    variance, pod_weights : (7,) float64
        Variances of what pods carry a ratio by, and their weights.
    floor : float

    Returns
    -------
    first, last : int
        Places in `BOTH_SIDES`; its ends where there is none.

    Notes
    -----
    The likelihood of counts is log-concave in the log ratio, and what a symmetric law with one peak carries of such a
    thing has one peak [1]_. So few ratios are asked: those around a guess, or ever closer to where the bounds lie.

    References
    ----------
    .. [1] I. Ibragimov, On the composition of unimodal distributions, Theory Probab. Appl. 1, 1956.
    """
    each = np.exp(likelihood[begin:end])
    falls = np.append(0.0, each) - np.append(each, 0.0)  # masses of cells, summed by parts
    told = pod_weights > NO_WEIGHT * floor
    weights, sds = pod_weights[told], np.maximum(np.sqrt(variance[told]), 1e-9)[:, None, None]

    def heard(rows: NDArray[np.int64]) -> Floats:
        below = _below((_EDGES[begin : end + 1] - BOTH_SIDES[rows, None]) / sds)
        return np.asarray(weights @ (below @ falls))

    reach = NEAR * math.sqrt(variance.max())  # no pod carries a ratio further
    lowest, highest = BOTH_SIDES.searchsorted([BOTH_SIDES[begin] - reach, BOTH_SIDES[end - 1] + reach]).tolist()
    lowest, highest = max(0, lowest - 1), min(highest, len(BOTH_SIDES) - 1)
    guesses = (min(max(place, lowest), highest) for place in _guessed(likelihood, variance, pod_weights, floor))
    near = sorted({place + step for place in guesses for step in AROUND if lowest <= place + step <= highest})
    asked = np.array(near)
    loud = asked[heard(asked) > floor].tolist()
    if loud and (loud[0] == lowest or loud[0] - 1 in near) and (loud[-1] == highest or loud[-1] + 1 in near):
        return loud[0], loud[-1]
    return _looked_for(heard, lowest, highest, floor)


def _looked_for(
    heard: Callable[[NDArray[np.int64]], Floats], lowest: int, highest: int, floor: float
) -> tuple[int, int]:
    """Return the first and the last place of a stretch that is heard, asking ever closer to where they lie."""
    asked = np.arange(lowest, highest + 1, STRIDES[0])
    for stride, finer in itertools.pairwise((*STRIDES, 1)):
        some = heard(asked)
        loud = asked[some > floor]
        first, last = (int(loud[0]), int(loud[-1])) if loud.size else (int(asked[some.argmax()]),) * 2
        asked = np.append(np.arange(first, first - stride, -finer)[::-1], np.arange(last, last + stride, finer))
        asked = asked[(asked >= lowest) & (asked <= highest)]
    return (first, last) if loud.size else (0, len(BOTH_SIDES) - 1)


def _guessed(likelihood: Floats, variance: Floats, pod_weights: Floats, floor: float) -> tuple[int, int]:
    """Return about where the bounds lie: as if either side of the likelihood were that of a normal law."""
    pods = [pod for pod in zip(pod_weights.tolist(), variance.tolist(), strict=True) if pod[0] > floor]
    best, found = int(likelihood.argmax()), []
    middle, typical = _SORTED[best], sum(weight * pod for weight, pod in pods)
    for side, falling in ((-1, likelihood[best::-1]), (1, likelihood[best:])):
        place = min(max(int((-falling).searchsorted(-math.log(floor))), 1), len(falling) - 1)
        own = (_SORTED[best + side * place] - middle) ** 2 / max(-2 * float(falling[place]), TINY)
        parts = [(weight * math.sqrt(own / (own + pod)), 0.5 / (own + pod)) for weight, pod in pods if own > 0]
        squared = -2 * (own + typical) * math.log(floor) if parts else 0.0  # all pods alike; then Newton's steps
        for _ in range(GUESSES if parts else 0):
            heard = [share * math.exp(-rate * squared) for share, rate in parts]
            slope = sum(share * rate for share, (_, rate) in zip(heard, parts, strict=True))
            whole = sum(heard)
            squared = max(squared + math.log(whole / floor) * whole / slope, 0.0) if slope > 0 else 0.0
        found.append(bisect_left(_SORTED, middle + side * math.sqrt(squared)))
    return found[0], found[1]


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
def _believed(pod_factor: float, pod_weights: bytes) -> Floats:
    """Return `null_weights` of one look, (156,): what endless requests can earn is asked for several claims."""
    return np.asarray(beliefs(np.full((1, 1), pod_factor), np.frombuffer(pod_weights)[None, None])[0, 0])


@lru_cache(maxsize=32)
def _reachable(pod_factor: float, pod_weights: bytes) -> Floats:
    """Return `reachable_abort` at every node, (156,): a search for the smallest fault asks many times for one place."""
    prior = _believed(pod_factor, pod_weights)
    found = np.log(np.maximum(prior @ HARM, TINY)) - np.log(prior)
    found.setflags(write=False)
    return np.asarray(found)


def reachable_promote(centres: Floats, pod_factor: float, pod_weights: Floats) -> float:
    """Return the largest log e that endless requests can earn for a canary at the first of ``centres``."""
    prior = _believed(pod_factor, pod_weights.tobytes())
    likely = alternative(centres, np.array(pod_factor), pod_weights)
    return float(np.interp(centres[0], NODES, np.log(likely) - np.log(prior)))
