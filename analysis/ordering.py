"""One order of replicas for all, so that a verdict does not depend on how they came."""

from __future__ import annotations

from dataclasses import replace

from analysis.record import QuestionRecord, Record, SideSeries


def in_order(record: Record) -> Record:
    """
    Return a record with the replicas of every side sorted by name, itself if they are.

    Sums of floating-point numbers depend on their order, and evidence on many requests shows it in its seventh digit:
    in one order for all, a verdict does not depend on how replicas came.
    """
    sorted_ = {name: _question_in_order(found) for name, found in record.questions.items()}
    if all(sorted_[name] is found for name, found in record.questions.items()):
        return record
    return replace(record, questions=sorted_)


def _question_in_order(found: QuestionRecord) -> QuestionRecord:
    baseline, canary = _side_in_order(found.baseline), _side_in_order(found.canary)
    history = None if found.history is None else _side_in_order(found.history)
    if baseline is found.baseline and canary is found.canary and history is found.history:
        return found
    return replace(found, baseline=baseline, canary=canary, history=history)


def _side_in_order(side: SideSeries) -> SideSeries:
    if sorted(side.replicas) == list(side.replicas):
        return side
    rows = sorted(range(len(side.replicas)), key=side.replicas.__getitem__)
    return SideSeries(
        replicas=tuple(side.replicas[row] for row in rows),
        fields={name: array[rows] for name, array in side.fields.items()},
    )
