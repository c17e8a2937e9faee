"""The background analysis beside a final gate, and our mode that only watches."""

from __future__ import annotations

import pytest

from e2e.harness.cluster import Cluster
from e2e.harness.release import BAD, OTHER, Release, Setup

PAUSED = ({"setWeight": 25}, {"pause": {"duration": "40s"}}, "weighbridge-final")


@pytest.mark.timeout(240)
def test_the_watch_aborts_in_the_middle_of_a_pause(cluster: Cluster) -> None:
    """No gate has been reached: the background analysis alone sends it back, with the reason in its value."""
    steps = ({"setWeight": 25}, {"pause": {"duration": "10m"}}, "weighbridge-final")
    release = Release(cluster, "argo-watch-bad", Setup(steps=steps, replicas=8)).start()
    release.release(BAD, ratio=3.0)
    aborted = release.wait_aborted(limit=150)
    (run,) = release.runs()
    assert run["metadata"]["labels"]["rollout-type"] == "Background"
    assert run["status"]["phase"] == "Failed"
    assert 'Metric "weighbridge-watch" assessed Failed' in aborted.message
    (verdict,) = [one for one in release.verdicts() if one["verdict"] == "abort"]
    assert verdict["release"]["stage"] == "background"
    assert "statistical test says worse than stable, odds" in verdict["reason"]
    release.stop()


@pytest.mark.timeout(240)
def test_the_watch_lets_pass_and_the_final_gate_promotes(cluster: Cluster) -> None:
    """Holds of the watch are no end and its promotes no promotion: the pause lasts, then the final gate decides."""
    release = Release(cluster, "argo-watch-good", Setup(steps=PAUSED, replicas=8)).start()
    release.release(OTHER)
    paused = release.wait(lambda one: "CanaryPauseStep" in one.pauses, "to pause", 60)
    final = release.wait_step(2, limit=90)
    assert final.at - paused.at >= 35
    release.wait_promoted(limit=120)
    kinds = {run["metadata"]["labels"]["rollout-type"]: run["status"] for run in release.ended_runs()}
    assert sorted(kinds) == ["Background", "Step"]
    assert {status["phase"] for status in kinds.values()} == {"Successful"}
    assert kinds["Background"]["metricResults"][0]["count"] >= 5
    final_verdicts = [one for one in release.verdicts() if one["release"]["stage"] == "final"]
    assert final_verdicts[-1]["verdict"] == "promote"
    release.stop()


@pytest.mark.timeout(280)
def test_in_shadow_mode_a_bad_release_passes_and_the_report_says_what_would_have_been(cluster: Cluster) -> None:
    """A service that only watches never stands in the way, and tells what it would have done."""
    service = cluster.service("shadow", options={"mode": "shadow"})
    steps = ({"setWeight": 25}, {"pause": {"duration": "40s"}}, "weighbridge-final")
    release = Release(cluster, "argo-shadow", Setup(steps=steps, replicas=8, service=service)).start()
    release.release(BAD, ratio=4.0)
    release.wait_promoted(limit=180)
    assert {one["verdict"] for one in release.verdicts()} == {"promote"}
    assert {one["mode"] for one in release.verdicts()} == {"shadow"}
    would = [one for one in release.verdicts() if one["would"] == "abort"]
    assert would
    assert "worse than stable" in would[-1]["reason"]
    assert {run["status"]["phase"] for run in release.ended_runs()} == {"Successful"}
    release.stop()
