"""What people do to releases under our gates: override, retry, look after one that waits."""

from __future__ import annotations

import time

import pytest

from e2e.harness.cluster import Cluster
from e2e.harness.process import wait_for
from e2e.harness.release import BAD, GOOD, NAME, OTHER, Release, Setup

GATES = ({"setWeight": 25}, "weighbridge-gate", {"setWeight": 50}, "weighbridge-final")


@pytest.mark.timeout(200)
def test_no_traffic_holds_until_a_human_promotes(cluster: Cluster) -> None:
    """Nothing was asked of the canary, so nothing is known: the step waits, and an override takes it to everybody."""
    release = Release(cluster, "argo-silent", Setup(steps=GATES)).start()
    release.app.rps = 0.0
    release.release(OTHER)
    release.wait_step(1, limit=60)
    release.wait_verdict("hold", limit=30)
    time.sleep(30)  # what is promised is that nothing happens
    assert release.now.step == 1
    assert {one["verdict"] for one in release.verdicts()} == {"hold"}
    assert all(one["reason"] for one in release.verdicts())

    cluster.weighbridge.override(release.namespace, NAME, "promote", "nobody calls it at night")
    release.wait(lambda one: one.phase == "Healthy" and one.image == OTHER, "to be promoted", 60)
    (verdict, *_) = [one for one in release.verdicts() if one["verdict"] == "promote"]
    assert verdict["reason"] == "override by on call: nobody calls it at night"
    assert {run["status"]["phase"] for run in release.ended_runs()} == {"Successful"}
    release.stop()


@pytest.mark.timeout(280)
def test_a_retry_after_an_abort_is_a_new_attempt(cluster: Cluster) -> None:
    """The database that the canary could not reach is back: the same revision is judged by what it does now."""
    release = Release(cluster, "argo-retry", Setup(steps=GATES, replicas=8)).start()
    release.release(BAD, ratio=3.0)
    release.wait_aborted(limit=120)
    first = release.wait_verdict("abort", limit=10)
    assert first["release"]["attempt"] == 1

    release.app.version(BAD).errors = release.app.version(GOOD).errors
    time.sleep(15)  # a person reads, and repairs
    release.updated_at = time.time()
    release.retry()
    release.wait(lambda one: not one.aborted and one.phase == "Progressing", "to be tried again", 20)
    release.wait_promoted(limit=120)
    again = [one for one in release.verdicts() if one["release"]["attempt"] == 2]
    assert [one["verdict"] for one in again if one["release"]["stage"] == "final"][-1] == "promote"
    assert {one["release"]["revision"] for one in release.verdicts()} == {first["release"]["revision"]}
    assert [one["verdict"] for one in again].count("abort") == 0
    release.stop()


@pytest.mark.timeout(280)
def test_a_step_that_nobody_can_decide_waits_for_a_person_and_is_asked_again(cluster: Cluster) -> None:
    """Holds are polled; too many end the run Inconclusive and pause; resumed, the same step is weighed anew."""
    release = Release(cluster, "argo-waits", Setup(steps=GATES, watch=False)).start()
    (gate,) = [
        t for t in cluster.api.all("AnalysisTemplate", release.namespace) if t["metadata"]["name"].endswith("gate")
    ]
    (metric,) = gate["spec"]["metrics"]
    assert metric["count"] == metric["inconclusiveLimit"] == 180
    # Four questions in the place of 180, so that the hour of the shipped template is twenty seconds.
    change = {**metric, "count": 4, "inconclusiveLimit": 4}
    cluster.api.patch("AnalysisTemplate", release.namespace, gate["metadata"]["name"], {"spec": {"metrics": [change]}})
    release.app.rps = 0.0
    release.release(OTHER)
    paused = release.wait(lambda one: "InconclusiveAnalysisRun" in one.pauses, "to wait for a person", 90)
    assert paused.step == 1
    (run,) = release.runs()
    (result,) = run["status"]["metricResults"]
    assert (run["status"]["phase"], result["inconclusive"]) == ("Inconclusive", 4)
    assert {one["verdict"] for one in release.verdicts()} == {"hold"}

    release.app.rps = release.setup.rps
    wait_for(lambda: release.share(OTHER) > 0, "traffic at the canary", limit=20)
    time.sleep(25)  # enough to be weighed, so that the next run need not wait
    release.resume()
    release.wait_promoted(limit=120)
    assert [run["status"]["phase"] for run in release.ended_runs()] == ["Inconclusive", "Successful", "Successful"]
    release.stop()
