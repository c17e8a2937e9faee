"""One invented release that is asked about in every way: counts, buckets, levels, percentiles, one line per side."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from analysis.policy import Gauge, Latency, Limit, Policy, Quantile
from analysis.record import QuestionRecord, Record
from analysis.types import Weight
from tests.analysis.latency_examples import EDGES, counts
from tests.analysis.record_examples import counted, limits, policy, proportion, question, record

LOOKS, BEFORE = 60, 90


def every_kind() -> Policy:
    """Return a policy with a question of each kind that is weighed, one that is muted, and limits."""
    return policy(
        proportion(),
        Latency(name="latency", histogram="x{$side}", slo_edges=(0.5,)),
        Gauge(name="cpu", query="x{$side}"),
        Latency(name="summary", query="x{$side}"),
        Quantile(name="heap", query="x{$side}", weight=Weight.INFO),
        proportion("timeouts", muted=True),
        limits(Limit(question="error-rate", max=0.5)),
    )


@cache
def release(*, harm: bool, looks: int = LOOKS) -> Record:
    """Return a release as good as stable, or one that is worse in every way from its twentieth look on."""
    rng = np.random.default_rng(5)
    later = np.arange(looks) >= 20
    rate = np.where(later & harm, 0.04, 0.01)
    return record(
        {
            "error-rate": counted(looks, rng.binomial(100, rate)),
            "latency": _latency(rng, looks, np.where(later & harm, 1.6, 1.0)),
            "cpu": _levels(rng, looks, 1.5 if harm else 1.0, "values", pods=3),
            "summary": _levels(rng, looks, 1.8 if harm else 1.0, "p95", pods=3),
            "heap": _levels(rng, looks, 2.5 if harm else 1.0, "values", pods=1, visible=False),
            "timeouts": counted(looks, rng.binomial(100, rate)),
        }
    )


def _latency(rng: np.random.Generator, looks: int, shift: Any) -> QuestionRecord:
    sides = counts(rng, 4, looks, 400.0), counts(rng, 3, looks, 60.0, shift=shift)
    return question(
        *(
            {f"{name}-{n}": {"counts": pod} for n, pod in enumerate(pods)}
            for name, pods in zip("sc", sides, strict=True)
        ),
        edges=tuple(EDGES.tolist()),
    )


def _levels(
    rng: np.random.Generator, looks: int, times: float, field: str, *, pods: int, visible: bool = True
) -> QuestionRecord:
    def side(name: str, number: int, length: int, level: float) -> dict[str, dict[str, Any]]:
        return {f"{name}-{n}": {field: level * np.exp(rng.normal(0, 0.08, length))} for n in range(number)}

    many = 6 if visible else 1
    return question(side("s", many, looks, 0.4), side("c", pods, looks, 0.4 * times), visible=visible)
