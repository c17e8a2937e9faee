"""
The record of a release attempt: the grid of looks, and what each side counted in each closed look.

A verdict is a function of the record: it grows only at its end, boundaries never move, and a record
read back from its file gives the same verdict as the service gave.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.errors import InvalidInput, InvalidRecord
from analysis.noise import Noise
from analysis.types import BoolArray, FloatArray, Json, Pairing, Side

FORMAT = "weighbridge-record/1"
FIRST_STRETCH = 256
STRETCH = 128
MAX_LOOKS = 20_000
INCOMPARABLE = frozenset({"overlap", "two_workloads", "unseparated"})
"""Codes of looks that were left out because the two sides cannot be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """
    Look boundaries, fixed once at the start of an attempt.

    Parameters
    ----------
    start : float
        Unix seconds; the caller floors it to the look length (`Grid.starting`).
    length : float
        Length L of the first looks in seconds, > 0.
    lengthening : bool, default True
        256 looks of L, then 128 of 2L, 128 of 4L and so on; False keeps L for ever (inline data).
    """

    start: float
    length: float
    lengthening: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.length) and self.length > 0):
            raise InvalidInput(f"a grid needs a finite start and a positive length, got {self!r}")

    @classmethod
    def starting(cls, start: float, length: float) -> Grid:
        """Return the lengthening grid of an attempt that began at ``start``, floored to ``length``."""
        return cls(start=math.floor(start / length + 1e-9) * length, length=length)

    def end(self, look: int) -> float:
        """
        Return the end of look number ``look`` (0-based) in unix seconds; ``end(-1)`` is the start.

        Old boundaries never move: the value depends on start, length and number only.
        """
        done = look + 1
        if not self.lengthening or done <= FIRST_STRETCH:
            return self.start + self.length * done
        stretch, rest = divmod(done - FIRST_STRETCH, STRETCH)
        doubled: int = 2 ** (stretch + 1)
        return self.start + self.length * (FIRST_STRETCH + STRETCH * (doubled - 2) + rest * doubled)

    def closed(self, at: float, lag: float) -> int:
        """Return how many looks are closed at ``at``: their end is at least ``lag`` seconds old."""
        horizon = at - lag + 1e-6
        if horizon < self.end(0):
            return 0
        low, high = 1, 2
        while high <= MAX_LOOKS and self.end(high - 1) <= horizon:
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.end(middle - 1) <= horizon else (low, middle)
        return min(low, MAX_LOOKS)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """
    Why a look of a question is not used.

    ``code`` comes from a closed set (``overlap``, ``two_workloads``, ``unseparated``, ``no_series``,
    ``renamed``, ``nan``, ``gap``, ``partial``, ``inconsistent_counters``, ``missing``),
    ``text`` is one line for people.
    """

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SideSeries:
    """
    What one side counted.

    Parameters
    ----------
    replicas : tuple of str
        Opaque names, sorted; ``("",)`` where replicas are not visible.
    fields : mapping of str to ndarray
        ``(R, K)`` float64 increments or values per replica and look, ``(R, K, B)`` for ``counts`` of
        buckets (not cumulative). NaN where the replica did not exist or its look is missing.
    """

    replicas: tuple[str, ...]
    fields: Mapping[str, FloatArray]

    def between(self, looks: slice) -> SideSeries:
        """Return some looks of it, as views."""
        fields = {name: array[:, looks] for name, array in self.fields.items()}
        return SideSeries(replicas=self.replicas, fields=fields)

    def total(self, name: str) -> FloatArray:
        """Return the sum over replicas, shape ``(K,)`` or ``(K, B)``; NaN counts as nothing."""
        return total(self.fields[name])


def total(values: FloatArray) -> FloatArray:
    """Return the sum over replicas, shape ``(K,)`` or ``(K, B)``; NaN counts as nothing."""
    whole = values.sum(axis=0)
    if not np.isfinite(whole).all():
        whole = np.nansum(values, axis=0)
    return np.asarray(whole, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuestionRecord:
    """
    All looks of one question.

    Parameters
    ----------
    baseline, canary : SideSeries
        The same number of looks K on both sides; a side may have no replica.
    left_out : tuple of (LeftOut or None), length K
    visible : bool
        Whether replicas can be told apart.
    edges : tuple of float
        Upper bounds of buckets without +Inf, in the unit of the histogram.
    noise : Noise or None
        What the stable history taught; ``None`` without any.
    history : SideSeries or None
        The looks of the stable history themselves, where they are too few to be summed up.
    notes : mapping
        What was pinned or noticed while reading: label, late samples, duplicates.
    """

    baseline: SideSeries
    canary: SideSeries
    left_out: tuple[LeftOut | None, ...]
    visible: bool = True
    edges: tuple[float, ...] = ()
    noise: Noise | None = None
    history: SideSeries | None = None
    notes: Mapping[str, Json] = field(default_factory=dict)

    def side(self, side: Side) -> SideSeries:
        """Return one side by name."""
        return self.baseline if side is Side.BASELINE else self.canary

    @property
    def complete(self) -> bool:
        """Whether no look was left out."""
        return self.left_out.count(None) == len(self.left_out)

    @property
    def used(self) -> BoolArray:
        """(K,) looks that were not left out."""
        if self.complete:
            return np.ones(len(self.left_out), dtype=np.bool_)
        return np.array([reason is None for reason in self.left_out], dtype=np.bool_)

    @property
    def mixed(self) -> BoolArray:
        """(K,) looks that were left out because the two sides cannot be told apart."""
        found = np.zeros(len(self.left_out), dtype=np.bool_)
        for look, reason in enumerate(() if self.complete else self.left_out):
            if reason is not None:
                found[look] = reason.code in INCOMPARABLE
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """
    Everything a verdict depends on besides the policy.

    Parameters
    ----------
    grid : Grid
    ends : ndarray, shape (K,)
        Ends of the closed looks, unix seconds, rising.
    questions : mapping of str to QuestionRecord
        A question that the record does not hold has no data.
    weights : ndarray, shape (K,)
        Share of traffic that the caller named for each look, NaN where unknown: a label, never evidence.
    pairing : Pairing
    events : tuple
        Overrides and marked windows that fell into the attempt, as stored.
    aligned : bool
        Whether both sides were sampled at the same times.
    """

    grid: Grid
    ends: FloatArray
    questions: Mapping[str, QuestionRecord]
    weights: FloatArray
    pairing: Pairing = Pairing.CONCURRENT
    events: tuple[Json, ...] = ()
    aligned: bool = True

    @property
    def lengths(self) -> FloatArray:
        """Return the length of each look in seconds, shape ``(K,)``."""
        lengths = self.ends.copy()
        lengths[:1] -= self.grid.start
        lengths[1:] -= self.ends[:-1]
        return lengths

    def until(self, at: float) -> Record:
        """Return the record as it stood at ``at``: looks that ended later are dropped."""
        keep = int(np.searchsorted(self.ends, at + 1e-6, side="right"))
        if keep == len(self.ends):
            return self
        cut = {
            name: QuestionRecord(
                baseline=q.baseline.between(slice(keep)),
                canary=q.canary.between(slice(keep)),
                left_out=q.left_out[:keep],
                visible=q.visible,
                edges=q.edges,
                noise=q.noise,
                history=q.history,
                notes=q.notes,
            )
            for name, q in self.questions.items()
        }
        return Record(
            grid=self.grid,
            ends=self.ends[:keep],
            questions=cut,
            weights=self.weights[:keep],
            pairing=self.pairing,
            events=self.events,
            aligned=self.aligned,
        )


def rows(record: Record) -> list[dict[str, Json]]:
    """
    Return one JSON-able row per look, as the store keeps them and the export shows them.

    Each row is ``{"end", "weight", "questions": {name: {"baseline": {replica: {field: number | list | null}},
    "canary": …}}, "left_out": {name: [code, text]}}``; replicas without a value in a look are absent from it.
    """
    result: list[dict[str, Json]] = []
    for look, end in enumerate(record.ends.tolist()):
        questions: dict[str, Json] = {}
        left_out: dict[str, Json] = {}
        for name, question in record.questions.items():
            questions[name] = {side.value: _entry(question.side(side), look) for side in Side}
            reason = question.left_out[look]
            if reason is not None:
                left_out[name] = [reason.code, reason.text]
        weight = float(record.weights[look])
        result.append(
            {
                "end": end,
                "weight": None if math.isnan(weight) else weight,
                "questions": questions,
                "left_out": left_out,
            }
        )
    return result


def _entry(side: SideSeries, look: int) -> dict[str, dict[str, Json]]:
    entry: dict[str, dict[str, Json]] = {}
    for row, replica in enumerate(side.replicas):
        values = {name: _plain(array[row, look]) for name, array in side.fields.items()}
        if any(value is not None for value in values.values()):
            entry[replica] = values
    return entry


def _plain(value: FloatArray) -> Json:
    if np.ndim(value) == 0:
        return None if math.isnan(float(value)) else float(value)
    return None if np.isnan(value).any() else value.tolist()


def from_rows(
    grid: Grid,
    looks: Sequence[Mapping[str, Json]],
    *,
    asked: Iterable[str],
    noise: Mapping[str, Noise],
    history: Mapping[str, SideSeries] | None = None,
    edges: Mapping[str, tuple[float, ...]] | None = None,
    notes: Mapping[str, Mapping[str, Json]] | None = None,
    hidden: Iterable[str] = (),
    pairing: Pairing = Pairing.CONCURRENT,
    events: tuple[Json, ...] = (),
) -> Record:
    """
    Return the record that `rows` wrote.

    Parameters
    ----------
    grid : Grid
    looks : sequence of rows
        In order of their ends, as `rows` returns them.
    asked : iterable of str
        Names of the questions; one that no row holds gets sides without replicas.
    noise, history, edges, notes : mappings by question
        See `QuestionRecord`.
    hidden : iterable of str
        Questions whose replicas are not visible.

    Raises
    ------
    InvalidRecord
        Ends that do not rise, or fields that change their shape.
    """
    ends = np.array([float(look["end"]) for look in looks], dtype=np.float64)
    if np.any(np.diff(ends, prepend=grid.start) <= 0):
        raise InvalidRecord("ends of looks must rise from the start of the grid", "/looks")
    weights = np.array(
        [math.nan if look.get("weight") is None else float(look["weight"]) for look in looks],
        dtype=np.float64,
    )
    concealed = set(hidden)
    questions: dict[str, QuestionRecord] = {}
    for name in asked:
        reasons = tuple(
            LeftOut(code=found[0], text=found[1]) if (found := look["left_out"].get(name)) else None for look in looks
        )
        questions[name] = QuestionRecord(
            baseline=_side(name, Side.BASELINE, looks),
            canary=_side(name, Side.CANARY, looks),
            left_out=reasons,
            visible=name not in concealed,
            edges=tuple((edges or {}).get(name, ())),
            noise=noise.get(name),
            history=(history or {}).get(name),
            notes=dict((notes or {}).get(name, {})),
        )
    return Record(grid=grid, ends=ends, questions=questions, weights=weights, pairing=pairing, events=events)


def _side(name: str, side: Side, looks: Sequence[Mapping[str, Json]]) -> SideSeries:
    entries = [look["questions"].get(name, {}).get(side.value, {}) for look in looks]
    return side_series(entries, place=f"/looks/{name}/{side.value}")


def side_series(entries: Sequence[Mapping[str, Mapping[str, Json]]], place: str = "") -> SideSeries:
    """
    Return arrays from one mapping ``{replica: {field: number | list | None}}`` per look.

    Raises
    ------
    InvalidRecord
        A field that is a list in one look and a number, or another length, in another.
    """
    replicas = tuple(sorted({replica for entry in entries for replica in entry}))
    widths: dict[str, int] = {}
    for entry in entries:
        for values in entry.values():
            for field_name, value in values.items():
                width = len(value) if isinstance(value, list) else 0
                if value is None:
                    widths.setdefault(field_name, -1)
                elif widths.get(field_name, -1) in (-1, width):
                    widths[field_name] = width
                else:
                    raise InvalidRecord("must keep its shape over all looks", f"{place}/{field_name}")
    row = {replica: number for number, replica in enumerate(replicas)}
    fields: dict[str, FloatArray] = {}
    for field_name, width in widths.items():
        shape = (len(replicas), len(entries)) + ((width,) if width > 0 else ())
        array = np.full(shape, np.nan)
        for look, entry in enumerate(entries):
            for replica, values in entry.items():
                value = values.get(field_name)
                if value is not None:
                    array[row[replica], look] = value
        array.flags.writeable = False
        fields[field_name] = array
    return SideSeries(replicas=replicas, fields=fields)
