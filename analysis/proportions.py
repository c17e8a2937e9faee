"""From a record to counts: the aligned arrays of a ``proportion`` (or a ``rate``), or why there are none."""

from __future__ import annotations

from typing import Final

import numpy as np

from analysis import noise, silences
from analysis.compare.counts import CountsData, CountsQuestion
from analysis.noise import FEWEST_LOOKS, Noise
from analysis.policy import Policy, Proportion, Rate
from analysis.record import QuestionRecord, Record, SideSeries
from analysis.silences import Silence
from analysis.types import FloatArray

Counted = tuple[str, str]
"""The fields of a record that count events, and what they are counted per."""
BAD_OF_TOTAL: Final[Counted] = ("bad", "total")
EVENTS_PER_EXPOSURE: Final[Counted] = ("events", "exposure")


def asked(question: Proportion, policy: Policy) -> CountsQuestion:
    """Return what a question asks, in the words of the arithmetic."""
    return CountsQuestion(
        ratio=question.tolerance.ratio,
        slack=question.tolerance.absolute,
        direction=question.direction,
        harm_budget=policy.harm_budget,
        alphas=policy.alpha,
    )


def silence(question: Proportion, record: Record) -> Silence | None:
    """Return why a question cannot be judged on this record, or None if it can; see `analysis.silences.silence`."""
    return silences.silence(question, record, ("total",))


def counts_data(question: Proportion | Rate, record: Record, fields: Counted = BAD_OF_TOTAL) -> CountsData:
    """
    Return the aligned arrays of a question; sides without a replica get one that never had a request.

    Parameters
    ----------
    question : Proportion or Rate
    record : Record
    fields : (str, str)
        What counts the events, and what they are counted per.

    Returns
    -------
    CountsData
        Rows of the baseline and of its short history are the same replicas. A question that the record
        does not hold has no request in any look, so its evidence is 1 throughout.
    """
    found = record.questions.get(question.name)
    looks = len(record.ends)
    if found is None:
        nothing = np.zeros((1, looks))
        return CountsData(
            baseline_bad=nothing, baseline_total=nothing, canary_bad=nothing, canary_total=nothing,
            left_out=np.zeros(looks, dtype=bool), ends=record.ends, seconds=record.lengths,
        )  # fmt: skip
    part, whole = fields
    summary, short = history_of(found, record.grid.length, fields)
    names = found.baseline.replicas or ("",)
    earlier: tuple[FloatArray | None, FloatArray | None] = (None, None)
    if short is not None:
        names = tuple(sorted({*names, *short.replicas}))
        width = short.fields[whole].shape[1]
        earlier = _rows(short, part, names, width), _rows(short, whole, names, width)
    return CountsData(
        baseline_bad=_rows(found.baseline, part, names, looks),
        baseline_total=_rows(found.baseline, whole, names, looks),
        canary_bad=_rows(found.canary, part, found.canary.replicas or ("",), looks),
        canary_total=_rows(found.canary, whole, found.canary.replicas or ("",), looks),
        left_out=~found.used,
        ends=record.ends,
        seconds=record.lengths,
        visible=found.visible,
        history=summary,
        earlier_bad=earlier[0],
        earlier_total=earlier[1],
    )


def _rows(series: SideSeries, field: str, names: tuple[str, ...], looks: int) -> FloatArray:
    if names == series.replicas and field in series.fields:
        return series.fields[field]
    array = np.full((len(names), looks), np.nan)
    if field in series.fields:
        for row, replica in enumerate(series.replicas):
            array[names.index(replica)] = series.fields[field][row]
    return array


def history_of(
    found: QuestionRecord, length: float, fields: Counted = BAD_OF_TOTAL
) -> tuple[Noise | None, SideSeries | None]:
    """
    Return what is known of the stable history: a summary, and the looks themselves if they are fewer than 8.

    Parameters
    ----------
    found : QuestionRecord
    length : float
        Seconds of one look of the history.
    fields : (str, str)
    """
    part, whole = fields
    known = found.noise
    if known is not None and known.counted >= FEWEST_LOOKS:
        return known, None
    if found.history is None or not {part, whole} <= set(found.history.fields):
        return known, None
    bad, total = found.history.fields[part], found.history.fields[whole]
    shares = fields == BAD_OF_TOTAL
    learned = noise.learn(bad, total, np.full(bad.shape[1], length), found.visible, shares=shares)
    return learned, None if learned.counted >= FEWEST_LOOKS else found.history
