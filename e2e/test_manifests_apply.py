"""Every shipped object is one that the real API server takes, no field unknown; the chart's in all variants."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.harness.api import Document
from e2e.harness.cluster import MANIFESTS, Cluster, shipped
from tests.charted import ARGO, VALUES
from tests.charted import documents as rendered

NAMESPACES = ("weighbridge", "shop-manifests", "argo-rollouts", "flagger-system")
"""Those that shipped objects name, and one for those that name none."""
FILES = sorted(
    str(path.relative_to(MANIFESTS))
    for folder in ("argo", "flagger", "install")
    for path in (MANIFESTS / folder).glob("*.yaml")
)


def prepared(cluster: Cluster) -> str:
    """Make the namespaces that must be there before an object of theirs can be tried; return that of the others."""
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES)
    return NAMESPACES[1]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("file", FILES)
def test_a_manifest_is_valid(cluster: Cluster, file: str) -> None:
    """Every object of a shipped file passes strict field validation, against the definitions of the real projects."""
    namespace = prepared(cluster)
    assert cluster.strictly(shipped(file, every="20s"), namespace) == {}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_what_the_chart_renders_to_is_valid(cluster: Cluster, values: Path) -> None:
    """Every object passes, with Argo Rollouts and the Prometheus operator's definitions installed."""
    namespace = prepared(cluster)
    assert cluster.strictly(rendered(values, *ARGO), namespace) == {}


@pytest.mark.timeout(180)
def test_the_plain_installation_is_admitted(cluster: Cluster) -> None:
    """In its own namespace, which takes restricted pods only, the Deployment gets its pod and becomes available."""
    prepared(cluster)
    cluster.apply(shipped("install/weighbridge.yaml"))

    def available(deployment: Document) -> bool:
        return bool(deployment.get("status", {}).get("availableReplicas") == 1)

    cluster.wait("Deployment", "weighbridge", "weighbridge", available, "has its pod", 120)
    assert not [event for event in cluster.events("weighbridge") if "violates PodSecurity" in event]
