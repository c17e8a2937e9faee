"""
Reading what a service did before a release and at the same hours of earlier days, for where its baseline is gone.

Once per attempt, in coarse bins, all days at once: each query is asked with an offset of so many days over one span, so
its price is that of a few hours per day. What comes back is kept in the record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from analysis.compare.scores import midpoints
from analysis.gone import COUNTED, gone_since
from analysis.latencies import UNITS
from analysis.past import DAY, PAST, Past
from analysis.policy import Latency, Policy, Proportion, Question, Rate
from analysis.record import Record
from analysis.types import FloatArray, Json, Side
from webhook import queries
from webhook.errors import SourceFault
from webhook.expressions import FIELDS, Asking, duration, over_time, parts_of, template_of, total_of
from webhook.frames import Framing
from webhook.ports import Points, Query, Span
from webhook.releases import Attempt
from webhook.selectors import asks_for_label, set_label, suffixed

BIN: Final = 300.0
BEFORE: Final = 48
"""Bins before the start: four hours."""
LONGEST: Final = 12 * 3600.0
"""Seconds after the start that are read of earlier days, at most; half a day keeps a day's window out of the next."""
SHORTEST: Final = 4 * 3600.0
TRIES: Final = 3
RELEASED: Final = 3600.0
"""Seconds that an earlier release of unknown end is taken to have lasted."""
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
    asked = [q for q in queries.asked(framing.policy) if not _unread(q, frame)]
    plan = {(q.name, back): tuple(_queries(framing, frame, q, back)) for q in asked for back in backs}
    span = Span(start=start + BIN * (1 - BEFORE), end=start + BIN * after, step=BIN)
    try:
        answer = framing.reader.fetch(tuple(dict.fromkeys(q for some in plan.values() for q in some)), span)
    except SourceFault:
        return {**frame, "past_tries": int(frame.get("past_tries", 0)) + 1}
    notes = dict(frame.get("notes", {}))
    for question in asked:
        rows = [_row(question, frame, [answer.points[q] for q in plan[question.name, back]], span) for back in backs]
        part, whole = (np.stack([row[n] for row in rows]) for n in (0, 1))
        part[0, BEFORE:] = whole[0, BEFORE:] = np.nan  # the day of the release ends with its start
        if np.isfinite(whole[0]).any():
            found = Past(
                start=start, step=BIN, before=BEFORE, backs=tuple(backs), part=part, whole=whole,
                skipped=tuple(sorted(skipped.items())),
            )  # fmt: skip
            notes[question.name] = {**notes.get(question.name, {}), PAST: found.document()}
    return {**frame, "notes": notes, PAST: [back for back in backs if back]}


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


def _unread(question: Question, frame: Mapping[str, Json]) -> bool:
    """Return whether a question has no past that can be read: native histograms, events over time, no bounds yet."""
    native = bool(frame.get("native", {}).get(question.name))
    unbound = (
        isinstance(question, Latency) and question.histogram is not None and question.name not in frame.get("edges", {})
    )
    return native or unbound or over_time(question) or template_of(question) is None


def _queries(framing: Framing, frame: Mapping[str, Json], question: Question, back: int) -> Iterator[Query]:
    """Yield the queries of one question on one day: a part and a whole, buckets, or a level."""
    asking = Asking(framing.policy, question, framing.names, BIN)
    asking.sides = {**asking.sides, Side.BASELINE: widened(asking.sides[Side.BASELINE])}
    shift = f" offset {duration(back * DAY)}" if back else ""

    def grown(field: str, selectors: Sequence[str], by: str = "") -> Query:
        parts = [f"sum{by}(increase({asking.text(one, Side.BASELINE)}[{duration(BIN)}]{shift}))" for one in selectors]
        # A part that never was is nothing, and is added to nothing.
        expr = parts[0] if len(parts) == 1 else " + ".join(f"({part} or vector(0))" for part in parts)
        return Query(question=question.name, field=f"past {field} {back}", expr=expr)

    if isinstance(question, Latency) and question.histogram is not None:
        yield grown("counts", [suffixed(question.histogram, "_bucket")], " by (le) ")
    elif isinstance(question, Proportion | Rate) and (whole := total_of(question)) is not None:
        label = frame.get("labels", {}).get(question.name)
        parts = parts_of(question)[1]
        if any(asks_for_label(part) for part in parts):
            parts = tuple(set_label(part, label) for part in parts) if label else ()
        yield grown(FIELDS[question.kind][1], [whole])
        if parts:
            yield grown(FIELDS[question.kind][0], parts)
    else:
        level = asking.text(template_of(question) or "", Side.BASELINE)
        expr = f"avg(avg_over_time(({level})[{duration(BIN)}:{duration(BIN / 5)}]{shift}))"
        yield Query(question=question.name, field=f"past values {back}", expr=expr, increments=False)


def _row(
    question: Question, frame: Mapping[str, Json], answers: Sequence[Sequence[Points]], span: Span
) -> tuple[FloatArray, FloatArray]:
    """Return part and whole of each bin of one day; NaN where nothing is known."""
    bins = round((span.end - span.start) / span.step) + 1
    if isinstance(question, Latency) and question.histogram is not None:
        edges = np.array(frame["edges"][question.name], dtype=np.float64)
        return _logs(answers[0], edges, UNITS[question.unit], span, bins)
    if question.kind in COUNTED and total_of(question) is not None:
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


def _logs(
    points: Sequence[Points], edges: FloatArray, unit: float, span: Span, bins: int
) -> tuple[FloatArray, FloatArray]:
    """Return the sum of the logarithms of all latencies and how many there were, by the bounds of the record."""
    below = {float(one.labels["le"]): _line([one], span, bins) for one in points if one.labels.get("le")}
    bounds = [*edges.tolist(), np.inf]
    lines = [next((line for le, line in below.items() if np.isclose(le, bound)), None) for bound in bounds]
    if any(line is None for line in lines):
        return np.full(bins, np.nan), np.full(bins, np.nan)
    upto = np.stack([line for line in lines if line is not None])
    counts = np.maximum(np.diff(upto, axis=0, prepend=0.0), 0.0)
    whole = counts.sum(axis=0)
    known = np.isfinite(whole) & (whole > 0)
    part = midpoints(edges * unit) @ np.nan_to_num(counts)
    return np.where(known, part, np.nan), np.where(known, whole, np.nan)
