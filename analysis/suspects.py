"""
A canary on fire in one replica only: a node or a pod is to blame, not the release.

From three canary replicas on, evidence for an abort is weighed again without each of them. What falls below 10 : 1
without one replica holds the release and names it; it does not abort.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from analysis.policy import Policy
from analysis.record import QuestionRecord, Record
from analysis.sequential import Sequential

FEWEST: Final = 3
MOST: Final = 12
"""Of more replicas only the loudest are left out in turn: each costs as much as the whole release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Without:
    """
    What is left of the evidence without one replica of the canary each.

    ``by_replica`` holds the evidence of all questions, ``since`` the first look at which three replicas had told
    something: before, nobody could be suspected.
    """

    by_replica: Mapping[str, Mapping[str, Sequential]]
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One replica of the canary that alone carries what would abort."""

    replica: str

    @property
    def reason(self) -> str:
        """Return why the release is held, and what to do."""
        return (
            f"suspect replica {self.replica}: without it nothing speaks for an abort; look at its node, or replace it"
        )


def without_each(
    policy: Policy,
    record: Record,
    guilty: str,
    weigh: Callable[[Policy, Record, float | None], Mapping[str, Sequential]],
) -> Without | None:
    """
    Return the evidence of all questions without each of the canary's replicas in turn, by replica.

    Parameters
    ----------
    policy : Policy
    record : Record
    guilty : str
        The question that would abort; its replicas are those that are left out, from every question that has them.
    weigh : callable
        `analysis.weighing.weigh`.

    Returns
    -------
    Without or None
        None where replicas are not visible or fewer than three told anything.
    """
    found = record.questions[guilty]
    first = {name: look for name in found.canary.replicas if (look := _first(found, name)) is not None}
    if not found.visible or len(first) < FEWEST:
        return None
    loudest = sorted(first, key=lambda name: -_excess(found, name))[:MOST]
    left = {name: weigh(policy, _without(record, name), None) for name in sorted(loudest)}
    return Without(by_replica=left, since=sorted(first.values())[FEWEST - 1])


def _first(found: QuestionRecord, name: str) -> int | None:
    """Return the first look in which a replica of the canary told something, None if it never did."""
    row = found.canary.replicas.index(name)
    told = [np.isfinite(array[row]).reshape(array.shape[1], -1).any(axis=1) for array in found.canary.fields.values()]
    looks = np.flatnonzero(np.any(told, axis=0)) if told else np.zeros(0, dtype=np.int64)
    return int(looks[0]) if looks.size else None


def _excess(found: QuestionRecord, name: str) -> float:
    """Return how much one replica adds to what is bad: events, requests beyond the middle bucket, or its mean level."""
    row = found.canary.replicas.index(name)
    fields = found.canary.fields
    for field in ("bad", "events", "values"):
        if field in fields:
            return float(np.nansum(fields[field][row]))
    if "counts" in fields:
        counts = np.nansum(fields["counts"][row], axis=0)
        return float(counts @ np.arange(len(counts)))
    return float(sum(np.nansum(array[row]) for array in fields.values()))


def _without(record: Record, name: str) -> Record:
    """Return the record without one of the canary's replicas, in every question that has it beside others."""
    questions = {}
    for key, found in record.questions.items():
        if name not in found.canary.replicas or len(found.canary.replicas) < 2:
            questions[key] = found
            continue
        row = found.canary.replicas.index(name)
        kept = tuple(other for other in found.canary.replicas if other != name)
        fields = {field: np.delete(array, row, axis=0) for field, array in found.canary.fields.items()}
        questions[key] = replace(found, canary=replace(found.canary, replicas=kept, fields=fields))
    return replace(record, questions=questions)
