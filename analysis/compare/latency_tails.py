"""
The edges of a histogram while a release runs: which are weighed, and the noise in use at every look.

Everything is decided by looks that lie strictly before the one that is judged, so that it is remembered: of one look
more only that look is worked out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from analysis.compare.latency_edges import WeighedEdges, weighed_edges
from analysis.compare.latency_noise import LatencyNoise, Rows, Stable, rows_of
from analysis.compare.latency_sums import Origin
from analysis.compare.tails import TAIL_WEIGHT, pod_atoms
from analysis.grid import Floats
from analysis.noise import DISAGREEMENT, FEWEST_LOOKS
from analysis.resumed import Resumed
from analysis.types import BoolArray


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
    atoms : (N, K, 7) float64
        Law of the pods' effect, `analysis.compare.tails.pod_atoms`.
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
    atoms: Floats
    bets: BoolArray
    overruled: BoolArray

    @property
    def packed(self) -> Floats:
        """(N, K, 2J + 8) what holds at each look."""
        return np.concatenate([self.bets[..., None], self.atoms, self.phi, self.variance], axis=-1)

    def at(self, packed: Floats) -> TailsOverRun:
        """Return the same edges with what holds at other looks."""
        edges = self.slope.shape[1]
        return TailsOverRun(
            requests=self.requests, exceedance=self.exceedance, slope=self.slope, overruled=self.overruled,
            bets=packed[..., 0] > 0, atoms=packed[..., 1 : -2 * edges], phi=packed[..., -2 * edges : -edges],
            variance=packed[..., -edges:],
        )  # fmt: skip

    def going_on(self, looks: int) -> TailsOverRun:
        """Return so many looks more at which all stands as at the last one, to be written into."""
        fixed = {name: getattr(self, name).copy() for name in ("requests", "exceedance", "slope", "overruled")}
        return replace(self, **fixed).at(np.repeat(self.packed[:, -1:], looks, axis=1))

    def adopt(self, rows: Rows, look: int, noise: LatencyNoise) -> None:
        """Use ``noise`` for ``rows`` from ``look`` on; edges and slopes stay as they were first chosen."""
        fresh = self.requests[rows] == 0
        for name in ("requests", "exceedance", "slope"):
            getattr(self, name)[rows[fresh]] = getattr(noise.tail, name)[fresh]
        self.phi[rows, look:] = noise.tail.phi[:, None]
        steep = self.slope[rows] ** 2 * noise.spread
        self.variance[rows, look:] = np.maximum(steep, noise.tail.between)[:, None]
        self.atoms[rows, look:] = pod_atoms(TAIL_WEIGHT + np.maximum(noise.tail.pods[:, None] - 1, 0))
        self.bets[rows, look:] = True

    def overrule(self, rows: Rows, look: int, phi: Floats) -> None:
        """Use the dispersion (rows, J) from ``look`` on where it is far larger than the one in use."""
        larger = phi > DISAGREEMENT * self.phi[rows, look]
        self.phi[rows, look:] = np.where(larger, phi, self.phi[rows, look])[:, None]
        self.overruled[rows] |= larger.any(axis=1)


def _unknown(releases: int, edges: int) -> TailsOverRun:
    """Return one look of which nothing is known."""
    return TailsOverRun(
        requests=np.zeros(releases), exceedance=np.zeros((releases, edges)), slope=np.ones((releases, edges)),
        phi=np.ones((releases, 1, edges)), variance=np.ones((releases, 1, edges)),
        atoms=pod_atoms(np.full((releases, 1), TAIL_WEIGHT)), bets=np.zeros((releases, 1), dtype=bool),
        overruled=np.zeros(releases, dtype=bool),
    )  # fmt: skip


def tails_over_run(
    stable: Stable, before: LatencyNoise | None, objective: Rows, origin: Origin
) -> tuple[TailsOverRun, WeighedEdges]:
    """
    Return what is known of every edge at every look, and which edges are weighed.

    Parameters
    ----------
    stable : Stable
    before : LatencyNoise or None
        Of history.
    objective : (S,) int
        Edges of an objective.
    origin : Origin
        Where all of them come from.

    Notes
    -----
    Without history nothing is bet in the first 8 looks, nor before 300 stable requests; the noise is learned again at
    looks 8, 16, 32, ... With history a run more than twice as dispersed replaces its dispersion at those looks.
    """
    releases, count = stable.left_out.shape
    known = before.tail_known if before is not None else np.zeros(releases, dtype=bool)
    served = stable.side.requests > 0

    def more(first: int, state: _Known | None) -> tuple[Floats, _Known]:
        seen = _seen(served, stable.early, known, first, state)
        due = _due(seen, ~known) if state is None else _due(seen, None)
        here = np.flatnonzero(due.any(axis=0)).tolist()
        if state is not None and not here:
            return np.repeat(state.packed, count - first, axis=1), replace(state, seen=seen[:, -1])
        opening = state.tails if state else _unknown(releases, len(stable.edges))
        tails = opening.going_on(count - first)
        if state is None and before is not None and known.any():
            rows = np.flatnonzero(known)
            tails.adopt(rows, 0, rows_of(before, rows))
        for look in here:
            rows = np.flatnonzero(due[:, look])
            fresh, old = stable.learned(rows, first + look), known[rows]
            tails.overrule(rows[old], look, fresh.tail.phi[old])
            ready = ~old & fresh.tail_known
            tails.adopt(rows[ready], look, rows_of(fresh, np.flatnonzero(ready)))
        packed = tails.packed
        last = packed[:, -1:].copy()
        edges = weighed_edges(tails.requests, tails.exceedance, tails.slope, objective)
        return packed, _Known(tails=tails.at(last), packed=last, seen=seen[:, -1], edges=edges)

    packed, last = TAILS.run(origin.frame, origin.trail, more)
    return last.tails.at(packed), last.edges


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Known:
    """What holds at the newest look, also (N, 1, 2J + 8) packed, and (N,) how many looks before it stable served in."""

    tails: TailsOverRun
    packed: Floats
    seen: Rows
    edges: WeighedEdges


def _seen(served: BoolArray, early: int, known: BoolArray, first: int, state: _Known | None) -> Rows:
    """
    Return how many looks before each of looks ``first …`` stable served in, (N, k); after the one before them all.

    Looks before the run count where history is not known.
    """
    if state is None:
        seen = np.zeros((len(served), served.shape[1] - early), dtype=np.int64)
        np.cumsum(served[:, early:-1], axis=1, out=seen[:, 1:])
        if early:
            seen += np.where(known, 0, served[:, :early].sum(axis=1))[:, None]
        return seen
    new = np.concatenate([state.seen[:, None], served[:, early + first - 1 : -1]], axis=1)
    return np.asarray(np.cumsum(new, axis=1))


TAILS: Final[Resumed[_Known]] = Resumed(32, shared=True)
"""What earlier calls knew of the edges."""


def _due(seen: Rows, opening: BoolArray | None) -> BoolArray:
    """
    Return where the looks before reach 8, 16, 32, ...

    Of the first look of all that is so for ``opening`` if they are past 8; without it, the first column is of a look
    before those that are asked about.
    """
    size = seen // FEWEST_LOOKS
    power = (seen == size * FEWEST_LOOKS) & (size > 0) & ((size & (size - 1)) == 0)
    power[:, 1:] &= seen[:, 1:] != seen[:, :-1]
    if opening is None:
        return np.asarray(power[:, 1:])
    power[:, 0] = opening & (seen[:, 0] >= FEWEST_LOOKS)
    return np.asarray(power)
