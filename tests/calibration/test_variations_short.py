"""The table of repeated looks in every run of the tests, short; and one engine for calibration and judgement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.compare.lines import Line
from analysis.compare.variation import weigh
from analysis.types import State
from tests.calibration.oddities import ODD_CELLS, OddCell
from tests.calibration.variations import METRICS, STEP, VARIATION_CELLS, Series, ask, draw

SEED = {"short": 20_261_124}
CHOSEN = (
    "beside, sd 20%, 5 min, pods 5%, directed",
    "beside, sd 40%, 5 min, pods 5%, undirected",
    "beside, sd 40%, 5 min, pods 5%, learned",
    "before/after, sd 20%, 15 min, pods 5%",
)


@pytest.mark.parametrize("name", CHOSEN)
def test_a_cell_of_the_long_table(name: str):
    """Equal releases that are asked every two minutes for two hours abort at most as often as measured."""
    [cell] = [c for c in VARIATION_CELLS if c.name == name]
    rows = replace(cell, releases=100).measure(SEED, lambda _: None)
    assert rows
    assert [row for row in rows if not row.passed] == []


@pytest.mark.parametrize("cell", [pytest.param(cell, id=cell.name) for cell in ODD_CELLS])
def test_spikes_and_many_metrics(cell: OddCell):
    """Single spikes and one odd metric of many abort no equal release; what is worse throughout is found."""
    rows = replace(cell, releases=40).measure(SEED, lambda _: None)
    assert rows
    assert [row for row in rows if not row.passed] == []


@pytest.mark.parametrize(
    "series",
    [
        pytest.param(Series(sd=0.4, minutes=5.0, pod_sd=0.1), id="beside, directed"),
        pytest.param(Series(sd=0.4, minutes=5.0, sign=0), id="beside, undirected"),
        pytest.param(Series(sd=0.3, minutes=5.0, pod_sd=0.6, beside=False), id="before and after"),
    ],
)
def test_a_batch_gives_what_one_release_gives(series: Series):
    """What calibration asks of many releases at every prefix is what is judged one by one."""
    releases = 4
    asked = ask(series, releases, seed=16)
    canary, stable, history = draw(series, releases, np.random.default_rng([16, 0]))
    for row in range(releases):
        lines = [
            Line(
                name=str(i),
                sign=series.sign,
                canary=canary[row, i],
                stable=stable[row, i],
                history=history[row, i],
            )
            for i in range(METRICS)
        ]
        for samples in (4, 17, 40, 63, 88, 120):
            then = [line.first(samples, series.beside) for line in lines]
            alone = weigh(then, beside=series.beside, step_seconds=STEP).state
            assert (alone is State.WORSE) == asked.stands[row, samples - 3]
            assert (alone in (State.DEGRADED, State.UNDECIDED)) == asked.hold[row, samples - 3]


def test_standing_is_what_keeps_the_promise():
    """Some equal releases would abort at a look judged for itself; standing takes most of them away."""
    asked = ask(Series(sd=0.4, minutes=5.0), 100, seed=3)
    alone = asked.abort[:, asked.looks].any(axis=1).sum()
    stood = asked.stands[:, asked.looks].any(axis=1).sum()
    assert alone >= 5
    assert stood <= alone / 3
