"""Other ways of releasing with Argo Rollouts: blue/green, an Experiment, header routes, older controllers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from e2e.harness.api import Document
from e2e.harness.cluster import Cluster, shipped
from e2e.harness.process import wait_for
from e2e.harness.release import ALL, BAD, GOOD, MESH, NAME, OTHER, Asking, Release, Setup, templates
from e2e.harness.service import LOOKS

LIMIT_POLICY = (
    """apiVersion: weighbridge/v1
name: e2e-limits"""
    + LOOKS
    + """questions:
  - name: error-rate
    kind: proportion
    bad: 'http_requests_total{$side, code=~"5..", path!="/healthz"}'
    total: 'http_requests_total{$side, path!="/healthz"}'
    muted: true
  - {name: ceiling, kind: limits, min_requests: 100, consecutive: 2, any_of: [{question: error-rate, max: 0.05}]}
"""
)
"""Blue/green after the switch has nothing beside it to be compared with: a limit of its own says what is too much."""

EXPERIMENT_POLICY = (
    """apiVersion: weighbridge/v1
name: e2e-experiment
select:
  baseline: 'namespace="$namespace", pod=~"$baseline-[a-z0-9]{5}"'
  canary: 'namespace="$namespace", pod=~"$canary-[a-z0-9]{5}"'"""
    + LOOKS
    + """questions:
  - name: error-rate
    kind: proportion
    bad: 'http_requests_total{$side, code=~"5..", path!="/healthz"}'
    total: 'http_requests_total{$side, path!="/healthz"}'
    weight: critical
"""
)
"""The pods of an Experiment bear the name of their ReplicaSet, and the ReplicaSets stand in the place of the hashes."""


def blue_green(policy: str) -> Document:
    """Return the shipped blue/green Rollout, asking the templates of its namespace under a policy."""
    (document,) = shipped("argo/rollout-bluegreen.yaml")
    document["spec"]["replicas"] = 4
    document["spec"]["template"]["spec"]["containers"][0]["image"] = GOOD
    strategy = document["spec"]["strategy"]["blueGreen"]
    strategy["scaleDownDelaySeconds"] = 120
    for part in ("prePromotionAnalysis", "postPromotionAnalysis"):
        strategy[part]["templates"] = [{"templateName": "weighbridge-gate"}]
        strategy[part]["args"].append({"name": "policy", "value": policy})
    return document


def kinds(release: Release) -> dict[str, str]:
    """Return the phase of the newest AnalysisRun of each kind."""
    return {run["metadata"]["labels"]["rollout-type"]: run["status"]["phase"] for run in release.ended_runs()}


@pytest.mark.timeout(280)
def test_blue_green_asks_before_and_after_the_switch_and_switches_back(cluster: Cluster) -> None:
    """A good version is switched to and stays; a bad one passes the door, is over its limit, and all go back."""
    cluster.weighbridge.write_policy("e2e-limits", LIMIT_POLICY)
    release = Release(cluster, "argo-bluegreen", Setup(), blue_green("e2e-limits")).start()
    release.release(OTHER)
    release.wait_promoted(limit=120)
    assert kinds(release) == {"PrePromotion": "Successful", "PostPromotion": "Successful"}
    assert {one["release"]["stage"] for one in release.verdicts()} == {"pre", "post"}

    release.release(BAD, ratio=5.0)
    wait_for(lambda: release.share(BAD) > ALL, "the switch", limit=60)
    aborted = release.wait_aborted(limit=90)
    assert release.share(OTHER) > ALL
    assert kinds(release)["PostPromotion"] == "Failed"
    assert "weighbridge-gate" in aborted.message
    verdict = release.wait_verdict("abort", limit=10)
    assert verdict["release"]["stage"] == "post"
    assert verdict["reason"].startswith("error rate too high")
    active = cluster.api.get("v1/Service", release.namespace, NAME)["spec"]["selector"]["rollouts-pod-template-hash"]
    rollout = cluster.api.get("Rollout", release.namespace, NAME)
    assert active == rollout["status"]["stableRS"]
    release.stop()


@pytest.mark.timeout(380)
def test_an_experiment_weighs_the_canary_against_a_fresh_baseline(cluster: Cluster) -> None:
    """One new pod of each version, born at the same time, is compared before a single stable pod is replaced."""
    cluster.weighbridge.write_policy("e2e-experiment", EXPERIMENT_POLICY)
    names = ("baseline", "stable"), ("canary", "canary")
    args = {
        "name": f"{NAME}-experiment", "namespace": "argo-experiment", "policy": "e2e-experiment",
        "stable-hash": "{{templates.baseline.replicaset.name}}", "canary-hash": "{{templates.canary.replicaset.name}}",
    }  # fmt: skip
    analysis: Document = {
        "name": "weigh",
        "templateName": "weighbridge-gate",
        "requiredForCompletion": True,
        "args": [{"name": name, "value": value} for name, value in args.items()],
    }
    pair = [{"name": name, "specRef": spec, "replicas": 1} for name, spec in names]
    experiment: Document = {"experiment": {"templates": pair, "analyses": [analysis]}}
    steps: list[Any] = [experiment, {"setWeight": 50}, "weighbridge-final"]
    release = Release(cluster, "argo-experiment", Setup(steps=steps, watch=False, rps=1600.0)).start()
    release.release(OTHER)

    (experiment,) = wait_for(
        lambda: cluster.api.all("Experiment", release.namespace) or None, "an Experiment", limit=30
    )
    name = experiment["metadata"]["name"]
    done = cluster.wait(
        "Experiment",
        release.namespace,
        name,
        lambda one: one.get("status", {}).get("phase") == "Successful",
        "to end",
        200,
    )
    run_name = done["status"]["analysisRuns"][0]["analysisRun"]
    (result,) = cluster.api.get("AnalysisRun", release.namespace, run_name)["status"]["metricResults"]
    assert '"verdict":"promote"' in result["measurements"][-1]["value"]
    told = cluster.weighbridge.release(release.namespace, f"{NAME}-experiment")
    assert told["release"]["revision"] == f"{name}-canary"
    assert told["release"]["attempt"] == 1
    release.wait_promoted(limit=100)
    release.stop()


@pytest.mark.timeout(240)
def test_requests_with_a_header_are_weighed_before_anybody_else_comes(cluster: Cluster) -> None:
    """`setHeaderRoute` sends testers to the canary at weight 0; the gate weighs what they saw, then all come."""
    match = [{"headerName": "x-tester", "headerValue": {"exact": "yes"}}]
    steps: list[Any] = [
        {"setCanaryScale": {"replicas": 2}},
        {"setHeaderRoute": {"name": "testers", "match": match}},
        "weighbridge-gate",
        {"setHeaderRoute": {"name": "testers"}},
        {"setCanaryScale": {"matchTrafficWeight": True}},
        {"setWeight": 50},
        "weighbridge-final",
    ]
    managed = {"trafficRouting": {"managedRoutes": [{"name": "testers"}]}}
    setup = Setup(steps=steps, routing=MESH, strategy=managed, watch=False, header_share=0.15)
    release = Release(cluster, "argo-header", setup).start()
    release.release(OTHER)
    release.wait_step(2, limit=60)
    wait_for(lambda: release.share(OTHER) == pytest.approx(0.15), "testers at the canary", limit=20)
    routes = cluster.api.get("networking.istio.io/v1/VirtualService", release.namespace, NAME)["spec"]["http"]
    assert [route["name"] for route in routes] == ["testers", "primary"]
    assert {one["weight"] for one in routes[1]["route"] if one["destination"]["host"] == f"{NAME}-canary"} == {0}
    release.wait_step(3, limit=90)
    assert release.verdicts()[-1]["verdict"] == "promote"
    release.wait_promoted(limit=120)
    routes = cluster.api.get("networking.istio.io/v1/VirtualService", release.namespace, NAME)["spec"]["http"]
    assert [route["name"] for route in routes] == ["primary"]
    release.stop()


@pytest.mark.timeout(240)
def test_the_template_for_older_controllers_asks_once_and_waits_for_a_person(cluster: Cluster) -> None:
    """One question per step: a hold pauses for a person, who has it asked again; then promote goes on."""
    release = Release(cluster, "argo-once", Setup(steps=[{"setWeight": 50}], watch=False))
    (rollout,) = shipped("argo/rollout.yaml")
    ask = Asking(rollout["spec"]["strategy"]["canary"]["analysis"]["args"])
    canary = release.document["spec"]["strategy"]["canary"]
    canary["steps"] += [ask("weighbridge-once", stage="final")]
    cluster.namespace(release.namespace)
    once = templates(release.service, "argo/fallback.yaml")
    (metric,) = once[0]["spec"]["metrics"]
    assert metric.pop("initialDelay") == "2m"
    assert "consecutiveSuccessLimit" not in metric  # what older controllers do not know
    metric["initialDelay"] = "5s"
    cluster.apply(once, release.namespace)
    release.start()
    release.app.rps = 0.0
    release.release(OTHER)
    paused = release.wait(lambda one: "InconclusiveAnalysisRun" in one.pauses, "to wait for a person", 60)
    assert paused.step == 1
    assert [one["verdict"] for one in release.verdicts()] == ["hold"]
    release.app.rps = release.setup.rps
    time.sleep(60)  # as a person would, who reads that there were no requests
    release.resume()
    release.wait_promoted(limit=60)
    assert [one["verdict"] for one in release.verdicts()] == ["hold", "promote"]
    assert [run["status"]["phase"] for run in release.ended_runs()] == ["Inconclusive", "Successful"]
    release.stop()
