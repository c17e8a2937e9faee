"""Checking a policy against a source: which queries parse, which return data, do the sides overlap, how soon."""

from __future__ import annotations

from analysis.types import Json
from webhook.gate import Gate


def check_request(gate: Gate, body: Json, at: float) -> dict[str, Json]:
    """Return what can be said of the policy in ``body``."""
    raise NotImplementedError
