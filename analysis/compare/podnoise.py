"""
Noise of a gauge, from the stable pods alone: how far a pod wanders, how slowly, and how far pods lie apart.

Arrays have shape ``(N, R, n)``: N releases, R pods, n slots; NaN is missing. Every figure is given for
several prefixes at once (``ends``: the first so many slots), so that a look uses what was known at it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.grid import Floats

FEWEST_SAMPLES: Final = 5  # of a pod that tells of pods
BLOCK: Final = 20
FEWEST_BLOCKS: Final = 3
SLOWEST: Final = 0.98
LEAST_ROOM: Final = 0.3
POD_SD: Final = 0.06  # the prior of the pods' spread ...
POD_WEIGHT: Final = 8.0  # ... and the number of pods it is worth


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PodNoise:
    """
    What the stable pods' deviations tell, for P prefixes of N releases.

    Parameters
    ----------
    long_run : (N, P) float64
        lambda: the variance of a pod's mean over n slots is ``lambda/n``.
    dof : (N, P) float64
        Degrees of freedom of lambda, at least 1/2.
    between : (N, P) float64
        Mean square of the pods' means.
    pods : (N, P) float64
        m, pods with at least 5 samples.
    samples : (N, P) float64
        T, mean samples of such a pod.
    """

    long_run: Floats
    dof: Floats
    between: Floats
    pods: Floats
    samples: Floats


def deviations(values: Floats, scale: Floats | None) -> Floats:
    """
    Return by how much each stable pod departs from the others.

    Parameters
    ----------
    values : (N, R, n) float64
    scale : (N, 1, 1) float64 or None
        Divisor of differences; None: ratios to the mean of the pods present.

    Returns
    -------
    (N, R, n) float64
        ``(pod/mean - 1) sqrt(k/(k-1))`` with k pods present; NaN where k < 2. That is the leave-one-out comparison:
        a pod against the other k-1 has k/(k-1) times its own variance.
    """
    present = np.isfinite(values)
    k = present.sum(axis=1, keepdims=True)
    mean = np.where(present, values, 0.0).sum(axis=1, keepdims=True) / np.maximum(k, 1)
    stretch = np.sqrt(k / np.maximum(k - 1, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        away = (values - mean) / (mean if scale is None else scale)
    return np.where((k >= 2) & np.isfinite(away), away * stretch, np.nan)


def pod_noise(u: Floats, ends: NDArray[np.int64], *, running: bool) -> PodNoise:
    """
    Return the noise that deviations of pods show.

    Parameters
    ----------
    u : (N, R, n) float64
        From `deviations`; of a lone stable pod, the paired difference itself as the only row.
    ends : (P,) int
        Numbers of slots, each in [0, n].
    running : bool
        Whether these are the slots that are judged, so that few of them must serve.

    Returns
    -------
    PodNoise

    Notes
    -----
    ``gamma = sum e^2/(N - m)`` of the deviations from each pod's own mean, phi their lag-1 correlation plus
    its bias ``(1 + 4 phi)/T`` and, while running, one standard error; ``r = (1 + phi)/(1 - phi)`` and
    ``lambda = r gamma/max(1 - r/T, 0.3)``, at least ``20 var`` of means over 20 slots, for noise that is slower than
    its lag-1 correlation tells.
    """
    known = np.isfinite(u)
    x = np.where(known, u, 0.0)
    pair = known[..., 1:] & known[..., :-1]
    first, second = np.where(pair, x[..., :-1], 0.0), np.where(pair, x[..., 1:], 0.0)
    count, plain, square = (upto(v, ends) for v in (known, x, x**2))
    pairs = upto(pair, np.maximum(ends - 1, 0))
    product, both = (upto(v, np.maximum(ends - 1, 0)) for v in (first * second, first + second))
    tells = count >= FEWEST_SAMPLES
    mean = np.where(tells, plain / np.maximum(count, 1), 0.0)
    m, total = tells.sum(axis=1), np.where(tells, count, 0.0).sum(axis=1)
    squares = np.maximum(np.where(tells, square - count * mean**2, 0.0).sum(axis=1), 0.0)
    cross = np.where(tells, product - mean * both + pairs * mean**2, 0.0).sum(axis=1)
    neighbours = np.where(tells, pairs, 0.0).sum(axis=1)
    per_pod = total / np.maximum(m, 1)
    gamma = squares / np.maximum(total - m, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        phi = np.where(squares > 0, cross / neighbours / (squares / total), 0.0)
    phi = np.clip(np.where(np.isfinite(phi), phi, 0.0), -1.0, 1.0)
    bias = (1 + 4 * phi) / np.maximum(per_pod, 1)
    error = np.sqrt((1 - phi**2) / np.maximum(total, 1)) if running else 0.0
    phi = np.clip(phi + bias + error, 0.0, SLOWEST)
    r = (1 + phi) / (1 - phi)
    long_run = r * gamma / np.maximum(1 - r / np.maximum(per_pod, 1), LEAST_ROOM)
    return PodNoise(
        long_run=np.maximum(long_run, _slow(x, known, ends)),
        dof=np.maximum(0.5, total * np.maximum(m - 1, 1) / np.maximum(m, 1) / r - 1),
        between=(np.where(tells, mean**2, 0.0)).sum(axis=1) / np.maximum(m, 1),
        pods=m.astype(np.float64),
        samples=per_pod,
    )


def _slow(x: Floats, known: NDArray[np.bool_], ends: NDArray[np.int64]) -> Floats:
    """Return, (N, P), 20 times the variance of 20-slot means within pods; 0 with fewer than three blocks."""
    blocks = x.shape[-1] // BLOCK
    if blocks < FEWEST_BLOCKS:
        return np.zeros((x.shape[0], len(ends)))
    shape = (*x.shape[:2], blocks, BLOCK)
    here = known[..., : blocks * BLOCK].reshape(shape).sum(axis=-1)
    means = x[..., : blocks * BLOCK].reshape(shape).sum(axis=-1) / np.maximum(here, 1)
    full = here >= BLOCK / 2
    means = np.where(full, means, 0.0)
    count, plain, square = (upto(v, ends // BLOCK) for v in (full, means, means**2))
    tells = count >= FEWEST_BLOCKS
    squares = np.where(tells, square - plain**2 / np.maximum(count, 1), 0.0).sum(axis=1)
    free = np.where(tells, count - 1, 0.0).sum(axis=1)
    return np.asarray(BLOCK * np.maximum(squares, 0.0) / np.maximum(free, 1))


def upto(values: NDArray[np.generic], ends: NDArray[np.int64]) -> Floats:
    """Return sums over the first so many slots, (..., P)."""
    sums = np.cumsum(values, axis=-1, dtype=np.float64)
    count = sums.shape[-1]
    if len(ends) == count > 0 and ends[0] == 1 and ends[-1] == count and np.all(np.diff(ends) == 1):
        return sums  # every slot is a look
    start = np.zeros((*sums.shape[:-1], 1))
    return np.asarray(np.concatenate([start, sums], axis=-1)[..., ends])


def spread_of_pods(noise: PodNoise, mean_noise: Floats | None) -> tuple[Floats, Floats]:
    """
    Return the variance between pods and its degrees of freedom, prior and pods seen put together.

    Parameters
    ----------
    noise : PodNoise
    mean_noise : (N, P) float64 or None
        A, the variance of a pod's mean in the run that these deviations are of; None: they are of history,
        whose own noise ``lambda/T`` is taken off the pods' spread.

    Returns
    -------
    spread, dof : (N, P) float64
        B, at least ``(8/(7+m)) 0.06^2``, and ``8 + m - 1``.

    Notes
    -----
    The prior of 6 % weighs as much as eight pods. In the run nothing is taken off before pods and prior
    are mixed, since noise and spread are told apart badly there.
    """
    more = np.maximum(noise.pods - 1, 0)
    dof = POD_WEIGHT + more
    if mean_noise is None:
        seen = np.maximum(0.0, noise.between - noise.long_run / np.maximum(noise.samples, 1))
        return (POD_WEIGHT * POD_SD**2 + more * seen) / dof, dof
    mixed = (POD_WEIGHT * (POD_SD**2 + mean_noise) + more * noise.between) / dof - mean_noise
    return np.maximum(POD_SD**2, mixed), dof
