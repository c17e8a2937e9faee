"""How soon: the same releases under our gates, under the usual threshold template, and in shadow, side by side."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from datetime import datetime
from typing import Any

import pytest

from e2e.harness.api import Document
from e2e.harness.cluster import Cluster
from e2e.harness.process import wait_for
from e2e.harness.release import BAD, INGRESS, OTHER, Release, Setup
from e2e.harness.service import POLICY
from e2e.harness.tools import ROOT

RPS, STABLE, RATIO, WEIGHTS = 200.0, 0.02, 3.0, (5, 25, 50)
OURS, SHADOW, THRESHOLD = "weighbridge", "weighbridge, shadow", "threshold template"
COLUMN = {who: f"Argo: {who}" for who in (OURS, SHADOW, THRESHOLD)}
HARM_ROW = f"a: RR {RATIO:g} gets {WEIGHTS[0]} % of {RPS:g} requests a second: until it is aborted"
FAILED_ROW = "a: failed requests of the canary until then"
WEIGHT_ROW = "a: highest weight until then"
ASK_S = 20


def threshold_template() -> Document:
    """
    Return what is usual: the success rate of the canary of the last minute, at least 95 %, measured six times.

    The form is that of the controller's own documentation (``failureLimit: 3``, ``result[0] >= 0.95``); there it
    measures every five minutes, here every twenty seconds.
    """
    pods = 'namespace="{{args.namespace}}", pod=~"{{args.name}}-{{args.canary-hash}}-.*", path!="/healthz"'
    good = f'sum(rate(http_requests_total{{{pods}, code!~"5.."}}[1m]))'
    query = f"{good} / sum(rate(http_requests_total{{{pods}}}[1m]))"
    metric = {
        "name": "success-rate",
        "interval": f"{ASK_S}s",
        "count": 6,
        "failureLimit": 3,
        "initialDelay": f"{ASK_S}s",
        "successCondition": "result[0] >= 0.95",
        "provider": {"prometheus": {"address": "http://prometheus.monitoring.svc:9090", "query": query}},
    }
    names = ("namespace", "name", "canary-hash", "stable-hash", "step")
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "success-rate"},
        "spec": {"args": [{"name": name} for name in names], "metrics": [metric]},
    }


def begun(cluster: Cluster, who: str, kind: str) -> Release:
    """Return the release, under way, as who judges it wants it."""
    name = f"argo-figures-{who.split()[0].strip(',')}{'-shadow' if who == SHADOW else ''}-{kind}"
    gates = ["success-rate"] * 3 if who == THRESHOLD else ["weighbridge-gate", "weighbridge-gate", "weighbridge-final"]
    steps: list[Any] = [
        part for weight, gate in zip(WEIGHTS, gates, strict=True) for part in ({"setWeight": weight}, gate)
    ]
    service = cluster.service(f"figures-{kind}", options={"mode": "shadow"}) if who == SHADOW else None
    setup = Setup(
        steps=steps, routing=INGRESS, rps=RPS, stable=STABLE, replicas=4, service=service, watch=who != THRESHOLD
    )
    release = Release(cluster, name, setup)
    if who == THRESHOLD:
        cluster.namespace(name)
        cluster.apply([threshold_template()], name)
    release.start()
    if kind == "bad":
        release.release(BAD, RATIO)
    else:
        release.release(OTHER)
    return release


def first_call(release: Release) -> float:
    """Return when the first measurement began, unix seconds."""
    results = [result for run in release.runs() for result in run["status"].get("metricResults", [])]
    told = [one["startedAt"] for result in results for one in result.get("measurements", [])]
    return min(datetime.fromisoformat(text).timestamp() for text in told)


def note_harm(cluster: Cluster, column: str, failed: int, weight: int) -> None:
    """Note what the bad version cost until it was stopped, or until everybody had it."""
    cluster.figures.note(FAILED_ROW, column, f"{failed:,}")
    cluster.figures.note(WEIGHT_ROW, column, f"{weight} %")


def stopped(release: Release, who: str) -> bool:
    """Wait for the end of a bad release: whether it was aborted. Ours must be; a threshold may let it pass."""
    seen = release.wait(
        lambda one: (one.aborted and one.phase == "Degraded") or (one.phase == "Healthy" and one.image == BAD),
        "to end",
        450,
    )
    assert seen.aborted or who == THRESHOLD
    return seen.aborted


@pytest.mark.timeout(540)
@pytest.mark.parametrize("who", [OURS, SHADOW, THRESHOLD])
def test_how_soon_harm_is_stopped(cluster: Cluster, who: str) -> None:
    """From the first request that the canary receives to the abort; in shadow nothing is stopped."""
    release = begun(cluster, who, "bad")
    wait_for(lambda: release.share(BAD) > 0 or None, "traffic at the canary", limit=60, every=0.1)
    began = time.time()
    if who == SHADOW or not stopped(release, who):
        seen = release.wait_promoted(limit=300)
        cluster.figures.note(HARM_ROW, COLUMN[who], f"never (everybody has it after {seen.at - began:.0f} s)")
    else:
        seen = release.wait_aborted(limit=60)
        cluster.figures.note(HARM_ROW, COLUMN[who], seen.at - began)
    if who == SHADOW:
        assert {one["verdict"] for one in release.verdicts()} == {"promote"}
        assert {one["would"] for one in release.verdicts()} & {"hold", "abort"}
    note_harm(cluster, COLUMN[who], release.app.failed(BAD), max(one.weight or 0 for one in release.since_update()))
    release.stop()


@pytest.mark.timeout(540)
@pytest.mark.parametrize("who", [OURS, SHADOW, THRESHOLD])
def test_how_soon_a_healthy_release_is_through(cluster: Cluster, who: str) -> None:
    """From the first question to everybody, in total and per step."""
    release = begun(cluster, who, "good")
    done = release.wait_promoted(limit=450)
    ends = [release.wait(lambda seen, index=index: (seen.step or 0) >= index, "a step", 5).at for index in (2, 4)]  # type: ignore[misc]
    began = last = first_call(release)
    for weight, end in zip(WEIGHTS, [*ends, done.at], strict=True):
        cluster.figures.note(f"c: healthy, step at {weight} %", COLUMN[who], end - last)
        last = end
    cluster.figures.note("b: healthy, from the first question to everybody", COLUMN[who], done.at - began)
    release.stop()


@pytest.mark.timeout(320)
def test_how_soon_it_could_be(cluster: Cluster) -> None:
    """The engine's own expectation at this traffic, and what no test at these odds can do better than."""
    policy = cluster.folder / "figures.yaml"
    policy.write_text(POLICY)
    words = {
        "rps": RPS, "share": STABLE, "weight": WEIGHTS[0] / 100, "effect": RATIO, "look": "5s", "history": "20m",
        "replica-effect": 0.05, "pods": 4, "canary-pods": 1, "duration": "20m", "releases": 200,
    }  # fmt: skip
    command = [sys.executable, "-m", "webhook.cli", "simulate", str(policy), "--json"]
    command += [f"--{name}={value}" for name, value in words.items()]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    (effect,) = json.loads(made.stdout)["effects"]
    assert effect["aborted"] >= 0.95
    cluster.figures.note(
        HARM_ROW, "engine alone (weighbridge simulate, median of 200)", float(effect["seconds_to_abort"])
    )
    cluster.figures.note(HARM_ROW, "least possible", fewest_seconds())


def fewest_seconds() -> float:
    """
    Return how long it takes on average until 1,000 : 1 can speak for the true rates against equal ones.

    Wald's bound: the log of the odds over the information of a second, with both shares of errors known beforehand.
    """
    bad = STABLE * RATIO
    information = bad * math.log(bad / STABLE) + (1 - bad) * math.log((1 - bad) / (1 - STABLE))
    return math.log(1000) / (information * RPS * WEIGHTS[0] / 100)
