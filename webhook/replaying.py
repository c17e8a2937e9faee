"""
A past window judged again: read once as a release's record is read, then judged look by look.

What was closed by a moment is judged as of that moment: nothing that came later is known to a verdict.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from analysis import words
from analysis.judge import judge
from analysis.policy import Policy
from analysis.record import Record
from analysis.report import Report
from analysis.types import Json, Mode
from webhook import answers
from webhook.documents import Context, report_document
from webhook.errors import NotFound
from webhook.ports import Source
from webhook.recording import Extended, Recorder
from webhook.releases import Attempt
from webhook.schema.report import finite, instant
from webhook.schema.request import Ask
from webhook.stores.memory import MemoryStore

COLUMNS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One verdict of a replay: when it would have been given, and what it was."""

    at: float
    report: Report

    @property
    def changes(self) -> tuple[Json, ...]:
        """Return what makes a moment worth a line of its own: verdict, stage and the states of the questions."""
        return (self.report.verdict, self.report.stage, tuple((e.name, e.state) for e in self.report.evidence))


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """
    A window with everything that was read of it.

    ``extended`` is what reading came to, ``seconds`` what it took; ``moments`` are the verdicts, in order of time.
    """

    policy: Policy
    ask: Ask
    record: Record
    extended: Extended
    moments: tuple[Moment, ...] = ()
    mode: Mode = Mode.ENFORCE
    seconds: float = field(default=0.0)

    def times(self, every: float | None) -> list[float]:
        """Return when a verdict is given: as each look closes, or at the first look of every so many seconds."""
        ends: list[float] = self.record.ends.tolist()
        if every is None:
            return ends
        chosen: list[float] = []
        due = self.record.grid.start + every
        for end in ends:
            if end >= due - 1e-6 or end == ends[-1]:
                chosen.append(end)
                due = max(due + every, end + every * 0.5)
        return chosen


def read(source: Source, policy: Policy, ask: Ask, *, timeout: float) -> Replay:
    """
    Return the record of a past window, read by the code that reads those of releases.

    Parameters
    ----------
    source : Source
    policy : Policy
    ask : Ask
        ``from_`` and ``to`` bound the window; names fill the selectors.
    timeout : float
        Seconds for the source.

    Raises
    ------
    SourceFault
        What the source said.
    NotFound
        Nothing can be judged: no data, an empty selector.
    """
    assert ask.to is not None
    begun = time.monotonic()
    attempt = Attempt(
        cluster=ask.cluster, namespace=ask.namespace, name=ask.name, revision=ask.revision, attempt=0,
        stable_revision=ask.stable_revision,
    )  # fmt: skip
    found = Recorder(source, MemoryStore()).extend(
        attempt, policy, ask, ask.to, lambda: timeout - (time.monotonic() - begun)
    )
    if found.error is not None:
        raise found.error
    if found.record is None or found.hold:
        raise NotFound(found.hold or "no data")
    return Replay(policy=policy, ask=ask, record=found.record, extended=found)


def moments(replay: Replay, times: Sequence[float]) -> Iterator[Moment]:
    """Yield the verdict at each of some times."""
    ask = replay.ask
    for at in times:
        report = judge(replay.policy, replay.record, at, stage=ask.stage, next_weight=ask.next_weight)
        yield Moment(at=at, report=report)


def report(replay: Replay) -> dict[str, Json]:
    """Return the report document of the last verdict, as a service would have kept it."""
    last = replay.moments[-1]
    frame = replay.extended.frame
    attempt = replay.extended.attempt
    context = Context(
        policy=replay.policy,
        attempt=attempt if replay.ask.name else None,
        mode=replay.mode,
        asked_at=last.at,
        next_weight=replay.ask.next_weight,
        noise_window=frame.get("noise_window"),
        queries=replay.extended.asked,
        notes=("a past window, judged again from the source", *replay.policy.notes),
        source_seconds=replay.extended.source_seconds,
        grid={"start": frame["start"], "length": frame["length"], "lag": frame["lag"]},
        asked=replay.ask,
    )
    said = answers.spoken(answers.heard(last.report.verdict, replay.mode, degraded=False))
    document = report_document(last.report, said, context)
    # Nobody keeps it: an address that leads nowhere helps nobody.
    return {**document, "url": ""}


def moment_document(moment: Moment) -> Mapping[str, Json]:
    """Return one verdict as strict JSON."""
    made = moment.report
    return dict(
        finite(
            {
                "at": instant(moment.at),
                "verdict": made.verdict.value,
                "stage": made.stage.value,
                "reason": made.reason,
                "score": round(made.score, 1),
                "weight": made.weight,
                "questions": {e.name: e.state.value for e in made.evidence},
            }
        )
    )


def history(replay: Replay, *, every: bool = False) -> str:
    """Return the verdicts as text, one a line: those where something changed and the last, or every one."""
    rows = [f"{words.count(len(replay.moments))} verdicts from {instant(replay.record.grid.start)} on:"]
    before: tuple[Json, ...] | None = None
    for number, moment in enumerate(replay.moments):
        if every or moment.changes != before or number == len(replay.moments) - 1:
            weight = words.share(moment.report.weight) if moment.report.weight is not None else "–"
            after = words.duration(moment.at - replay.record.grid.start)
            verdict = moment.report.verdict.upper()
            told = f"  {instant(moment.at)[11:19]}  +{after:<7} {weight:>6}  {verdict:<8} {moment.report.reason}"
            rows += textwrap.wrap(told, COLUMNS, subsequent_indent=" " * 37, break_on_hyphens=False)
        before = moment.changes
    return "\n".join([*rows, ""])
