"""Before and after: what earlier days teach, and what they cannot prove."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.drift import (
    before_window,
    counting_variance,
    learn,
    log_rate_ratio,
    provable_ratio,
    weigh,
)
from analysis.errors import InvalidInput
from analysis.grid import Floats

NONE = np.zeros((1, 0))
SURE = np.zeros(1)


def one(value: float) -> Floats:
    return np.array([value])


@pytest.mark.parametrize(
    ("judged", "seconds"),
    [
        pytest.param(600.0, 3600.0, id="an hour at least"),
        pytest.param(7200.0, 7200.0, id="the judged length"),
        pytest.param(86400.0, 4 * 3600.0, id="four hours at most"),
    ],
)
def test_the_window_before(judged: float, seconds: float):
    """As long as what is judged, between one and four hours."""
    assert before_window(judged) == seconds


def test_without_days_the_prior_is_all_there_is():
    """No shift, 20 % (levels: 10 %) of drift and the counting noise, four degrees of freedom."""
    rates, levels = learn(NONE, one(0.01)), learn(NONE, one(0.0), "level")
    assert (rates.shift[0], rates.dof[0], rates.days[0]) == (0.0, 4.0, 0.0)
    assert rates.variance[0] == pytest.approx(0.2**2 + 0.01)
    assert levels.variance[0] == pytest.approx(0.1**2)


def test_the_formula_by_hand():
    """Three days at 0.1, 0.2 and 0.6: V, shift, a and nu as written."""
    found = learn(np.array([[0.1, 0.2, np.nan, 0.6]]), one(0.02))
    pooled = (4 * (0.04 + 0.02) + (0.04 + 0.01 + 0.09)) / 6
    assert found.days[0] == 3
    assert found.dof[0] == 6
    assert found.shift[0] == pytest.approx(3 / 5 * 0.3)
    assert found.variance[0] == pytest.approx(pooled * 4 / 3)


def test_a_rise_that_every_day_shows_is_no_fault():
    """The same factor of two on each of ten earlier days takes the evidence away; without them it is worse."""
    doubled = log_rate_ratio(one(6000), 3600.0, one(3000), 3600.0)
    counting = counting_variance(one(6000), one(3000))
    usual = weigh(doubled, learn(np.full((1, 10), np.log(2)), counting), 1.5)
    unusual = weigh(doubled, learn(np.zeros((1, 10)), counting), 1.5)
    assert usual.warn[0] < np.log(3) < np.log(100) < unusual.warn[0]
    assert usual.promote[0] > 1 > 0 > unusual.promote[0]


def test_directions_mirror():
    """A fall that does harm is what a rise of the same size is to a rise that does."""
    known = learn(np.zeros((1, 7)), one(0.01))
    falls, rises = weigh(one(-0.9), known, 1.5, sign=-1), weigh(one(0.9), known, 1.5)
    for name in ("warn", "tolerated", "promote", "better"):
        np.testing.assert_allclose(getattr(falls, name), getattr(rises, name))


def test_another_hour_is_not_another_day():
    """With endless events the evidence stays what the drift allows: it saturates."""
    moves = 0.1 * np.random.default_rng(1).standard_normal((1, 7))
    some, many = (weigh(one(0.7), learn(moves, one(1 / n)), 1.5).warn[0] for n in (1e3, 1e9))
    assert many - some < 0.5


def test_what_can_be_proved_at_all():
    """More days prove smaller ratios, the ratio named is where evidence reaches its goal, and none may be enough."""
    ratios = [provable_ratio(learn(np.zeros((1, k)) + 0.02 * np.arange(k), SURE), 0.01)[0] for k in (3, 7, 14)]
    assert 1 < ratios[2] < ratios[1] < ratios[0] < 5
    known = learn(0.02 * np.arange(7.0)[None], SURE)
    at = weigh(one(float(np.log(provable_ratio(known, 0.01)[0]) + known.shift[0])), known, 1.5)
    assert at.warn[0] == pytest.approx(np.log(100), abs=1e-6)
    assert np.isinf(provable_ratio(learn(NONE, SURE), 1e-9)[0])


def test_releases_of_a_batch_do_not_touch_each_other():
    """Days that are missing for one release do not change another."""
    moves = np.random.default_rng(2).standard_normal((4, 7))
    moves[1, 2:] = np.nan
    moves[2] = np.nan
    together = learn(moves, np.full(4, 0.01))
    for row in range(4):
        alone = learn(moves[row : row + 1], one(0.01))
        for name in ("shift", "variance", "dof", "days"):
            assert getattr(together, name)[row] == getattr(alone, name)[0]


def test_impossible_questions_are_refused():
    """A tolerance below 1 and a window of negative length raise."""
    with pytest.raises(InvalidInput):
        weigh(one(0.0), learn(NONE, SURE), 0.9)
    with pytest.raises(InvalidInput):
        before_window(-1.0)
