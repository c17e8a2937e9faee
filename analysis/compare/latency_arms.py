"""
From histograms per replica to looks that can be judged, for N releases at once.

As for counts, everything decided here is decided by requests, by flags, by history, or by stable looks that lie before
the one that is judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from analysis.compare.arms import History, Prepared
from analysis.compare.latency_edges import WeighedEdges
from analysis.compare.latency_noise import LatencyNoise, Stable, scores_over_run, stable_of
from analysis.compare.latency_sums import Origin, Sums, sums_of_both
from analysis.compare.latency_tails import TailsOverRun, tails_over_run
from analysis.compare.score_noise import slots_of
from analysis.compare.scores import ShiftLooks, Side
from analysis.compare.tails import UNIT, held
from analysis.evidence import Integers, Looks
from analysis.exposure import seen_and_settled
from analysis.grid import Floats
from analysis.resumed import LARGEST_BATCH
from analysis.stakes import start_masses
from analysis.types import BoolArray
from analysis.watched import Watched

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatencyArms:
    """
    Histograms of N releases per side, replica and look; NaN is missing.

    Parameters
    ----------
    canary : (N, R_c, K, B) float64
        Requests per bucket, not cumulative; the last bucket is +Inf.
    baseline : (N, R_s, K, B) float64
    edges : (B-1,) float64
        Upper bounds without +Inf, > 0, rising; seconds.
    left_out : (N, K) bool
    seconds : (K,) float64
    slo : (S,) int
        Indices of the edges of an objective.
    visible : bool
    noise : LatencyNoise or None
        Of history. That of all releases of a batch tells enough for the tails, or that of none.
    earlier : (N, R_s, H, B) float64 or None
        The looks of history themselves, where they tell too little; rows as those of the baseline.
    """

    canary: Floats
    baseline: Floats
    edges: Floats
    left_out: BoolArray
    seconds: Floats
    slo: Rows
    visible: bool = True
    noise: LatencyNoise | None = None
    earlier: Floats | None = None

    @property
    def origin(self) -> Origin:
        """What tells these releases from others; of a large batch, of which nothing is remembered, nothing."""
        sides = [side.swapaxes(1, 2) for side in (self.canary, self.baseline)]
        trail = Watched([*sides, np.where(self.left_out, -1.0, 1.0) * self.seconds])
        if len(self.left_out) > LARGEST_BATCH:
            return Origin(trail=trail, frame=b"")
        frame = sha256(repr((self.visible, self.slo.tolist(), self.edges.tolist())).encode())
        for array in ([] if self.noise is None else self.noise.arrays) + (
            [] if self.earlier is None else [self.earlier]
        ):
            frame.update(repr(array.shape).encode() + array.tobytes())
        return Origin(trail=trail, frame=frame.digest())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """
    The edges at which a promotion of N releases is asked.

    Parameters
    ----------
    rows : Prepared
        One row per release and edge.
    release : (G,) int
    slo : (G,) bool
        Whether it is an objective's.
    slope : (G,) float64
    weights : (G, 1) float64
        Log weight of each edge in the mean of its release.
    """

    rows: Prepared
    release: Rows
    slo: BoolArray
    slope: Floats
    weights: Floats

    def without(self, left_out: BoolArray) -> Asked:
        """Return the same looks, those of ``left_out`` (K,) skipped."""
        return replace(self, rows=replace(self.rows, looks=self.rows.looks.without(left_out)))


def asked_of(rows: Prepared, edges: WeighedEdges) -> Asked:
    """Return those of the rows at which a promotion is asked."""
    at = edges.asked
    return Asked(
        rows=rows.chosen(at), release=edges.release[at], slo=edges.slo[at], slope=edges.slope[at],
        weights=edges.asked_weights,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedLatency:
    """
    Looks of N releases, ready for every test of a latency question.

    Parameters
    ----------
    shift : ShiftLooks
    rows : Prepared
        One row per release and weighed edge, requests above the edge as bad events.
    edges : WeighedEdges
        What a row is.
    asked : Asked
        Rows at which a promotion is asked, on their own.
    steps, used, empty : (N, K) bool
        The weight had changed; both sides had requests; a side had none though the look was not left out.
    first : (N,) int
        First look in which both sides had requests, K if none.
    canary_total, stable_total : (N, K) float64
    score_from_run, tail_from_run : (N,) bool
        Whether the noise was learned while the release ran.
    overruled : (N,) bool
        The run's dispersion replaced that of history.
    provable : (N, K) bool
        Looks at which a promotion may be proved: the edges are chosen, and the histogram is not too short.
    largest_bucket : (N,) float64
        Largest share of stable's requests in one bucket that has an upper edge; 0 without requests.
    origin : Origin
        What all this was made from.
    """

    shift: ShiftLooks
    rows: Prepared
    edges: WeighedEdges
    asked: Asked
    steps: BoolArray
    used: BoolArray
    empty: BoolArray
    first: Integers
    canary_total: Floats
    stable_total: Floats
    score_from_run: BoolArray
    tail_from_run: BoolArray
    overruled: BoolArray
    provable: BoolArray
    largest_bucket: Floats
    origin: Origin

    def without(self, left_out: BoolArray) -> PreparedLatency:
        """Return the same looks, those of ``left_out`` (K,) skipped, their start mass spent."""
        return replace(
            self,
            shift=self.shift.without(left_out),
            rows=replace(self.rows, looks=self.rows.looks.without(left_out)),
            asked=self.asked.without(left_out),
            used=self.used & ~left_out,
            origin=self.origin.narrowed(b"without", *(places.tobytes() for places in np.nonzero(left_out))),
        )


def prepare(arms: LatencyArms) -> PreparedLatency:
    """
    Return the looks of N releases with all that is fixed before the latencies of a look are read.

    Returns
    -------
    PreparedLatency
        A look is skipped (it keeps its number) if a side had no request or if it is left out.
    """
    origin = arms.origin
    tried, stable = _summed(arms, origin)
    sides = tried.side, stable.sums.side
    n_c, n_s = (side.requests for side in sides)
    used = (n_c > 0) & (n_s > 0)
    first = np.where(used.any(axis=1), used.argmax(axis=1), used.shape[1])
    slot = slots_of(stable.side)
    origin = origin.narrowed(first.tobytes(), slot.tobytes())  # found later than the looks before, of which both hold
    marks, steps = seen_and_settled(n_c, n_s)
    looks = _without_noise(sides, used, arms)
    shift, score_from_run = scores_over_run(looks, stable, slot, arms.noise, origin)
    tails, edges = tails_over_run(stable, arms.noise, arms.slo, origin)
    factor = held(_pod_factor(tried, stable.sums, used)) if arms.visible else np.ones(used.shape)
    rows = _edge_rows(
        (tried.above, stable.sums.above), (n_c, n_s), used, tails, factor, start_masses(marks, first), edges
    )
    known = arms.noise.tail_known if arms.noise is not None else np.zeros(len(used), dtype=bool)
    origin = origin.narrowed(edges.release.tobytes(), edges.edge.tobytes())
    counted = _as_counts(rows.told_by(origin.of_looks), arms, tails, known, edges, steps, first)
    return PreparedLatency(
        shift=shift,
        rows=counted,
        edges=edges,
        asked=asked_of(counted, edges),
        steps=steps,
        used=used,
        empty=~used & ~arms.left_out,
        first=first,
        canary_total=n_c,
        stable_total=n_s,
        score_from_run=score_from_run,
        tail_from_run=~known,
        overruled=tails.overruled,
        provable=tails.bets & ~edges.short[:, None],
        largest_bucket=_largest_bucket(stable.sums.found),
        origin=origin,
    )


def _summed(arms: LatencyArms, origin: Origin) -> tuple[Sums, Stable]:
    """Return the canary and stable, summed up."""
    sides = {"canary": arms.canary, "baseline": arms.baseline}
    tried, sums = sums_of_both(sides, arms.edges, arms.left_out, origin)
    stable = stable_of(arms.baseline, arms.edges, arms.seconds, arms.visible, arms.earlier, arms.left_out, sums)
    return tried, stable


def _largest_bucket(found: Floats) -> Floats:
    buckets = found[:, -1]
    whole = buckets.sum(axis=1)
    return np.asarray(buckets[:, :-1].max(axis=1) / np.where(whole > 0, whole, 1.0))


def _without_noise(sides: tuple[Side, Side], used: BoolArray, arms: LatencyArms) -> ShiftLooks:
    """Return the looks of the score before anything is known of the noise."""
    unknown = np.ones(used.shape)
    return ShiftLooks(
        canary=sides[0], baseline=sides[1], used=used, seconds=arms.seconds, visible=arms.visible, bets=used,
        long_run=unknown, dof=unknown, pod_rate=unknown, spread=unknown, spread_dof=unknown,
    )  # fmt: skip


def _pod_factor(canary: Sums, stable: Sums, used: BoolArray) -> Floats:
    """Return, (N, K), what `analysis.exposure.pod_factor` does, from requests that are summed up already."""
    look = np.maximum.accumulate(np.where(used, np.arange(used.shape[1]), -1), axis=1)
    look = np.where(look < 0, used.argmax(axis=1)[:, None], look)
    factor = (canary.lasting + stable.lasting)[np.arange(len(look))[:, None], look]
    return np.where(used.any(axis=1, keepdims=True), factor, 2.0)


def _edge_rows(
    above: tuple[Floats, Floats],
    totals: tuple[Floats, Floats],
    used: BoolArray,
    tails: TailsOverRun,
    factor: Floats,
    masses: Floats,
    edges: WeighedEdges,
) -> Looks:
    """Return the looks of every usable edge as its own row: slow requests as bad ones, noise as of that edge."""
    release, edge = edges.release, edges.edge
    alone = len(used) == 1  # its edges share what is known of its pods
    atoms = np.broadcast_to(tails.atoms, (len(edge), *tails.atoms.shape[1:])) if alone else tails.atoms[release]
    return Looks(
        bad_canary=above[0][release, :, edge],
        total_canary=totals[0][release],
        bad_baseline=above[1][release, :, edge],
        total_baseline=totals[1][release],
        used=(used & tails.bets)[release],
        phi=tails.phi[release, :, edge],
        pod_factor=factor[release] * tails.variance[release, :, edge] / UNIT**2,
        pod_weights=atoms,
        start_mass=masses[release],
    )


def _as_counts(
    rows: Looks,
    arms: LatencyArms,
    tails: TailsOverRun,
    known: BoolArray,
    edges: WeighedEdges,
    steps: BoolArray,
    first: Integers,
) -> Prepared:
    """Return every edge as a question of counts: slow requests out of all requests."""
    release, edge = edges.release, edges.edge
    nothing = np.zeros_like(rows.used)
    share = (tails.exceedance[release, edge] * tails.requests[release] + 0.5) / (tails.requests[release] + 1)
    history = History()
    if arms.noise is not None and known.all():
        history = History(traffic=(arms.noise.requests_per_second[release], share))
    return Prepared(
        looks=rows,
        steps=steps[release],
        first=first[release],
        canary_total=rows.total_canary,
        stable_bad=rows.bad_baseline,
        stable_total=rows.total_baseline,
        stable_looks=rows.total_baseline > 0,
        seconds=arms.seconds,
        empty=nothing,
        inconsistent=nothing,
        overruled=nothing,
        history=history,
    )
