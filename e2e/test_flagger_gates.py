"""Gates of ours in a real canary, beside our hooks: where a person has the last word."""

from __future__ import annotations

import pytest

from e2e.harness.canary import NAME, OTHER, THIRD, Canary, Setup
from e2e.harness.cluster import Cluster
from e2e.harness.process import wait_for

HOOKS = (
    ("confirm-promotion", "a person promotes", "gate/check?hook=confirm-promotion&once=true"),
    ("rollback", "a person rolls back", "rollback/check"),
)
ONE_STEP = {"stepWeight": 50, "maxWeight": 50}


@pytest.mark.timeout(500)
def test_a_person_opens_the_gates(cluster: Cluster) -> None:
    """What is proved waits for the gate, which lets one release through; the next is rolled back by the other gate."""
    canary = Canary(cluster, "flagger-gates", Setup(analysis=ONE_STEP, more_hooks=HOOKS)).start()
    canary.release(OTHER)
    canary.wait_phase("WaitingPromotion", limit=180)
    wait_for(lambda: proved(canary) >= 2, "what is proved to wait for the gate", limit=90)
    assert canary.now.phase == "WaitingPromotion"
    canary.service.gate("gate/open", canary.namespace, NAME)
    canary.wait_phase("Succeeded", limit=300)
    assert [one for one in canary.since_update() if one.failed] == []
    gates = canary.service.get(f"/v1/gates/{canary.namespace}/{NAME}")
    assert [gate["state"] for gate in gates["gates"]] == ["used"]
    assert [line["action"] for line in gates["history"]] == ["passed", "open"]

    canary.release(THIRD)
    canary.wait_phase("WaitingPromotion", limit=180)
    canary.service.gate("rollback/open", canary.namespace, NAME)
    canary.wait_phase("Failed", limit=240)
    assert canary.image() == OTHER
    canary.wait_history("rolled back: Flagger rolled it back; no verdict of ours asked for it")
    canary.stop()


def proved(canary: Canary) -> int:
    """Return how often our own hook has let the release be promoted: the gate is asked after it."""
    return [line["verdict"] for line in canary.answers("confirm-promotion")].count("promote")
