"""A stable service in memory: requests and errors of its pods over some hours, without any release."""

from __future__ import annotations

import numpy as np

from analysis.policy import Gauge, Latency, Looks, Policy, Proportion, Select
from webhook.sources.memory import MemorySource

T0 = 1_760_000_000.0 // 3600 * 3600
SCRAPE = 15.0
QUESTION = "error-rate"
POLICY = Policy(
    name="checkout",
    digest="d1gest",
    questions=(Proportion(name=QUESTION, bad=('http{$side, code=~"5.."}',), total="http{$side}"),),
    select=Select(baseline='pod=~"$name-a.*"', canary='pod=~"$name-$canary-.*"', replica=("pod",)),
    looks=Looks(length=30.0, lag=0.0),
    history=3600.0,
)


def stable(
    *,
    hours: float = 4.0,
    pods: int = 6,
    rate: float = 20.0,
    share: float = 0.01,
    worse: dict[str, float] | None = None,
    seed: int = 1,
    canary: tuple[float, float] | None = None,
) -> MemorySource:
    """
    Return ``hours`` of a service before `T0`: ``rate`` requests a second of every pod, ``share`` of them bad.

    ``worse`` multiplies the errors of some pods; ``canary`` is a stretch in which a real canary also served.
    """
    rng = np.random.default_rng(seed)
    steps = int(hours * 3600 / SCRAPE)
    names = [f"checkout-a-{n}" for n in range(pods)]
    total = {name: rng.poisson(rate * SCRAPE, steps).astype(float) for name in names}
    bad = {name: rng.binomial(n.astype(int), share * (worse or {}).get(name, 1.0)) for name, n in total.items()}
    numbers = {"bad": {"baseline": bad}, "total": {"baseline": total}}
    begun = T0 - hours * 3600
    if canary is not None:
        times = begun + SCRAPE * np.arange(1, steps + 1)
        served = np.where((times > canary[0]) & (times <= canary[1]), 100.0, np.nan)
        numbers["total"]["canary"] = {"checkout-b-1": served}
        numbers["bad"]["canary"] = {"checkout-b-1": served * 0}
    return MemorySource(start=begun, step=SCRAPE, numbers={QUESTION: numbers})


EVERY_KIND = Policy(
    name="checkout",
    digest="d1gest",
    questions=(
        *POLICY.questions,
        Latency(name="latency", histogram="duration{$side}"),
        Gauge(name="cpu", query="cpu{$side}"),
    ),
    select=POLICY.select,
    looks=POLICY.looks,
    history=POLICY.history,
)
EDGES = (0.05, 0.1, 0.25, 0.5, 1.0)
QUICK = np.array([0.2, 0.3, 0.3, 0.15, 0.04, 0.01])
"""Shares of requests by bucket of durations."""


def with_other_kinds(source: MemorySource, slow: str = "", seed: int = 2) -> MemorySource:
    """Return the same service with durations and processor use; of a ``slow`` pod half the requests take long."""
    rng = np.random.default_rng(seed)
    durations, cpu = {}, {}
    for name, total in source.numbers[QUESTION]["total"]["baseline"].items():
        shares = QUICK[::-1] if name == slow else QUICK
        durations[name] = rng.multinomial(np.asarray(total).astype(int), shares).astype(float)
        cpu[name] = 0.4 * np.exp(0.05 * rng.normal(size=len(np.asarray(total))))
    numbers = {
        **source.numbers,
        "latency": {"counts": {"baseline": durations}},
        "cpu": {"values": {"baseline": cpu}},
    }
    return MemorySource(start=source.start, step=source.step, numbers=numbers, edges={"latency": EDGES})
