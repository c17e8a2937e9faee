"""
Who is being judged: release, revision, attempt, and where in its life it stands.

Everything here is a function of stored documents, the caller's words and a time: no I/O, no clock.
Facts behind the rules: Argo's retry sends an identical body, its background analysis keeps the step
index it was born with; Flagger sends no run id, and its checksum names the revision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from statistics import median

from analysis.types import Json, Stage

RETRY_AFTER = 10.0
"""Seconds after an abort that Argo was told; it stops asking at once, a retry was seen 15 s later."""
SAME_TICK = 5.0
"""Seconds within which Flagger's hooks belong to one tick of its loop (ticks are at least 10 s apart)."""
GAP_INTERVALS = 3
FIRST_INTERVAL = 60.0
"""Flagger's default interval in seconds, assumed until two ticks were seen."""
HISTORY_LIMIT = 200
STEPS_KEPT = 100
TICKS_KEPT = 8
UNWIRED_TICKS = 3
"""Ticks of Flagger's loop without any confirm hook after which a hold is known to have nowhere to wait."""
CANARY_ITSELF = "*"
"""Stands for the revision where something is kept about a Flagger canary and none of its revisions."""


class Phase(StrEnum):
    """Where a release attempt stands."""

    PROGRESSING = "progressing"
    HELD = "held"
    PROMOTING = "promoting"
    PROMOTED = "promoted"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"


TERMINAL = frozenset({Phase.PROMOTED.value, Phase.ABORTED.value, Phase.SUPERSEDED.value})


class Caller(StrEnum):
    """Whose identity rules apply."""

    ARGO = "argo"
    FLAGGER = "flagger"
    V1 = "v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseKey:
    """One revision of one release; ``revision`` may be empty where the caller cannot name it."""

    namespace: str
    name: str
    revision: str = ""
    cluster: str = ""

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Return ``(cluster, namespace, name, revision)``, as the store wants it."""
        return (self.cluster, self.namespace, self.name, self.revision)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """
    One attempt at a release, as stored.

    Times are unix seconds. ``started_at`` is the first canary sample or what the caller named, None
    until known. ``floor`` is the earliest start it may have: when the traffic of the attempt before it is over.
    ``policies`` holds each policy that was asked under, whole and pinned, by name; ``records`` the frame
    of its record (grid, noise, header) by policy digest. ``asked`` holds the newest ticks, ``hooks``
    every hook that was called. ``steps`` are the weight steps that the controller told, see `stepped`, ``promised_at``
    when the step that runs was first promoted. Human words up to ``words_since`` were about an attempt that has ended.
    ``finished_at`` is when the controller itself said that it was over.
    """

    cluster: str
    namespace: str
    name: str
    revision: str
    attempt: int
    version: int = 0
    caller: str = Caller.V1.value
    opened_at: float = 0.0
    opened_by: str = ""
    stable_revision: str = ""
    annotation: str = ""
    policies: Json = field(default_factory=dict)
    phase: str = Phase.PROGRESSING.value
    floor: float | None = None
    started_at: float | None = None
    start_source: str = ""
    records: Json = field(default_factory=dict)
    history: tuple[Json, ...] = ()
    asked: tuple[float, ...] = ()
    hooks: tuple[str, ...] = ()
    steps_seen: tuple[int, ...] = ()
    steps: tuple[Json, ...] = ()
    promised_at: float | None = None
    words_since: float = 0.0
    background_named: bool = False
    told_abort_at: float | None = None
    ended_at: float | None = None
    finished_at: float | None = None
    first_approved_at: float | None = None
    closing: Json = None
    last_report: str = ""

    @property
    def key(self) -> ReleaseKey:
        """Return the revision it belongs to."""
        return ReleaseKey(cluster=self.cluster, namespace=self.namespace, name=self.name, revision=self.revision)

    @property
    def ended(self) -> bool:
        """Return whether nothing more is expected of it."""
        return self.phase in TERMINAL

    def document(self) -> dict[str, Json]:
        """Return the document that the store keeps."""
        return asdict(self)


_FIELDS = frozenset(f.name for f in fields(Attempt))
_TUPLES = ("history", "asked", "hooks", "steps_seen", "steps")


def read(document: Mapping[str, Json]) -> Attempt:
    """Return the attempt that ``document`` holds; keys of newer versions are ignored."""
    known = {name: value for name, value in document.items() if name in _FIELDS}
    for name in _TUPLES:
        known[name] = tuple(known.get(name, ()))
    return Attempt(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What identity needs of a request: who asks, when, by which rules, may it open an attempt."""

    key: ReleaseKey
    caller: Caller
    at: float
    hook: str = ""
    may_open: bool = True
    step: int | None = None
    stage: Stage | None = None
    started_at: float | None = None
    stable_revision: str = ""
    annotation: str = ""


def resolve(asking: Asking, known: Sequence[Attempt], retry_at: float | None = None) -> Attempt:
    """
    Return the attempt that a request is about: a stored one, or a new one with ``version`` 0.

    Parameters
    ----------
    asking : Asking
    known : sequence of Attempt
        Every stored attempt of this release name, oldest first.
    retry_at : float or None
        When a human last asked for a retry of this revision.

    Returns
    -------
    Attempt
        With ``version`` 0 when it is new; it is stored only if ``asking.may_open``.
    """
    mine = [a for a in known if a.key == asking.key]
    last = mine[-1] if mine else None
    elsewhere = _elsewhere(asking, known)
    if last is None:
        return _open(asking, 1, elsewhere, "first request of this revision")
    if not asking.may_open:
        return last
    if _replaced(asking, last, known):
        opened = _open(asking, last.attempt + 1, elsewhere, "asked again after another revision")
        return replace(opened, words_since=last.ended_at or asking.at)
    reason, ended = _reopen(asking, last, retry_at)
    if not reason:
        return last
    # Nothing has ended where hooks merely stopped coming, perhaps by a fault of ours: what people said still holds.
    over = last.words_since if ended is None else ended
    # Aborted pods answer until their traffic is gone, however long that takes: it is no evidence about the retry.
    told = asking.caller is Caller.ARGO and ended is not None and ended == last.told_abort_at
    floor = asking.at if told else ended
    return replace(_open(asking, last.attempt + 1, floor, reason), words_since=over)


def _elsewhere(asking: Asking, known: Sequence[Attempt]) -> float | None:
    """
    Return until when the canary was another revision, None if none is known: not every selector tells them apart.

    Flagger asks about a revision before it gives it any traffic, Argo Rollouts only after.
    """
    others = [a.asked[-1] for a in known if a.key != asking.key and a.asked and a.asked[-1] <= asking.at]
    if others and asking.caller is Caller.FLAGGER:
        return asking.at
    return max(others, default=None)


def _replaced(asking: Asking, last: Attempt, known: Sequence[Attempt]) -> bool:
    """Return whether another revision began after this one was over, so that it now comes back: a revert."""
    if asking.caller is Caller.V1 or not last.ended or last.ended_at is None:
        return False
    other = any(a.key != last.key and a.opened_at >= last.ended_at for a in known)
    return other and asking.at > last.ended_at + RETRY_AFTER


def _reopen(asking: Asking, last: Attempt, retry_at: float | None) -> tuple[str, float | None]:
    """Return why a new attempt begins, and when the one before was over; ``("", None)`` if none does."""
    if retry_at is not None and retry_at > last.opened_at:
        return "a human asked for a retry", max(retry_at, last.ended_at or retry_at)
    if asking.caller is Caller.ARGO:
        if last.told_abort_at is not None and asking.at > last.told_abort_at + RETRY_AFTER:
            return "asked again after an abort", last.told_abort_at
        if _step_fell(asking, last):
            return f"the step index fell to {asking.step}", last.asked[-1] if last.asked else None
    elif asking.caller is Caller.FLAGGER:
        if last.finished_at is not None and asking.at > last.finished_at + SAME_TICK:
            return "asked again after its end", last.finished_at
        if last.asked and asking.at - last.asked[-1] > GAP_INTERVALS * interval(last):
            return f"no hook for more than {GAP_INTERVALS} intervals", None
    elif asking.started_at is not None and last.ended and asking.started_at > (last.ended_at or 0.0):
        return "started again after its end", last.ended_at
    return "", None


def _step_fell(asking: Asking, last: Attempt) -> bool:
    """
    Return whether the step index of inline analyses went down.

    A background analysis keeps asking with the index it was born with, often under the same template.
    So the lowest index seen counts as the background's unless that one names itself.
    """
    if asking.step is None or not last.steps_seen or asking.stage is Stage.BACKGROUND:
        return False
    if asking.step >= max(last.steps_seen):
        return False
    return last.background_named or asking.step != min(last.steps_seen)


def interval(attempt: Attempt) -> float:
    """Return Flagger's interval in seconds, at least 10: the median distance of its newest ticks."""
    gaps = [b - a for a, b in zip(attempt.asked, attempt.asked[1:], strict=False)]
    return max(10.0, median(gaps)) if gaps else FIRST_INTERVAL


def _open(asking: Asking, number: int, floor: float | None, reason: str) -> Attempt:
    event = {"time": asking.at, "weight": None, "action": "opened", "reason": reason}
    return Attempt(
        cluster=asking.key.cluster,
        namespace=asking.key.namespace,
        name=asking.key.name,
        revision=asking.key.revision,
        attempt=number,
        caller=asking.caller.value,
        opened_at=asking.at,
        opened_by=reason,
        stable_revision=asking.stable_revision,
        annotation=asking.annotation,
        floor=floor,
        started_at=asking.started_at,
        start_source="named by the caller" if asking.started_at is not None else "",
        history=(event,),
    )


def asked(attempt: Attempt, asking: Asking) -> Attempt:
    """Return the attempt with this request noted: tick, hook, step index, stable hash."""
    ticks = attempt.asked
    if not ticks or asking.at - ticks[-1] > SAME_TICK:
        ticks = (*ticks, asking.at)[-TICKS_KEPT:]
    elif asking.caller is not Caller.FLAGGER and asking.at > ticks[-1]:
        ticks = (*ticks[:-1], asking.at)
    hooks = attempt.hooks
    if asking.hook and asking.hook not in hooks:
        hooks = (*hooks, asking.hook)
    steps = attempt.steps_seen
    if asking.step is not None and asking.stage is not Stage.BACKGROUND and asking.step not in steps:
        if steps and asking.step > max(steps):
            attempt = stepped(attempt, asking.at)
        steps = (*steps, asking.step)
    return replace(
        attempt,
        asked=ticks,
        hooks=hooks,
        steps_seen=steps,
        background_named=attempt.background_named or asking.stage is Stage.BACKGROUND,
        stable_revision=asking.stable_revision or attempt.stable_revision,
        annotation=asking.annotation or attempt.annotation,
    )


def miswired(attempt: Attempt, everything: Sequence[Attempt]) -> bool:
    """Return whether Flagger's loop has turned often enough without any confirm hook: a hold cannot wait."""
    wired = any(hook.startswith("confirm-") for a in (*everything, attempt) for hook in a.hooks)
    return not wired and len(attempt.asked) >= UNWIRED_TICKS


def stepped(attempt: Attempt, at: float, *, routed: bool = False, weight: float | None = None) -> Attempt:
    """
    Return the attempt with a weight step noted that the controller told at ``at``, or made just before.

    ``after`` is when the step before it was first promoted: the weight cannot have changed earlier. ``routed``: a
    router took it, with ``weight`` if that was told; a step of a replica-based canary is no promise about requests.
    """
    event: dict[str, Json] = {"kind": "step", "time": at, "after": attempt.promised_at}
    if routed:
        event |= {"routed": True, "weight": weight}
    return replace(attempt, steps=(*attempt.steps, event)[-STEPS_KEPT:], promised_at=None)


def steps_until(attempt: Attempt | None, at: float) -> tuple[Json, ...]:
    """Return the weight steps that had been told by ``at``."""
    return () if attempt is None else tuple(step for step in attempt.steps if step["time"] <= at)


def noted(attempt: Attempt, *, time: float, weight: float | None, action: str, reason: str) -> Attempt:
    """Return the attempt with a line of history more, unless its newest says the same at that weight."""
    newest = attempt.history[-1] if attempt.history else None
    if newest and newest["action"] == action and _same(newest["weight"], weight):
        return attempt
    return _lengthened(attempt, {"time": time, "weight": weight, "action": action, "reason": reason})


def quoted(attempt: Attempt, *, time: float, weight: float | None, message: str) -> Attempt:
    """
    Return the attempt with a message of Flagger's as a line of history, unless that was its last message too.

    A hold repeats "waiting for approval" every tick, between verdicts of ours that repeat as well: one line of each.
    """
    action = Caller.FLAGGER.value
    last = next((event["reason"] for event in reversed(attempt.history) if event["action"] == action), None)
    if last == message:
        return attempt
    return _lengthened(attempt, {"time": time, "weight": weight, "action": action, "reason": message})


def _lengthened(attempt: Attempt, event: Json) -> Attempt:
    kept = attempt.history
    if len(kept) >= HISTORY_LIMIT:
        kept = (kept[0], *kept[-(HISTORY_LIMIT - 2) :])
    return replace(attempt, history=(*kept, event))


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) < 0.02


def superseded(known: Sequence[Attempt], new: Attempt, at: float) -> list[Attempt]:
    """Return the attempts of other revisions that ``new`` ends, phase and history brought up to date."""
    return [
        replace(
            noted(
                old,
                time=at,
                weight=None,
                action=Phase.SUPERSEDED.value,
                reason=f"revision {new.revision or 'unknown'} took its place",
            ),
            phase=Phase.SUPERSEDED.value,
            ended_at=at,
        )
        for old in known
        if old.opened_at < new.opened_at and old.key != new.key and not old.ended
    ]
