"""Inline data as plain documents, for several tests."""

from __future__ import annotations


def counted(bad, total):
    """Return the two counters of one side."""
    return {"bad": bad, "total": total}


def both(baseline, canary, **more):
    """Return data with one question for the error rate."""
    return {"questions": {"error-rate": {"baseline": baseline, "canary": canary} | more}}
