"""A past of several services as OpenMetrics text: stable for hours, one of them with a canary at its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tests.prometheus_server import running

SCRAPE = 15
HOURS = 9
BEGIN = 1_763_600_400.0
"""A full hour."""
END = BEGIN + HOURS * 3600
STABLE, CANARY = "6c54bd4f4b", "7d9b8c5f66"
SUFFIXES = ("4xk7w", "9bq2h", "c6fzt", "mv8dl", "r5wgp", "z7tkn")
RELEASE = END - 1800
"""When the canary of the last half hour begins."""


def openmetrics() -> str:
    """
    Return nine hours of three services in the namespace ``shop``.

    ``fair``: six alike pods, and a canary with four times the errors in the last half hour. ``loud``: one of six pods
    has five times the errors of the others, all along. ``small``: two pods.
    """
    rng = np.random.default_rng(20)
    lines = ["# TYPE http_requests counter"]
    for name, pods in (("fair", 6), ("loud", 6), ("small", 2)):
        for number, suffix in enumerate(SUFFIXES[:pods]):
            worse = 5.0 if (name, number) == ("loud", 2) else 1.0
            lines += _counters(f"{name}-{STABLE}-{suffix}", BEGIN, 20.0, 0.01 * worse, rng)
    for suffix in SUFFIXES[:2]:
        lines += _counters(f"fair-{CANARY}-{suffix}", RELEASE, 20.0, 0.04, rng)
    lines.append("# TYPE up gauge")
    for name, pods in (("fair", 6), ("loud", 6), ("small", 2)):
        for suffix in SUFFIXES[:pods]:
            lines += _up(f"{name}-{STABLE}-{suffix}", BEGIN)
    for suffix in SUFFIXES[:2]:
        lines += _up(f"fair-{CANARY}-{suffix}", RELEASE)
    return "\n".join([*lines, "# EOF", ""])


def _labels(pod: str) -> str:
    return f'namespace="shop",pod="{pod}",job="pods",instance="{pod}"'


def _counters(pod: str, begin: float, rate: float, share: float, rng: np.random.Generator) -> Iterator[str]:
    steps = int((END - begin) / SCRAPE) + 1
    requests = rng.poisson(rate * SCRAPE, steps)
    bad = rng.binomial(requests, share)
    for code, grown in (("200", np.cumsum(requests - bad)), ("500", np.cumsum(bad))):
        for step, value in enumerate(grown.tolist()):
            yield f'http_requests_total{{{_labels(pod)},code="{code}"}} {value} {begin + step * SCRAPE:.3f}'


def _up(pod: str, begin: float) -> Iterator[str]:
    for step in range(int((END - begin) / SCRAPE) + 1):
        yield f"up{{{_labels(pod)}}} 1 {begin + step * SCRAPE:.3f}"


POLICY = """
apiVersion: weighbridge/v1
name: shop
controller: argo
noise: {history: 1h}
questions:
  - name: error-rate
    kind: proportion
    bad: 'http_requests_total{$side, code=~"5.."}'
    total: 'http_requests_total{$side}'
    weight: critical
"""


SHOWN_AT = "http://127.0.0.1:9090"
"""Where the documentation says that Prometheus listens."""


@contextmanager
def prometheus_of(page: str) -> Iterator[str]:
    """Run a Prometheus with this past for a page of the documentation that speaks of it; yields its address."""
    if "<!-- prometheus: hours of the past -->" not in page:
        yield SHOWN_AT
        return
    with running(openmetrics=openmetrics()) as server:
        yield server.url
