"""Several latency questions of one release as one batch, and each of them on its own again."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

import numpy as np

from analysis.compare.latency_arms import LatencyArms, PreparedLatency, asked_of
from analysis.compare.latency_edges import WeighedEdges
from analysis.compare.latency_noise import SCORE_FIELDS, rows_of
from analysis.compare.latency_parts import AbortParts, LatencyQuestion
from analysis.compare.scores import ShiftLooks


def kin_of(arms: LatencyArms, question: LatencyQuestion) -> Hashable:
    """Return what questions have in common that can be weighed as one batch."""
    noise = arms.noise
    told = None if noise is None else (bool(noise.tail_known.all()), *(each.shape for each in noise.arrays))
    return (
        question, arms.canary.shape, arms.baseline.shape, arms.edges.tobytes(), arms.seconds.tobytes(),
        arms.slo.tobytes(), arms.visible, told, None if arms.earlier is None else arms.earlier.shape,
    )  # fmt: skip


def batch_of(arms: Sequence[LatencyArms]) -> LatencyArms:
    """Return several releases that have everything of `kin_of` in common as one."""
    if len(arms) == 1:
        return arms[0]
    earlier = [each.earlier for each in arms if each.earlier is not None]
    noise = [each.noise for each in arms if each.noise is not None]
    return replace(
        arms[0],
        canary=np.concatenate([each.canary for each in arms]),
        baseline=np.concatenate([each.baseline for each in arms]),
        left_out=np.concatenate([each.left_out for each in arms]),
        noise=_concatenated(noise) if noise else None,
        earlier=np.concatenate(earlier) if earlier else None,
    )


def _concatenated(parts: Sequence[Any]) -> Any:
    """Return dataclasses of arrays with a leading axis of releases as one."""
    joined: dict[str, Any] = {}
    for name in (each.name for each in fields(parts[0])):
        values = [getattr(part, name) for part in parts]
        joined[name] = _concatenated(values) if is_dataclass(values[0]) else np.concatenate(values)
    return replace(parts[0], **joined)


def rows_of_each(edges: WeighedEdges, releases: int) -> list[slice]:
    """Return which rows are the edges of each release."""
    bounds = np.searchsorted(edges.release, np.arange(releases + 1)).tolist()
    return [slice(first, last) for first, last in itertools.pairwise(bounds)]


def each_prepared(prepared: PreparedLatency) -> list[PreparedLatency]:
    """Return the releases one by one."""
    releases = len(prepared.first)
    if releases == 1:
        return [prepared]
    return [_prepared(prepared, row, at) for row, at in enumerate(rows_of_each(prepared.edges, releases))]


_BY_RELEASE: Final = (
    "steps", "used", "empty", "first", "canary_total", "stable_total", "score_from_run", "tail_from_run", "overruled",
    "provable", "largest_bucket",
)  # fmt: skip


def _prepared(prepared: PreparedLatency, row: int, at: slice) -> PreparedLatency:
    own = slice(row, row + 1)
    edges = _edges(prepared.edges, own, at)
    rows = prepared.rows.chosen(np.arange(at.start, at.stop))
    return PreparedLatency(
        shift=_looks(prepared.shift, own),
        rows=rows,
        edges=edges,
        asked=asked_of(rows, edges),
        **{name: getattr(prepared, name)[own] for name in _BY_RELEASE},
        origin=prepared.origin.narrowed(b"row", b"%d" % row),
    )


def _edges(edges: WeighedEdges, own: slice, at: slice) -> WeighedEdges:
    asked = slice(*np.searchsorted(edges.asked, [at.start, at.stop]).tolist())
    return WeighedEdges(
        release=np.zeros(at.stop - at.start, dtype=np.int64),
        edge=edges.edge[at],
        slo=edges.slo[at],
        slope=edges.slope[at],
        weights=edges.weights[at],
        asked=edges.asked[asked] - at.start,
        asked_weights=edges.asked_weights[asked],
        weak_guard=edges.weak_guard[own],
        short=edges.short[own],
    )


def _looks(looks: ShiftLooks, own: slice) -> ShiftLooks:
    parts = {name: getattr(looks, name)[own] for name in ("used", *SCORE_FIELDS)}
    return replace(looks, canary=rows_of(looks.canary, own), baseline=rows_of(looks.baseline, own), **parts)


def each_against(found: AbortParts, edges: WeighedEdges) -> list[AbortParts]:
    """Return what speaks for harm in the releases one by one."""
    releases = len(found.warn)
    if releases == 1:
        return [found]
    return [
        AbortParts(
            shift=shift,
            edge_warn=found.edge_warn[at],
            edge_tolerated=found.edge_tolerated[at],
            score_warn=found.score_warn[row : row + 1],
            score_tolerated=found.score_tolerated[row : row + 1],
            warn=found.warn[row : row + 1],
            tolerated=found.tolerated[row : row + 1],
        )
        for row, (shift, at) in enumerate(zip(found.shift.one_by_one, rows_of_each(edges, releases), strict=True))
    ]
