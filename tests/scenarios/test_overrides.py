"""Modes, and human words: promote, hold, abort, retry; read before anything is fetched, audited, expiring."""

from __future__ import annotations

import pytest

from tests.controllers.argo import RolloutPhase
from tests.controllers.flagger import CanaryPhase
from tests.scenarios.drivers import begun, canary, rollout
from tests.scenarios.world import T0, split

NEW = "7d9b8c5f66"


def weights(model):
    """Return the weights that were set, without their times."""
    return [weight for _, weight in model.weights]


def test_argo_obeys_a_human_hold_until_it_expires(build):
    """A good release waits while a person says so, nothing is fetched meanwhile, and goes on by itself afterwards."""
    world = build(split())
    made = rollout(world).update(NEW).run(T0 + 15)
    world.override("web", "hold", expires_in="10m")
    fetched = len(world.source.asked)
    made.run(T0 + 600)
    assert weights(made) == [5]
    assert len(world.source.asked) == fetched
    assert {one.verdict for one in world.since(T0 + 16)} == {"hold"}
    assert "override by ada: seen on the dashboard" in world.heard[-1].text
    made.run(T0 + 1800)
    assert made.phase is RolloutPhase.HEALTHY


def test_flagger_obeys_a_human_hold_until_it_expires(build):
    """The confirm hooks wait, no check fails, the rollback hook stays silent."""
    world = build(split())
    made = begun(canary(world)).run(T0 + 45)
    world.override("web", "hold", expires_in="10m")
    fetched = len(world.source.asked)
    made.run(T0 + 600)
    assert weights(made) == [5]
    assert len(world.source.asked) == fetched
    made.run(T0 + 1800)
    assert made.phase is CanaryPhase.SUCCEEDED
    assert made.failed_at == []


def test_argo_obeys_a_human_abort(build):
    """A good release ends at 0 with the person's words in report and history."""
    world = build(split())
    made = rollout(world).update(NEW).run(T0 + 15)
    world.override("web", "abort")
    made.run(T0 + 100)
    assert weights(made) == [5, 0]
    assert made.phase is RolloutPhase.DEGRADED
    closing = world.closing()
    assert closing["reason"] == "override by ada: seen on the dashboard"
    assert [event["action"] for event in closing["detail"]["closing"]["history"]][-1] == "override: abort"


def test_flagger_obeys_a_human_abort(build):
    """The rollback hook says yes in the next tick, and post-rollout quotes the person."""
    world = build(split())
    made = begun(canary(world)).run(T0 + 45)
    world.override("web", "abort")
    made.run(T0 + 100)
    assert made.phase is CanaryPhase.FAILED
    assert made.failed_at == []
    assert any("Post-rollout hook" in e.message and "seen on the dashboard" in e.message for e in made.events)


def test_a_human_abort_before_it_begins_keeps_flagger_from_beginning(build):
    """A word about a revision that nobody has seen yet holds from its first request on."""
    world = build(split())
    made = canary(world)
    made.run(T0 + 20)
    world.override("web", "hold", revision=made.checksum("1"))
    made.update("2").run(T0 + 200)
    assert made.phase is CanaryPhase.WAITING
    assert made.weights == []


@pytest.mark.parametrize("down", [False, True], ids=["source up", "source down"])
def test_argo_obeys_a_human_promote(build, down):
    """A person may promote what was not proved, also while the source is down; it is fetched from no more."""
    world = build(split(requests=50.0))
    made = rollout(world).update(NEW).run(T0 + 60)
    assert weights(made) == [5]
    if down:
        world.source.fail()
    world.override("web", "promote")
    fetched = len(world.source.asked)
    made.run(T0 + 200)
    assert made.phase is RolloutPhase.HEALTHY
    assert len(world.source.asked) == fetched
    assert world.closing()["reason"] == "override by ada: seen on the dashboard"


def test_flagger_obeys_a_human_promote_over_an_abort(build):
    """A bad release that a person lets through is not rolled back."""
    world = build(split(factor=4))
    made = begun(canary(world)).run(T0 + 45)
    world.override("web", "promote")
    made.run(T0 + 600)
    assert made.phase is CanaryPhase.SUCCEEDED
    assert {one.status for one in world.since(T0 + 46, "rollback")} == {403}


def test_a_word_is_read_before_anything_is_fetched(build):
    """From the very first request on: a release that was only spoken about causes no query."""
    world = build(split())
    world.override("web", "hold", revision=NEW)
    rollout(world).update(NEW).run(T0 + 300)
    assert world.source.asked == []
    assert {one.verdict for one in world.heard} == {"hold"}


def test_a_word_ends_with_its_revision(build):
    """The next revision is judged by its numbers."""
    world = build(split())
    made = rollout(world).update(NEW).run(T0 + 15)
    world.override("web", "hold")
    made.run(T0 + 100)
    made.update("5f667d9b8c").run(T0 + 1200)
    assert made.phase is RolloutPhase.HEALTHY


def test_a_retry_ends_an_abort_that_stands(build):
    """A person who says retry opens another attempt at once, and the words before it are over."""
    world = build(split())
    made = rollout(world).update(NEW).run(T0 + 15)
    world.override("web", "abort")
    made.run(T0 + 60)
    world.override("web", "retry")
    made.retry()
    made.run(T0 + 1200)
    assert made.phase is RolloutPhase.HEALTHY
    attempts = world.release()["attempts"]
    assert [(a["attempt"], a["phase"]) for a in attempts] == [(1, "aborted"), (2, "promoted")]
    assert attempts[1]["opened_by"] == "a human asked for a retry"


def test_words_are_kept(build):
    """Every word stays readable with actor, reason, time and end, also when it is over."""
    world = build(split())
    rollout(world).update(NEW).run(T0 + 15)
    world.override("web", "hold", expires_in="1m")
    world.clock.advance(120)
    world.override("web", "promote", actor="grace", reason="checked by hand")
    words = world.release()["overrides"]
    assert [(w["verdict"], w["actor"], w["reason"]) for w in words] == [
        ("hold", "ada", "seen on the dashboard"),
        ("promote", "grace", "checked by hand"),
    ]
    assert words[0]["expires_at"] == words[0]["at"] + 60
    actions = [event["action"] for event in world.release()["history"]]
    assert actions[-2:] == ["override: hold", "override: promote"]


def test_without_the_store_no_word_can_be_read(build):
    """A human abort that we cannot read is not replaced by a guess: hold, and no rollback."""
    world = build(split())
    made = begun(canary(world)).run(T0 + 45)
    world.override("web", "abort")
    world.store.down = True
    made.run(T0 + 300)
    assert made.phase is CanaryPhase.PROGRESSING
    assert weights(made) == [5]
    world.store.down = False
    made.run(T0 + 400)
    assert made.phase is CanaryPhase.FAILED


def truths(world):
    """Return the true verdicts of all reports of the release."""
    return {report["would"] for report in world.release()["reports"]}


def test_advise_holds_where_it_would_abort(build):
    """Argo and Flagger wait; report and history keep the true verdict."""
    world = build(split(factor=4), default="advised")
    made = rollout(world).update(NEW).run(T0 + 300)
    assert weights(made) == [5]
    assert made.phase is RolloutPhase.PROGRESSING
    assert "abort" in truths(world)
    world = build(split(factor=4), default="advised")
    made = begun(canary(world)).run(T0 + 300)
    assert weights(made) == [5]
    assert made.failed_at == []
    assert {one.status for one in world.since(T0, "rollback")} == {403}
    assert "abort" in truths(world)


def test_advise_promotes_what_is_proved(build):
    """Only the abort is held back."""
    world = build(split(), default="advised")
    assert rollout(world).update(NEW).run(T0 + 1200).phase is RolloutPhase.HEALTHY


def test_shadow_promotes_all_and_keeps_the_truth(build):
    """A bad release goes through both controllers, and every report says what would have been said."""
    world = build(split(factor=4), default="shadowed")
    assert rollout(world).update(NEW).run(T0 + 600).phase is RolloutPhase.HEALTHY
    assert {one.verdict for one in world.heard} == {"promote"}
    world = build(split(factor=4), default="shadowed")
    made = begun(canary(world)).run(T0 + 600)
    assert made.phase is CanaryPhase.SUCCEEDED
    assert "abort" in truths(world)
    assert {one.status for one in world.since(T0, "rollback")} == {403}
