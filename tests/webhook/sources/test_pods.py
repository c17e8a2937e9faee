"""What cAdvisor says of pods, with everything that it says twice."""

from __future__ import annotations

import pytest

from tests.webhook.sources.scene import NEW, SCRAPE, STABLE, STABLE2, codes, entries, pod
from webhook.policies import Policies

CPU, MEMORY = "container_cpu_usage_seconds_total", "container_memory_working_set_bytes"
N = 12


def kubelet(scene, name, metric, values, **labels):
    """Return one series of a pod's container as the kubelet publishes it."""
    own = {"job": "kubelet", "instance": "10.0.0.1:10250", "metrics_path": "/metrics/cadvisor", **labels}
    return scene.series(metric, name, values, **own)


def container(scene, name, cores, size):
    """Write a container, what comes beside it (the pod's sum, the sandbox), and the same from the resource endpoint."""
    cpu, memory = [100 + cores * SCRAPE * k for k in range(N + 1)], [size] * (N + 1)
    for labels in (
        {"container": "app", "image": "shop:1", "id": "/pod/a"},
        {"container": "", "id": "/pod"},
        {"container": "POD", "image": "pause", "id": "/pod/p"},
        {"container": "app", "metrics_path": "/metrics/resource"},
    ):
        scene.write(kubelet(scene, name, CPU, cpu, **labels), kubelet(scene, name, MEMORY, memory, **labels))


@pytest.fixture
def asked():
    """Return the policy of the preset alone."""
    return Policies.inline({"preset": "pods", "controller": "argo"})


def test_a_container_is_counted_once(scene, asked):
    """Neither the pod's sum, nor its sandbox, nor a second endpoint of the kubelet adds to it."""
    for name, cores, size in ((STABLE, 0.2, 100.0), (STABLE2, 0.4, 200.0), (NEW, 0.6, 300.0)):
        container(scene, name, cores, size)
    container(scene, pod("shop-worker", "6c54bd4f4b", "ggggg"), 9.0, 900.0)
    closed = scene.closed(asked, 6)
    baseline, canary = (entries(closed, side, "cpu")[-1] for side in ("baseline", "canary"))
    assert {name: round(found["values"], 6) for name, found in baseline.items()} == {STABLE: 0.2, STABLE2: 0.4}
    assert {name: round(found["values"], 6) for name, found in canary.items()} == {NEW: 0.6}
    assert entries(closed, "baseline", "memory")[-1] == {STABLE: {"values": 100.0}, STABLE2: {"values": 200.0}}
    assert entries(closed, "canary", "memory")[-1] == {NEW: {"values": 300.0}}


def test_a_restarted_container_that_overlaps_with_itself_is_no_more(scene, asked):
    """For some minutes there are two series of one container; the larger is taken."""
    for name in (STABLE, NEW):
        for number in (1, 2):
            labels = {"container": "app", "image": "shop:1", "id": f"/pod/{number}"}
            scene.write(kubelet(scene, name, MEMORY, [100.0 * number] * (N + 1), **labels))
    assert entries(scene.closed(asked, 2), "canary", "memory")[-1] == {NEW: {"values": 200.0}}


def test_several_containers_of_a_pod_are_added(scene, asked):
    """A sidecar is part of what a pod takes."""
    for name in (STABLE, NEW):
        for kind in ("app", "proxy"):
            scene.write(kubelet(scene, name, MEMORY, [50.0] * (N + 1), container=kind, image=kind))
    assert entries(scene.closed(asked, 2), "canary", "memory")[-1] == {NEW: {"values": 100.0}}


def test_throttling_is_a_share_of_periods(scene, asked):
    """Without a limit on CPU there are no such series, and that is no fault."""
    for name, throttled in ((STABLE, 1), (NEW, 5)):
        for metric, growth in (
            ("container_cpu_cfs_throttled_periods_total", throttled),
            ("container_cpu_cfs_periods_total", 100),
        ):
            scene.write(kubelet(scene, name, metric, [growth * k for k in range(N + 1)], container="app"))
    closed = scene.closed(asked, 2)
    assert entries(closed, "canary", "throttling")[-1] == {NEW: {"events": 10.0, "exposure": 200.0}}
    assert codes(closed, "cpu") == ["no_series", "no_series"]
    assert not any(question.needed for question in asked.questions)


def test_cpu_per_request_divides_what_two_exporters_say(scene):
    """The kubelet's counter and the application's meet at the pod."""
    asked = Policies.inline(
        {
            "controller": "argo",
            "questions": [
                {
                    "name": "cpu-per-request",
                    "kind": "ratio",
                    "numerator": 'container_cpu_usage_seconds_total{$side, container="app", image!=""}',
                    "denominator": "http_requests_total{$side}",
                }
            ],
        }
    )
    for name, cores in ((STABLE, 0.2), (NEW, 0.4)):
        container(scene, name, cores, 1.0)
        scene.write(*scene.steady(name, N))
    (found,) = entries(scene.closed(asked, 2), "canary", "cpu-per-request")[-1:]
    assert found == {NEW: {"numerator": pytest.approx(12.0), "denominator": 20.0}}
