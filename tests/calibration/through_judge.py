"""Simulated releases as the judge reads them: a policy of one question, and the record of an attempt."""

from __future__ import annotations

import numpy as np

from analysis.grid import Floats
from analysis.policy import Policy, Proportion, Tolerance
from analysis.record import Grid, QuestionRecord, Record, SideSeries
from tests.calibration.measures import RATIO, SLACK
from tests.calibration.services import Drawn

NAME = "error-rate"
POLICY = Policy(
    name="simulated",
    questions=(
        Proportion(
            name=NAME, bad=("bad{$side}",), total="total{$side}", tolerance=Tolerance(ratio=RATIO, absolute=SLACK)
        ),
    ),
)


def _side(bad: Floats, total: Floats, visible: bool) -> SideSeries:
    names = tuple(f"r-{i:02}" for i in range(len(bad))) if visible else ("",)
    return SideSeries(replicas=names, fields={"bad": bad, "total": total})


def record_of(drawn: Drawn, row: int) -> Record:
    """Return the record of one release; history is summed up, or kept look by look where that is too little."""
    service = drawn.service
    data = drawn.release(row)
    short = data.history is not None and data.history.source == "prior"
    question = QuestionRecord(
        baseline=_side(drawn.baseline_bad[row], drawn.baseline_total[row], service.visible),
        canary=_side(drawn.canary_bad[row], drawn.canary_total[row], service.visible),
        left_out=(None,) * service.looks,
        visible=service.visible,
        noise=None if short else data.history,
        history=_side(drawn.earlier_bad[row], drawn.earlier_total[row], service.visible) if short else None,
    )
    return Record(
        grid=Grid(start=float(drawn.ends[0]) - service.seconds, length=service.seconds, lengthening=False),
        ends=drawn.ends,
        questions={NAME: question},
        weights=np.full(service.looks, np.nan),
    )
