"""From a record to counts: the aligned arrays of a question of kind ``proportion``, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis import noise, words
from analysis.compare.counts import CountsData, CountsQuestion
from analysis.noise import FEWEST_LOOKS, Noise
from analysis.policy import Policy, Proportion
from analysis.record import INCOMPARABLE, QuestionRecord, Record, SideSeries
from analysis.types import BoolArray, FloatArray, Side, State

STALE_LOOKS = 5
STALE_AFTER = 300.0
"""A canary that was silent for this many seconds, and looks, is stale: old proof does not speak for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Why a question cannot be judged now: its state, one line for people, and flags."""

    state: State
    reason: str


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
    """
    Return why a question cannot be judged on this record, or None if it can.

    Returns
    -------
    Silence or None
        ``incomparable`` if the newest look was left out because the sides cannot be told apart, or if only the
        canary serves by now; ``no_data`` if a side never had a request; ``stale`` if the canary has been silent
        for 5 looks and 5 minutes. Each with its own reason.
    """
    label = question.name.replace("-", " ")
    found = record.questions.get(question.name)
    if found is None or not len(record.ends):
        return Silence(state=State.NO_DATA, reason=f"{label}: no look is closed yet")
    newest = found.left_out[-1]
    if newest is not None and newest.code in INCOMPARABLE:
        return Silence(state=State.INCOMPARABLE, reason=newest.text)
    canary, baseline = _requests(found, Side.CANARY), _requests(found, Side.BASELINE)
    if not canary.any() or not baseline.any():
        if newest is not None:
            return Silence(state=State.NO_DATA, reason=newest.text)
        missing = "canary" if not canary.any() else "baseline"
        return Silence(state=State.NO_DATA, reason=f"{label}: no {missing} requests in {len(canary)} looks")
    quiet = stale_for(record, canary > 0)
    if quiet is not None:
        return Silence(state=State.STALE, reason=f"{label}: no canary request for {words.duration(quiet)}")
    return None


def stale_for(record: Record, served: BoolArray) -> float | None:
    """
    Return for how many seconds nothing was heard, None while that is not long enough to be stale.

    Parameters
    ----------
    record : Record
    served : (K,) bool
        Looks in which something was heard; at least one.
    """
    last = int(np.flatnonzero(served)[-1])
    quiet = float(record.ends[-1] - record.ends[last])
    return quiet if len(served) - 1 - last >= STALE_LOOKS and quiet >= STALE_AFTER else None


def _requests(found: QuestionRecord, side: Side) -> FloatArray:
    """Return one side's requests per look, 0 where the look was left out or nothing was counted; shape ``(K,)``."""
    series = found.side(side)
    if "total" not in series.fields or not series.replicas:
        return np.zeros(len(found.left_out))
    used = np.array([reason is None for reason in found.left_out])
    return np.where(used, series.total("total"), 0.0)


def counts_data(question: Proportion, record: Record) -> CountsData:
    """
    Return the aligned arrays of a question; sides without a replica get one that never had a request.

    Parameters
    ----------
    question : Proportion
    record : Record

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
    summary, short = history_of(found, record.grid.length)
    names = found.baseline.replicas or ("",)
    earlier: tuple[FloatArray | None, FloatArray | None] = (None, None)
    if short is not None:
        names = tuple(sorted({*names, *short.replicas}))
        width = short.fields["total"].shape[1]
        earlier = _rows(short, "bad", names, width), _rows(short, "total", names, width)
    return CountsData(
        baseline_bad=_rows(found.baseline, "bad", names, looks),
        baseline_total=_rows(found.baseline, "total", names, looks),
        canary_bad=_rows(found.canary, "bad", found.canary.replicas or ("",), looks),
        canary_total=_rows(found.canary, "total", found.canary.replicas or ("",), looks),
        left_out=np.array([reason is not None for reason in found.left_out], dtype=bool),
        ends=record.ends,
        seconds=record.lengths,
        visible=found.visible,
        history=summary,
        earlier_bad=earlier[0],
        earlier_total=earlier[1],
    )


def _rows(series: SideSeries, field: str, names: tuple[str, ...], looks: int) -> FloatArray:
    array = np.full((len(names), looks), np.nan)
    if field in series.fields:
        for row, replica in enumerate(series.replicas):
            array[names.index(replica)] = series.fields[field][row]
    return array


def history_of(found: QuestionRecord, length: float) -> tuple[Noise | None, SideSeries | None]:
    """
    Return what is known of the stable history: a summary, and the looks themselves if they are fewer than 8.

    Parameters
    ----------
    found : QuestionRecord
    length : float
        Seconds of one look of the history.
    """
    known = found.noise
    if known is not None and known.counted >= FEWEST_LOOKS:
        return known, None
    if found.history is None or "total" not in found.history.fields:
        return known, None
    bad, total = found.history.fields["bad"], found.history.fields["total"]
    learned = noise.learn(bad, total, np.full(bad.shape[1], length), found.visible)
    return learned, None if learned.counted >= FEWEST_LOOKS else found.history
