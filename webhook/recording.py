"""
Extending the record of an attempt: what is newer than its last closed look is read, closed and appended.

The frame of a record (grid, labels, noise) is found once at the start of an attempt and kept with it; wiped, it is
found again by the same code from the source.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from analysis.closing import Closed, close_looks
from analysis.noise import Noise
from analysis.policy import Policy
from analysis.record import Grid, Record, from_rows
from analysis.types import Json, Stage
from webhook import births, pasts, queries
from webhook.errors import SourceDown, SourceFault
from webhook.frames import Framing, Reader, plan_of, readings_of
from webhook.histories import first_sights
from webhook.ports import Answer, Query, Source, Span, Store
from webhook.releases import CANARY_ITSELF, Attempt, Caller, read
from webhook.schema.history import read_history
from webhook.schema.request import Ask

COUNTED = frozenset({"bad", "total", "events"})
SLOT = 100_000
"""Numbers apart of the looks of two policies' records in one attempt: a record holds at most 20,000."""


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
        reader = Reader(source=self.source, left=left)
        chosen = selecting(policy, attempt.caller)
        values = names_of(attempt, ask, names or {})
        digest = policy.digest[:16]
        frame = dict(attempt.records.get(digest, {"slot": len(attempt.records)}))
        try:
            framing = Framing(policy=chosen, names=values, attempt=attempt, ask=ask, at=at, reader=reader)
            hold = framing.complete(frame)
        except queries.EmptySelector as empty:
            return Extended(attempt=attempt, hold=empty.message, frame=frame)
        except SourceFault as down:
            return self._failed(attempt, digest, frame, down, reader)
        attempt = _kept(attempt, digest, frame)
        if hold:
            return Extended(attempt=attempt, hold=hold, unseen=True, frame=frame, source_seconds=sum(reader.waited))
        return self._looks(attempt, policy, framing, frame)

    def _whole(
        self, attempt: Attempt, policy: Policy, framing: Framing, frame: dict[str, Json], rows: list[dict[str, Json]]
    ) -> tuple[Attempt, dict[str, Json], Record]:
        """Return the record of all looks; earlier births, and what a baseline that is gone did, are read once."""
        record = record_of(policy, frame, rows)
        grown = frame
        if rows and births.unread(framing.policy, grown):
            grown = births.read_births(framing, grown)
        if pasts.missing(framing.policy, grown, record):
            grown = pasts.read_past(framing, grown, self._known(attempt))
        if grown is frame:
            return attempt, frame, record
        return _kept(attempt, policy.digest[:16], grown), grown, record_of(policy, grown, rows)

    def _known(self, attempt: Attempt) -> list[Attempt]:
        """Return every stored attempt at a release name; none for a nameless question."""
        if not attempt.name:
            return []
        found = [read(document) for document in self.store.attempts(attempt.namespace, attempt.name)]
        return [one for one in found if one.cluster == attempt.cluster and one.revision != CANARY_ITSELF]

    def _failed(
        self, attempt: Attempt, digest: str, frame: dict[str, Json], down: SourceFault, reader: Reader
    ) -> Extended:
        return Extended(
            attempt=_kept(attempt, digest, frame),
            fault=f"{down.title.lower()}: {down.message}",
            code=type(down).__name__,
            error=down,
            frame=frame,
            source_seconds=sum(reader.waited),
        )

    # the looks

    def _looks(
        self,
        attempt: Attempt,
        policy: Policy,
        framing: Framing,
        frame: dict[str, Json],
    ) -> Extended:
        chosen, names, ask, at, reader = framing.policy, framing.names, framing.ask, framing.at, framing.reader
        grid = Grid(start=frame["start"], length=frame["length"])
        digest = policy.digest[:16]
        kept: list[dict[str, Json]] = []
        if attempt.version and ask.from_ is None:
            stored = self.store.looks(attempt.key.parts, attempt.attempt)
            kept = [row for row in stored if row["record"] == digest]
        ready = grid.closed(at, float(frame["lag"]))
        rows: list[dict[str, Json]] = []
        plan = plan_of(frame, chosen, names)
        shown = [{"question": q.question, "field": q.field, "expr": q.expr} for q in plan]
        if ready > len(kept):
            # The newest closed look is read once more: what came too late for it is counted, never used.
            again = 1 if kept else 0
            first = grid.end(len(kept) - 1 - again)
            ends = [grid.end(look) for look in range(len(kept) - again, ready)]
            try:
                answer = reader.fetch(plan, Span(start=first + frame["step"], end=ends[-1], step=frame["step"]))
            except SourceFault as down:
                return self._failed(attempt, digest, frame, down, reader)
            shown = _answered(shown, plan, answer)
            if answer.warnings:
                partial = SourceDown(f"its answer is partial: {answer.warnings[0][:120]}")
                return self._failed(attempt, digest, frame, partial, reader)
            closed = close_looks(readings_of(frame, chosen, names, answer), start=first, ends=ends)
            try:
                frame = _grown(framing, frame, closed, kept[-1] if kept else None)
            except SourceFault as down:
                tried = {**frame, "bucket_tries": int(frame.get("bucket_tries", 0)) + 1}
                return self._failed(attempt, digest, tried, down, reader)
            frame = _weighted(frame, ask, at)
            rows = [dict(row, weight=_weight(frame, row, grid), record=digest) for row in closed.rows[again:]]
            attempt = _kept(attempt, digest, frame)
        attempt, frame, record = self._whole(attempt, policy, framing, frame, [*kept[:ready], *rows])
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


def _answered(shown: Sequence[Mapping[str, Json]], plan: Sequence[Query], answer: Answer) -> list[dict[str, Json]]:
    """Return what was asked with how much came back."""
    return [
        {**entry, "series": len(points), "samples": sum(len(one.values) for one in points)}
        for entry, points in zip(shown, (answer.points[query] for query in plan), strict=True)
    ]


def _weighted(frame: dict[str, Json], ask: Ask, at: float) -> dict[str, Json]:
    """
    Return a frame with the weight that the caller names, and since when it has named it.

    A background analysis repeats the weight it was born with, so it names none. A past window has one weight.
    """
    if ask.stage is Stage.BACKGROUND or frame.get("named", {}).get("weight") == ask.weight:
        return frame
    return {**frame, "named": {"weight": ask.weight, "since": at if ask.from_ is None else float(frame["start"])}}


def _weight(frame: Mapping[str, Json], row: Mapping[str, Json], grid: Grid) -> float | None:
    """Return the weight of a look: none where it began before the weight was first named."""
    named = frame.get("named")
    if not named or row["end"] <= named["since"]:
        return None
    begun = grid.end(grid.closed(row["end"], 0.0) - 2)
    return float(named["weight"]) if named["weight"] is not None and begun >= named["since"] - 1e-6 else None


def _grown(
    framing: Framing, frame: Mapping[str, Json], closed: Closed, newest: Mapping[str, Json] | None
) -> dict[str, Json]:
    """Return a frame with what closing looks taught: bounds and the past of their buckets, births, late events."""
    found = {**frame, "edges": {**frame.get("edges", {}), **{name: list(e) for name, e in closed.edges.items()}}}
    framing.bucketed(found)
    first_sights(found, closed, history=False)
    found["notes"] = noted(found["notes"], closed, newest)
    return found


def _first_look(grid: Grid, frame: Mapping[str, Json], at: float) -> str:
    wait = max(0.0, grid.end(0) + float(frame["lag"]) - at)
    return f"no look is closed yet: the first closes in {math.ceil(wait)} s"


def _kept(attempt: Attempt, digest: str, frame: Mapping[str, Json]) -> Attempt:
    """Return the attempt with a frame as it now stands, and its start if that was found."""
    kept = replace(attempt, records={**attempt.records, digest: dict(frame)})
    if kept.started_at is None and frame.get("started_at") is not None:
        kept = replace(kept, started_at=frame["started_at"], start_source=frame.get("start_source", ""))
    return kept


def noted(before: Mapping[str, Json], closed: Closed, newest: Mapping[str, Json] | None) -> dict[str, dict[str, Json]]:
    """
    Return what was noticed while reading, by question, with the late events of the newest closed look added.

    ``late`` counts events and requests that reached the source after their look had closed: they are in no look.
    """
    result: dict[str, dict[str, Json]] = {name: dict(found) for name, found in before.items()}
    for name, found in closed.notes.items():
        result[name] = {**result.get(name, {}), **found}
    if newest is not None:
        for name, entry in closed.rows[0]["questions"].items():
            late = _counted(entry) - _counted(newest["questions"].get(name, {}))
            if late >= 1:
                result.setdefault(name, {})["late"] = result.get(name, {}).get("late", 0) + round(late)
    return result


def _counted(entry: Mapping[str, Json]) -> float:
    """Return how many events and requests one look of a question holds, over both sides."""
    values = [v for side in entry.values() for fields in side.values() for k, v in fields.items() if k in COUNTED]
    return float(sum(value for value in values if isinstance(value, float | int)))


def noise_of(document: Mapping[str, Json]) -> Noise:
    """Return the noise that a frame or an export holds."""
    known = dict(document)
    for name in ("pod_weights", "flags"):
        known[name] = tuple(known[name])
    return Noise(**known)


def record_of(policy: Policy, frame: Mapping[str, Json], rows: Sequence[Mapping[str, Json]]) -> Record:
    """Return the record that a frame and rows make."""
    asked = [question.name for question in queries.asked(policy)]
    hidden = [name for name in asked if not queries.replica_labels(policy, name) or _nameless(name, rows)]
    return from_rows(
        Grid(start=frame["start"], length=frame["length"]),
        rows,
        asked=asked,
        noise={name: noise_of(found) for name, found in frame.get("noise", {}).items()},
        edges={name: tuple(found) for name, found in frame.get("edges", {}).items()},
        notes=frame.get("notes", {}),
        history={name: read_history(found, f"/history/{name}") for name, found in frame.get("history", {}).items()},
        hidden=hidden,
    )


def _nameless(name: str, rows: Sequence[Mapping[str, Json]]) -> bool:
    """Return whether all that was read of a question is one line per side, as a query that adds up replicas gives."""
    found = {replica for row in rows for side in row["questions"].get(name, {}).values() for replica in side}
    return found == {""}
