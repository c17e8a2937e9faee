"""Flagger shifts traffic by weights, and weighbridge says when: promoted, held, spoken for by a human."""

from __future__ import annotations

import pytest

from e2e.harness.canary import NAME, OTHER, THIRD, TICK_S, Canary, Seen, Setup
from e2e.harness.cluster import Cluster
from e2e.harness.process import wait_for

LIMIT_S = 420


def steps(seen: list[Seen]) -> list[int]:
    """Return the weights that were set one after the other, before the promotion."""
    weights: list[int] = []
    for one in seen:
        if one.phase == "Progressing" and (not weights or weights[-1] != one.weight):
            weights.append(one.weight)
    return weights


def assert_promoted(canary: Canary, image: str, weights: list[int]) -> None:
    """Flagger's own objects say that every step was taken, that no check failed, and that users get the new image."""
    seen = canary.since_update()
    assert steps(seen) == weights
    assert [one for one in seen if one.failed] == []
    assert canary.image() == image
    told = canary.ended()
    assert told["release"]["phase"] == "promoted"
    (attempt,) = told["attempts"]
    assert attempt["attempt"] == 1


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize(
    ("provider", "namespace"),
    [
        pytest.param("nginx", "flagger-nginx", id="nginx ingress"),
        pytest.param("gatewayapi:v1", "flagger-gateway", id="Gateway API"),
    ],
)
def test_a_healthy_release_is_promoted_step_by_step(cluster: Cluster, provider: str, namespace: str) -> None:
    """Each weight is set after the last one was weighed; Flagger's events are in our history and ours count nothing."""
    canary = Canary(cluster, namespace, Setup(provider=provider)).start()
    canary.release(OTHER)
    canary.wait_weight(20, limit=150)
    # What Flagger wrote into the router's object is what the requests follow.
    wait_for(lambda: abs(canary.app.shares.get(OTHER, 0.0) - 0.2) < 0.1, "traffic at 20 %", limit=15)
    canary.wait_phase("Succeeded", limit=300)
    assert_promoted(canary, OTHER, [0, 20, 40, 60])

    # Of the later ones Kubernetes may keep none: 25 at once, then one in five minutes.
    said = canary.messages()
    assert f"Advance {NAME}.{canary.namespace} canary weight 20" in said
    assert "Confirm-traffic-increase check next step passed" in said
    history = canary.history()
    for weight in (20, 40, 60):
        assert f"flagger: Advance {NAME}.{canary.namespace} canary weight {weight}" in history
    assert "promoted: Flagger promoted it" in history
    canary.stop()


@pytest.mark.timeout(LIMIT_S)
def test_a_step_that_cannot_be_judged_yet_waits_without_being_counted(cluster: Cluster) -> None:
    """With too few requests the weight stays and nothing fails; with enough of them the release goes on by itself."""
    canary = Canary(cluster, "flagger-hold", Setup(rps=8.0)).start()
    canary.release(OTHER)
    begun = canary.wait_weight(20, limit=150)
    canary.wait_ticks(3, hook="confirm-traffic-increase")
    assert canary.now.told == ("Progressing", 20, 0, 0)
    assert (
        f"Halt {NAME}.{canary.namespace} advancement waiting for traffic increase approval next step"
        in canary.messages()
    )
    assert canary.told()["release"]["phase"] == "held"
    assert any(line.startswith("hold: ") and "more canary requests" in line for line in canary.history())

    canary.app.rps = 800.0
    canary.wait_phase("Succeeded", limit=300)
    assert_promoted(canary, OTHER, [0, 20, 40, 60])
    assert next(seen.at for seen in canary.since_update() if seen.weight == 40) - begun.at >= 3 * TICK_S
    canary.stop()


@pytest.mark.timeout(LIMIT_S)
def test_without_traffic_a_human_promotes(cluster: Cluster) -> None:
    """One step of traffic is granted to a canary that nobody reaches, no second; a human's word takes it to the end."""
    canary = Canary(cluster, "flagger-human", Setup()).start()
    canary.app.rps = 0.0
    canary.release(OTHER)
    canary.wait_weight(20, limit=150)
    canary.wait_ticks(3, hook="confirm-traffic-increase")
    assert canary.now.told == ("Progressing", 20, 0, 0)

    canary.override("promote", "seen to be well by hand")
    canary.wait_phase("Succeeded", limit=300)
    assert_promoted(canary, OTHER, [0, 20, 40, 60])
    assert "override: promote: override by on call: seen to be well by hand" in canary.history()
    canary.stop()


@pytest.mark.timeout(LIMIT_S)
def test_no_release_begins_while_a_human_holds_it(cluster: Cluster) -> None:
    """A freeze waits at confirm-rollout: nothing is scaled up, nothing fails; lifted, the release begins."""
    canary = Canary(cluster, "flagger-freeze", Setup(analysis={"stepWeight": 50, "maxWeight": 50})).start()
    canary.release(OTHER)
    canary.wait_phase("Succeeded", limit=300)

    canary.override("hold", "nobody is here at night")
    canary.release(THIRD)
    canary.wait_phase("Waiting", limit=180)
    canary.wait_ticks(2, hook="confirm-rollout")
    waiting = f"Halt {NAME}.{canary.namespace} advancement waiting for approval may begin"
    assert waiting in canary.messages()
    assert cluster.api.get("Deployment", canary.namespace, NAME)["spec"]["replicas"] == 0
    assert canary.now.told == ("Waiting", 0, 0, 0)
    assert canary.answers("confirm-rollout")[-1]["reason"] == "override by on call: nobody is here at night"

    canary.override("promote", "people are back")
    canary.wait_phase("Succeeded", limit=300)
    assert canary.image() == THIRD
    assert [one for one in canary.since_update() if one.failed] == []
    canary.stop()
