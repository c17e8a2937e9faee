"""Three minutes without weighbridge, or without Prometheus, in mid-release: nothing moves, nothing fails."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from e2e.harness.canary import OTHER, Canary, Setup
from e2e.harness.cluster import Cluster

LIMIT_S = 480
OUTAGE_S = 180.0
AFTER_S = 20.0
"""By then an answer that was on its way when the outage began has arrived, and Flagger has acted on it."""


def outlives(
    canary: Canary, stop: Callable[[], None], start: Callable[[], None], *, meanwhile: Callable[[], None]
) -> None:
    """Take something away for three minutes in the middle of a release; the release stays, then goes on to its end."""
    canary.release(OTHER)
    canary.wait_weight(20, limit=150)
    stop()
    down = time.time()
    time.sleep(AFTER_S)
    before = canary.now
    assert before.phase == "Progressing"
    assert before.weight in (20, 40)
    time.sleep(OUTAGE_S - (time.time() - down) - 1.0)
    assert canary.now == before, "something changed while nothing could be known"
    meanwhile()
    start()
    canary.wait_phase("Succeeded", limit=300)
    seen = canary.since_update()
    assert [one for one in seen if one.failed] == []
    assert [one for one in seen if one.weight < before.weight and one.phase == "Progressing" and one.at > down] == []
    assert canary.image() == OTHER
    phases = [attempt["phase"] for attempt in canary.ended()["attempts"]]
    assert phases[-1] == "promoted"
    assert "aborted" not in phases
    assert not [text for text in canary.messages() if "Rolling back" in text]


@pytest.mark.timeout(LIMIT_S)
def test_a_release_outlives_weighbridge(cluster: Cluster) -> None:
    """Confirm hooks that nobody answers are not yet, rollback hooks are no; back again, the same attempt goes on."""
    service = cluster.service("flagger-outage")
    canary = Canary(cluster, "flagger-outage", Setup(service=service)).start()

    def waits() -> None:
        text = "advancement waiting for traffic increase approval next step"
        assert any(text in said for said in canary.messages())

    outlives(canary, service.kill, service.start, meanwhile=waits)
    canary.stop()


@pytest.mark.timeout(LIMIT_S)
def test_a_release_outlives_prometheus(cluster: Cluster) -> None:
    """While the source is away every answer is a hold that says so; what was counted meanwhile is not made up."""
    namespace = "flagger-source"
    source = cluster.source(namespace, namespaces=[namespace])
    service = cluster.service(namespace, prometheus=source)
    canary = Canary(cluster, namespace, Setup(service=service, sources=[source])).start()

    def says_so() -> None:
        last = canary.answers("confirm-traffic-increase")[-1]
        assert last["verdict"] == "degraded"
        assert "Prometheus" in last["reason"] or "source" in last["reason"]
        assert canary.history()[-1].startswith("degraded: ")

    outlives(canary, source.kill, source.start, meanwhile=says_so)
    canary.stop()
