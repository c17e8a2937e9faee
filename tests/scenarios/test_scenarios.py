"""The scenarios as whole rollouts: the same numbers in every sample, read from a source, asked by both controllers."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.controllers.argo import RolloutPhase
from tests.controllers.flagger import CanaryPhase
from tests.scenarios.drivers import begun, canary, rollout
from tests.scenarios.world import T0, Flow, steady

STEADY_A = steady(
    Flow(total=1000, bad=10, latency=(0.1, 0.3, 0.5)),
    Flow(total=100, bad=1, latency=(0.1, 0.35, 0.6)),
)
WEIGHTS = (5, 25, 45, 65, 85, 100)
SLOW = steady(
    Flow(total=1000, bad=10, latency=(0.1, 0.2, 0.4)),
    Flow(total=100, bad=1, latency=(0.2, 0.4, 0.8)),
)
EQUAL = steady(Flow(total=100, bad=1, latency=(0.1, 0.2, 0.3)), Flow(total=100, bad=1, latency=(0.1, 0.2, 0.3)))


def failing_from_25(step, weight):
    """Return 1 % of errors on both sides, and 10 % on the canary once it has a quarter of the traffic."""
    return Flow(total=1000, bad=10), Flow(total=100, bad=10 if weight >= 25 else 1)


def argo(world, policy, weights=WEIGHTS[:-1], *, passes=6, interval=10.0, seconds=1200.0):
    """Return a rollout that was updated at T0: six promotes in a row, ten seconds apart, make a minute's step."""
    made = rollout(world, weights, policy=policy, passes=passes, interval=interval, delay=interval)
    return made.update("7d9b8c5f66").run(T0 + seconds)


def flagger(world, policy, weights=WEIGHTS, *, interval=60.0, seconds=1200.0):
    """Return a canary that was updated in its second tick, while somebody watches every ten seconds."""
    made = canary(world, weights, policy=policy, interval=interval)
    begun(made)
    while world.clock.now < T0 + seconds and made.phase not in (CanaryPhase.SUCCEEDED, CanaryPhase.FAILED):
        made.run(world.clock.now + 10)
        world.get(f"/v1/analysis?namespace=shop&name=web&policy={policy}")
    return made


def steps_without_promote(world, weights, hook):
    """Return the weights that were raised without a promote at that very moment, the first one apart."""
    raised = [(time, weight) for time, weight in weights if weight > 0]
    bad = []
    for time, weight in raised[1:]:
        answers = [one for one in world.heard if one.hook == hook and one.time == time]
        if not any(one.status == 200 and one.verdict in ("promote", None) for one in answers):
            bad.append(weight)
    return bad


def test_argo_promotes_what_keeps_all_limits(build):
    """5, 25, 45, 65, 85, 100, a minute each, every step after a promote; the end is stored."""
    world = build(STEADY_A)
    made = argo(world, "limited")
    assert [weight for _, weight in made.weights] == list(WEIGHTS)
    assert made.phase is RolloutPhase.HEALTHY
    assert made.stable == "7d9b8c5f66"
    assert steps_without_promote(world, made.weights, "analysis") == []
    gaps = [b - a for (a, _), (b, _) in pairwise(made.weights)]
    assert min(gaps) >= 60
    told = world.release()
    assert told["release"]["phase"] == "promoted"
    assert "acceptable thresholds" in world.closing()["reason"]
    assert world.closing()["detail"]["closing"]["outcome"] == "promoted"


def test_flagger_promotes_what_keeps_all_limits(build):
    """The same numbers and weights: every step after a 200 of its confirm hook, no failed check."""
    world = build(STEADY_A)
    made = flagger(world, "limited")
    assert [weight for _, weight in made.weights] == [*WEIGHTS, 0]
    assert made.phase is CanaryPhase.SUCCEEDED
    assert made.failed_at == []
    assert steps_without_promote(world, made.weights[:-1], "confirm-traffic-increase") == []
    assert world.release()["release"]["phase"] == "promoted"
    assert world.closing()["detail"]["closing"]["outcome"] == "promoted"


def test_argo_aborts_what_breaks_the_limit_of_errors(build):
    """At a quarter of the traffic a tenth of all requests fails: back to 0 within a look or two."""
    world = build(failing_from_25)
    made = argo(world, "limited")
    assert [weight for _, weight in made.weights] == [5, 25, 0]
    assert made.phase is RolloutPhase.DEGRADED
    reached, left = made.weights[1][0], made.weights[2][0]
    assert left - reached <= 50
    assert world.release()["release"]["phase"] == "aborted"
    closing = world.closing()
    assert closing["reason"].startswith("error rate too high: 10")
    assert closing["detail"]["closing"]["outcome"] == "aborted"
    assert [event["action"] for event in closing["detail"]["closing"]["history"]][-1] == "abort"


def test_flagger_rolls_back_what_breaks_the_limit_of_errors(build):
    """The rollback hook says so in the first tick that can know it; the reason reaches an event."""
    world = build(failing_from_25)
    made = flagger(world, "limited")
    assert [weight for _, weight in made.weights] == [5, 25, 0]
    assert made.phase is CanaryPhase.FAILED
    assert made.failed_at == []
    assert made.weights[2][0] - made.weights[1][0] == 60
    assert any("Post-rollout hook" in event.message and "error rate too high" in event.message for event in made.events)
    assert world.release()["release"]["phase"] == "aborted"
    assert world.closing()["reason"].startswith("error rate too high: 10")


@pytest.mark.parametrize("drive", [argo, flagger])
def test_twice_as_slow_is_aborted(build, drive):
    """The first look that is closed aborts; nothing goes beyond the first weight."""
    world = build(SLOW)
    made = drive(world, "limited")
    assert [weight for _, weight in made.weights] == [5, 0]
    assert world.release()["release"]["phase"] == "aborted"
    assert world.closing()["reason"].startswith("latency increased: ")


def test_argo_promotes_equal_sides_in_seconds(build):
    """10, 40, 70, 100 %, a look a second, steps of five seconds: no measurement ever fails."""
    world = build(EQUAL, step=1.0, seconds=600.0)
    made = argo(world, "every-second", (10, 40, 70), passes=5, interval=1.0, seconds=300.0)
    assert [weight for _, weight in made.weights] == [10, 40, 70, 100]
    assert made.phase is RolloutPhase.HEALTHY
    assert {one.verdict for one in world.heard} <= {"promote", "hold"}
    assert all(result.failed == result.error == 0 for run in made.runs for result in run.results.values())
    assert world.release()["release"]["phase"] == "promoted"


def test_flagger_promotes_equal_sides_in_seconds(build):
    """The same numbers at the shortest interval that Flagger has, 10 s: no failed check."""
    world = build(EQUAL, step=1.0, seconds=600.0)
    made = flagger(world, "every-second", (10, 40, 70, 100), interval=5.0, seconds=300.0)
    assert [weight for _, weight in made.weights] == [10, 40, 70, 100, 0]
    assert made.phase is CanaryPhase.SUCCEEDED
    assert made.failed_at == []
    assert world.release()["release"]["phase"] == "promoted"
