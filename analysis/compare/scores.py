"""
How much slower a typical request is: the mean of ln(latency), pod against pod, for N releases at once.

A pod's score in a look is the mean over its requests of ln(geometric midpoint of the bucket). The difference of the
sides' scores is taken inside each look, so that a daily swing cancels although the canary's share grows. It is
blind to a thin tail by design; ``tails.py`` sees that.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.compare.podnoise import PodNoise, deviations, pod_noise
from analysis.grid import Floats
from analysis.student import log_mixture
from analysis.types import BoolArray

SLOT_REQUESTS: Final = 20.0  # requests of a pod that a score must rest on; quieter services pool their looks
FEWEST_SLOTS: Final = 10
FEWEST_DOF: Final = 7.0
SETTLED_SLOTS: Final = 60
VARIANCE_REQUESTS: Final = 20.0  # what stable's scatter weighs in that of the canary


def midpoints(edges: Floats) -> Floats:
    """
    Return the ln of each bucket's middle.

    Parameters
    ----------
    edges : (B-1,) float64
        Upper bounds without +Inf, > 0, rising; any unit of time.

    Returns
    -------
    (B,) float64
        Geometric midpoints; ``upper/sqrt(2)`` for the first bucket, ``last sqrt(2)`` beyond the last edge.
    """
    logs = np.log(edges)
    half = 0.5 * np.log(2.0)
    return np.concatenate([[logs[0] - half], (logs[:-1] + logs[1:]) / 2, [logs[-1] + half]])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """
    Scores of one side of N releases.

    Parameters
    ----------
    total : (N, R, K) float64
        Requests per replica and look, 0 where a replica was not there.
    plain : (N, R, K) float64
        Sum of ln latency over those requests.
    square : (N, K) float64
        Sum of its square over all replicas.
    """

    total: Floats
    plain: Floats
    square: Floats

    def between(self, first: int, last: int) -> Side:
        """Return looks ``first <= k < last``."""
        return Side(**{f.name: getattr(self, f.name)[..., first:last] for f in fields(self)})


def complete(counts: Floats) -> Floats:
    """Return histograms (..., B) without those that miss a bucket: a missing bucket is not an empty one."""
    known = np.asarray(np.isfinite(counts).all(axis=-1))
    return counts if known.all() else np.where(known[..., None], counts, 0.0)


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
    rate = _pod_rate(side.total, seconds)
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


def _pod_rate(total: Floats, seconds: Floats) -> Floats:
    """Return, (N, T), requests per second of a typical pod in the looks so far."""
    requests = total.sum(axis=1)
    pods = 1 / np.maximum(_squared_shares(total), 1e-9)
    lasted = np.cumsum(np.where(requests > 0, pods * seconds, 0.0), axis=1)
    return np.asarray(np.cumsum(requests, axis=1) / np.maximum(lasted, 1e-9))


def _squared_shares(total: Floats) -> Floats:
    """Return, (N, K), the sum of squared shares of the pods in each look's requests; 1 where there are none."""
    whole = total.sum(axis=1)
    return np.where(whole > 0, (total**2).sum(axis=1) / np.where(whole > 0, whole, 1.0) ** 2, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShiftLooks:
    """
    Both sides of N releases over K looks, and what is known of the noise at each.

    Parameters
    ----------
    canary, baseline : Side
    used : (N, K) bool
        Looks that are judged.
    seconds : (K,) float64
    long_run, dof : (N, K) float64
        Long-run variance of a pod's score in seconds, and its degrees of freedom.
    pod_rate : (N, K) float64
        Requests per second of a pod at which that was learned.
    spread, spread_dof : (N, K) float64
        B, the variance between pods, and its degrees of freedom.
    bets : (N, K) bool
        False before enough is known of the noise.
    visible : bool
    """

    canary: Side
    baseline: Side
    used: BoolArray
    seconds: Floats
    long_run: Floats
    dof: Floats
    pod_rate: Floats
    spread: Floats
    spread_dof: Floats
    bets: BoolArray
    visible: bool

    def between(self, first: int, last: int) -> ShiftLooks:
        """Return looks ``first <= k < last``: a weight step on its own."""
        part = {f.name: getattr(self, f.name)[..., first:last] for f in fields(self) if f.name not in _WHOLE}
        sides = self.canary.between(first, last), self.baseline.between(first, last)
        return replace(self, canary=sides[0], baseline=sides[1], **part)

    def without(self, left_out: BoolArray) -> ShiftLooks:
        """Return the same looks, those of ``left_out`` ((K,) or (N, K)) skipped."""
        return replace(self, used=self.used & ~left_out)


_WHOLE: Final = frozenset({"canary", "baseline", "visible"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shift:
    """
    The shift of ln latency so far, at every look of N releases.

    Parameters
    ----------
    each, weight : (N, K) float64
        Difference and weight of the look itself; weight 0 where it is skipped.
    mean : (N, K) float64
        Weighted mean so far; 0 before the first look that is judged.
    noise, pods : (N, K) float64
        The parts of its variance: what time takes away, and what only more pods do.
    dof : (N, K) float64
        Degrees of freedom of the sum.
    spread_dof : (N, K) float64
        Those of ``pods`` alone.
    bets : (N, K) bool
    """

    each: Floats
    weight: Floats
    mean: Floats
    noise: Floats
    pods: Floats
    dof: Floats
    spread_dof: Floats
    bets: BoolArray

    def slower(self, limit: Floats | float) -> Floats:
        """Return, (N, K), the log evidence for a shift above ``limit`` (ln of a ratio)."""
        return np.where(self.bets, log_mixture(self.mean - limit, self.noise + self.pods, self.dof), 0.0)

    def within(self, limit: Floats | float) -> Floats:
        """Return, (N, K), the log evidence for a shift below ``limit``."""
        return np.where(self.bets, log_mixture(limit - self.mean, self.noise + self.pods, self.dof), 0.0)

    def reachable(self, limit: float) -> Floats:
        """Return, (N,), what an equal canary could earn for "within the limit" with endless requests, at the end."""
        return log_mixture(limit, self.pods[:, -1], self.spread_dof[:, -1])


def shift_of(looks: ShiftLooks) -> Shift:
    """
    Return the shift so far with its variance.

    Parameters
    ----------
    looks : ShiftLooks

    Returns
    -------
    Shift

    Notes
    -----
    A look's difference weighs ``w = n_c n_s/(n_c + n_s)`` requests (Mantel-Haenszel). The variance is that of pods
    that wander, ``long_run * sum w^2 sum_j s_j^2/seconds`` with shares ``s_j`` of the pods in their side, or that of
    drawing requests, whichever is larger, and ``B sum_j s_j^2`` over the whole run. A pod with fewer
    requests than those the noise was learned of wanders more, in proportion.
    """
    canary, baseline = looks.canary, looks.baseline
    n_c, n_s = canary.total.sum(axis=1), baseline.total.sum(axis=1)
    used = looks.used & (n_c > 0) & (n_s > 0)
    safe_c, safe_s = np.where(used, n_c, 1.0), np.where(used, n_s, 1.0)
    weight = np.where(used, safe_c * safe_s / (safe_c + safe_s), 0.0)
    each = np.where(used, canary.plain.sum(axis=1) / safe_c - baseline.plain.sum(axis=1) / safe_s, 0.0)
    whole = np.cumsum(weight, axis=1)
    safe = np.where(whole > 0, whole, 1.0)
    wander = np.zeros_like(weight)
    pods = np.zeros_like(weight)
    for side, total in ((canary, n_c), (baseline, n_s)):
        shares = _squared_shares(side.total)
        served = np.cumsum(np.where(used, total, 0.0), axis=1)
        lasted = np.cumsum(np.where(used, looks.seconds / shares, 0.0), axis=1)
        rate = np.where(lasted > 0, served / np.where(lasted > 0, lasted, 1.0), looks.pod_rate)
        quieter = np.maximum(1.0, looks.pod_rate / np.maximum(rate, 1e-9))
        wander += quieter * np.cumsum(weight**2 * shares / looks.seconds, axis=1)
        own = np.cumsum(weight[:, None] * side.total / np.where(total > 0, total, 1.0)[:, None], axis=2)
        pods += (own**2).sum(axis=1) / safe**2 if looks.visible else 0.5
    noise = np.maximum(looks.long_run * wander / safe**2, _drawing(looks, used, weight) / safe**2)
    pods = looks.spread * pods
    total_variance = noise + pods
    parts = pods**2 / looks.spread_dof + noise**2 / looks.dof
    return Shift(
        each=each,
        weight=weight,
        mean=np.cumsum(weight * each, axis=1) / safe,
        noise=noise,
        pods=pods,
        dof=np.where(parts > 0, total_variance**2 / np.where(parts > 0, parts, 1.0), looks.spread_dof),
        spread_dof=looks.spread_dof,
        bets=looks.bets & (whole > 0),
    )


def _drawing(looks: ShiftLooks, used: BoolArray, weight: Floats) -> Floats:
    """Return, (N, K), the variance of the weighted sum of differences if requests were drawn one by one."""
    scatter, result = None, np.zeros_like(weight)
    for side in (looks.baseline, looks.canary):
        total = side.total.sum(axis=1)
        count, plain, square = (
            np.cumsum(np.where(used, v, 0.0), axis=1) for v in (total, side.plain.sum(axis=1), side.square)
        )
        rest = np.maximum(square - plain**2 / np.maximum(count, 1.0), 0.0)
        if scatter is None:
            scatter = rest / np.maximum(count - 1, 1.0)
            own = scatter
        else:
            own = (rest + VARIANCE_REQUESTS * scatter) / (count + VARIANCE_REQUESTS)
        result += own * np.cumsum(weight**2 / np.where(used, total, 1.0), axis=1)
    return result


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
            plain = _pooled(np.where(used, side.plain[row].sum(axis=0), 0.0), int(size))
            total = _pooled(np.where(used, side.total[row].sum(axis=0), 0.0), int(size))
            with np.errstate(divide="ignore", invalid="ignore"):
                means.append(np.where(total > 0, plain / total, np.nan))
        found.append(pod_noise((means[0] - means[1])[None, None, :], ends // int(size), running=True))
    pods = PodNoise(**{f.name: np.concatenate([getattr(p, f.name) for p in found]) for f in fields(PodNoise)})
    shares = _squared_shares(looks.canary.total) + _squared_shares(looks.baseline.total)
    steps = np.maximum(np.cumsum(looks.used, axis=1), 1)
    mean_share = np.cumsum(np.where(looks.used, shares, 0.0), axis=1) / steps
    worth = np.where(mean_share > 0, mean_share, 1.0) if looks.visible else 2.0
    return replace(pods, long_run=pods.long_run / worth, between=np.zeros_like(pods.between))
