"""A release that is worse goes back on the tick on which that is proved, and Kubernetes says why."""

from __future__ import annotations

import pytest

from e2e.harness.canary import BAD, NAME, Canary, Setup
from e2e.harness.cluster import Cluster
from e2e.harness.process import wait_for

LIMIT_S = 420


@pytest.mark.timeout(LIMIT_S)
def test_three_times_the_errors_roll_back_on_the_tick_that_proves_it(cluster: Cluster) -> None:
    """No check fails first: the rollback hook acts, traffic is back, and an event quotes our reason."""
    canary = Canary(cluster, "flagger-abort", Setup()).start()
    canary.release(BAD, ratio=3.0)
    failed = canary.wait_phase("Failed", limit=240)

    assert [one for one in canary.since_update() if one.failed] == []
    assert failed.weight == 0
    assert max(one.weight for one in canary.since_update()) == 20
    wait_for(lambda: canary.app.shares.get(BAD, 0.0) == 0.0, "no traffic at the canary", limit=15)
    assert canary.image() != BAD

    reason = "Post-rollout hook closing report failed "
    (quoted,) = wait_for(
        lambda: [text for text in canary.messages() if text.startswith(reason)] or None, "the reason", limit=10
    )
    assert "statistical test says worse than stable, odds" in quoted
    said = canary.messages()
    assert "Rollback check roll back passed" in said
    assert f"Rolling back {NAME}.{canary.namespace} manual webhook invoked" in said

    wait_for(lambda: canary.told()["history"][-1]["action"] == "rolled back", "Flagger's last word", limit=20)
    told = canary.told()
    assert told["release"]["phase"] == "aborted"
    lines = told["history"]
    proved = next(line for line in lines if line["action"] == "abort")
    assert proved["reason"] == quoted.removeprefix(reason)
    # The same tick: Flagger asks for a rollback first in it, and once it was answered asks for nothing else.
    asked = [line["hook"] for line in canary.service.log if line.get("namespace") == canary.namespace]
    assert asked[-1] == "rollback"
    assert [line["verdict"] for line in canary.answers("rollback")].count("abort") == 1
    canary.stop()


@pytest.mark.timeout(LIMIT_S)
def test_a_human_rolls_back(cluster: Cluster) -> None:
    """An override to abort is answered at the rollback hook, and its reason stands in an event."""
    canary = Canary(cluster, "flagger-human-abort", Setup(manifest="flagger/canary-iterations.yaml")).start()
    canary.release("checkout:2")
    canary.wait(lambda seen: seen.iterations >= 2, "two iterations", 150)
    canary.override("abort", "wrong version was tagged")
    canary.wait_phase("Failed", limit=240)
    assert [one for one in canary.since_update() if one.failed] == []
    text = "Post-rollout hook closing report failed on call: wrong version was tagged"
    wait_for(lambda: text in canary.messages(), text, limit=10)
    canary.stop()
