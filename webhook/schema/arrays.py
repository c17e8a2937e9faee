"""Arrays of one side in inline data: replicas by fields, one entry per look, null for what is missing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.types import BoolArray, FloatArray, Json
from webhook.errors import BadRequest
from webhook.schema import scalars
from webhook.schema.problems import did_you_mean, shown, step
from webhook.schema.scalars import refuse

LARGEST = 1e15
"""Numbers stay exact below it, and sums of all of them finite."""
LARGEST_SQUARE = LARGEST**2
MOST_BUCKETS = 1_000
PERCENTILE = re.compile(r"p[0-9]{1,2}(\.[0-9]+)?")
COUNTERS = {
    "proportion": ("bad", "total"),
    "objective": ("bad", "total"),
    "rate": ("events", "exposure"),
    "ratio": ("numerator", "denominator"),
}
"""Fields that come together, by kind of question; instead of them there may be ``values``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """
    One side of one question.

    Parameters
    ----------
    replicas : tuple of str
        Sorted; ``("",)`` where they are not visible, empty where the side has no data.
    fields : mapping of str to ndarray
        ``(R, K)``, or ``(R, K, B)`` for ``counts``; NaN is missing. What belongs together is missing together.
    visible : bool
    looks : int
        K.
    """

    replicas: tuple[str, ...] = ()
    fields: Mapping[str, FloatArray]
    visible: bool = True
    looks: int = 0

    @property
    def width(self) -> int:
        """Return how many numbers one replica has in one look."""
        return sum(array.shape[2] if array.ndim == 3 else 1 for array in self.fields.values())

    @property
    def silent(self) -> BoolArray:
        """Return for each look whether no replica said anything in it, shape ``(K,)``."""
        silent = np.ones(self.looks, dtype=np.bool_)
        for array in self.fields.values():
            silent &= np.isnan(array.reshape(array.shape[0], self.looks, -1)).all(axis=(0, 2))
        return silent

    def as_one(self) -> Side:
        """Return the side as one replica without a name: counts are summed, levels averaged, over what is known."""
        if len(self.replicas) < 2:
            return replace(self, replicas=("",) if self.replicas else (), visible=False)
        fields: dict[str, FloatArray] = {}
        for field, array in self.fields.items():
            known = ~np.isnan(array)
            summed = np.where(known, array, 0.0).sum(axis=0, keepdims=True)
            many = known.sum(axis=0, keepdims=True)
            level = field == "values" or PERCENTILE.fullmatch(field) is not None
            fields[field] = np.where(many > 0, summed / np.maximum(many, 1) if level else summed, math.nan)
        return replace(self, replicas=("",), fields=fields, visible=False)


def read_side(value: Json, place: str, kind: str, edges: Sequence[float]) -> Side:
    """
    Return one side of a question.

    Parameters
    ----------
    value : JSON value
        ``{replica: {field: entries}}``, or ``{field: entries}`` where replicas are not visible, or null.
    place : str
        JSON pointer of the side.
    kind : str
        Of the question: says which fields there may be.
    edges : sequence of float
        Upper bounds of the buckets of ``counts``.

    Raises
    ------
    BadRequest
        Unknown or missing fields, entries that are no numbers, not finite, negative (levels may be), of unequal
        lengths, ``bad`` above ``total``, ``counts`` of another width than ``len(edges) + 1``.
    """
    if value is None:
        return Side(fields={})
    if not isinstance(value, dict):
        raise refuse(place, "must be an object of replicas, or of fields", value)
    levels = {isinstance(part, dict) for part in value.values()}
    if len(levels) == 2:
        raise BadRequest("must hold either replicas or fields, not both", place)
    visible = levels != {False}
    replicas = value if visible else {"": value}
    read: dict[str, dict[str, FloatArray]] = {}
    for name in replicas:
        inside = step(place, name) if visible else place
        if visible and scalars.name(name, inside) is None:
            raise refuse(inside, "must have a name", name)
        read[name] = _replica(replicas[name], inside, kind, edges)
    return _stacked(read, place, visible)


def _stacked(read: Mapping[str, Mapping[str, FloatArray]], place: str, visible: bool) -> Side:
    names = tuple(sorted(read))
    lengths = {name: len(next(iter(read[name].values()))) for name in names}
    looks = next(iter(lengths.values()), 0)
    for name, length in lengths.items():
        if length != looks:
            rule = f"arrays of one question must have one length: {length} here, {looks} before"
            raise BadRequest(rule, step(place, name))
    fields: dict[str, FloatArray] = {}
    for field in sorted({field for name in names for field in read[name]}):
        shape = next(read[name][field].shape for name in names if field in read[name])
        fields[field] = np.stack([read[name].get(field, np.full(shape, math.nan)) for name in names])
    return Side(replicas=names, fields=fields, visible=visible, looks=looks)


def _replica(value: Mapping[str, Json], place: str, kind: str, edges: Sequence[float]) -> dict[str, FloatArray]:
    _known_fields(value, place, kind)
    read: dict[str, FloatArray] = {}
    for field, entries in value.items():
        inside = step(place, field)
        if field == "counts":
            read[field] = _counts(entries, inside, edges)
        else:
            signed = kind == "gauge"
            largest = LARGEST_SQUARE if signed or field == "numerator_squared" else LARGEST
            read[field] = read_numbers(entries, inside, largest, signed=signed)
    looks = len(next(iter(read.values())))
    for field, array in read.items():
        if len(array) != looks:
            rule = f"arrays of one question must have one length: {len(array)} here, {looks} before"
            raise BadRequest(rule, step(place, field))
    pair = COUNTERS.get(kind, ())
    if pair and pair[0] in read:
        _whole_pairs(read, pair)
    if "bad" in read:
        over = np.flatnonzero(read["bad"] > read["total"])
        if over.size:
            look = int(over[0])
            rule = f"must not exceed total ({read['total'][look]:.15g}), got {read['bad'][look]:.15g}"
            raise BadRequest(rule, _entry(value["bad"], step(place, "bad"), look))
    return read


def _known_fields(value: Mapping[str, Json], place: str, kind: str) -> None:
    pair = COUNTERS.get(kind, ())
    known = (*pair, "values", *(("counts", "samples", "p50", "p95", "p99") if kind == "latency" else ()))
    known += ("numerator_squared",) if kind == "ratio" else ()
    for field in value:
        if field not in known and not (kind == "latency" and PERCENTILE.fullmatch(field)):
            near = did_you_mean(field, known)
            rule = f"a {kind} question has no field {shown(field)}{near or f'; it has {chr(44).join(known)}'}"
            raise BadRequest(rule if kind != "limits" else "limits have no data of their own", step(place, field))
    if not value:
        raise BadRequest(f"must have fields: {', '.join(known)}", place)
    for here, other in (pair, pair[::-1]) if pair else ():
        if here in value and other not in value:
            raise BadRequest(f"needs {other!r} beside {here!r}", place)
    if "numerator_squared" in value and "numerator" not in value:
        raise BadRequest("needs 'numerator' beside 'numerator_squared'", place)


def _whole_pairs(read: dict[str, FloatArray], pair: Sequence[str]) -> None:
    """Make what was counted together missing together: half an observation says nothing."""
    holes = np.isnan(read[pair[0]]) | np.isnan(read[pair[1]])
    for field in pair:
        read[field] = np.where(holes, math.nan, read[field])


def _entry(entries: Json, place: str, look: int) -> str:
    return step(place, look) if isinstance(entries, list) else place


def read_numbers(entries: Json, place: str, largest: float = LARGEST, *, signed: bool = False) -> FloatArray:
    """
    Return ``(K,)`` numbers from a list, or from one number, which is one look; null is NaN.

    Parameters
    ----------
    entries : JSON value
    place : str
    largest : float
    signed : bool, default False
        Whether numbers may be negative: a level may be anything, what is counted may not.

    Raises
    ------
    BadRequest
        Place of the first entry that is no number, not finite, above ``largest``, or negative and not ``signed``.
    """
    listed = entries if isinstance(entries, list) else [entries]
    if not {type(entry) for entry in listed} <= {int, float, type(None)}:
        look = next(n for n, entry in enumerate(listed) if type(entry) not in (int, float, type(None)))
        raise refuse(_entry(entries, place, look), "must be a number or null", listed[look])
    try:
        found = np.array([math.nan if entry is None else entry for entry in listed], dtype=np.float64)
    except OverflowError:
        found = np.array(
            [math.nan if entry is None else min(max(entry, -1e300), 1e300) for entry in listed], dtype=np.float64
        )
    given = np.array([entry is not None for entry in listed], dtype=np.bool_)
    wrong = np.flatnonzero(given & ~((found >= (-largest if signed else 0.0)) & (found <= largest)))
    if wrong.size:
        look = int(wrong[0])
        rule = f"must be finite, not negative, and at most {largest:g}"
        rule = f"must be finite and within {largest:g} of zero" if signed else rule
        raise refuse(_entry(entries, place, look), rule, listed[look])
    return found


def _counts(entries: Json, place: str, edges: Sequence[float]) -> FloatArray:
    """Return ``(K, B)`` counts per bucket from a list of looks, or from one flat list, which is one look."""
    width = len(edges) + 1
    if width == 1:
        raise BadRequest("counts of buckets need 'edges' beside baseline and canary", place)
    if width > MOST_BUCKETS:
        raise BadRequest(f"must have at most {MOST_BUCKETS} buckets, got {width}", place)
    if not isinstance(entries, list):
        raise refuse(place, "must be a list of looks, each a list of counts per bucket", entries)
    flat = (
        bool(entries) and not any(isinstance(entry, list) for entry in entries) and entries.count(None) < len(entries)
    )
    looks = [entries] if flat else entries
    found = np.full((len(looks), width), math.nan)
    for look, row in enumerate(looks):
        inside = place if flat else step(place, look)
        if row is None:
            continue
        if not isinstance(row, list) or len(row) != width:
            size = len(row) if isinstance(row, list) else row
            raise refuse(inside, f"must have {width} counts for {width - 1} edges (the last is +Inf)", size)
        if None in row:
            raise refuse(
                step(inside, row.index(None)), "must be a number; a look that is missing is null as a whole", None
            )
        found[look] = read_numbers(row, inside)
    return found
