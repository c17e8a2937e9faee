"""
Policy to PromQL: what is asked of a source for one verdict.

Counters are differenced by the source at scrape resolution and summed by replica, so that label sets never travel
and one that goes away is no fall (``docs/decisions/0002-increments-at-the-source.md``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from analysis.errors import InvalidPolicy
from analysis.policy import JUDGED, Group, Latency, Limit, Limits, Policy, Question
from analysis.types import Side
from webhook.expressions import (
    FIELDS,
    IDENTITY_IF_ON_UP,
    LAYOUT_LABEL,
    NATIVE,
    Asking,
    duration,
    over_time,
    parts_of,
    select_of,
    template_of,
    total_of,
)
from webhook.ports import Points, Query, Span
from webhook.selectors import NAMES, EmptySelector, asks_for_label, first_selector, label_names, metric_name

__all__ = [
    "EmptySelector",
    "absent_label",
    "fetch_step",
    "identity_labels",
    "identity_query",
    "is_native",
    "label_query",
    "layout_query",
    "metric",
    "pick_label",
    "plan",
    "replica_labels",
    "scrape_query",
    "start_query",
    "start_span",
    "unseparated",
]

START_REACH = 6 * 3600
"""Seconds that the search for the start of a release looks back."""
SCRAPE_WINDOW = 300
LABELS = ("code", "status", "status_code", "http_status")
"""Names under which HTTP counters carry the status; what a probe for LABEL looks for by default."""


def plan(
    policy: Policy,
    names: Mapping[str, str],
    *,
    step: float,
    labels: Mapping[str, str] | None = None,
    identity: Sequence[str] = (),
    native: Collection[str] = (),
) -> tuple[Query, ...]:
    """
    Return all queries of a verdict, without repeats.

    Parameters
    ----------
    policy : Policy
    names : mapping
        Values of ``$namespace $name $target $service $ingress $route $baseline $canary $cluster``; an empty or
        absent ``target`` is the ``name``.
    step : float
        Seconds between two evaluations, see `fetch_step`; increments are those of one step.
    labels : mapping, optional
        By question: the label that stands for LABEL. A question that needs one and has none gets no ``bad`` query.
    identity : sequence of str
        What `identity_labels` found.
    native : collection of str
        Questions whose histogram is a native one, as `is_native` found.

    Raises
    ------
    EmptySelector
        A selector needs a value that is empty.
    InvalidPolicy
        A query that cannot be built: ``$name`` outside a string, a histogram that is no plain metric.
    """
    found: dict[Query, None] = {}
    for question in asked(policy):
        asking, label = Asking(policy, question, names, step, identity), (labels or {}).get(question.name)
        for query in asking.queries(label, native=question.name in native):
            found.setdefault(query)
    return tuple(found)


def asked(policy: Policy) -> Iterator[Question]:
    """Yield the questions whose data a verdict needs: those judged now, and those that a limit reads."""
    limited = {
        limit.question
        for question in policy.questions
        if isinstance(question, Limits)
        for limit in _limits(question.group)
    }
    for question in policy.questions:
        if question.kind == Limits.kind:
            continue
        if question.name in limited or (question.kind in JUDGED and question.kind != Limits.kind):
            yield question


def _limits(group: Group) -> Iterator[Limit]:
    for member in group.members:
        if isinstance(member, Group):
            yield from _limits(member)
        else:
            yield member


def replica_labels(policy: Policy, question: str) -> tuple[str, ...]:
    """Return the labels that make one replica for a question; empty where replicas are hidden."""
    return select_of(policy, policy.question(question))[2]


def unseparated(policy: Policy, names: Mapping[str, str], question: str) -> bool:
    """Return whether both sides of a question select the same series by the same words."""
    asking = Asking(policy, policy.question(question), names, 1.0)
    if asking.info is not None:
        return asking.alive(Side.BASELINE) == asking.alive(Side.CANARY)
    template = (template_of(asking.question) if asking.question else None) or "$side"
    return asking.text(template, Side.BASELINE) == asking.text(template, Side.CANARY)


def metric(policy: Policy, question: str) -> str:
    """Return the name of the metric that a question counts, for people."""
    return metric_name(template_of(policy.question(question)) or "")


def _first(policy: Policy, names: Mapping[str, str]) -> tuple[Asking, str | None]:
    """Return the first question that counts something, else the first with a series: it stands for the release."""
    for question in asked(policy):
        if (total := total_of(question)) is not None:
            return Asking(policy, question, names, 1.0), total
    for question in asked(policy):
        if (series := first_selector(template_of(question) or "")) is not None:
            return Asking(policy, question, names, 1.0), series
    return Asking(policy, None, names, 1.0), None


def scrape_query(policy: Policy, names: Mapping[str, str]) -> Query:
    """
    Return the query of how many samples a series has in 300 seconds (the median of the baseline, else of the canary).

    Its one value goes to `analysis.series.scrape_interval`.
    """
    asking, total = _first(policy, names)
    counts = [
        f"quantile(0.5, count_over_time({series}[{SCRAPE_WINDOW}s]))"
        for series in [*(asking.text(total, side) for side in Side if total), *(asking.alive(side) for side in Side)]
    ]
    return Query(question="", field="scrape", expr=" or ".join(counts), increments=False)


def start_query(policy: Policy, names: Mapping[str, str], step: float) -> Query:
    """
    Return the query of when the canary was seen: it has a value at every step that holds a sample of it.

    A sample is one of the counted metric or of ``up``, so that a canary with a renamed metric has a start as well, or
    of what is counted over a replica's time, so that one that crashes before it is ever scraped has one. Its times go
    to `analysis.series.start_of_presence`.
    """
    asking, total = _first(policy, names)
    samples = [asking.text(total, Side.CANARY)] if total and asking.info is None else []
    samples.append(asking.alive(Side.CANARY))
    for question in asked(policy):
        if over_time(question) and (series := template_of(question)) is not None:
            lived = Asking(policy, question, names, 1.0)
            samples.append(lived.text(series, Side.CANARY) if lived.info is None else lived.alive(Side.CANARY))
    seen = [f"group(count_over_time({sample}[{duration(step)}]))" for sample in dict.fromkeys(samples)]
    return Query(question="", field="start", expr=" or ".join(seen), increments=False)


def start_span(at: float, step: float) -> Span:
    """Return the six hours before ``at`` on multiples of ``step``: a start does not depend on when it is asked."""
    end = at // step * step
    return Span(start=end - START_REACH // step * step, end=end, step=step)


def fetch_step(length: float, scrape: float) -> float:
    """
    Return the largest step that divides a look of ``length`` seconds and is no longer than a scrape.

    >>> fetch_step(30.0, 15.0), fetch_step(10.0, 15.0), fetch_step(50.0, 15.0)
    (15.0, 10.0, 12.5)
    """
    return length / max(1, -int(-length // scrape))


def label_query(policy: Policy, names: Mapping[str, str], question: str) -> Query | None:
    """
    Return the query that shows which labels a question's total carries, or None where none matters.

    A matcher on a label that the metric lacks reads as "no errors for ever"; so the labels that only ``bad`` speaks of,
    and the candidates for LABEL, are looked for on the total. Its points go to `pick_label` and `absent_label`.
    """
    asked_of = policy.question(question)
    wanted = _wanted(asked_of)
    total = total_of(asked_of)
    if not wanted or total is None:
        return None
    asking = Asking(policy, asked_of, names, 1.0)
    by = ", ".join(dict.fromkeys([*wanted, *LABELS]))
    expr = " or ".join(f"group by ({by}) ({asking.text(total, side)})" for side in Side)
    return Query(question=question, field="label", expr=expr, increments=False)


def _wanted(question: Question) -> tuple[str, ...]:
    """Return the labels to look for on the total: candidates for LABEL, else those that only the parts name."""
    if question.kind not in FIELDS or (total := total_of(question)) is None:
        return ()
    parts = parts_of(question)[1]
    if any(asks_for_label(part) for part in parts):
        return question.label or LABELS
    of_total = label_names(total)
    extra = [name for part in parts if metric_name(part) == metric_name(total) for name in label_names(part)]
    return tuple(dict.fromkeys(name for name in extra if name not in of_total))


def pick_label(policy: Policy, question: str, points: Iterable[Points]) -> str | None:
    """Return the first candidate for LABEL that the total carries; None if it needs none, or carries none."""
    asked_of = policy.question(question)
    if question_needs_label(asked_of):
        carried = _carried(points)
        return next((label for label in _wanted(asked_of) if label in carried), None)
    return None


def question_needs_label(question: Question) -> bool:
    """Return whether LABEL stands in one of the question's selectors."""
    return question.kind in FIELDS and any(asks_for_label(part) for part in parts_of(question)[1])


def absent_label(policy: Policy, question: str, points: Iterable[Points]) -> str:
    """
    Return why "no bad series" would not mean "nothing bad": one line, or "" if all is well.

    A total that does not exist yet says nothing either way: "".
    """
    asked_of = policy.question(question)
    series = list(points)
    wanted, carried = _wanted(asked_of), _carried(series)
    absent = [label for label in wanted if label not in carried]
    if not series or not absent or (question_needs_label(asked_of) and len(absent) < len(wanted)):
        return ""
    found = f"; found {', '.join(sorted(carried))}" if carried else ""
    word = " nor ".join(absent) if question_needs_label(asked_of) else " and ".join(absent)
    return f"label {word} absent on {metric(policy, question)}{found}"


def _carried(points: Iterable[Points]) -> set[str]:
    return {name for series in points for name, value in series.labels.items() if value}


def identity_query(policy: Policy, names: Mapping[str, str]) -> Query:
    """
    Return the query that shows whether ``service`` and ``endpoint`` are labels of the scrape.

    Where the stable and the canary Service both select a pod, it is scraped twice, and the copies may differ in these
    alone; where they are labels of the application they must be summed over. Labels of the scrape are on ``up``.
    """
    asking = _first(policy, names)[0]
    by = ", ".join(IDENTITY_IF_ON_UP)
    expr = " or ".join(f"group by ({by}) ({asking.alive(side)})" for side in Side)
    return Query(question="", field="identity", expr=expr, increments=False)


def identity_labels(points: Iterable[Points]) -> tuple[str, ...]:
    """Return which labels of `identity_query` belong to the scrape."""
    carried = _carried(points)
    return tuple(label for label in IDENTITY_IF_ON_UP if label in carried)


def layout_query(policy: Policy, names: Mapping[str, str], question: str) -> Query | None:
    """Return the query that shows how a question's histogram is published, or None where it has none."""
    asked_of = policy.question(question)
    if not isinstance(asked_of, Latency) or asked_of.histogram is None:
        return None
    return Asking(policy, asked_of, names, 1.0).layout(asked_of.histogram)


def is_native(points: Iterable[Points]) -> bool | None:
    """Return whether a histogram is only published as a native one; None if it is not published at all."""
    words = {series.labels.get(LAYOUT_LABEL) for series in points}
    return words == {NATIVE} if words else None


def check(policy: Policy) -> list[str]:
    """Return what can be said against a policy's queries without asking a source, one line each."""
    names = {name: f"any-{name}" for name in NAMES}
    problems: dict[str, None] = {}
    for question in asked(policy):
        try:
            found = list(Asking(policy, question, names, 15.0).queries("code"))
            same = unseparated(policy, names, question.name)
        except InvalidPolicy as error:
            problems.setdefault(f"{question.name}: {error.message}")
            continue
        if any("$side" in query.expr for query in found):
            problems.setdefault(f"{question.name}: $side must stand outside strings")
        elif same:
            problems.setdefault(f"{question.name}: baseline and canary select the same series by the same words")
    return list(problems)
