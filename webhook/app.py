"""Wiring, nothing else: settings in, a Flask application out."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Mapping
from functools import partial

from flask import Blueprint, Flask, Response, request
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from analysis.errors import AnalysisError
from analysis.types import Json
from webhook import answers, argo, flagger, gates, logs, ops, v1
from webhook.active import ActiveReleases, deadline_left
from webhook.answers import Hook
from webhook.auth import Guard, PathToken
from webhook.dashboard import pages
from webhook.errors import WebhookError
from webhook.gate import Gate
from webhook.http import answer_json, answer_line, mistake, problem, problem_document
from webhook.placebo import views as placebo_views
from webhook.placebo.job import Placebos
from webhook.placebo.ledger import Ledger
from webhook.placebo.metrics import PlaceboMetrics
from webhook.placebo.standing import HonestGate
from webhook.policies import Policies
from webhook.ports import Source, Store
from webhook.releases import CANARY_ITSELF, TERMINAL
from webhook.schema.report import verdict_object
from webhook.service import Service
from webhook.settings import Settings
from webhook.stores import open_store
from webhook.telemetry import ROUTE, Requests, Telemetry, exposition

SHOWN_RELEASES = 200
PING_S = 0.7


def version() -> str:
    """Return the version of the distribution, ``0`` where it is not installed."""
    try:
        return importlib.metadata.version("weighbridge")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def create_app(
    settings: Settings,
    *,
    store: Store | None = None,
    sources: Mapping[str, Source] | None = None,
    clock: Callable[[], float] = time.time,
    stopwatch: Callable[[], float] = time.monotonic,
) -> Flask:
    """
    Return the application.

    Parameters
    ----------
    settings : Settings
    store : Store, optional
        Instead of the one that the settings name.
    sources : mapping of str to Source, optional
        Instead of the one that the settings name (``default``).
    clock, stopwatch : callable
        Unix seconds, and monotonic seconds.
    """
    registry = CollectorRegistry()
    telemetry = Telemetry(registry, version=version())
    chosen = store if store is not None else open_store(settings, clock)
    reading = sources if sources is not None else _sources(settings)
    policies = Policies(settings.policies, default=settings.default_policy or None, clock=stopwatch)
    guard = Guard.from_settings(settings, clock)
    ledger = Ledger(chosen, settings.cluster)
    gate = HonestGate(
        ledger=ledger if settings.placebo_every_s else None,
        store=chosen,
        policies=policies,
        sources=reading,
        mode=settings.mode,
        cluster=settings.cluster,
        public_url=settings.public_url.rstrip("/"),
        budget=settings.deadline_s,
        source_timeout=settings.source_timeout_s,
        stopwatch=stopwatch,
        on_fault=telemetry.fault,
    )
    service = Service(gate=gate, guard=guard, telemetry=telemetry, settings=settings, clock=clock)
    app = Flask("webhook", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # an empty 200 to OPTIONS would promote
    # One more than may be: a body in chunks is cut there without a word, and must be told from one that fits.
    app.config["MAX_CONTENT_LENGTH"] = settings.body_limit + 1
    app.url_map.strict_slashes = False  # never a redirect: Argo Rollouts follows it without its body
    app.url_map.merge_slashes = False
    for blueprint in (argo.blueprint, flagger.blueprint, gates.blueprint, v1.blueprint, pages.blueprint):
        app.register_blueprint(blueprint(service))
    app.register_blueprint(placebo_views.blueprint(service, ledger))
    app.register_blueprint(_operations(service, registry, reading, PlaceboMetrics(ledger.entries)))
    if settings.placebo_every_s:
        app.extensions["placebos"] = Placebos(gate=gate, ledger=ledger, every=settings.placebo_every_s, clock=clock)
        app.extensions["placebos"].start()
    _handlers(app, service)
    app.wsgi_app = PathToken(Requests(app.wsgi_app, telemetry))  # type: ignore[method-assign]
    return app


def _sources(settings: Settings) -> dict[str, Source]:
    if not settings.prometheus:
        return {}
    from webhook.sources.prometheus import PrometheusSource

    source = PrometheusSource(
        settings.prometheus,
        headers=settings.prometheus_headers,
        bearer_file=settings.prometheus_bearer_file,
        basic=settings.prometheus_basic,
        ca_file=settings.prometheus_ca_file,
    )
    return {"default": source}


def _operations(
    service: Service, registry: CollectorRegistry, sources: Mapping[str, Source], *more: Collector
) -> Blueprint:
    gate = service.gate
    probes: dict[str, Callable[[], None]] = {"store": gate.store.ping}
    for name, source in sources.items():
        label = "source" if name == "default" else f"source {name}"
        probes[label] = partial(source.ping, PING_S)

    def notes() -> list[str]:
        problems = gate.policies.problems()
        service.telemetry.policies(len(gate.policies.all()), len(problems))
        found = [f"policies: {problem}" for problem in problems]
        return found + ([f"tokens: {service.guard.problem}"] if service.guard.problem else [])

    notes()
    active = ActiveReleases(lambda: _active(gate))
    return ops.blueprint(probes=probes, metrics=exposition(registry, active, *more), version=version(), notes=notes)


def _active(gate: Gate) -> list[Mapping[str, Json]]:
    """Return the newest report of every release that is not over."""
    running = [
        r
        for r in gate.store.releases(SHOWN_RELEASES)
        if r["phase"] not in TERMINAL and r["revision"] != CANARY_ITSELF and r.get("last_report")
    ]
    found = [(r, report) for r in running if (report := gate.store.report(r["last_report"])) is not None]
    return [{**report, "deadline_left": deadline_left(r, report)} for r, report in found]


def _handlers(app: Flask, service: Service) -> None:
    @app.before_request
    def no_empty_answers() -> Response | None:
        request.environ[ROUTE] = request.url_rule.rule if request.url_rule else "unknown"
        if request.method == "HEAD" and request.blueprint not in (None, "ops"):
            return refused(MethodNotAllowed(valid_methods=["GET"]))
        return None

    @app.errorhandler(WebhookError)
    def mistaken(error: WebhookError) -> Response:
        return problem(error)

    @app.errorhandler(AnalysisError)
    def impossible(error: AnalysisError) -> Response:
        return problem(mistake(error))

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        if isinstance(error, RequestEntityTooLarge):
            detail = f"the body may hold {service.settings.body_limit:,} bytes"
        else:
            detail = error.description or error.name
        document = {"type": "about:blank", "title": error.name, "status": error.code or 500, "detail": detail}
        response = answer_json(document, error.code or 500, "application/problem+json")
        for name, value in error.get_headers():
            if name in ("Allow", "Retry-After"):
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def broken(error: Exception) -> Response:
        logs.event("error", level=40, reason=f"{type(error).__name__}: {error}")
        app.logger.error("unexpected", exc_info=error)
        ours = WebhookError("something of ours is broken; the log says more under this request's id")
        hook = _hook()
        if hook is None:
            return problem(ours)
        heard, document = problem_document(service, ours, hook)
        if hook is Hook.ARGO:
            return answer_json(verdict_object(document), answers.status(hook, heard))
        return answer_line(str(document["reason"]), answers.status(hook, heard))


def _hook() -> Hook | None:
    """Return whose endpoint this request came to: a controller gets its safe row even from a broken service."""
    if request.path == "/argo/analysis":
        return Hook.ARGO
    if request.path.startswith("/flagger/"):
        name = request.path.removeprefix("/flagger/").rstrip("/")
        return Hook(name) if name in {h.value for h in Hook} else None
    return None
