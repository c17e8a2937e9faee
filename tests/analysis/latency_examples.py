"""Histograms of invented services for the tests of latency."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

from analysis.compare.latency import LatencyData, history_of
from analysis.grid import Floats

EDGES = np.array([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])


def shares(edges: Floats = EDGES, shift: float | Floats = 1.0, slow: float | Floats = 0.0) -> Floats:
    """Return the share of each bucket, (..., B): lognormal, 100 ms, sigma 0.6; ``slow`` take ten times as long."""
    marks = np.log(edges / 0.1) - np.log(np.asarray(shift, dtype=np.float64))[..., None]
    usual, late = ndtr(marks / 0.6), ndtr((marks - np.log(10)) / 0.6)
    below = usual + np.asarray(slow)[..., None] * (late - usual)
    ends = np.zeros((*below.shape[:-1], 1))
    return np.diff(below, axis=-1, prepend=ends, append=ends + 1)


def counts(rng: np.random.Generator, pods: int, looks: int, requests: float, **changes: Any) -> Floats:
    """Return (pods, looks, B) requests, on average so many per pod and look."""
    share = np.broadcast_to(shares(**changes), (looks, len(changes.get("edges", EDGES)) + 1))
    return rng.poisson(np.broadcast_to(share * requests, (pods, *share.shape))).astype(float)


def release(
    seed: int = 1,
    *,
    looks: int = 40,
    pods: tuple[int, int] = (10, 2),
    requests: float = 300.0,
    history: int = 60,
    seconds: float = 15.0,
    edges: Floats = EDGES,
    shift: float | Floats = 1.0,
    slow: float | Floats = 0.0,
    **changes: Any,
) -> LatencyData:
    """One release: ``pods`` are stable's and the canary's; ``shift`` and ``slow`` what it does, also per look."""
    rng = np.random.default_rng(seed)
    fields: dict[str, Any] = {
        "baseline": counts(rng, pods[0], looks, requests, edges=edges),
        "canary": counts(rng, pods[1], looks, requests, edges=edges, shift=shift, slow=slow),
        "edges": edges,
        "left_out": np.zeros(looks, dtype=bool),
        "ends": 1_700_000_000.0 + seconds * np.arange(1, looks + 1),
        "seconds": np.full(looks, seconds),
    }
    if history:
        before = counts(rng, pods[0], history, requests, edges=edges)
        fields["history"], fields["earlier"] = history_of(before, edges, np.full(history, seconds), True)
    return LatencyData(**{**fields, **changes})
