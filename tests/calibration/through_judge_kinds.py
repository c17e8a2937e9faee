"""Simulated releases of every kind but counts as the judge reads them: a policy of its questions, and a record."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.compare.gauge_arms import GaugeArms
from analysis.compare.gauges import GaugeData
from analysis.compare.latency import history_of
from analysis.compare.latency_summary import summary
from analysis.grid import Floats
from analysis.latencies import NOISE_NOTE
from analysis.policy import Gauge, Latency, Looks, Policy, Question
from analysis.record import Grid, QuestionRecord, Record, SideSeries
from analysis.types import Direction
from tests.calibration.latencies import Drawn

START = 1_700_000_000.0
LEVEL = Gauge(name="level", query="level{$side}", required=True)
DURATIONS = Latency(name="durations", histogram="durations{$side}")


def policy_of(*questions: Question) -> Policy:
    """Return a policy of these questions, all else as by default; simulated replicas are never young."""
    return Policy(name="simulated", questions=questions, looks=Looks(warm_up=0.0))


def _side(fields: dict[str, Floats]) -> SideSeries:
    replicas = len(next(iter(fields.values())))
    return SideSeries(replicas=tuple(f"r-{i:02}" for i in range(replicas)), fields=fields)


def _record(questions: dict[str, QuestionRecord], looks: int, seconds: float) -> Record:
    return Record(
        grid=Grid(start=START, length=seconds, lengthening=False),
        ends=START + seconds * np.arange(1, looks + 1, dtype=np.float64),
        questions=questions,
        weights=np.full(looks, np.nan),
    )


def _question(
    canary: dict[str, Floats], baseline: dict[str, Floats], history: dict[str, Floats] | None, **more: Any
) -> QuestionRecord:
    looks = next(iter(canary.values())).shape[1]
    before = None if history is None or not next(iter(history.values())).shape[1] else _side(history)
    return QuestionRecord(
        baseline=_side(baseline), canary=_side(canary), left_out=(None,) * looks, history=before, **more
    )


def gauge_record(arms: GaugeArms, row: int, seconds: float) -> Record:
    """Return one release of a batch of gauges."""
    parts = [{"values": side[row]} for side in (arms.canary, arms.baseline, arms.history)]
    return _record({LEVEL.name: _question(*parts)}, arms.canary.shape[2], seconds)


def latency_record(drawn: Drawn, row: int) -> Record:
    """Return one release of a batch of histograms; a long history is kept as its summary."""
    service = drawn.service
    edges, before = np.array(service.edges), np.full(service.history, service.seconds)
    noise, short = history_of(drawn.earlier[row], edges, before, True) if service.history else (None, None)
    notes = {} if noise is None else {NOISE_NOTE: summary(noise)}
    sides = {"counts": drawn.canary[row]}, {"counts": drawn.baseline[row]}
    history = None if short is None else {"counts": drawn.earlier[row]}
    found = _question(*sides, history, edges=service.edges, notes=notes)
    return _record({DURATIONS.name: found}, service.looks, service.seconds)


def percentile_record(drawn: dict[str, GaugeData], seconds: float) -> Record:
    """Return one release whose percentiles are published."""
    canary = {name: data.canary for name, data in drawn.items()}
    baseline = {name: data.baseline for name, data in drawn.items()}
    history = {name: data.history for name, data in drawn.items() if data.history is not None}
    looks = next(iter(canary.values())).shape[1]
    return _record({DURATIONS.name: _question(canary, baseline, history or None)}, looks, seconds)


def line_policy(names: list[str], sign: int) -> Policy:
    """Return a policy that asks for lines of one side each, of known direction or not."""
    direction = Direction.INCREASE if sign else Direction.BOTH
    return policy_of(*(Gauge(name=n, query=f"{n}{{$side}}", required=False, direction=direction) for n in names))


def line_record(names: list[str], canary: Floats, stable: Floats, seconds: float) -> Record:
    """Return one release of lines beside each other, (M, n) each: one number a side, replicas hidden."""
    questions = {
        name: QuestionRecord(
            baseline=SideSeries(replicas=("",), fields={"values": stable[i : i + 1]}),
            canary=SideSeries(replicas=("",), fields={"values": canary[i : i + 1]}),
            left_out=(None,) * canary.shape[1],
            visible=False,
        )
        for i, name in enumerate(names)
    }
    return _record(questions, canary.shape[1], seconds)
