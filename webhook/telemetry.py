"""
What the service tells about itself: its metrics, request ids, and one line for each decision.

Labels come from closed sets. The registry is injected: a test reads single samples from its own, and
several worker processes share theirs through files (see ``server.py``).
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    values,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from webhook import logs
from webhook.errors import SourceDown, SourceLimit, SourceRefused, StoreConflict, StoreDown, WebhookError

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 8.0, 10.0)
"""Bucket edges: own computing takes 10 ms, the deadline is 8 s, and Argo Rollouts gives up after 10."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

FAULTS: Mapping[type[WebhookError], str] = {
    SourceDown: "down",
    SourceRefused: "refused",
    SourceLimit: "limit",
    StoreDown: "down",
    StoreConflict: "conflict",
}
"""Kinds of faults, as labels."""

ROUTE = "weighbridge.route"
"""Key of the WSGI environment where the application leaves the *rule* that matched, never the path."""

REQUEST_ID = "weighbridge.request_id"
"""Key of the WSGI environment that holds the id of the request."""

GOOD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    One decision as it is logged and counted.

    Parameters
    ----------
    policy, namespace, name, reason, id : str
        As in the verdict object.
    verdict, would : str
        What the caller was told, and the true verdict.
    mode : str
        ``shadow``, ``advise`` or ``enforce``.
    caller, hook, stage : str
        ``argo``, ``flagger``, ``v1`` …; Flagger's hook or empty; the stage.
    duration_s, source_s : float
        Seconds for the whole, and waiting for the source.
    """

    policy: str
    verdict: str
    would: str
    mode: str
    caller: str
    reason: str
    id: str
    namespace: str = ""
    name: str = ""
    hook: str = ""
    stage: str = ""
    duration_s: float = 0.0
    source_s: float = 0.0


class Telemetry:
    """
    The metrics of one process, all called ``weighbridge_…``.

    Parameters
    ----------
    registry : CollectorRegistry
        Where they are registered.
    version : str
        Shown as ``weighbridge_build_info``.
    """

    def __init__(self, registry: CollectorRegistry, *, version: str) -> None:
        self.registry = registry
        # Of a gauge in several processes the last word counts, and a dead process has none.
        latest = {"registry": registry, "multiprocess_mode": "livemostrecent"}
        self._decisions = Counter(
            "weighbridge_decisions",
            "Decisions, as the caller was told.",
            ["caller", "verdict", "mode"],
            registry=registry,
        )
        self._decision_seconds = Histogram(
            "weighbridge_decision_seconds", "Time of a whole decision.", ["caller"], buckets=SECONDS, registry=registry
        )
        self._source_seconds = Histogram(
            "weighbridge_source_seconds", "Time a decision waited for its source.", buckets=SECONDS, registry=registry
        )
        self._source_faults = Counter("weighbridge_source_faults", "Faults of a source.", ["kind"], registry=registry)
        self._store_faults = Counter("weighbridge_store_faults", "Faults of the store.", ["kind"], registry=registry)
        self._requests = Counter(
            "weighbridge_http_requests", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self._gates = Counter(
            "weighbridge_gate_answers", "Answers of gates.", ["gate", "action", "outcome"], registry=registry
        )
        self._policies = Gauge("weighbridge_policies_loaded", "Policies in force.", **latest)  # type: ignore[arg-type]
        self._broken = Gauge("weighbridge_policies_broken", "Policies that cannot be read.", **latest)  # type: ignore[arg-type]
        build = Gauge("weighbridge_build_info", "The version that runs.", ["version"], **latest)  # type: ignore[arg-type]
        build.labels(version).set(1)

    def decided(self, decision: Decision) -> None:
        """Count one decision and write its line."""
        self._decisions.labels(decision.caller, decision.verdict, decision.mode).inc()
        self._decision_seconds.labels(decision.caller).observe(decision.duration_s)
        self._source_seconds.observe(decision.source_s)
        fields = {key: value for key, value in asdict(decision).items() if value != ""}
        for key in ("duration", "source"):
            fields[f"{key}_ms"] = round(fields.pop(f"{key}_s") * 1000, 1)
        logs.event("decision", **fields)

    def fault(self, error: WebhookError) -> None:
        """Count a fault of a source or of the store and say it; anything else is not counted here."""
        kind = FAULTS.get(type(error))
        if kind is None:
            return
        of_store = isinstance(error, StoreDown | StoreConflict)
        (self._store_faults if of_store else self._source_faults).labels(kind).inc()
        level = logging.DEBUG if isinstance(error, StoreConflict) else logging.WARNING
        logs.event("store_fault" if of_store else "source_fault", level=level, reason=str(error))

    def gate(self, gate: str, action: str, outcome: str) -> None:
        """Count one answer of a gate."""
        self._gates.labels(gate, action, outcome).inc()

    def policies(self, loaded: int, broken: int) -> None:
        """Say how many policies are in force, and how many files cannot be read."""
        self._policies.set(loaded)
        self._broken.set(broken)

    def answered(self, route: str, method: str, status: str) -> None:
        """Count one request."""
        self._requests.labels(route, method if method in METHODS else "other", status).inc()


def exposition(registry: CollectorRegistry, *more: Collector) -> Callable[[str], tuple[bytes, str]]:
    """
    Return what ``/metrics`` calls with the ``Accept`` header: body and content type.

    Where several worker processes share their metrics, it adds up all of them, whoever is asked.

    Parameters
    ----------
    registry : CollectorRegistry
        The one that was given to `Telemetry`.
    *more : Collector
        What is read at the time of the scrape, the same in every process.
    """
    shown = registry
    if getattr(values.ValueClass, "_multiprocess", False):
        shown = CollectorRegistry()
        MultiProcessCollector(shown)  # type: ignore[no-untyped-call]
    else:
        ProcessCollector(registry=shown)
        PlatformCollector(registry=shown)
        GCCollector(registry=shown)
    for collector in more:
        shown.register(collector)

    def render(accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        return encode(shown), content_type

    return render


class Requests:
    """
    WSGI middleware: a request id in, made and out, and one count for each answer.

    A caller's ``X-Request-ID`` is kept if it is short and plain; else a new one is made, so that nobody
    writes into our logs.

    Parameters
    ----------
    wsgi_app : WSGI callable
        The application; it leaves the rule that matched under `ROUTE`.
    telemetry : Telemetry
        Where the answers are counted.
    new_id : callable, default random
        Makes an id.
    """

    def __init__(
        self,
        wsgi_app: Callable[[dict[str, Any], Any], Iterable[bytes]],
        telemetry: Telemetry,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._app = wsgi_app
        self._telemetry = telemetry
        self._new_id = new_id

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer like the inner application, with ``X-Request-ID`` added."""
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if GOOD_ID.fullmatch(given) else self._new_id()
        environ[REQUEST_ID] = request_id
        environ.pop(ROUTE, None)
        status = "500"

        def started(line: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            nonlocal status
            status = line[:3]
            kept = [pair for pair in headers if pair[0].lower() != "x-request-id"]
            return start_response(line, [*kept, ("X-Request-ID", request_id)], *rest)

        token = logs.REQUEST_ID.set(request_id)
        begun = time.perf_counter()
        try:
            return self._app(environ, started)
        finally:
            took = round((time.perf_counter() - begun) * 1000, 1)
            route, method = environ.get(ROUTE) or "unmatched", environ.get("REQUEST_METHOD", "")
            self._telemetry.answered(route, method, status)
            level = logging.WARNING if status >= "500" else logging.DEBUG
            logs.event("request", level=level, reason=f"{method[:16]} {route}: {status}", duration_ms=took)
            logs.REQUEST_ID.reset(token)
