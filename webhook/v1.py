"""The API for people and programs: analysis, reports, releases, overrides, policies; real status codes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from flask import Blueprint, Response, request

from analysis.types import Json
from webhook import checking
from webhook.calls import Call
from webhook.errors import BadRequest, NotFound, StoreConflict
from webhook.explain import page, text
from webhook.exporting import export, exported, traced
from webhook.gate import TRIES, Gate
from webhook.http import answer_json, body_of
from webhook.overrides import Override
from webhook.plots.shelf import COLOURS, FORMS, Shelf
from webhook.ports import Write
from webhook.releases import CANARY_ITSELF, Caller, noted
from webhook.schema import scalars
from webhook.schema.override import read_override_request
from webhook.schema.report import finite, instant, verdict_object
from webhook.schema.request import read_body, read_query
from webhook.service import Service
from webhook.tokens import Verb

NOT_FIELDS = ("format", "token")


def blueprint(service: Service) -> Blueprint:
    """Return the blueprint with ``/v1``."""
    v1 = Blueprint("v1", __name__, url_prefix="/v1")
    _analysis(v1, service)
    _reports(v1, service)
    _releases(v1, service)
    _policies(v1, service)
    return v1


def _analysis(v1: Blueprint, service: Service) -> None:
    gate = service.gate

    @v1.route("/analysis", methods=["GET", "POST"], provide_automatic_options=False)
    def analysis() -> Response:
        began = gate.stopwatch()
        service.guard.identify(request.environ)
        form = wanted()
        if request.method == "POST":
            ask = read_body(body_of(service.settings.body_limit), loose=False)
        else:
            ask = read_query(request.args.items(multi=True), loose=False, skip=NOT_FIELDS)
        service.guard.authorise(request.environ, Verb.ASK, ask.namespace)
        opens = request.method == "POST"
        outcome = gate.evaluate(
            Call(ask=ask, caller=Caller.V1, at=service.clock(), may_open=opens, read_only=not opens)
        )
        document = dict(outcome.document)
        service.decided("v1", "", outcome.heard, document, gate.stopwatch() - began)
        if form == "text":
            return _text(text.render(document))
        return answer_json(verdict_object(document))


def _reports(v1: Blueprint, service: Service) -> None:
    @v1.get("/reports/<report_id>", provide_automatic_options=False)
    def report(report_id: str) -> Response:
        return shown(service, report_id, wanted())

    @v1.get("/reports/<report_id>/record", provide_automatic_options=False)
    def record(report_id: str) -> Response:
        return answer_json(export(service.gate, _report(service, report_id)))

    shelf = Shelf()

    @v1.get("/reports/<report_id>/plots/<question>.<form>", provide_automatic_options=False)
    def plot(report_id: str, question: str, form: str) -> Response:
        document = _report(service, report_id)
        return _plot(shelf, service.gate, document, question, form)


def _releases(v1: Blueprint, service: Service) -> None:
    gate = service.gate

    @v1.get("/releases", provide_automatic_options=False)
    def releases() -> Response:
        principal = service.guard.authorise(request.environ, Verb.READ, None)
        found = [r for r in gate.store.releases() if principal.may(Verb.READ, r["namespace"])]
        found = [r for r in found if r["revision"] != CANARY_ITSELF]
        if wanted() == "html":
            return html(page.releases(found, base=request.script_root))
        return answer_json({"releases": [_brief(r) for r in found]})

    @v1.get("/releases/<namespace>/<name>", provide_automatic_options=False)
    @v1.get("/releases/<namespace>/<name>/<revision>", provide_automatic_options=False)
    def release(namespace: str, name: str, revision: str = "") -> Response:
        service.guard.authorise(request.environ, Verb.READ, namespace)
        attempts = [a for a in gate.attempts(namespace, name) if not revision or a.revision == revision]
        if not attempts:
            raise NotFound(f"no release {namespace}/{name}{'/' if revision else ''}{revision} is known")
        newest = attempts[-1]
        reports = gate.store.reports(newest.key.parts)
        if wanted() == "html":
            return html(page.release(newest.document(), reports, base=request.script_root))
        return answer_json(
            {
                "release": _brief(newest.document()),
                "attempts": [_brief(a.document()) for a in attempts],
                "history": finite(newest.history),
                "overrides": [w.document() for w in gate.words(namespace, name)],
                "reports": [verdict_object(r) for r in reports],
            }
        )

    @v1.post("/releases/<namespace>/<name>/override", provide_automatic_options=False)
    def override(namespace: str, name: str) -> Response:
        principal = service.guard.authorise(request.environ, Verb.OPERATE, namespace)
        said = read_override_request(scalars.parsed(body_of(service.settings.body_limit)))
        return answer_json(_overridden(service, namespace, name, said, principal.name), 201)


def _policies(v1: Blueprint, service: Service) -> None:
    gate = service.gate

    @v1.post("/policies/check", provide_automatic_options=False)
    def check() -> Response:
        service.guard.authorise(request.environ, Verb.READ, None)
        body = scalars.parsed(body_of(service.settings.body_limit))
        return answer_json(checking.check_request(gate, body, service.clock()))

    @v1.get("/policies", provide_automatic_options=False)
    def policies() -> Response:
        service.guard.authorise(request.environ, Verb.READ, None)
        loaded = [{"policy": p.label, "notes": list(p.notes)} for p in gate.policies.all()]
        return answer_json({"policies": loaded, "problems": [str(p) for p in gate.policies.problems()]})


def shown(service: Service, report_id: str, form: str) -> Response:
    """Return a report as JSON, as plain text, or as a page."""
    document = _report(service, report_id)
    if form == "text":
        return _text(text.render(document))
    if form == "html":
        return html(page.render(document, base=request.script_root))
    return answer_json({key: value for key, value in document.items() if key != "inline"})


def html(body: str) -> Response:
    """Return a page that may load nothing from anywhere."""
    response = Response(body, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = page.CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


def _plot(shelf: Shelf, gate: Gate, document: Mapping[str, Json], question: str, form: str) -> Response:
    """Return a plot as a file; nothing in it is run or loaded, also where a browser shows it by itself."""
    theme = request.args.get("theme", COLOURS[0])
    if theme not in COLOURS:
        raise BadRequest(f"must be {' or '.join(COLOURS)}, got {theme!r}", "/theme")
    if form not in FORMS:
        raise NotFound(f"plots are {' and '.join(FORMS)}, got {form!r}")
    drawn = shelf.plot(document, question, form, theme, lambda: traced(exported(gate, document)))
    response = Response(drawn, content_type=FORMS[form])
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, max-age=3600"  # the id of a report is a hash of what it rests on
    return response


def _text(body: str) -> Response:
    return Response(body, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})


def wanted() -> str:
    """Return ``json``, ``text`` or ``html``: by ``?format=``, by Accept, and plain text for curl."""
    named = request.args.get("format")
    if named is not None:
        if named not in ("json", "text", "html"):
            raise BadRequest(f"must be json, text or html, got {named!r}", "/format")
        return named
    if request.path.endswith("/analysis"):
        plain = request.accept_mimetypes
        return "text" if plain and plain.best == "text/plain" else "json"
    if request.headers.get("User-Agent", "").startswith("curl/") and request.headers.get("Accept", "*/*") == "*/*":
        return "text" if "/reports/" in request.path else "json"
    best = request.accept_mimetypes.best_match(["application/json", "text/html", "text/plain"], default="")
    return {"text/html": "html", "text/plain": "text"}.get(best or "", "json")


def _report(service: Service, report_id: str) -> dict[str, Json]:
    principal = service.guard.authorise(request.environ, Verb.READ, None)
    document = service.gate.store.report(report_id)
    if document is None or not principal.may(Verb.READ, document["release"].get("namespace", "")):
        raise NotFound(f"no report {report_id!r} is kept")
    return document


def _brief(attempt: Mapping[str, Json]) -> dict[str, Json]:
    """Return what a list shows of an attempt."""
    keys = ("cluster", "namespace", "name", "revision", "attempt", "phase", "opened_by", "closing", "last_report")
    brief = {key: attempt.get(key) for key in keys}
    for key in ("opened_at", "started_at", "ended_at"):
        brief[key] = instant(attempt[key]) if attempt.get(key) is not None else None
    return brief


def _overridden(
    service: Service, namespace: str, name: str, said: Mapping[str, Json], principal: str
) -> dict[str, Json]:
    gate, now = service.gate, service.clock()
    attempts = gate.attempts(namespace, name)
    revision = said.get("revision")
    if revision is None:
        if not attempts:
            raise NotFound(f"no release {namespace}/{name} is known: name its revision to speak before it begins")
        revision = attempts[-1].revision
    seconds = said.get("expires_in")
    word = Override(
        id="o_" + secrets.token_hex(8),
        namespace=namespace,
        name=name,
        revision=revision,
        verdict=said["verdict"],
        reason=said["reason"],
        actor=said["actor"],
        at=now,
        expires_at=now + seconds if seconds is not None else None,
        principal=principal,
    )
    gate.store.add_override(word.document())
    _write_history(gate, word)
    shown_word = {key: value for key, value in word.document().items() if key != "extra"}
    shown_word["at"] = instant(word.at)
    shown_word["expires_at"] = instant(word.expires_at) if word.expires_at is not None else None
    return shown_word


def _write_history(gate: Gate, word: Override) -> None:
    """Add a human's word to the history of the attempt that it is about; it holds already, whoever writes meanwhile."""
    for _ in range(TRIES):
        mine = [a for a in gate.attempts(word.namespace, word.name) if a.revision == word.revision]
        if not mine:
            return
        action = f"override: {word.verdict}"
        told = noted(mine[-1], time=word.at, weight=None, action=action, reason=f"{word.actor}: {word.reason}")
        if told is mine[-1]:
            return
        try:
            gate.store.write(Write(attempt=told.document()))
        except StoreConflict:
            continue
        return
