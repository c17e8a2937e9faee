"""Records of invented releases: steady numbers on both sides, or any arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.judge import judge
from analysis.policy import Limit, Limits, Policy, Proportion
from analysis.questions import Group
from analysis.record import Grid, LeftOut, QuestionRecord, Record, SideSeries
from analysis.report import Report
from analysis.types import Pairing, Weight

START = 1_700_000_000.0
LOOK = 10.0


def side(replicas: Mapping[str, Mapping[str, Any]]) -> SideSeries:
    """Return one side from ``{replica: {field: array}}``; replicas are sorted by name, as everywhere."""
    names = tuple(sorted(replicas))
    fields = sorted({field for arrays in replicas.values() for field in arrays})
    return SideSeries(
        replicas=names,
        fields={field: np.array([replicas[name][field] for name in names], dtype=float) for field in fields},
    )


def question(baseline: Mapping[str, Any], canary: Mapping[str, Any], **more: Any) -> QuestionRecord:
    """Return the looks of one question; ``left_out`` maps the number of a look to (code, text)."""
    sides = side(baseline), side(canary)
    looks = next(array.shape[1] for one in sides for array in one.fields.values())
    reasons = more.pop("left_out", {})
    left_out = tuple(LeftOut(code=reasons[n][0], text=reasons[n][1]) if n in reasons else None for n in range(looks))
    return QuestionRecord(baseline=sides[0], canary=sides[1], left_out=left_out, **more)


def record(questions: Mapping[str, QuestionRecord], length: float = LOOK, start: float = START, **more: Any) -> Record:
    """Return a record on a grid of equal looks."""
    looks = max(len(found.left_out) for found in questions.values())
    return Record(
        grid=Grid(start=start, length=length, lengthening=False),
        ends=start + length * np.arange(1, looks + 1, dtype=np.float64),
        questions=dict(questions),
        weights=more.pop("weights", np.full(looks, np.nan)),
        pairing=more.pop("pairing", Pairing.CONCURRENT),
        **more,
    )


def pods(number: int, bad: Any, total: Any, looks: int, prefix: str) -> dict[str, dict[str, Any]]:
    """Return ``number`` replicas alike: bad and total per look, one number or one a look."""
    return {
        f"{prefix}-{n}": {"bad": np.broadcast_to(bad, looks) + 0.0, "total": np.broadcast_to(total, looks) + 0.0}
        for n in range(number)
    }


def counted(
    looks: int, bad: Any = 1.0, total: Any = 100.0, *, stable: tuple[Any, Any] = (2.5, 250.0), **more: Any
) -> QuestionRecord:
    """Return four stable pods that fail 1 % of 250 requests a look, and one canary pod."""
    return question(pods(4, *stable, looks, "s"), pods(1, bad, total, looks, "c"), **more)


def errors(looks: int, bad: Any = 1.0, total: Any = 100.0, **more: Any) -> Record:
    """Return the record of one question, ``error-rate``."""
    return record({"error-rate": counted(looks, bad, total, **more)})


def policy(*questions: Any, **more: Any) -> Policy:
    """Return a policy without a least age of steps; by default it asks for the error rate."""
    return Policy(name="x", questions=questions or (ERROR_RATE,), **{"min_step": 0.0, **more})


def proportion(name: str = "error-rate", **more: Any) -> Proportion:
    return Proportion(name=name, **{"weight": Weight.CRITICAL, **more})


def limits(*members: Limit | Group, any_of: bool = True, **more: Any) -> Limits:
    """Return the question ``classic``: these limits, any of which may break."""
    return Limits(name="classic", group=Group(any_of=any_of, members=members), **more)


ERROR_RATE = Proportion(name="error-rate", weight=Weight.CRITICAL)

SECOND = Proportion(name="timeouts")
SILENT = counted(180, np.nan, np.nan)
"""A canary of which nothing is known."""


def two(first: QuestionRecord, second: QuestionRecord) -> Record:
    """Return the record of two questions, ``error-rate`` and ``timeouts``."""
    return record({"error-rate": first, "timeouts": second})


def judged(asked: Policy, found: Record, **more: Any) -> Report:
    """Return the verdict on a whole record, at its end."""
    return judge(asked, found, float(found.ends[-1]), **more)


def values(replicas: Sequence[str], **arrays: Any) -> dict[str, dict[str, Any]]:
    """Return replicas that all published the same arrays."""
    return {name: {field: list(array) for field, array in arrays.items()} for name in replicas}
