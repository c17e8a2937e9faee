"""Where the reason of an abort is read without looking for it: in the notification."""

from __future__ import annotations

import pytest
import yaml

from e2e.harness.cluster import Cluster, shipped
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
