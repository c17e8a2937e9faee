"""
What speaks for harm in a latency, for N releases at once; what speaks for a promotion is in ``latency_promotes.py``.

The score and the edges of the histogram are averaged for an abort; for a promotion both must speak.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from analysis.compare.latency_arms import PreparedLatency, Rows
from analysis.compare.latency_sums import Origin
from analysis.compare.scores import SHIFT, Shift, ShiftLooks, ShiftState, shift_from
from analysis.compare.tails import both_nulls, tolerated_ratio
from analysis.errors import InvalidInput
from analysis.evidence import Null
from analysis.grid import Floats
from analysis.policy import Alphas
from analysis.resumed import Resumed
from analysis.stakes import AbortState, log_sum
from analysis.types import BoolArray

HALF = float(np.log(0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyQuestion:
    """
    What is asked: harm means slower than tolerated.

    Parameters
    ----------
    shift : float, >= 1
        How many times slower a typical request may be.
    exceedance : float, >= 1
        How many times more requests may pass an edge.
    slack : float, in [0, 1)
        Share of requests that may pass the edge of an objective beyond that; also at the guard edge.
    slo_edges : tuple of float
        Edges of an objective, seconds: weighed more, and asked for a promotion.
    harm_budget : float, > 0
        Extra slow requests that the last step may cost in its first hour.
    alphas : Alphas
    """

    shift: float = 1.25
    exceedance: float = 2.0
    slack: float = 0.001
    slo_edges: tuple[float, ...] = ()
    harm_budget: float = 20.0
    alphas: Alphas = field(default_factory=Alphas)

    def __post_init__(self) -> None:
        for name in ("shift", "exceedance"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 1):
                raise InvalidInput(f"must be at least 1, got {value!r}", f"/tolerance/{name}")
        if not 0 <= self.slack < 1:
            raise InvalidInput(f"must lie in [0, 1), got {self.slack!r}", "/tolerance/absolute")
        if not all(np.isfinite(edge) and edge > 0 for edge in self.slo_edges):
            raise InvalidInput(f"must be positive numbers of seconds, got {list(self.slo_edges)!r}", "/slo_edges")
        if not (np.isfinite(self.harm_budget) and self.harm_budget > 0):
            raise InvalidInput(f"must be positive, got {self.harm_budget!r}", "/harm_budget")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AbortParts:
    """What speaks for harm in N releases: the shift, (P, K) logs of every edge, (N, K) logs of the whole."""

    shift: Shift
    edge_warn: Floats
    edge_tolerated: Floats
    warn: Floats
    tolerated: Floats


def abort_parts(prepared: PreparedLatency, question: LatencyQuestion) -> AbortParts:
    """
    Return the evidence for "slower than stable" and for "slower than tolerated", at every look.

    Parameters
    ----------
    prepared : PreparedLatency
    question : LatencyQuestion

    Returns
    -------
    AbortParts
        ``E = 1/2 E_score + 1/2 E_tail``, E_tail the mean over the edges, in which those of an objective have half the
        weight. A part of which nothing is known yet counts 1.
    """
    shift = shift_over(prepared.shift, prepared.origin)
    null, limits = row_null(prepared, question), np.array([0.0, np.log(question.shift)])
    edges = _edges_against(prepared, null)
    weights = edge_weights(prepared)

    def whole(first: int, last: int) -> Floats:
        part = shift.between(first, last)
        tails = (mean_edges(prepared.release, log_e[:, first:last] + weights, part.mean.shape) for log_e in edges)
        scores = part.slower(limits[:, None, None])
        return np.stack([halves(score, tail) for score, tail in zip(scores, tails, strict=True)], axis=-1)

    found = by_look(prepared.origin.narrowed(b"abort", null.mark, limits.tobytes()), shift.mean.shape[1], whole)
    return AbortParts(
        shift=shift, edge_warn=edges[0], edge_tolerated=edges[1], warn=found[..., 0], tolerated=found[..., 1]
    )


def shift_over(looks: ShiftLooks, origin: Origin) -> Shift:
    """Return `analysis.compare.scores.shift_of` looks that come from ``origin``: of those seen before, from memory."""
    count = looks.used.shape[1]

    def more(first: int, state: ShiftState | None) -> tuple[Floats, ShiftState]:
        found, after = shift_from(looks.between(first, count), state)
        return np.stack([getattr(found, name) for name in SHIFT], axis=-1), after

    packed, _ = SHIFTS.run(origin.frame, origin.trail, more)
    parts = dict(zip(SHIFT, packed.transpose(2, 0, 1), strict=True))
    return Shift(**{**parts, "bets": parts["bets"] > 0})


def by_look(origin: Origin, count: int, work: Callable[[int, int], Floats]) -> Floats:
    """Return what ``work`` makes of looks ``first ... last - 1``, (N, K, ...), where no look needs another."""
    return LOOKS.run(origin.frame, origin.trail, lambda first, _: (work(first, count), None))[0]


def _edges_against(prepared: PreparedLatency, null: Null) -> tuple[Floats, Floats]:
    """Return log E_warn and log E_tol of every edge, (P, K) each."""
    looks, count = prepared.rows.looks, prepared.used.shape[1]
    if not len(prepared.release):
        return np.zeros((0, count)), np.zeros((0, count))
    own = prepared.origin.narrowed(null.mark)
    log_e, _ = EDGES.run(
        own.frame, own.trail, lambda first, known: both_nulls(looks.between(first, count), null, known)
    )
    return log_e[: len(prepared.release)], log_e[len(prepared.release) :]


SHIFTS: Final[Resumed[ShiftState]] = Resumed(shared=True)
LOOKS: Final[Resumed[None]] = Resumed(shared=True)
EDGES: Final[Resumed[AbortState]] = Resumed(shared=True)
"""What earlier calls computed of the same looks, to go on from."""


def halves(score: Floats, tail: Floats) -> Floats:
    """Return the log of half the evidence of the score and half that of the tail."""
    return np.asarray(np.logaddexp(score, tail) + HALF)


def row_null(prepared: PreparedLatency, question: LatencyQuestion, row: int | None = None) -> Null:
    """Return what each edge tolerates: as written at an objective's, at least a tolerated shift at others."""
    slope, slo = prepared.slope, prepared.slo
    if row is not None:
        slope, slo = slope[row : row + 1], slo[row : row + 1]
    steep = tolerated_ratio(slope, question.shift, question.exceedance)
    return Null(ratio=np.where(slo, question.exceedance, steep), slack=np.where(slo, question.slack, 0.0))


def edge_weights(prepared: PreparedLatency) -> Floats:
    """Return, (P, 1), the log weight of each edge in its release's tail; an objective's edges have half of it."""
    return log_weights(prepared.release, prepared.slo, prepared.used.shape[0])


def log_weights(release: Rows, slo: BoolArray, releases: int) -> Floats:
    """Return, (P, 1), the log weights of rows in the mean of their releases."""
    counts = [np.bincount(release, weights=kind, minlength=releases) for kind in (slo, ~slo)]
    own = np.where(slo, counts[0][release], counts[1][release])
    both = (counts[0] > 0) & (counts[1] > 0)
    return np.asarray(-np.log(own) + np.where(both[release], HALF, 0.0))[:, None]


def mean_edges(release: Rows, terms: Floats, shape: tuple[int, ...]) -> Floats:
    """Return, ``shape`` (N, K), the log of the sum of each release's weighed terms (P, K); 0 without any."""
    found = np.zeros(shape)
    bounds = np.searchsorted(release, np.arange(len(found) + 1))
    for row, (start, end) in enumerate(itertools.pairwise(bounds)):
        if end > start:
            found[row] = log_sum(np.ascontiguousarray(terms[start:end].T))  # edges side by side, however many looks
    return found
