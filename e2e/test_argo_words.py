"""Where the reason is read: the notification; and what is shipped is what the API server accepts, field by field."""

from __future__ import annotations

import pytest
import yaml

from e2e.harness.cluster import MANIFESTS, Cluster, shipped
from e2e.harness.process import wait_for
from e2e.harness.receiver import Receiver
from e2e.harness.release import BAD, Release, Setup

PORT = 8201


@pytest.mark.timeout(200)
def test_the_notification_says_why(cluster: Cluster) -> None:
    """The shipped template, merged into Argo's ConfigMap beside a service: its message is verdict, reason and page."""
    receiver = Receiver(PORT)
    receiver.start()
    (config,) = shipped("argo/notifications.yaml")
    config["data"]["service.webhook.releases"] = yaml.safe_dump({"url": f"{receiver.url}/releases"})
    cluster.apply([config])
    subscribed = {"notifications.argoproj.io/subscribe.on-rollout-aborted.releases": ""}
    steps = ({"setWeight": 25}, "weighbridge-gate", {"setWeight": 50}, "weighbridge-final")
    release = Release(cluster, "argo-notified", Setup(steps=steps, replicas=8, annotations=subscribed)).start()
    release.release(BAD, ratio=3.0)
    release.wait_aborted(limit=120)
    (said, *_) = wait_for(lambda: receiver.texts("/releases") or None, "a notification", limit=30)
    verdict = release.wait_verdict("abort", limit=10)
    assert said.startswith("argo-notified/checkout: ABORT at ")
    assert verdict["reason"] in said
    assert verdict["url"] in said
    release.stop()
    receiver.stop()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("folder", ["argo", "flagger"])
def test_the_api_server_accepts_every_field_that_is_shipped(cluster: Cluster, folder: str) -> None:
    """Strict field validation of every document of the controllers' manifests, against their own definitions."""
    namespace = cluster.namespace(f"manifests-{folder}")
    paths = sorted((MANIFESTS / folder).glob("*.yaml"))
    assert paths
    found = {path.name: cluster.strictly(shipped(f"{folder}/{path.name}"), namespace) for path in paths}
    assert found == {path.name: {} for path in paths}
