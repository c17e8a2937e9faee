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

from analysis.compare.latency_sums import Sums, counted, sums_of
from analysis.compare.podnoise import PodNoise, spread_of_pods
from analysis.compare.scores import (
    FEWEST_DOF,
    FEWEST_SLOTS,
    ScoreNoise,
    ShiftLooks,
    Side,
    lone_noise,
    looks_per_slot,
    score_noise,
)
from analysis.compare.tails import FEWEST_REQUESTS, TAIL_WEIGHT, TailNoise, exceeding, tail_noise
from analysis.grid import Floats
from analysis.noise import DISAGREEMENT, FEWEST_LOOKS
from analysis.types import BoolArray

Rows = NDArray[np.int64]
_T = TypeVar("_T")
SCORE_FIELDS: Final = ("long_run", "dof", "pod_rate", "spread", "spread_dof")


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


def rows_of(noise: _T, rows: Rows) -> _T:
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
    counts : (N, R, E + K, B) float64
        NaN is missing.
    left_out : (N, E + K) bool
    sums : Sums
        The same summed up.
    edges : (J,) float64
    seconds : (E + K,) float64
    early : int
        E, looks before the run.
    visible : bool
    """

    counts: Floats
    left_out: BoolArray
    sums: Sums
    edges: Floats
    seconds: Floats
    early: int
    visible: bool

    @property
    def side(self) -> Side:
        """(N, R, E + K) scores."""
        return self.sums.side

    def learned(self, rows: Rows, upto: int) -> LatencyNoise:
        """Return the noise of some releases in the looks before look ``upto`` of the run, those before it included."""
        last = self.early + upto
        if len(self.counts) > 1:
            return self._learned(rows, last)
        learned = self.sums.learned
        mark = f"{last} {self.visible} {self.seconds[:last].tobytes().hex()}"
        if mark not in learned:
            learned[mark] = last, self._learned(rows, last)
        found: LatencyNoise = learned[mark][1]
        return found

    def _learned(self, rows: Rows, last: int) -> LatencyNoise:
        above = exceeding(counted(self.counts[rows, :, :last], self.left_out[rows, :last]))
        side = rows_of(self.side.between(0, last), rows)
        return _learn(side, above, self.edges, self.seconds[:last], self.visible)


def stable_of(
    counts: Floats,
    edges: Floats,
    seconds: Floats,
    visible: bool,
    earlier: Floats | None = None,
    left_out: BoolArray | None = None,
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
    """
    early = 0 if earlier is None else earlier.shape[2]
    whole = counts if earlier is None else np.concatenate([earlier, counts], axis=2)
    skipped = np.zeros((len(whole), whole.shape[2]), dtype=bool)
    if left_out is not None:
        skipped[:, early:] = left_out
    return Stable(
        counts=whole,
        left_out=skipped,
        sums=sums_of(whole, edges, skipped),
        edges=edges,
        seconds=np.concatenate([np.full(early, seconds[0]), seconds]),
        early=early,
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
    served = side.total.sum(axis=1) > 0
    lasted = np.where(served, seconds, 0.0).sum(axis=1)
    return LatencyNoise(
        score=score_noise(side, seconds, looks_per_slot(side.total), running=False),
        tail=tail_noise(above, side.total, edges, visible),
        looks=served.sum(axis=1),
        requests_per_second=side.total.sum(axis=(1, 2)) / np.where(lasted > 0, lasted, 1.0),
    )


def scores_over_run(looks: ShiftLooks, stable: Stable, before: LatencyNoise | None) -> tuple[ShiftLooks, BoolArray]:
    """
    Return the looks of the score with the noise in use at each.

    Parameters
    ----------
    looks : ShiftLooks
        Without noise yet.
    stable : Stable
    before : LatencyNoise or None
        Of history.

    Returns
    -------
    looks : ShiftLooks
        From history where it tells enough, else from the stable pods up to each look, else (one pod, or hidden ones)
        from the difference of the two sides; no bets before ten slots and seven degrees of freedom.
    from_run : (N,) bool
    """
    shape = looks.used.shape
    known = before.score_known if before is not None else np.zeros(shape[0], dtype=bool)
    values = {name: np.ones(shape) for name in SCORE_FIELDS}
    bets = np.zeros(shape, dtype=bool)
    if before is not None and known.any():
        spread, spread_dof = spread_of_pods(before.score.pods, None)
        found = (before.score.long_run, before.score.pods.dof, before.score.pod_rate, spread, spread_dof)
        for name, value in zip(SCORE_FIELDS, found, strict=True):
            values[name][known] = value[known]
        bets[known] = True
    if not known.all():
        running, bets_running = _scores_of_run(looks, stable)
        for name in SCORE_FIELDS:
            values[name][~known] = running[name][~known]
        bets[~known] = bets_running[~known]
    return replace(
        looks, bets=bets, long_run=values["long_run"], dof=values["dof"], pod_rate=values["pod_rate"],
        spread=values["spread"], spread_dof=values["spread_dof"],
    ), ~known  # fmt: skip


def _scores_of_run(looks: ShiftLooks, stable: Stable) -> tuple[dict[str, Floats], BoolArray]:
    side = stable.side
    pods_seen = (np.cumsum(side.total, axis=2) > 0).sum(axis=1)[:, stable.early :]
    lone = (pods_seen < 2) | (not looks.visible)
    served = np.cumsum(side.total.sum(axis=1) > 0, axis=1)
    enough = served[:, -1] >= FEWEST_SLOTS
    opening = np.where(enough, (served >= FEWEST_SLOTS).argmax(axis=1) + 1, served.shape[1])
    slot = np.concatenate([looks_per_slot(side.total[i : i + 1, :, :end]) for i, end in enumerate(opening)])
    found = score_noise(side, stable.seconds, slot, running=True)
    pods = _mapped(lambda v: v[:, stable.early :], found.pods)
    if lone.any():
        single = lone_noise(looks, slot)
        pods = _mapped(lambda v, w: np.where(lone, v, w), single, pods)
    long_run = pods.long_run * found.slot_seconds[:, stable.early :]
    elapsed = np.cumsum(np.where(looks.used, looks.seconds, 0.0), axis=1)
    of_mean = long_run / np.where(elapsed > 0, elapsed, looks.seconds)
    spread, spread_dof = spread_of_pods(pods, np.where(lone, 0.0, of_mean))
    rate = np.where(lone, 0.0, found.pod_rate[:, stable.early :])
    bets = (pods.dof >= FEWEST_DOF) & (pods.samples >= FEWEST_SLOTS)
    found_values = (long_run, pods.dof, rate, spread, spread_dof)
    return dict(zip(SCORE_FIELDS, found_values, strict=True)), bets


def _mapped(change: Any, *noises: PodNoise) -> PodNoise:
    return PodNoise(**{f.name: change(*(getattr(n, f.name) for n in noises)) for f in fields(PodNoise)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TailsOverRun:
    """
    The edges of N releases and the noise in use at every look.

    Parameters
    ----------
    requests : (N,) float64
        Stable requests that the edges were chosen from; 0 where they never were.
    exceedance, slope : (N, J) float64
        Of that moment.
    phi, variance : (N, K, J) float64
        Dispersion; variance between pods of ln exceedance.
    dof : (N, K) float64
    bets : (N, K) bool
        False before the edges were chosen.
    overruled : (N,) bool
        Whether the run's own dispersion replaced that of history.
    """

    requests: Floats
    exceedance: Floats
    slope: Floats
    phi: Floats
    variance: Floats
    dof: Floats
    bets: BoolArray
    overruled: BoolArray

    def adopt(self, rows: Rows, look: int, noise: LatencyNoise) -> None:
        """Use ``noise`` for ``rows`` from ``look`` on; edges and slopes stay as they were first chosen."""
        fresh = self.requests[rows] == 0
        for name in ("requests", "exceedance", "slope"):
            getattr(self, name)[rows[fresh]] = getattr(noise.tail, name)[fresh]
        self.phi[rows, look:] = noise.tail.phi[:, None]
        steep = self.slope[rows] ** 2 * noise.spread
        self.variance[rows, look:] = np.maximum(steep, noise.tail.between)[:, None]
        self.dof[rows, look:] = TAIL_WEIGHT + np.maximum(noise.tail.pods[:, None] - 1, 0)
        self.bets[rows, look:] = True


def tails_over_run(stable: Stable, looks: int, before: LatencyNoise | None) -> TailsOverRun:
    """
    Return what is known of every edge at every look.

    Parameters
    ----------
    stable : Stable
    looks : int
        K.
    before : LatencyNoise or None
        Of history.

    Notes
    -----
    Without history nothing is bet in the first 8 looks, nor before 300 stable requests; the noise is learned again at
    looks 8, 16, 32, ... With history a run more than twice as dispersed replaces its dispersion at those looks.
    """
    N, J, K = len(stable.side.square), len(stable.edges), looks
    known = before.tail_known if before is not None else np.zeros(N, dtype=bool)
    tails = TailsOverRun(
        requests=np.zeros(N), exceedance=np.zeros((N, J)), slope=np.ones((N, J)),
        phi=np.ones((N, K, J)), variance=np.ones((N, K, J)), dof=np.full((N, K), TAIL_WEIGHT),
        bets=np.zeros((N, K), dtype=bool), overruled=np.zeros(N, dtype=bool),
    )  # fmt: skip
    if before is not None and known.any():
        rows = np.flatnonzero(known)
        tails.adopt(rows, 0, rows_of(before, rows))
    served = stable.side.total.sum(axis=1) > 0
    seen = np.zeros((N, K), dtype=np.int64)
    seen[:, 1:] = np.cumsum(served[:, stable.early : -1], axis=1)
    seen += np.where(known, 0, served[:, : stable.early].sum(axis=1))[:, None]
    due = _due(seen, ~known)
    for k in np.flatnonzero(due.any(axis=0)):
        rows = np.flatnonzero(due[:, k])
        fresh = stable.learned(rows, int(k))
        old = known[rows]
        _overrule(tails, rows[old], int(k), fresh.tail.phi[old])
        ready = ~old & fresh.tail_known
        tails.adopt(rows[ready], int(k), rows_of(fresh, np.flatnonzero(ready)))
    return tails


def _overrule(tails: TailsOverRun, rows: Rows, look: int, phi: Floats) -> None:
    larger = phi > DISAGREEMENT * tails.phi[rows, look]
    tails.phi[rows, look:] = np.where(larger, phi, tails.phi[rows, look])[:, None]
    tails.overruled[rows] |= larger.any(axis=1)


def _due(seen: Rows, opening: BoolArray) -> BoolArray:
    """Return where the looks before reach 8, 16, 32, ...; for ``opening`` also the first look, if they are past 8."""
    power = (seen >= FEWEST_LOOKS) & (seen % FEWEST_LOOKS == 0)
    size = seen // FEWEST_LOOKS
    power &= (size & (size - 1)) == 0
    power[:, 1:] &= seen[:, 1:] != seen[:, :-1]
    power[:, 0] = opening & (seen[:, 0] >= FEWEST_LOOKS)
    return np.asarray(power)
