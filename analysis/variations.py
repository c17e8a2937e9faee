"""
The weaker proof wired to a record: which questions are series without counts, and what all of them say together.

One line per question and side goes through `analysis.compare.variation`. It has no e-value and is never put among
e-values: an abort by it stands beside the promise of ``alpha.abort``, not inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from analysis import latencies, levels
from analysis.compare.lines import Line, LineEvidence, line_of_pods
from analysis.compare.rising import growth, only_rises
from analysis.compare.scores import midpoints
from analysis.compare.variation import VariationEvidence, weigh
from analysis.gone import applies
from analysis.policy import Gauge, Latency, Limits, Objective, Policy, Proportion, Question, Rate
from analysis.record import QuestionRecord, Record, SideSeries
from analysis.types import Direction, FloatArray, Pairing, Side, State

SEQUENTIAL: Final = "sequential"
VARIATION: Final = "variation"
SIGN: Final = {Direction.INCREASE: 1, Direction.DECREASE: -1, Direction.BOTH: 0}
PARTS: Final = {
    Proportion.kind: ("bad", "total"),
    Rate.kind: ("events", "exposure"),
}
CONTEXT: Final = "context"
FRACTION: Final = "fraction"


def proof_of(question: Question, record: Record) -> str:
    """
    Return how a question is proved on this record: ``sequential``, or ``variation``, the weaker one.

    Counts, buckets and values per pod are weighed by sequential evidence. One line per side, sides that were not
    sampled at the same times, and changes of unknown direction are judged by their variation. A policy may narrow
    it (``proof``); what has no line at all stays sequential, so that its silence is said.
    """
    if isinstance(question, Limits | Objective):
        return ""
    found = record.questions.get(question.name)
    if found is None or not levels.fields_of(found):
        return question.proof or SEQUENTIAL
    if question.proof is not None and question.direction is not Direction.BOTH:
        return question.proof
    if applies(question, record) and question.direction is not Direction.BOTH:
        return SEQUENTIAL
    one_line = not found.visible or record.pairing is Pairing.BEFORE_AFTER or not record.aligned
    return VARIATION if one_line or question.direction is Direction.BOTH else SEQUENTIAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Varied:
    """
    What the series without counts of a release say.

    ``whole`` is the rule over all of them, ``lines`` what each shows, by question; ``means`` are the means of both
    sides over the run, by question and side, None where a side has no value.
    """

    whole: VariationEvidence
    lines: Mapping[str, LineEvidence]
    means: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)

    def state_of(self, question: Question) -> State:
        """Return the state of one question: that of the whole if it carries it, else its own."""
        if question.name in self.whole.guilty:
            held = self.whole.state is State.WORSE and question.variation_may == "hold"
            return State.DEGRADED if held else self.whole.state
        line = self.lines[question.name]
        if line.strength is None or line.blind:
            return State.UNDECIDED
        return State.WITHIN_VARIATION


def vary(policy: Policy, record: Record) -> Varied | None:
    """Return what the questions that are judged by their variation say together; None if there are none with data."""
    voting = [q for q in policy.questions if not q.muted and proof_of(q, record) == VARIATION]
    return judged(voting, policy, record)


def judged(voting: list[Question], policy: Policy, record: Record) -> Varied | None:
    """Return what some questions say by their variation, asked together; None if none has a line."""
    load = _requests(policy, record)
    lines = [line for q in voting if (line := line_of(q, record, load)) is not None]
    if not lines:
        return None
    beside = record.pairing is Pairing.CONCURRENT and record.aligned
    found = weigh(lines, beside=beside, step_seconds=record.grid.length)
    means = {
        line.name: {Side.BASELINE.value: _mean(line.stable), Side.CANARY.value: _mean(line.canary)} for line in lines
    }
    return Varied(whole=found, lines={line.name: line for line in found.lines}, means=means)


def _mean(values: FloatArray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def line_of(
    question: Question, record: Record, load: tuple[tuple[FloatArray, FloatArray, FloatArray], ...] = ()
) -> Line | None:
    """
    Return one number per look and side of a question, whatever its kind; None where a side has none.

    Parameters
    ----------
    question : Question
    record : Record
    load : sequence of ((n,), (p,), (h,)) float64
        Request columns that a fraction may be counted by.

    Returns
    -------
    Line
        Values are means over the pods present; counts become their quotient, buckets the geometric mean latency.
    """
    found = record.questions.get(question.name)
    if found is None or not len(record.ends):
        return None
    sides = [values_of(question, found, series) for series in (found.canary, found.baseline)]
    history = values_of(question, found, found.history) if found.history is not None else None
    canary, stable = (_usable(values, found) for values in sides)
    if canary is None or stable is None:
        return None
    before = history if history is not None else np.zeros((1, 0))
    counter = question.kind == Gauge.kind and only_rises([stable, before], canary)
    if counter:
        canary, stable, before = growth(canary), growth(stable), growth(before)
    repeats = levels.slots_of(record).astype(np.int64)
    if repeats.max(initial=1) > 1:
        canary, stable = (np.repeat(v, repeats[: v.shape[1]], axis=1) for v in (canary, stable))
    line = line_of_pods(
        question.name, SIGN[question.direction], canary, stable, before, record.grid.length, bool(question.required)
    )
    line = replace(line, counter=counter)
    if question.kind == Proportion.kind or found.notes.get(FRACTION):
        return replace(line, fraction=True, requests=(*_own_requests(question, found), *load))
    return line


def values_of(question: Question, found: QuestionRecord, series: SideSeries) -> FloatArray | None:
    """Return one number per replica and look, (R, K), None where the side has nothing of the kind."""
    for name in levels.fields_of(found)[::-1]:  # the highest percentile speaks for the others
        return levels.level_of(series, name)
    if question.kind in PARTS:
        part, whole = (series.fields.get(name) for name in PARTS[question.kind])
        if part is None or whole is None:
            return None
        return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)
    if isinstance(question, Latency) and "counts" in series.fields and found.edges:
        middle = midpoints(np.array(found.edges) * latencies.UNITS[question.unit])
        counts = series.fields["counts"]
        whole = counts.sum(axis=-1)
        return np.where(whole > 0, np.exp((counts @ middle) / np.where(whole > 0, whole, 1.0)), np.nan)
    return None


def _own_requests(question: Question, found: QuestionRecord) -> tuple[tuple[FloatArray, FloatArray, FloatArray], ...]:
    """Return the totals of a proportion that has them: its fractions are counts."""
    if question.kind != Proportion.kind or "total" not in found.canary.fields or "total" not in found.baseline.fields:
        return ()
    before = (
        found.history.total("total") if found.history is not None and "total" in found.history.fields else np.zeros(0)
    )
    return ((found.canary.total("total"), found.baseline.total("total"), before),)


def _requests(policy: Policy, record: Record) -> tuple[tuple[FloatArray, FloatArray, FloatArray], ...]:
    """Return the lines of context metrics, which have no vote: load that fractions may be counted by."""
    found = []
    for question in policy.questions:
        told = record.questions.get(question.name)
        if told is None or not told.notes.get(CONTEXT):
            continue
        line = line_of(question, record)
        if line is not None:
            found.append((line.canary, line.stable, line.history))
    return tuple(found)


def _usable(values: FloatArray | None, found: QuestionRecord) -> FloatArray | None:
    """Return values without the looks in which the sides cannot be told apart."""
    if values is None or not np.isfinite(values).any():
        return None
    return np.where(found.mixed, np.nan, values)
