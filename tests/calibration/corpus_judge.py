"""Labelled cases as series without counts: ``decide`` answers one case of the shared corpus."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.compare.lines import Line
from analysis.compare.variation import weigh
from analysis.grid import Floats

SIGNS = {"up": 1, "down": -1, "both": 0}
WORDS = {"worse": "abort", "within_variation": "promote"}


def _sides(metric: dict[str, Any]) -> tuple[Floats, Floats, Floats]:
    canary, stable, history = (np.array(metric.get(side) or [], float) for side in ("canary", "stable", "history"))
    return canary, stable, history


def decide(case: dict[str, Any]) -> str:
    """Return promote, hold or abort for one case; context metrics give request columns and have no vote."""
    load = [_sides(m) for m in case["metrics"] if m["direction"] == "context"]
    lines = []
    for m in (m for m in case["metrics"] if m["direction"] != "context"):
        c, s, h = _sides(m)
        count = m["unit"] == "fraction"
        lines.append(
            Line(
                name=m["name"], sign=SIGNS[m["direction"]], canary=c, stable=s, history=h, fraction=count, requests=load
            )
        )
    return WORDS.get(weigh(lines, beside=case["aligned"], step_seconds=case["step_seconds"]).state, "hold")
