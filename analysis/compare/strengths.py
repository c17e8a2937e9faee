"""
How strongly one series without counts departs from stable: size against natural variation.

A line is one number per sample and side: one pod, the mean of a few, a published percentile. No law of such
series is known, so the result is a strength T, not an e-value: 1 means that the size is at least 40 % *and*
at least five natural standard deviations. The functions take a leading axis N of releases, without gaps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.grid import TINY, Floats
from analysis.types import BoolArray

SIZE: Final = float(np.log(1.4))
SIGMAS: Final = 5.0
FLOOR: Final = 0.1  # of the mean level: where a logarithm becomes a straight line
POD_SD: Final = 0.08
DRIFT_SD: Final = 0.06
CAP: Final = 0.79
SUSPICION: Final = 0.8
FEWEST: Final = 3
FEWEST_PART: Final = 4
SLOWEST: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Strengths:
    """
    T of N releases with what it was made of; each (N,).

    ``effect`` is signed, in log ratio; ``sd`` is the natural standard deviation of the whole window's effect;
    ``doubt`` marks where T was kept below 0.8 although the size alone would have said more.
    """

    strength: Floats
    effect: Floats
    sd: Floats
    doubt: BoolArray


def on_log_scale(values: Floats, level: Floats) -> Floats:
    """
    Return ``g(v) = sign(v) ln(1 + |v|/(0.1 L))``: a log ratio that stays finite at zero, free of units.

    Parameters
    ----------
    values : (N, n) float64
    level : (N,) float64
        L > 0, mean absolute value of stable.
    """
    return np.asarray(np.sign(values) * np.log1p(np.abs(values) / (FLOOR * level[:, None])))


def side_by_side(x: Floats, sign: int, block: int, pod_sd: float | None = None) -> Strengths:
    """
    Return the strength of canaries that ran beside stable.

    Parameters
    ----------
    x : (N, n) float64
        Differences of `on_log_scale`, canary less stable, sample by sample; n >= 3.
    sign : {1, -1, 0}
        Which change does harm; 0: either.
    block : int
        Samples in five minutes, at least 1.
    pod_sd : float, optional
        Spread of pods that a placebo found, with the share of the pods in it; without it 0.08, and the last word is
        five-minute means: slow noise of one pod looks like a fault of that pod.

    Notes
    -----
    Windows: all, the last half, the last third; the largest T counts. Noise is ``h^2 = sum (dx)^2/(2(n-1))``, from
    neighbours, so that steps and ramps, the very fault, do not enter. T of 0.8 must also hold with AR(1)
    noise of x less its best single step.
    """
    n = x.shape[1]
    spread = POD_SD if pod_sd is None else pod_sd
    best, effect, sd = _largest(x, sign, _step_noise(x), spread)
    residual, phi = _left_of_step(x)
    doubt = np.zeros(len(x), dtype=bool)
    if (best >= SUSPICION).any():
        slow = np.zeros(len(x))
        for w in _windows(n):
            found = _oriented(x[:, -w:].mean(axis=1), sign)
            noise = np.sqrt(mean_variance(residual, phi, w) + spread**2)
            slow = np.maximum(slow, _strength(found, noise))
        doubt |= slow < SUSPICION
        if pod_sd is None:
            whole = n // block
            if whole < FEWEST_PART:
                doubt |= True
            elif block > 1:
                means = x[:, n - whole * block :].reshape(len(x), whole, block).mean(axis=2)
                doubt |= _largest(means, sign, _step_noise(means), spread)[0] < SUSPICION
    doubt &= best >= SUSPICION
    return Strengths(strength=np.where(doubt, CAP, best), effect=effect, sd=sd, doubt=doubt)


def _windows(n: int) -> list[int]:
    return [n, *(part for part in (n // 2, n // 3) if part >= FEWEST_PART)]


def _largest(x: Floats, sign: int, noise: Floats, spread: float) -> tuple[Floats, Floats, Floats]:
    """Return the largest strength over the windows, its signed effect, and the sd of the whole window."""
    best, effect = np.full(len(x), -np.inf), np.zeros(len(x))
    sd = np.sqrt(noise / x.shape[1] + spread**2)
    for w in _windows(x.shape[1]):
        mean = x[:, -w:].mean(axis=1)
        found = _strength(_oriented(mean, sign), np.sqrt(noise / w + spread**2))
        effect = np.where(found > best, mean, effect)
        best = np.maximum(best, found)
    return best, effect, sd


def _oriented(effect: Floats, sign: int) -> Floats:
    return np.abs(effect) if sign == 0 else sign * effect


def _strength(effect: Floats, sd: Floats) -> Floats:
    return np.minimum(effect / SIZE, effect / np.maximum(sd, TINY) / SIGMAS)


def _step_noise(x: Floats) -> Floats:
    """Return, (N,), the variance of one sample from neighbours."""
    return np.asarray((np.diff(x, axis=1) ** 2).sum(axis=1) / (2 * (x.shape[1] - 1)))


def _left_of_step(x: Floats) -> tuple[Floats, Floats]:
    """Return, (N,), variance and lag-1 correlation of what a single best step leaves of each series."""
    n = x.shape[1]
    first = np.cumsum(x, axis=1)[:, :-1]
    size = np.arange(1, n)
    gain = first**2 / size + (x.sum(axis=1, keepdims=True) - first) ** 2 / (n - size)
    at = gain.argmax(axis=1)
    rows = np.arange(len(x))
    left = first[rows, at] / size[at]
    right = (x.sum(axis=1) - first[rows, at]) / (n - size[at])
    e = x - np.where(np.arange(n) <= at[:, None], left[:, None], right[:, None])
    return (e**2).sum(axis=1) / max(n - 2, 1), correlation(e)


def correlation(e: Floats) -> Floats:
    """Return, (N,), the lag-1 correlation of centred series, its bias taken off, within [0, 0.9]."""
    square = (e**2).sum(axis=1)
    phi = (e[:, 1:] * e[:, :-1]).sum(axis=1) / np.where(square > 0, square, 1.0)
    return np.asarray(np.clip(phi + (1 + 4 * phi) / e.shape[1], 0.0, SLOWEST))


def mean_variance(variance: Floats, phi: Floats, n: int) -> Floats:
    """Return, (N,), the variance of a mean of n neighbouring AR(1) samples."""
    slow = (1 + phi) / (1 - phi) - 2 * phi * (1 - phi**n) / (n * (1 - phi) ** 2)
    return np.asarray(variance / n * np.maximum(slow, 1.0))


def before_and_after(canary: Floats, stable: Floats, history: Floats, sign: int) -> Strengths:
    """
    Return the strength of canaries that are compared with an earlier time.

    Parameters
    ----------
    canary : (N, n) float64
        On the scale of `on_log_scale`, like the others; n >= 3.
    stable : (N, p) float64
        The time compared with, p >= 3.
    history : (N, h) float64
        Just before that; h may be 0. With ``stable`` it makes the pool.
    sign : {1, -1, 0}

    Notes
    -----
    The effect is the smaller of canary less pool and canary less stable; for ``sign`` 0 they must agree in
    sign. Noise is the larger of two: sliding means as long as the canary's window, and a mean under AR(1). A pool
    shorter than two windows cannot show what natural variation is: T stays below 0.8.
    """
    n = canary.shape[1]
    pool = np.concatenate([history, stable], axis=1)
    size = pool.shape[1]
    now = canary.mean(axis=1)
    far, near = now - pool.mean(axis=1), now - stable.mean(axis=1)
    smaller = np.where(np.abs(far) <= np.abs(near), far, near)
    if sign == 0:
        effect = np.where(np.sign(far) == np.sign(near), smaller, 0.0)
    else:
        effect = sign * np.minimum(sign * far, sign * near)
    w = min(n, max(2, size // 3))
    sums = np.cumsum(np.concatenate([np.zeros((len(pool), 1)), pool], axis=1), axis=1)
    sliding = (sums[:, w:] - sums[:, :-w]) / w
    block = sliding.std(axis=1, ddof=1) * np.sqrt(1 + 1 / max(size / w - 1, 1))
    e = pool - pool.mean(axis=1, keepdims=True)
    slow = np.sqrt(mean_variance((e**2).sum(axis=1) / (size - 1), correlation(e), n))
    sd = np.sqrt(np.maximum(block, slow) ** 2 + DRIFT_SD**2)
    found = _strength(_oriented(effect, sign), sd)
    doubt = (found >= SUSPICION) & (size < 2 * n)
    return Strengths(strength=np.where(doubt, CAP, found), effect=effect, sd=sd, doubt=doubt)


def moved_before(stable: Floats, history: Floats, effect: Floats) -> BoolArray:
    """
    Return, (N,), whether stable itself left its history the same way as the canary: everybody is on fire.

    Parameters
    ----------
    stable, history : (N, p), (N, h) float64
        On the scale of `on_log_scale`; h >= 8.
    effect : (N,) float64
        The canary's, signed.
    """
    shift = stable.mean(axis=1) - history.mean(axis=1)
    sd = history.std(axis=1, ddof=1)
    return np.asarray((np.sign(shift) == np.sign(effect)) & (np.abs(shift) >= SIZE) & (np.abs(shift) >= 3 * sd))


def placebo_sd(pods: Floats, block: int) -> float | None:
    """
    Return how far one pod's mean over a canary's time lies from the others', in log ratio.

    Parameters
    ----------
    pods : (R, n) float64
        Values of stable replicas, > 0; NaN is missing.
    block : int
        Samples in a canary's time, ten minutes at least.

    Returns
    -------
    float or None
        Root mean square over pods and blocks of ``ln(pod/others) sqrt((m-1)/m)``, that is of one pod alone: times
        ``sqrt(1/m_c + 1/m_s)`` it is the ``pod_sd`` of `side_by_side`. None with fewer than three pods or
        without a whole block.
    """
    known = np.isfinite(pods) & (pods > 0)
    rows = known.sum(axis=1) >= block
    m, blocks = int(rows.sum()), pods.shape[1] // block
    if m < FEWEST or blocks < 1:
        return None
    values = np.where(known, pods, 0.0)[rows][:, : blocks * block].reshape(m, blocks, block).sum(axis=2)
    count = known[rows][:, : blocks * block].reshape(m, blocks, block).sum(axis=2)
    whole = (count >= block / 2).all(axis=0)
    if not whole.any():
        return None
    mean = values[:, whole] / count[:, whole]
    others = (mean.sum(axis=0) - mean) / (m - 1)
    return float(np.sqrt((np.log(mean / others) ** 2).mean() * (m - 1) / m))
