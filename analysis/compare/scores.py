"""
How much slower a typical request is: the mean of ln(latency), pod against pod, for N releases at once.

A pod's score in a look is the mean over its requests of ln(geometric midpoint of the bucket). The difference of the
sides' scores is taken inside each look, so that a daily swing cancels although the canary's share grows. It is
blind to a thin tail by design; ``tails.py`` sees that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from analysis.grid import Floats
from analysis.student import log_mixture
from analysis.types import BoolArray

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
    told : (N, K, 4) float64
        Of all replicas: requests, sums of ln latency and of its square, and the sum of squared shares of the replicas
        in a look's requests, 1 where there are none.
    """

    total: Floats
    plain: Floats
    told: Floats

    @property
    def requests(self) -> Floats:
        """(N, K)."""
        return self.told[..., 0]

    @property
    def latency(self) -> Floats:
        """(N, K) sums of ln latency."""
        return self.told[..., 1]

    @property
    def shares(self) -> Floats:
        """(N, K) sums of squared shares."""
        return self.told[..., 3]

    def between(self, first: int, last: int) -> Side:
        """Return looks ``first <= k < last``."""
        looks = slice(first, last)
        return Side(total=self.total[..., looks], plain=self.plain[..., looks], told=self.told[:, looks])

    def after(self, early: Side) -> Side:
        """Return the looks of ``early`` and, after them, its own."""
        return Side(
            total=np.concatenate([early.total, self.total], axis=-1),
            plain=np.concatenate([early.plain, self.plain], axis=-1),
            told=np.concatenate([early.told, self.told], axis=1),
        )


def complete(counts: Floats) -> Floats:
    """Return histograms (..., B) without those that miss a bucket: a missing bucket is not an empty one."""
    if math.isfinite(np.add.reduce(counts, axis=None)):
        return counts
    return np.where(np.isfinite(counts).all(axis=-1, keepdims=True), counts, 0.0)


def squared_shares(total: Floats) -> Floats:
    """Return the sum of squared shares of the pods, (..., R), in their requests; 1 where there are none."""
    whole = np.add.reduce(total, axis=-1)
    served = whole > 0
    return np.where(served, np.add.reduce(total**2, axis=-1) / np.where(served, whole, 1.0) ** 2, 1.0)


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
        part = {name: getattr(self, name)[..., first:last] for name in _BY_LOOK}
        sides = self.canary.between(first, last), self.baseline.between(first, last)
        return ShiftLooks(canary=sides[0], baseline=sides[1], visible=self.visible, **part)

    def without(self, left_out: BoolArray) -> ShiftLooks:
        """Return the same looks, those of ``left_out`` ((K,) or (N, K)) skipped."""
        return replace(self, used=self.used & ~left_out)


_BY_LOOK: Final = tuple(f.name for f in fields(ShiftLooks) if f.name not in ("canary", "baseline", "visible"))


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

    @property
    def packed(self) -> Floats:
        """(8 N, K) everything that is known of it, one series after the other."""
        return np.concatenate([getattr(self, name) for name in SHIFT])

    @property
    def one_by_one(self) -> list[Shift]:
        """The releases one by one."""
        rows = range(len(self.mean))
        return [Shift(**{name: getattr(self, name)[row : row + 1] for name in SHIFT}) for row in rows]

    def between(self, first: int, last: int) -> Shift:
        """Return looks ``first <= k < last``."""
        return Shift(**{name: getattr(self, name)[:, first:last] for name in SHIFT})

    def slower(self, limit: Floats | float) -> Floats:
        """Return, (N, K), the log evidence for a shift above ``limit`` (ln of a ratio); of (M, N, 1): of each."""
        return np.where(self.bets, log_mixture(self.mean - limit, self.noise + self.pods, self.dof), 0.0)

    def within(self, limit: Floats | float) -> Floats:
        """Return, (N, K), the log evidence for a shift below ``limit``; of several (M, N, 1): of each."""
        return np.where(self.bets, log_mixture(limit - self.mean, self.noise + self.pods, self.dof), 0.0)

    def reachable(self, limit: float) -> Floats:
        """Return, (N,), what an equal canary could earn for "within the limit" with endless requests, at the end."""
        return log_mixture(limit, self.pods[:, -1], self.spread_dof[:, -1])


SHIFT: Final = tuple(each.name for each in fields(Shift))
"""What is known of a shift at each look."""


def shift_in(series: Floats) -> Shift:
    """Return the shift that was packed, from its series (8, N, K)."""
    parts = dict(zip(SHIFT, series, strict=True))
    return Shift(**{**parts, "bets": parts["bets"] > 0})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShiftState:
    """
    Where the shifts of N releases stand.

    Parameters
    ----------
    sums : (14, N) float64
        Of what `_summands` returns, over the looks so far.
    canary, baseline : (N, R) float64
        The weight of each pod's requests so far.
    """

    sums: Floats
    canary: Floats
    baseline: Floats


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
    return shift_from(looks, None)[0]


def shift_from(looks: ShiftLooks, state: ShiftState | None) -> tuple[Shift, ShiftState]:
    """Return `shift_of` for looks that go on from a state, and the state after them."""
    sides = looks.canary, looks.baseline
    told = np.array([side.told for side in sides]).transpose(3, 0, 1, 2)  # (4, 2, N, k)
    requests, latency = told[:2]
    used = looks.used & (requests[0] > 0) & (requests[1] > 0)
    requests = np.where(used, requests, 1.0)
    weight = np.where(used, requests[0] * requests[1] / (requests[0] + requests[1]), 0.0)
    means = latency / requests
    each = np.where(used, means[0] - means[1], 0.0)
    before = (None, None) if state is None else (state.canary, state.baseline)
    of_pods = [
        so_far((weight / whole)[..., None] * side.total.swapaxes(1, 2), known)  # pods lie side by side
        for side, whole, known in zip(sides, requests, before, strict=True)
    ]
    sums = summed_up(_summands(looks.seconds, used, told, weight, each), None if state is None else state.sums)
    whole, moment = sums[:2]
    of_sides = sums[2:].reshape(6, *told.shape[1:])
    safe = np.where(whole > 0, whole, 1.0)
    wander = _wander(of_sides, looks.pod_rate)
    noise = np.maximum(looks.long_run * (wander[0] + wander[1]), _drawing(of_sides)) / safe**2
    uneven = sum(np.add.reduce(own**2, axis=-1) for own in of_pods) / safe**2 if looks.visible else 1.0
    pods = looks.spread * uneven
    parts = pods**2 / looks.spread_dof + noise**2 / looks.dof
    found = Shift(
        each=each,
        weight=weight,
        mean=moment / safe,
        noise=noise,
        pods=pods,
        dof=np.where(parts > 0, (noise + pods) ** 2 / np.where(parts > 0, parts, 1.0), looks.spread_dof),
        spread_dof=looks.spread_dof,
        bets=looks.bets & (whole > 0),
    )
    return found, ShiftState(sums=sums[..., -1], canary=of_pods[0][:, -1], baseline=of_pods[1][:, -1])


def so_far(values: Floats, known: Floats | None) -> Floats:
    """Return sums over the looks of (N, K, ...) up to each, on top of what was ``known`` before the first, (N, ...)."""
    if known is not None:
        values = values.copy()
        values[:, 0] += known
    return np.add.accumulate(values, axis=1)


def summed_up(series: Floats, known: Floats | None) -> Floats:
    """Return sums over the looks of series (..., K), written into them, on top of what was ``known`` before, (...)."""
    if known is not None:
        series[..., 0] += known
    return np.add.accumulate(series, axis=-1, out=series)


def _summands(seconds: Floats, used: BoolArray, told: Floats, weight: Floats, each: Floats) -> Floats:
    """
    Return, (14, N, K), what the shift is summed up of.

    The weight, the difference by weight, and twice each, of the canary and of stable: requests, ln latency, its square,
    seconds of a pod that serves them, and what wandering and drawing add.
    """
    squared, shares = weight**2, told[3]
    found = np.empty((14, *used.shape))
    found[0], found[1] = weight, weight * each
    of_sides = found[2:].reshape(6, 2, *used.shape)
    of_sides[:3] = np.where(used, told[:3], 0.0)
    of_sides[3] = np.where(used, seconds / shares, 0.0)
    of_sides[4] = squared * shares / seconds
    of_sides[5] = squared / np.where(used, told[0], 1.0)
    return found


def _wander(sums: Floats, learned_at: Floats) -> Floats:
    """Return, (2, N, K), how far wandering pods of each side move the weighted sum, by their long-run variance."""
    served, lasted, wandered = sums[0], sums[3], sums[4]
    rate = np.where(lasted > 0, served / np.where(lasted > 0, lasted, 1.0), learned_at)
    return np.asarray(np.maximum(1.0, learned_at / np.maximum(rate, 1e-9)) * wandered)


def _drawing(sums: Floats) -> Floats:
    """Return, (N, K), the variance of the weighted sum of differences if requests were drawn one by one."""
    count, plain, square, _, _, drawn = sums
    rest = np.maximum(square - plain**2 / np.maximum(count, 1.0), 0.0)
    scatter = rest[1] / np.maximum(count[1] - 1, 1.0)
    own = (rest[0] + VARIANCE_REQUESTS * scatter) / (count[0] + VARIANCE_REQUESTS)
    return np.asarray(scatter * drawn[1] + own * drawn[0])
