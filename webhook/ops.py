"""
Operations: ``/healthz``, ``/readyz``, ``/metrics`` and ``/version``.

Readiness answers 200 even when everything we depend on is down: a gate that is taken out of its service
answers nobody, and controllers count that as a failed check or an error and abort. What is down is in
the body, the log and the verdicts, which hold.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, request

from webhook.probes import Probe, degraded


def blueprint(
    *,
    probes: Mapping[str, Callable[[], None]],
    metrics: Callable[[str], tuple[bytes, str]],
    version: str,
    notes: Callable[[], list[str]] = list,
) -> Blueprint:
    """
    Return the blueprint.

    Parameters
    ----------
    probes : mapping of str to callable
        By the name that ``degraded`` shows; each returns if all is well and raises `WebhookError`
        otherwise. Together they are bounded to 0.8 s, and each is asked at most once in 5 s.
    metrics : callable
        See `webhook.telemetry.exposition`.
    version : str
        Version of the distribution.
    notes : callable
        More words for ``degraded`` that cost nothing to find out (``policies``, ``tokens``).
    """
    ops = Blueprint("ops", __name__)
    watched = {name: Probe(name, call) for name, call in probes.items()}

    @ops.get("/healthz")
    def healthz() -> dict[str, Any]:
        return {"status": "alive"}

    @ops.get("/readyz")
    def readyz() -> dict[str, Any]:
        return {"status": "ready", "degraded": degraded(watched) + notes()}

    @ops.get("/metrics")
    def show_metrics() -> Response:
        body, content_type = metrics(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

    @ops.get("/version")
    def show_version() -> dict[str, Any]:
        return {"name": "weighbridge", "version": version, "python": platform.python_version()}

    @ops.after_request
    def fresh(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        return response

    return ops
