"""Why a question cannot be judged on a record now, whatever its kind: no data, stale, incomparable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis import words
from analysis.policy import Question
from analysis.record import INCOMPARABLE, QuestionRecord, Record, SideSeries, total
from analysis.types import BoolArray, FloatArray, Side, State

SUMS: Final = ("total", "counts", "exposure", "denominator")
"""Fields of which a sum shows whether anything was heard; of all others, whether there is a value."""
STALE_LOOKS: Final = 5
STALE_AFTER: Final = 300.0
"""A canary that was silent for this many seconds, and looks, is stale: old proof does not speak for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Why a question cannot be judged now: its state, one line for people, and flags."""

    state: State
    reason: str


def silence(
    question: Question, record: Record, counted: Sequence[str], what: str = "requests", *, alone: bool = False
) -> Silence | None:
    """
    Return why a question cannot be judged on this record, or None if it can.

    Parameters
    ----------
    question : Question
    record : Record
    counted : sequence of str
        Fields any of which shows that something was heard: ``total``, ``counts``, ``values`` ...
    what : str
        What is missing, for people.
    alone : bool, default False
        Whether the canary is judged against an earlier time, so that a silent baseline matters nothing.

    Returns
    -------
    Silence or None
        ``incomparable`` if the newest look was left out because the sides cannot be told apart; ``no_data`` if a side
        never had anything; ``stale`` if the canary has been silent for 5 looks and 5 minutes.
    """
    label = question.name.replace("-", " ")
    found = record.questions.get(question.name)
    if found is None or not len(record.ends):
        return Silence(state=State.NO_DATA, reason=f"{label}: no look is closed yet")
    newest = found.left_out[-1]
    if newest is not None and newest.code in INCOMPARABLE:
        return Silence(state=State.INCOMPARABLE, reason=newest.text)
    if _talking(found, counted, alone=alone):
        return None
    canary, baseline = (heard(found, side, counted, alone=alone) for side in (Side.CANARY, Side.BASELINE))
    if not canary.any() or not (baseline.any() or alone):
        if newest is not None:
            return Silence(state=State.NO_DATA, reason=newest.text)
        missing = "canary" if not canary.any() else "baseline"
        return Silence(state=State.NO_DATA, reason=f"{label}: no {missing} {what} in {len(canary)} looks")
    quiet = stale_for(record, canary > 0)
    if quiet is not None:
        single = what.removesuffix("s")
        return Silence(state=State.STALE, reason=f"{label}: no canary {single} for {words.duration(quiet)}")
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


def _talking(found: QuestionRecord, counted: Sequence[str], *, alone: bool) -> bool:
    """Return whether the newest looks alone show that nobody is silent: then no older one needs to be read."""
    if found.left_out[-1] is None and _told(found.canary, counted) and (alone or _told(found.baseline, counted)):
        return True
    newest = slice(-STALE_LOOKS, None)
    canary, baseline = (heard(found, side, counted, newest, alone=alone) for side in (Side.CANARY, Side.BASELINE))
    return bool((canary > 0).any() and (alone or baseline.any()))


def _told(series: SideSeries, counted: Sequence[str]) -> bool:
    """Return whether a side told anything in the newest look."""
    newest = ((name, series.fields[name][:, -1]) for name in counted if name in series.fields)
    return any(bool((values > 0 if name in SUMS else np.isfinite(values)).any()) for name, values in newest)


def heard(
    found: QuestionRecord, side: Side, counted: Sequence[str], looks: slice = slice(None), *, alone: bool = False
) -> FloatArray:
    """
    Return how much one side told per look, shape ``(K,)``: requests, or values for a level.

    0 where the look was left out (with ``alone`` only where the sides cannot be told apart) or nothing was counted.
    """
    series = found.side(side)
    reasons = found.left_out[looks]
    told = np.zeros(len(reasons))
    for name in counted:
        if name not in series.fields or not series.replicas:
            continue
        values = series.fields[name][:, looks]
        if name in SUMS:
            whole = total(values)
            told = told + (whole if whole.ndim == 1 else whole.sum(axis=-1))
        else:
            told = told + np.isfinite(values).sum(axis=0)
    for look, why in enumerate(reasons):
        if why is not None and not (alone and why.code not in INCOMPARABLE):
            told[look] = 0.0
    return told
