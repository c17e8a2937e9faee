"""
Noise of latencies: learned from stable history, or from the stable replicas while a release runs.

A look is judged with what lies strictly before it (edges and their noise) or with stable pods alone (scores), so
nothing of the canary enters, except where a single stable pod leaves only the difference of the two to learn from.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis.compare.latency_sums import Origin, Sums, counted, sums_of
from analysis.compare.podnoise import PodNoise, spread_of_pods
from analysis.compare.score_noise import (
    FEWEST_DOF,
    FEWEST_SLOTS,
    PodsSoFar,
    ScoreNoise,
    lasting,
    looks_per_slot,
    noise_of_run,
    score_noise,
)
from analysis.compare.scores import ShiftLooks, Side, complete, summed_up
from analysis.compare.tails import FEWEST_REQUESTS, TailNoise, exceeding, tail_noise
from analysis.grid import Floats
from analysis.noise import FEWEST_LOOKS
from analysis.resumed import Resumed
from analysis.types import BoolArray

Rows = NDArray[np.int64]
_T = TypeVar("_T")
SCORE_FIELDS: Final = ("long_run", "dof", "pod_rate", "spread", "spread_dof", "bets")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatencyNoise:
    """
    What N stable sides showed over some looks.

    Parameters
    ----------
    score : ScoreNoise
        (N, 1).
    tail : TailNoise
        (N, J).
    looks : (N,) int
        Looks in which stable had traffic.
    requests_per_second : (N,) float64
    """

    score: ScoreNoise
    tail: TailNoise
    looks: Rows
    requests_per_second: Floats

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """All its figures, which tell it from others."""
        parts = (self.score.pods, self.score, self.tail, self)
        found = (getattr(part, each.name) for part in parts for each in fields(part))
        return [value for value in found if isinstance(value, np.ndarray)]

    @property
    def score_known(self) -> BoolArray:
        """(N,) whether the scores of two pods or more wandered for long enough to bet on them."""
        pods = self.score.pods
        enough = (pods.dof[:, -1] >= FEWEST_DOF) & (pods.samples[:, -1] >= FEWEST_SLOTS)
        return np.asarray((pods.pods[:, -1] >= 2) & enough)

    @property
    def tail_known(self) -> BoolArray:
        """(N,) whether edges can be chosen from it."""
        return np.asarray((self.looks >= FEWEST_LOOKS) & (self.tail.requests >= FEWEST_REQUESTS))

    @property
    def spread(self) -> Floats:
        """(N, 1) variance between pods of their mean ln latency."""
        return spread_of_pods(self.score.pods, None)[0]


def rows_of(noise: _T, rows: Rows | slice) -> _T:
    """Return the releases of ``rows`` of a dataclass of arrays with a leading axis N."""
    parts: dict[str, Any] = {}
    for field in fields(noise):  # type: ignore[arg-type]
        value = getattr(noise, field.name)
        parts[field.name] = rows_of(value, rows) if is_dataclass(value) else value[rows]
    return replace(noise, **parts)  # type: ignore[type-var]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stable:
    """
    The stable side of N runs, with the few looks before them that were too short to learn from.

    Parameters
    ----------
    counts : (N, R, K, B) float64
        NaN is missing.
    earlier : (N, R, E, B) float64
        Looks before the run, as long as its first.
    left_out : (N, K) bool
        Looks of the run in which nothing counts.
    sums : Sums
        The run summed up.
    side : Side
        (N, R, E + K) scores.
    edges : (J,) float64
    seconds : (E + K,) float64
    visible : bool
    """

    counts: Floats
    earlier: Floats
    left_out: BoolArray
    sums: Sums
    side: Side
    edges: Floats
    seconds: Floats
    visible: bool

    @property
    def early(self) -> int:
        """E, looks before the run."""
        return int(self.earlier.shape[2])

    def learned(self, rows: Rows, upto: int) -> LatencyNoise:
        """Return the noise of some releases in the looks before look ``upto`` of the run, those before it included."""
        last = self.early + upto
        run = counted(self.counts[rows, :, :upto], self.left_out[rows, :upto])
        above = exceeding(np.concatenate([complete(self.earlier[rows]), run], axis=2) if self.early else run)
        side = rows_of(self.side.between(0, last), rows)
        return _learn(side, above, self.edges, self.seconds[:last], self.visible)


def stable_of(
    counts: Floats,
    edges: Floats,
    seconds: Floats,
    visible: bool,
    earlier: Floats | None = None,
    left_out: BoolArray | None = None,
    sums: Sums | None = None,
) -> Stable:
    """
    Return the stable side of N runs.

    Parameters
    ----------
    counts : (N, R, K, B) float64
        NaN is missing.
    edges : (B-1,) float64
    seconds : (K,) float64
    visible : bool
    earlier : (N, R, E, B) float64, optional
        Looks before the run, as long as its first.
    left_out : (N, K) bool, optional
        Looks of the run in which nothing counts.
    sums : Sums, optional
        The run summed up, if it is already.
    """
    releases, replicas, count, buckets = counts.shape
    before = np.zeros((releases, replicas, 0, buckets)) if earlier is None else earlier
    skipped = np.zeros((releases, count), dtype=bool) if left_out is None else left_out
    sums = sums or sums_of(counts, edges, skipped)
    side, early = sums.side, before.shape[2]
    if early:
        side = side.after(sums_of(before, edges, np.zeros((releases, early), dtype=bool)).side)
    return Stable(
        counts=counts,
        earlier=before,
        left_out=skipped,
        sums=sums,
        side=side,
        edges=edges,
        seconds=np.concatenate([np.full(early, seconds[0]), seconds]) if early else seconds,
        visible=visible,
    )


def learn(counts: Floats, edges: Floats, seconds: Floats, visible: bool) -> LatencyNoise:
    """
    Return the noise of N stable sides before their releases.

    Parameters
    ----------
    counts : (N, R, T, B) float64
        Requests per stable replica, look and bucket, not cumulative; NaN is missing.
    edges : (B-1,) float64
        Upper bounds without +Inf, > 0, rising; seconds.
    seconds : (T,) float64
        Length of each look.
    visible : bool
        Whether rows are replicas; if not there is one.
    """
    stable = stable_of(counts, edges, seconds, visible)
    return stable.learned(np.arange(len(counts)), counts.shape[2])


def _learn(side: Side, above: Floats, edges: Floats, seconds: Floats, visible: bool) -> LatencyNoise:
    served = side.requests > 0
    lasted = np.where(served, seconds, 0.0).sum(axis=1)
    return LatencyNoise(
        score=score_noise(side, seconds, looks_per_slot(side.total)),
        tail=tail_noise(above, side.total, edges, visible),
        looks=served.sum(axis=1),
        requests_per_second=side.requests.sum(axis=1) / np.where(lasted > 0, lasted, 1.0),
    )


def scores_over_run(
    looks: ShiftLooks, stable: Stable, slot: Rows, before: LatencyNoise | None, origin: Origin
) -> tuple[ShiftLooks, BoolArray]:
    """
    Return the looks of the score with the noise in use at each.

    Parameters
    ----------
    looks : ShiftLooks
        Without noise yet.
    stable : Stable
    slot : (N,) int
        Looks of a slot, from `analysis.compare.score_noise.slots_of`.
    before : LatencyNoise or None
        Of history.
    origin : Origin
        Where all of them come from.

    Returns
    -------
    looks : ShiftLooks
        From history where it tells enough, else from the stable pods up to each look, else (one pod, or hidden ones)
        from the difference of the two sides; no bets before ten slots and seven degrees of freedom.
    from_run : (N,) bool
    """
    shape = looks.used.shape
    known = before.score_known if before is not None else np.zeros(shape[0], dtype=bool)
    if before is None or not known.any():
        return _scores_of_run(looks, stable, slot, origin), ~known
    spread, spread_dof = spread_of_pods(before.score.pods, None)
    learned = (before.score.long_run, before.score.pods.dof, before.score.pod_rate, spread, spread_dof, known[:, None])
    found: dict[str, Any] = {
        name: np.broadcast_to(value, shape) for name, value in zip(SCORE_FIELDS, learned, strict=True)
    }
    if not known.all():
        running = _scores_of_run(looks, stable, slot, origin)
        found = {name: np.where(known[:, None], value, getattr(running, name)) for name, value in found.items()}
    return replace(looks, **found), ~known


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Running:
    """Where the noise of N runs stands: what pods showed, and sums (3, N) over the looks of stable and of the run."""

    pods: PodsSoFar
    stable: Floats
    run: Floats


def _scores_of_run(looks: ShiftLooks, stable: Stable, slot: Rows, origin: Origin) -> ShiftLooks:
    """Return the looks with what the run itself tells of the noise."""
    count = looks.used.shape[1]

    def more(first: int, known: _Running | None) -> tuple[Floats, _Running]:
        new, since = looks.between(first, count), stable.early + first if known else 0
        side, seconds = stable.side.between(since, stable.early + count), stable.seconds[since:]
        of_stable = np.empty((3, *side.requests.shape))
        of_stable[0], of_stable[1], of_stable[2] = side.requests, lasting(side, seconds), seconds
        of_stable = summed_up(of_stable, known.stable if known else None)
        of_run = np.zeros((3, *new.used.shape))
        of_run[0], of_run[1] = new.seconds, new.canary.shares + new.baseline.shares
        of_run[2] = 1.0
        of_run = summed_up(np.where(new.used, of_run, 0.0), known.run if known else None)
        noise, alone, pods = noise_of_run(looks, stable.side, slot, first, known.pods if known else None)
        series = _in_use(noise, alone, of_stable[..., -(count - first) :], of_run, slot, stable.early + first, looks)
        return np.concatenate(series), _Running(pods=pods, stable=of_stable[..., -1], run=of_run[..., -1])

    packed, _ = RUNS.run(origin.frame, origin.trail, more)
    found = dict(zip(SCORE_FIELDS, packed.reshape(-1, *looks.used.shape), strict=True))
    return replace(looks, **{**found, "bets": found["bets"] > 0})


RUNS: Final[Resumed[_Running]] = Resumed(shared=True)
"""What earlier calls knew of the noise at each look."""


def _in_use(
    pods: PodNoise, alone: BoolArray, of_stable: Floats, of_run: Floats, slot: Rows, before: int, looks: ShiftLooks
) -> list[Floats]:
    """
    Return what is used of the noise of some looks, (N, k) each, in the order of `SCORE_FIELDS`.

    ``of_stable``, ``of_run`` are the sums of `_Running` at each of them, ``before`` is the number of looks before them.
    """
    requests, lasted, length = of_stable
    elapsed, shares, used = of_run
    long_run = pods.long_run
    if alone.any():
        long_run = np.where(alone, long_run / _pods_worth(shares, used, looks.visible), long_run)
    mean_look = length / np.arange(before + 1, before + 1 + length.shape[1])
    long_run = long_run * (slot[:, None] * mean_look)
    of_mean = long_run / np.where(elapsed > 0, elapsed, looks.seconds[-elapsed.shape[1] :])
    spread, spread_dof = spread_of_pods(pods, np.where(alone, 0.0, of_mean))
    rate = np.where(alone, 0.0, requests / np.maximum(lasted, 1e-9))
    return [long_run, pods.dof, rate, spread, spread_dof, (pods.dof >= FEWEST_DOF) & (pods.samples >= FEWEST_SLOTS)]


def _pods_worth(shares: Floats, used: Floats, visible: bool) -> Floats:
    """Return, (N, k), how many pods' worth of noise the difference of the sides holds, from sums over the run."""
    if not visible:
        return np.full(used.shape, 2.0)
    mean = shares / np.maximum(used, 1)
    return np.where(mean > 0, mean, 1.0)
