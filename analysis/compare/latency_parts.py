"""
What speaks for harm in a latency, for N releases at once; what speaks for a promotion is in ``latency_promotes.py``.

The score and the edges of the histogram are averaged for an abort; for a promotion both must speak.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from analysis.compare.latency_arms import PreparedLatency, Rows
from analysis.compare.latency_edges import HALF
from analysis.compare.latency_sums import Origin
from analysis.compare.scores import SHIFT, Shift, ShiftLooks, ShiftState, shift_from, shift_in
from analysis.compare.tails import both_nulls, tolerated_ratio
from analysis.errors import InvalidInput
from analysis.evidence import Null
from analysis.grid import Floats
from analysis.policy import Alphas
from analysis.resumed import Resumed
from analysis.stakes import log_sum


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
    """
    What speaks for harm in N releases.

    Parameters
    ----------
    shift : Shift
    edge_warn, edge_tolerated : (P, K) float64
        Logs of every edge: "more than stable" and "more than tolerated".
    score_warn, score_tolerated : (N, K) float64
        Logs of the score.
    warn, tolerated : (N, K) float64
        Logs of the whole.
    """

    shift: Shift
    edge_warn: Floats
    edge_tolerated: Floats
    score_warn: Floats
    score_tolerated: Floats
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
    count, limits = prepared.used.shape[1], np.array([0.0, np.log(question.shift)])
    null, rows = row_null(prepared, question), prepared.edges
    edges = _edges_against(prepared, null)

    def more(first: int, state: ShiftState | None) -> tuple[Floats, ShiftState]:
        shift, after = shift_from(prepared.shift.between(first, count), state)
        scores = shift.slower(limits[:, None, None])
        tails = mean_edges(rows.release, edges[..., first:] + rows.weights, scores.shape)
        return np.concatenate([shift.packed, *scores, *halves(scores, tails)]), after

    own = prepared.origin.narrowed(b"against", null.mark, limits.tobytes())
    packed, _ = AGAINST.run(own.frame, own.trail, more)
    series, told = packed.reshape(-1, *prepared.used.shape), len(SHIFT)
    return AbortParts(
        shift=shift_in(series[:told]), edge_warn=edges[0], edge_tolerated=edges[1],
        score_warn=series[told], score_tolerated=series[told + 1], warn=series[-2], tolerated=series[-1],
    )  # fmt: skip


def shift_over(looks: ShiftLooks, origin: Origin) -> Shift:
    """Return `analysis.compare.scores.shift_of` looks that come from ``origin``: of those seen before, from memory."""
    count = looks.used.shape[1]

    def more(first: int, state: ShiftState | None) -> tuple[Floats, ShiftState]:
        found, after = shift_from(looks.between(first, count), state)
        return found.packed, after

    packed, _ = SHIFTS.run(origin.frame, origin.trail, more)
    return shift_in(packed.reshape(len(SHIFT), *looks.used.shape))


def _edges_against(prepared: PreparedLatency, null: Null) -> Floats:
    """Return log E_warn and log E_tol of every edge, (2, P, K)."""
    rows = len(prepared.edges.release)
    if not rows:
        return np.zeros((2, 0, prepared.used.shape[1]))
    return both_nulls(prepared.rows.looks, null).reshape(2, rows, -1)


AGAINST: Final[Resumed[ShiftState]] = Resumed(shared=True)
SHIFTS: Final[Resumed[ShiftState]] = Resumed(shared=True)
"""What earlier calls computed of the same looks, to go on from."""


def halves(score: Floats, tail: Floats) -> Floats:
    """Return the log of half the evidence of the score and half that of the tail."""
    return np.asarray(np.logaddexp(score, tail) + HALF)


def row_null(prepared: PreparedLatency, question: LatencyQuestion, row: int | None = None) -> Null:
    """Return what each edge tolerates: as written at an objective's, at least a tolerated shift at others."""
    slope, slo = prepared.edges.slope, prepared.edges.slo
    if row is not None:
        slope, slo = slope[row : row + 1], slo[row : row + 1]
    steep = tolerated_ratio(slope, question.shift, question.exceedance)
    return Null(ratio=np.where(slo, question.exceedance, steep), slack=np.where(slo, question.slack, 0.0))


def mean_edges(release: Rows, terms: Floats, shape: tuple[int, ...]) -> Floats:
    """Return, ``shape`` (..., N, K), the log of the sum of each release's weighed terms (..., P, K); 0 without any."""
    found, releases = np.zeros(shape), shape[-2]
    bounds = np.searchsorted(release, np.arange(releases + 1)).tolist() if releases > 1 else [0, len(release)]
    for row, (start, end) in enumerate(itertools.pairwise(bounds)):
        if end > start:  # edges side by side, however many looks
            found[..., row, :] = log_sum(np.ascontiguousarray(terms[..., start:end, :].swapaxes(-1, -2)))
    return found
