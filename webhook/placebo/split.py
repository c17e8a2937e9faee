"""
A source that shows some stable replicas as the canary of a release that never was.

Everything else (queries, cadence, labels, noise, looks) is read by the code that reads real releases, which cannot tell
the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from analysis.types import BoolArray, Side
from webhook.ports import SIDE_LABEL, Answer, Points, Query, Source, Span


@dataclass(slots=True, kw_only=True)
class SplitSource:
    """
    Another source, seen with ``chosen`` replicas as the canary from ``start`` on.

    Parameters
    ----------
    source : Source
        Asked once for the same queries over the same span, however many splits are made of its answer.
    start : float
        Unix seconds. What the chosen did before it is not there: a new canary has no past either, and the noise of
        stable is learned from the others.
    chosen : frozenset of str
        Names of replicas, as records have them (their labels joined by ``/``); empty: everybody is stable.

    Attributes
    ----------
    saw_canary : bool
        Whether the real canary's selector matched anything: then a release was running. Its series are left out.
    """

    source: Source
    start: float
    chosen: frozenset[str] = frozenset()
    saw_canary: bool = field(default=False, init=False)
    _kept: dict[tuple[tuple[Query, ...], Span], Answer] = field(default_factory=dict, init=False)

    def fetch(self, queries: Sequence[Query], span: Span, timeout: float) -> Answer:
        """Return the answer of the source behind it, split; its faults are raised as they are."""
        key = tuple(queries), span
        answer = self._kept.get(key)
        if answer is None:
            answer = self._kept[key] = self.source.fetch(queries, span, timeout)
        points = {query: self._split(query, found) for query, found in answer.points.items()}
        return replace(answer, points=points)

    def ping(self, timeout: float) -> None:
        """Return if the source behind it answers."""
        self.source.ping(timeout)

    def _split(self, query: Query, found: Sequence[Points]) -> tuple[Points, ...]:
        if not any(SIDE_LABEL in one.labels for one in found):
            return tuple(found)
        stable: list[Points] = []
        for one in found:
            if one.labels.get(SIDE_LABEL) == Side.CANARY.value:
                self.saw_canary = self.saw_canary or bool((one.times > self.start).any())
                continue
            if name_of(query, one) not in self.chosen:
                stable.append(one)
                continue
            labels = {**one.labels, SIDE_LABEL: Side.CANARY.value}
            stable.append(_part(replace(one, labels=labels), one.times > self.start + 1e-6))
        return tuple(one for one in stable if one.times.size)


def name_of(query: Query, one: Points) -> str:
    """Return the replica that a series belongs to, as records name it; empty where replicas are not visible."""
    parts = [one.labels.get(label, "") for label in query.replica]
    return "/".join(parts) if any(parts) else ""


def _part(one: Points, kept: BoolArray) -> Points:
    return replace(one, times=one.times[kept], values=one.values[kept])
