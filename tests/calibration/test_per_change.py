"""
Cells of the long calibration in every run of the tests, 300 releases each; whole rollouts, 120.

A share of false alarms fails only if it could come from the promised level once in a thousand times.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.calibration.measures import allowed, oracle, run
from tests.calibration.rollouts import play
from tests.calibration.services import Service
from webhook.simulation.world import World

RELEASES = 300
SEED = 20_261_124


@pytest.mark.parametrize(
    "service",
    [
        pytest.param(Service(), id="200 rps, pods alike"),
        pytest.param(Service(rps=20_000.0, sd=0.2), id="20,000 rps, pods differ by 0.2"),
        pytest.param(Service(clump=4.0), id="clumps of 4"),
    ],
)
def test_good_releases_are_left_alone(service: Service):
    """Not worse: E_warn reaches 20, 100 and 1,000 at most in 5 %, 1 % and 0.1 % of releases, over 240 looks."""
    runs = run(service, RELEASES, SEED)
    for alpha in (0.05, 0.01, 0.001):
        count = int((runs.warn.max(axis=1) >= -np.log(alpha)).sum())
        assert allowed(count, RELEASES, alpha), f"{count} of {RELEASES} at {alpha}"
    assert allowed(int(np.isfinite(runs.aborted).sum()), RELEASES, 0.001)


def test_a_canary_at_the_margin_is_not_promoted():
    """Exactly at 1.5 p + 0.1 pp: proved no worse in at most 5 %, a step taken in at most 20 %."""
    runs = run(Service(ratio=(1.5,), extra=0.001), RELEASES, SEED, promote=True)
    highest = runs.promote.max(axis=1)
    assert allowed(int((highest >= np.log(20)).sum()), RELEASES, 0.05)
    assert allowed(int((highest >= np.log(5)).sum()), RELEASES, 0.2)


def test_twice_the_errors_are_found():
    """RR 2 with 4 h of history: frozen within 1.7 times the requests of a test that knows both rates."""
    service = Service(ratio=(2.0,), seconds=10.0, history=1440)
    runs = run(service, RELEASES, SEED)
    found = float(np.median(runs.first(runs.warn, 0.01)))
    best = float(np.median(oracle(runs, service, 0.01)))
    assert found <= 1.7 * best, f"{found} against {best}"


@pytest.mark.parametrize(
    ("effect", "outcome", "minutes"),
    [
        pytest.param(1.0, "promoted", 14.0, id="healthy"),
        pytest.param(3.0, "aborted", 6.0, id="three times the errors"),
    ],
)
def test_whole_rollouts_end_as_they_should(effect: float, outcome: str, minutes: float):
    """200 rps, 1 %, pods that differ by 0.1: all healthy ones are promoted, all of RR 3 aborted, within the hour."""
    ended = play(World(rps=200.0, duration=3600.0), effect, 120, SEED)
    wrong = {"promoted", "aborted"} - {outcome}
    assert allowed(sum(e.outcome != outcome for e in ended), 120, 0.005)
    assert allowed(sum(e.outcome in wrong for e in ended), 120, 0.001)
    assert float(np.median([e.seconds for e in ended])) <= 60 * minutes
