"""Where Flagger shifts no weights, a release can wait only at its end: blue/green and A/B."""

from __future__ import annotations

import pytest

from e2e.harness.canary import BAD, NAME, OTHER, Canary, Setup
from e2e.harness.cluster import Cluster
from e2e.harness.process import wait_for

LIMIT_S = 420
ITERATIONS = "flagger/canary-iterations.yaml"
INSIDERS = [{"headers": {"x-canary": {"exact": "insider"}}}]


@pytest.mark.timeout(LIMIT_S)
def test_blue_green_is_promoted_when_a_human_lets_it(cluster: Cluster) -> None:
    """Held by a human the iterations go by, then it waits for promotion and fails nothing; let go, it is promoted."""
    canary = Canary(cluster, "flagger-iterations", Setup(manifest=ITERATIONS, analysis={"iterations": 3})).start()
    canary.release(OTHER)
    canary.wait(lambda seen: seen.iterations == 1, "the first iteration", 150)
    canary.override("hold", "wait for marketing")
    canary.wait_phase("WaitingPromotion", limit=180)
    canary.wait_ticks(3)
    assert canary.now.phase == "WaitingPromotion"
    assert f"Halt {NAME}.{canary.namespace} advancement waiting for promotion approval promote" in canary.messages()
    assert canary.answers("confirm-promotion")[-1]["reason"] == "override by on call: wait for marketing"
    assert canary.image() != OTHER

    canary.override("promote", "marketing is ready")
    canary.wait_phase("Succeeded", limit=300)
    assert canary.image() == OTHER
    assert [one for one in canary.since_update() if one.failed] == []
    canary.wait_history("promoted: Flagger promoted it")
    assert "override: hold: override by on call: wait for marketing" in canary.history()
    canary.stop()


@pytest.mark.timeout(LIMIT_S)
def test_blue_green_is_promoted_by_what_a_load_test_shows(cluster: Cluster) -> None:
    """With no human word, the requests of a load test at the canary's own service prove that it may go on."""
    canary = Canary(cluster, "flagger-loadtest", Setup(manifest=ITERATIONS, analysis={"iterations": 2})).start()
    canary.release(OTHER)
    canary.wait_phase("Succeeded", limit=300)
    assert canary.image() == OTHER
    assert [one for one in canary.since_update() if one.failed] == []
    last = canary.answers("confirm-promotion")[-1]
    assert (last["verdict"], last["stage"]) == ("promote", "final")
    canary.stop()


@pytest.mark.timeout(LIMIT_S)
def test_insiders_of_an_ab_test_decide(cluster: Cluster) -> None:
    """Only requests with the header reach the canary; it is promoted once they prove it harmless."""
    analysis = {"iterations": 2, "stepWeight": None, "maxWeight": None, "match": INSIDERS}
    canary = Canary(cluster, "flagger-ab", Setup(analysis=analysis)).start()
    canary.release(OTHER)
    canary.wait(lambda seen: seen.iterations >= 1, "the first iteration", 150)
    wait_for(lambda: abs(canary.app.shares.get(OTHER, 0.0) - 0.2) < 0.1, "only insiders at the canary", limit=15)
    canary.wait_phase("Succeeded", limit=300)
    assert canary.image() == OTHER
    assert [one for one in canary.since_update() if one.failed] == []
    assert canary.ended()["release"]["phase"] == "promoted"
    canary.stop()


@pytest.mark.timeout(LIMIT_S)
def test_insiders_of_an_ab_test_in_a_mesh_are_spared(cluster: Cluster) -> None:
    """Istio: a release that fails its insiders three times as often goes back before its iterations are over."""
    analysis = {"iterations": 10, "stepWeight": None, "maxWeight": None, "match": INSIDERS}
    canary = Canary(cluster, "flagger-ab-istio", Setup(provider="istio", analysis=analysis)).start()
    canary.release(BAD, ratio=3.0)
    canary.wait_phase("Failed", limit=240)
    assert [one for one in canary.since_update() if one.failed] == []
    assert max(one.iterations for one in canary.since_update()) < 10
    wait_for(lambda: canary.app.shares.get(BAD, 0.0) == 0.0, "no traffic at the canary", limit=15)
    told = canary.ended()
    assert told["release"]["phase"] == "aborted"
    assert any(line["action"] == "abort" and "worse than stable" in line["reason"] for line in told["history"])
    canary.stop()
