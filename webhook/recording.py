"""
Extending the record of an attempt: what is newer than its last closed look is read, closed and appended.

The frame of a record (grid, labels, noise) is found once at the start of an attempt and kept with it; wiped, it is
found again by the same code from the source.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from analysis.closing import Closed, close_looks
from analysis.noise import FEWEST_LOOKS, Noise, learn
from analysis.policy import Policy, Proportion
from analysis.record import Grid, Record, from_rows, side_series
from analysis.series import scrape_interval, start_of_presence
from analysis.types import Json
from webhook import queries
from webhook.errors import SourceDown, SourceFault
from webhook.ports import Answer, Query, Source, Span, Store
from webhook.readings import readings
from webhook.releases import Attempt, Caller
from webhook.schema.request import Ask

FEWEST_SCRAPES_GAP = 5
SHORTEST_GAP = 120.0
"""A canary that was not seen for max(5 scrapes, 2 min) begins anew."""
SHORTEST_LOOK = 10.0
HISTORIES = (1.0, 0.25, 1 / 16, 0.0)
"""Shares of the wanted history that are tried in turn, where the source cannot give more in time."""
LEAST_SECONDS = 0.2
SLOT = 100_000
"""Numbers apart of the looks of two policies' records in one attempt: a record holds at most 20,000."""
LONGEST_SHORT = 1000
"""Most looks of a history without bad events that are kept one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """
    What reading the source came to.

    ``record`` is None while nothing can be judged, then ``hold`` says why; ``unseen``: because the source has never
    seen the canary. ``fault`` is a fault of the source,
    ``code`` its short name. ``rows`` are new looks with the numbers under which the store keeps them.
    """

    record: Record | None = None
    attempt: Attempt | None = None
    rows: tuple[tuple[int, dict[str, Json]], ...] = ()
    hold: str = ""
    unseen: bool = False
    fault: str = ""
    code: str = ""
    error: SourceFault | None = None
    lag: float | None = None
    frame: Mapping[str, Json] = field(default_factory=dict)
    asked: tuple[dict[str, Json], ...] = ()
    source_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """One source with the time that is left, and what was waited for it so far."""

    source: Source
    left: Callable[[], float]
    waited: list[float] = field(default_factory=list)

    def fetch(self, asked: Sequence[Query], span: Span) -> Answer:
        seconds = self.left()
        if seconds < LEAST_SECONDS:
            raise SourceDown("no time is left for another query of this verdict")
        answer = self.source.fetch(asked, span, seconds)
        self.waited.append(answer.seconds)
        return answer


def names_of(attempt: Attempt, ask: Ask, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the ``$names`` of selectors."""
    return {
        "namespace": attempt.namespace,
        "name": attempt.name,
        "target": extra.get("target", ""),
        "service": extra.get("service", ""),
        "ingress": extra.get("ingress", ""),
        "route": extra.get("route", ""),
        "baseline": attempt.stable_revision or ask.stable_revision,
        "canary": attempt.revision,
        "cluster": attempt.cluster,
    }


def selecting(policy: Policy, caller: str) -> Policy:
    """Return the policy with the default selectors of whoever asks, where it names no controller itself."""
    if policy.controller == "none" and caller in (Caller.ARGO.value, Caller.FLAGGER.value):
        return replace(policy, controller=caller)
    return policy


class Recorder:
    """
    Reads one source into one store's records.

    Parameters
    ----------
    source : Source
    store : Store
        Only read here; the gate writes.
    """

    def __init__(self, source: Source, store: Store) -> None:
        self.source = source
        self.store = store

    def extend(
        self,
        attempt: Attempt,
        policy: Policy,
        ask: Ask,
        at: float,
        left: Callable[[], float],
        names: Mapping[str, str] | None = None,
    ) -> Extended:
        """
        Return the record up to ``at`` with the looks that are new.

        Parameters
        ----------
        attempt : Attempt
        policy : Policy
        ask : Ask
            For a past window (``from``) and the named weight.
        at : float
            Unix seconds; looks that are not ``lag`` seconds old by then stay open.
        left : callable
            Seconds that may still be spent on the source.
        names : mapping, optional
            ``$target $service $ingress $route`` where the caller knows them.

        Raises
        ------
        StoreFault
            The looks that are known cannot be read.
        """
        reader = _Reader(source=self.source, left=left)
        chosen = selecting(policy, attempt.caller)
        values = names_of(attempt, ask, names or {})
        digest = policy.digest[:16]
        frame = dict(attempt.records.get(digest, {"slot": len(attempt.records)}))
        try:
            hold = self._frame(frame, chosen, values, attempt, ask, at, reader)
        except queries.EmptySelector as empty:
            return Extended(attempt=attempt, hold=empty.message, frame=frame)
        except SourceFault as down:
            return self._failed(attempt, digest, frame, down, reader)
        attempt = _kept(attempt, digest, frame)
        if hold:
            return Extended(attempt=attempt, hold=hold, unseen=True, frame=frame, source_seconds=sum(reader.waited))
        return self._looks(attempt, policy, chosen, values, ask, at, frame, reader)

    def _failed(
        self, attempt: Attempt, digest: str, frame: dict[str, Json], down: SourceFault, reader: _Reader
    ) -> Extended:
        return Extended(
            attempt=_kept(attempt, digest, frame),
            fault=f"source: {down.message}",
            code=type(down).__name__,
            error=down,
            frame=frame,
            source_seconds=sum(reader.waited),
        )

    # the frame, found once

    def _frame(
        self,
        frame: dict[str, Json],
        policy: Policy,
        names: Mapping[str, str],
        attempt: Attempt,
        ask: Ask,
        at: float,
        reader: _Reader,
    ) -> str:
        """Complete the frame of a record in place, as far as the source allows; return why it cannot be used yet."""
        queries.plan(policy, names, step=1.0, labels=frame.get("labels"))  # an empty selector is said before any I/O
        if "length" not in frame:
            self._cadence(frame, policy, names, at, reader)
        self._labels(frame, policy, names, at, reader)
        if "start" not in frame:
            start, source = self._start(frame, policy, names, attempt, ask, at, reader)
            if start is None:
                return "no canary data yet: the canary's selector has matched nothing so far"
            frame["start"] = Grid.starting(start, frame["length"]).start
            frame["start_source"] = source
            frame["started_at"] = start
        if "noise" not in frame:
            self._noise(frame, policy, names, reader)
        return ""

    def _cadence(
        self, frame: dict[str, Json], policy: Policy, names: Mapping[str, str], at: float, reader: _Reader
    ) -> None:
        scrape = policy.looks.scrape
        if scrape is None:
            query = queries.scrape_query(policy, names)
            points = reader.fetch([query], Span(start=at, end=at, step=1.0)).points[query]
            scrape = scrape_interval(np.concatenate([one.values for one in points]) if points else np.array([]))
        length = policy.looks.length if policy.looks.length is not None else max(2 * scrape, SHORTEST_LOOK)
        frame["scrape"] = scrape
        frame["length"] = length
        frame["step"] = queries.fetch_step(length, scrape)
        frame["lag"] = policy.looks.lag if policy.looks.lag is not None else scrape

    def _labels(
        self, frame: dict[str, Json], policy: Policy, names: Mapping[str, str], at: float, reader: _Reader
    ) -> None:
        """Pin the labels that stand for LABEL and those of the scrape; what is absent is looked for again next time."""
        known = dict(frame.get("labels", {}))
        asked = {q.name: queries.label_query(policy, names, q.name) for q in queries.asked(policy)}
        wanted = {name: query for name, query in asked.items() if query is not None and name not in known}
        identity = [] if "identity" in frame else [queries.identity_query(policy, names)]
        if not wanted and not identity:
            frame["missing"] = {}
            return
        answer = reader.fetch([*wanted.values(), *identity], Span(start=at, end=at, step=1.0))
        missing: dict[str, str] = {}
        for name, query in wanted.items():
            points = answer.points[query]
            label = queries.pick_label(policy, name, points)
            absent = queries.absent_label(policy, name, points)
            if absent:
                missing[name] = absent
            elif points:
                known[name] = label or ""
        for query in identity:
            if answer.points[query]:
                frame["identity"] = list(queries.identity_labels(answer.points[query]))
        frame["labels"] = known
        frame["missing"] = missing

    def _start(
        self,
        frame: Mapping[str, Json],
        policy: Policy,
        names: Mapping[str, str],
        attempt: Attempt,
        ask: Ask,
        at: float,
        reader: _Reader,
    ) -> tuple[float | None, str]:
        if ask.from_ is not None:
            return ask.from_, "named as 'from'"
        if attempt.started_at is not None:
            return attempt.started_at, attempt.start_source or "known"
        scrape = float(frame["scrape"])
        query = queries.start_query(policy, names, scrape)
        points = reader.fetch([query], queries.start_span(at, scrape)).points[query]
        gap = max(FEWEST_SCRAPES_GAP * scrape, SHORTEST_GAP)
        times = np.unique(np.concatenate([one.times for one in points])) if points else np.array([])
        if attempt.floor is not None:
            times = times[times >= attempt.floor]
        found = start_of_presence(times, scrape, gap)
        return found, "first canary sample"

    def _noise(self, frame: dict[str, Json], policy: Policy, names: Mapping[str, str], reader: _Reader) -> None:
        """Learn the noise of stable before the start; a source that cannot give it is asked for less next time."""
        tries = int(frame.get("noise_tries", 0))
        length, start = float(frame["length"]), float(frame["start"])
        looks = math.floor(policy.history * HISTORIES[min(tries, len(HISTORIES) - 1)] / length) - 1
        frame["noise_tries"] = tries + 1
        learned: dict[str, Json] = {}
        if looks > 0:
            first = start - length * (looks + 1)
            ends = first + length * np.arange(1, looks + 1)
            plan = _plan(frame, policy, names)
            answer = reader.fetch(plan, Span(start=first + frame["step"], end=float(ends[-1]), step=frame["step"]))
            closed = close_looks(_readings(frame, policy, names, answer), start=first, ends=ends)
            learned, frame["history"] = _learned(closed, policy, length)
            frame["noise_window"] = {"start": first, "end": float(ends[-1]), "looks": looks}
        frame["noise"] = learned
        if tries:
            share = HISTORIES[min(tries, len(HISTORIES) - 1)]
            frame["noise_note"] = f"the source could not give the whole history: {share:.0%} of it was read"

    # the looks

    def _looks(
        self,
        attempt: Attempt,
        policy: Policy,
        chosen: Policy,
        names: Mapping[str, str],
        ask: Ask,
        at: float,
        frame: dict[str, Json],
        reader: _Reader,
    ) -> Extended:
        grid = Grid(start=frame["start"], length=frame["length"])
        digest = policy.digest[:16]
        kept: list[dict[str, Json]] = []
        if attempt.version and ask.from_ is None:
            stored = self.store.looks(attempt.key.parts, attempt.attempt)
            kept = [row for row in stored if row["record"] == digest]
        ready = grid.closed(at, float(frame["lag"]))
        rows: list[dict[str, Json]] = []
        plan = _plan(frame, chosen, names)
        shown: list[dict[str, Json]] = [{"question": q.question, "field": q.field, "expr": q.expr} for q in plan]
        if ready > len(kept):
            first = grid.end(len(kept) - 1)
            ends = [grid.end(look) for look in range(len(kept), ready)]
            try:
                answer = reader.fetch(plan, Span(start=first + frame["step"], end=ends[-1], step=frame["step"]))
            except SourceFault as down:
                return self._failed(attempt, digest, frame, down, reader)
            shown = [
                {**entry, "series": len(points), "samples": sum(len(one.values) for one in points)}
                for entry, points in zip(shown, (answer.points[query] for query in plan), strict=True)
            ]
            if answer.warnings:
                partial = SourceDown(f"its answer is partial: {answer.warnings[0][:120]}")
                return self._failed(attempt, digest, frame, partial, reader)
            closed = close_looks(_readings(frame, chosen, names, answer), start=first, ends=ends)
            frame["edges"] = {**frame.get("edges", {}), **{n: list(e) for n, e in closed.edges.items()}}
            frame["notes"] = {**frame.get("notes", {}), **{n: dict(v) for n, v in closed.notes.items()}}
            rows = [dict(row, weight=ask.weight, record=digest) for row in closed.rows]
            attempt = _kept(attempt, digest, frame)
        record = record_of(policy, frame, [*kept[:ready], *rows])
        return Extended(
            record=record,
            attempt=attempt,
            rows=tuple((frame["slot"] * SLOT + len(kept) + n, row) for n, row in enumerate(rows)),
            hold="" if len(record.ends) else _first_look(grid, frame, at),
            lag=float(frame["lag"]),
            frame=frame,
            asked=tuple(shown),
            source_seconds=sum(reader.waited),
        )


def _first_look(grid: Grid, frame: Mapping[str, Json], at: float) -> str:
    wait = max(0.0, grid.end(0) + float(frame["lag"]) - at)
    return f"no look is closed yet: the first closes in {math.ceil(wait)} s"


def _kept(attempt: Attempt, digest: str, frame: Mapping[str, Json]) -> Attempt:
    """Return the attempt with a frame as it now stands, and its start if that was found."""
    kept = replace(attempt, records={**attempt.records, digest: dict(frame)})
    if kept.started_at is None and frame.get("started_at") is not None:
        kept = replace(kept, started_at=frame["started_at"], start_source=frame.get("start_source", ""))
    return kept


def _plan(frame: Mapping[str, Json], policy: Policy, names: Mapping[str, str]) -> tuple[Query, ...]:
    labels = {name: label for name, label in frame.get("labels", {}).items() if label}
    return queries.plan(policy, names, step=frame["step"], labels=labels, identity=tuple(frame.get("identity", ())))


def _readings(frame: Mapping[str, Json], policy: Policy, names: Mapping[str, str], answer: Answer) -> Json:
    edges = {name: tuple(found) for name, found in frame.get("edges", {}).items()}
    return readings(policy, names, answer, edges=edges, missing=frame.get("missing", {}))


def _learned(closed: Closed, policy: Policy, length: float) -> tuple[dict[str, Json], dict[str, Json]]:
    """Return what the baseline's looks teach, by question: summaries, and the looks where they are too few for one."""
    summaries: dict[str, Json] = {}
    short: dict[str, Json] = {}
    for question in policy.questions:
        if not isinstance(question, Proportion):
            continue
        entries = [row["questions"].get(question.name, {}).get("baseline", {}) for row in closed.rows]
        series = side_series(entries)
        if "total" not in series.fields or "bad" not in series.fields:
            continue
        bad, total = series.fields["bad"], series.fields["total"]
        found = learn(bad, total, np.full(bad.shape[1], length), series.replicas != ("",))
        summaries[question.name] = asdict(found)
        if found.counted < FEWEST_LOOKS:
            short[question.name] = [entry for entry in entries if entry][:LONGEST_SHORT]
    return summaries, short


def noise_of(document: Mapping[str, Json]) -> Noise:
    """Return the noise that a frame or an export holds."""
    known = dict(document)
    for name in ("pod_weights", "flags"):
        known[name] = tuple(known[name])
    return Noise(**known)


def record_of(policy: Policy, frame: Mapping[str, Json], rows: Sequence[Mapping[str, Json]]) -> Record:
    """Return the record that a frame and rows make."""
    asked = [question.name for question in queries.asked(policy)]
    hidden = [name for name in asked if not queries.replica_labels(policy, name)]
    return from_rows(
        Grid(start=frame["start"], length=frame["length"]),
        rows,
        asked=asked,
        noise={name: noise_of(found) for name, found in frame.get("noise", {}).items()},
        edges={name: tuple(found) for name, found in frame.get("edges", {}).items()},
        notes=frame.get("notes", {}),
        history={name: side_series(entries) for name, entries in frame.get("history", {}).items() if entries},
        hidden=hidden,
    )
