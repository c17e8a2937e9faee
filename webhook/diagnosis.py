"""
Why a question reads nothing here: which label is missing on which series, what would mend it, which preset has data.

Everything is asked of the source at one moment, as counts of series, so that it is cheap however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from analysis.errors import InvalidPolicy
from analysis.policy import Policy, Question, Select
from analysis.types import Side
from webhook import sides
from webhook.expressions import Asking, template_of
from webhook.frames import Reader
from webhook.ports import Points, Query, Span
from webhook.selectors import EmptySelector, Matcher, first_selector, matchers, metric_name

SCRAPED: Final = {
    "namespace": "__meta_kubernetes_namespace",
    "pod": "__meta_kubernetes_pod_name",
    "app": "__meta_kubernetes_pod_label_app",
    "rollouts_pod_template_hash": "__meta_kubernetes_pod_label_rollouts_pod_template_hash",
    "kubernetes_namespace": "__meta_kubernetes_namespace",
    "kubernetes_pod_name": "__meta_kubernetes_pod_name",
}
"""What Prometheus' Kubernetes discovery knows, by the label that a relabelling would write it to."""
PROMOTED: Final = {"k8s_namespace_name": "k8s.namespace.name", "k8s_pod_name": "k8s.pod.name"}
"""Resource attributes of OpenTelemetry, by the label that promoting them makes."""
LONGEST_PREFIX: Final = 58
"""Characters that Kubernetes keeps of a pod's name before its random end."""
LONGEST_HASH: Final = 10
EXAMPLES: Final = 3
POD_NAMES: Final = frozenset({"pod", "exported_pod", "kubernetes_pod_name", "k8s_pod_name"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A policy and the release that fills it in, asked about at one moment (unix seconds)."""

    policy: Policy
    names: Mapping[str, str]
    reader: Reader
    at: float

    def count(self, selectors: Iterable[str]) -> dict[str, int]:
        """Return how many series each selector matches."""
        asked = {selector: _query(f"count({selector})") for selector in dict.fromkeys(selectors)}
        answer = self._fetch(asked.values())
        return {selector: int(sum(p.values[-1] for p in answer[query])) for selector, query in asked.items()}

    def examples(self, selector: str, label: str) -> list[str]:
        """Return some values of a label, those of most series first."""
        query = _query(f"topk({EXAMPLES}, count by ({label}) ({selector}))")
        found = sorted(self._fetch([query])[query], key=lambda p: (-p.values[-1], p.labels.get(label, "")))
        return [value for p in found if (value := p.labels.get(label))]

    def _fetch(self, asked: Iterable[Query]) -> Mapping[Query, tuple[Points, ...]]:
        listed = list(asked)
        if not listed:
            return {}
        points = self.reader.fetch(listed, Span(start=self.at, end=self.at, step=1.0)).points
        return {query: tuple(p for p in points[query] if p.values.size) for query in listed}


def _query(expr: str) -> Query:
    return Query(question="", field="probe", expr=expr, increments=False)


def mend(here: Instance, question: Question) -> list[str]:
    """
    Return why the baseline of a question has no series here, and what would mend it, one line each.

    Raises
    ------
    SourceFault
        The source cannot say.
    """
    selector = first_selector(template_of(question) or "")
    if selector is None:
        return []
    asking = Asking(here.policy, question, here.names, 1.0)
    metric = metric_name(asking.alive(Side.BASELINE) if asking.info is not None else selector)
    wanted = list(matchers(asking.alive(Side.BASELINE)))
    others = dict(_pairs(here, question))
    alone = {matcher: f"{metric}{{{matcher.text}}}" for matcher in wanted}
    carried = {matcher: f'{metric}{{{matcher.label}!=""}}' for matcher in wanted}
    side = f"{metric}{{{', '.join(matcher.text for matcher in wanted)}}}"
    paired = {by: f"{metric}{{{text}}}" for by, text in others.items()}
    counts = here.count([metric, side, *alone.values(), *carried.values(), *paired.values()])
    if not counts[metric]:
        return [f"no series is called {metric}"]
    lines = [*_too_long(here, wanted)]
    total = f"{counts[metric]} series of {metric}"
    if counts[side]:
        return [*lines, f"{total}: the sides match, what else the selector or its exclusion asks leaves nothing"]
    if found := [(counts[text], by) for by, text in paired.items() if counts[text]]:
        number, by = max(found)
        return [*lines, f"{total}: {number} of the baseline with select: {{by: {by}}}"]
    for matcher in wanted:
        if not counts[carried[matcher]]:
            return [*lines, f"{total}: none carries the label {matcher.label}; {_relabelling(matcher.label)}"]
    for matcher in wanted:
        if not counts[alone[matcher]]:
            shown = here.examples(carried[matcher], matcher.label)
            told = f"; found {', '.join(shown)}" if shown else ""
            return [*lines, f"{total}: none has {matcher.text}{told}"]
    shown = here.examples(alone[wanted[0]], wanted[-1].label) if len(wanted) > 1 else []
    told = f"; with {wanted[0].text} found {wanted[-1].label} {', '.join(shown)}" if shown else ""
    return [*lines, f"{total}: no series has {side.removeprefix(metric)}{told}"]


def _pairs(here: Instance, question: Question) -> Iterator[tuple[str, str]]:
    """Yield the matchers of the baseline under every ready pair that can be filled in."""
    for by in sides.PAIRS:
        chosen = replace(question, select=Select(by=by))
        try:
            text = Asking(here.policy, chosen, here.names, 1.0).alive(Side.BASELINE)
            yield by, text[text.index("{") + 1 : -1]
        except EmptySelector:
            continue


def _relabelling(label: str) -> str:
    if label in SCRAPED:
        return f"relabel the scrape: {{source_labels: [{SCRAPED[label]}], target_label: {label}}}"
    if label in PROMOTED:
        return f"promote the resource attribute {PROMOTED[label]}"
    return "select by labels that it has"


def _too_long(here: Instance, wanted: Sequence[Matcher]) -> list[str]:
    """Return whether the release's name is so long that names of its pods are cut."""
    name, flagger = here.names.get("name", ""), here.policy.controller == "flagger"
    target = here.names.get("target") or name
    prefix = f"{target}-primary" if flagger else name
    if len(prefix) + 2 + LONGEST_HASH <= LONGEST_PREFIX or not any(one.label in POD_NAMES for one in wanted):
        return []
    return [
        f"pods' names are cut after {LONGEST_PREFIX} characters, {prefix}-HASH may not fit: select: {{by: pod-label}}"
    ]


def presets_with_data(here: Instance, presets: Mapping[str, Policy]) -> list[tuple[str, str, int]]:
    """
    Return which presets have data of the baseline here: name, metric, number of series; most series first.

    Parameters
    ----------
    here : Instance
    presets : mapping of str to Policy
        Policies that ask what each preset asks, and no more.
    """
    asked: dict[str, tuple[str, str]] = {}
    for name, policy in presets.items():
        first = next(iter(policy.questions))
        selector = first_selector(template_of(first) or "")
        if selector is None:
            continue
        controlled = replace(policy, controller=here.policy.controller)
        try:
            text = Asking(controlled, first, here.names, 1.0).among(selector, Side.BASELINE)
        except (EmptySelector, InvalidPolicy):
            continue
        asked[name] = metric_name(selector), text
    counts = here.count(text for _, text in asked.values())
    found = [(name, metric, counts[text]) for name, (metric, text) in asked.items() if counts[text]]
    return sorted(found, key=lambda one: (-one[2], one[0]))
