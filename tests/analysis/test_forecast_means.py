"""How long a mean will take to be proved: what the evidence says at that age, and what never comes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.forecast_means import FARTHEST, NOT_AS_IT_IS, ONLY_PODS, Mean, waits_for
from analysis.student import log_mixture

GOAL = math.log(20)
MEAN = Mean(noise=0.004, pods=0.0002, dof=40.0, seconds=600.0)


def halved(mean, excess, goal):
    """Return the age, in present ones, at which a goal is reached: one halving after the other."""
    low, high = 1.0, FARTHEST
    for _ in range(40):
        middle = math.sqrt(low * high)
        reached = float(log_mixture(excess, mean.noise / middle + mean.pods, mean.dof)) >= goal
        low, high = (low, middle) if reached else (middle, high)
    return high


def test_several_waits_are_those_of_one_after_the_other():
    """To the last digit, and the luckless one of each is longer."""
    claims = [(0.1, GOAL), (0.12, GOAL), (0.09, math.log(1000))]
    for wait, (excess, goal) in zip(waits_for(MEAN, claims, 5.0), claims, strict=True):
        assert wait.seconds == MEAN.seconds * (halved(MEAN, excess, goal) - 1)
        assert wait.canary_requests == 5.0 * wait.seconds
        assert wait.sure_seconds > wait.seconds > 0


@pytest.mark.parametrize(
    ("excess", "pods", "seconds", "reason"),
    [
        pytest.param(0.5, 0.0002, 0.0, "", id="proved"),
        pytest.param(0.05, 0.01, math.inf, ONLY_PODS, id="pods alone forbid it"),
        pytest.param(-0.1, 0.0002, math.inf, NOT_AS_IT_IS, id="the other side"),
    ],
)
def test_a_wait_that_is_over_and_those_that_never_end(excess, pods, seconds, reason):
    """Nothing is waited for that is there, and what will not come says why."""
    found = waits_for(Mean(noise=0.004, pods=pods, dof=40.0, seconds=600.0), [(excess, GOAL)])[0]
    assert (found.seconds, found.reason) == (seconds, reason)
    assert found.possible is (seconds == 0)


def test_where_no_requests_are_counted_none_are_told():
    """Levels have no requests; a wait of none needs none."""
    open_, over = waits_for(MEAN, [(0.1, GOAL), (0.5, GOAL)])
    assert np.isnan(open_.canary_requests)
    assert over.canary_requests == 0.0
