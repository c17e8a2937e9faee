"""
Flagger's hooks that ask for no comparison: may it begin, was there traffic yet, has it ended.

Verdicts come from the gate; here is what a canary's life needs around them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from analysis import judge
from analysis.types import Json, Mode, Stage, Verdict
from webhook import answers
from webhook.answers import Heard, Hook
from webhook.calls import Call
from webhook.documents import Context, closing_document, report_document
from webhook.errors import StoreConflict, StoreFault
from webhook.gate import Gate, Outcome
from webhook.life import closed, finished
from webhook.overrides import in_force, retry_asked
from webhook.ports import Write
from webhook.releases import CANARY_ITSELF, Attempt, Caller, Phase, noted, quoted, stepped
from webhook.schema.request import FlaggerCall
from webhook.traffic import idle

TRIES = 6
ENDS = {"Succeeded": True, "Failed": False}
"""Phases of a Flagger canary that end a release, and whether it was promoted."""
TOLD = re.compile(r"(Advance|Promotion|Copying|Routing|Rolling back|Canary failed|New revision|Halt)", re.IGNORECASE)
"""Beginnings of Flagger's messages that are worth a line of history."""
ADVANCED = re.compile(r"canary weight (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer of a hook that was not weighed: what is heard, the reason, and the report if there is one."""

    heard: Heard
    reason: str
    document: dict[str, Json] | None = None


def admit(gate: Gate, call: Call) -> Said:
    """
    Return whether a canary may begin (confirm-rollout): overrides, and "this revision was aborted before".

    The comparison is never asked: there is no traffic yet, and the checksum may still be the previous one.
    """
    ask = call.ask
    policy = gate.policy_for(ask)
    mode = gate.mode_of(policy)
    try:
        _mark(gate, call)
        attempts = [a for a in gate.attempts(ask.namespace, ask.name) if a.revision == ask.revision]
        words = gate.words(ask.namespace, ask.name)
    except StoreFault as down:
        reason = f"store down, so overrides are unknown: {down.message}"
        return Said(heard=Heard.PROMOTE if mode is Mode.SHADOW else Heard.DEGRADED, reason=reason)
    last = attempts[-1] if attempts else _none(call, gate.cluster)
    word = in_force(words, last, call.at)
    refusal = ""
    if word is not None:
        report = judge.overridden(word.verdict, f"override by {word.actor}: {word.reason}", Stage.PRE, call.at)
    else:
        retried = retry_asked(words, last.key, call.at) or 0.0
        if last.phase == Phase.ABORTED.value and retried <= (last.ended_at or 0.0):
            said = (last.closing or {}).get("reason", "see its report")
            refusal = f"this revision was aborted before ({said}); override with retry to try it again"
        report = judge.admitted(refusal, call.at)
    heard = answers.heard(report.verdict, mode, degraded=False)
    context = Context(
        policy=policy, attempt=last if attempts else None, mode=mode, asked_at=call.at, public_url=gate.public_url,
        override=word,
    )  # fmt: skip
    document = report_document(report, answers.spoken(heard), context)
    return Said(heard=heard, reason=str(document["reason"]), document=document)


def _none(call: Call, cluster: str) -> Attempt:
    ask = call.ask
    return Attempt(
        cluster=cluster, namespace=ask.namespace, name=ask.name, revision=ask.revision, attempt=1,
        caller=Caller.FLAGGER.value,
    )  # fmt: skip


def _mark(gate: Gate, call: Call) -> None:
    """Remember that this canary has a confirm hook, before any revision of it is known."""
    ask = call.ask
    found = gate.store.attempt((gate.cluster, ask.namespace, ask.name, CANARY_ITSELF), 1)
    hooks = tuple(found["hooks"]) if found else ()
    if call.hook in hooks:
        return
    itself = replace(
        _none(call, gate.cluster), revision=CANARY_ITSELF, opened_at=call.at, hooks=(*hooks, call.hook),
        version=found["version"] if found else 0, phase=Phase.PROMOTED.value,
    )  # fmt: skip
    try:
        gate.store.write(Write(attempt=itself.document()))
    except StoreConflict:
        return  # another tick said the same


def first_traffic(gate: Gate, call: Call, outcome: Outcome) -> Said | None:
    """
    Return the approval of the first step, which comes before any canary traffic; None if the verdict stands.

    While no request reaches the canary there is nothing to weigh and no way to get any but to approve: so the first
    confirm-traffic-increase is approved, and those after it for ``first_traffic`` seconds while looks stay without
    requests, unless Flagger told that it took the step; then the hold stands. It stands also where pods are not ready
    or restart. What came before, of an acceptance test or of the revision before, is no traffic.
    """
    attempt = outcome.attempt
    if outcome.heard is not Heard.HOLD or not outcome.weighed or attempt is None or outcome.alarmed:
        return None
    since = attempt.first_approved_at
    if since is not None and not _still_first(attempt, since, call.at, outcome):
        return None
    if not idle(outcome.policy, outcome.record, since):
        return None
    if since is None:
        reason = "first traffic: no request has reached the canary yet"
        told = noted(attempt, time=call.at, weight=0.0, action=Verdict.PROMOTE.value, reason=reason)
        try:
            gate.store.write(Write(attempt=replace(told, first_approved_at=call.at).document()))
        except StoreFault:
            return None
    return Said(heard=Heard.PROMOTE, reason="first traffic: no request has reached the canary yet")


def _still_first(attempt: Attempt, since: float, at: float, outcome: Outcome) -> bool:
    """Return whether a step that was approved at ``since`` may be approved again: it seems it was refused elsewhere."""
    taken = Hook.EVENT.value in attempt.hooks and any(step["time"] >= since for step in attempt.steps)
    return not taken and at - since <= outcome.policy.first_traffic


def ended(gate: Gate, call: Call, flagger: FlaggerCall) -> Said:
    """
    Note what Flagger says of a release (post-rollout, event): its end, or a line of history.

    Returns
    -------
    Said
        Abort with the reason where the release was rolled back and we had said so: Flagger quotes it in an event.
    """
    fault = ""
    for _ in range(TRIES):
        try:
            return _ended(gate, call, flagger)
        except StoreConflict:
            continue
        except StoreFault as down:
            fault = down.message
            break
    return Said(heard=Heard.DEGRADED, reason=f"store down, so this was not recorded: {fault or 'busy'}")


def _ended(gate: Gate, call: Call, flagger: FlaggerCall) -> Said:
    ask = call.ask
    mine = [a for a in gate.attempts(ask.namespace, ask.name) if a.revision == ask.revision]
    if not mine:
        return Said(heard=Heard.PROMOTE, reason="recorded; no release of this checksum is known")
    attempt = mine[-1]
    message = flagger.metadata.get("eventMessage", "")
    if flagger.phase in ENDS and attempt.finished_at is None and attempt.asked:
        return _close(gate, call, attempt, succeeded=ENDS[flagger.phase])
    told = attempt
    if call.hook not in attempt.hooks:
        told = replace(told, hooks=(*attempt.hooks, call.hook))
    if message and TOLD.match(message):
        step = ADVANCED.search(message)
        weight = int(step.group(1)) / 100 if step else None
        told = quoted(told, time=call.at, weight=weight, message=message[:200])
        told = stepped(told, call.at, routed=True, weight=weight) if step else told
    if told is not attempt:
        gate.store.write(Write(attempt=told.document()))
    if attempt.told_abort_at is not None and call.hook == "post-rollout":
        return Said(heard=Heard.ABORT, reason=_why(attempt))
    return Said(heard=Heard.PROMOTE, reason="recorded")


def _close(gate: Gate, call: Call, attempt: Attempt, *, succeeded: bool) -> Said:
    outcome = "promoted" if succeeded else "rolled back"
    why = "Flagger promoted it" if succeeded else _why(attempt)
    after = finished(attempt, succeeded=succeeded, at=call.at, reason=why)
    document = gate.store.report(attempt.last_report) if attempt.last_report else None
    if document is not None:
        context = Context(
            policy=gate.policy_for(call.ask), attempt=after, mode=Mode(document["mode"]), asked_at=call.at,
            public_url=gate.public_url,
        )  # fmt: skip
        closing = closing_document(document, outcome, call.at, context)
        gate.store.write(Write(report=closing))
        after = closed(after, outcome, call.at, closing)
    gate.store.write(Write(attempt=after.document()))
    if attempt.told_abort_at is not None:
        return Said(heard=Heard.ABORT, reason=_why(attempt))
    return Said(heard=Heard.PROMOTE, reason=f"recorded: {outcome}")


def _why(attempt: Attempt) -> str:
    """Return why we said abort, else that the rollback was not ours."""
    for event in reversed(attempt.history):
        if event["action"].removeprefix("override: ") == Verdict.ABORT.value:
            return str(event["reason"])
    return "Flagger rolled it back; no verdict of ours asked for it"
