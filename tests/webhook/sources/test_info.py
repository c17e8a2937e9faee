"""Replicas that only an info series names, as a running Prometheus joins them."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.webhook.sources.scene import BASELINE, CANARY, NEW, SCRAPE, STABLE, STABLE2, T0, codes, entries
from webhook.checking import check
from webhook.errors import SourceRefused
from webhook.policies import Policies
from webhook.recording import Recorder
from webhook.releases import Attempt
from webhook.schema.request import Ask
from webhook.stores.memory import MemoryStore

COUNT = "http_server_request_duration_seconds_count"
BUCKET = "http_server_request_duration_seconds_bucket"
N = 8


@pytest.fixture
def asked():
    """Return the policy of a release whose pods are on ``target_info`` alone."""
    return Policies.inline({"preset": "opentelemetry-target-info", "controller": "argo"})


def over(values, first=0):
    """Return samples at scrapes; ``values`` by scrape from ``first`` on."""
    return [(T0 + SCRAPE * k - 5, float(value)) for k, value in enumerate(values, first)]


def target(scene, instance, pod, *, scrapes=range(N + 1), job="cart"):
    """Return the info series of one process, which is pushed and never scraped."""
    labels = {
        "job": f"{scene.namespace}/{job}",
        "instance": instance,
        "k8s_namespace_name": scene.namespace,
        "k8s_pod_name": pod,
    }
    return {"__name__": "target_info", **labels}, over([1.0] * len(scrapes), scrapes[0])


def counts(scene, instance, *, good=9.0, bad=1.0, scrapes=range(N + 1), job="cart"):
    """Return the counters of one process: good and bad requests, and buckets of all."""
    own = {"job": f"{scene.namespace}/{job}", "instance": instance}
    return [
        ({"__name__": name, **own, **labels}, over([100 + growth * n for n in range(len(scrapes))], scrapes[0]))
        for name, labels, growth in (
            (COUNT, {"http_response_status_code": "200"}, good),
            (COUNT, {"http_response_status_code": "503"}, bad),
            (BUCKET, {"le": "0.1"}, 0.5 * good),
            (BUCKET, {"le": "+Inf"}, good + bad),
        )
    ]


def several(scene, **processes):
    """Write one process for each pod: its instance names it."""
    for instance, pod in processes.items():
        scene.write(target(scene, instance, pod), *counts(scene, instance))


def test_series_without_a_pod_are_counted_by_pod(scene, asked):
    """Every process is found by what identifies it; those of other services have no info series of either side."""
    several(scene, a1=STABLE, a2=STABLE2, b1=NEW)
    scene.write(
        target(scene, "z", "cart-worker-6c54bd4f4b-x7k2p"), *counts(scene, "z"), *counts(scene, "y", job="other")
    )
    closed = scene.closed(asked, 2)
    assert codes(closed) == [None, None]
    assert entries(closed, "baseline") == [{pod: {"bad": 2.0, "total": 20.0} for pod in (STABLE, STABLE2)}] * 2
    assert entries(closed, "canary") == [{NEW: {"bad": 2.0, "total": 20.0}}] * 2
    assert entries(closed, "canary", "latency")[-1] == {NEW: {"counts": [9.0, 11.0]}}


def test_a_process_that_started_anew_is_the_same_pod(scene, asked):
    """Its instance is another one; what the old one counted stays, and the new one counts from its second sample."""
    several(scene, a1=STABLE)
    scene.write(
        target(scene, "b1", NEW, scrapes=range(4)), *counts(scene, "b1", scrapes=range(4)),
        target(scene, "b2", NEW, scrapes=range(4, N + 1)), *counts(scene, "b2", scrapes=range(4, N + 1)),
    )  # fmt: skip
    totals = [look[NEW]["total"] for look in entries(scene.closed(asked, 4), "canary")]
    assert totals[0] == 20.0
    assert totals[3] == 20.0
    assert sum(totals) <= 20.0 * 4  # no reset is read into the change, and no start value either


def test_the_first_error_is_counted_from_zero(scene, asked):
    """A bad series that is born while its process already counts is an event, as everywhere."""
    several(scene, a1=STABLE)
    scene.write(target(scene, "b1", NEW), *counts(scene, "b1", bad=0.0)[:1])
    own = {"__name__": COUNT, "job": f"{scene.namespace}/cart", "instance": "b1", "http_response_status_code": "500"}
    scene.write((own, over([3.0] * 5, 4)))
    assert [look[NEW]["bad"] for look in entries(scene.closed(asked, 4), "canary")] == [0.0, 3.0, 0.0, 0.0]


def test_two_pods_that_share_an_instance_are_refused(scene, asked):
    """They cannot be told apart: the source refuses to join them and says which."""
    several(scene, a1=STABLE)
    scene.write(target(scene, "a1", STABLE2), target(scene, "b1", NEW), *counts(scene, "b1"))
    with pytest.raises(SourceRefused, match="duplicate series"):
        scene.closed(asked, 2)


def test_presence_and_start_are_those_of_the_info_series(scene, asked):
    """Nothing is scraped: a pod is there while its info series is."""
    span = range(121)
    scene.write(target(scene, "a1", STABLE, scrapes=span), *counts(scene, "a1", scrapes=span))
    young = range(60, 121)
    scene.write(target(scene, "b1", NEW, scrapes=young), *counts(scene, "b1", scrapes=young))
    attempt = Attempt(
        cluster="", namespace=scene.namespace, name="shop", revision=CANARY, attempt=1, caller="argo",
        stable_revision=BASELINE,
    )  # fmt: skip
    pinned = replace(asked, digest="a" * 64)
    found = Recorder(scene.source, MemoryStore()).extend(attempt, pinned, Ask(), T0 + 120 * SCRAPE, lambda: 20.0)
    assert (found.fault, found.hold) == ("", "")
    assert found.record.grid.start == T0 + 59 // 2 * 2 * SCRAPE
    errors = found.record.questions["error-rate"]
    assert (errors.canary.replicas, errors.visible) == ((NEW,), True)
    assert np.nansum(errors.canary.fields["total"]) >= 500


def test_a_check_names_the_preset_and_what_the_info_series_lacks(scene, asked):
    """The same preset is found where it has data; where it has none it is the info series that is asked for labels."""
    several(scene, a1=STABLE)
    ask = Ask(namespace=scene.namespace, name="shop", revision=CANARY, stable_revision=BASELINE)
    found = check(Policies.inline({"preset": "linkerd"}), source=scene.source, ask=ask, at=T0 + 60)
    assert "opentelemetry-target-info" in [one["preset"] for one in found["presets"]]
    other = check(asked, source=scene.source, ask=replace(ask, name="nobody"), at=T0 + 60)
    lines = [line for line in other["fixes"] if line.startswith("error-rate")]
    assert re.match(r'error-rate: \d+ series of target_info: none has k8s_pod_name=~"nobody-', lines[0])


def test_a_published_level_is_joined_too(scene):
    """Any expression that keeps what identifies a process."""
    info = {"series": "target_info", "match": ["job", "instance"], "label": "k8s_pod_name"}
    question = {"name": "heat", "kind": "gauge", "query": "heat{$side}", "replica_from": info}
    level = Policies.inline({"controller": "argo", "select": {"by": "k8s-pod"}, "questions": [question]})
    for instance, pod, heat in (("a1", STABLE, 1.5), ("b1", NEW, 2.5)):
        labels = {"__name__": "heat", "job": f"{scene.namespace}/cart", "instance": instance}
        scene.write(target(scene, instance, pod), (labels, over([heat] * (N + 1))))
    closed = scene.closed(level, 2)
    assert entries(closed, "baseline", "heat")[-1] == {STABLE: {"values": 1.5}}
    assert entries(closed, "canary", "heat")[-1] == {NEW: {"values": 2.5}}
