"""
A source in memory: for tests, scenarios and the demonstration.

It answers queries by question and field instead of reading their expressions, and returns what Prometheus would.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from analysis.types import BoolArray, FloatArray, Side
from webhook.errors import SourceDown, SourceFault
from webhook.ports import SIDE_LABEL, Answer, Points, Query, Span

LEVELS = frozenset({"values", "p50", "p90", "p95", "p99"})
_WINDOW = 300.0
_NEARLY = 1.5e-3

Arrays = Mapping[str, ArrayLike]
Numbers = Mapping[str, Mapping[str, Mapping[str, Arrays]]]
"""``{question: {field: {side: {replica: array}}}}``."""


@dataclass(slots=True, kw_only=True)
class MemorySource:
    """
    Increments and levels at a fixed step.

    Parameters
    ----------
    start : float
        Unix seconds; entry ``i`` of an array is what happened in the step that ends at ``start + (i + 1) * step``.
    step : float
        Seconds; the scrape interval of this source.
    numbers : mapping
        ``{question: {field: {side: {replica: array}}}}``, arrays of shape ``(n,)``, or ``(n, B)`` for ``counts`` of
        buckets (not cumulative, the last is +Inf). NaN: no sample.
    edges : mapping of str to sequence of float
        Bucket bounds by question, without +Inf.
    labels : sequence of str
        Labels that every total carries (what a probe for LABEL finds).
    """

    start: float
    step: float
    numbers: Numbers
    edges: Mapping[str, Sequence[float]] = field(default_factory=dict)
    labels: Sequence[str] = ("code",)
    asked: list[tuple[tuple[Query, ...], Span]] = field(default_factory=list, init=False)
    _fault: SourceFault | None = field(default=None, init=False)
    _seconds: float = field(default=0.0, init=False)
    _warnings: tuple[str, ...] = field(default=(), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def fail(self, fault: SourceFault | None = None) -> None:
        """Be down (or at fault as given) until `recover`."""
        self._fault = fault or SourceDown("the source was taken down")

    def slow(self, seconds: float) -> None:
        """Take ``seconds`` for every answer, on paper: a shorter timeout fails at once, without waiting."""
        self._seconds = seconds

    def partial(self, *warnings: str) -> None:
        """Warn with every answer until `recover`."""
        self._warnings = warnings

    def recover(self) -> None:
        """Be up, quick and complete again."""
        self._fault, self._seconds, self._warnings = None, 0.0, ()

    def ping(self, timeout: float) -> None:
        """Return if the source is up and quick enough; raise its fault otherwise."""
        if self._fault is not None:
            raise self._fault
        if self._seconds > timeout:
            raise SourceDown(f"no answer within {timeout:.1f} s")

    def fetch(self, queries: Sequence[Query], span: Span, timeout: float) -> Answer:
        """
        Return the points of every query over a span.

        Raises
        ------
        SourceFault
            The one given to `fail`, or `SourceDown` if the source is slower than ``timeout``.
        """
        with self._lock:
            self.asked.append((tuple(queries), span))
        self.ping(timeout)
        points = {query: tuple(one for one in self._points(query, span) if one.times.size) for query in queries}
        samples = sum(one.times.size for found in points.values() for one in found)
        return Answer(points=points, warnings=self._warnings, samples=samples, seconds=self._seconds)

    def _points(self, query: Query, span: Span) -> list[Points]:
        match query.field:
            case "presence":
                return self._presence(query, span)
            case "start":
                return [_at(span, {}, np.where(self._lives(Side.CANARY, span), 1.0, np.nan))]
            case "scrape":
                alive = self._lives(Side.BASELINE, span, _WINDOW) | self._lives(Side.CANARY, span, _WINDOW)
                return [_at(span, {}, np.where(alive, _WINDOW // self.step + 1, np.nan))]
            case "label":
                alive = self._lives(Side.BASELINE, span, _WINDOW) | self._lives(Side.CANARY, span, _WINDOW)
                return [_at(span, dict.fromkeys(self.labels, "200"), np.where(alive, 1.0, np.nan))]
            case "ping":
                return [_at(span, {}, np.ones(len(_times(span))))]
        result = []
        for side, replicas in self.numbers.get(query.question, {}).get(query.field, {}).items():
            for replica, array in replicas.items():
                values = np.asarray(array, dtype=np.float64)
                labels = {SIDE_LABEL: str(side), **_replica(query, replica)}
                if values.ndim == 1:
                    result.append(_at(span, labels, self._sampled(values, span, query.field)))
                    continue
                heaped = np.cumsum(values, axis=1)
                for bound, column in zip([*self.edges[query.question], math.inf], heaped.T, strict=True):
                    name = "+Inf" if math.isinf(bound) else repr(float(bound))
                    result.append(_at(span, {**labels, "le": name}, self._sampled(column, span, query.field)))
        return result

    def _presence(self, query: Query, span: Span) -> list[Points]:
        result = []
        for side in Side:
            names = {
                name: array
                for question, fields in self.numbers.items()
                if query.question in ("", question)
                for sides in fields.values()
                for name, array in sides.get(side.value, {}).items()
            }
            for name in sorted(names):
                values = np.where(self._alive(np.asarray(names[name], dtype=np.float64), span), 1.0, np.nan)
                result.append(_at(span, {SIDE_LABEL: side.value, **_replica(query, name)}, values))
        return result

    def _lives(self, side: Side, span: Span, window: float | None = None) -> BoolArray:
        """Return at which times of a span any replica of a side has a sample within ``window`` seconds (one step)."""
        alive = np.zeros(len(_times(span)), dtype=np.bool_)
        for fields in self.numbers.values():
            for sides in fields.values():
                for array in sides.get(side.value, {}).values():
                    alive |= self._alive(np.asarray(array, dtype=np.float64), span, window)
        return alive

    def _alive(self, values: FloatArray, span: Span, window: float | None = None) -> BoolArray:
        flat = values if values.ndim == 1 else values.sum(axis=1)
        return ~np.isnan(self._sampled(flat, span, "values", window))

    def _sampled(self, values: FloatArray, span: Span, name: str, window: float | None = None) -> FloatArray:
        """Return the sum of the steps (the last level) in the span's step before each of its times; NaN without any."""
        ends = self.start + self.step * np.arange(1, values.size + 1)
        times = _times(span)
        first = np.searchsorted(ends, times - (window or span.step) + _NEARLY, side="left")
        last = np.searchsorted(ends, times + _NEARLY, side="right")
        known = np.isfinite(values)
        number = np.concatenate([[0], np.cumsum(known)])
        if name in LEVELS:
            newest = np.maximum.accumulate(np.concatenate([[-1], np.where(known, np.arange(values.size), -1)]))
            value = np.where(newest[last] >= 0, np.append(values, np.nan)[newest[last]], np.nan)
        else:
            heap = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
            value = heap[last] - heap[first]
        return np.where(number[last] > number[first], value, np.nan)


def _times(span: Span) -> FloatArray:
    return np.asarray(span.start + span.step * np.arange(round((span.end - span.start) / span.step) + 1))


def _at(span: Span, labels: Mapping[str, str], values: FloatArray) -> Points:
    times = _times(span)
    there = ~np.isnan(values)
    return Points(labels=labels, times=times[there], values=values[there])


def _replica(query: Query, name: str) -> dict[str, str]:
    return dict(zip(query.replica, name.split("/"), strict=len(query.replica) > 1))
