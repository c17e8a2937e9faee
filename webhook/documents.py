"""
The report document: what is stored and returned, and what pages and text are made of.

Its top level is the verdict object that callers hear; everything behind it stands under ``detail``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from analysis.policy import Policy
from analysis.report import Evidence, Report
from analysis.types import Effect, Json, Mode, Stage, Verdict, Window
from webhook.overrides import Override
from webhook.releases import Attempt
from webhook.schema import policy as wire
from webhook.schema.report import finite, instant
from webhook.schema.request import Ask

FORMAT = "weighbridge-report/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """
    What a report document says besides the judgement.

    ``next_weight`` is the one that was named, None otherwise; ``fault`` is empty unless we are degraded;
    ``steps`` are the weight steps that the controller had told by then.
    ``inline`` is inline data, ``data_digest`` its digest. ``queries`` are the resolved ones with what they returned.
    """

    policy: Policy
    attempt: Attempt | None
    mode: Mode
    asked_at: float
    public_url: str = ""
    weight: float | None = None
    next_weight: float | None = None
    override: Override | None = None
    fault: str = ""
    data_digest: str = ""
    inline: Mapping[str, Json] | None = None
    noise_window: Mapping[str, Json] | None = None
    queries: Sequence[Mapping[str, Json]] = ()
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    own_seconds: float = 0.0
    source_seconds: float = 0.0
    grid: Mapping[str, Json] | None = None
    steps: Sequence[Mapping[str, Json]] = ()
    asked: Ask = field(default_factory=Ask)


def report_id(context: Context, stage: Stage, window: Window, said: str = "") -> str:
    """
    Return the id of an answer: the same question has the same id, however often and wherever it is asked.

    A hash of release, attempt, policy digest, stage, window end, next weight, override in force, digest of
    inline data, and of the fault where one stands behind the answer. The number of looks keeps apart what was weighed
    from "no data yet" at a time that is also the end of a look (the source may have answered late), the number of
    steps told what is asked before and after a step within one look. Where no look was weighed the time says nothing,
    and what was ``said`` stands in its place: an outage is one report, however often it was asked into.
    """
    attempt = context.attempt
    parts = [
        list(attempt.key.parts) if attempt else None,
        attempt.attempt if attempt else None,
        context.policy.digest,
        stage.value,
        [round(window.end, 3), window.looks] if window.looks else said,
        len(context.steps),
        context.next_weight,
        context.override.id if context.override else None,
        context.data_digest,
        context.fault,
        context.mode.value,
    ]
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return "r_" + hashlib.sha256(text.encode()).hexdigest()[:16]


def report_document(report: Report, said: Verdict, context: Context) -> dict[str, Json]:
    """
    Return the document of a report.

    Parameters
    ----------
    report : Report
    said : Verdict
        What the caller is told after mode and faults.
    context : Context

    Returns
    -------
    dict
        Strict JSON: no NaN, no infinity.
    """
    attempt = context.attempt
    identity = report_id(context, report.stage, report.window, report.reason)
    document: dict[str, Json] = {
        "format": FORMAT,
        "verdict": said.value,
        "reason": reason_told(report, said, context.mode),
        "mode": context.mode.value,
        "would": report.verdict.value,
        "score": round(report.score, 1),
        "id": identity,
        "url": f"{context.public_url}/reports/{identity}",
        "release": release_document(attempt, report.stage),
        "policy": context.policy.label,
        "window": {
            "start": instant(report.window.start),
            "end": instant(report.window.end),
            "looks": report.window.looks,
        },
        "questions": {e.name: e.state.value for e in report.evidence},
        "forecast": report.forecast,
        "detail": _detail(report, context),
    }
    if context.inline is not None:
        # What judged inline data must be recomputable too: the record of such a report is the request itself.
        document["inline"] = {
            "data": context.inline,
            "policy": wire.store(context.policy),
            "started_at": context.asked.started_at,
            "at": context.asked.at,
        }
    return dict(finite(document))


def reason_told(report: Report, said: Verdict, mode: Mode) -> str:
    """Return the reason of a report, with the true verdict before it where the mode changes what is told."""
    if said is report.verdict:
        return report.reason
    return f"{mode.value}: would {report.verdict.value}: {report.reason}"[:200]


def release_document(attempt: Attempt | None, stage: Stage) -> dict[str, Json]:
    """Return the part of a verdict object that names the release."""
    if attempt is None:
        return {
            "cluster": "", "namespace": "", "name": "", "revision": "",
            "attempt": 0, "stage": stage.value, "phase": "",
        }  # fmt: skip
    return {
        "cluster": attempt.cluster,
        "namespace": attempt.namespace,
        "name": attempt.name,
        "revision": attempt.revision,
        "attempt": attempt.attempt,
        "stage": stage.value,
        "phase": attempt.phase,
    }


def _detail(report: Report, context: Context) -> dict[str, Json]:
    attempt, override = context.attempt, context.override
    return {
        "asked_at": instant(context.asked_at),
        "stable_revision": attempt.stable_revision if attempt else None,
        "weight": report.weight if report.weight is not None else context.weight,
        "next_weight": report.next_weight,
        "split": dict(report.split) if report.split else None,
        "annotation": attempt.annotation if attempt else None,
        "evidence": [evidence_document(e) for e in report.evidence],
        "left_out": [dict(item) for item in report.left_out],
        "queries": [dict(query) for query in context.queries],
        "override": override_document(override) if override else None,
        "history": list(attempt.history) if attempt else [],
        "started_at": instant(attempt.started_at) if attempt and attempt.started_at is not None else None,
        "start_source": attempt.start_source if attempt else "",
        "grid": dict(context.grid) if context.grid else None,
        "steps": [dict(step) for step in context.steps],
        "noise_window": dict(context.noise_window) if context.noise_window else None,
        "flags": sorted({*report.flags, *context.flags}),
        "notes": [*report.notes, *context.notes],
        "fault": context.fault or None,
        "timing": {
            "own_seconds": round(context.own_seconds, 6),
            "source_seconds": round(context.source_seconds, 6),
        },
        "asked": {
            "stage": context.asked.stage.value if context.asked.stage else None,
            "next_weight": context.asked.next_weight,
        },
    }


def evidence_document(evidence: Evidence) -> dict[str, Json]:
    """Return the document of one question's evidence."""
    return {
        "name": evidence.name,
        "kind": evidence.kind,
        "state": evidence.state.value,
        "reason": evidence.reason,
        "weight": evidence.weight,
        "required": evidence.required,
        "muted": evidence.muted,
        "may": evidence.may,
        "proof": evidence.proof,
        "counts": evidence.counts,
        "effect": _effect(evidence.effect),
        "log_e": dict(evidence.log_e),
        "goals": dict(evidence.goals),
        "odds": evidence.odds,
        "noise": evidence.noise,
        "forecast": evidence.forecast,
        "advice": list(evidence.advice),
        "limits": [dict(limit) for limit in evidence.limits],
        "flags": list(evidence.flags),
        "details": dict(evidence.details),
    }


def _effect(effect: Effect | None) -> dict[str, Json] | None:
    if effect is None:
        return None
    return {
        "measure": effect.measure,
        "estimate": effect.estimate,
        "low": effect.low,
        "high": effect.high,
        "level": effect.level,
    }


def override_document(override: Override) -> dict[str, Json]:
    """Return a human's word as callers see it."""
    return {
        "id": override.id,
        "verdict": override.verdict,
        "actor": override.actor,
        "reason": override.reason,
        "revision": override.revision,
        "at": instant(override.at),
        "expires": instant(override.expires_at) if override.expires_at is not None else None,
    }


def closing_document(document: Mapping[str, Json], outcome: str, time: float, context: Context) -> dict[str, Json]:
    """
    Return the closing report of an attempt: the last report with the whole history and the outcome.

    ``outcome`` is ``promoted``, ``aborted``, ``rolled back`` or ``superseded``.
    """
    attempt = context.attempt
    digest = hashlib.sha256(f"{document['id']}/{outcome}/{attempt.attempt if attempt else 0}".encode())
    identity = "r_" + digest.hexdigest()[:16]
    history = list(attempt.history) if attempt else []
    begun = attempt.started_at or attempt.opened_at if attempt else time
    closing = {
        "outcome": outcome,
        "time": time,
        "seconds": time - begun,
        "history": history,
        "last_report": document["id"],
    }
    release = dict(document["release"], phase=attempt.phase if attempt else "")
    detail = dict(document["detail"], history=history, closing=closing)
    result = dict(document, id=identity, release=release, detail=detail)
    result["url"] = f"{context.public_url}/reports/{identity}"
    return dict(finite(result))
