"""
From a record to the sample-ratio check: whether the canary got the requests that its weight promised.

``split.py`` has the arithmetic; here is whose requests are counted, which weights were promised, and what follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from analysis import split
from analysis.kinds import BY_KIND
from analysis.policy import Policy
from analysis.record import QuestionRecord, Record, SideSeries
from analysis.split import Split, SplitFlag
from analysis.types import FloatArray, Json

SPREAD_BY_PODS: Final = "spread_by_pods"
"""Requests follow the numbers of pods and not the named weight: a report says it, nothing is held for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """
    What became of the traffic split of a release.

    Parameters
    ----------
    flag : str
        ``ok``, ``split_mismatch``, ``spread_by_pods`` or ``weight_unknown``.
    reason : str
        One line for people.
    question : str
        Whose requests were counted.
    found : Split
        The figures behind it, against the named weights.
    since : float or None
        Unix seconds at which an alarm that still stands began.
    """

    flag: str
    reason: str
    question: str
    found: Split
    since: float | None = None

    @property
    def obstacle(self) -> str:
        """Return why nothing is promoted, an empty string unless the split is not the configured one."""
        return self.reason if self.flag == SplitFlag.SPLIT_MISMATCH.value else ""

    @property
    def flags(self) -> tuple[str, ...]:
        """Return what a reader of the report must know; nothing where all is well."""
        return () if self.flag == SplitFlag.OK.value else (self.flag,)

    def document(self) -> dict[str, Json]:
        """Return what a report shows."""
        figures = asdict(self.found)
        return {**figures, "flag": self.flag, "reason": self.reason, "question": self.question, "since": self.since}


def check(policy: Policy, record: Record) -> Routed | None:
    """
    Return whether the canary gets the requests that its weight promised; None where there is nothing to check.

    Parameters
    ----------
    policy : Policy
        The first of its questions whose requests show the split, and that has any, is counted.
    record : Record

    Returns
    -------
    Routed or None
        None where no weight was ever named or expected: header-routed and mirrored traffic (a mirror's weight is 0),
        canaries that serve by numbers of pods. ``weight_unknown`` where one was expected: it was named before and no
        longer is, or the controller told of steps of a router without their weights.

    Notes
    -----
    The weight is a promise of a router. Where the requests are not as promised but as the numbers of pods would have
    them, within the same 10 %, whoever named the weight may have meant a replica-based canary, or the router is not
    in effect: either way every pod gets the same traffic, the comparison is sound, and the report says
    ``spread_by_pods`` instead of holding.
    """
    weights = weights_of(record)
    counted = _counted(policy, record) if _expected(record, weights) else None
    if counted is None:
        return None
    name, question = counted
    canary, baseline = (_requests(side, len(weights)) for side in (question.canary, question.baseline))
    left_out = question.mixed | (np.isnan(canary) & np.isnan(baseline))
    found = split.check(canary, baseline, weights, left_out)
    if found.flag is SplitFlag.SPLIT_MISMATCH and (pods := _pods(question)) is not None:
        spread = split.check(canary, baseline, pods, left_out)
        if spread.flag is SplitFlag.OK and spread.judged:
            reason = f"{found.reason.partition(' (')[0]}: requests follow the numbers of pods, not the weight"
            return Routed(flag=SPREAD_BY_PODS, reason=reason, question=name, found=found)
    since = None if found.since is None else float(record.ends[found.since])
    flag, reason = found.flag.value, found.reason
    if found.flag is SplitFlag.OK and _lost(weights):
        flag, reason = SplitFlag.WEIGHT_UNKNOWN.value, f"{reason}; no weight is named any more"
    return Routed(flag=flag, reason=reason, question=name, found=found, since=since)


def weights_of(record: Record) -> FloatArray:
    """
    Return the canary's configured share in each look, (K,); NaN where unknown.

    What the caller named for a look, else what the controller told with its newest step before the look. A look in
    which a step was told has no weight.
    """
    told = sorted((event for event in _steps(record) if event.get("routed")), key=lambda event: event["time"])
    weights = np.array(record.weights, dtype=np.float64)
    if not told:
        return weights
    times = np.array([event["time"] for event in told], dtype=np.float64)
    named = (event.get("weight") for event in told)
    values = np.array([np.nan, *(np.nan if weight is None else weight for weight in named)], dtype=np.float64)
    begun = np.searchsorted(times, record.ends - record.lengths + 1e-6, side="right")
    ended = np.searchsorted(times, record.ends - 1e-6, side="right")
    steady = np.where(begun == ended, values[begun], np.nan)
    return np.where(np.isnan(weights), steady, weights)


def _steps(record: Record) -> list[Mapping[str, Json]]:
    return [event for event in record.events if event.get("kind") == "step"]


def _expected(record: Record, weights: FloatArray) -> bool:
    """Return whether somebody named a weight, or told of a step that a router took."""
    return bool(np.isfinite(weights).any()) or any(event.get("routed") for event in _steps(record))


def _lost(weights: FloatArray) -> bool:
    """Return whether none of the newest looks, as many as the check learns from, has a weight, though older ones do."""
    newest = weights[-split.LEARNING_LOOKS :]
    return bool(np.isnan(newest).all() and np.isfinite(weights).any())


def _counted(policy: Policy, record: Record) -> tuple[str, QuestionRecord] | None:
    """Return the first question whose requests show the split, muted ones last."""
    for question in sorted(policy.questions, key=lambda q: q.muted):
        found = record.questions.get(question.name)
        kind = BY_KIND.get(question.kind)
        if found is None or kind is None or not kind.splits or not len(record.ends):
            continue
        if any(np.nansum(_requests(side, len(record.ends))) > 0 for side in (found.canary, found.baseline)):
            return question.name, found
    return None


def _requests(side: SideSeries, looks: int) -> FloatArray:
    """Return one side's requests per look, (K,); NaN where none of its replicas told anything."""
    for name in ("total", "counts"):
        if name in side.fields and side.replicas:
            values = side.fields[name]
            each = values if values.ndim == 2 else values.sum(axis=-1)
            return np.where(np.isfinite(each).any(axis=0), np.nansum(each, axis=0), np.nan)
    return np.full(looks, np.nan)


def _pods(question: QuestionRecord) -> FloatArray | None:
    """Return the canary's share of the pods that served in each look, (K,); None where pods are not visible."""
    if not question.visible:
        return None
    counts = []
    for side in (question.canary, question.baseline):
        name = "total" if "total" in side.fields else "counts"
        values = side.fields[name]
        each = values if values.ndim == 2 else values.sum(axis=-1)
        counts.append((np.nan_to_num(each) > 0).sum(axis=0).astype(np.float64))
    whole = counts[0] + counts[1]
    return np.where(whole > 0, counts[0] / np.where(whole > 0, whole, 1.0), np.nan)
