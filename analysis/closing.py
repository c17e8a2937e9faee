"""
Closing looks: which of them can be used, and the rows in which a record keeps them.

Looks are closed one at a time or all at once with the same result: a row depends on the points within its look and on
nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import InvalidInput
from analysis.replicas import ReplicaLooks, bounds, first_seen, side_looks
from analysis.series import SIDE_LABEL, Reading, per_look
from analysis.types import BoolArray, FloatArray, Json, Side

# Kubernetes spells 32-bit hashes with ten characters and random suffixes with twenty-seven: neither holds a vowel.
_POD = re.compile(r"(.+)-[4-9bcdf]{1,10}-[bcdfghjklmnpqrstvwxz2456789]{5}")
_DAEMON_POD = re.compile(r"(.+)-[bcdfghjklmnpqrstvwxz2456789]{5}")
UNUSABLE = frozenset({"missing", "partial", "unseparated", "overlap", "two_workloads"})
"""Codes of looks whose numbers mean nothing: their rows carry none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """
    Looks as a store keeps them.

    Parameters
    ----------
    rows : tuple
        One per look, in the format of `analysis.record.rows`; the weight is left to the caller.
    edges : mapping of str to tuple of float
        Bucket bounds by question, to be pinned by the caller.
    notes : mapping of str to mapping
        By question, what was noticed: ``duplicates`` (replicas that came more than once), ``disagreeing`` (their
        names, where copies differed), ``unreadable`` (looks of single replicas that were NaN).
    seen : mapping of str to mapping
        By question and side: when each replica was first seen within these looks, unix seconds.
    """

    rows: tuple[dict[str, Json], ...]
    edges: Mapping[str, tuple[float, ...]]
    notes: Mapping[str, Mapping[str, Json]]
    seen: Mapping[str, Mapping[Side, Mapping[str, float]]] = field(default_factory=dict)


def close_looks(readings: Mapping[str, Reading], *, start: float, ends: ArrayLike) -> Closed:
    """
    Return the rows of K looks that have just closed.

    Parameters
    ----------
    readings : mapping of str to Reading
        By question; points outside the looks are ignored.
    start : float
        Where the first of these looks begins, unix seconds.
    ends : (K,) array_like
        Their ends, rising.

    Returns
    -------
    Closed
        A look that cannot be used says why, once per question: ``[code, text]``. In order of rank: ``missing`` (a
        label that the question needs, a bucket bound), ``partial``, ``unseparated``, ``overlap``, ``two_workloads``,
        then for either side ``no_series``, ``renamed``, ``gap``, ``nan``, and ``inconsistent_counters``.

    Raises
    ------
    InvalidInput
        Ends that do not rise.
    """
    boundaries = np.asarray(ends, dtype=np.float64)
    if boundaries.ndim != 1 or np.any(np.diff(boundaries, prepend=start) <= 0):
        raise InvalidInput("ends of looks must rise from where the first begins")
    closings = {name: _Closing(reading, start, boundaries) for name, reading in readings.items()}
    rows: list[dict[str, Json]] = []
    for look, end in enumerate(boundaries.tolist()):
        questions: dict[str, Json] = {}
        left_out: dict[str, Json] = {}
        for name, closing in closings.items():
            reason = closing.reason(look)
            if reason is not None:
                left_out[name] = list(reason)
            empty = reason is not None and reason[0] in UNUSABLE
            questions[name] = {side.value: {} if empty else closing.entry(side, look) for side in Side}
        rows.append({"end": end, "weight": None, "questions": questions, "left_out": left_out})
    return Closed(
        rows=tuple(rows),
        edges={name: closing.edges for name, closing in closings.items() if closing.edges},
        notes={name: notes for name, closing in closings.items() if (notes := closing.notes())},
        seen={name: {side: first_seen(reading, side, start) for side in Side} for name, reading in readings.items()},
    )


def workload(replica: str) -> str | None:
    """
    Return the workload that a replica's name tells, or None where it tells none.

    >>> workload("checkout-6c54bd4f4b-x7k2p"), workload("checkout-worker-6c54bd4f4b-x7k2p"), workload("10.0.0.7:8080")
    ('checkout', 'checkout-worker', None)
    """
    for segment in replica.split("/"):
        if match := _POD.fullmatch(segment) or _DAEMON_POD.fullmatch(segment):
            return match.group(1)
    return None


class _Told:
    """One replica as plain lists over looks: what a look holds is asked for thousands of times."""

    def __init__(self, name: str, looks: ReplicaLooks) -> None:
        self.name = name
        self.seen: list[bool] = looks.seen.tolist()
        self.inconsistent: list[bool] = looks.inconsistent.tolist()
        self.unbinned: list[bool] = looks.unbinned.tolist()
        known = {
            field: ~np.isnan(array) if array.ndim == 1 else ~np.isnan(array).any(axis=1)
            for field, array in looks.fields.items()
        }
        self.fields: dict[str, tuple[Json, Json]] = {
            field: (array.tolist(), known[field].tolist()) for field, array in looks.fields.items()
        }
        usable = np.any(list(known.values()), axis=0) if known else np.zeros(looks.seen.size, dtype=np.bool_)
        self.usable: list[bool] = usable.tolist()


class _Closing:
    """One question over all looks that are closed together."""

    def __init__(self, reading: Reading, start: float, ends: FloatArray) -> None:
        self.reading = reading
        self.first, self.edges = 0, reading.edges
        if "counts" in reading.fields and not self.edges:
            self.first, self.edges = bounds(reading, start=start, ends=ends)
        self.sides = {side: side_looks(reading, side, start=start, ends=ends, edges=self.edges) for side in Side}
        self.told = {side: [_Told(name, looks) for name, looks in self.sides[side].items()] for side in Side}
        self.scraped = {side: _scraped(reading, side, start, ends) for side in Side}
        self.shared = np.zeros(ends.size)
        for one in reading.overlap:
            self.shared += np.nan_to_num(per_look(one.times, one.values, start, ends)[0])

    def entry(self, side: Side, look: int) -> dict[str, dict[str, Json]]:
        """Return the numbers of one side in one look by replica."""
        if look < self.first:
            return {}
        result: dict[str, dict[str, Json]] = {}
        for one in self.told[side]:
            if one.usable[look]:
                result[one.name] = {
                    name: value[look] if known[look] else None for name, (value, known) in one.fields.items()
                }
        return result

    def reason(self, look: int) -> tuple[str, str] | None:
        """Return code and text of why a look cannot be used, or None."""
        reading = self.reading
        for code, text in (
            ("missing", reading.missing),
            ("partial", reading.partial),
            ("unseparated", reading.unseparated),
        ):
            if text:
                return code, text
        live = {side: [one.name for one in self.told[side] if one.seen[look]] for side in Side}
        return (
            self._mixed(live, look)
            or self._silent(live, look)
            or self._broken(look)
            or (("missing", "the two sides share no bucket bound") if look < self.first else None)
        )

    def _mixed(self, live: Mapping[Side, Sequence[str]], look: int) -> tuple[str, str] | None:
        """Return why the sides cannot be told apart."""
        both = sorted(({*live[Side.BASELINE]} & {*live[Side.CANARY]}) - {""})
        if both:
            return "overlap", f"{_listed(both)} on both sides: the selectors of baseline and canary overlap"
        if self.shared[look] > 0:
            return "overlap", "the same series on both sides: the selectors of baseline and canary overlap"
        for side in Side:
            workloads = sorted({found for name in live[side] if (found := workload(name))})
            if len(workloads) > 1:
                return "two_workloads", f"the {side.value} selector takes pods of {_listed(workloads)}"
        return None

    def _silent(self, live: Mapping[Side, Sequence[str]], look: int) -> tuple[str, str] | None:
        """Return which side says nothing, and what is known of why."""
        for side in Side:
            if live[side]:
                continue
            present, answered = (array[look] for array in self.scraped[side])
            if answered:
                return (
                    "renamed",
                    f"{side.value} is scraped but has no {self.reading.metric}: renamed, or no traffic yet",
                )
            if present:
                return "gap", f"every scrape of the {side.value} failed"
            return "no_series", f"no series of {self.reading.metric} on the {side.value} side"
        return None

    def _broken(self, look: int) -> tuple[str, str] | None:
        """Return which numbers cannot be true."""
        for side, replicas in self.told.items():
            for one in replicas:
                if one.inconsistent[look]:
                    who = f"{side.value} {one.name}".strip()
                    return "inconsistent_counters", f"{who}: a part exceeds its whole"
                if one.unbinned[look] and look >= self.first:
                    return "missing", f"{side.value} {one.name} lacks a bucket bound that was pinned"
        if look < self.first:
            return None
        for side, replicas in self.told.items():
            if not any(one.usable[look] for one in replicas):
                return "nan", f"{self.reading.metric} is NaN on every replica of the {side.value}"
        return None

    def notes(self) -> dict[str, Json]:
        """Return what was noticed over all looks; empty if nothing."""
        every = [(name, replica) for side in self.sides.values() for name, replica in side.items()]
        unreadable = sum(
            seen and not lacks and not usable
            for side in self.told.values()
            for one in side
            if one.fields
            for seen, lacks, usable in zip(one.seen, one.unbinned, one.usable, strict=True)
        )
        found: dict[str, Json] = {
            "duplicates": sum(replica.copies > 1 for _, replica in every),
            "disagreeing": sorted(name for name, replica in every if replica.disagreeing),
            "unreadable": unreadable,
        }
        return {name: value for name, value in found.items() if value}


def _scraped(reading: Reading, side: Side, start: float, ends: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Return per look whether any target of a side was there, and whether any scrape of one succeeded."""
    present = np.zeros(ends.size, dtype=np.bool_)
    answered = np.zeros(ends.size, dtype=np.bool_)
    for one in reading.presence:
        if one.labels.get(SIDE_LABEL) == side.value:
            sums, counts = per_look(one.times, one.values, start, ends)
            present |= counts > 0
            answered |= sums > 0
    return present, answered


def _listed(names: Sequence[str]) -> str:
    """Return names in words, cut so that a reason stays one line."""
    shown = [name if len(name) <= 40 else f"{name[:39]}…" for name in names[:3]]
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(shown) + rest) if rest else " and ".join(shown)
