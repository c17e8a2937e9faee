"""A canary that dies: its own metrics are silent, what kube-state-metrics says of its pods is not."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from analysis.judge import judge
from analysis.types import Stage, State, Verdict
from tests.webhook.sources.scene import BASELINE, CANARY, NEW, SCRAPE, STABLE, STABLE2, T0, pod
from webhook.policies import Policies
from webhook.recording import Recorder
from webhook.releases import Attempt
from webhook.schema.request import Ask
from webhook.stores.memory import MemoryStore

STABLE3 = pod("shop", BASELINE, "fffff")
BORN, N = 60, 180
"""Scrapes at which the canary is created, and of the whole."""


def known(scene, name, ready, restarts, *, first=0, **labels):
    """Return what kube-state-metrics says of a pod from a scrape on; ``ready`` and ``restarts`` by scrape number."""
    own = {"job": "kube-state-metrics", "instance": "ksm:8080", **labels}
    span = range(first, N + 1)
    return [
        scene.series("kube_pod_status_ready", name, {k: float(ready(k)) for k in span}, condition="true", **own),
        scene.series("kube_pod_status_ready", name, {k: 1.0 - ready(k) for k in span}, condition="false", **own),
        scene.series(
            "kube_pod_container_status_restarts_total",
            name,
            {k: float(restarts(k)) for k in span},
            container="app",
            **own,
        ),
    ]


def stable(scene):
    """Write three stable pods with traffic, all ready, none of which ever restarted."""
    for name in (STABLE, STABLE2, STABLE3):
        scene.write(*scene.steady(name, N), *known(scene, name, lambda k: 1, lambda k: 0))


def crashing(scene, *, up=True, ready=lambda k: 0, **labels):
    """Write a canary pod that crashes every minute and never answers a scrape."""
    scene.write(*known(scene, NEW, ready, lambda k: max(0, k - BORN) // 4, first=BORN, **labels))
    if up:
        scene.write(scene.up(NEW, dict.fromkeys(range(BORN, N + 1), 0.0)))


def verdict(scene, steps, *, preset="http_requests_total", stage=Stage.STEP, **more):
    """Return the report on the scene's release as of a scrape."""
    policy = replace(Policies.inline({"preset": preset, "controller": "argo", **more}), digest="f" * 64)
    attempt = Attempt(
        cluster="", namespace=scene.namespace, name="shop", revision=CANARY, attempt=1, caller="argo",
        stable_revision=BASELINE,
    )  # fmt: skip
    at = T0 + steps * SCRAPE
    found = Recorder(scene.source, MemoryStore()).extend(attempt, policy, Ask(), at, lambda: 20.0)
    assert found.fault == ""
    assert found.record is not None, found.hold
    return judge(policy, found.record, at, stage=stage)


def of(report, name):
    """Return the evidence of one question."""
    return next(found for found in report.evidence if found.name == name)


@pytest.mark.parametrize("up", [True, False], ids=["scrapes fail", "never a target"])
def test_a_canary_that_crash_loops_without_metrics_holds_then_aborts(scene, up):
    """It holds at once with the state of its pods, also if no scrape ever found it, and its restarts abort."""
    stable(scene)
    crashing(scene, up=up)
    early = verdict(scene, BORN + 8)
    assert early.verdict is Verdict.HOLD
    assert early.reason == "pods not ready too high: 100 %, limit 0 %"
    late = verdict(scene, N)
    assert (late.verdict, of(late, "restarts").state) == (Verdict.ABORT, State.WORSE)
    assert re.match(r"restarts 5\d\.\d vs 0 per pod-hour \(2\d v 0 events, .+ worse than stable", late.reason)


@pytest.mark.parametrize("stage", [Stage.PRE, Stage.STEP, Stage.FINAL])
def test_pods_that_crash_hold_every_stage(scene, stage):
    """Before traffic as well: silence is usual then, dead pods are not."""
    stable(scene)
    crashing(scene)
    report = verdict(scene, BORN + 8, stage=stage)
    assert (report.verdict, report.reason) == (Verdict.HOLD, "pods not ready too high: 100 %, limit 0 %")


def test_a_pod_that_is_ready_but_restarts_holds_for_that_look(scene):
    """Without a readiness probe a crashing pod is ready most of the time; a restart in the newest look is said."""
    stable(scene)
    crashing(scene, ready=lambda k: 1)
    reasons = {verdict(scene, BORN + k, stage=Stage.PRE).reason for k in range(6, 14)}
    assert reasons == {
        "restarts too high: 120 per pod-hour, limit 0 per pod-hour",
        "before traffic: no limit is broken and nothing is compared yet",
    }


def test_healthy_pods_without_traffic_may_begin(scene):
    """Before traffic ready pods are all that is asked; a step then waits for the metric that is gone, by its name."""
    stable(scene)
    scene.write(*known(scene, NEW, lambda k: k >= BORN + 4, lambda k: 0, first=BORN))
    scene.write(scene.up(NEW, dict.fromkeys(range(BORN, N + 1), 1.0)))
    assert verdict(scene, BORN + 5, stage=Stage.PRE).verdict is Verdict.HOLD
    assert verdict(scene, BORN + 12, stage=Stage.PRE).verdict is Verdict.PROMOTE
    step = verdict(scene, BORN + 40)
    assert step.verdict is Verdict.HOLD
    assert step.reason == "canary is scraped but has no http_requests_total: renamed, or no traffic yet"


def test_without_kube_state_metrics_nothing_is_asked_of_it(scene):
    """Its silence neither holds nor promotes; a failing scrape holds, and aborts nothing."""
    for name in (STABLE, STABLE2):
        scene.write(*scene.steady(name, N))
    scene.write(scene.up(NEW, dict.fromkeys(range(BORN, N + 1), 0.0)))
    report = verdict(scene, N)
    assert report.verdict is Verdict.HOLD
    assert report.reason == "every scrape of the canary failed"
    assert of(report, "healthy").state is State.NO_DATA


def test_an_evicted_pod_is_not_waited_for(scene):
    """It stays on the books as failed, never ready again."""
    stable(scene)
    scene.write(*scene.steady(NEW, N), *known(scene, NEW, lambda k: 1, lambda k: 0))
    evicted = pod("shop", CANARY, "ggggg")
    own = {"job": "kube-state-metrics", "instance": "ksm:8080"}
    scene.write(
        *known(scene, evicted, lambda k: 0, lambda k: 0),
        scene.series("kube_pod_status_phase", evicted, [1.0] * (N + 1), phase="Failed", **own),
        scene.series("kube_pod_status_phase", NEW, [0.0] * (N + 1), phase="Failed", **own),
    )
    assert of(verdict(scene, N), "healthy").state is State.WITHIN_LIMIT


def test_two_kube_state_metrics_count_a_pod_once(scene):
    """A restart of the exporter, or a second one, doubles every series for a while."""
    stable(scene)
    crashing(scene)
    crashing(scene, instance="ksm-2:8080")
    assert "(2" in (reason := of(verdict(scene, N), "restarts").reason)
    assert " v 0 events" in reason


def test_exported_labels_are_read_by_their_pair(scene):
    """Where the scrape keeps its own namespace and pod, the pair ``exported-pod`` reads the pods'."""
    for name, ready in ((STABLE, 1.0), (NEW, 0.0)):
        own = {"exported_namespace": scene.namespace, "exported_pod": name, "job": "kube-state-metrics"}
        scene.write(
            scene.series("kube_pod_status_ready", "ksm-0", [ready] * 31, condition="true", **own),
            scene.series("kube_pod_container_status_restarts_total", "ksm-0", [0.0] * 31, container="app", **own),
        )
    report = verdict(scene, 30, preset="healthy", select={"by": "exported-pod"})
    assert report.reason == "pods not ready too high: 100 %, limit 0 %"
