"""How soon, under Flagger: the same releases as Argo's, under our hooks, under the usual threshold, and in shadow."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.harness.api import Document
from e2e.harness.canary import BAD, NAME, OTHER, Canary, Setup
from e2e.harness.cluster import Cluster
from e2e.harness.process import wait_for
from e2e.test_argo_figures import HARM_ROW, OURS, RATIO, RPS, SHADOW, STABLE, THRESHOLD, WEIGHTS, note_harm

COLUMN = {who: f"Flagger: {who}" for who in (OURS, SHADOW, THRESHOLD)}
FAILURES = 5
"""What Flagger's own examples say for ``threshold``."""


def threshold_template() -> Document:
    """Return what is usual: the success rate of the canary of the last minute; at least 95 %, as for Argo Rollouts."""
    pods = 'namespace="{{ namespace }}", pod=~"{{ target }}-[0-9a-z]+-[0-9a-z]{5}", path!="/healthz"'
    good = f'sum(rate(http_requests_total{{{pods}, code!~"5.."}}[{{{{ interval }}}}]))'
    query = f"{good} / sum(rate(http_requests_total{{{pods}}}[{{{{ interval }}}}])) * 100"
    provider = {"type": "prometheus", "address": "http://prometheus.monitoring.svc:9090"}
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": "success-rate"},
        "spec": {"provider": provider, "query": query},
    }


def begun(cluster: Cluster, who: str, kind: str) -> Canary:
    """Return the release, under way, as who judges it wants it."""
    namespace = f"flagger-figures-{who.split()[0].strip(',')}{'-shadow' if who == SHADOW else ''}-{kind}"
    analysis: dict[str, Any] = {"stepWeights": list(WEIGHTS), "stepWeight": None, "maxWeight": None}
    if who == THRESHOLD:
        metric = {
            "name": "success-rate", "interval": "1m", "templateRef": {"name": "success-rate"},
            "thresholdRange": {"min": 95},
        }  # fmt: skip
        analysis |= {"metrics": [metric], "threshold": FAILURES, "webhooks": None}
    service = cluster.service(f"flagger-figures-{kind}", options={"mode": "shadow"}) if who == SHADOW else None
    canary = Canary(cluster, namespace, Setup(analysis=analysis, rps=RPS, stable=STABLE, service=service))
    if who == THRESHOLD:
        cluster.namespace(namespace)
        cluster.apply([threshold_template()], namespace)
    canary.start()
    if kind == "bad":
        canary.release(BAD, RATIO)
    else:
        canary.release(OTHER)
    return canary


@pytest.mark.timeout(450)
@pytest.mark.parametrize("who", [OURS, SHADOW, THRESHOLD])
def test_how_soon_harm_is_stopped(cluster: Cluster, who: str) -> None:
    """From the weight that lets the first requests through to the rollback; in shadow nothing is stopped."""
    canary = begun(cluster, who, "bad")
    began = canary.wait_weight(WEIGHTS[0], limit=150).at
    ends = {SHADOW: ("Succeeded",), OURS: ("Failed",), THRESHOLD: ("Failed", "Succeeded")}[who]
    seen = canary.wait_phase(*ends, limit=300)
    passed = seen.phase == "Succeeded"  # a threshold may let it pass: that is a figure, not a fault of the scenario
    note_harm(cluster, COLUMN[who], canary.app.failed(BAD), max(one.weight for one in canary.since_update()))
    if passed:
        cluster.figures.note(HARM_ROW, COLUMN[who], f"never (everybody has it after {seen.at - began:.0f} s)")
    else:
        cluster.figures.note(HARM_ROW, COLUMN[who], seen.at - began)
    if who == SHADOW:
        assert {line["verdict"] for line in canary.answers("rollback")} == {"promote"}
        assert {line["would"] for line in canary.answers("rollback")} & {"hold", "abort"}
    if who == THRESHOLD and not passed:
        text = f"Rolling back {NAME}.{canary.namespace} failed checks threshold reached {FAILURES}"
        wait_for(lambda: text in canary.messages(), text, limit=10)
    canary.stop()


@pytest.mark.timeout(450)
@pytest.mark.parametrize("who", [OURS, SHADOW, THRESHOLD])
def test_how_soon_a_healthy_release_is_through(cluster: Cluster, who: str) -> None:
    """From the first question, whether it may begin, to everybody; a step lasts until the next is taken."""
    canary = begun(cluster, who, "good")
    done = canary.wait_phase("Succeeded", limit=300)
    seen = canary.since_update()
    began = next(one.at for one in seen if one.phase == "Progressing")
    starts = [next(one.at for one in seen if one.weight == weight) for weight in WEIGHTS]
    promoting = next(one.at for one in seen if one.phase == "Promoting")
    for weight, start, end in zip(WEIGHTS, starts, [*starts[1:], promoting], strict=True):
        cluster.figures.note(f"c: healthy, step at {weight} %", COLUMN[who], end - start)
    cluster.figures.note("b: healthy, from the first question to everybody", COLUMN[who], done.at - began)
    canary.stop()
