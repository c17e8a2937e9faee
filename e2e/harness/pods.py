"""What one simulated pod has counted, as Prometheus text and as samples of a past that it pretends to have."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from e2e.harness.kubelet import Pod
from e2e.harness.prometheus import labels_of
from tests.prometheus_server import Labels, Samples

EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the duration histogram, seconds: the usual default."""
LATENCY_SPREAD = 0.6
"""Standard deviation of the logarithm of a duration."""
PROBES_PER_S = 0.2
FLOAT = npt.NDArray[np.float64]


@dataclass(slots=True, kw_only=True)
class Version:
    """
    How one image behaves.

    Parameters
    ----------
    errors : float
        Share of requests answered 500, in [0, 1].
    latency : float
        Median duration, seconds.
    """

    errors: float = 0.02
    latency: float = 0.08


def shares_of_buckets(latency: float) -> FLOAT:
    """Return the probability of each bucket (not cumulative, the last is above all edges) of a log-normal duration."""
    below = [0.5 * (1 + math.erf(math.log(edge / latency) / (LATENCY_SPREAD * math.sqrt(2)))) for edge in EDGES]
    return np.diff(np.array([0.0, *below, 1.0]))


@dataclass(slots=True, kw_only=True)
class Counters:
    """
    Counters of one pod: answers by code, probes, and the duration histogram.

    Parameters
    ----------
    factor : float
        How many times as often as its version this pod fails: no two machines are quite equal.
    pull : float
        How many times as many requests as a usual pod it receives.
    """

    factor: float = 1.0
    pull: float = 1.0
    good: int = 0
    bad: int = 0
    probes: float = 0.0
    seconds: float = 0.0
    buckets: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(EDGES) + 1, dtype=np.int64))

    def serve(self, requests: int, version: Version, latencies: FLOAT, rng: np.random.Generator) -> int:
        """Answer requests, and return how many failed: that and how long they take is drawn."""
        failed = int(rng.binomial(requests, min(1.0, version.errors * self.factor)))
        self.good += requests - failed
        self.bad += failed
        self.buckets += rng.multinomial(requests, latencies)
        self.seconds += requests * version.latency * math.exp(LATENCY_SPREAD**2 / 2)
        return failed

    def restart(self) -> None:
        """Begin again at zero."""
        self.good = self.bad = 0
        self.probes = self.seconds = 0.0
        self.buckets[:] = 0

    def values(self) -> dict[tuple[str, str, str], float]:
        """Return every series: (name, label and value, e.g. ``code="500"``, of the label set) and what it counts."""
        cumulative = np.cumsum(self.buckets)
        edges = [*(f"{edge:g}" for edge in EDGES), "+Inf"]
        found = {
            ("http_requests_total", "200", "/"): float(self.good),
            ("http_requests_total", "200", "/healthz"): float(int(self.probes)),
            ("http_request_duration_seconds_count", "", ""): float(cumulative[-1]),
            ("http_request_duration_seconds_sum", "", ""): round(self.seconds, 3),
        }
        if self.bad:
            found["http_requests_total", "500", "/"] = float(self.bad)
        for edge, count in zip(edges, cumulative, strict=True):
            found["http_request_duration_seconds_bucket", edge, ""] = float(count)
        return found

    def text(self) -> str:
        """Return the counters as Prometheus scrapes them."""
        lines = ["# TYPE http_requests_total counter", "# TYPE http_request_duration_seconds histogram"]
        for key, value in self.values().items():
            labels = ",".join(f'{name}="{text}"' for name, text in _own_labels(key).items())
            lines.append(f"{key[0]}{{{labels}}} {value:.15g}" if labels else f"{key[0]} {value:.15g}")
        return "\n".join([*lines, ""])


def _own_labels(key: tuple[str, str, str]) -> dict[str, str]:
    name, first, path = key
    if name == "http_requests_total":
        return {"code": first, "path": path}
    return {"le": first} if first else {}


def past(
    pod: Pod, counters: Counters, version: Version, *, end: float, seconds: float, step: float, rate: float,
    rng: np.random.Generator,
) -> list[tuple[Labels, Samples]]:  # fmt: skip
    """
    Draw what a pod would have counted before ``end``, and let its counters go on from there.

    Parameters
    ----------
    end : float
        Unix seconds of the last sample.
    seconds, step : float
        How far the samples reach back, and how far apart they are.
    rate : float
        Requests per second of this pod.
    """
    latencies = shares_of_buckets(version.latency)
    samples: dict[tuple[str, str, str], list[tuple[float, float | None]]] = {}
    steps = int(seconds / step)
    for k in range(steps + 1):
        if k:
            counters.serve(int(rng.poisson(rate * step)), version, latencies, rng)
            counters.probes += PROBES_PER_S * step
        for key, value in counters.values().items():
            samples.setdefault(key, []).append((end - (steps - k) * step, value))
    return [({"__name__": key[0], **labels_of(pod), **_own_labels(key)}, pairs) for key, pairs in samples.items()]
