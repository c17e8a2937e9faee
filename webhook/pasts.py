"""
Reading what a service did before a release and at the same hours of earlier days, for where its baseline is gone.

Once per attempt, in coarse bins, all days at once: each query is asked with an offset of so many days over one span, so
its price is that of a few hours per day. What comes back is kept in the record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from analysis.compare.scores import midpoints
from analysis.gone import gone_since
from analysis.latencies import UNITS
from analysis.past import DAY, PAST, Past
from analysis.policy import Latency, Policy, Proportion, Question, Rate
from analysis.record import Record
from analysis.types import FloatArray, Json, Side
from webhook import queries
from webhook.errors import SourceFault
from webhook.expressions import FIELDS, NO_QUANTILE, Asking, duration, over_time, parts_of, template_of, total_of
from webhook.frames import Framing, is_histogram
from webhook.natives import cumulative
from webhook.ports import Points, Query, Span
from webhook.releases import Attempt
from webhook.selectors import asks_for_label, narrowed, set_label, suffixed

BIN: Final = 300.0
BEFORE: Final = 48
"""Bins before the start: four hours."""
LONGEST: Final = 12 * 3600.0
"""Seconds after the start that are read of earlier days, at most; half a day keeps a day's window out of the next."""
SHORTEST: Final = 4 * 3600.0
TRIES: Final = 3
RELEASED: Final = 3600.0
"""Seconds that an earlier release of unknown end is taken to have lasted."""
GLANCES: Final = 5
"""How often in a bin a level is read, and who is there."""
ANY_HASH: Final = "[4-9bcdf]{1,10}"
_MATCHER = re.compile(r'([A-Za-z_][A-Za-z0-9_]*\s*)(=~|=)(\s*)"((?:\\.|[^"\\])*)"')


def widened(matchers: str) -> str:
    r"""
    Return the widest sound form of a side's matchers: ``$baseline`` stands for every pod template hash.

    Before the switch, and on earlier days, the workload carried other hashes; a selector without one is wide already.

    >>> widened('namespace="$namespace", pod=~"$name-$baseline-[a-z0-9]{5}"')
    'namespace="$namespace", pod=~"$name-[4-9bcdf]{1,10}-[a-z0-9]{5}"'
    >>> widened('rollouts_pod_template_hash="$baseline"'), widened('role="stable"')
    ('rollouts_pod_template_hash=~"[4-9bcdf]{1,10}"', 'role="stable"')
    """

    def wide(match: re.Match[str]) -> str:
        label, operator, space, value = match.groups()
        if "$baseline" not in value or (operator == "=" and value != "$baseline"):
            return match.group()
        return f'{label}=~{space}"{value.replace("$baseline", ANY_HASH)}"'

    return _MATCHER.sub(wide, matchers)


def missing(policy: Policy, frame: Mapping[str, Json], record: Record) -> bool:
    """Return whether the past is to be read now: some baseline is gone, and it was neither read nor given up."""
    if PAST in frame or int(frame.get("past_tries", 0)) >= TRIES:
        return False
    return any(gone_since(question, record) is not None for question in queries.asked(policy))


def read_past(framing: Framing, frame: Mapping[str, Json], known: Sequence[Attempt]) -> dict[str, Json]:
    """
    Return a frame with the past of every question in its notes; one that could not be read is tried again next time.

    Parameters
    ----------
    framing : Framing
    frame : mapping
        With start, labels and bucket bounds.
    known : sequence of Attempt
        Attempts at this release name: a day with one of them inside is left out.
    """
    start = float(frame["start"])
    after = int(min(max(framing.policy.deadline.after, SHORTEST), LONGEST) // BIN)
    skipped = dict(_releases(known, framing.attempt, start, after))
    backs = [0, *(back for back in range(1, framing.policy.days + 1) if back not in skipped)]
    span = Span(start=start + BIN * (1 - BEFORE), end=start + BIN * after, step=BIN)
    notes = dict(frame.get("notes", {}))
    asked = [q for q in queries.asked(framing.policy) if not _unread(q, frame) and PAST not in notes.get(q.name, {})]
    failed = False
    # Native histograms are by far the largest answers: one that fails takes nothing from the others.
    for native in (False, True):
        some = [question for question in asked if _native(question, frame) is native]
        try:
            found = _read(framing, frame, some, backs, span) if some else {}
        except SourceFault:
            failed = True
            continue
        for name, told in found.items():
            document = replace(told, skipped=tuple(sorted(skipped.items()))).document()
            notes[name] = {**notes.get(name, {}), PAST: document}
    if failed:
        return {**frame, "notes": notes, "past_tries": int(frame.get("past_tries", 0)) + 1}
    return {**frame, "notes": notes, PAST: [back for back in backs if back]}


def _read(
    framing: Framing, frame: Mapping[str, Json], some: Sequence[Question], backs: Sequence[int], span: Span
) -> dict[str, Past]:
    """Return the past of some questions by name, of those that the hours before the start know."""
    plan = {
        (question.name, back): tuple(_queries(framing, frame, question, back)) for question in some for back in backs
    }
    answer = framing.reader.fetch(tuple(dict.fromkeys(query for day in plan.values() for query in day)), span)
    result = {}
    for question in some:
        rows = [_row(question, frame, [answer.points[q] for q in plan[question.name, back]], span) for back in backs]
        part, whole = (np.stack([row[n] for row in rows]) for n in (0, 1))
        part[0, BEFORE:] = whole[0, BEFORE:] = np.nan  # the day of the release ends with its start
        if np.isfinite(whole[0]).any():
            result[question.name] = Past(
                start=float(frame["start"]), step=BIN, before=BEFORE, backs=tuple(backs), part=part, whole=whole
            )
    return result


def _releases(known: Sequence[Attempt], mine: Attempt, start: float, after: int) -> Iterator[tuple[int, str]]:
    """Yield days on which another release fell into the hours that would be compared, and which."""
    for one in known:
        if (one.key, one.attempt) == (mine.key, mine.attempt):
            continue
        begun = one.started_at or one.opened_at
        ended = one.finished_at or one.ended_at or begun + RELEASED
        for back in range(1, 15):
            first = start - back * DAY - BEFORE * BIN
            if begun < first + (BEFORE + after) * BIN and ended > first:
                yield back, f"release {one.revision or 'unknown'}"


def _is_counted(question: Question) -> bool:
    """Return whether a question counts a part of a whole: events of requests, of an exposure, of time."""
    return isinstance(question, Proportion | Rate) and (total_of(question) is not None or over_time(question))


def _native(question: Question, frame: Mapping[str, Json]) -> bool:
    """Return whether a question reads a native histogram."""
    return is_histogram(question) and bool(frame.get("native", {}).get(question.name))


def _unread(question: Question, frame: Mapping[str, Json]) -> bool:
    """Return whether a question has no past that can be read: buckets without bounds yet, nothing to ask for."""
    unbound = is_histogram(question) and question.name not in frame.get("edges", {})
    return unbound or template_of(question) is None


class _Then:
    """One question on one earlier day: expressions for all replicas of any hash together."""

    def __init__(self, framing: Framing, question: Question, back: int) -> None:
        self.asking = Asking(framing.policy, question, framing.names, BIN)
        self.asking.sides = {**self.asking.sides, Side.BASELINE: widened(self.asking.sides[Side.BASELINE])}
        self.shift = f" offset {duration(back * DAY)}" if back else ""
        self.question, self.back = question, back

    def query(self, field: str, expr: str, *, increments: bool = True) -> Query:
        return Query(question=self.question.name, field=f"past {field} {self.back}", expr=expr, increments=increments)

    def text(self, template: str) -> str:
        return self.asking.text(template, Side.BASELINE)

    def _ours(self, expr: str) -> str:
        """Return what of an expression belongs to the workload, where only an info series tells."""
        info = self.asking.info
        if info is None:
            return expr
        return f"({expr} and on ({', '.join(info.match)}) {self.asking.alive(Side.BASELINE)}{self.shift})"

    def grown(self, field: str, series: Sequence[str], by: str = "") -> Query:
        """Return the query of what counters grew by in a bin, all together."""
        parts = [f"sum{by}({self._ours(f'increase({one}[{duration(BIN)}]{self.shift})')})" for one in series]
        # A part that never was is nothing, and is added to nothing.
        expr = parts[0] if len(parts) == 1 else " + ".join(f"({part} or vector(0))" for part in parts)
        return self.query(field, expr)

    def lived(self, field: str, events: str) -> Query:
        """Return the query of the replica-seconds of a bin, see `webhook.expressions.Asking.time`."""
        up = self.asking.alive(Side.BASELINE)
        there = up if self.asking.info is not None or not self.asking.replica else f"({up} or {self.text(events)})"
        by = ", ".join(self.asking.replica or ("instance", "pod"))
        glances = f"(count(group by ({by}) ({there})))[{duration(BIN)}:{duration(BIN / GLANCES)}]{self.shift}"
        # The mean, not the sum: sources differ in whether a range holds the glance at its begin.
        return self.query(field, f"{BIN!r} * avg_over_time({glances})")

    def level(self, template: str) -> Query:
        """Return the query of the mean of a level in a bin, over all replicas."""
        level = f"avg_over_time(({self.text(template)})[{duration(BIN)}:{duration(BIN / GLANCES)}]{self.shift})"
        return self.query("values", f"avg({self._ours(level)})", increments=False)


def _queries(framing: Framing, frame: Mapping[str, Json], question: Question, back: int) -> Iterator[Query]:
    """Yield the queries of one question on one day: a part and a whole, buckets, or a level."""
    then = _Then(framing, question, back)
    if isinstance(question, Latency) and question.histogram is not None:
        if _native(question, frame):
            yield then.grown("counts", [narrowed(then.text(question.histogram), NO_QUANTILE)])
        else:
            yield then.grown("counts", [then.text(suffixed(question.histogram, "_bucket"))], " by (le) ")
    elif _is_counted(question):
        label = frame.get("labels", {}).get(question.name)
        part, whole = FIELDS[question.kind]
        total, parts = total_of(question), parts_of(question)[1]
        yield then.lived(whole, template_of(question) or "") if total is None else then.grown(whole, [then.text(total)])
        if any(asks_for_label(one) for one in parts):
            parts = tuple(set_label(one, label) for one in parts) if label else ()
        if parts:
            yield then.grown(part, [then.text(one) for one in parts])
    else:
        yield then.level(template_of(question) or "")


def _row(
    question: Question, frame: Mapping[str, Json], answers: Sequence[Sequence[Points]], span: Span
) -> tuple[FloatArray, FloatArray]:
    """Return part and whole of each bin of one day; NaN where nothing is known."""
    bins = round((span.end - span.start) / span.step) + 1
    if isinstance(question, Latency) and question.histogram is not None:
        edges = np.array(frame["edges"][question.name], dtype=np.float64)
        upto = _native_upto if _native(question, frame) else _upto
        return _logs(upto(answers[0], edges, span, bins), edges, UNITS[question.unit])
    if _is_counted(question):
        whole = _line(answers[0], span, bins)
        part = _line(answers[1], span, bins) if len(answers) > 1 else np.full(bins, np.nan)
        known = np.isfinite(whole) & (whole > 0)
        # Bad events that never were have no series; that their label is right, the frame has checked.
        bad = np.where(np.isfinite(part), part, 0.0 if len(answers) > 1 else np.nan)
        return np.where(known, bad, np.nan), np.where(known, whole, np.nan)
    level = _line(answers[0], span, bins)
    known = np.isfinite(level) & (level > 0)
    return np.where(known, np.log(np.where(known, level, 1.0)), np.nan), np.where(known, 1.0, np.nan)


def _line(points: Sequence[Points], span: Span, bins: int) -> FloatArray:
    """Return one number per bin, NaN where there is none; several series are added up."""
    found = np.full(bins, np.nan)
    for one in points:
        place = np.rint((one.times - span.start) / span.step).astype(np.int64)
        inside = (place >= 0) & (place < bins)
        np.put(found, place[inside], np.nan_to_num(found[place[inside]]) + one.values[inside])
    return found


def _upto(points: Sequence[Points], edges: FloatArray, span: Span, bins: int) -> FloatArray:
    """Return how many requests of each bin took at most each bound, (E + 1, bins); NaN where that is not known."""
    below = {float(one.labels["le"]): _line([one], span, bins) for one in points if one.labels.get("le")}
    bounds = [*edges.tolist(), np.inf]
    lines = [next((line for le, line in below.items() if np.isclose(le, bound)), None) for bound in bounds]
    return np.stack([np.full(bins, np.nan) if line is None else line for line in lines])


def _native_upto(points: Sequence[Points], edges: FloatArray, span: Span, bins: int) -> FloatArray:
    """Return the same of native histograms; a bound that a bucket crosses has no count in that bin."""
    found = np.full((len(edges) + 1, bins), np.nan)
    for one in points:
        for moment, buckets in zip(one.times.tolist(), one.histograms, strict=True):
            place = round((moment - span.start) / span.step)
            if 0 <= place < bins:
                found[:, place] = np.nan_to_num(found[:, place]) + cumulative(buckets, edges)
    return found


def _logs(upto: FloatArray, edges: FloatArray, unit: float) -> tuple[FloatArray, FloatArray]:
    """Return the sum of the logarithms of all latencies and how many there were, by the bounds of the record."""
    counts = np.maximum(np.diff(upto, axis=0, prepend=0.0), 0.0)
    whole = counts.sum(axis=0)
    known = np.isfinite(whole) & (whole > 0)
    part = midpoints(edges * unit) @ np.nan_to_num(counts)
    return np.where(known, part, np.nan), np.where(known, whole, np.nan)
