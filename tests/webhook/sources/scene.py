"""A namespace in a real Prometheus: write counters by scrape number, read closed looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.closing import Closed, close_looks
from analysis.policy import Policy, Proportion, Select
from tests.prometheus_server import PrometheusServer
from webhook import queries
from webhook.ports import Answer, Span
from webhook.readings import readings
from webhook.sources.prometheus import PrometheusSource

T0 = 1_760_000_400.0
"""A multiple of 60: all times are absolute, so that no test depends on the clock."""
SCRAPE = 15.0
LOOK = 30.0
BASELINE, CANARY = "6c54bd4f4b", "7d9b8c5f66"
TOTAL = "http_requests_total{$side}"
BAD = 'http_requests_total{$side, code=~"5.."}'
Values = Sequence[float | None] | Mapping[int, float | None]


def pod(workload: str, template: str, suffix: str) -> str:
    """Return a pod's name as Kubernetes makes it."""
    return f"{workload}-{template}-{suffix}"


STABLE = pod("shop", BASELINE, "bbbbb")
STABLE2 = pod("shop", BASELINE, "ccccc")
NEW = pod("shop", CANARY, "ddddd")
NEW2 = pod("shop", CANARY, "fffff")


def error_rate(**changes: Any) -> Proportion:
    """Return the question of most tests."""
    return Proportion(**{"name": "error-rate", "bad": (BAD,), "total": TOTAL, **changes})


def policy(*questions: Any, **changes: Any) -> Policy:
    """Return a policy for Argo's pods with these questions."""
    return Policy(**{"name": "p", "controller": "argo", "questions": questions or (error_rate(),), **changes})


@dataclass
class Scene:
    """Writes to one namespace and closes its looks."""

    server: PrometheusServer
    source: PrometheusSource
    namespace: str
    names: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = {
            "namespace": self.namespace,
            "name": "shop",
            "baseline": BASELINE,
            "canary": CANARY,
        }

    def series(self, name: str, pod: str, values: Values, *, at: float = -5.0, **labels: str) -> Any:
        """
        Return one series; entry ``k`` was scraped ``at`` seconds off step ``k`` (5 s before it: seen at it).

        ``None`` is a staleness marker; in a mapping a number that is absent is an absent sample.
        """
        pairs = values.items() if isinstance(values, Mapping) else enumerate(values)
        target = {"namespace": self.namespace, "pod": pod, "job": "shop", "instance": f"{pod}:8080"}
        return (
            {"__name__": name, **target, **labels},
            [(T0 + SCRAPE * k + at, value) for k, value in pairs],
        )

    def counter(self, pod: str, values: Values, code: str = "200", **labels: Any) -> Any:
        """Return ``http_requests_total`` of a pod."""
        return self.series("http_requests_total", pod, values, code=code, **labels)

    def up(self, pod: str, values: Values, **labels: Any) -> Any:
        """Return ``up`` of a pod."""
        return self.series("up", pod, values, **labels)

    def write(self, *series: Any) -> None:
        """Push series."""
        self.server.write(series)

    def steady(self, pod: str, n: int, *, total: float = 10.0, bad: float = 1.0) -> list[Any]:
        """Return ``n + 1`` scrapes of a pod that counts the same in each, and its ``up``."""
        return [
            self.counter(pod, [1000 + total * k - bad * k for k in range(n + 1)]),
            self.counter(pod, [100 + bad * k for k in range(n + 1)], code="500"),
            self.up(pod, [1.0] * (n + 1)),
        ]

    def fetch(self, asked: Policy, steps: int, *, first: int = 1, **options: Any) -> Answer:
        """Return the answer for steps ``first … steps``."""
        span = Span(start=T0 + first * SCRAPE, end=T0 + steps * SCRAPE, step=SCRAPE)
        return self.source.fetch(queries.plan(asked, self.names, step=SCRAPE, **options), span, 20.0)

    def closed(self, asked: Policy, looks: int, *, first: int = 0, edges: Any = None, **options: Any) -> Closed:
        """Return looks ``first … looks - 1`` of two scrapes each, closed together."""
        answer = self.fetch(asked, 2 * looks, first=2 * first + 1, **options)
        ends = T0 + LOOK * np.arange(first + 1, looks + 1)
        found = readings(asked, self.names, answer, edges=edges)
        return close_looks(found, start=T0 + LOOK * first, ends=ends)

    def increments(self, asked: Policy, name: str, steps: int) -> dict[str, list[float]]:
        """Return by replica what a field grew by in each step; -1 where the source has no point."""
        answer = self.fetch(asked, steps)
        found: dict[str, list[float]] = {}
        for query, points in answer.points.items():
            for one in points if query.field == name else ():
                row = found.setdefault(one.labels["pod"], [-1.0] * steps)
                for moment, value in zip(one.times, one.values, strict=True):
                    row[round((moment - T0) / SCRAPE) - 1] = float(value)
        return found


def entries(closed: Closed, side: str, question: str = "error-rate") -> list[Any]:
    """Return one side's numbers by look."""
    return [row["questions"][question][side] for row in closed.rows]


def codes(closed: Closed, question: str = "error-rate") -> list[str | None]:
    """Return by look why it was left out."""
    return [reason[0] if (reason := row["left_out"].get(question)) else None for row in closed.rows]


def by_name(workload_pattern: str, canary: str) -> Select:
    """Return selectors of pods by two patterns."""
    return Select(
        baseline=f'namespace="$namespace", pod=~"{workload_pattern}"',
        canary=f'namespace="$namespace", pod=~"{canary}"',
        replica=("pod",),
    )
