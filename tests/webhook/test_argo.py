"""Argo's endpoint: what its web metric reads."""

from __future__ import annotations

import pytest

from analysis.types import Mode
from tests.contract.scene import NOW, RELEASE, is_verdict_object
from webhook.settings import Settings


def test_a_promote_says_who_what_and_why(scenes):
    """The verdict object names release, policy, window, questions and the report behind it."""
    scene = scenes("promote", settings=Settings(public_url="https://weighbridge.example/"))
    found = scene.argo(stage="step").json
    assert found["verdict"] == found["would"] == "promote"
    assert found["release"] == {
        "namespace": "shop", "name": "checkout", "revision": "6c54bd4f4b", "attempt": 1, "stage": "step",
        "phase": "promoting",
    }  # fmt: skip
    assert found["policy"].startswith("default@")
    assert found["questions"]["error-rate"] == "no_worse"
    assert found["window"]["looks"] >= 80
    assert found["url"] == f"https://weighbridge.example/reports/{found['id']}"
    assert scene.get(f"/v1/reports/{found['id']}").json["reason"] == found["reason"]


def test_a_hold_has_a_forecast(scenes):
    """A hold says how many requests and how long it still takes."""
    found = scenes("hold").argo(stage="final").json
    assert found["verdict"] == "hold"
    assert found["forecast"]["seconds"] > 0


def test_the_same_question_is_the_same_answer(scenes):
    """Asked again within the same look: verdict, reason and id stay, and nothing is read twice."""
    scene = scenes("promote")
    first = scene.argo(stage="step").json
    read = len(scene.source.asked)
    scene.clock.advance(3)
    again = scene.argo(stage="step").json
    assert {key: again[key] for key in ("id", "verdict", "reason")} == {
        key: first[key] for key in ("id", "verdict", "reason")
    }
    assert len(scene.source.asked) - read <= 1


def test_numbers_and_everything_else_may_be_text(scenes):
    """Argo templates everything to strings: the same release, weight and stage are read from them."""
    scene = scenes("promote")
    body = {
        "release": {**RELEASE, "weight": "0.1", "next_weight": "", "cluster": ""},
        "stage": "final",
        "dry_run": "false",
        "policy": "",
        "unknown": {"x": "1"},
    }
    found = scene.post("/argo/analysis", body).json
    assert (found["release"]["stage"], found["verdict"]) == ("final", "promote")


def test_a_get_opens_no_attempt(scenes):
    """A GET asks about a release and leaves no trace of one."""
    scene = scenes("promote")
    query = "&".join(f"{key}={value}" for key, value in RELEASE.items())
    answer = scene.get(f"/argo/analysis?{query}")
    is_verdict_object(answer)
    assert answer.json["verdict"] == "promote"
    assert scene.store.inner.releases() == []


def test_a_dry_run_opens_no_attempt(scenes):
    """``dry_run`` asks about a release and leaves no trace of one."""
    scene = scenes("abort")
    assert scene.argo(dry_run="true").json["verdict"] == "abort"
    assert scene.store.inner.releases() == []


def test_a_retry_after_an_abort_is_another_attempt(scenes):
    """The first POST more than 10 s after an abort that was told begins anew, with the same body."""
    scene = scenes("abort")
    assert scene.argo().json["release"]["attempt"] == 1
    scene.clock.advance(9)
    assert scene.argo().json["release"]["attempt"] == 1
    scene.clock.advance(6)
    assert scene.argo().json["release"]["attempt"] == 2


def test_selectors_that_match_nothing_are_a_hold_with_words(scenes):
    """A source without any series of either side holds, and says that the selectors matched nothing."""
    scene = scenes("promote")
    scene.source.numbers = {}
    found = scene.argo().json
    assert found["verdict"] == "hold"
    assert found["reason"] == "no data yet: the selectors of baseline and canary have matched nothing so far"


def test_a_missing_stable_hash_is_a_hold_with_words(scenes):
    """An empty selector value matches too much or nothing: it is said before anything is fetched."""
    scene = scenes("promote")
    found = scene.post("/argo/analysis", {"release": {**RELEASE, "stable_revision": ""}}).json
    assert (found["verdict"], found["reason"]) == ("hold", "a selector uses $baseline, which is empty")
    assert scene.source.asked == []


def test_without_a_source_everything_but_inline_data_is_held(scenes):
    """A policy whose source is not configured holds and names it."""
    scene = scenes("promote")
    policy = {"preset": "http_requests_total", "source": "eu"}
    found = scene.argo(policy=policy).json
    assert found["verdict"] == "hold"
    assert "'eu'" in found["reason"]


def test_an_inline_policy_is_judged_by_its_own_rules(scenes):
    """A whole policy may stand in the request, as an object or as text."""
    scene = scenes("promote")
    policy = {"preset": "http_requests_total", "min_requests": 10**7}
    found = scene.argo(policy=policy, stage="step").json
    assert found["verdict"] == "hold"
    assert "of at least 10,000,000 canary requests" in found["reason"]


def test_a_recovered_source_is_judged_again(scenes):
    """After an outage the record is completed, and the verdict is the one without the outage."""
    scene = scenes("promote")
    scene.source.fail()
    assert scene.argo(stage="step").json["verdict"] == "hold"
    scene.source.recover()
    assert scene.argo(stage="step").json["verdict"] == "promote"


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.ADVISE])
def test_nothing_is_aborted_before_the_service_is_trusted(scenes, mode):
    """In shadow and advise no release is aborted, and the phase says so."""
    scene = scenes("abort", settings=Settings(mode=mode))
    found = scene.argo().json
    assert found["verdict"] != "abort"
    assert found["would"] == "abort"
    assert scene.get("/v1/releases/shop/checkout").json["release"]["phase"] != "aborted"


def test_a_past_verdict_is_given_for_its_own_time(scenes):
    """``at`` asks for the verdict as it stood then: fewer looks, and no later number."""
    scene = scenes("promote")
    now = scene.argo(stage="step").json
    then = scene.argo(stage="step", at=str(NOW - 1200), dry_run="true").json
    assert then["window"]["looks"] < now["window"]["looks"]
    assert then["window"]["end"] < now["window"]["end"]
