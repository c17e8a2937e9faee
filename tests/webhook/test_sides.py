"""Ready pairs of matchers: both controllers, filled in, apart from each other, and overridable part by part."""

from __future__ import annotations

import re

import pytest

from analysis.types import Side
from tests.webhook.policy_documents import asking, proportion
from webhook import sides
from webhook.expressions import Asking, select_of
from webhook.policies import Policies

NAMES = {"namespace": "shop", "name": "checkout", "baseline": "6c54bd4f4b", "canary": "7d9b8c5f66"}


def selected(content, names=NAMES):
    """Return the matchers of both sides, filled in."""
    policy = Policies.inline(content)
    asking = Asking(policy, policy.questions[0], names, 15.0)
    return {side.value: asking.text("$side", side) for side in Side}


def choosing(select, controller="argo", own=None):
    """Return the content of a policy with one question, which may select for itself."""
    content = asking(proportion(**({"select": own} if own else {})), controller=controller)
    return {key: value for key, value in content.items() if key not in ("apiVersion", "name")} | {"select": select}


@pytest.mark.parametrize("controller", ["argo", "flagger", "none"])
@pytest.mark.parametrize("by", list(sides.PAIRS))
def test_every_pair_tells_the_sides_apart_for_every_controller(by, controller):
    """Nothing is left to fill in, and the two sides never read alike."""
    found = selected(choosing({"by": by}, controller))
    assert found["baseline"] != found["canary"]
    assert not any("$" in text or "SIDE" in text for text in found.values())


@pytest.mark.parametrize(
    ("controller", "side", "takes", "leaves"),
    [
        pytest.param(
            "argo", "canary", "checkout-7d9b8c5f66-x7k2p",
            ["checkout-6c54bd4f4b-x7k2p", "checkout-worker-7d9b8c5f66-x7k2p", "checkout-7d9b8c5f66"], id="argo",
        ),
        pytest.param(
            "flagger", "canary", "checkout-7d9b8c5f66-x7k2p",
            ["checkout-primary-7d9b8c5f66-x7k2p", "checkout-worker-7d9b8c5f66-x7k2p", "checkout-x7k2p"], id="flagger",
        ),
        pytest.param(
            "flagger", "baseline", "checkout-primary-7d9b8c5f66-x7k2p",
            ["checkout-7d9b8c5f66-x7k2p", "checkout-primary-db-7d9b8c5f66-x7k2p"], id="primary",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("by", ["pod", "exported-pod", "kubernetes-pod", "k8s-pod"])
def test_pods_names_take_their_side_alone(by, controller, side, takes, leaves):
    """A hash has ten letters, so a workload whose name begins alike is never taken."""
    matcher = selected(choosing({"by": by}, controller))[side]
    pattern = re.search(r'pod(?:_name)?=~"([^"]+)"', matcher).group(1)
    assert re.fullmatch(pattern, takes)
    assert not any(re.fullmatch(pattern, name) for name in leaves)


def test_what_flagger_calls_like_the_target_is_the_target():
    """Service, ingress and route have its name unless the caller says otherwise."""
    assert 'ingress="checkout"' in selected(choosing({"by": "ingress-nginx"}, "flagger"))["canary"]
    named = selected(choosing({"by": "ingress-nginx"}, "flagger"), names={**NAMES, "ingress": "front"})
    assert 'ingress="front"' in named["canary"]


def test_a_part_overrides_its_pair():
    """Said matchers win over the pair, the question's over the policy's; what is not said stays."""
    policy = Policies.inline(choosing({"by": "ingress-nginx", "canary": 'canary="mine"'}, own={"replica": ["pod"]}))
    _, matched, replica = select_of(policy, policy.questions[0])
    assert (matched[Side.CANARY], replica) == ('canary="mine"', ("pod",))
    assert 'ingress="$ingress"' in matched[Side.BASELINE]
    other = Policies.inline(choosing({"canary": 'canary="mine"'}, own={"by": "pod-label"}))
    assert select_of(other, other.questions[0])[1][Side.CANARY].endswith('rollouts_pod_template_hash="$canary"')


@pytest.mark.parametrize(
    ("select", "canary", "replica"),
    [
        pytest.param({}, "canary!~", (), id="the preset's"),
        pytest.param({"exclude": 'host="a"'}, "canary!~", (), id="exclusion beside it"),
        pytest.param({"by": "exported-ingress-nginx"}, 'exported_namespace="$namespace"', (), id="another pair"),
        pytest.param({"canary": 'service="b"', "baseline": 'service="a"'}, 'service="b"', (), id="own matchers"),
    ],
)
def test_select_keeps_of_a_preset_what_it_does_not_say(select, canary, replica):
    """A policy that adds an exclusion does not lose how its preset tells the sides apart."""
    policy = Policies.inline({"preset": "nginx-ingress", **({"select": select} if select else {})})
    excluded, matched, labels = select_of(policy, policy.question("error-rate"))
    assert canary in matched[Side.CANARY]
    assert labels == replica
    assert excluded == ((select["exclude"],) if "exclude" in select else ())


def test_presets_stand_over_each_other_in_order():
    """A list of presets asks the questions of all, and the first says where they differ."""
    both = Policies.inline({"preset": ["opentelemetry", "grpc"]})
    assert both.question("error-rate").total.startswith("http_server_request_duration")
    assert both.select.by == "k8s-pod"
    assert both.preset == ("opentelemetry", "grpc")
    gateway = Policies.inline({"preset": "envoy-gateway"})
    assert (gateway.select.by, [q.name for q in gateway.questions][:2]) == ("envoy-gateway", ["error-rate", "latency"])
