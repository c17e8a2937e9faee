"""Evidence as a person reads it: state, counts, odds, forecast, reason."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from analysis.explaining import affordable, compared
from analysis.types import Effect, Stage, State
from tests.analysis.record_examples import LOOK, START, errors, judged, policy, proportion


def evidence(found, **more):
    return judged(policy(more.pop("asked", proportion())), found, **more).evidence[0]


@pytest.mark.parametrize(
    ("found", "stage", "state", "said"),
    [
        pytest.param(errors(60, 30.0), None, State.WORSE, "statistical test says worse than stable, odds", id="worse"),
        pytest.param(errors(120, 1.6), None, State.DEGRADED, "size still open, frozen", id="degraded"),
        pytest.param(errors(180), None, State.NO_WORSE, "no worse than 1.5x, odds", id="no worse"),
        pytest.param(errors(400, 0.2), None, State.BETTER, "better than stable, odds", id="better"),
        pytest.param(errors(60, 1.2), Stage.FINAL, State.UNDECIDED, "not yet proved within 1.5x", id="final, open"),
        pytest.param(errors(30, 0.1, 3.0), Stage.STEP, State.UNDECIDED, "step not yet proved", id="step, open"),
        pytest.param(errors(60, 1.2), Stage.STEP, State.UNDECIDED, "the step is proved affordable", id="step, proved"),
        pytest.param(errors(8), None, State.UNDECIDED, "nothing weighed yet: the noise of the", id="first looks"),
        pytest.param(errors(9), Stage.FINAL, State.UNDECIDED, "not yet proved", id="after them"),
        pytest.param(
            errors(9, 0.0, stable=(0.0, 250.0)), Stage.FINAL, State.UNDECIDED, "not yet proved", id="without errors"
        ),
    ],
)
def test_each_state_has_its_words(found, stage, state, said):
    """State and reason fit together, and the reason begins with the numbers of both sides."""
    made = evidence(found, stage=stage)
    assert made.state is state
    assert said in made.reason
    assert made.reason.startswith("error rate ")


def test_a_lean_towards_harm_is_told_before_anything_that_is_missing():
    """Evidence of harm that is not enough yet comes first, with the odds that are needed."""
    made = evidence(errors(30, np.r_[np.full(20, 0.0), np.full(10, 0.9)], 10.0), stage=Stage.STEP)
    assert "leans to worse than stable" in made.reason
    assert "of 99 : 1 needed" in made.reason or "of 100 : 1 needed" in made.reason


def test_counts_are_sums_over_replicas_and_looks():
    """Both sides with bad, total, rate and replicas."""
    made = evidence(errors(10))
    assert made.counts["canary"] == {"bad": 10.0, "total": 1000.0, "rate": 0.01, "replicas": 1}
    assert made.counts["baseline"] == {"bad": 100.0, "total": 10_000.0, "rate": 0.01, "replicas": 4}


def test_every_log_e_has_its_goal():
    """What each evidence needs stands beside it: natural logarithms of one over alpha."""
    made = evidence(errors(10))
    assert set(made.log_e) == set(made.goals)
    assert made.goals["abort"] == pytest.approx(math.log(1000))
    assert made.goals["worse"] == pytest.approx(math.log(100))
    assert made.goals["promote"] == pytest.approx(math.log(20))
    assert made.goals["step"] == pytest.approx(math.log(5))


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.6, 3.0])
def test_the_bounds_hold_the_estimate(ratio):
    """The effect lies inside its own bounds, and the true ratio does for steady numbers."""
    effect = evidence(errors(180, ratio)).effect
    assert effect.low <= effect.estimate <= effect.high
    assert effect.low <= ratio <= effect.high


def test_the_odds_speak_for_the_state():
    """Odds name what they are odds of."""
    assert evidence(errors(60, 30.0)).odds.endswith("for 'worse than stable'")
    assert evidence(errors(180)).odds.endswith("for 'no worse than tolerated'")
    assert evidence(errors(60, 1.2), stage=Stage.STEP).odds.endswith("'the step costs no more than its budget'")


def test_the_fault_is_dated():
    """Where harm was found, the report says when it began: within the looks around the true beginning."""
    made = evidence(errors(120, np.r_[np.full(60, 1.0), np.full(60, 10.0)]))
    assert made.state is State.WORSE
    assert abs(made.details["fault_start"] - (START + 60 * LOOK)) <= 5 * LOOK


def test_what_is_open_has_a_forecast_and_an_advice():
    """An open question says how long it takes, and at which weight it would be quicker."""
    made = evidence(errors(60, 0.2, 20.0), stage=Stage.FINAL)
    assert made.forecast["promote"]["seconds"] > 0
    assert made.forecast["at_weight"] == pytest.approx(20 / 1020)
    assert made.forecast["faster"]["seconds"] < made.forecast["promote"]["seconds"]
    assert any("of traffic would decide in" in line for line in made.advice)


def test_a_comparison_shows_both_rates_their_difference_and_bounds():
    """One line: canary against baseline, difference in points, bounds of the ratio."""
    counts = {"canary": {"rate": 0.013}, "baseline": {"rate": 0.01}}
    shown = Effect(estimate=1.3, low=0.98, high=1.7)
    assert compared("error rate", counts, shown) == "error rate 1.3 % vs 1.0 % (+0.3 pp, 0.98x to 1.7x)"
    assert compared("error rate", counts, None) == "error rate 1.3 % vs 1.0 % (+0.3 pp)"
    assert compared("x", {"canary": {"rate": None}, "baseline": {"rate": 0.1}}, None) == "x: too few requests"


def test_a_promotion_says_what_was_proved_for_the_step_that_is_taken():
    """At the last step harmlessness, before it the budget of the step in bad events."""
    made = evidence(errors(180))
    assert re.search(r"no worse than tolerated, odds [\d,]+ : 1$", affordable(made, final=True))
    said = affordable(made, final=False)
    told = re.search(
        r"the step costs at most (\d+) extra bad events in ten minutes \(budget (\d+) beyond the tolerance\), odds",
        said,
    )
    assert [int(number) for number in told.groups()] == [
        round(made.forecast["step_cost"]), round(made.details["step_budget"]),
    ]  # fmt: skip
    assert 0 < made.forecast["step_cost"] < made.details["step_budget"]


def test_a_single_burst_does_not_abort_and_is_flagged():
    """Errors of one look alone are a burst: shown with its time, no abort by themselves."""
    bad = np.full(60, 1.0)
    bad[40] = 60.0
    report = judged(policy(), errors(60, bad))
    made = report.evidence[0]
    assert made.state is not State.WORSE
    assert "burst" in made.flags
    assert made.details["burst_look"] == START + 41 * LOOK
