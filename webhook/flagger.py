"""
Flagger's hooks, one path each: the verdict is in the status code, the reason is one plain line.

The table is in ``answers.py``. Holds and faults of ours wait at the confirm hooks, which do not count; a refusal at
rollout counts towards a rollback, and 2xx at rollback *is* one.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, request

from analysis.errors import AnalysisError
from analysis.types import Json, Stage
from webhook import answers, canary
from webhook.answers import Hook
from webhook.calls import Call
from webhook.errors import Forbidden, NotAuthorised, NotFound, WebhookError
from webhook.http import answer_line, body_of, problem_document
from webhook.releases import Caller
from webhook.schema import scalars
from webhook.schema.request import Ask, FlaggerCall, read_flagger
from webhook.service import Service
from webhook.tokens import Verb

STAGES = {
    Hook.PRE_ROLLOUT: Stage.PRE,
    Hook.ROLLOUT: Stage.STEP,
    Hook.CONFIRM_PROMOTION: Stage.FINAL,
    Hook.ROLLBACK: Stage.STEP,
}
"""
What each hook asks for. A traffic increase names no stage, the next weight decides: the step to all traffic is the last
one, for behind it there is no baseline left to prove anything with.
"""
HOOKS = [hook for hook in Hook if hook is not Hook.ARGO]
SELECTABLE = ("target", "service", "ingress", "route")


def blueprint(service: Service) -> Blueprint:
    """Return the blueprint with ``/flagger/{hook}``."""
    flagger = Blueprint("flagger", __name__)

    @flagger.route("/flagger/<name>", methods=["POST"], provide_automatic_options=False)
    def hook(name: str) -> Response:
        if name not in {h.value for h in HOOKS}:
            raise NotFound(f"must be one of {', '.join(h.value for h in HOOKS)}, got {name!r}", "/flagger/{hook}")
        return _answer(service, Hook(name))

    return flagger


def _answer(service: Service, hook: Hook) -> Response:
    began = service.gate.stopwatch()
    hold_fails = request.args.get("hold") == "fail"
    document: dict[str, Json]
    try:
        call = _call(service, hook, hold_fails)
        service.guard.authorise(request.environ, Verb.ASK, call[0].ask.namespace)
        said = _asked(service, hook, *call)
        heard, reason, document = said.heard, said.reason, said.document or {}
    except (NotAuthorised, Forbidden):
        raise
    except (WebhookError, AnalysisError) as wrong:
        service.guard.authorise(request.environ, Verb.ASK, None)
        heard, document = problem_document(service, wrong, hook)
        reason = str(document["reason"])
    said_document = document or {"reason": reason, "verdict": heard.value}
    service.decided("flagger", hook.value, heard, said_document, service.gate.stopwatch() - began)
    return answer_line(reason, answers.status(hook, heard, hold_fails=hold_fails))


def _call(service: Service, hook: Hook, hold_fails: bool) -> tuple[Call, FlaggerCall]:
    body = scalars.parsed(body_of(service.settings.body_limit))
    told = read_flagger(body)
    metadata = told.metadata
    ask = Ask(
        policy=request.args.get("policy") or metadata.get("policy") or None,
        stage=STAGES.get(hook),
        namespace=told.namespace,
        name=told.name,
        revision=told.checksum,
        weight=scalars.share(metadata.get("weight"), "/metadata/weight", loose=True),
        next_weight=scalars.share(metadata.get("next_weight"), "/metadata/next_weight", loose=True),
        annotation=metadata.get("annotation", ""),
    )
    call = Call(
        ask=ask,
        caller=Caller.FLAGGER,
        at=service.clock(),
        hook=hook.value,
        hold_fails=hold_fails,
        names={name: metadata[name] for name in SELECTABLE if metadata.get(name)},
    )
    return call, told


def _asked(service: Service, hook: Hook, call: Call, told: FlaggerCall) -> canary.Said:
    special: Callable[[], canary.Said] | None = {
        Hook.CONFIRM_ROLLOUT: lambda: canary.admit(service.gate, call),
        Hook.POST_ROLLOUT: lambda: canary.ended(service.gate, call, told),
        Hook.EVENT: lambda: canary.ended(service.gate, call, told),
    }.get(hook)
    if special is not None:
        return special()
    outcome = service.gate.evaluate(call)
    if hook is Hook.CONFIRM_TRAFFIC_INCREASE:
        first = canary.first_traffic(service.gate, call, outcome)
        if first is not None:
            return canary.Said(heard=first.heard, reason=first.reason, document=dict(outcome.document))
    return canary.Said(heard=outcome.heard, reason=outcome.reason, document=dict(outcome.document))
