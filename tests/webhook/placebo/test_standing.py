"""A service whose placebos break the promise: advised instead of enforced, told everywhere, until it ends."""

from __future__ import annotations

import json

import pytest

from analysis.honesty import Account
from analysis.types import Mode
from tests.contract.scene import RELEASE, is_verdict_object
from webhook.placebo.ledger import Entry, Ledger
from webhook.policies import Policies
from webhook.settings import Settings

SETTINGS = Settings(placebo_every_s=86_400.0)
LIFT = "/v1/placebos/shop/checkout/lift"


@pytest.fixture
def watched(scenes):
    """Make services whose placebos of ``shop/checkout`` broke the promise of the policy that it is asked under."""
    made = []

    def make(verdict, settings=SETTINGS, broken=True):
        scene = scenes(verdict, settings=settings)
        if "placebos" in scene.app.extensions:
            made.append(scene.app.extensions["placebos"])
        policy = Policies(None, clock=lambda: 0.0).default()
        entry = Entry(
            namespace="shop", name="checkout", policy=policy.name, digest=policy.digest, account=Account(alpha=0.001)
        )
        outcomes = {"promoted": 4, "aborted": 2} if broken else {"promoted": 6}
        for _ in range(3):
            entry = entry.counted(outcomes, 1000.0, 900.0)
        Ledger(scene.store).finish(entry)
        return scene

    yield make
    for job in made:
        job.stop()


def test_an_abort_becomes_advice(watched):
    """The controller hears hold, the true verdict stands beside it, and the reason says why."""
    scene = watched("abort")
    answer = scene.argo(stage="step")
    found = answer.json
    is_verdict_object(answer)
    assert (found["verdict"], found["would"], found["mode"]) == ("hold", "abort", "advise")
    assert found["reason"].startswith("advise: would abort: error rate")
    assert found["reason"].endswith("[advice only: 4 of 12 placebos were aborted]")


def test_flagger_is_not_told_to_roll_back(watched):
    """The inverted hook: without enforcement nothing is rolled back."""
    scene = watched("abort")
    body = {"namespace": "shop", "name": "checkout", "phase": "Progressing", "checksum": RELEASE["revision"]}
    scene.post("/flagger/confirm-rollout", body)
    refused = scene.post("/flagger/rollback", body)
    assert refused.status_code == 403
    assert "advise: would abort: error rate" in refused.text


def test_a_promotion_stays_one_and_says_so(watched):
    """Only aborts are taken back; every answer tells that the service is advised."""
    found = watched("promote").argo(stage="step").json
    assert (found["verdict"], found["mode"]) == ("promote", "advise")
    assert "[advice only: 4 of 12 placebos were aborted]" in found["reason"]


def test_the_report_and_its_text_tell_it(watched):
    """Flag and remark with promise, counts and time."""
    scene = watched("abort")
    found = scene.argo(stage="step").json
    report = scene.get(f"/v1/reports/{found['id']}?format=json").json
    told = "4 of 12 placebos were aborted (promised is 0.1 % at most): shop/checkout is answered in advise since"
    assert "placebos_aborted" in report["detail"]["flags"]
    assert any(note.startswith(told) for note in report["detail"]["notes"])
    text = " ".join(scene.get(f"/v1/reports/{found['id']}?format=text").text.split())
    assert told in text
    assert "would abort; mode advise answers hold" in text


def test_the_metrics_tell_it(watched):
    """A rule can fire on it."""
    scene = watched("abort")
    lines = scene.get("/metrics").text
    labels = '{policy="default",service="shop/checkout"}'
    assert f"weighbridge_placebo_dropped{labels} 1.0" in lines
    assert 'outcome="aborted",policy="default",service="shop/checkout"} 6.0' in lines


@pytest.mark.parametrize(
    ("settings", "broken", "expected"),
    [
        pytest.param(SETTINGS, False, ("abort", "enforce"), id="promise kept"),
        pytest.param(Settings(), True, ("abort", "enforce"), id="placebos are off"),
        pytest.param(Settings(placebo_every_s=86_400.0, mode=Mode.SHADOW), True, ("promote", "shadow"), id="shadow"),
        pytest.param(Settings(placebo_every_s=86_400.0, mode=Mode.ENFORCE), True, ("hold", "advise"), id="enforced"),
    ],
)
def test_who_is_advised(watched, settings, broken, expected):
    """Only where a promise broke, only while somebody watches whether it holds again; shadow stays shadow."""
    found = watched("abort", settings=settings, broken=broken).argo(stage="step").json
    assert (found["verdict"], found["mode"]) == expected


def test_other_services_are_enforced_as_ever(watched):
    """One noisy service takes nothing from the others."""
    scene = watched("abort")
    found = scene.post("/argo/analysis", {"release": {**RELEASE, "name": "cart"}, "stage": "step"}).json
    assert (found["verdict"], found["mode"]) == ("abort", "enforce")


def test_a_humans_word_is_obeyed(watched):
    """Who says abort is not advised otherwise."""
    scene = watched("promote")
    scene.override("abort", name="checkout", revision=RELEASE["revision"])
    found = scene.argo(stage="step").json
    assert (found["verdict"], found["mode"]) == ("abort", "enforce")


def test_an_operator_lifts_it(watched):
    """The word is kept with who said it; the next answer is enforced."""
    scene = watched("abort")
    answer = scene.post(LIFT, {"actor": "on call", "reason": "node-7 was drained"})
    assert answer.status_code == 200
    (shown,) = answer.json["services"]
    assert (shown["dropped"], shown["lifts"][0]["actor"]) == (False, "on call")
    assert scene.argo(stage="step").json["verdict"] == "abort"
    (listed,) = scene.get("/v1/placebos").json["services"]
    assert listed["lifts"] == shown["lifts"]
    assert scene.post(LIFT, {"actor": "on call", "reason": "again"}).status_code == 404


@pytest.mark.parametrize(
    ("body", "place"),
    [
        pytest.param({"actor": "on call"}, "/reason", id="no reason"),
        pytest.param({"reason": "x", "actor": " "}, "/actor", id="nobody"),
        pytest.param({"reason": "x", "actor": "y", "until": 1}, "/until", id="unknown key"),
        pytest.param([], "", id="no object"),
    ],
)
def test_a_lift_that_nobody_stands_for_is_refused(watched, body, place):
    """Place, rule and value, as everywhere."""
    scene = watched("abort")
    answer = scene.post(LIFT, json.dumps(body), content_type="application/json")
    assert answer.status_code == 400
    assert answer.json.get("place", "") == place
    assert scene.argo(stage="step").json["mode"] == "advise"


def test_the_ledger_is_shown(watched):
    """Per service and policy: promise, counts by outcome, evidence, and why it is advised."""
    (found,) = watched("promote").get("/v1/placebos").json["services"]
    assert (found["namespace"], found["name"]) == ("shop", "checkout")
    assert found["promised"] == 0.001
    assert found["outcomes"] == {"promoted": 12, "aborted": 6}
    assert found["aborted_ratio"] == pytest.approx(1 / 3)
    assert found["dropped"] is True
