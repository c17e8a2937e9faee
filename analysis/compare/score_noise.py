"""
Noise of the scores (`scores.py`): how far stable pods wander and lie apart, by slots that hold enough requests.

With one stable pod, or hidden ones, only the difference of the two sides is left to learn from.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.compare.latency_sums import Origin
from analysis.compare.podnoise import PodNoise, deviations, pod_noise
from analysis.compare.scores import ShiftLooks, Side
from analysis.grid import Floats
from analysis.resumed import Resumed
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
    pods, looks = (total.sum(axis=2) > 0).sum(axis=1), (total.sum(axis=1) > 0).sum(axis=1)
    mean = total.sum(axis=(1, 2)) / np.maximum(pods * looks, 1)
    slot = np.ceil(SLOT_REQUESTS / np.maximum(mean, 1e-9))
    most = max(1, total.shape[2] // FEWEST_SLOTS)
    return np.asarray(np.clip(slot, 1, most), dtype=np.int64)


def slots_of(side: Side) -> Rows:
    """Return `looks_per_slot` of N runs, (N,), by the first ten looks in which stable served, of side (N, R, K)."""
    served = np.cumsum(side.requests > 0, axis=1)
    enough = served[:, -1] >= FEWEST_SLOTS
    opening = np.where(enough, (served >= FEWEST_SLOTS).argmax(axis=1) + 1, served.shape[1])
    return np.concatenate([looks_per_slot(side.total[i : i + 1, :, :end]) for i, end in enumerate(opening)])


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
        pods=_among_pods(side, slot, np.array([len(seconds)]), running=False),
        slot_seconds=slot[:, None] * mean_look(seconds)[-1:],
        pod_rate=pod_rate(side, seconds)[:, -1:],
    )


def _among_pods(side: Side, slot: Rows, ends: Rows, *, running: bool) -> PodNoise:
    """Return the noise, (N, P), that stable pods show among themselves in the first so many looks (P,)."""
    parts: list[PodNoise] = []
    order: list[Rows] = []
    for size in np.unique(slot):
        rows = np.flatnonzero(slot == size)
        values = _mean(side.plain[rows], side.total[rows], int(size))
        away = deviations(values, np.ones((len(rows), 1, 1)))
        parts.append(pod_noise(away, ends // size, running=running or bool(ends[-1] // size < SETTLED_SLOTS)))
        order.append(rows)
    return _joined(parts, np.argsort(np.concatenate(order)))


def _mean(plain: Floats, total: Floats, size: int) -> Floats:
    """Return the mean ln latency in slots of so many looks each; NaN without requests."""
    plain, total = _pooled(plain, size), _pooled(total, size)
    return np.where(total > 0, plain / np.where(total > 0, total, 1.0), np.nan)


def _joined(parts: list[PodNoise], order: Rows) -> PodNoise:
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
    pods = 1 / np.maximum(side.shares, 1e-9)
    lasted = np.cumsum(np.where(side.requests > 0, pods * seconds, 0.0), axis=1)
    return np.asarray(np.cumsum(side.requests, axis=1) / np.maximum(lasted, 1e-9))


def noise_over_run(looks: ShiftLooks, side: Side, slot: Rows, origin: Origin) -> tuple[PodNoise, BoolArray]:
    """
    Return the noise that was known at each look of a run.

    Parameters
    ----------
    looks : ShiftLooks
        The run, K looks.
    side : Side
        Stable, (N, R, E + K): with the looks before it.
    slot : (N,) int
        From `looks_per_slot`.
    origin : Origin
        Of both; slots of another size are another one.

    Returns
    -------
    noise : PodNoise
        (N, K), of the slots closed by each look.
    alone : (N, K) bool
        Where it is that of the difference of the sides: a lone stable pod so far, or pods that cannot be seen. Nothing
        is known then of how pods differ.
    """
    count, early = looks.used.shape[1], side.requests.shape[1] - looks.used.shape[1]
    seen = np.count_nonzero(np.logical_or.accumulate(side.total > 0, axis=2), axis=1)[:, early:]
    alone = (seen < 2) | (not looks.visible)

    def more(first: int, _: None) -> tuple[Floats, None]:
        begin = max(min(first, count - 2), 0)  # never one look: numpy adds the pods of a single column in another order
        ends = np.arange(begin + 1, count + 1)
        noise = _among_pods(side, slot, early + ends, running=True)
        figures = [getattr(noise, name) for name in _FIGURES]
        here = alone[:, begin:]
        if here.any():
            single = _lone_noise(looks, slot, ends)
            figures = [np.where(here, getattr(single, name), own) for name, own in zip(_FIGURES, figures, strict=True)]
        return np.stack(figures, axis=-1)[:, first - begin :], None

    packed, _ = RUNS.run(origin.frame, origin.trail, more)
    return PodNoise(**dict(zip(_FIGURES, packed.transpose(2, 0, 1), strict=True))), alone


RUNS: Final[Resumed[None]] = Resumed(shared=True)
"""What earlier calls knew of the noise at each look."""


def _lone_noise(looks: ShiftLooks, slot: Rows, ends: Rows) -> PodNoise:
    """
    Return the noise from the difference of the sides itself: a lone stable pod, or pods that cannot be seen.

    Parameters
    ----------
    looks : ShiftLooks
    slot : (N,) int
        Looks per slot.
    ends : (P,) int
        Numbers of looks.

    Returns
    -------
    PodNoise
        (N, P), of the slots closed by each of these looks; nothing is known of how pods differ. The long-run
        variance is to be divided by `pods_worth`.
    """
    found: list[PodNoise] = []
    for row, size in enumerate(slot):
        used = looks.used[row]
        means = [
            _mean(np.where(used, side.latency[row], 0.0), np.where(used, side.requests[row], 0.0), int(size))
            for side in (looks.canary, looks.baseline)
        ]
        found.append(pod_noise((means[0] - means[1])[None, None, :], ends // int(size), running=True))
    pods = _joined(found, np.arange(len(slot)))
    return replace(pods, between=np.zeros_like(pods.between))


def pods_worth(looks: ShiftLooks) -> Floats:
    """Return, (N, K), how many pods' worth of noise the difference of the sides holds."""
    if not looks.visible:
        return np.full(looks.used.shape, 2.0)
    shares = np.where(looks.used, looks.canary.shares + looks.baseline.shares, 0.0)
    mean = np.cumsum(shares, axis=1) / np.maximum(np.cumsum(looks.used, axis=1), 1)
    return np.where(mean > 0, mean, 1.0)
