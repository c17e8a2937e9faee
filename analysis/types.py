"""
Words that several modules share: verdicts, states, stages, weights, windows, effects.

Every enumeration is a ``StrEnum``: its value is the word that callers read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InvalidInput

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Json = Any
"""A value that ``json.dumps(allow_nan=False)`` writes."""


class Verdict(StrEnum):
    """What the controller is told. Only ``judge.py`` makes one."""

    PROMOTE = "promote"
    HOLD = "hold"
    ABORT = "abort"


class State(StrEnum):
    """The answer to one question, as named in a report."""

    WORSE = "worse"
    DEGRADED = "degraded"
    NO_WORSE = "no_worse"
    WITHIN_VARIATION = "within_variation"
    BETTER = "better"
    UNDECIDED = "undecided"
    WITHIN_LIMIT = "within_limit"
    OVER_LIMIT = "over_limit"
    WITHIN_BUDGET = "within_budget"
    OVER_BUDGET = "over_budget"
    BUDGET_UNKNOWN = "budget_unknown"
    NO_DATA = "no_data"
    INCOMPARABLE = "incomparable"
    STALE = "stale"


class Stage(StrEnum):
    """Where in its life a release asks: before traffic, at a step, before 100 %, after it, all along."""

    PRE = "pre"
    STEP = "step"
    FINAL = "final"
    BACKGROUND = "background"
    POST = "post"


class Mode(StrEnum):
    """How much of a verdict reaches the controller (see ``docs/answers.md``)."""

    SHADOW = "shadow"
    ADVISE = "advise"
    ENFORCE = "enforce"


class Direction(StrEnum):
    """Which change does harm; ``both`` where that is not known: then a difference alone is judged more carefully."""

    INCREASE = "increase"
    DECREASE = "decrease"
    BOTH = "both"


class Weight(StrEnum):
    """How much a question counts: critical 1, normal 1/2, info 0 (before normalising)."""

    CRITICAL = "critical"
    NORMAL = "normal"
    INFO = "info"


class May(StrEnum):
    """The strongest thing a question may do."""

    REPORT = "report"
    HOLD = "hold"
    ABORT = "abort"


class NoData(StrEnum):
    """What a question without data does."""

    HOLD = "hold"
    IGNORE = "ignore"
    ABORT = "abort"


class Side(StrEnum):
    """The two versions that are compared."""

    BASELINE = "baseline"
    CANARY = "canary"


class Pairing(StrEnum):
    """Whether both sides served at the same time, or one after the other."""

    CONCURRENT = "concurrent"
    BEFORE_AFTER = "before_after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """
    The span of a verdict.

    Parameters
    ----------
    start, end : float
        Unix seconds; ``end`` is the end of the last closed look, ``start`` that of the grid.
    looks : int
        Closed looks between the two, those left out included.
    """

    start: float
    end: float
    looks: int

    def __post_init__(self) -> None:
        if not self.start <= self.end:
            raise InvalidInput(f"a window must not end before it starts, got {self.start} to {self.end}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """
    How different the canary is, with bounds.

    Parameters
    ----------
    estimate, low, high : float
        In the unit of ``measure``; ``high`` may be infinite where nothing bounds it.
    measure : str
        ``"ratio"`` (canary over baseline) or ``"difference"``.
    level : float
        Confidence that the bounds hold at every look at once, in (0, 1).
    """

    estimate: float
    low: float
    high: float
    measure: str = "ratio"
    level: float = 0.95
