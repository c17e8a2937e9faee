"""A simulated service: requests and errors of its replicas, scrape by scrape, split by the canary's weight."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from webhook.sources.memory import MemorySource

SCRAPE_S = 5.0
HISTORY_S = 1800.0
"""How long the stable version has served before the release: what its noise is learned from."""
REQUESTS_PER_SECOND = 200.0
ERROR_RATE = 0.01
BASELINE_PODS = 6
CANARY_PODS = 4
POD_SPREAD = 0.05
"""Standard deviation of the logarithm of pods' error rates: no two machines are quite equal."""
QUESTION = "error-rate"
SUFFIXES = ("4xk7w", "9bq2h", "c6fzt", "mv8dl", "r5wgp", "z7tkn")


@dataclass(slots=True, kw_only=True)
class Traffic:
    """
    One service and its release; `source` holds what has happened so far.

    Parameters
    ----------
    name, stable, revision : str
        Of the service and its two versions; pods are called ``name-version-suffix``.
    start : float
        Unix seconds at which the release begins.
    harm : float
        Error rate of the canary over that of the stable version.
    rng : numpy.random.Generator
        Where all chance comes from.
    """

    name: str
    stable: str
    revision: str
    start: float
    harm: float
    rng: np.random.Generator
    source: MemorySource = field(init=False)
    _steps: int = field(default=0, init=False)
    _bad: dict[str, dict[str, list[float]]] = field(init=False)
    _total: dict[str, dict[str, list[float]]] = field(init=False)
    _share: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        pods = {
            "baseline": [f"{self.name}-{self.stable}-{suffix}" for suffix in SUFFIXES[:BASELINE_PODS]],
            "canary": [f"{self.name}-{self.revision}-{suffix}" for suffix in SUFFIXES[:CANARY_PODS]],
        }
        self._bad = {side: {pod: [] for pod in names} for side, names in pods.items()}
        self._total = {side: {pod: [] for pod in names} for side, names in pods.items()}
        self._share = {
            pod: ERROR_RATE * (self.harm if side == "canary" else 1.0) * math.exp(self.rng.normal(0, POD_SPREAD))
            for side, names in pods.items()
            for pod in names
        }
        self.source = MemorySource(
            start=self.start - HISTORY_S,
            step=SCRAPE_S,
            numbers={QUESTION: {"bad": self._bad, "total": self._total}},
        )
        self.serve_until(self.start, 0.0)

    def serve_until(self, now: float, weight: float) -> None:
        """Let time pass until ``now``, with ``weight`` of the requests sent to the canary."""
        while self.start - HISTORY_S + (self._steps + 1) * SCRAPE_S <= now + 1e-6:
            self._scrape({"baseline": 1 - weight, "canary": weight})
            self._steps += 1

    def _scrape(self, weights: dict[str, float]) -> None:
        for side, weight in weights.items():
            pods = self._total[side]
            for pod, totals in pods.items():
                if weight <= 0:
                    totals.append(math.nan)
                    self._bad[side][pod].append(math.nan)
                    continue
                requests = int(self.rng.poisson(REQUESTS_PER_SECOND * SCRAPE_S * weight / len(pods)))
                totals.append(float(requests))
                self._bad[side][pod].append(float(self.rng.binomial(requests, min(1.0, self._share[pod]))))
