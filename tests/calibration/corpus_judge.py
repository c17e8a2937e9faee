"""The labelled cases of the shared corpus as inline data, under the default policy: what a request without one gets."""

from __future__ import annotations

from typing import Any

from analysis.judge import judge
from webhook.schema.data import inline_policy, inline_record

DIRECTIONS = {"up": "increase", "down": "decrease", "both": "both", "context": "increase"}


def asked(metric: dict[str, Any]) -> dict[str, Any]:
    """Return one metric as a question of the data; context has no vote, fractions may be counts."""
    sides = {to: {"values": metric[side] or [None]} for to, side in (("baseline", "stable"), ("canary", "canary"))}
    before = {"history": {"baseline": {"values": metric["history"]}}} if metric.get("history") else {}
    unit = {"unit": "fraction"} if metric.get("unit") == "fraction" else {}
    told = {"direction": DIRECTIONS[metric["direction"]], "context": metric["direction"] == "context"}
    return {**sides, **before, **unit, **told}


def decide(case: dict[str, Any]) -> str:
    """Return promote, hold or abort for one case."""
    pairing = "before_after" if case["pairing"] == "before_after" else "concurrent"
    questions = {f"metric-{n}": asked(metric) for n, metric in enumerate(case["metrics"])}
    aligned = bool(case["aligned"]) and all(len(m["stable"]) == len(m["canary"]) for m in case["metrics"])
    data = {"step_seconds": case["step_seconds"], "aligned": aligned, "pairing": pairing, "questions": questions}
    policy = inline_policy(data)
    record = inline_record(data, policy)
    return judge(policy, record, float(record.ends[-1])).verdict.value
