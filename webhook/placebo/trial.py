"""One placebo: stable replicas released to themselves in a stretch of the past, judged as a release would have been."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

import numpy as np

from analysis.judge import SILENT, judge
from analysis.policy import Group, Limits, Policy
from analysis.record import Record
from analysis.report import Report
from analysis.types import Stage, State, Verdict
from webhook import queries
from webhook.errors import SourceFault, WebhookError
from webhook.placebo.split import SplitSource
from webhook.ports import Source
from webhook.recording import Extended, Recorder
from webhook.releases import Attempt, Caller
from webhook.schema.request import Ask
from webhook.stores.memory import MemoryStore

NOBODY: Final = "placebo"
"""Stands for the revision of the canary, whose selector must match nothing."""
LEFT: Final = 2
"""Stable replicas that must remain: noise is learned from how they differ."""
THERE: Final = 0.9
"""Share of the looks in which a replica must have been seen to play the canary."""
LAG: Final = 120.0
"""Seconds behind a window in which its last looks close, where the policy names no longer lag."""
SUSPICIOUS: Final = frozenset({State.DEGRADED, State.WORSE})


class Outcome(StrEnum):
    """How a placebo ended; the worst that ever happened to it counts."""

    ABORTED = "aborted"
    FROZEN = "frozen"
    PROMOTED = "promoted"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """
    Whose stable replicas are taken.

    ``stable_revision`` fills ``$baseline``; ``caller`` chooses default selectors, as for a release; ``names`` are
    ``$target $service $ingress $route`` where a selector needs them.
    """

    namespace: str
    name: str
    stable_revision: str = ""
    cluster: str = ""
    caller: str = Caller.V1.value
    names: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Return ``namespace/name``."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of the past, unix seconds: ``start < end``."""

    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Placebo:
    """
    What became of one placebo.

    ``after`` is how many seconds it took to abort or promote, None otherwise; ``reason`` is that of the verdict that
    made the outcome, the last one for a hold.
    """

    window: Window
    canary: tuple[str, ...]
    outcome: Outcome
    after: float | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """
    How placebos are made and asked.

    Parameters
    ----------
    replicas : int
        Stable replicas that play the canary.
    splits : int
        Placebos in one window, each with other replicas.
    every : float
        Seconds between two questions for a verdict.
    stage : Stage
        What is asked for.
    timeout : float
        Seconds that one reading of the source may take.
    """

    replicas: int = 1
    splits: int = 1
    every: float = 300.0
    stage: Stage = Stage.FINAL
    timeout: float = 30.0


class NoPlacebo(WebhookError):
    """No placebo can be made here; the message says why."""

    status = 422
    title = "No placebo"


def judged_part(policy: Policy) -> tuple[Policy, tuple[str, ...]]:
    """
    Return the questions that placebos can be asked, and one line for each that is left out.

    All must see the same replicas: a question whose replicas are hidden, or are other ones, cannot be split.
    """
    labels = {q.name: queries.replica_labels(policy, q.name) for q in queries.asked(policy)}
    common = next((found for found in labels.values() if found), ())
    kept = {name for name, found in labels.items() if found and found == common}
    chosen = []
    left_out = []
    for question in policy.questions:
        if question.name in kept or (isinstance(question, Limits) and named(question.group) <= kept):
            chosen.append(question)
        elif not question.muted:
            left_out.append(f"{question.name}: its replicas are not visible, or are not those of the others")
    if not chosen:
        raise NoPlacebo("no question of this policy shows replicas, so none of them can play the canary")
    return replace(policy, questions=tuple(chosen)), tuple(left_out)


def named(group: Group) -> set[str]:
    """Return the questions that the limits of a group read."""
    names: set[str] = set()
    for member in group.members:
        names |= named(member) if isinstance(member, Group) else {member.question}
    return names


def trials(
    source: Source,
    policy: Policy,
    service: Service,
    window: Window,
    rng: np.random.Generator,
    conduct: Conduct,
    rest: Callable[[], None] = lambda: None,
) -> Iterator[Placebo]:
    """
    Yield the placebos of one window.

    Parameters
    ----------
    source : Source
        Asked once: every split is made of the same answers.
    policy : Policy
        As `judged_part` returned it.
    service : Service
    window : Window
        Must lie far enough in the past that its looks are closed.
    rng : numpy.random.Generator
        Chooses the replicas; those of one window's placebos do not overlap.
    conduct : Conduct
    rest : callable
        Called before every question for a verdict, to give way to what is urgent.

    Raises
    ------
    NoPlacebo
        A release ran, too few replicas, nothing that could be judged.
    SourceFault
        What the source said.
    """
    split = SplitSource(source=source, start=window.start)
    whole = _record(split, policy, service, window, conduct)
    if split.saw_canary:
        raise NoPlacebo("a canary was running in this window")
    there = _steady(whole)
    room = len(there) - conduct.replicas - LEFT
    if room < 0:
        fewest = conduct.replicas + LEFT
        raise NoPlacebo(f"{len(there)} stable replicas were there all along, {fewest} are needed")
    order = [there[place] for place in rng.permutation(len(there))]
    for number in range(min(conduct.splits, len(there) // conduct.replicas)):
        chosen = order[number * conduct.replicas : (number + 1) * conduct.replicas]
        split.chosen = frozenset(chosen)
        record = _record(split, policy, service, window, conduct)
        yield _played(policy, record, window, tuple(sorted(chosen)), conduct, rest)


def _record(split: SplitSource, policy: Policy, service: Service, window: Window, conduct: Conduct) -> Record:
    """Return the record that the placebo would have had: made by the code that makes those of releases."""
    attempt = Attempt(
        cluster=service.cluster, namespace=service.namespace, name=service.name, revision=NOBODY, attempt=0,
        caller=service.caller, stable_revision=service.stable_revision,
    )  # fmt: skip
    at = window.end + lag_of(policy)
    ask = Ask(namespace=service.namespace, name=service.name, from_=window.start, to=at)
    found: Extended = Recorder(split, MemoryStore()).extend(
        attempt, policy, ask, at, lambda: conduct.timeout, service.names
    )
    if found.error is not None:
        raise found.error
    if found.record is None or found.hold:
        raise NoPlacebo(found.hold or "no data")
    return found.record.until(window.end)


def lag_of(policy: Policy) -> float:
    """Return how far in the past a window must end, in seconds."""
    return max(LAG, policy.looks.lag or 0.0)


def _steady(record: Record) -> list[str]:
    """Return the replicas that were there nearly all along, by the question that has the fewest of them."""
    found: list[set[str]] = []
    for question in record.questions.values():
        side = question.baseline
        if not question.visible or not side.replicas or not side.fields:
            continue
        seen = np.zeros((len(side.replicas), len(record.ends)), dtype=bool)
        for values in side.fields.values():
            flat = values if values.ndim == 2 else values.sum(axis=2)
            seen |= ~np.isnan(flat)
        steady = seen.mean(axis=1) >= THERE
        found.append({name for name, kept in zip(side.replicas, steady, strict=True) if kept})
    return sorted(set.intersection(*found)) if found else []


def _played(
    policy: Policy,
    record: Record,
    window: Window,
    canary: tuple[str, ...],
    conduct: Conduct,
    rest: Callable[[], None],
) -> Placebo:
    """Return how a placebo ended that was asked every so often, to the end of its window."""
    frozen = ""
    promoted: tuple[float, str] | None = None
    report: Report | None = None
    for at in np.arange(window.start + conduct.every, window.end + 1e-6, conduct.every).tolist():
        rest()
        report = judge(policy, record, at, stage=conduct.stage)
        after = at - window.start
        if report.verdict is Verdict.ABORT:
            return Placebo(window=window, canary=canary, outcome=Outcome.ABORTED, after=after, reason=report.reason)
        suspicious = [e for e in report.evidence if e.state in SUSPICIOUS and not e.muted]
        frozen = frozen or (suspicious[0].reason if suspicious else "")
        if report.verdict is Verdict.PROMOTE and promoted is None:
            promoted = after, report.reason
    if report is None or _silent(report):
        raise NoPlacebo(report.reason if report else "the window is shorter than the time between two questions")
    if frozen:
        return Placebo(window=window, canary=canary, outcome=Outcome.FROZEN, after=None, reason=frozen)
    if promoted:
        return Placebo(window=window, canary=canary, outcome=Outcome.PROMOTED, after=promoted[0], reason=promoted[1])
    return Placebo(window=window, canary=canary, outcome=Outcome.HELD, after=None, reason=report.reason)


def _silent(report: Report) -> bool:
    """Return whether nothing was there to judge: such a placebo says nothing of the promise."""
    asked = [e for e in report.evidence if not e.muted and e.kind != Limits.kind]
    return not report.window.looks or all(e.state in SILENT for e in asked or report.evidence)


def windows(start: float, end: float, length: float) -> tuple[Window, ...]:
    """
    Return the stretches of ``length`` seconds that fit between two times, one after the other, none sharing a second.

    >>> [window.start for window in windows(0.0, 7300.0, 3600.0)]
    [0.0, 3600.0]
    """
    count = int((end - start) / length + 1e-9)
    return tuple(Window(start=start + n * length, end=start + (n + 1) * length) for n in range(count))


def skipped(error: WebhookError) -> str:
    """Return one line about a window that made no placebo."""
    return f"{error.title.lower()}: {error.message}" if isinstance(error, SourceFault) else error.message


def counted(placebos: Sequence[Placebo]) -> dict[Outcome, int]:
    """Return how many placebos ended in each way, every way named."""
    return {outcome: sum(one.outcome is outcome for one in placebos) for outcome in Outcome}
