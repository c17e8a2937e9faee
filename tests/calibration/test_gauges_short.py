"""
The gauges' tables in every run of the tests, short: false alarms, power, promotions; and one engine for all.

A share of false alarms fails only if it could come from the promised level once in a thousand times.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.compare.gauge_curves import curves
from analysis.compare.gauges import GaugeData, weigh
from analysis.compare.paired import pair
from tests.calibration.gauges import GAUGE_CELLS, QUESTION, Fleet, draw
from tests.calibration.measures import allowed

SHORT = 240
SEED = {"short": 20_261_124}
CHOSEN = (
    "4 h of history, 1 v 3, pods 10%, worst noise",
    "no history, 1 v 2, pods 5%, worst noise",
    "pods come and go, history",
    "mean zero, no history",
    "history 1 v 3, phi 0.8, +40%",
    "no history 1 v 1, phi 0.8, +100%",
    "history 1 v 3, equal",
    "history 1 v 3, exactly +25 %",
)


@pytest.mark.parametrize("name", CHOSEN)
def test_a_cell_of_the_long_table(name: str):
    """False alarms stay below their ceilings, faults are found and equal canaries promoted as often as measured."""
    [cell] = [c for c in GAUGE_CELLS if c.name == name]
    rows = replace(cell, releases=SHORT).measure(SEED, lambda _: None)
    assert rows
    assert [row for row in rows if not row.passed] == []


@pytest.mark.parametrize(
    "fleet",
    [
        pytest.param(Fleet(looks=50, history=120), id="history"),
        pytest.param(Fleet(looks=50, history=0, stable_pods=3), id="no history"),
        pytest.param(Fleet(looks=50, history=0, stable_pods=1), id="one stable pod"),
        pytest.param(Fleet(looks=50, history=120, gaps=0.3, coming=True), id="gaps, pods come and go"),
        pytest.param(Fleet(looks=50, history=0, gaps=0.3, offset=-1.0), id="around zero, gaps"),
        pytest.param(Fleet(looks=50, history=80, replaced=True, phi=0.95), id="canary replaced, slow noise"),
    ],
)
def test_a_batch_gives_what_one_release_gives(fleet: Fleet):
    """What calibration runs over many releases at once is what is judged one by one, to 1e-9."""
    arms = draw(fleet, 6, np.random.default_rng(16))
    batch = curves(pair(arms), QUESTION)
    for row in range(6):
        data = GaugeData(
            baseline=arms.baseline[row],
            canary=arms.canary[row],
            history=arms.history[row],
            ends=np.asarray(fleet.seconds * arms.upto, dtype=np.float64),
        )
        alone = weigh(data, QUESTION)
        for name in ("warn", "tolerated", "promote", "better"):
            np.testing.assert_allclose(getattr(batch, name)[row], getattr(alone, name), atol=1e-9)


def test_a_false_level_would_be_noticed():
    """The bound that the cells use refuses three times the promised level."""
    assert allowed(9, 900, 0.01)
    assert not allowed(27, 900, 0.01)
