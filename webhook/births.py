"""
Births of an earlier roll-out: when pods of a workload were born within retention, and the first hour of some of them.

A release is often the first thing that happened to its pods in days, so the hours before it show nobody young. Then one
query asks when every pod of any hash was first seen within a week, and the newest bursts of births are read with the
questions' own queries. Once per attempt and question; what cannot be read leaves the rule for unknown births in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from analysis.closing import Closed, close_looks
from analysis.policy import Gauge, Latency, Policy, Quantile, Question, Ratio, Select
from analysis.record import side_series
from analysis.types import FloatArray, Json, Side
from analysis.warmup import FEWEST_BIRTHS, MINUTE, OBSERVED, grown_up, learned_length
from analysis.youth import WARM_UP
from webhook import queries
from webhook.errors import SourceFault
from webhook.expressions import Asking, duration, select_of, template_of
from webhook.frames import Framing, Reader, is_histogram, plan_of, readings_of
from webhook.histories import SETTLING
from webhook.nursery import curves
from webhook.pasts import widened
from webhook.ports import Query, Span
from webhook.selectors import first_selector

LOOK_BACK: Final = 7 * 86400.0
COARSE: Final = 300.0
"""Seconds between two glances at who is there: as long as a source takes a series to be the same one."""
HOUR: Final = OBSERVED * MINUTE
ENOUGH: Final = 12
"""Births after which no older burst is read."""
MOST_BURSTS: Final = 3
LEAD: Final = COARSE + 2 * SETTLING
"""Seconds that are read before the first birth of a burst: its glance may have come so much late."""
TRIES: Final = 3
MOST_SECONDS: Final = 3.0
"""Of what is left of a verdict's time with its source."""
NURSED: Final = "nursed"
NOBODY: Final = 'weighbridge="nobody"'
"""A matcher that no series fulfils."""

Born = Mapping[str, float]
"""Replica to unix seconds of its first glance, at most `COARSE` late."""


def unread(policy: Policy, frame: Mapping[str, Json]) -> list[Question]:
    """Return the questions whose young replicas no birth so far has told of, and that can be read now."""
    if policy.looks.warm_up is not None or int(frame.get("birth_tries", 0)) >= TRIES:
        return []
    found: list[Question] = []
    for question in queries.asked(policy):
        if not isinstance(question, Gauge | Latency | Quantile | Ratio) or question.warm_up is not None:
            continue
        learned = frame.get("notes", {}).get(question.name, {}).get(WARM_UP, {}).get("length")
        bounds = not is_histogram(question) or question.name in frame.get("edges", {})
        visible = bool(queries.replica_labels(policy, question.name))
        if learned is None and bounds and visible and question.name not in frame.get(NURSED, ()):
            found.append(question)
    return found


def read_births(framing: Framing, frame: Mapping[str, Json]) -> dict[str, Json]:
    """
    Return a frame with what births of earlier days taught: ``warm_up`` in the notes of its questions.

    Parameters
    ----------
    framing : Framing
    frame : mapping
        With start, labels and bucket bounds.

    Notes
    -----
    A source that is down, or would have to say more than it may, teaches nothing: that is noted (``birth_note``) and
    tried again, three times in all.
    """
    asked = unread(framing.policy, frame)
    chosen = of_any_hash(framing.policy, asked)
    reader = framing.reader
    brief = Reader(source=reader.source, left=lambda: min(reader.left(), MOST_SECONDS), waited=reader.waited)
    short = replace(framing, policy=chosen, reader=brief)
    try:
        told = _told(short, frame)
    except SourceFault as fault:
        tries = int(frame.get("birth_tries", 0)) + 1
        note = f"births of earlier days could not be read: {fault.message[:120]}"
        return {**frame, "birth_tries": tries, "birth_note": note}
    notes: dict[str, Json] = dict(frame.get("notes", {}))
    for name, found in told.items():
        known = notes.get(name, {})
        if found["births"] >= known.get(WARM_UP, {}).get("births", 0):
            notes[name] = {**known, WARM_UP: found}
    nursed = sorted({*frame.get(NURSED, ()), *(question.name for question in asked)})
    rest = {key: value for key, value in frame.items() if key != "birth_note"}
    return {**rest, "notes": notes, NURSED: nursed}


def of_any_hash(policy: Policy, asked: Sequence[Question]) -> Policy:
    """
    Return a policy of some questions whose baseline is the workload under any pod template hash.

    A canary that is selected by its hash is among them; one that is told apart otherwise stays the canary: earlier
    canaries were born there.
    """
    chosen = []
    for question in asked:
        _, matched, replica = select_of(policy, question)
        wide, other = widened(matched[Side.BASELINE]), matched[Side.CANARY]
        canary = f"{wide}, {NOBODY}" if "$canary" in other else other
        chosen.append(replace(question, select=Select(baseline=wide, canary=canary, replica=replica)))
    return replace(policy, questions=tuple(chosen))


def _told(framing: Framing, frame: Mapping[str, Json]) -> dict[str, Json]:
    """Return what was learned, by question."""
    start = float(frame["start"])
    told: dict[str, Json] = {}
    for born, asked in _glances(framing, start):
        found: dict[str, dict[str, FloatArray]] = {question.name: {} for question in asked}
        some = replace(framing, policy=replace(framing.policy, questions=tuple(asked)))
        for burst in bursts(born, start):
            closed = _first_hours(some, frame, [born[name] for name in burst])
            for question in asked:
                found[question.name].update(_grown(question, closed, born, burst))
        for name, many in found.items():
            if many:
                ago = start - max(born[replica] for replica in many)
                told[name] = {"length": learned_length(np.array([*many.values()])), "births": len(many), "ago": ago}
    return told


def _glances(framing: Framing, start: float) -> Iterator[tuple[Born, list[Question]]]:
    """Yield who was born when within the look-back, with the questions that see these replicas."""
    alike: dict[str, list[Question]] = {}
    for question in framing.policy.questions:
        alike.setdefault(glance(framing, question, up=True).expr, []).append(question)
    for asked in alike.values():
        for up in (True, False):
            query = glance(framing, asked[0], up=up)
            points = framing.reader.fetch([query], Span(start=start, end=start, step=1.0)).points[query]
            born: dict[str, float] = {}
            for one in points:
                name = "/".join(one.labels.get(label, "") for label in query.replica)
                born[name] = min(born.get(name, np.inf), float(one.values[-1]))
            if born:
                break
        yield born, asked


def glance(framing: Framing, question: Question, *, up: bool) -> Query:
    """
    Return the query of when each replica was first seen within the look-back, unix seconds.

    Parameters
    ----------
    framing : Framing
        With a policy of `of_any_hash`.
    question : Question
    up : bool
        Whether to ask for the targets, which are few series; else for what the question counts.
    """
    asking = Asking(framing.policy, question, framing.names, 1.0)
    by = ", ".join(asking.replica)
    series = first_selector(template_of(question) or "") or ""
    found = []
    for side in Side:
        text = asking.alive(side) if up or not series or asking.info is not None else asking.text(series, side)
        first = f"min_over_time(timestamp({text})[{duration(LOOK_BACK)}:{duration(COARSE)}])"
        found.append(f"min by ({by}) ({first})")
    return Query(
        question=question.name, field="born", expr=" or ".join(found), replica=asking.replica, increments=False
    )


def bursts(born: Born, start: float) -> list[list[str]]:
    """
    Return the newest births in groups that are read together, newest group first.

    Parameters
    ----------
    born : mapping
    start : float
        Of the release, unix seconds: a birth needs its whole first hour before it.

    Returns
    -------
    list of list of str
        Groups of births within an hour. Nothing if fewer than five births are known: whoever was there at the first
        glance is no birth.
    """
    if not born:
        return []
    begun = max(min(born.values()), start - LOOK_BACK) + 2 * COARSE
    late = sorted((when, name) for name, when in born.items() if begun < when <= start - HOUR)[::-1]
    if len(late) < FEWEST_BIRTHS:
        return []
    found: list[list[str]] = []
    while late and len(found) < MOST_BURSTS and sum(len(burst) for burst in found) < ENOUGH:
        burst = [(when, name) for when, name in late if when > late[0][0] - HOUR]
        found.append([name for _, name in burst])
        late = late[len(burst) :]
    return found


def _first_hours(framing: Framing, frame: Mapping[str, Json], born: Sequence[float]) -> Closed:
    """Return looks of about a minute from before the first of some births to an hour after the last."""
    step, length = float(frame["step"]), float(frame["length"])
    look = length * max(1.0, MINUTE // length)
    begin = (min(born) - LEAD) // look * look
    ends = begin + look * np.arange(1, int((max(born) + HOUR - begin) // look) + 1)
    plan = plan_of(frame, framing.policy, framing.names)
    answer = framing.reader.fetch(plan, Span(start=begin + step, end=float(ends[-1]), step=step))
    return close_looks(readings_of(frame, framing.policy, framing.names, answer), start=begin, ends=ends)


def _grown(question: Question, closed: Closed, born: Born, burst: Sequence[str]) -> dict[str, FloatArray]:
    """Return the curve of each birth of a burst that was seen from its youth to its old age."""
    sights: dict[str, float] = {}
    for replicas in closed.seen.get(question.name, {}).values():
        for name, first in replicas.items():
            sights[name] = min(sights.get(name, np.inf), first)
    begin = float(closed.rows[0]["end"])
    # What was there when reading began is as old as the glance says; the others are born when they are first seen.
    births = {name: first if first > begin + SETTLING else born.get(name, -np.inf) for name, first in sights.items()}
    wanted = {name for name in burst if sights.get(name, -np.inf) > begin + SETTLING}
    entries = [
        {name: values for side in row["questions"].get(question.name, {}).values() for name, values in side.items()}
        for row in closed.rows
    ]
    ends = np.array([row["end"] for row in closed.rows], dtype=np.float64)
    edges = closed.edges.get(question.name, ())
    found = curves(question, side_series(entries), edges, births, ends, wanted)
    return {name: curve for name, curve in found.items() if grown_up(curve)}
