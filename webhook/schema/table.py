"""
Data as a table in long form, one number a row, to the inline data of ``data.py``.

::

    question,side,replica,time,field,value
    error-rate,baseline,s-1,2026-11-23T10:00:30Z,bad,14
    error-rate,canary,c-1,2026-11-23T10:00:30Z,bad,
    latency,canary,c-1,2026-11-23T10:00:30Z,counts:0.25,44
    latency,canary,c-1,2026-11-23T10:00:30Z,counts:+Inf,1

``time`` is the end of a look. ``side`` is ``baseline``, ``canary`` or ``history`` (of the baseline). An empty
replica means that replicas are not visible, an empty value that the number is missing. Counts of buckets are not
cumulative.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from analysis.record import MAX_LOOKS
from analysis.types import Json
from webhook.errors import BadRequest
from webhook.schema import scalars
from webhook.schema.data import USUAL_STEP
from webhook.schema.problems import did_you_mean, shown

COLUMNS = ("question", "side", "replica", "time", "field", "value")
SIDES = ("baseline", "canary", "history")
BUCKET = "counts:"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """One row."""

    line: int
    question: str
    side: str
    replica: str
    time: float
    field: str
    value: float | None

    @property
    def series(self) -> tuple[str, str, str, str]:
        return self.question, self.side, self.replica, self.field


def read_table(text: str) -> dict[str, Json]:
    """
    Return inline data from a CSV text.

    Parameters
    ----------
    text : str
        With the header above; columns may stand in any order, rows of different series too.

    Returns
    -------
    dict
        ``start``, ``step_seconds`` and ``questions``, as ``POST /v1/analysis`` takes them. The step is the smallest
        distance of two times (60 s if there is one time only); a look that has no row is missing.

    Raises
    ------
    BadRequest
        Line, rule and value of the first thing that is wrong.
    """
    cells = list(_cells(text))
    if not cells:
        raise BadRequest("needs at least one row", "line 2")
    times = sorted({cell.time for cell in cells})
    length = min((b - a for a, b in pairwise(times)), default=USUAL_STEP)
    present = [cell for cell in cells if cell.side != "history"]
    first = min((cell.time for cell in present), default=times[0])
    looks = _looks(cells, first, length)
    data: dict[str, Json] = {"start": first - length, "step_seconds": length, "questions": {}}
    for name in dict.fromkeys(cell.question for cell in cells):
        mine = [cell for cell in cells if cell.question == name]
        data["questions"][name] = _question(mine, looks, first, length)
    return data


def _cells(text: str) -> Iterator[_Cell]:
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    newest: dict[tuple[str, str, str, str], float] = {}
    try:
        header = [word.strip() for word in next(rows, [])]
        if sorted(header) != sorted(COLUMNS):
            raise BadRequest(f"must be the columns {','.join(COLUMNS)}, got {shown(','.join(header))}", "line 1")
        for row in rows:
            if row:
                cell = _cell(row, header, rows.line_num)
                if cell.time <= newest.get(cell.series, -math.inf):
                    rule = "times of one series must rise, and stand once"
                    raise BadRequest(f"{rule}, got {cell.time:.15g}", f"line {cell.line}")
                newest[cell.series] = cell.time
                yield cell
    except csv.Error as error:
        raise BadRequest(f"must be CSV: {error}", f"line {rows.line_num}") from error


def _cell(row: Sequence[str], header: Sequence[str], line: int) -> _Cell:
    place = f"line {line}"
    if len(row) != len(header):
        raise BadRequest(f"must have {len(header)} columns, got {len(row)}", place)
    words = {name: word.strip() for name, word in zip(header, row, strict=True)}
    if words["side"] not in SIDES:
        near = did_you_mean(words["side"], SIDES)
        raise BadRequest(f"must be one of {', '.join(SIDES)}, got {shown(words['side'])}{near}", f"{place}, side")
    time = scalars.time(words["time"], f"{place}, time", loose=True)
    if time is None or not words["question"] or not words["field"]:
        raise BadRequest("needs question, time and field", place)
    value = scalars.number(words["value"], f"{place}, value", loose=True)
    return _Cell(
        line=line,
        question=words["question"],
        side=words["side"],
        replica=words["replica"],
        time=time,
        field=words["field"],
        value=value,
    )


def _number_of(cell: _Cell, first: float, length: float) -> int:
    """Return the number of a cell's look, counted from the first of the data; those of the history are negative."""
    look = (cell.time - first) / length
    if abs(look - round(look)) > 1e-6 * max(1.0, abs(look)):
        rule = f"must lie on the grid of {length:.15g} s from {first:.15g}"
        raise BadRequest(f"{rule}, got {cell.time:.15g}", f"line {cell.line}, time")
    return round(look)


def _looks(cells: Sequence[_Cell], first: float, length: float) -> int:
    """Return how many looks the data has, after checking that every time lies on its grid."""
    last = 0
    for cell in cells:
        number = _number_of(cell, first, length)
        if abs(number) >= MAX_LOOKS:
            raise BadRequest(f"must have at most {MAX_LOOKS:,} looks of {length:.15g} s", f"line {cell.line}, time")
        last = max(last, number) if cell.side != "history" else last
    return last + 1


def _question(cells: Sequence[_Cell], looks: int, first: float, length: float) -> dict[str, Json]:
    edges = sorted({_edge(cell) for cell in cells if cell.field.startswith(BUCKET)} - {math.inf})
    found: dict[str, Json] = {"edges": edges} if edges else {}
    for side in SIDES:
        mine = [(_number_of(cell, first, length), cell) for cell in cells if cell.side == side]
        if mine and side != "history":
            found[side] = _side(mine, edges, 0, looks)
        elif mine:
            begin, end = min(number for number, _ in mine), max(number for number, _ in mine)
            content = _side(mine, edges, begin, end - begin + 1)
            found["history"] = {"start": first + (begin - 1) * length, "baseline": content}
    return found


def _edge(cell: _Cell) -> float:
    word = cell.field.removeprefix(BUCKET)
    if word in ("+Inf", "Inf", "inf", "+inf"):
        return math.inf
    edge = scalars.number(word, f"line {cell.line}, field", loose=True)
    if edge is None:
        raise BadRequest("needs an upper bound, like counts:0.25", f"line {cell.line}, field")
    return edge


def _side(cells: Sequence[tuple[int, _Cell]], edges: Sequence[float], begin: int, count: int) -> Mapping[str, Json]:
    """Return replicas with their arrays of ``count`` entries from look ``begin`` on, null where there is no row."""
    bounds = [*edges, math.inf]
    read: dict[str, dict[str, Json]] = {}
    for number, cell in cells:
        fields = read.setdefault(cell.replica, {})
        if cell.field.startswith(BUCKET):
            rows = fields.setdefault("counts", [[None] * len(bounds) for _ in range(count)])
            rows[number - begin][bounds.index(_edge(cell))] = cell.value
        else:
            fields.setdefault(cell.field, [None] * count)[number - begin] = cell.value
    for fields in read.values():
        if "counts" in fields:
            fields["counts"] = [row if any(n is not None for n in row) else None for row in fields["counts"]]
    return read[""] if set(read) == {""} else read
