"""What a policy could prove how soon: the figures of a check, against their definition."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from analysis.policy import Policy, Proportion, Tolerance
from analysis.types import Direction, May
from webhook.prospects import Traffic, prospects

QUESTION = Proportion(name="error-rate", bad=("b{$side}",), total="t{$side}")
ONE = Policy(name="one", questions=(QUESTION,))
TRAFFIC = Traffic(requests_per_second=200.0, bad_share=0.01, phi=1.0)


def needed(nats, weight, ratio, limit, share, phi):
    """Return canary requests for so much evidence, by the definition: divergence of two splits of the bad events."""
    rho, slack = limit
    base = share + slack / rho
    bad = {"canary": weight * ratio * share, "baseline": (1 - weight) * base}
    null = {"canary": weight * rho, "baseline": 1 - weight}
    events = sum(bad.values())
    divergence = sum(
        bad[side] / events * math.log(bad[side] / events / (null[side] / sum(null.values()))) for side in bad
    )
    return nats * weight / (events * divergence / phi)


@pytest.mark.parametrize("phi", [1.0, 2.5])
@pytest.mark.parametrize("weight", [0.05, 0.1, 0.25])
def test_prospects_follow_the_definition(weight, phi):
    """Requests to abort a doubling and to take the last step are those of the divergence, times the median's part."""
    traffic = replace(TRAFFIC, phi=phi)
    (row,) = [one for one in prospects(ONE, QUESTION, traffic) if one["weight"] == weight]
    warn = needed(math.log(1000) + 1.1, weight, 2.0, (1.0, 0.0), 0.01, phi)
    beyond = needed(math.log(3) + 1.1, weight, 2.0, (1.5, 0.001), 0.01, phi)
    assert row["abort"]["2"]["canary_requests"] == pytest.approx(max(warn, beyond), abs=1)
    assert row["abort"]["2"]["seconds"] == pytest.approx(max(warn, beyond) / (200 * weight), abs=1)
    last = needed(math.log(20) + 0.6, weight, 1.0, (1.5, 0.001), 0.01, phi)
    assert row["final"]["canary_requests"] == pytest.approx(0.8 * last, abs=1)


def test_more_harm_is_seen_sooner_and_more_weight_decides_sooner():
    """Laws that need no formula: three times is seen before twice, and 25 % before 5 %."""
    rows = prospects(ONE, QUESTION, TRAFFIC)
    assert all(row["abort"]["3"]["seconds"] < row["abort"]["2"]["seconds"] for row in rows)
    for wait in ([row["final"]["seconds"] for row in rows], [row["abort"]["2"]["seconds"] for row in rows]):
        assert wait == sorted(wait, reverse=True)


def test_a_step_needs_less_than_the_last_one():
    """A step is worth what it can cost; the last one also asks for the proof of harmlessness."""
    assert all(row["step"]["seconds"] < row["final"]["seconds"] for row in prospects(ONE, QUESTION, TRAFFIC))


@pytest.mark.parametrize(
    "question",
    [
        pytest.param(replace(QUESTION, may=May.HOLD), id="may hold only"),
        pytest.param(replace(QUESTION, tolerance=Tolerance(ratio=4.0, absolute=0.0)), id="tolerated"),
    ],
)
def test_what_can_never_be_aborted_says_so(question):
    """Never is null with a reason, not a large number."""
    row = prospects(replace(ONE, questions=(question,)), question, TRAFFIC)[0]
    assert row["abort"]["3"]["seconds"] is None
    assert row["abort"]["3"]["reason"]


def test_a_harmful_fall_is_asked_the_other_way_round():
    """Where a fall harms, a canary with half the share is what is to be found, and it can be."""
    falls = replace(QUESTION, direction=Direction.DECREASE)
    for row in prospects(replace(ONE, questions=(falls,)), falls, TRAFFIC):
        assert 0 < row["abort"]["3"]["seconds"] < row["abort"]["2"]["seconds"]
