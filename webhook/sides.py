"""
How the two sides of a release are told apart: ready pairs of label matchers, by where the labels come from.

Each pair has one form for Argo Rollouts, which has two pod template hashes, and one for Flagger, which has two
workloads. A policy chooses a pair with ``select: {by: NAME}`` and may override any part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from analysis.policy import Select

ARGO, FLAGGER, NONE = "argo", "flagger", "none"
DEFAULT: Final = "pod"
HASH: Final = "[4-9bcdf]{1,10}"
"""Kubernetes spells a 32-bit sum with ten characters, so "primary" or "worker" is never a hash."""
POD: Final = "-[a-z0-9]{5}"


def _matched(template: str, replica: tuple[str, ...], **sides: tuple[str, str]) -> dict[str, Select]:
    """Return one pair: ``template`` with SIDE replaced by what each controller's baseline and canary are called."""
    return {
        controller: Select(
            baseline=template.replace("SIDE", baseline), canary=template.replace("SIDE", canary), replica=replica
        )
        for controller, (baseline, canary) in sides.items()
    }


def _pods(namespace: str, pod: str) -> dict[str, Select]:
    """Return the pair of pods' names, in the labels of those names."""
    return _matched(
        f'{namespace}="$namespace", {pod}=~"SIDE{POD}"',
        (pod,),
        argo=("$name-$baseline", "$name-$canary"),
        flagger=(f"$target-primary-{HASH}", f"$target-{HASH}"),
    )


def _both(baseline: str, canary: str) -> dict[str, Select]:
    """Return a pair that is the same for both controllers and does not show replicas."""
    return {controller: Select(baseline=baseline, canary=canary, replica=()) for controller in (ARGO, FLAGGER)}


def _nginx(namespace: str) -> dict[str, Select]:
    """Return the pair of ingress-nginx: its label ``canary`` is empty, or a dash, for the main traffic."""
    both = f'{namespace}="$namespace", ingress="$ingress", canary'
    return _both(f'{both}=~"|-"', f'{both}!~"|-"')


PAIRS: Final[Mapping[str, Mapping[str, Select]]] = {
    # Pods' names, in the labels that the usual scrape configurations write them to.
    "pod": _pods("namespace", "pod"),
    "exported-pod": _pods("exported_namespace", "exported_pod"),
    "kubernetes-pod": _pods("kubernetes_namespace", "kubernetes_pod_name"),
    "k8s-pod": _pods("k8s_namespace_name", "k8s_pod_name"),
    "daemonset": _matched(
        f'namespace="$namespace", pod=~"SIDE{POD}"',
        ("pod",),
        argo=("$name-$baseline", "$name-$canary"),
        flagger=("$target-primary", "$target"),
    ),
    # Pods' labels, where the scrape keeps them.
    "pod-label": _matched(
        'namespace="$namespace", rollouts_pod_template_hash="SIDE"', ("pod",), argo=("$baseline", "$canary")
    )
    | _matched('namespace="$namespace", app="SIDE"', ("pod",), flagger=("$target-primary", "$target")),
    # Service meshes.
    "istio": _matched(
        'destination_workload_namespace="$namespace", destination_workload="$name", destination_version="SIDE"',
        ("pod",),
        argo=("stable", "canary"),
    )
    | _matched(
        'destination_workload_namespace="$namespace", destination_workload="SIDE"',
        ("pod",),
        flagger=("$target-primary", "$target"),
    ),
    "linkerd": _matched(
        'namespace="$namespace", rollouts_pod_template_hash="SIDE"', ("pod",), argo=("$baseline", "$canary")
    )
    | _matched('namespace="$namespace", deployment="SIDE"', ("pod",), flagger=("$target-primary", "$target")),
    # Gateways: one line for each backend, whatever number of pods is behind it.
    "ingress-nginx": _nginx("namespace"),
    "exported-ingress-nginx": _nginx("exported_namespace"),
    "contour": _matched(
        'envoy_cluster_name=~"$namespace[_]SIDE[_][0-9a-zA-Z-]+"',
        (),
        argo=("$service-stable", "$service-canary"),
        flagger=("$service-primary", "$service-canary"),
    ),
    "envoy-gateway": _both(
        'envoy_cluster_name=~"httproute/$namespace/$route/rule/[0-9]+/backend/0"',
        'envoy_cluster_name=~"httproute/$namespace/$route/rule/[0-9]+/backend/1"',
    ),
    "traefik": _matched(
        'service=~"$namespace-SIDE-[0-9a-zA-Z-]+@kubernetes(crd|gateway)?"',
        (),
        argo=("$service-stable", "$service-canary"),
        flagger=("$target-primary", "$target-canary"),
    ),
}
"""Pairs by name, then by controller. Every pair has a form for both controllers."""


def pair(by: str, controller: str) -> Select:
    """Return a pair of matchers; a policy of no controller is filled in like one of Argo Rollouts."""
    return PAIRS[by][ARGO if controller == NONE else controller]
