"""What the blueprints share of HTTP: bodies within their limit, strict JSON answers, and faults as safe verdicts."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from analysis import judge
from analysis.errors import AnalysisError
from analysis.types import Json, Mode, Stage
from webhook import answers
from webhook.answers import Heard, Hook
from webhook.errors import BadRequest, TooLarge, WebhookError
from webhook.schema.report import dump
from webhook.service import Service

JSON = "application/json"
PROBLEM = "application/problem+json"


def body_of(limit: int) -> bytes:
    """
    Return the body of the request.

    Raises
    ------
    TooLarge
        Over ``limit`` bytes; the message names both figures where the caller said the length.
    BadRequest
        The caller went away in the middle of it.
    """
    if request.content_length is not None and request.content_length > limit:
        raise TooLarge(f"the body may hold {limit:,} bytes, got {request.content_length:,}")
    try:
        raw = request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise TooLarge(f"the body may hold {limit:,} bytes") from error
    except ClientDisconnected as error:
        raise BadRequest("the body ended before its length") from error
    if len(raw) > limit:
        raise TooLarge(f"the body may hold {limit:,} bytes, got more")
    return raw


def answer_json(value: Mapping[str, Json], status: int = 200, content_type: str = JSON) -> Response:
    """Return strict JSON: no NaN, with its length, never cached."""
    response = Response(dump(value) + "\n", status=status, content_type=content_type)
    response.headers["Cache-Control"] = "no-store"
    return response


def answer_line(text: str, status: int) -> Response:
    """Return one plain line of at most 250 characters: it ends up in Kubernetes events and chat."""
    line = " ".join(text.split())
    if len(line) > answers.REASON_LIMIT:
        line = line[: answers.REASON_LIMIT - 1] + "…"
    response = Response(line + "\n", status=status, content_type="text/plain; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    return response


def answer_words(text: str, status: int) -> Response:
    """Return exactly these words, without a line break; nothing to say has no content type."""
    response = Response(text, status=status, content_type="text/plain; charset=utf-8")
    if not text:
        del response.headers["Content-Type"]
    response.headers["Cache-Control"] = "no-store"
    return response


def problem(error: WebhookError) -> Response:
    """Return an error as problem+json (RFC 9457) with place, rule and value."""
    document: dict[str, Json] = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.message,
    }
    if error.place:
        document["place"] = error.place
    response = answer_json(document, error.status, PROBLEM)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="weighbridge"'
    return response


def mistake(error: WebhookError | AnalysisError) -> WebhookError:
    """Return the error itself, or what the core says of numbers and policies as the caller's mistake."""
    return error if isinstance(error, WebhookError) else BadRequest(error.message, error.place)


def problem_document(
    service: Service, error: WebhookError | AnalysisError, hook: Hook
) -> tuple[Heard, dict[str, Json]]:
    """
    Return what a controller hears of a request that cannot be judged: the safe row of its table, with the same words.

    In shadow for all it hears promote, as always there.
    """
    wrong = mistake(error)
    mode = service.settings.mode or Mode.ENFORCE
    place = f"{wrong.place}: " if wrong.place else ""
    now = service.clock()
    report = judge.cannot_judge(f"{wrong.title.lower()}: {place}{wrong.message}", Stage.STEP, now)
    heard = answers.heard(report.verdict, mode, degraded=True)
    return heard, {
        "verdict": answers.spoken(heard).value,
        "reason": report.reason,
        "mode": mode.value,
        "would": report.verdict.value,
        "score": 0.0,
        "id": None,
        "url": None,
        "release": {"stage": report.stage.value},
        "policy": None,
        "window": None,
        "questions": {},
        "forecast": None,
        "hook": hook.value,
    }
