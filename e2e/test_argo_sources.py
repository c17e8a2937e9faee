"""The same releases, with what else people scrape with: the current Prometheus, and VictoriaMetrics."""

from __future__ import annotations

import pytest

from e2e.harness.cluster import Cluster
from e2e.harness.release import BAD, OTHER, Release, Setup

GATES = ({"setWeight": 25}, "weighbridge-gate", {"setWeight": 50}, "weighbridge-final")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["current", "victoria"])
def test_a_bad_release_goes_back_and_a_good_one_passes(cluster: Cluster, engine: str) -> None:
    """Prometheus 3 and VictoriaMetrics find the pods and keep their counters: the verdicts are the same."""
    name = f"argo-{engine}"
    source = cluster.source(engine, namespaces=[name], engine=engine)
    service = cluster.service(engine, prometheus=source)
    release = Release(cluster, name, Setup(steps=GATES, replicas=8, service=service, sources=[source])).start()
    release.release(BAD, ratio=3.0)
    release.wait_aborted(limit=120)
    assert "worse than stable" in release.wait_verdict("abort", limit=10)["reason"]
    release.release(OTHER)
    release.wait_promoted(limit=150)
    release.stop()
