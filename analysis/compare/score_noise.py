"""
Noise of the scores (`scores.py`): how far stable pods wander and lie apart, by slots that hold enough requests.

With one stable pod, or hidden ones, only the difference of the two sides is left to learn from.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.compare.podnoise import PodNoise, deviations, pod_noise
from analysis.compare.scores import ShiftLooks, Side
from analysis.grid import Floats

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


def looks_per_slot(total: Floats) -> NDArray[np.int64]:
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


def slots_of(side: Side) -> NDArray[np.int64]:
    """Return `looks_per_slot` of N runs, (N,), by the first ten looks in which stable served, of side (N, R, K)."""
    served = np.cumsum(side.requests > 0, axis=1)
    enough = served[:, -1] >= FEWEST_SLOTS
    opening = np.where(enough, (served >= FEWEST_SLOTS).argmax(axis=1) + 1, served.shape[1])
    return np.concatenate([looks_per_slot(side.total[i : i + 1, :, :end]) for i, end in enumerate(opening)])


def score_noise(side: Side, seconds: Floats, slot: NDArray[np.int64], *, running: bool) -> ScoreNoise:
    """
    Return the noise that stable pods show among themselves.

    Parameters
    ----------
    side : Side
        Stable, (N, R, T).
    seconds : (T,) float64
        Length of each look.
    slot : (N,) int
        From `looks_per_slot`.
    running : bool
        True: figures at each look, of what was closed by then; False: of the whole of history.
    """
    count = side.total.shape[2]
    ends = np.arange(1, count + 1) if running else np.array([count])
    parts: list[PodNoise] = []
    order: list[NDArray[np.int64]] = []
    for size in np.unique(slot):
        rows = np.flatnonzero(slot == size)
        scores = _pooled(side.plain[rows], int(size)), _pooled(side.total[rows], int(size))
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(scores[1] > 0, scores[0] / scores[1], np.nan)
        away = deviations(values, np.ones((len(rows), 1, 1)))
        parts.append(pod_noise(away, ends // size, running=running or bool(count // size < SETTLED_SLOTS)))
        order.append(rows)
    back = np.argsort(np.concatenate(order))
    pods = PodNoise(**{f.name: np.concatenate([getattr(p, f.name) for p in parts])[back] for f in fields(PodNoise)})
    mean_look = np.cumsum(seconds) / np.arange(1, count + 1)
    rate = _pod_rate(side, seconds)
    return ScoreNoise(
        pods=pods,
        slot_seconds=slot[:, None] * (mean_look if running else mean_look[-1:]),
        pod_rate=rate if running else rate[:, -1:],
    )


def _pooled(values: Floats, size: int) -> Floats:
    """Return sums over so many looks each; what is left at the end is no slot yet."""
    if size == 1:
        return values
    whole = values.shape[-1] // size
    return np.asarray(values[..., : whole * size].reshape(*values.shape[:-1], whole, size).sum(axis=-1))


def _pod_rate(side: Side, seconds: Floats) -> Floats:
    """Return, (N, T), requests per second of a typical pod in the looks so far."""
    pods = 1 / np.maximum(side.shares, 1e-9)
    lasted = np.cumsum(np.where(side.requests > 0, pods * seconds, 0.0), axis=1)
    return np.asarray(np.cumsum(side.requests, axis=1) / np.maximum(lasted, 1e-9))


def lone_noise(looks: ShiftLooks, slot: NDArray[np.int64]) -> PodNoise:
    """
    Return the noise from the difference of the sides itself: a lone stable pod, or pods that cannot be seen.

    Parameters
    ----------
    looks : ShiftLooks
    slot : (N,) int
        Looks per slot.

    Returns
    -------
    PodNoise
        (N, K), of the slots closed by each look; nothing is known of how pods differ. Divided by
        the number of pods' worth of noise in the difference.
    """
    count = looks.used.shape[1]
    ends = np.arange(1, count + 1)
    found: list[PodNoise] = []
    for row, size in enumerate(slot):
        used = looks.used[row]
        means = []
        for side in (looks.canary, looks.baseline):
            plain = _pooled(np.where(used, side.latency[row], 0.0), int(size))
            total = _pooled(np.where(used, side.requests[row], 0.0), int(size))
            with np.errstate(divide="ignore", invalid="ignore"):
                means.append(np.where(total > 0, plain / total, np.nan))
        found.append(pod_noise((means[0] - means[1])[None, None, :], ends // int(size), running=True))
    pods = PodNoise(**{f.name: np.concatenate([getattr(p, f.name) for p in found]) for f in fields(PodNoise)})
    shares = looks.canary.shares + looks.baseline.shares
    steps = np.maximum(np.cumsum(looks.used, axis=1), 1)
    mean_share = np.cumsum(np.where(looks.used, shares, 0.0), axis=1) / steps
    worth = np.where(mean_share > 0, mean_share, 1.0) if looks.visible else 2.0
    return replace(pods, long_run=pods.long_run / worth, between=np.zeros_like(pods.between))
