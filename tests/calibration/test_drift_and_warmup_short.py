"""Before/after and warm-up in every run of the tests, short: rows of their long tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.calibration.drift_kinds import DRIFT_KIND_CELLS, Lives, Typical
from tests.calibration.drifts import DRIFT_CELLS, DriftCell
from tests.calibration.warmups import WARMUP_CELLS

SEED = {"short": 20_261_124}
CHOSEN = {
    "0 earlier days, 50 errors a minute, worst swing and wobble": 250,
    "7 earlier days, 50 errors a minute, worst swing and wobble": 250,
    "14 earlier days, 50 errors a minute, ratio 2": 250,
    "7 earlier days, 2 events a minute of ten pods, worst swing and wobble": 250,
    "0 earlier days, 0.05 events a minute of ten pods, worst swing and wobble": 250,
    "7 earlier days, schema 0, worst swing and wobble": 250,
    "0 earlier days, schema 3, worst swing and wobble": 250,
    "+100%, 5 min, learned from births": 100,
    "+60%, 5 min, 10 min dropped": 100,
}
EVERY: tuple[Any, ...] = (*DRIFT_CELLS, *DRIFT_KIND_CELLS, *WARMUP_CELLS)
CELLS = {cell.name: cell for cell in EVERY}


@pytest.mark.parametrize("name", CHOSEN)
def test_a_cell_of_the_long_table(name: str):
    """Good releases stay below their ceilings, faults are found as often as measured."""
    rows = replace(CELLS[name], releases=CHOSEN[name]).measure(SEED, lambda _: None)
    assert rows
    assert [row for row in rows if not row.passed] == []


def test_without_a_warm_up_the_young_would_be_aborted():
    """The excess of young pods is a fault to a judge that drops nothing: the other cells could fail."""
    [cell] = [c for c in WARMUP_CELLS if c.name == "+100%, 5 min, 10 min dropped"]
    rows = replace(cell, minutes=0.0, releases=100).measure(SEED, lambda _: None)
    assert not rows[0].passed


@pytest.mark.parametrize(
    "kind",
    [pytest.param(Lives(days=7, ratio=6.0), id="events over time"), pytest.param(Typical(ratio=4.0), id="histogram")],
)
def test_what_is_worse_is_no_false_alarm(kind: Any):
    """The same cells with a fault in them do not stay below their ceilings: they could fail."""
    cell = DriftCell(table="D3", name="worse", kinds=(kind,), levels={"false": 0.003}, releases=100)
    assert not cell.measure(SEED, lambda _: None)[0].passed
