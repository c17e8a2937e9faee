"""What could slip through: the smallest fault that is caught in time, what the next step costs, the least weight."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis import costs
from analysis.catching import caught_within
from analysis.compare import counts
from analysis.forecast import enough, outlook_of, promote_goals
from analysis.judge import judge
from analysis.policy import Proportion
from analysis.proportions import asked, counts_data
from analysis.types import Direction, Verdict, Weight
from tests.analysis.record_examples import ERROR_RATE, LOOK, errors, policy

RATE = 110.0  # canary 10 and four stable pods 25 requests a second each


def weighed(found=None, **more):
    seen = errors(60) if found is None else found
    return counts.weigh(counts_data(ERROR_RATE, seen), asked(ERROR_RATE, policy()), **more)


def test_what_is_said_to_be_caught_within_ten_minutes_is_caught():
    """Played on: errors of that ratio from now on abort within ten minutes, a third of the excess does not."""
    found = weighed()
    ratio = caught_within(found, 100 / 1100, RATE, 1.0)
    assert 1.6 < ratio < 4
    for factor, aborts in ((1.0, True), (1 + (ratio - 1) / 3, False)):
        after = int(600 / LOOK)
        bad = np.r_[np.full(60, 1.0), np.full(after, ratio if aborts else factor)]
        seen = errors(60 + after, bad)
        verdict = judge(policy(), seen, float(seen.ends[-1])).verdict
        assert (verdict is Verdict.ABORT) is aborts


def test_more_traffic_catches_smaller_faults_and_no_traffic_none():
    """Ten times the requests find less than a third of the excess; one request a minute finds nothing at all."""
    found = weighed()
    here, busy = (caught_within(found, 1 / 11, rate, 1.0) for rate in (RATE, 10 * RATE))
    assert busy < here
    assert caught_within(found, 1 / 11, 0.01, 1.0) is None


@pytest.mark.parametrize(
    ("weight", "omega"), [pytest.param(0.1, 0.0, id="no vote"), pytest.param(1.0, 1.0, id="nothing beside it")]
)
def test_who_cannot_abort_catches_nothing(weight, omega):
    """A question without a share of the abort evidence, and a canary that is alone."""
    assert caught_within(weighed(), weight, RATE, omega) is None


def test_where_a_fall_harms_it_is_a_fall_that_is_caught():
    """Conversions that fall to such a share of stable's."""
    conversions = Proportion(name="error-rate", weight=Weight.CRITICAL, direction=Direction.DECREASE)
    found = counts.weigh(counts_data(conversions, errors(60, 30.0, stable=(75.0, 250.0))), asked(conversions, policy()))
    assert 0 < caught_within(found, 1 / 11, RATE, 1.0) < 1


def test_the_cost_of_a_step_is_that_of_the_requests_it_moves():
    """Twice the next weight costs twice as much while the same ratio is credible; an hour at full weight more still."""
    found = weighed(next_weight=0.2)
    more = counts.with_next_weight(found, 0.4)
    assert costs.step_cost(more, RATE) == pytest.approx(2 * costs.step_cost(found, RATE))
    assert costs.worst_cost(found, RATE) > costs.step_cost(more, RATE) > 0


def test_a_cost_is_unknown_before_any_traffic():
    """Nothing that was not computed is said."""
    assert costs.step_cost(weighed(errors(3)), RATE) is None
    assert costs.credible_ratio(weighed(errors(1, np.nan, np.nan))) is None


def test_the_least_weight_that_decides_in_time_is_cheap_and_in_time():
    """It is the smallest of those tried; an hour asks for more of the traffic than a day, and no time for none."""
    found = weighed(errors(12, 0.1, 10.0))
    outlook, goals = outlook_of(found, 101.0), promote_goals(found, final=True)
    day, hour = (enough(outlook, goals, 0.01, seconds, 1.5, 20.0) for seconds in (86_400.0, 3600.0))
    assert day is not None
    assert day.seconds <= 86_400
    assert hour is None or hour.weight >= day.weight
    assert enough(outlook, goals, 0.01, 0.0, 1.5, 20.0) is None
    assert enough(outlook, goals, 0.01, math.inf, 1.5, 20.0) is None


def test_a_weight_that_costs_more_than_the_budget_is_not_enough():
    """In time is not all: what waiting there may cost has to be within the budget."""
    found = weighed(errors(12, 0.1, 10.0))
    outlook, goals = outlook_of(found, 101.0), promote_goals(found, final=True)
    assert enough(outlook, goals, 0.01, 86_400.0, 50.0, 1e-6) is None
