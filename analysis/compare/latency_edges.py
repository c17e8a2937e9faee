"""Which edges of a histogram are weighed, what each of them weighs, and at which of them a promotion is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.compare.tails import MOST_EXCEEDANCE, guard_edge, usable_edges, well_placed
from analysis.grid import Floats
from analysis.types import BoolArray

Rows = NDArray[np.int64]
HALF: Final = float(np.log(0.5))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeighedEdges:
    """
    The edges of N releases, one row per release and edge.

    Parameters
    ----------
    release, edge : (P,) int
        Which release and which edge a row is.
    slo : (P,) bool
        Whether it is an objective's.
    slope : (P,) float64
    weights : (P, 1) float64
        Log weight of each edge in its release's tail; an objective's edges have half of it.
    asked : (G,) int
        Rows at which a promotion is asked.
    asked_weights : (G, 1) float64
        Log weight of each of them in the mean of its release.
    weak_guard, short : (N,) bool
        The guard edge is so rare or common that it tells little; so many stable requests lie beyond the last edge that
        nobody can say how long they take.
    """

    release: Rows
    edge: Rows
    slo: BoolArray
    slope: Floats
    weights: Floats
    asked: Rows
    asked_weights: Floats
    weak_guard: BoolArray
    short: BoolArray


def weighed_edges(requests: Floats, exceedance: Floats, slope: Floats, objective: Rows) -> WeighedEdges:
    """
    Return the edges of N releases.

    Parameters
    ----------
    requests : (N,) float64
        Stable requests that the edges are chosen from.
    exceedance, slope : (N, J) float64
    objective : (S,) int
        Edges of an objective.
    """
    usable = usable_edges(requests, exceedance, objective)
    guard = guard_edge(exceedance, usable)
    release, edge = np.nonzero(usable)
    slo = np.isin(edge, objective)
    asked = np.flatnonzero(slo if len(objective) else edge == guard[release])
    weak = (guard >= 0) & ~well_placed(exceedance[np.arange(len(guard)), guard])
    return WeighedEdges(
        release=release,
        edge=edge,
        slo=slo,
        slope=slope[release, edge],
        weights=_log_weights(release, slo, len(usable)),
        asked=asked,
        asked_weights=_log_weights(release[asked], slo[asked], len(usable)),
        weak_guard=weak & (not len(objective)),
        short=exceedance[:, -1] > MOST_EXCEEDANCE,
    )


def _log_weights(release: Rows, slo: BoolArray, releases: int) -> Floats:
    """Return, (P, 1), the log weights of rows in the mean of their releases."""
    counts = [np.bincount(release, weights=kind, minlength=releases) for kind in (slo, ~slo)]
    own = np.where(slo, counts[0][release], counts[1][release])
    both = (counts[0] > 0) & (counts[1] > 0)
    return np.asarray(-np.log(own) + np.where(both[release], HALF, 0.0))[:, None]
