"""
Noise of the scores (`scores.py`): how far stable pods wander and lie apart, by slots that hold enough requests.

With one stable pod, or hidden ones, only the difference of the two sides is left to learn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.compare.podnoise import PodNoise, PodSums, deviations, first_needed, later_noise
from analysis.compare.scores import ShiftLooks, Side
from analysis.grid import Floats
from analysis.types import BoolArray

Rows = NDArray[np.int64]

SLOT_REQUESTS: Final = 20.0  # requests of a pod that a score must rest on; quieter services pool their looks
FEWEST_SLOTS: Final = 10
FEWEST_DOF: Final = 7.0
SETTLED_SLOTS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreNoise:
    """
    Noise of the scores of N releases, from history (P = 1) or at each look of the run (P = K).

    Parameters
    ----------
    pods : PodNoise
        Figures of slots, (N, P).
    slot_seconds : (N, P) float64
        Mean length of a slot.
    pod_rate : (N, P) float64
        Requests per second of a pod that it was learned at.
    """

    pods: PodNoise
    slot_seconds: Floats
    pod_rate: Floats

    @property
    def long_run(self) -> Floats:
        """(N, P) long-run variance of a pod's score: divided by seconds, the variance of its mean."""
        return self.pods.long_run * self.slot_seconds


def looks_per_slot(total: Floats) -> Rows:
    """
    Return, (N,), how many looks make a slot in which a pod serves 20 requests on average.

    Parameters
    ----------
    total : (N, R, T) float64
        Requests of stable pods; the looks of history, or the first of the run.
    """
    served = total > 0
    pods, looks = (served.any(axis=axis).sum(axis=1) for axis in (2, 1))
    mean = total.sum(axis=(1, 2)) / np.maximum(pods * looks, 1)
    slot = np.ceil(SLOT_REQUESTS / np.maximum(mean, 1e-9))
    most = max(1, total.shape[2] // FEWEST_SLOTS)
    return np.asarray(np.minimum(np.maximum(slot, 1), most), dtype=np.int64)


def slots_of(side: Side) -> Rows:
    """Return `looks_per_slot` of N runs, (N,), by the first ten looks in which stable served, of side (N, R, K)."""
    found = []
    for row, served in enumerate(side.requests > 0):
        first = served.nonzero()[0][:FEWEST_SLOTS].tolist()
        end = first[-1] + 1 if len(first) == FEWEST_SLOTS else len(served)
        found.append(looks_per_slot(side.total[row : row + 1, :, :end]))
    return found[0] if len(found) == 1 else np.concatenate(found)


def score_noise(side: Side, seconds: Floats, slot: Rows) -> ScoreNoise:
    """
    Return the noise that stable pods show among themselves in the whole of history.

    Parameters
    ----------
    side : Side
        Stable, (N, R, T).
    seconds : (T,) float64
        Length of each look.
    slot : (N,) int
        From `looks_per_slot`.
    """
    return ScoreNoise(
        pods=_among_pods(side, slot, np.array([len(seconds)]), None, running=False)[0],
        slot_seconds=slot[:, None] * mean_look(seconds)[-1:],
        pod_rate=pod_rate(side, seconds)[:, -1:],
    )


def _among_pods(
    side: Side, slot: Rows, ends: Rows, past: Sequence[PodSums] | None, *, running: bool
) -> tuple[PodNoise, tuple[PodSums, ...]]:
    """
    Return the noise, (N, P), that stable pods show among themselves in the first so many looks (P,).

    Parameters
    ----------
    side : Side
    slot : (N,) int
    ends : (P,) int
    past : sequence of PodSums or None
        One for each size of a slot, from which slots go on; returned too.
    running : bool
    """
    parts, order = [], []
    sizes, summed = sorted({*slot.tolist()}), (side.plain, side.total)
    before: Sequence[PodSums | None] = past or [None] * len(sizes)
    for size, known in zip(sizes, before, strict=True):
        rows = np.flatnonzero(slot == size)
        begin = 0 if known is None else first_needed(known.slots) * size
        plain, total = (each[..., begin:] if len(sizes) == 1 else each[rows, :, begin:] for each in summed)
        away = deviations(_mean(plain, total, size), np.ones((len(rows), 1, 1)))
        few = bool(ends[-1] // size < SETTLED_SLOTS)
        parts.append(later_noise(away, ends // size, known, running=running or few))
        order.append(rows)
    noise, sums = zip(*parts, strict=True)
    return noise[0] if len(noise) == 1 else _joined(noise, np.argsort(np.concatenate(order))), sums


def _mean(plain: Floats, total: Floats, size: int) -> Floats:
    """Return the mean ln latency in slots of so many looks each; NaN without requests."""
    plain, total = _pooled(plain, size), _pooled(total, size)
    return np.where(total > 0, plain / np.where(total > 0, total, 1.0), np.nan)


def _joined(parts: Sequence[PodNoise], order: Rows) -> PodNoise:
    return PodNoise(**{name: np.concatenate([getattr(p, name) for p in parts])[order] for name in _FIGURES})


_FIGURES: Final = tuple(each.name for each in fields(PodNoise))


def mean_look(seconds: Floats) -> Floats:
    """Return, (T,), the mean length of the looks so far."""
    return np.asarray(np.cumsum(seconds) / np.arange(1, len(seconds) + 1))


def _pooled(values: Floats, size: int) -> Floats:
    """Return sums over so many looks each; what is left at the end is no slot yet."""
    if size == 1:
        return values
    whole = values.shape[-1] // size
    return np.asarray(values[..., : whole * size].reshape(*values.shape[:-1], whole, size).sum(axis=-1))


def pod_rate(side: Side, seconds: Floats) -> Floats:
    """Return, (N, T), requests per second of a typical pod in the looks so far."""
    lasted = np.cumsum(lasting(side, seconds), axis=1)
    return np.asarray(np.cumsum(side.requests, axis=1) / np.maximum(lasted, 1e-9))


def lasting(side: Side, seconds: Floats) -> Floats:
    """Return, (N, T), for how many seconds of one pod alone the pods of each look served."""
    return np.where(side.requests > 0, 1 / np.maximum(side.shares, 1e-9) * seconds, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PodsSoFar:
    """
    What stable pods of a run showed so far.

    Parameters
    ----------
    met : (N, R) bool
        Those that served.
    pods, lone : sequences of PodSums, or None
        Sums of the pods of each size of a slot, and of the difference of each release's sides, while one is alone.
    """

    met: BoolArray
    pods: tuple[PodSums, ...]
    lone: tuple[PodSums, ...] | None


def noise_of_run(
    looks: ShiftLooks, side: Side, slot: Rows, first: int, past: PodsSoFar | None
) -> tuple[PodNoise, BoolArray, PodsSoFar]:
    """
    Return the noise that is known at looks ``first …`` of a run.

    Parameters
    ----------
    looks : ShiftLooks
        The run, K looks.
    side : Side
        Stable, (N, R, E + K): with the looks before it.
    slot : (N,) int
        From `looks_per_slot`.
    first : int
    past : PodsSoFar or None
        None: there were no looks before; returned too.

    Returns
    -------
    noise : PodNoise
        (N, k), of the slots closed by each look.
    alone : (N, k) bool
        Where it is that of the difference of the sides: a lone stable pod so far, or pods that cannot be seen. Nothing
        is known then of how pods differ, and the long-run variance is that of all their pods together.
    """
    count, early = looks.used.shape[1], side.requests.shape[1] - looks.used.shape[1]
    ends = np.arange(first + 1, count + 1)
    served = side.total[:, :, 0 if past is None else early + first :] > 0
    if past is not None:
        served[:, :, 0] |= past.met
    met = np.logical_or.accumulate(served, axis=2)
    alone = (met.sum(axis=1)[:, -len(ends) :] < 2) | (not looks.visible)
    figures, pods = _among_pods(side, slot, early + ends, None if past is None else past.pods, running=True)
    lone = None
    if alone.any():
        single, lone = _lone_noise(looks, slot, ends, None if past is None else past.lone)
        both = {name: (getattr(single, name), getattr(figures, name)) for name in _FIGURES}
        figures = PodNoise(**{name: np.where(alone, *each) for name, each in both.items()})
    return figures, alone, PodsSoFar(met=met[:, :, -1], pods=pods, lone=lone)


def _lone_noise(
    looks: ShiftLooks, slot: Rows, ends: Rows, past: Sequence[PodSums] | None
) -> tuple[PodNoise, tuple[PodSums, ...]]:
    """
    Return the noise from the difference of the sides itself: a lone stable pod, or pods that cannot be seen.

    Parameters
    ----------
    looks : ShiftLooks
    slot : (N,) int
        Looks per slot.
    ends : (P,) int
        Numbers of looks.
    past : sequence of PodSums or None
        One for each release, from which slots go on; returned too.

    Returns
    -------
    PodNoise
        (N, P), of the slots closed by each of these looks; nothing is known of how pods differ.
    """
    found = []
    before: Sequence[PodSums | None] = past or [None] * len(slot)
    for row, (size, known) in enumerate(zip(slot.tolist(), before, strict=True)):
        here = slice(0 if known is None else first_needed(known.slots) * size, None)
        used = looks.used[row, here]
        means = [
            _mean(np.where(used, side.latency[row, here], 0.0), np.where(used, side.requests[row, here], 0.0), size)
            for side in (looks.canary, looks.baseline)
        ]
        found.append(later_noise((means[0] - means[1])[None, None, :], ends // size, known, running=True))
    noise, sums = zip(*found, strict=True)
    pods = _joined(noise, np.arange(len(slot)))
    return replace(pods, between=np.zeros_like(pods.between)), sums
