"""Outages: while the source or something of ours is down, our answers promote, abort and roll back nothing."""

from __future__ import annotations

import pytest

from tests.controllers.argo import RolloutPhase
from tests.controllers.flagger import CanaryPhase
from tests.controllers.flagger_hooks import HookType
from tests.scenarios.drivers import SHIPPED, begun, canary, rollout, watching
from tests.scenarios.world import T0, split
from webhook.errors import SourceLimit, SourceRefused

NEW = "7d9b8c5f66"
GATES = ("confirm-rollout", "confirm-traffic-increase", "confirm-promotion")


def prometheus(world):
    """Take the source down."""
    world.source.fail()


def refusing(world):
    """Let the source refuse every query."""
    world.source.fail(SourceRefused("bad_data: parse error"))


def too_much(world):
    """Let every answer of the source be too large."""
    world.source.fail(SourceLimit("1,000,001 samples, at most 1,000,000 are read"))


def slow(world):
    """Let the source take longer than a verdict may."""
    world.source.slow(30.0)


def partial(world):
    """Let the source warn that its answers are not whole."""
    world.source.partial("one of two stores did not answer")


def store(world):
    """Take the store down."""
    world.store.down = True


def everything(world):
    """Take source and store down."""
    prometheus(world)
    store(world)


def recover(world):
    """Let all be well again."""
    world.source.recover()
    world.store.down = False
    world.unreachable = False


BROKEN = [prometheus, refusing, too_much, slow, partial, store, everything]
each_fault = pytest.mark.parametrize("broken", BROKEN, ids=[fault.__name__ for fault in BROKEN])
each_factor = pytest.mark.parametrize("factor", [1, 4], ids=["a good release", "a bad release"])


def decided(answers):
    """Return the answers that a controller could act on: promote, abort, an open gate, a rollback."""
    return [
        one
        for one in answers
        if one.verdict in ("promote", "abort")
        or (one.hook in GATES and one.status <= 202)
        or (one.hook == "rollback" and one.status <= 202)
        or (one.hook in ("rollout", "pre-rollout", "post-rollout") and one.status >= 400)
    ]


@each_fault
@each_factor
def test_argo_waits_through_an_outage(build, broken, factor):
    """Down for ten minutes from the middle of the first weight on: holds with a reason, then the right end."""
    world = build(split(factor=factor))
    made = rollout(world, background=watching()).update(NEW).run(T0 + 15)
    before = list(made.weights)
    broken(world)
    made.run(T0 + 600)
    answers = world.since(T0 + 16)
    assert len(answers) > 50
    assert {(one.status, one.verdict) for one in answers} == {(200, "hold")}
    assert made.weights == before
    assert made.phase is RolloutPhase.PROGRESSING
    assert all(result.failed == result.error == 0 for run in made.runs for result in run.results.values())
    recover(world)
    made.run(T0 + 2400)
    assert made.phase is (RolloutPhase.HEALTHY if factor == 1 else RolloutPhase.DEGRADED)
    assert world.release()["release"]["phase"] == ("promoted" if factor == 1 else "aborted")


@each_fault
@each_factor
def test_flagger_waits_through_an_outage(build, broken, factor):
    """The same with the shipped hooks: weights stand still, no check fails, nothing is rolled back."""
    world = build(split(factor=factor))
    made = begun(canary(world, threshold=1)).run(T0 + 55)
    before = list(made.weights)
    assert before
    broken(world)
    made.run(T0 + 600)
    answers = world.since(T0 + 56, *GATES, "rollback")
    assert len(answers) > 50
    assert decided(answers) == []
    assert {one.status for one in answers} == {403}
    assert made.weights == before
    assert made.failed_at == []
    recover(world)
    made.run(T0 + 2400)
    assert made.phase is (CanaryPhase.SUCCEEDED if factor == 1 else CanaryPhase.FAILED)
    assert made.failed_at == []


@each_fault
def test_hooks_that_count_are_not_refused_in_an_outage(build, broken):
    """``rollout`` and ``pre-rollout`` count towards a rollback: our faults pass there and wait at the confirm hooks."""
    world = build(split(factor=4))
    kinds = (*SHIPPED, HookType.ROLLOUT, HookType.PRE_ROLLOUT)
    made = begun(canary(world, threshold=1, kinds=kinds)).run(T0 + 55)
    before = list(made.weights)
    broken(world)
    made.run(T0 + 600)
    assert decided(world.since(T0 + 56)) == []
    assert made.weights == before
    assert made.failed_at == []
    assert made.phase is CanaryPhase.PROGRESSING


def test_an_outage_before_the_first_traffic_starts_nothing(build):
    """A source that is down from the beginning approves no first traffic."""
    world = build(split())
    made = begun(canary(world))
    world.source.fail()
    made.run(T0 + 600)
    assert made.weights == []
    assert made.failed_at == []
    recover(world)
    made.run(T0 + 1800)
    assert made.phase is CanaryPhase.SUCCEEDED


def test_an_outage_while_promotion_is_confirmed_promotes_nothing(build):
    """All weights are through when the source goes: the promotion waits, and comes when the source is back."""
    world = build(split())
    made = begun(canary(world, (5, 50)))
    while made.weight < 50:
        made.run(world.clock.now + 10)
    world.source.fail()
    made.run(world.clock.now + 600)
    assert made.weight == 50
    assert made.phase in (CanaryPhase.PROGRESSING, CanaryPhase.WAITING_PROMOTION)
    recover(world)
    made.run(world.clock.now + 1200)
    assert made.phase is CanaryPhase.SUCCEEDED


def test_no_baseline_was_lost_by_an_outage(build):
    """What happened meanwhile is read afterwards: the record is that of a world without an outage."""
    worlds = [build(split(factor=2)) for _ in range(2)]
    for world in worlds:
        rollout(world, (5, 25)).update(NEW).run(T0 + 25)
    worlds[0].source.fail()
    for world in worlds:
        world.followed.run(T0 + 90)
    recover(worlds[0])
    for world in worlds:
        world.followed.run(T0 + 130)
    key = ("", "shop", "web", NEW)
    missed, whole = (world.store.looks(key, 1) for world in worlds)
    shorter = min(len(missed), len(whole))
    assert shorter >= 5
    assert missed[:5] == whole[:5]


@pytest.mark.parametrize("seconds", [60, 250])
def test_a_service_that_cannot_be_reached_aborts_only_after_argos_own_limit(build, seconds):
    """The shipped ``consecutiveErrorLimit: 30`` buys five minutes of refused connections."""
    world = build(split())
    made = rollout(world).update(NEW).run(T0 + 15)
    world.unreachable = True
    made.run(T0 + 15 + seconds)
    assert made.phase is RolloutPhase.PROGRESSING
    recover(world)
    made.run(T0 + 2400)
    assert made.phase is RolloutPhase.HEALTHY


def test_an_unreachable_service_stops_flagger_where_it_is(build):
    """No shipped hook counts a refused connection: nothing steps and nothing fails, for as long as it takes."""
    world = build(split())
    made = begun(canary(world, threshold=1)).run(T0 + 75)
    before = list(made.weights)
    world.unreachable = True
    made.run(T0 + 3600)
    assert made.weights == before
    assert made.failed_at == []
    recover(world)
    made.run(T0 + 6000)
    assert made.phase is CanaryPhase.SUCCEEDED
    assert made.failed_at == []


def test_an_outage_is_told_in_history_and_reason(build):
    """One line of history for the whole outage; the reason names what is down."""
    world = build(split())
    made = rollout(world).update(NEW).run(T0 + 15)
    world.source.fail()
    made.run(T0 + 600)
    assert "metrics source down: the source was taken down" in world.heard[-1].text
    history = [event["action"] for event in world.release()["history"]]
    assert history.count("degraded") == 1
    assert world.get("/readyz")["degraded"] == ["source"]
    world.store.down = True
    made.run(T0 + 620)
    assert "overrides are unknown" in world.heard[-1].text


def test_shadow_lets_everything_pass_whatever_is_down(build):
    """It watches before it is trusted: promote from a dead source and a dead store, never a rollback."""
    world = build(split(factor=4), default="shadowed")
    made = begun(canary(world)).run(T0 + 45)
    everything(world)
    made.run(T0 + 600)
    assert made.phase is CanaryPhase.SUCCEEDED
    assert {one.status for one in world.since(T0 + 46, "rollback")} == {403}
