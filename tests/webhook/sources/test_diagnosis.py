"""What would mend a question that reads nothing, as a running Prometheus shows it."""

from __future__ import annotations

import pytest

from tests.webhook.sources.scene import BASELINE, CANARY, SCRAPE, STABLE, STABLE2, T0, TOTAL, pod
from tests.webhook.sources.shapes import Shape, shapes
from webhook.checking import check
from webhook.policies import Policies
from webhook.schema.request import Ask

AT = T0 + 60
ERRORS = {"name": "error-rate", "kind": "proportion", "bad": TOTAL, "total": TOTAL}


def checked(scene, content, *, name="shop", controller="argo", at=AT):
    """Return the findings about a policy for the scene's release."""
    policy = Policies.inline({"controller": controller, "looks": {"scrape": "15s"}, **content})
    ask = Ask(namespace=scene.namespace, name=name, revision=CANARY, stable_revision=BASELINE)
    return check(policy, source=scene.source, ask=ask, at=at)


def fixes(scene, content, **more):
    """Return what is said of the error rate."""
    found = checked(scene, content, **more)["fixes"]
    return [line.removeprefix("error-rate: ") for line in found if line.startswith("error-rate: ")]


def total(scene, labels, *, metric="http_requests_total", n=5):
    """Write one counter with exactly these labels."""
    scene.write(({"__name__": metric, "job": "x", **labels}, [(T0 + SCRAPE * k, 1000.0 + k) for k in range(n)]))


def test_nothing_is_said_where_the_baseline_has_data(scene):
    """A policy that works needs no fix, and no list of presets."""
    for name in (STABLE, STABLE2):
        scene.write(*scene.steady(name, 4))
    found = checked(scene, {"questions": [{**ERRORS, "bad": 'http_requests_total{$side, code=~"5.."}'}]})
    assert (found["fixes"], found["presets"]) == ([], [])


def test_an_unknown_metric_is_named(scene):
    """No selector mends a metric that nobody publishes."""
    asked = {"questions": [{**ERRORS, "total": "nobody_counts_total{$side}", "bad": "nobody_counts_total{$side}"}]}
    assert fixes(scene, asked) == ["no series is called nobody_counts_total"]


@pytest.mark.parametrize(
    ("by", "labels"),
    [
        pytest.param(
            "exported-pod", {"exported_namespace": "NS", "exported_pod": STABLE, "pod": "ksm-0"}, id="exported"
        ),
        pytest.param("kubernetes-pod", {"kubernetes_namespace": "NS", "kubernetes_pod_name": STABLE}, id="annotations"),
        pytest.param("k8s-pod", {"k8s_namespace_name": "NS", "k8s_pod_name": STABLE}, id="opentelemetry"),
        pytest.param("pod-label", {"namespace": "NS", "rollouts_pod_template_hash": BASELINE}, id="hash label"),
    ],
)
def test_the_pair_that_has_data_is_named(scene, by, labels):
    """Whatever the scrape writes the pod to, the selector for it is said."""
    metric = f"requests_{scene.namespace.replace('-', '_')}_total"
    total(scene, {name: value.replace("NS", scene.namespace) for name, value in labels.items()}, metric=metric)
    asked = {"questions": [{**ERRORS, "total": f"{metric}{{$side}}", "bad": f"{metric}{{$side}}"}]}
    assert fixes(scene, asked) == [f"1 series of {metric}: 1 of the baseline with select: {{by: {by}}}"]


@pytest.mark.parametrize(
    ("labels", "select", "said"),
    [
        pytest.param(
            {"namespace": "NS", "instance": "10.0.0.7:8080"}, {},
            "none carries the label pod; relabel the scrape: "
            "{source_labels: [__meta_kubernetes_pod_name], target_label: pod}",
            id="no pod",
        ),
        pytest.param(
            {"pod": STABLE}, {},
            "none carries the label namespace; relabel the scrape: "
            "{source_labels: [__meta_kubernetes_namespace], target_label: namespace}",
            id="no namespace",
        ),
        pytest.param(
            {"instance": "x"}, {"by": "k8s-pod"},
            "none carries the label k8s_namespace_name; promote the resource attribute k8s.namespace.name",
            id="not promoted",
        ),
        pytest.param(
            {"namespace": "elsewhere", "pod": STABLE}, {}, 'none has namespace="NS"; found elsewhere', id="namespace"
        ),
        pytest.param(
            {"namespace": "NS", "pod": "cart-6c54bd4f4b-x7k2p"}, {},
            f'none has pod=~"shop-{BASELINE}-[a-z0-9]{{5}}"; found cart-6c54bd4f4b-x7k2p',
            id="no such pod",
        ),
        pytest.param(
            {"namespace": "NS", "pod": STABLE, "color": "red"}, {"exclude": 'color="blue"'},
            "the sides match, what else the selector or its exclusion asks leaves nothing",
            id="exclusion",
        ),
    ],
)  # fmt: skip
def test_the_label_that_is_missing_is_named_with_its_fix(scene, labels, select, said):
    """Which label, on which series, and what would write it; or which values it has instead."""
    metric = f"requests_{scene.namespace.replace('-', '_')}_total"
    total(scene, {name: value.replace("NS", scene.namespace) for name, value in labels.items()}, metric=metric)
    question = {**ERRORS, "total": f"{metric}{{$side}}", "bad": f"{metric}{{$side}}"}
    (line,) = fixes(scene, {"questions": [question], "select": select})
    assert line == f"1 series of {metric}: {said.replace('NS', scene.namespace)}"


def test_names_too_long_for_their_pods_are_told(scene):
    """Kubernetes cuts the names of pods, so a pattern of the whole name finds none."""
    long = "shop-" * 10
    scene.write(*scene.steady(pod(long[:47], BASELINE, "bbbbb"), 4))
    first, *_ = fixes(scene, {"preset": "http_requests_total"}, name=long.rstrip("-"))
    assert first.startswith("pods' names are cut after 58 characters")
    assert first.endswith("select: {by: pod-label}")


@pytest.mark.parametrize("shape", shapes(), ids=lambda shape: shape.id)
def test_the_preset_that_has_data_is_named(scene, shape: Shape):
    """Whatever a cluster has, a check of any policy says which preset reads it."""
    scene.write(*shape.series(scene.namespace))
    asked = {"questions": [{**ERRORS, "total": "nobody_counts_total{$side}", "bad": "nobody_counts_total{$side}"}]}
    found = checked(scene, asked, controller=shape.controller)["presets"]
    named = {one["preset"]: one["series"] for one in found}
    assert shape.preset in named
    assert named[shape.preset] >= 2
