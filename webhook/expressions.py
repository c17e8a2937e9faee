"""
Expressions in PromQL for one question: both sides in one query, growth of counters by replica.

How each clause treats resets, births, gaps and NaN is told in ``docs/decisions/0002-increments-at-the-source.md``
and checked against a running Prometheus.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from analysis.policy import Latency, Policy, Proportion, Question, Rate, Ratio, Select
from analysis.types import Side
from webhook import sides
from webhook.info import info_of
from webhook.ports import SIDE_LABEL, Query
from webhook.selectors import asks_for_label, expand_side, fill, metric_name, narrowed, set_label, suffixed

MEMORY: Final = 300
"""Seconds for which a series that is not seen is still the same series, as for Prometheus itself."""

HELD, KEPT, NATIVE = "held", "kept", "native"
LAYOUT_LABEL = "weighbridge_layout"
NO_QUANTILE = 'quantile=""'
"""A summary has the name of the histogram that it might be."""
_IDENTITY = ("job", "instance", "prometheus", "prometheus_replica", "replica", "monitor")
IDENTITY_IF_ON_UP = ("service", "endpoint")
_LIKE_TARGET = ("service", "ingress", "route")
"""What Flagger calls like the target unless told otherwise; a name that is wrong matches nothing, and that is said."""


class Asking:
    """One question with its selectors: builds expressions for both sides."""

    def __init__(
        self,
        policy: Policy,
        question: Question | None,
        names: Mapping[str, str],
        step: float,
        identity: Sequence[str] = (),
    ) -> None:
        self.question = question
        target = names.get("target") or names.get("name") or ""
        self.names = {**names, "target": target, **{name: names.get(name) or target for name in _LIKE_TARGET}}
        self.info = info_of(question)
        self.own = self.info is not None or (question is not None and question.select is not None)
        self.step = step
        self.exclude, self.sides, self.replica = select_of(policy, question)
        # Where replicas are hidden, instances are what is summed over; else they tell copies of a pod apart.
        identity = [*(label for label in _IDENTITY if self.replica or label != "instance"), *identity]
        self.by = tuple(dict.fromkeys([*self.replica, *identity]))
        self.target = tuple(dict.fromkeys([*self.by, "instance", *(() if self.replica else ("pod",))]))
        if self.info is not None:  # a restarted process is another target of the same pod: no copy of it
            self.by, self.target = self.replica, self.info.match

    def text(self, template: str, side: Side, *, exclude: bool = True) -> str:
        """Return ``template`` for one side, filled in."""
        own = self.sides[side] if self.info is None else self.info.every
        matchers = [own, *(self.exclude if exclude else ())]
        return fill(expand_side(template, ", ".join(part for part in matchers if part)), self.names)

    def alive(self, side: Side) -> str:
        """Return the selector of one side's targets: 1 while they are there."""
        if self.info is not None:
            return fill(self.info.of_side(self.sides[side]), self.names)
        return f"up{{{self.text('$side', side, exclude=False)}}}"

    def _joined(self, expr: str, side: Side) -> str:
        """Return an expression with its replicas named, and what is not of the side left out."""
        return expr if self.info is None else self.info.joined(expr, fill(self.sides[side], self.names))

    def among(self, template: str, side: Side) -> str:
        """Return the selector of one side's series, without naming their replicas."""
        text = self.text(template, side)
        return text if self.info is None else self.info.among(text, fill(self.sides[side], self.names))

    def both(self, expressions: Mapping[Side, str]) -> str:
        """Return one expression that labels each side."""
        return " or ".join(
            f'label_replace({expressions[side]}, "{SIDE_LABEL}", "{side.value}", "", "")' for side in Side
        )

    def increments(self, field: str, parts: Sequence[str], total: str | None, extra: Sequence[str] = ()) -> Query:
        """Return the query of what counters grew by in a step; several parts are added up."""
        by = ", ".join([*self.by, *extra])
        sums: dict[Side, str] = {}
        for side in Side:
            whole = self.text(total, side) if total else ""
            grown = []
            for part in parts:
                series = self.text(part, side)
                alike = metric_name(series) == metric_name(whole) or "le" in extra
                grown.append(self._grown(series, extra, self._seen(side, whole, "" if alike else series)))
            if len(grown) > 1:
                # Each part is told apart by a label, so that one that is absent counts nothing.
                grown = [f'label_replace({one}, "weighbridge_part", "{n}", "", "")' for n, one in enumerate(grown)]
            sums[side] = f"sum by ({by}) ({self._joined(' or '.join(grown), side)})"
        return self._query(field, self.both(sums))

    def _before(self, series: str) -> str:
        return f"last_over_time({series}[{MEMORY}s] offset {duration(self.step)})"

    def _seen(self, side: Side, whole: str, part: str) -> str:
        """Return 0 for each target that was scraped not long before, NaN if it said NaN."""
        target = ", ".join(self.target)
        scraped = f"max by ({target}) (max_over_time({self.alive(side)}[{MEMORY}s] offset {duration(self.step)}))"
        known = [f"0 * sum by ({target}) ({self._before(series)})" for series in (part, whole) if series]
        return f"({' or '.join(known)} or 0 * ({scraped} == 1))"

    def _grown(self, series: str, extra: Sequence[str], seen: str) -> str:
        """
        Return by how much the series of each target grew together in one step.

        Every series counts with its value, less its value before unless that was larger (a restart counts from 0) or
        there was none (a birth counts from 0). Sums are taken before the difference: comparing series one by one is
        what costs the source most.
        """
        by = ", ".join([*self.target, *extra])
        before = self._before(series)
        now = f"sum by ({by}) ({series})"
        kept = f"(sum by ({by}) ({before} <= {series}) or 0 * {now})"
        return f"({now} - {kept} + on ({', '.join(self.target)}) group_left () {seen})"

    def time(self, field: str, events: str) -> Query:
        """
        Return the query of the seconds of a step in which a replica was there: a target, scraped or not, or its events.

        Where replicas are not visible it is the seconds of all targets together.
        """
        texts: dict[Side, str] = {}
        for side in Side:
            up = self.alive(side)
            there = up if self.info is not None else f"{up} or {self.text(events, side)}"
            shown = f"group by ({', '.join(self.replica)}) ({there})"
            counted = shown if self.replica else f"count(group by (instance, pod) ({up}))"
            texts[side] = f"{self.step!r} * {counted}"
        return self._query(field, self.both(texts))

    def levels(self, field: str, template: str) -> Query:
        """Return the query of a level, averaged over what makes one replica."""
        by = ", ".join(self.by)
        texts = {side: f"avg by ({by}) ({self._joined(self.text(template, side), side)})" for side in Side}
        return self._query(field, self.both(texts), increments=False)

    def _query(self, field: str, expr: str, *, increments: bool = True) -> Query:
        name = self.question.name if self.question else ""
        return Query(question=name, field=field, expr=expr, replica=self.replica, increments=increments)

    def presence(self) -> Query:
        """Return the query of which replicas are scraped: 1, or 0 where the scrape failed."""
        by = ", ".join(self.replica)
        texts = {side: f"max by ({by}) ({self.alive(side)})" for side in Side}
        question = self.question.name if self.own and self.question else ""
        return Query(
            question=question,
            field="presence",
            expr=self.both(texts),
            replica=self.replica,
            increments=False,
        )

    def overlap(self, template: str) -> Query:
        """Return the query of how many series both sides select, for where replicas cannot show it."""
        texts = [self.text(template, side) for side in Side]
        return self._query("overlap", f"count({' and '.join(texts)})", increments=False)

    def native(self, histogram: str) -> Iterator[Query]:
        """
        Yield the queries of a native histogram: what each side's targets hold, and what of it they held a step before.

        Sources neither label nor subtract native histograms, so each side has its own queries and the difference is
        taken here. A series that was there within `MEMORY` but not a step before is in neither: its growth is unknown.
        """
        by, target = ", ".join(self.by), ", ".join(self.target)
        for side in Side:
            now = narrowed(self.text(histogram, side), NO_QUANTILE)
            before = f"{now} offset {duration(self.step)}"
            known = f"count_over_time({now}[{MEMORY}s] offset {duration(self.step)})"
            scraped = (
                f"max by ({target}) (max_over_time({self.alive(side)}[{MEMORY}s] offset {duration(self.step)})) == 1"
            )
            seen = f"(group by ({target}) ({known}) or {scraped})"
            held = f"sum by ({target}) ({now} unless ({known} unless {before})) and on ({target}) {seen}"
            kept = f"{before} and histogram_count({before}) <= histogram_count({now})"
            for field, expr in ((HELD, held), (KEPT, kept)):
                query = self._query(field, f"sum by ({by}) ({self._joined(expr, side)})", increments=False)
                yield replace(query, side=side.value)

    def layout(self, histogram: str) -> Query:
        """Return the query of how a histogram is published, by the label `LAYOUT_LABEL`: classic, or native."""
        found = []
        for side in Side:
            buckets = suffixed(self.text(histogram, side), "_bucket")
            native = f"histogram_count({narrowed(self.text(histogram, side), NO_QUANTILE)})"
            for word, series in (("classic", buckets), (NATIVE, native)):
                found.append(f'label_replace(group({series}), "{LAYOUT_LABEL}", "{word}", "", "")')
        return self._query("layout", " or ".join(found), increments=False)

    def queries(self, label: str | None, *, native: bool = False) -> Iterator[Query]:
        """Yield everything that is read for the question."""
        question = self.question
        assert question is not None
        yield self.presence()
        whole = total_of(question)
        template = template_of(question)
        if template is None:
            return
        if whole is None and not over_time(question):
            yield self.levels("values", template)
            return
        if native and isinstance(question, Latency) and question.histogram is not None:
            if not self.replica:
                yield self.overlap(question.histogram)
            yield from self.native(question.histogram)
            return
        if not self.replica:
            yield self.overlap(template)
        if isinstance(question, Latency):
            assert question.histogram is not None
            yield self.increments("counts", [suffixed(question.histogram, "_bucket")], whole, ["le"])
            return
        field, parts = parts_of(question)
        if any(asks_for_label(part) for part in parts):
            parts = tuple(set_label(part, label) for part in parts) if label else ()
        if parts:
            yield self.increments(field, parts, whole)
        other = FIELDS[question.kind][1]
        yield self.time(other, template) if whole is None else self.increments(other, [whole], whole)


FIELDS = {
    Proportion.kind: ("bad", "total"),
    Rate.kind: ("events", "exposure"),
    Ratio.kind: ("numerator", "denominator"),
}


def total_of(question: Question) -> str | None:
    """Return the selector that counts everything the question is about, or None where there are only levels."""
    if isinstance(question, Proportion):
        return question.total
    if isinstance(question, Rate):
        return None if question.exposure == "time" else question.exposure
    if isinstance(question, Ratio):
        return question.denominator
    if isinstance(question, Latency) and question.histogram is not None:
        return suffixed(question.histogram, "_count")
    return None


def over_time(question: Question) -> bool:
    """Return whether a question counts events per second of a replica's life."""
    return isinstance(question, Rate) and question.exposure == "time" and question.events is not None


def template_of(question: Question) -> str | None:
    """Return what stands for a question's series: its total, its events over time, its ``query``; None without any."""
    if (total := total_of(question)) is not None:
        return total
    if isinstance(question, Rate) and over_time(question):
        return question.events
    return getattr(question, "query", None)


def parts_of(question: Question) -> tuple[str, tuple[str, ...]]:
    """Return the field that counts a part of the whole (``bad``, ``events``, ``numerator``) and its selectors."""
    field = FIELDS[question.kind][0]
    value = getattr(question, field)
    return field, value if isinstance(value, tuple) else (() if value is None else (value,))


def select_of(policy: Policy, question: Question | None) -> tuple[tuple[str, ...], dict[Side, str], tuple[str, ...]]:
    """Return exclusions, matchers of both sides and replica labels: the question's, the policy's, the default."""
    layers: list[Select] = []
    for select in (question.select if question else None, policy.select, Select(by=sides.DEFAULT)):
        if select is not None:
            layers += [select, *([sides.pair(select.by, policy.controller)] if select.by else [])]
    matched = {
        side: next(matchers for layer in layers if (matchers := getattr(layer, side.value)) is not None)
        for side in Side
    }
    info = info_of(question)
    replica = (info.label,) if info else next(layer.replica for layer in layers if layer.replica is not None)
    excluded = [layer.exclude for layer in layers] + [question.exclude if question else ""]
    return tuple(dict.fromkeys(part for part in excluded if part)), matched, replica


def duration(seconds: float) -> str:
    """Return a PromQL duration, exact to the millisecond: ``15s``, ``2500ms``."""
    milliseconds = round(seconds * 1000)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"
