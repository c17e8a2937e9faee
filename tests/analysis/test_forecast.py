"""The forecast: published figures, the wrong side of a limit, advice on the weight, the deadline."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.compare.counts import CountsQuestion, weigh
from analysis.costs import worst_cost
from analysis.errors import InvalidInput
from analysis.forecast import Goal, abort_goals, faster, forecast, wait
from analysis.growth import Outlook, growth
from analysis.types import Direction
from tests.analysis.counts_examples import history, release

QUESTION = CountsQuestion()


@pytest.mark.parametrize(
    ("weight", "requests"),
    [pytest.param(0.05, 22_600, id="5 %"), pytest.param(0.25, 6_060, id="25 %"), pytest.param(0.5, 4_820, id="50 %")],
)
def test_growth_gives_the_published_requests(weight: float, requests: int):
    """RR 2 at 1 %: total requests for a decision at 5 % error, as published for these weights."""
    needed = (math.log(20) + 1.1) / growth(weight, 2.0, (1.0, 0.0), 0.01, 1.0)
    assert needed == pytest.approx(requests, rel=0.01)


def test_growth_vanishes_on_the_boundary():
    """Nothing can be learned of a limit by a canary that lies on it; dispersion divides what is learned."""
    assert growth(0.1, 1.6, (1.5, 0.001), 0.01, 1.0) == pytest.approx(0.0, abs=1e-15)
    assert growth(0.1, 1.0, (1.5, 0.0), 0.0, 1.0) == 0.0
    assert growth(0.1, 3.0, (1.5, 0.0), 0.01, 4.0) == pytest.approx(growth(0.1, 3.0, (1.5, 0.0), 0.01, 1.0) / 4)


def test_growth_without_errors_is_the_rule_of_three():
    """At p = 0 a canary request earns about D nats."""
    weight = 0.01
    assert growth(weight, 1.0, (1.0, 0.001), 0.0, 1.0) / weight == pytest.approx(0.001, rel=0.01)


def test_a_young_release_is_told_how_long():
    """The wait is positive and finite, 80 % sure comes later, and seconds follow from the traffic."""
    found = forecast(weigh(release(looks=3), QUESTION), weight=0.05, requests_per_second=200.0, final=True)
    assert 0 < found.promote.canary_requests < found.promote.sure_requests < math.inf
    assert found.promote.seconds == pytest.approx(found.promote.canary_requests / 10)
    assert found.promote.sure_requests / found.promote.canary_requests == pytest.approx(1.4 / 0.8)


def test_the_wait_shrinks_as_evidence_grows_and_ends_at_zero():
    """Proved is 0 more requests."""
    waits = [
        forecast(weigh(release(looks=k), QUESTION), weight=0.05, requests_per_second=200.0, final=True).promote
        for k in (4, 60)
    ]
    assert waits[1].canary_requests == 0 < waits[0].canary_requests


def test_the_wrong_side_of_a_limit_is_said_in_words():
    """A canary at 3x will not be proved no worse; the reason names estimate and limit."""
    found = forecast(weigh(release(ratio=3.0), QUESTION), weight=0.05, requests_per_second=200.0, final=True)
    assert not found.promote.possible
    assert found.promote.reason.startswith("will not be proved; estimate ")
    assert "against 1.6" in found.promote.reason
    assert found.abort.canary_requests == 0


def test_a_question_with_a_share_needs_more_to_abort():
    """Omega E >= 1/alpha: a question among many needs ln(1/omega) nats more; with no share it cannot abort."""
    evidence = weigh(release(seed=3, ratio=3.0, looks=2), QUESTION)
    whole, half = abort_goals(evidence, 1.0), abort_goals(evidence, 0.5)
    for one, other in zip(whole, half, strict=True):
        assert other.nats - one.nats == pytest.approx(math.log(2))
    none = forecast(evidence, weight=0.05, requests_per_second=200.0, final=False, omega=0.0)
    assert none.abort.reason == "cannot abort: its weight is 0"


OUTLOOK = Outlook(ratio=1.0, share=0.01, phi=1.0, requests_per_second=5.0)
GOALS = (Goal(nats=3.6, limit=(1.5, 0.001), above=False),)


def test_a_larger_weight_is_advised_where_it_is_clearly_faster():
    """At 5 % the advice is the smallest weight near the best; at the best there is none."""
    advice = faster(OUTLOOK, GOALS, 0.05)
    assert advice is not None
    assert advice.weight in (0.25, 0.5)
    assert advice.seconds < 0.8 * wait(OUTLOOK, GOALS, 0.05).seconds
    assert faster(OUTLOOK, GOALS, 0.5) is None


def test_a_deadline_too_soon_says_what_could_be_decided():
    """Slack, ratio and budget that the requests until then can prove are larger than what is asked."""
    evidence = weigh(release(seed=2, looks=3), QUESTION)
    found = forecast(evidence, weight=0.05, requests_per_second=200.0, final=True, seconds_left=5.0).insufficient
    assert found is not None
    assert found.slack > 0.001
    assert found.ratio > 1.5
    assert found.budget == pytest.approx(found.slack * 200 * 3600)
    relaxed = forecast(evidence, weight=0.05, requests_per_second=200.0, final=True, seconds_left=1e6)
    assert relaxed.insufficient is None


def test_realised_waits_agree_with_the_forecast():
    """Median requests to promote lie within a quarter of 0.8 N, over 60 seeded releases at 1 %."""
    known = history(looks=960)
    target = wait(
        Outlook(ratio=1.0, share=0.01, phi=1.0, requests_per_second=200.0),
        (Goal(nats=math.log(20) + 0.6, limit=(1.5, 0.001), above=False),),
        0.05,
    ).canary_requests
    reached = []
    for seed in range(60):
        evidence = weigh(
            release(seed=500 + seed, looks=240, canary=(1, 50.0), stable=(10, 95.0), seconds=5.0, history=known),
            QUESTION,
        )
        proved = evidence.promote >= math.log(20)
        reached.append(50.0 * (1 + int(proved.argmax())) if proved.any() else math.inf)
    assert float(np.median(reached)) == pytest.approx(target, rel=0.25)


def test_the_worst_cost_of_a_small_service_is_its_budget():
    """About twenty more failed requests in the first hour, however little is known."""
    small = history(requests=1.0, pods=1, share=0.0)
    evidence = weigh(release(share=0.0, stable=(1, 1.0), canary=(1, 0.5), history=small), QUESTION)
    rate = small.requests_per_second
    own = 0.5 * (evidence.bad_share or 0.0) * rate * 3600
    assert worst_cost(evidence, rate) == pytest.approx(20 + own, rel=0.01)


def test_a_fall_that_harms_is_forecast_with_the_sides_changed():
    """Direction decrease: a canary that keeps its share is promoted in finite time, one that lost half is not."""
    question = CountsQuestion(direction=Direction.DECREASE)
    same = forecast(weigh(release(share=0.03, looks=5), question), weight=0.05, requests_per_second=200.0, final=True)
    lost = forecast(weigh(release(share=0.03, ratio=0.4), question), weight=0.05, requests_per_second=200.0, final=True)
    assert same.promote.possible
    assert not lost.promote.possible
    assert "against 0.5" in lost.promote.reason


@pytest.mark.parametrize(
    ("weight", "rate", "place"),
    [
        pytest.param(0.0, 1.0, "/weight", id="no canary"),
        pytest.param(1.0, 1.0, "/weight", id="no stable"),
        pytest.param(0.5, 0.0, "/requests_per_second", id="no traffic"),
    ],
)
def test_a_forecast_needs_traffic_on_both_sides(weight: float, rate: float, place: str):
    """Out of range raises and names its place."""
    with pytest.raises(InvalidInput, match=place):
        forecast(weigh(release(), QUESTION), weight=weight, requests_per_second=rate, final=True)
