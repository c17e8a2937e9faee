"""
Argo Rollouts: the target of its ``web`` metric.

Every authenticated request is answered 200 with a verdict object, whatever is wrong: a non-2xx becomes an error without
text and aborts after a few, and a 2xx that is no JSON object promotes.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from analysis.errors import AnalysisError
from webhook import answers
from webhook.answers import Hook
from webhook.calls import Call
from webhook.errors import Forbidden, NotAuthorised, TooLarge, WebhookError
from webhook.http import answer_json, body_of, problem_document
from webhook.releases import Caller
from webhook.schema.report import verdict_object
from webhook.schema.request import Ask, read_body, read_query
from webhook.service import Service
from webhook.tokens import Verb


def blueprint(service: Service) -> Blueprint:
    """Return the blueprint with ``/argo/analysis``."""
    argo = Blueprint("argo", __name__)

    @argo.route("/argo/analysis", methods=["GET", "POST"], provide_automatic_options=False)
    def analysis() -> Response:
        began = service.gate.stopwatch()
        try:
            ask = _read(service)
            service.guard.authorise(request.environ, Verb.ASK, ask.namespace)
            call = Call(ask=ask, caller=Caller.ARGO, at=service.clock(), may_open=request.method == "POST")
            outcome = service.gate.evaluate(call)
            heard, document = outcome.heard, dict(outcome.document)
        except (TooLarge, NotAuthorised, Forbidden):
            raise
        except (WebhookError, AnalysisError) as wrong:
            service.guard.authorise(request.environ, Verb.ASK, None)
            heard, document = problem_document(service, wrong, Hook.ARGO)
        service.decided("argo", "", heard, document, service.gate.stopwatch() - began)
        return answer_json(verdict_object(document), answers.status(Hook.ARGO, heard))

    return argo


def _read(service: Service) -> Ask:
    if request.method == "GET":
        return read_query(request.args.items(multi=True), loose=True)
    raw = body_of(service.settings.body_limit)
    return read_body(raw, loose=True) if raw.strip() else read_query(request.args.items(multi=True), loose=True)
