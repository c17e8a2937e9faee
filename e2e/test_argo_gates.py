"""Releases that Argo Rollouts takes through our gates, from the first pod to everybody or back."""

from __future__ import annotations

import pytest

from e2e.harness.cluster import Cluster
from e2e.harness.process import wait_for
from e2e.harness.release import BAD, OTHER, Release, Setup


@pytest.mark.timeout(240)
def test_a_healthy_release_is_promoted_by_every_gate(cluster: Cluster) -> None:
    """The shipped Rollout as it is: watched all the time, a gate after each weight, everybody in the end."""
    release = Release(cluster, "argo-healthy", Setup(replicas=10)).start()
    release.release(OTHER)
    release.wait_promoted(limit=200)

    runs = {
        run["metadata"]["labels"]["rollout-type"] + run["metadata"]["labels"].get("step-index", ""): run
        for run in release.ended_runs()
    }
    assert sorted(runs) == ["Background", "Step1", "Step3", "Step5"]
    assert {kind: run["status"]["phase"] for kind, run in runs.items()} == dict.fromkeys(runs, "Successful")
    for kind in ("Step1", "Step3", "Step5"):
        (metric,) = runs[kind]["status"]["metricResults"]
        assert metric["successful"] == 1
        assert metric["measurements"][-1]["phase"] == "Successful"
    assert all(verdict["reason"] for verdict in release.verdicts())
    told = wait_for(
        lambda: told if (told := release.told())["release"]["phase"] in ("promoting", "promoted") else None,
        "our own phase",
        limit=5,
    )
    assert told["release"]["attempt"] == 1
    release.stop()


@pytest.mark.timeout(200)
def test_three_times_the_errors_abort_within_the_first_step(cluster: Cluster) -> None:
    """The weight never grows, traffic is back, and the reason stands in the AnalysisRun that failed."""
    release = Release(cluster, "argo-abort", Setup(replicas=10)).start()
    release.release(BAD, ratio=3.0)
    aborted = release.wait_aborted(limit=150)

    assert max(one.step or 0 for one in release.since_update()) == 1
    assert release.share() == 0.0
    assert "weighbridge" in aborted.message
    failed = [run for run in release.runs() if run["status"]["phase"] == "Failed"]
    assert any(run["status"]["message"] in aborted.message for run in failed)
    (verdict, *_) = [one for one in release.verdicts() if one["verdict"] == "abort"]
    assert "statistical test says worse than stable, odds" in verdict["reason"]
    assert release.told()["release"]["phase"] == "aborted"
    release.stop()
