"""Labelled cases as series without counts: ``decide`` answers one case of the shared corpus."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.compare.variation import Line, weigh
from analysis.grid import Floats

SIGNS = {"up": 1, "down": -1, "both": 0}
WORDS = {"worse": "abort", "within_variation": "promote"}


def decide(case: dict[str, Any]) -> str:
    """Return promote, hold or abort for one case."""
    sides = [_sides(m) for m in case["metrics"]]
    load = [s for s, m in zip(sides, case["metrics"], strict=True) if m["direction"] == "context"]
    lines = [
        Line(
            name=m["name"],
            sign=SIGNS[m["direction"]],
            canary=c,
            stable=s,
            history=h,
            requests=load,
            fraction=m["unit"] == "fraction",
        )
        for (c, s, h), m in zip(sides, case["metrics"], strict=True)
        if m["direction"] != "context"
    ]
    found = weigh(lines, beside=case["aligned"], step_seconds=case["step_seconds"])
    return WORDS.get(found.state, "hold")


def _sides(metric: dict[str, Any]) -> tuple[Floats, Floats, Floats]:
    canary, stable, history = (np.array(metric.get(k) or [], float) for k in ("canary", "stable", "history"))
    return canary, stable, history
