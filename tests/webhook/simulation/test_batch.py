"""Many releases weighed together end exactly as if each had been played through the service alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.policy import Alphas, Deadline, Latency, Policy, Proportion, Tolerance
from analysis.types import Direction, May, NoData, Weight
from webhook.simulation.batch import batchable, play_all
from webhook.simulation.played import Ended, play, simulated
from webhook.simulation.world import Release, World

ERRORS = Proportion(name="error-rate", bad=("b{$side}",), total="t{$side}", weight=Weight.CRITICAL)
REFUSED = Proportion(name="refused", bad=("r{$side}",), total="t{$side}", tolerance=Tolerance(ratio=2.0))
POLICY = Policy(name="x", digest="d", questions=(ERRORS,))
TWO = Policy(name="x", digest="d", questions=(ERRORS, REFUSED))
FORTY_MINUTES = 2400.0


def releases(policy, effect, count=4, hit="error-rate", **world):
    """Return releases of one effect."""
    made = World(**{"rps": 200.0, "duration": FORTY_MINUTES, "history": 3600.0, **world})
    asked = simulated(policy, made)
    return [Release(world=made, policy=asked, number=n, effect=effect, hit=hit) for n in range(count)]


CELLS = [
    pytest.param(POLICY, 1.0, {"look": 120.0, "duration": 7200.0}, id="healthy, to the end"),
    pytest.param(POLICY, 1.0, {"rps": 5.0, "canary_pods": 2, "sd": 0.2}, id="little traffic, pods differ"),
    pytest.param(
        POLICY, 1.0, {"rps": 0.2, "share": 0.05, "weights": (0.3, 0.9)}, id="hardly any: silence and no baseline"
    ),
    pytest.param(POLICY, 1.5, {"dispersion": 4.0, "weights": (0.2,)}, id="worse, in clumps"),
    pytest.param(POLICY, 2.0, {"canary_pods": 3, "sd": 0.3}, id="three canary pods, one may be suspect"),
    pytest.param(POLICY, 3.0, {"rps": 30.0}, id="bad"),
    pytest.param(POLICY, 10.0, {"rps": 2.0}, id="very bad, little traffic"),
    pytest.param(replace(POLICY, min_step=0.0, freeze_limit=180.0), 1.7, {}, id="no least step, short freeze"),
    pytest.param(replace(POLICY, alpha=Alphas(step=0.9, promote=0.6)), 1.5, {"rps": 20.0}, id="easy steps"),
    pytest.param(TWO, 3.0, {}, id="two questions, one harmed"),
    pytest.param(POLICY, 3.0, {"history": 300.0, "count": 2}, id="no history: learned in the run"),
    pytest.param(POLICY, 4.0, {"history": 900.0, "rps": 50.0, "share": 0.0002}, id="too few errors to learn from"),
]


@pytest.mark.parametrize(("policy", "effect", "world"), CELLS)
def test_the_batch_ends_as_the_service_does(policy, effect, world):
    """Outcome, time, weight, freezes and harm of every release, for services and policies of many kinds."""
    alone = [play(release) for release in releases(policy, effect, **world)]
    assert play_all(releases(policy, effect, **world)) == alone


def test_the_size_of_a_batch_changes_nothing():
    """A release ends alike alone and among others."""
    together = play_all(releases(POLICY, 2.0, count=6))
    assert [play_all([release])[0] for release in releases(POLICY, 2.0, count=6)] == together


def test_healthy_releases_reach_all_traffic():
    """At 200 requests a second every one of forty, without a person; none is aborted."""
    found = play_all(releases(POLICY, 1.0, count=40))
    assert {one.outcome for one in found} == {"promoted"}
    assert all(one.weight == 1.0 and one.harmed == 0.0 for one in found)


def test_bad_releases_are_aborted_early():
    """At ten times the errors all are aborted at the first weight, at the price of what the canary served."""
    found = play_all(releases(POLICY, 10.0, count=40))
    assert {one.outcome for one in found} == {"aborted"}
    assert {one.weight for one in found} == {0.05}
    assert all(one.frozen for one in found)
    for one in found:
        assert one.harmed == pytest.approx(9 * 0.01 * 200 * 0.05 * one.seconds, rel=0.15)


def test_one_release_ends_are_told_one_by_one():
    """A progress bar hears of each."""
    heard = []
    play_all(releases(POLICY, 3.0, count=7), lambda: heard.append(1))
    assert len(heard) == 7


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(POLICY, True, id="one share"),
        pytest.param(TWO, True, id="two shares"),
        pytest.param(replace(POLICY, questions=(ERRORS, Latency(name="l", histogram="h{$side}"))), False, id="latency"),
        pytest.param(
            replace(POLICY, questions=(replace(ERRORS, direction=Direction.DECREASE),)), False, id="a fall does harm"
        ),
        pytest.param(replace(POLICY, questions=(replace(ERRORS, no_data=NoData.ABORT),)), False, id="silence aborts"),
        pytest.param(replace(POLICY, questions=(replace(ERRORS, may=May.REPORT),)), False, id="nothing decides"),
        pytest.param(replace(POLICY, deadline=Deadline(then="abort")), False, id="deadline"),
        pytest.param(replace(POLICY, min_requests=100), False, id="least requests"),
    ],
)
def test_what_the_batch_does_not_know_is_played(policy, expected):
    """Every rule that is not in the batch keeps a policy out of it."""
    assert batchable(policy) is expected


def test_other_kinds_are_played_through_the_service():
    """Durations: a healthy release is promoted, one of twice the durations is not."""
    slow = Latency(name="latency", histogram="h{$side}", weight=Weight.CRITICAL)
    policy = Policy(name="x", digest="d", questions=(slow,))
    good = play(releases(policy, 1.0, hit="latency", look=120.0, duration=7200.0)[0])
    bad = play(releases(policy, 3.0, hit="latency", look=120.0, duration=7200.0)[0])
    assert good.outcome == "promoted"
    assert bad.outcome == "aborted"
    assert bad == Ended(outcome="aborted", seconds=bad.seconds, weight=bad.weight, frozen=True, harmed=0.0)
