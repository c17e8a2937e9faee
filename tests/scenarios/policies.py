"""The policies of the scenarios, as documents that a request carries."""

from __future__ import annotations

ERRORS = 0.05
SLOWER = 0.5
SIDED = "http_requests_total{$side}"
FAILED = 'http_requests_total{$side, code=~"5.."}'


def error_rate(**more):
    """Return the question for the error rate."""
    return {"name": "error-rate", "kind": "proportion", "bad": FAILED, "total": SIDED, "weight": "critical", **more}


def limits(**more):
    """Return the limits of all scenarios: errors at most 5 %, latency at most 50 % over the baseline, 10 requests."""
    slower = [{"question": "latency", "percentile": p, "max_increase": SLOWER} for p in ("p50", "p95", "p99")]
    return {
        "name": "limits",
        "kind": "limits",
        "min_requests": 10,
        "any_of": [{"question": "error-rate", "max": ERRORS}, *slower],
        **more,
    }


def limited(**more):
    """Return limits alone: the questions that they read are muted."""
    latency = {"name": "latency", "kind": "latency", "histogram": "http_request_duration_seconds{$side}", "muted": True}
    return {
        "apiVersion": "weighbridge/v1",
        "name": "limited",
        "min_step": "0s",
        "looks": {"length": "10s"},
        "questions": [error_rate(muted=True), latency, limits()],
        **more,
    }


def both(**more):
    """Return limits beside the default statistical question about the error rate."""
    only_errors = limits(any_of=[{"question": "error-rate", "max": ERRORS}])
    return {
        "apiVersion": "weighbridge/v1",
        "name": "both",
        "min_step": "0s",
        "questions": [error_rate(), only_errors],
        **more,
    }


def weighed(**more):
    """Return the default statistical question alone, with steps that may be short."""
    return {
        "apiVersion": "weighbridge/v1",
        "name": "weighed",
        "min_step": "0s",
        "looks": {"length": "10s"},
        "questions": [error_rate()],
        **more,
    }


def patient(**more):
    """Return the limit of errors alone, broken only by two looks in a row."""
    only_errors = limits(any_of=[{"question": "error-rate", "max": ERRORS}], consecutive=2)
    return limited(questions=[error_rate(muted=True), only_errors], **more)
