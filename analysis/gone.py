"""Whether a baseline is gone, and what either side of a question counted: a part and a whole per look."""

from __future__ import annotations

from typing import Final

import numpy as np

from analysis import levels
from analysis.compare.scores import midpoints
from analysis.drift import Kind
from analysis.latencies import UNITS
from analysis.past import PAST
from analysis.policy import Latency, Proportion, Quantile, Question, Rate
from analysis.record import QuestionRecord, Record, SideSeries
from analysis.types import FloatArray, Pairing

GONE_LOOKS: Final = 5
"""Looks in which only the canary served, after which the baseline counts as gone."""
COUNTED: Final = {Proportion.kind: ("bad", "total"), Rate.kind: ("events", "exposure")}


def applies(question: Question, record: Record) -> bool:
    """
    Return whether a question is compared with an earlier time instead of with a baseline beside it.

    Counts are, where the record says so (``before_after``); everything is where the baseline is gone and the record
    holds what was before. Levels of a short record without earlier days are left to their variation.
    """
    found = record.questions.get(question.name)
    if found is None or not len(record.ends):
        return False
    before_after = record.pairing is Pairing.BEFORE_AFTER
    if not (before_after or PAST in found.notes) or (kind := kind_of(question, found)) is None:
        return False
    if before_after:
        return PAST in found.notes or kind == "rate"
    return gone_since(question, record) is not None


def without_past(question: Question, record: Record) -> bool:
    """Return whether only the canary serves and nothing is known of an earlier time: no comparison will ever be had."""
    return gone_since(question, record) is not None and not applies(question, record)


def kind_of(question: Question, found: QuestionRecord) -> Kind | None:
    """Return whether a question moves like a rate or like a level; None where it has no such numbers."""
    fields = {*found.canary.fields, *found.baseline.fields}
    if levels.fields_of(found):
        return "level" if levels.VALUES in fields or isinstance(question, Latency | Quantile) else None
    if isinstance(question, Proportion | Rate):
        return "rate" if set(COUNTED[question.kind]) <= fields else None
    return "level" if isinstance(question, Latency) and "counts" in fields and found.edges else None


def gone_since(question: Question, record: Record) -> int | None:
    """
    Return the first look from which on only the canary served, None while that is not so for five looks.

    A look in which nobody served says nothing. A baseline that comes back is not gone.
    """
    found = record.questions.get(question.name)
    if found is None or not len(record.ends):
        return None
    canary, stable = (sums_of(question, found, side)[1] for side in (found.canary, found.baseline))
    last = np.flatnonzero(stable > 0)
    first = int(last[-1]) + 1 if last.size else 0
    return first if int((canary[first:] > 0).sum()) >= GONE_LOOKS else None


def sums_of(question: Question, found: QuestionRecord, side: SideSeries) -> tuple[FloatArray, FloatArray]:
    """Return part and whole of one side per look, (K,) each; 0 where nothing is known or the sides are mixed."""
    looks = len(found.left_out)
    part, whole = np.zeros(looks), np.zeros(looks)
    if not side.replicas:
        return part, whole
    if isinstance(question, Proportion | Rate) and set(COUNTED[question.kind]) <= side.fields.keys():
        above, below = (side.fields[name] for name in COUNTED[question.kind])
        both = np.isfinite(above) & np.isfinite(below)
        part, whole = (np.where(both, values, 0.0).sum(axis=0) for values in (above, below))
    elif "counts" in side.fields and isinstance(question, Latency):
        counts = np.nansum(side.fields["counts"], axis=0)
        middle = midpoints(np.array(found.edges, dtype=np.float64) * UNITS[question.unit])
        part, whole = counts @ middle, counts.sum(axis=-1)
    elif there := [name for name in levels.fields_of(found) if name in side.fields]:
        values = side.fields[there[-1]]  # the highest percentile speaks for the others
        known = np.isfinite(values) & (values > 0)
        part = np.where(known, np.log(np.where(known, values, 1.0)), 0.0).sum(axis=0)
        whole = known.sum(axis=0).astype(np.float64)
    return np.where(found.mixed, 0.0, part), np.where(found.mixed, 0.0, whole)
