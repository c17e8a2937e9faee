"""What is down promotes nothing and aborts nothing: the service, or Prometheus, for three minutes in mid-release."""

from __future__ import annotations

import time

import pytest

from e2e.harness.cluster import Cluster
from e2e.harness.process import wait_for
from e2e.harness.release import BAD, OTHER, Release, Setup
from e2e.harness.service import Weighbridge

OUTAGE_S = 180
SETTLE_S = 5
"""In which Argo acts on what it heard just before."""
ENDS = ("Healthy", "Degraded")
GATES = ({"setWeight": 25}, "weighbridge-gate", {"setWeight": 50}, "weighbridge-final")


def errors_of(release: Release) -> list[dict[str, object]]:
    """Return the measurements of a release that Argo calls an error."""
    results = [result for run in release.runs() for result in run["status"].get("metricResults", [])]
    return [one for result in results for one in result.get("measurements", []) if one["phase"] == "Error"]


@pytest.mark.timeout(240)
def test_a_service_that_dies_in_mid_step_goes_on_where_it_was(cluster: Cluster) -> None:
    """Killed and started again: the same attempt, a few errors in the run, and the release goes through."""
    service = cluster.service("killed")
    release = Release(cluster, "argo-killed", Setup(steps=GATES, replicas=8, service=service)).start()
    release.release(OTHER)
    release.wait_step(1, limit=60)
    before = release.wait_verdict("hold", limit=30)
    service.kill()
    wait_for(lambda: errors_of(release) or None, "an error in a run", limit=30)
    assert release.now.step == 1
    service.start()
    release.wait_promoted(limit=150)
    assert {run["status"]["phase"] for run in release.ended_runs()} == {"Successful"}
    after = release.verdicts()[-1]
    assert after["verdict"] == "promote"
    assert {one["release"]["attempt"] for one in release.verdicts()} == {1}
    assert after["release"]["revision"] == before["release"]["revision"]
    release.stop()


def in_flight(cluster: Cluster, service: Weighbridge, name: str, **more: object) -> list[Release]:
    """Return three releases that have come to a gate: two that are well, one that is worse."""
    setup = {"steps": GATES, "replicas": 8, "service": service, **more}
    made = [Release(cluster, f"argo-{name}-{kind}", Setup(**setup)) for kind in ("one", "two", "bad")]  # type: ignore[arg-type]
    for release in made:
        release.start()
    for release, ratio in zip(made, (1.0, 1.0, 3.0), strict=True):
        release.release(BAD if ratio > 1 else OTHER, ratio)
    for release in made:
        release.wait_step(1, limit=60)
        wait_for(lambda release=release: release.verdicts() or None, "a first answer", limit=30)  # type: ignore[misc]
    return made


def nothing_happens(releases: list[Release]) -> None:
    """Check for the length of the outage that every release stays where it is."""
    time.sleep(SETTLE_S)
    began = time.time()
    before = [one.now for one in releases]
    assert all(one.phase not in ENDS and not one.aborted for one in before), before
    time.sleep(OUTAGE_S)
    for release, seen in zip(releases, before, strict=True):
        during = [one for one in release.seen if one.at >= began]
        # Weights (even steps) that were granted before are still carried out; no gate (odd steps) lets anybody pass.
        now = seen.step or 0
        assert {one.step for one in during} <= {now, now + 1 - now % 2}, release.shown()
        assert not [one for one in during if one.aborted or one.phase in ENDS], release.shown()


def everything_ends(releases: list[Release]) -> None:
    """Check that the releases end as they would have without the outage."""
    *well, worse = releases
    worse.wait_aborted(limit=120)
    assert [one["verdict"] for one in worse.verdicts()].count("promote") == 0
    for release in well:
        release.wait_promoted(limit=180)
    for release in releases:
        assert {one["release"]["attempt"] for one in release.verdicts()} == {1}
        release.stop()


@pytest.mark.timeout(560)
def test_three_minutes_without_the_service_abort_and_promote_nothing(cluster: Cluster) -> None:
    """Connections are refused for three minutes: Argo counts errors, below its limit, and every release goes on."""
    service = cluster.service("outage")
    releases = in_flight(cluster, service, "outage")
    service.kill()
    nothing_happens(releases)
    assert all(len(errors_of(release)) >= 5 for release in releases)
    service.start()
    everything_ends(releases)


@pytest.mark.timeout(600)
def test_three_minutes_without_prometheus_abort_and_promote_nothing(cluster: Cluster) -> None:
    """The source is down: every answer is a hold that says so, and no run has an error."""
    names = [f"argo-source-{kind}" for kind in ("one", "two", "bad")]
    source = cluster.source("outage", namespaces=names)
    service = cluster.service("source-outage", prometheus=source)
    releases = in_flight(cluster, service, "source", sources=[source])
    source.kill()
    fell = time.time()
    nothing_happens(releases)
    for release in releases:
        assert errors_of(release) == []
        assert release.verdicts()[-1]["verdict"] == "hold"
        assert "source" in release.verdicts()[-1]["reason"]
    assert time.time() - fell >= OUTAGE_S
    source.start()
    everything_ends(releases)
