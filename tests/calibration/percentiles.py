"""Published percentiles of invented latencies: false alarms of the weaker form of a latency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.special import ndtri

from analysis.compare.gauge_curves import GaugeQuestion
from analysis.compare.gauges import GaugeData
from analysis.compare.percentiles import weigh
from analysis.grid import Floats
from tests.calibration.cells import Row
from tests.calibration.latencies import MEDIAN, SIGMA, Latencies, reached
from tests.calibration.measures import allowed

QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
QUESTION: Final = GaugeQuestion(ratio=1.25, scale="log")
CURVES: Final = ("warn", "tolerated", "abort", "promote")


def published(level: Floats, requests: int, share: float, rng: np.random.Generator) -> Floats:
    """Return the percentile of so many lognormal requests, exactly: an order statistic through a beta variable."""
    rank = int(np.ceil(share * requests))
    uniform = rng.beta(rank, requests - rank + 1, level.shape)
    return np.asarray(MEDIAN * np.exp(level + SIGMA * ndtri(uniform)))


def draw(service: Latencies, rng: np.random.Generator) -> dict[str, GaugeData]:
    """Return the percentiles of one release."""
    requests = max(1, round(service.rps * service.seconds / (service.stable_pods + service.canary_pods)))
    span = service.history + service.looks

    def levels(pods: int, looks: int) -> Floats:
        wander = rng.normal(0.0, service.wobble, (pods, looks))
        for k in range(1, looks):
            wander[:, k] = 0.8 * wander[:, k - 1] + 0.6 * wander[:, k]
        return np.asarray(rng.normal(0.0, service.sd, (pods, 1)) + wander)

    stable, canary = levels(service.stable_pods, span), levels(service.canary_pods, service.looks)
    found = {}
    for name, share in QUANTILES.items():
        values = published(stable, requests, share, rng)
        found[name] = GaugeData(
            baseline=values[:, service.history :],
            canary=service.shift * published(canary, requests, share, rng),
            ends=1_700_000_000.0 + np.cumsum(np.full(service.looks, service.seconds)),
            history=values[:, : service.history] if service.history else None,
        )
    return found


def run(
    service: Latencies, releases: int, seed: int, tick: Callable[[int], object] = lambda _: None
) -> dict[str, Floats]:
    """Return the curves of so many releases, (N, K) each."""
    rng = np.random.default_rng(seed)
    curves: dict[str, list[Floats]] = {name: [] for name in CURVES}
    for _ in range(releases):
        found = weigh(draw(service, rng), QUESTION)
        assert found is not None
        for name in CURVES:
            curves[name].append(getattr(found, name))
        tick(1)
    return {name: np.stack(values) for name, values in curves.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One service whose percentiles are published, and the highest shares: ``(curve, alpha)`` -> level."""

    name: str
    service: Latencies
    most: dict[tuple[str, float], float] = field(default_factory=dict)
    table: str = "latency-summaries"
    releases: int = 300

    def measure(self, seeds: dict[str, int], tick: Callable[[int], object]) -> list[Row]:
        """Simulate the cell and return its rows."""
        each = -(-self.releases // len(seeds))
        parts = [run(self.service, each, seed, tick) for seed in seeds.values()]
        rows = []
        for (name, alpha), level in self.most.items():
            hits = np.concatenate([reached(part[name], alpha) for part in parts])
            rows.append(
                Row(
                    table=self.table,
                    cell=self.name,
                    figure=f"{name} >= {1 / alpha:g}, at most",
                    target=level,
                    reached=float(hits.mean()),
                    passed=allowed(int(hits.sum()), len(hits), level),
                )
            )
        return rows


NULL: Final = {("warn", 0.01): 0.01, ("abort", 0.001): 0.001}
MARGIN: Final = {("tolerated", 0.01): 0.01, ("promote", 0.05): 0.05}


def _cells() -> list[Cell]:
    services = {
        f"1 v {pods}, {word}": Latencies(stable_pods=pods, sd=0.05, wobble=0.05, history=history)
        for pods in (19, 3)
        for word, history in (("history", 60), ("no history", 0))
    }
    services["1 v 3, sd 10 %"] = Latencies(stable_pods=3, sd=0.1)
    cells = [Cell(name=name, service=service, most=NULL) for name, service in services.items()]
    for pods in (19, 3):
        slower = Latencies(stable_pods=pods, sd=0.05, wobble=0.05, shift=1.25)
        cells.append(Cell(name=f"1 v {pods}, +25 %", service=slower, most=MARGIN))
    return cells


CELLS: Final = tuple(_cells())
