"""Flagger's hooks: what belongs to a canary's life beside the table."""

from __future__ import annotations

import numpy as np
import pytest

from tests.contract.scene import BEFORE, SOURCES, STEP, Scene, counted


def without_canary():
    """Return a source whose canary has not been seen, and will not be."""
    source = counted(30, 0.0, 0.0)
    for fields in source.numbers["error-rate"].values():
        fields["canary"]["c-1"][:] = np.nan
    return source


@pytest.fixture
def unborn():
    return Scene(source=without_canary())


def test_the_first_step_comes_before_any_traffic(unborn):
    """The first confirm-traffic-increase is approved while no request has reached the canary, for five minutes."""
    first = unborn.hook("confirm-traffic-increase")
    assert (first.status_code, first.text) == (200, "first traffic: no request has reached the canary yet\n")
    for _ in range(10):
        unborn.clock.advance(30)
        assert unborn.hook("confirm-traffic-increase").status_code == 200
    unborn.clock.advance(30)
    late = unborn.hook("confirm-traffic-increase")
    assert late.status_code == 403
    assert "canary" in late.text


@pytest.mark.parametrize(("unready", "status"), [(0.0, 200), (1.0, 403)], ids=["ready", "not ready"])
def test_a_canary_whose_pods_are_not_ready_gets_no_first_traffic(unready, status):
    """No request has reached it, and none shall: the hold stands and says why."""
    source = without_canary()
    looks = len(source.numbers["error-rate"]["total"]["baseline"]["s-0"])
    stable = {f"s-{n}": np.zeros(looks) for n in range(4)}
    source.numbers["pods-not-ready"] = {"values": {"baseline": stable, "canary": {"c-1": np.full(looks, unready)}}}
    answer = Scene(source=source).hook("confirm-traffic-increase")
    assert answer.status_code == status
    assert answer.text.startswith("first traffic" if status == 200 else "pods not ready too high: 100 %")


@pytest.mark.parametrize("hook", ["confirm-promotion", "rollback"])
def test_no_other_hook_is_approved_without_traffic(unborn, hook):
    """Neither promotion nor rollback rests on a canary that nobody has seen."""
    assert unborn.hook(hook).status_code == 403


def test_an_outage_is_not_first_traffic(unborn):
    """With the source away it is unknown whether there was traffic: the step waits."""
    unborn.source.fail()
    assert unborn.hook("confirm-traffic-increase").status_code == 403


def test_a_human_hold_is_obeyed_before_traffic(unborn):
    """A human's hold wins over the approval of first traffic."""
    unborn.override("hold")
    assert unborn.hook("confirm-traffic-increase").status_code == 403


def test_the_policy_comes_from_the_query_then_from_metadata(service):
    """``?policy=`` wins over ``metadata.policy``; unknown ones are named."""
    assert "'one'" in service.hook("rollout", "?policy=one", metadata={"policy": "two"}).text
    assert "'two'" in service.hook("rollout", metadata={"policy": "two"}).text


def test_the_end_is_told_by_flagger(service):
    """post-rollout with Succeeded ends a release as promoted, with a closing report."""
    service.hook("rollback")
    service.hook("confirm-promotion")
    assert service.get("/v1/releases/shop/web").json["release"]["phase"] == "promoting"
    answer = service.hook("post-rollout", phase="Succeeded")
    assert (answer.status_code, answer.text) == (202, "recorded: promoted\n")
    found = service.get("/v1/releases/shop/web").json
    assert found["release"]["phase"] == "promoted"
    closing = service.get(f"/v1/reports/{found['release']['closing']['report']}").json
    assert closing["detail"]["closing"]["outcome"] == "promoted"
    assert [event["action"] for event in found["history"]][-1] == "promoted"


def test_a_rollback_of_others_is_recorded_as_one(service):
    """When Flagger rolls back for reasons of its own, history says that no verdict of ours asked for it."""
    service.hook("rollout")
    assert service.hook("post-rollout", phase="Failed").status_code == 202
    found = service.get("/v1/releases/shop/web").json
    assert found["release"]["phase"] == "aborted"
    assert "no verdict of ours" in found["history"][-1]["reason"]


def test_an_abort_reaches_the_event_through_post_rollout(scenes):
    """After a rollback that we asked for, post-rollout answers 412 with the very reason."""
    scene = scenes("abort")
    why = scene.hook("rollback").text
    answer = scene.hook("post-rollout", phase="Failed")
    assert (answer.status_code, answer.text) == (412, why)


def test_events_write_history(service):
    """What Flagger says of weights and halts becomes lines of history; idle talk does not."""
    service.hook("rollout")
    for message in ("Advance web.shop canary weight 15", "Starting canary analysis for web.shop", "nothing of note"):
        assert service.hook("event", metadata={"eventMessage": message, "eventType": "Normal"}).status_code == 202
    told = [e for e in service.get("/v1/releases/shop/web").json["history"] if e["action"] == "flagger"]
    assert [(event["weight"], event["reason"]) for event in told] == [(0.15, "Advance web.shop canary weight 15")]


def test_every_message_is_kept_and_a_wait_is_told_once(service):
    """Messages without a weight follow each other in history; one that repeats between verdicts is one line."""
    waiting = "Halt web.shop advancement waiting for traffic increase approval next step"
    for message in ("New revision detected! Scaling up web.shop", waiting, waiting, "Copying web.shop template spec"):
        service.hook("rollback")
        service.hook("event", metadata={"eventMessage": message, "eventType": "Normal"})
    told = [e["reason"] for e in service.get("/v1/releases/shop/web").json["history"] if e["action"] == "flagger"]
    assert told == ["New revision detected! Scaling up web.shop", waiting, "Copying web.shop template spec"]


def test_an_event_of_an_unknown_release_opens_none(service):
    """Flagger talks about canaries that we never weighed: thanked, and nothing kept."""
    assert service.hook("event", checksum="never").status_code == 202
    assert service.store.inner.releases() == []


def test_without_confirm_hooks_a_canary_is_miswired_and_not_enforced(scenes):
    """A hold that has nowhere to wait is reported; after three ticks nothing is enforced."""
    scene = scenes("abort")
    scene.clock.now -= 60
    answers = []
    for _ in range(4):
        answers.append(scene.hook("rollout").status_code)
        scene.clock.advance(STEP + 5)
    assert answers == [412, 412, 200, 200]
    report = scene.get("/v1/releases/shop/web").json["reports"][0]
    assert (report["mode"], report["would"]) == ("shadow", "abort")
    assert "miswired" in scene.get(f"/v1/reports/{report['id']}").json["detail"]["flags"]


def test_hold_fails_is_a_place_to_wait(scenes):
    """With ``?hold=fail`` the rollout hook is where a hold counts: the canary is enforced."""
    scene = scenes("abort")
    scene.clock.now -= 60
    for _ in range(4):
        assert scene.hook("rollout", "?hold=fail").status_code == 412
        scene.clock.advance(STEP + 5)


def test_a_confirm_hook_seen_once_wires_the_canary(scenes):
    """confirm-rollout comes with the previous checksum and still counts for the canary."""
    scene = scenes("abort")
    scene.clock.now -= 60
    scene.hook("confirm-rollout", checksum="previous")
    for _ in range(4):
        assert scene.hook("rollout").status_code == 412
        scene.clock.advance(STEP + 5)


def test_metadata_may_name_weights(service):
    """Weights as text in metadata are read as shares."""
    answer = service.hook("rollout", metadata={"weight": "15"})
    assert "share between 0 and 1" in answer.text
    assert service.hook("rollout", metadata={"weight": "0.15", "next_weight": "1"}).status_code == 200


def test_history_before_the_canary_is_long_enough_to_learn_from():
    """The examples hold ten minutes of stable history, so that noise is learned and not assumed."""
    assert BEFORE * STEP == 600
    assert set(SOURCES) == {"promote", "hold", "abort"}
