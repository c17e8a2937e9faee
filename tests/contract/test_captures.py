"""Every recorded request of the real controllers, sent to the real application with its own headers and body."""

from __future__ import annotations

import json

import pytest

from tests.contract.scene import NOW, SOURCES, Scene, is_plain_line, is_verdict_object
from tests.shared_data import capture
from webhook.answers import ANSWERS, Heard, Hook

ARGO = [
    "argo_canary_pass_requests.json",
    "argo_canary_fail_error_inconclusive_requests.json",
    "argo_abort_retry_bluegreen_requests.json",
    "argo_edge_requests.json",
    "argo_cluster_template_verdicts.json",
]
FLAGGER = [
    "flagger_kubernetes_bluegreen_requests.json",
    "flagger_nginx_weights_requests.json",
    "flagger_no_counting_hooks_requests.json",
    "flagger_kubernetes_metrics_edges_requests.json",
]
WEIGHED = {Hook.PRE_ROLLOUT, Hook.ROLLOUT, Hook.CONFIRM_TRAFFIC_INCREASE, Hook.CONFIRM_PROMOTION, Hook.ROLLBACK}
CASES = [*SOURCES, "source down", "store down"]


def scene_of(case):
    scene = Scene(source=SOURCES.get(case, SOURCES["abort"])())
    if case == "source down":
        scene.source.fail()
    scene.store.down = case == "store down"
    return scene


def replayed(scene, request, path, newest):
    """Send one recorded request to ``path`` at its own time before `NOW`, and return the answer."""
    scene.clock.now = NOW - (newest - request["t"])
    query = request["target"].partition("?")[2]
    return scene.client.open(
        f"{path}?{query}" if query else path,
        method=request["method"],
        headers=request["headers"],
        data=request["body"].encode(),
    )


def hook_of(request):
    """Return the hook that a recorded path means, None for one that is no hook; untyped ones are rollout."""
    last = request["target"].partition("?")[0].rpartition("/")[2]
    return Hook.ROLLOUT if last == "untyped" else next((hook for hook in Hook if hook.value == last), None)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ARGO)
def test_recorded_requests_of_argo_are_answered_with_verdicts(name, case):
    """GET and POST: always 200 with a verdict object; PUT, which nobody offered: 405. Degraded: always hold."""
    requests = capture(name)["requests"]
    scene = scene_of(case)
    for request in requests:
        answer = replayed(scene, request, "/argo/analysis", requests[-1]["t"])
        if request["method"] == "PUT":
            assert answer.status_code == 405
            continue
        is_verdict_object(answer)
        if case not in SOURCES:
            assert answer.json["verdict"] == "hold"


@pytest.mark.parametrize("verdict", SOURCES)
def test_the_recorded_cluster_template_is_understood(verdict):
    """Strings for numbers, an empty weight: with the stable hash beside them the numbers decide."""
    requests = capture("argo_cluster_template_verdicts.json")["requests"]
    scene = scene_of(verdict)
    found = []
    for request in requests:
        release = request["json"]["release"]
        asked = {**request["json"], "release": {**release, "stable_revision": "5d8f7c9b6d"}}
        answer = replayed(
            scene, {**request, "body": json.dumps(asked), "headers": {}}, "/argo/analysis", requests[-1]["t"]
        ).json
        named = ("namespace", "name", "revision")
        assert [answer["release"][key] for key in named] == [release[key] for key in named]
        assert answer["release"]["stage"] == request["json"]["stage"]
        found.append(answer["verdict"])
    assert verdict in found
    assert set(found) <= {verdict, "hold"}


def test_a_release_without_its_stable_hash_is_held_with_that_reason():
    """The recorded template sent no stable hash: there is nothing to compare with, and the reason says which name."""
    requests = capture("argo_cluster_template_verdicts.json")["requests"]
    answer = replayed(scene_of("promote"), requests[0], "/argo/analysis", requests[-1]["t"])
    assert (answer.json["verdict"], answer.json["reason"]) == ("hold", "a selector uses $baseline, which is empty")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FLAGGER)
def test_recorded_hooks_of_flagger_are_answered_by_the_table(name, case):
    """Each hook hears a cell of its row that the numbers allow; a rollback needs numbers that prove it."""
    requests = [request for request in capture(name)["requests"] if hook_of(request)]
    scene = scene_of(case)
    said = Heard(case) if case in SOURCES else Heard.DEGRADED
    meant = 0
    for request in requests:
        hook = hook_of(request)
        answer = replayed(scene, request, f"/flagger/{hook.value}", requests[-1]["t"])
        is_plain_line(answer)
        row = ANSWERS[hook]
        if hook in WEIGHED:
            allowed = {row[said], row[Heard.HOLD], row[Heard.DEGRADED]}
            meant += answer.status_code == row[said]
            if hook is Hook.CONFIRM_TRAFFIC_INCREASE and "first traffic" in answer.text:
                allowed.add(row[Heard.PROMOTE])
        else:
            allowed = {row[heard] for heard in (Heard.PROMOTE, Heard.HOLD, Heard.DEGRADED, said)}
        assert answer.status_code in allowed, (request["n"], hook, answer.text)
        assert answer.status_code < 500
        if case in ("store down", "source down") and hook in WEIGHED:
            assert answer.status_code == row[Heard.DEGRADED]
    assert meant or not any(hook_of(request) in WEIGHED for request in requests)


@pytest.mark.parametrize("name", FLAGGER)
def test_a_recorded_rollout_is_one_release_a_checksum(name):
    """confirm-rollout carries the previous checksum: only the other hooks make a release of theirs."""
    requests = [request for request in capture(name)["requests"] if hook_of(request)]
    scene = scene_of("promote")
    for request in requests:
        replayed(scene, request, f"/flagger/{hook_of(request).value}", requests[-1]["t"])
    told = {request["json"]["checksum"] for request in requests if hook_of(request) in WEIGHED}
    kept = {release["revision"] for release in scene.get("/v1/releases").json["releases"]}
    assert kept == told
