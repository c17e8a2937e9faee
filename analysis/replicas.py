"""What each replica of one side counted in each look: copies of one pod, parts of a whole, buckets, levels."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.series import BUCKET_LABEL, SIDE_LABEL, TOLERANCE, Reading, Series, per_look
from analysis.types import BoolArray, FloatArray, Side

Identity = tuple[tuple[str, str], ...]
"""Labels that tell copies of one replica apart: scrape job, instance, twin of the scraper."""
DISAGREE_RATIO = 2.0
DISAGREE_FLOOR = 20.0
"""Copies are scraped at different moments: only more than twice plus 20 in one look is a disagreement."""
ROUNDING = 1e-6
"""Differences of large sums that are no whole numbers (CPU seconds) may fall this much below zero."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReplicaLooks:
    """
    One replica in K looks.

    Parameters
    ----------
    fields : mapping of str to ndarray
        Increments or means, ``(K,)``, or ``(K, B)`` for ``counts``; NaN where missing, for all counters alike.
    seen : (K,) bool
        Whether it had any point in the look, a NaN included.
    inconsistent : (K,) bool
        A part without its whole or larger than it, or buckets that shrink.
    unbinned : (K,) bool
        A bucket bound that was asked for is missing.
    copies : int
        Under how many identities it came; one of them is used.
    disagreeing : bool
        Whether copies differed by more than timing explains.
    """

    fields: Mapping[str, FloatArray]
    seen: BoolArray
    inconsistent: BoolArray
    unbinned: BoolArray
    copies: int = 1
    disagreeing: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Copy:
    """One identity (and bucket) of a replica: sum, number of finite points, number of points, each ``(K,)``."""

    total: FloatArray
    finite: NDArray[np.int64]
    points: NDArray[np.int64]


Buckets = dict[Identity, dict[float, _Copy]]
"""Copies by identity and upper bound; +Inf alone where there are no buckets."""


def side_looks(
    reading: Reading, side: Side, *, start: float, ends: FloatArray, edges: Sequence[float] = ()
) -> dict[str, ReplicaLooks]:
    """
    Return what each replica of one side counted in each look.

    Parameters
    ----------
    reading : Reading
    side : Side
    start : float
        Where the first look begins, unix seconds.
    ends : (K,) float64
        Ends of the looks, rising; look ``k`` holds what happened in ``(ends[k-1], ends[k]]``.
    edges : sequence of float
        Bucket bounds to count by, without +Inf; for ``counts`` only, which are left out without any.

    Returns
    -------
    dict of str to ReplicaLooks
        By replica (values of its labels joined by ``/``), sorted. Of several copies of one replica the one with most
        points in the look is used, then the first by name, so that copies are never added up.
    """
    counters = bool(reading.whole) or "counts" in reading.fields
    found = {
        name: _copies(series, reading.replica, side, start, ends, poison=counters)
        for name, series in reading.fields.items()
    }
    if "counts" in found:
        return {name: _binned(copies, edges, ends.size) for name, copies in sorted(found["counts"].items())}
    if not reading.whole:
        return _levels(found, ends.size)
    whole = found.pop(reading.whole, {})
    names = sorted({*whole, *(name for part in found.values() for name in part)})
    return {
        name: _counted(
            reading.whole, whole.get(name, {}), {f: part.get(name, {}) for f, part in found.items()}, ends.size
        )
        for name in names
    }


def bounds(reading: Reading, *, start: float, ends: FloatArray) -> tuple[int, tuple[float, ...]]:
    """
    Return the first look in which both sides have buckets, and the finite bounds that all replicas share there.

    Returns
    -------
    look : int
        ``K`` if there is none.
    edges : tuple of float
        Rising; empty if there is none.
    """
    sides = [
        _copies(reading.fields.get("counts", ()), reading.replica, side, start, ends, poison=True) for side in Side
    ]
    for look in range(ends.size):
        shared: list[set[float]] = [
            {bound for bound, copy in copy_of.items() if copy.points[look]}
            for replicas in sides
            for identities in replicas.values()
            for copy_of in identities.values()
            if any(copy.points[look] for copy in copy_of.values())
        ]
        both = all(
            any(copy.points[look] for ids in replicas.values() for les in ids.values() for copy in les.values())
            for replicas in sides
        )
        edges = tuple(sorted(bound for bound in set.intersection(*shared) if np.isfinite(bound))) if both else ()
        if edges:
            return look, edges
    return ends.size, ()


def first_seen(reading: Reading, side: Side, start: float) -> dict[str, float]:
    """
    Return when each replica of one side was first seen after ``start``, unix seconds, by any of its series.

    Replicas without a name cannot be told apart, so they have no first time.
    """
    found: dict[str, float] = {}
    for one in itertools.chain(reading.presence, *reading.fields.values()):
        if one.labels.get(SIDE_LABEL) != side.value or one.labels.get(BUCKET_LABEL, "+Inf") != "+Inf":
            continue  # every histogram has the bucket of everything
        name = _name(one, reading.replica)
        first = int(np.searchsorted(one.times, start + TOLERANCE, side="right"))
        if name and first < one.times.size:
            found[name] = min(found.get(name, np.inf), float(one.times[first]))
    return found


def _name(series: Series, replica: tuple[str, ...]) -> str:
    parts = [series.labels.get(label, "") for label in replica]
    return "/".join(parts) if any(parts) else ""


def _copies(
    series: Sequence[Series],
    replica: tuple[str, ...],
    side: Side,
    start: float,
    ends: FloatArray,
    *,
    poison: bool,
) -> dict[str, Buckets]:
    """Return copies by replica; with ``poison`` a NaN spoils its look, else it is a point that says nothing."""
    found: dict[str, Buckets] = {}
    known = {*replica, SIDE_LABEL, BUCKET_LABEL}
    for one in series:
        if one.labels.get(SIDE_LABEL) != side.value:
            continue
        name = _name(one, replica)
        identity = tuple(sorted((k, v) for k, v in one.labels.items() if k not in known and v))
        bound = float(one.labels.get(BUCKET_LABEL, "inf"))
        good = np.isfinite(one.values) & ((one.values >= -ROUNDING) if poison else True)
        if poison:
            total, finite = per_look(one.times, np.where(good, np.maximum(one.values, 0.0), np.nan), start, ends)
            points = finite
        else:
            total, finite = per_look(one.times[good], one.values[good], start, ends)
            points = per_look(one.times, one.values, start, ends)[1]
        buckets = found.setdefault(name, {}).setdefault(identity, {})
        if (twin := buckets.get(bound)) is not None:  # le="1" and le="1.0" are one bound
            total, finite, points = total + twin.total, np.maximum(finite, twin.finite), np.maximum(points, twin.points)
        buckets[bound] = _Copy(total, finite, points)
    return found


def _choose(copies: Buckets, size: int) -> tuple[list[Identity], NDArray[np.intp], BoolArray, bool]:
    """Return identities in order, which one is used in each look, whether any was seen, whether they disagree."""
    identities = sorted(copies)
    if not identities:
        return [], np.zeros(size, dtype=np.intp), np.zeros(size, dtype=np.bool_), False
    points = np.array([np.max([c.points for c in copies[i].values()], axis=0) for i in identities])
    chosen = np.argmax(points, axis=0)
    totals = np.array([copies[i][max(copies[i])].total for i in identities])
    full = points == points.max(axis=0)
    high = np.where(full, totals, -np.inf).max(axis=0)
    low = np.where(full, totals, np.inf).min(axis=0)
    apart = (points.max(axis=0) > 0) & (high > DISAGREE_RATIO * low + DISAGREE_FLOOR)
    return identities, chosen, points.max(axis=0) > 0, bool(apart.any())


def _pick(copies: Buckets, identities: Sequence[Identity], chosen: NDArray[np.intp]) -> FloatArray:
    """Return the totals of the chosen identity in each look, 0 where it has none."""
    zero = np.zeros(chosen.size)
    rows = [copies[i][np.inf].total if i in copies else zero for i in identities]
    return np.asarray(np.array(rows)[chosen, np.arange(chosen.size)]) if rows else zero


def _counted(whole_name: str, whole: Buckets, parts: Mapping[str, Buckets], size: int) -> ReplicaLooks:
    identities, chosen, seen, disagreeing = _choose(whole, size)
    everything = _pick(whole, identities, chosen)
    fields = {whole_name: everything}
    inconsistent = np.zeros(size, dtype=np.bool_)
    for name, part in parts.items():
        if part and not set(part) & set(whole):  # scraped elsewhere than the whole: its own best copy
            own, best, _, _ = _choose(part, size)
            value = _pick(part, own, best)
        else:
            value = _pick(part, identities, chosen)
        inconsistent |= ~seen & (value > 0)
        if whole_name == "total":
            inconsistent |= seen & (value > everything * (1 + 1e-9) + 1e-9)
        fields[name] = value
    usable = seen & np.all([np.isfinite(value) for value in fields.values()], axis=0)
    return ReplicaLooks(
        fields={name: np.where(usable, value, np.nan) for name, value in fields.items()},
        seen=seen,
        inconsistent=inconsistent,
        unbinned=np.zeros(size, dtype=np.bool_),
        copies=max(1, len(identities)),
        disagreeing=disagreeing,
    )


def _binned(copies: Buckets, edges: Sequence[float], size: int) -> ReplicaLooks:
    identities, chosen, seen, disagreeing = _choose(copies, size)
    wanted = [*edges, np.inf] if edges else []
    missing = _Copy(np.full(size, np.nan), np.zeros(size, np.int64), np.zeros(size, np.int64))
    table = [[copies[i].get(bound, missing) for bound in wanted] for i in identities]
    looks = np.arange(size)
    heap = np.array([[copy.total for copy in row] for row in table]).reshape(len(identities), len(wanted), size)
    there = np.array([[copy.points > 0 for copy in row] for row in table]).reshape(heap.shape)
    cumulative, present = heap[chosen, :, looks], there[chosen, :, looks]
    counts = np.diff(cumulative, axis=1, prepend=0.0)
    unbinned = seen & ~present.all(axis=1)
    with np.errstate(invalid="ignore"):
        shrinking = seen & ~unbinned & (counts < -1e-6).any(axis=1)
    usable = seen & ~unbinned & np.isfinite(counts).all(axis=1)
    fields = {"counts": np.where(usable[:, None], np.maximum(counts, 0.0), np.nan)} if wanted else {}
    return ReplicaLooks(
        fields=fields,
        seen=seen,
        inconsistent=shrinking,
        unbinned=unbinned,
        copies=len(identities),
        disagreeing=disagreeing,
    )


def _levels(found: Mapping[str, Mapping[str, Buckets]], size: int) -> dict[str, ReplicaLooks]:
    result = {}
    for name in sorted({name for replicas in found.values() for name in replicas}):
        fields: dict[str, FloatArray] = {}
        seen = np.zeros(size, dtype=np.bool_)
        copies = 1
        for field, replicas in found.items():
            mine = replicas.get(name, {})
            identities, chosen, points, _ = _choose(mine, size)
            copies = max(copies, len(identities))
            seen |= points
            sums = _pick(mine, identities, chosen)
            rows = [mine[i][np.inf].finite for i in identities] or [np.zeros(size, np.int64)]
            number = np.array(rows)[chosen, np.arange(size)]
            fields[field] = np.divide(sums, number, out=np.full(size, np.nan), where=number > 0)
        none = np.zeros(size, dtype=np.bool_)
        result[name] = ReplicaLooks(fields=fields, seen=seen, inconsistent=none, unbinned=none, copies=copies)
    return result
