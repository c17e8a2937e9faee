"""Delays in every run of the tests, short: late faults, promotions, twenty questions, forecasts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.calibration.cells import SEEDS
from tests.calibration.delays import DELAY_CELLS, ForecastCell, ManyCell
from tests.calibration.services import Service

CELLS: dict[str, Any] = {cell.name: cell for cell in DELAY_CELLS}
CHOSEN = {"RR 2 after 60 looks": 150, "RR 2 with a weight step": 150, "base 1 %, sd 0.1, 1 v 19": 150}


@pytest.mark.parametrize("name", CHOSEN)
def test_a_cell_of_the_long_table(name: str):
    """Faults that begin late are found, and healthy releases proved, as soon as measured."""
    rows = replace(CELLS[name], releases=CHOSEN[name]).measure(SEEDS, lambda _: None)
    assert rows
    assert [row for row in rows if not row.passed] == []


def test_twenty_questions_cost_little():
    """None of the healthy releases is aborted; one bad question among twenty aborts nearly as soon as alone."""
    [cell] = [c for c in DELAY_CELLS if isinstance(c, ManyCell)]
    rows = replace(cell, service=Service(looks=40), releases=60).measure(SEEDS, lambda _: None)
    assert [row for row in rows if not row.passed] == []
    assert rows[1].reached >= 1.0


@pytest.mark.parametrize(("proof", "ratio"), [("freeze", 2.0), ("abort", 3.0), ("promote", 1.0)])
def test_forecasts_come_true(proof: str, ratio: float):
    """At one ratio each, at 1 % and a weight of 5 %: medians within a quarter, 80 % quantiles within 35 %."""
    cell = ForecastCell(
        table="T12", name="short", proof=proof, ratios=(ratio,), weights=(0.05,), bases=(0.01,), releases=60
    )
    assert [row for row in cell.measure(SEEDS, lambda _: None) if not row.passed] == []
