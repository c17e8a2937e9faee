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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PodSums:
    """
    Sums over the slots of a run so far, from which its later slots go on.

    Parameters
    ----------
    slots : int
        How many there were.
    pods : (6, N, R) float64
        Of each pod: samples, their sum, their squares; pairs of neighbours, their products, their sums.
    blocks : (3, N, R) float64
        Of each pod: blocks of 20 slots, their means, the squares of these.
    slow : (N, 1) float64
        What the blocks say of slow noise.
    """

    slots: int
    pods: Floats
    blocks: Floats
    slow: Floats

    @classmethod
    def none(cls, releases: int, pods: int, slots: int) -> PodSums:
        """Return the sums of so many slots of which none counted."""
        shape = releases, pods
        blank = np.zeros((9, *shape))
        return cls(slots=slots, pods=blank[:6], blocks=blank[6:], slow=np.zeros((releases, 1)))


def first_needed(seen: int) -> int:
    """Return the first slot that is read again where slots go on after so many: one before, and an unfinished block."""
    return max(0, min(seen - 1, seen // BLOCK * BLOCK))


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
    return later_noise(u, ends, None, running=running)[0]


def later_noise(u: Floats, ends: NDArray[np.int64], past: PodSums | None, *, running: bool) -> tuple[PodNoise, PodSums]:
    """
    Return `pod_noise` of later slots, to the bit as if all were read, and the sums from which it goes on.

    Parameters
    ----------
    u : (N, R, n) float64
        As in `pod_noise`, from slot ``first_needed(past.slots)`` on.
    ends : (P,) int
        Numbers of slots from the beginning, none of them less than ``past.slots``; rising.
    past : PodSums or None
        None: no slot was read yet.
    running : bool
    """
    seen = 0 if past is None else past.slots
    begin = first_needed(seen)
    known = np.isfinite(u)
    x = np.where(known, u, 0.0)
    sums = _summed(x, known, seen - begin, None if past is None else past.pods)
    slow, blocks = _slow(x, known, begin, ends, past)
    found = _figures(columns_at(sums, ends - seen), slow, running, alone=past is not None and len(ends) == 1)
    return found, PodSums(slots=begin + u.shape[2], pods=sums[..., -1].copy(), blocks=blocks, slow=slow[:, -1:].copy())


def _summed(x: Floats, known: NDArray[np.bool_], old: int, past: Floats | None) -> Floats:
    """Return the sums of `PodSums` before each new slot and after the last, (6, N, R, n + 1): ``old`` slots are not."""
    parts = np.zeros((6, *x.shape[:2], x.shape[2] - old + 1))
    if past is not None:
        parts[..., 0] = past
    new = parts[..., 1:]
    new[0], new[1] = known[..., old:], x[..., old:]
    np.square(new[1], out=new[2])
    first = max(old, 1)  # the first slot of all has no neighbour before it
    both = known[..., first:] & known[..., first - 1 : -1]
    here, there = np.where(both, x[..., first:], 0.0), np.where(both, x[..., first - 1 : -1], 0.0)
    pairs = new[3:, ..., first - old :]
    pairs[0] = both
    np.multiply(there, here, out=pairs[1])
    np.add(there, here, out=pairs[2])
    return np.asarray(parts.cumsum(axis=-1))


def _figures(sums: Floats, slow: Floats, running: bool, alone: bool) -> PodNoise:
    """Return the figures of prefixes from their sums, (6, N, R, P), and from slow noise, (N, P)."""
    count, plain, square, pairs, product, both = sums
    tells = count >= FEWEST_SAMPLES
    mean = np.where(tells, plain / np.maximum(count, 1), 0.0)
    squared = mean**2
    parts = np.zeros((6, *count.shape))
    told = (tells, count, square - count * squared, product - mean * both + pairs * squared, pairs, squared)
    for part, figure in zip(parts, told, strict=True):
        np.copyto(part, figure, where=tells)
    m, total, squares, cross, neighbours, between = over_pods(parts, alone)
    squares = np.maximum(squares, 0.0)
    several = np.maximum(m, 1)
    per_pod = total / several
    length = np.maximum(per_pod, 1)
    gamma = squares / np.maximum(total - m, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        phi = np.where(squares > 0, cross / neighbours / (squares / total), 0.0)
    phi = np.minimum(np.maximum(np.where(np.isfinite(phi), phi, 0.0), -1.0), 1.0)
    bias = (1 + 4 * phi) / length
    error = np.sqrt((1 - phi**2) / np.maximum(total, 1)) if running else 0.0
    phi = np.minimum(np.maximum(phi + bias + error, 0.0), SLOWEST)
    r = (1 + phi) / (1 - phi)
    long_run = r * gamma / np.maximum(1 - r / length, LEAST_ROOM)
    return PodNoise(
        long_run=np.maximum(long_run, slow),
        dof=np.maximum(0.5, total * np.maximum(m - 1, 1) / several / r - 1),
        between=between / several,
        pods=m,
        samples=per_pod,
    )


def over_pods(values: NDArray[np.generic], alone: bool) -> Floats:
    """Return sums over pods, (..., P); ``alone``: of a single look, whose pods numpy would add in another order."""
    return np.asarray(values.cumsum(axis=-2)[..., -1, :] if alone else values.sum(axis=-2))


def _slow(
    x: Floats, known: NDArray[np.bool_], begin: int, ends: NDArray[np.int64], past: PodSums | None
) -> tuple[Floats, Floats]:
    """Return, (N, P), 20 times the variance of 20-slot means within pods, 0 with less than three; and their sums."""
    closed = 0 if past is None else past.slots // BLOCK
    skipped = closed * BLOCK - begin  # 1 where the slot before a new block is read for its neighbour
    blocks = (x.shape[2] - skipped) // BLOCK
    if past is not None and not blocks:
        return np.broadcast_to(past.slow, (len(x), len(ends))), past.blocks
    sums = np.zeros((3, *x.shape[:2], blocks + 1))
    if past is not None:
        sums[..., 0] = past.blocks
    shape, whole = (*x.shape[:2], blocks, BLOCK), slice(skipped, skipped + blocks * BLOCK)
    here = known[..., whole].reshape(shape).sum(axis=-1)
    means = x[..., whole].reshape(shape).sum(axis=-1) / np.maximum(here, 1)
    full = here >= BLOCK / 2
    sums[0, ..., 1:] = full
    sums[1, ..., 1:] = np.where(full, means, 0.0)
    np.square(sums[1, ..., 1:], out=sums[2, ..., 1:])
    sums = sums.cumsum(axis=-1)
    count, plain, square = sums
    tells = count >= FEWEST_BLOCKS
    squares = np.where(tells, square - plain**2 / np.maximum(count, 1), 0.0)
    squares = np.ascontiguousarray(squares.swapaxes(1, 2)).sum(axis=2)  # in one order, however many blocks there are
    free = np.where(tells, count - 1, 0.0).sum(axis=1)
    found = BLOCK * np.maximum(squares, 0.0) / np.maximum(free, 1)
    return np.asarray(found[:, ends // BLOCK - closed]), sums[..., -1].copy()


def upto(values: NDArray[np.generic], ends: NDArray[np.int64]) -> Floats:
    """Return sums over the first so many slots, (..., P)."""
    sums = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    sums[..., 1:] = values
    return columns_at(sums.cumsum(axis=-1), ends)


def columns_at(sums: Floats, ends: NDArray[np.int64]) -> Floats:
    """Return columns of sums, (..., P), rows after rows in memory: of looks in turn without copying them."""
    first, last = (int(ends[0]), int(ends[-1])) if len(ends) else (0, -1)
    if last - first == len(ends) - 1 and bool((ends[1:] > ends[:-1]).all()):
        return sums[..., first : last + 1]  # every slot is a look
    return sums.take(ends, axis=-1)


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
