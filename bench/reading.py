"""Reading a release of ten questions: what a source sends, and the time until it is a record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.closing import close_looks
from analysis.policy import Gauge, Latency, Policy, Proportion, Question, Rate, Ratio, Select
from analysis.types import Side
from bench.evidence import Line, median_ms
from webhook import queries
from webhook.ports import Answer, Points, Query, Span
from webhook.readings import readings
from webhook.recording import record_of
from webhook.sources.memory import MemorySource
from webhook.sources.prometheus import Limits, read_answer

LOOKS = 480
LOOK = 30.0
STEP = 15.0
PODS = 20
EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BUCKETS = (0.02, 0.08, 0.2, 0.25, 0.2, 0.12, 0.06, 0.03, 0.02, 0.01, 0.005, 0.003, 0.002)
SELECT = Select(baseline='side="old"', canary='side="new"', replica=("pod",))


def lines() -> list[Line]:
    """Measure and return the lines of the table."""
    release = Release()
    limits = Limits()
    bodies, samples = release.bodies, release.samples
    size = sum(len(body) for body in bodies.values())
    rows = release.rows(release.answer, 0)
    tail = release.rows(release.newest, LOOKS - 2)
    assert tail == rows[-2:], "looks closed apart must be those closed together"
    cold = median_ms(lambda: release.rows(release.answer, 0))
    parse = median_ms(lambda: [read_answer(query, 200, body) for query, body in bodies.items()])
    build = median_ms(lambda: release.record(rows))
    look = median_ms(lambda: release.rows(release.newest, LOOKS - 2))
    return [
        Line(
            name="ten questions, 480 looks, 20 pods a side: series",
            unit="",
            reached=release.series,
            target=limits.series,
        ),
        Line(name="the same: samples", unit="", reached=samples, target=limits.samples),
        Line(
            name="the same: bytes as Prometheus writes them",
            unit="MiB",
            reached=size / 2**20,
            target=limits.size / 2**20,
        ),
        Line(name="the same: parsing the answer", unit="ms", reached=parse),
        Line(name="the same: closing all looks", unit="ms", reached=cold),
        Line(name="the same: closing one look more, and the one before again", unit="ms", reached=look),
        Line(name="the same: the record from its rows", unit="ms", reached=build),
    ]


@dataclass(frozen=True)
class Release:
    """Ten questions, two of them histograms of 12 edges, over 480 looks of two scrapes."""

    @property
    def policy(self) -> Policy:
        """Return what is asked."""
        kinds: list[Question] = [
            *(Proportion(name=f"errors-{n}", bad=("b{$side}",), total=f"t{n}{{$side}}") for n in range(3)),
            *(Latency(name=f"latency-{n}", histogram=f"l{n}{{$side}}") for n in range(2)),
            *(Gauge(name=f"gauge-{n}", query=f"g{n}{{$side}}") for n in range(3)),
            Rate(name="jobs", events="e{$side}", exposure="x{$side}"),
            Ratio(name="orders", numerator="n{$side}", denominator="d{$side}"),
        ]
        return Policy(name="bench", questions=tuple(kinds), select=SELECT)

    @cached_property
    def source(self) -> MemorySource:
        """Return the numbers behind it."""
        rng = np.random.default_rng(5)
        steps = round(LOOKS * LOOK / STEP)
        shapes = {"bad": 1, "total": 150, "events": 3, "exposure": 60, "numerator": 500, "denominator": 40}
        numbers: dict[str, dict[str, dict[str, dict[str, np.ndarray]]]] = {}
        for query in queries.plan(self.policy, {}, step=STEP):
            if query.field == "presence":
                continue
            sides = numbers.setdefault(query.question, {}).setdefault(query.field, {})
            for side in Side:
                for pod in range(PODS):
                    if query.field == "counts":
                        drawn = rng.multinomial(150, BUCKETS, size=steps).astype(float)
                    elif query.field == "values":
                        drawn = rng.normal(0.4, 0.02, steps)
                    else:
                        drawn = rng.poisson(shapes[query.field], steps).astype(float)
                    sides.setdefault(side.value, {})[f"shop-{side.value}-{pod:02}"] = drawn
        return MemorySource(start=0.0, step=STEP, numbers=numbers, edges={f"latency-{n}": EDGES for n in range(2)})

    @cached_property
    def answer(self) -> Answer:
        """Return everything that a source says to a verdict without a record."""
        return self.source.fetch(queries.plan(self.policy, {}, step=STEP), self.span(0, LOOKS), 1.0)

    @property
    def series(self) -> int:
        """Return how many series it is."""
        return sum(len(found) for found in self.answer.points.values())

    @property
    def samples(self) -> int:
        """Return how many numbers it is."""
        return self.answer.samples

    @cached_property
    def bodies(self) -> dict[Query, bytes]:
        """Return the same as Prometheus's API writes it."""
        return {query: _written(found) for query, found in self.answer.points.items()}

    @staticmethod
    def span(first: int, until: int) -> Span:
        """Return the times of looks ``first … until - 1``."""
        return Span(start=first * LOOK + STEP, end=until * LOOK, step=STEP)

    @cached_property
    def newest(self) -> Answer:
        """Return what it says to one that has a record: the newest look, and the one before once more."""
        span = self.span(LOOKS - 2, LOOKS)
        return Answer(
            points={
                query: tuple(_between(one, span.start - 1e-6, span.end + 1e-6) for one in found)
                for query, found in self.answer.points.items()
            }
        )

    def rows(self, answer: Answer, first: int) -> list[dict[str, object]]:
        """Return looks from number ``first`` on, closed from what the source said of them."""
        found = readings(self.policy, {}, answer, edges={f"latency-{n}": EDGES for n in range(2)})
        ends = LOOK * np.arange(first + 1, LOOKS + 1)
        return [dict(row) for row in close_looks(found, start=first * LOOK, ends=ends).rows]

    def record(self, rows: list[dict[str, object]]) -> object:
        """Return the record of rows as a store keeps them."""
        frame = {"start": 0.0, "length": LOOK, "edges": {f"latency-{n}": list(EDGES) for n in range(2)}}
        return record_of(self.policy, frame, rows)


def _between(one: Points, low: float, high: float) -> Points:
    inside = (one.times > low) & (one.times < high)
    return Points(labels=one.labels, times=one.times[inside], values=one.values[inside])


def _written(found: tuple[Points, ...]) -> bytes:
    result = [
        {
            "metric": dict(one.labels) | {"job": "shop", "instance": "10.0.0.1:8080"},
            "values": [[moment, f"{value:.12g}"] for moment, value in zip(one.times.tolist(), one.values.tolist())],
        }
        for one in found
    ]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()
