"""Whole rollouts under the default statistical question: what both controllers do with our answers."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.controllers.argo import RolloutPhase
from tests.controllers.flagger import CanaryPhase
from tests.controllers.flagger_hooks import HookType
from tests.scenarios.drivers import SHIPPED, begun, canary, rollout, watching
from tests.scenarios.test_scenarios import steps_without_promote
from tests.scenarios.world import T0, Flow, SwitchedStore, split

NEW, NEWER = "7d9b8c5f66", "5f667d9b8c"
WEIGHTS = [5, 25, 45, 65, 85, 100]


def weights(model):
    """Return the weights that were set, without their times."""
    return [weight for _, weight in model.weights]


def actions(world, attempt=-1):
    """Return the closing report's history as its actions, one after the other."""
    return [event["action"] for event in world.closing(attempt=attempt)["detail"]["closing"]["history"]]


def quiet_then_busy(step, weight):
    """Return ten requests a second for ten minutes, then five hundred."""
    return split(requests=100.0 if step < 60 else 5000.0)(step, weight)


def test_argo_promotes_an_equal_release(build):
    """Every weight in order, each after a promote; the attempt ends promoted with a closing report."""
    world = build(split())
    made = rollout(world).update(NEW).run(T0 + 1200)
    assert weights(made) == WEIGHTS
    assert made.phase is RolloutPhase.HEALTHY
    assert steps_without_promote(world, made.weights, "analysis") == []
    assert world.release()["release"]["phase"] == "promoted"
    assert actions(world)[0] == "opened"
    assert actions(world)[-1] == "promote"
    assert "no worse than tolerated" in world.closing()["reason"]


def test_flagger_promotes_an_equal_release(build):
    """Every weight in order, each after a 200 of its confirm hook; nothing fails; Flagger's word closes it."""
    world = build(split())
    made = begun(canary(world)).run(T0 + 1200)
    assert weights(made) == [*WEIGHTS, 0]
    assert made.phase is CanaryPhase.SUCCEEDED
    assert made.failed_at == []
    assert steps_without_promote(world, made.weights[:-1], "confirm-traffic-increase") == []
    assert world.release()["release"]["phase"] == "promoted"
    assert actions(world)[-1] == "promoted"


@pytest.mark.parametrize("interval", [10.0, 60.0], ids=["ticks of 10 s", "ticks of 60 s"])
def test_no_step_is_shorter_than_its_minimum_at_flagger(build, interval):
    """Two minutes a step are two minutes at every weight, however often Flagger asks: old proof pays no new step."""
    world = build(split(), default="two-minutes")
    made = begun(canary(world, interval=interval)).run(T0 + 2400)
    assert made.phase is CanaryPhase.SUCCEEDED
    times = [time for time, weight in made.weights if weight > 0]
    assert min(b - a for a, b in pairwise(times)) >= 120


def test_no_step_is_shorter_than_its_minimum_at_argo(build):
    """Analyses follow each other without a pause between them, and each still sees its own weight for two minutes."""
    world = build(split(), default="two-minutes")
    made = rollout(world).update(NEW).run(T0 + 2400)
    assert weights(made) == WEIGHTS
    times = [time for time, _ in made.weights]
    assert min(b - a for a, b in pairwise(times)) >= 120


def test_a_pause_before_an_analysis_counts_as_part_of_its_step(build):
    """A weight that the traffic has shown for ten minutes before anybody asks needs no further two."""
    world = build(split(), default="two-minutes")
    made = rollout(world, settle=600.0).update(NEW).run(T0 + 6000)
    assert weights(made) == WEIGHTS
    asked = [one for one in world.heard if one.time >= made.weights[1][0]]
    assert asked[0].verdict == "promote"


def test_argo_holds_then_promotes(build):
    """Little traffic holds without ending anything; more of it promotes, and no measurement fails."""
    world = build(quiet_then_busy)
    made = rollout(world).update(NEW).run(T0 + 1800)
    assert weights(made) == WEIGHTS
    assert made.weights[-1][0] > 600
    held = [one for one in world.since(T0) if one.verdict == "hold" and '"forecast":{' in one.text.replace(" ", "")]
    assert held
    assert all(result.failed == result.error == 0 for run in made.runs for result in run.results.values())
    assert {"hold", "promote"} <= set(actions(world))


def test_flagger_holds_then_promotes(build):
    """A hold waits at the confirm hooks and is no failed check, however long it takes."""
    world = build(quiet_then_busy)
    made = begun(canary(world, threshold=1)).run(T0 + 1800)
    assert made.phase is CanaryPhase.SUCCEEDED
    assert made.failed_at == []
    assert any("waiting for traffic increase approval" in event.message for event in made.events)
    assert actions(world)[-1] == "promoted"


def test_argo_aborts_a_bad_release(build):
    """Four times the errors: aborted at the first weight; report, history and phase say why."""
    world = build(split(factor=4))
    made = rollout(world).update(NEW).run(T0 + 1200)
    assert weights(made) == [5, 0]
    assert made.phase is RolloutPhase.DEGRADED
    assert world.release()["release"]["phase"] == "aborted"
    closing = world.closing()
    assert closing["verdict"] == "abort"
    assert "worse than stable" in closing["reason"]
    assert actions(world)[-1] == "abort"


def test_flagger_rolls_back_a_bad_release(build):
    """The rollback hook acts in its tick without a failed check; post-rollout brings the reason into an event."""
    world = build(split(factor=4))
    made = begun(canary(world)).run(T0 + 1200)
    assert weights(made) == [5, 0]
    assert made.phase is CanaryPhase.FAILED
    assert made.failed_at == []
    assert any("Post-rollout hook" in e.message and "worse than stable" in e.message for e in made.events)
    assert world.closing()["detail"]["closing"]["outcome"] in ("aborted", "rolled back")
    assert actions(world)[-1] == "rolled back"


def flapping(step, weight):
    """Return 1 % of errors, and every third sample 10 % on the canary: over the limit, never twice in a row."""
    return Flow(total=1000, bad=10), Flow(total=100, bad=10 if step % 3 == 0 else 1)


def test_flapping_never_completes_six_in_a_row_at_argo(build):
    """Holds between promotes begin the count anew; nothing is aborted and nothing is taken."""
    world = build(flapping)
    made = rollout(world, policy="patient", passes=6).update(NEW).run(T0 + 1200)
    assert weights(made) == [5]
    assert made.phase is RolloutPhase.PROGRESSING
    assert {one.verdict for one in world.heard} == {"promote", "hold"}


def test_flapping_adds_up_only_where_a_hold_counts(build):
    """Flagger never forgets a failed check: the shipped hooks cause none, ``rollout?hold=fail`` does."""
    shipped = build(flapping)
    made = begun(canary(shipped, policy="patient", threshold=3)).run(T0 + 1200)
    assert made.failed_at == []
    assert made.phase is not CanaryPhase.FAILED
    counting = build(flapping)
    kinds = (*SHIPPED, HookType.ROLLOUT)
    made = begun(canary(counting, policy="patient", threshold=3, kinds=kinds, query="?hold=fail")).run(T0 + 1200)
    assert len(made.failed_at) == 3
    assert made.phase is CanaryPhase.FAILED


def test_argo_retries_after_an_abort(build):
    """The same hash again is another attempt: none of the old errors count, and both ends are kept."""
    world = build(split(factor=4))
    made = rollout(world).update(NEW).run(T0 + 100)
    assert made.phase is RolloutPhase.DEGRADED
    world.flow = split()
    made.clock.advance(15)
    made.retry()
    made.run(T0 + 1800)
    assert weights(made) == [5, 0, *WEIGHTS]
    assert made.phase is RolloutPhase.HEALTHY
    first, second = world.release()["attempts"]
    assert (first["attempt"], first["phase"]) == (1, "aborted")
    assert (second["attempt"], second["phase"]) == (2, "promoted")
    assert second["started_at"] > first["ended_at"]


def test_flagger_retries_a_revision_after_a_human_asked_for_it(build):
    """confirm-rollout refuses what was aborted before, until an override says retry; then a new attempt begins."""
    world = build(split(factor=4))
    made = begun(canary(world)).run(T0 + 300)
    assert made.phase is CanaryPhase.FAILED
    world.flow = split()
    made._failed_revision = ""  # the Canary object was made anew: Flagger no longer remembers that it failed
    made.run(T0 + 400)
    assert made.phase is CanaryPhase.WAITING
    (refused, *_) = world.since(T0 + 300, "confirm-rollout")
    assert refused.status == 403
    assert "aborted before" in refused.text
    world.override("web", "retry")
    made.run(T0 + 1800)
    assert made.phase is CanaryPhase.SUCCEEDED
    assert [a["attempt"] for a in world.release()["attempts"]] == [1, 2]
    assert [a["phase"] for a in world.release()["attempts"]] == ["aborted", "promoted"]


def test_the_first_traffic_is_approved_once(build):
    """Before any request the first step is approved; one that brings no request is the last."""
    world = build(lambda step, weight: (Flow(total=5000, bad=50), Flow(total=0, bad=0)))
    made = begun(canary(world)).run(T0 + 900)
    assert weights(made) == [5]
    answers = world.since(T0, "confirm-traffic-increase")
    assert answers[0].status == 200
    assert "first traffic" in answers[0].text
    assert {one.status for one in answers[1:]} == {403}
    assert made.phase is CanaryPhase.PROGRESSING
    assert made.failed_at == []


def test_the_first_traffic_is_approved_again_while_nobody_took_it(build):
    """Another hook refuses the step that we approve: approved again for five minutes, then not any more."""
    world = build(split())
    body = {"namespace": "shop", "name": "web", "phase": "Progressing", "checksum": "abc"}
    url = "http://weighbridge.test/flagger/confirm-traffic-increase"
    world.pods["canary"] = []
    statuses = {}
    for second in range(0, 500, 10):
        world.clock.now = T0 + second
        statuses[second] = world.call("POST", url, body)[0]
    assert all(status == 200 for second, status in statuses.items() if second <= 300)
    assert all(status == 403 for second, status in statuses.items() if second > 300)


def test_an_acceptance_test_before_the_first_step_does_not_block_it(build):
    """Requests that reached the canary before its first weight prove nothing, and are no reason to wait for ever."""
    world = build(lambda step, weight: split()(step, weight or 1))
    world.stray = (T0 + 10, T0 + 40)
    made = begun(canary(world)).run(T0 + 1200)
    assert made.phase is CanaryPhase.SUCCEEDED
    assert made.failed_at == []


UNWIRED = (HookType.ROLLOUT, HookType.ROLLBACK, HookType.POST_ROLLOUT)


def test_without_confirm_hooks_nothing_is_enforced_and_it_says_so(build):
    """A hold has nowhere to wait: the release is told ``miswired``, and Flagger goes its own way."""
    world = build(lambda step, weight: split(factor=1 if step < 12 else 4)(step, weight))
    made = begun(canary(world, (1, 2, 3, 4, 5, 50), kinds=UNWIRED)).run(T0 + 600)
    report = world.get(f"/v1/reports/{world.release()['release']['last_report']}")
    assert "miswired" in report["detail"]["flags"]
    assert made.failed_at == []
    assert made.phase is CanaryPhase.SUCCEEDED


def test_without_confirm_hooks_a_hold_that_fails_is_enforced(build):
    """With ``?hold=fail`` at the rollout hook the rollback hook acts as well: a bad release ends at 0."""
    world = build(split(factor=4))
    kinds = (HookType.ROLLOUT, HookType.ROLLBACK, HookType.POST_ROLLOUT, HookType.EVENT)
    made = begun(canary(world, kinds=kinds, query="?hold=fail", threshold=100)).run(T0 + 600)
    report = world.closing()
    assert "miswired" in report["detail"]["flags"]
    assert made.phase is CanaryPhase.FAILED
    assert weights(made)[-1] == 0
    assert len(made.failed_at) < 100


def test_a_background_analysis_beside_inline_ones(build):
    """It asks with the step index that it was born with: no second attempt, no shorter and no longer steps."""
    alone, beside = build(split()), build(split())
    first = rollout(alone).update(NEW).run(T0 + 1200)
    second = rollout(beside, background=watching()).update(NEW).run(T0 + 1200)
    assert second.weights == first.weights
    assert second.phase is RolloutPhase.HEALTHY
    assert [a["attempt"] for a in beside.release()["attempts"]] == [1]
    stages = {one.sent.get("stage") for one in beside.heard}
    assert stages == {"step", "final", "background"}


def test_a_background_analysis_aborts(build):
    """It sees what breaks while an inline analysis waits for more."""
    world = build(lambda step, weight: split(factor=1 if weight < 25 else 6)(step, weight))
    made = rollout(world, background=watching(interval=5.0)).update(NEW).run(T0 + 1200)
    assert made.phase is RolloutPhase.DEGRADED
    assert weights(made)[-2:] == [25, 0]
    assert world.release()["release"]["phase"] == "aborted"


def test_argo_takes_a_newer_revision_in_the_middle(build):
    """The newer one is judged on its own numbers, not on those of the bad one that it replaces."""
    world = build(split(factor=4))
    made = rollout(world).update(NEW).run(T0 + 15)
    world.flow = split()
    made.update(NEWER).run(T0 + 1200)
    assert made.stable == NEWER
    attempts = {a["revision"]: a for a in world.release()["attempts"]}
    assert attempts[NEW]["phase"] == "superseded"
    assert attempts[NEWER]["phase"] == "promoted"


def test_flagger_takes_a_newer_revision_in_the_middle(build):
    """Selectors of Flagger tell no revision: what the older one did is not held against the newer."""
    world = build(split(factor=4))
    made = begun(canary(world)).run(T0 + 60)
    world.flow = split()
    made.update("3").run(T0 + 1200)
    assert made.phase is CanaryPhase.SUCCEEDED
    assert [a["phase"] for a in world.release()["attempts"]] == ["superseded", "promoted"]


def test_a_revision_that_comes_back_is_another_attempt(build):
    """Two revisions later the first one is asked for again: it begins from nothing."""
    world = build(split())
    made = rollout(world).update(NEW).run(T0 + 600)
    made.update(NEWER).run(T0 + 1200)
    assert made.stable == NEWER
    world.flow = split(factor=4)
    made.update(NEW).run(T0 + 1800)
    assert made.phase is RolloutPhase.DEGRADED
    again = [a for a in world.release()["attempts"] if a["revision"] == NEW]
    assert [(a["attempt"], a["phase"]) for a in again] == [(1, "promoted"), (2, "aborted")]


@pytest.mark.parametrize("loses", ["the process", "the store"])
@pytest.mark.parametrize("at", [25, 45, 75])
def test_argo_goes_on_after_the_service_lost(build, loses, at):
    """A restart changes no weight at no time; a lost record is read again and promotes no earlier."""
    whole = rollout(build(split())).update(NEW).run(T0 + 1200)
    world = build(split())
    made = rollout(world).update(NEW).run(T0 + at)
    world.restart(SwitchedStore() if loses == "the store" else None)
    made.run(T0 + 1800)
    assert weights(made) == WEIGHTS
    assert made.phase is RolloutPhase.HEALTHY
    if loses == "the process":
        assert made.weights == whole.weights
    assert world.release()["release"]["phase"] == "promoted"


@pytest.mark.parametrize("loses", ["the process", "the store"])
def test_flagger_goes_on_after_the_service_lost(build, loses):
    """In the middle of a good release, then of a bad one: the ends are those of an unharmed service."""
    for factor, end in ((1, CanaryPhase.SUCCEEDED), (4, CanaryPhase.FAILED)):
        world = build(split(factor=factor))
        made = begun(canary(world)).run(T0 + 65)
        world.restart(SwitchedStore() if loses == "the store" else None)
        made.run(T0 + 1800)
        assert made.phase is end
        assert made.failed_at == []


def test_a_wiped_record_of_a_bad_release_is_rebuilt_and_aborts(build):
    """Looks dropped just before the proof: the next request reads them again and comes to the same verdict and id."""
    world = build(split(factor=4))
    twin = build(split(factor=4))
    rollout(world).update(NEW).run(T0 + 30)
    rollout(twin).update(NEW).run(T0 + 30)
    key = ("", "shop", "web", NEW)
    before = world.store.looks(key, 1)
    world.store.forget_looks(key, 1)
    world.followed.run(T0 + 100)
    twin.followed.run(T0 + 100)
    assert world.store.looks(key, 1)[: len(before)] == before
    assert [(one.time, one.text) for one in world.heard] == [(one.time, one.text) for one in twin.heard]
    assert world.heard[-1].verdict == "abort"
