"""
What each caller hears: one table, the only place besides ``errors.py`` that knows status codes.

The controllers disagree about what a status code means. Argo Rollouts wants 200 with a JSON object
whatever the verdict; Flagger waits on a refused confirm hook, counts a refused rollout hook towards a
rollback, and reads a 2xx of its rollback hook as *roll back now*. ``docs/answers.md`` shows this table
and a test compares the two.
"""

from __future__ import annotations

from enum import StrEnum

from analysis.types import Mode, Verdict

REASON_LIMIT = 250
"""Longest plain-text reason for Flagger, in characters: it ends up in Kubernetes events and chat."""


class Hook(StrEnum):
    """Who asks: Argo's web metric, or one of Flagger's hooks by the last part of its path."""

    ARGO = "argo"
    CONFIRM_ROLLOUT = "confirm-rollout"
    PRE_ROLLOUT = "pre-rollout"
    ROLLOUT = "rollout"
    CONFIRM_TRAFFIC_INCREASE = "confirm-traffic-increase"
    CONFIRM_PROMOTION = "confirm-promotion"
    ROLLBACK = "rollback"
    POST_ROLLOUT = "post-rollout"
    EVENT = "event"


class Heard(StrEnum):
    """What there is to say: a verdict, or that we cannot judge, or that we do not know the caller."""

    PROMOTE = Verdict.PROMOTE.value
    HOLD = Verdict.HOLD.value
    ABORT = Verdict.ABORT.value
    DEGRADED = "degraded"
    NOT_AUTHORISED = "not authorised"


ANSWERS: dict[Hook, dict[Heard, int]] = {
    hook: dict(zip(Heard, statuses, strict=True))
    for hook, statuses in {
        #                              promote hold abort degraded not authorised
        Hook.ARGO: (
            200,
            200,
            200,
            200,
            401,
        ),  # verdict in the body; a non-2xx has no text
        Hook.CONFIRM_ROLLOUT: (200, 403, 403, 403, 401),  # a refusal waits, without counting
        Hook.PRE_ROLLOUT: (
            200,
            200,
            412,
            200,
            401,
        ),  # a refusal counts: only proof refuses
        Hook.ROLLOUT: (200, 200, 412, 200, 401),  # likewise; see HOLD_FAILS
        Hook.CONFIRM_TRAFFIC_INCREASE: (200, 403, 403, 403, 401),
        Hook.CONFIRM_PROMOTION: (200, 403, 403, 403, 401),
        Hook.ROLLBACK: (403, 403, 200, 403, 401),  # inverted: 2xx rolls back now
        Hook.POST_ROLLOUT: (202, 202, 412, 202, 401),  # a refusal only quotes the reason in an event
        Hook.EVENT: (202, 202, 202, 202, 401),
    }.items()
}

HOLD_FAILS = 412
"""Status of a hold at the rollout hook with ``?hold=fail``: it then counts as a failed check."""


def status(hook: Hook, heard: Heard, *, hold_fails: bool = False) -> int:
    """Return the HTTP status of one cell; ``hold_fails`` (``?hold=fail``) moves the rollout hook's hold only."""
    if hook is Hook.ROLLOUT and heard is Heard.HOLD and hold_fails:
        return HOLD_FAILS
    return ANSWERS[hook][heard]


def heard(verdict: Verdict, mode: Mode, *, degraded: bool) -> Heard:
    """
    Return what the controller hears of a verdict.

    Parameters
    ----------
    verdict : Verdict
        What we found.
    mode : Mode
        ``enforce`` tells it as it is, ``advise`` turns abort into hold, ``shadow`` always says promote,
        also when we are degraded, so that a service can watch before it is trusted.
    degraded : bool
        Whether a fault of ours or of a source stands behind a hold.
    """
    if mode is Mode.SHADOW:
        return Heard.PROMOTE
    if degraded:
        return Heard.DEGRADED
    if mode is Mode.ADVISE and verdict is Verdict.ABORT:
        return Heard.HOLD
    return Heard(verdict.value)


def spoken(said: Heard) -> Verdict:
    """Return the verdict that a caller reads in the body: a hold where we could not judge."""
    return Verdict(said.value) if said.value in set(Verdict) else Verdict.HOLD


class Action(StrEnum):
    """What is asked of a gate: the last part of its path."""

    APPROVE = "approve"
    HALT = "halt"
    CHECK = "check"
    OPEN = "open"
    CLOSE = "close"


class Reply(StrEnum):
    """What came of it."""

    OPEN = "open"
    CLOSED = "closed"
    KEPT = "kept"
    UNREADABLE = "unreadable"
    WRONG_OPTION = "wrong option"
    FORBIDDEN = "forbidden"
    NOT_AUTHORISED = "not authorised"
    DEGRADED = "degraded"


APPROVED, REFUSED, KEPT, UNREADABLE = (200, "Approved"), (403, "Forbidden"), (202, ""), (400, "")
GATE_ANSWERS: dict[Action, dict[Reply, tuple[int, str]]] = {
    Action.APPROVE: {Reply.OPEN: (200, "OK"), Reply.FORBIDDEN: REFUSED, Reply.NOT_AUTHORISED: (401, "")},
    Action.HALT: {Reply.CLOSED: REFUSED, Reply.FORBIDDEN: REFUSED, Reply.NOT_AUTHORISED: (401, "")},
    Action.CHECK: {
        Reply.OPEN: APPROVED,
        Reply.CLOSED: REFUSED,
        Reply.UNREADABLE: UNREADABLE,
        Reply.WRONG_OPTION: (400, ""),
        Reply.FORBIDDEN: REFUSED,
        Reply.NOT_AUTHORISED: (401, ""),
        Reply.DEGRADED: (403, "Forbidden"),  # closed is the safe state
    },
} | {
    action: {
        Reply.KEPT: KEPT,
        Reply.UNREADABLE: UNREADABLE,
        Reply.WRONG_OPTION: (400, ""),
        Reply.FORBIDDEN: REFUSED,
        Reply.NOT_AUTHORISED: (401, ""),
        Reply.DEGRADED: (503, ""),  # nothing was kept, and a person must know
    }
    for action in (Action.OPEN, Action.CLOSE)
}
"""
Status and text of every gate, the load tester's own in each case that it knows. Our reasons are added to a wrong
option and to a fault, which it does not know; 401 is a problem as everywhere.
"""
