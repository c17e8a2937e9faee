"""
The life of an attempt: how a verdict, a controller's word or a human's moves its phase and history.

Pure functions on `releases.Attempt`; the gate stores what they return.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from analysis.types import Json, Stage, Verdict
from webhook.releases import Attempt, Caller, Phase, noted

HELD_BY_FAULT = "degraded"


def advance(
    attempt: Attempt,
    *,
    said: Verdict,
    stage: Stage,
    reason: str,
    at: float,
    weight: float | None,
    report_id: str,
    degraded: bool = False,
    human: bool = False,
) -> Attempt:
    """
    Return the attempt after an answer.

    Parameters
    ----------
    attempt : Attempt
    said : Verdict
        What the caller was told, after mode and faults.
    stage : Stage
        A promotion of the final stage ends an attempt unless the controller tells us its end itself (Flagger).
    reason : str
    at : float
        Unix seconds.
    weight : float or None
        Share of traffic, observed or named.
    report_id : str
    degraded : bool
        A hold because of a fault: noted as such, the phase stays.
    human : bool
        Whether an override spoke.

    Returns
    -------
    Attempt
        An attempt that is over keeps its phase unless the news is an abort.
    """
    action = HELD_BY_FAULT if degraded and said is Verdict.HOLD else f"{'override: ' if human else ''}{said.value}"
    after = replace(noted(attempt, time=at, weight=weight, action=action, reason=reason), last_report=report_id)
    if degraded:
        return after
    if said is Verdict.PROMOTE and stage in (Stage.STEP, Stage.FINAL) and after.promised_at is None:
        after = replace(after, promised_at=at)
    if said is Verdict.ABORT:
        return replace(
            after,
            phase=Phase.ABORTED.value,
            told_abort_at=after.told_abort_at if after.told_abort_at is not None else at,
            ended_at=after.ended_at if after.phase == Phase.ABORTED.value else at,
        )
    if after.ended:
        return after
    if said is Verdict.HOLD:
        return replace(after, phase=Phase.HELD.value)
    if stage is Stage.FINAL and after.caller != Caller.FLAGGER.value:
        return replace(after, phase=Phase.PROMOTED.value, ended_at=at)
    if stage in (Stage.PRE, Stage.BACKGROUND):
        return replace(after, phase=Phase.PROGRESSING.value)
    return replace(after, phase=Phase.PROMOTING.value)


def finished(attempt: Attempt, *, succeeded: bool, at: float, reason: str) -> Attempt:
    """Return the attempt after the controller said that it is over: promoted, or rolled back."""
    phase = Phase.PROMOTED if succeeded else Phase.ABORTED
    action = "promoted" if succeeded else "rolled back"
    after = noted(attempt, time=at, weight=1.0 if succeeded else 0.0, action=action, reason=reason)
    return replace(after, phase=phase.value, ended_at=at, finished_at=at)


def outcome_of(before: Attempt | None, after: Attempt) -> str:
    """
    Return how the attempt ended by this change: ``promoted``, ``aborted``, ``rolled back``, or ``""`` if it did not.

    A controller's word after our own abort is an end of its own: a rollback.
    """
    if before is not None and before.finished_at is None and after.finished_at is not None:
        return "promoted" if after.phase == Phase.PROMOTED.value else "rolled back"
    phase = before.phase if before is not None else ""
    if after.phase != phase and after.phase in (Phase.PROMOTED.value, Phase.ABORTED.value):
        return after.phase
    return ""


def closed(attempt: Attempt, outcome: str, at: float, closing: Mapping[str, Json]) -> Attempt:
    """Return the attempt with its closing report noted."""
    summary = {"outcome": outcome, "time": at, "report": closing["id"], "reason": closing["reason"]}
    return replace(attempt, closing=summary)
