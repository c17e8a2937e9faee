"""A service in Flagger's care: its objects, its traffic, and everything that its Canary object ever said."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from e2e.harness.api import Document
from e2e.harness.cluster import Cluster, shipped
from e2e.harness.informer import Informer
from e2e.harness.pods import Version
from e2e.harness.process import wait_for
from e2e.harness.prometheus import Prometheus
from e2e.harness.service import Weighbridge
from e2e.harness.traffic import App

NAME = "checkout"
"""What the shipped canaries call their service."""
GOOD, OTHER, THIRD, BAD = "checkout:1", "checkout:2", "checkout:3", "checkout:bad"
"""Images: the stable one, two that are as good, one that is worse."""
TICK_S = 10.0
"""Flagger's shortest interval."""
BEGUN = "Initialized"
ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    What a Canary's status said at a moment.

    Parameters
    ----------
    at : float
        Unix seconds.
    phase : str
    weight, failed, iterations : int
        ``canaryWeight`` in percent, ``failedChecks``, ``iterations``.
    """

    at: float
    phase: str
    weight: int
    failed: int
    iterations: int

    @property
    def told(self) -> tuple[str, int, int, int]:
        """Return everything but the time."""
        return self.phase, self.weight, self.failed, self.iterations


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One Kubernetes event: when it was last said, how often, and what."""

    at: float
    times: int
    kind: str
    message: str


@dataclass(slots=True, kw_only=True)
class Setup:
    """
    What differs from one scenario to the next.

    Parameters
    ----------
    manifest : str
        The shipped canary.
    provider : str
        Of Flagger, see `ENTRIES`; empty: the manifest's.
    interval : str
        Of Flagger's loop.
    analysis : dict
        Fields of ``spec.analysis`` that are put in the place of the manifest's; None removes one.
    hooks : sequence of str, optional
        Types of the hooks that stay; default: all.
    more_hooks : sequence of (str, str, str)
        Type, name and path below our service of hooks that come after the manifest's.
    policy : str
        Asked for in every hook's URL, if any.
    service : Weighbridge, optional
        Default: the one that all scenarios share.
    sources : sequence of Prometheus, optional
        Who is given the past of the stable pods. Default: the shared one.
    stable, rps, header_share, replicas : float, int
        Share of failing requests of the stable version; traffic; share of it that carries a header or is a test; pods.
    """

    manifest: str = "flagger/canary.yaml"
    provider: str = ""
    interval: str = "10s"
    analysis: dict[str, Any] = field(default_factory=dict)
    hooks: tuple[str, ...] | None = None
    more_hooks: tuple[tuple[str, str, str], ...] = ()
    policy: str = ""
    service: Weighbridge | None = None
    sources: Sequence[Prometheus] | None = None
    stable: float = 0.02
    rps: float = 1000.0
    header_share: float = 0.2
    replicas: int = 3


ENTRIES = {
    "nginx": f"ingress/{NAME}",
    "gatewayapi:v1": f"httproute/{NAME}",
    "istio": f"virtualservice/{NAME}",
    "kubernetes": f"service/{NAME}+{NAME}-canary",
}
"""Where the requests come in. The kubernetes provider shifts none: a load test goes to the canary's own service."""


class Canary:
    """
    One service with its Canary.

    Parameters
    ----------
    cluster : Cluster
    namespace : str
        Made here, one per scenario.
    setup : Setup
    """

    def __init__(self, cluster: Cluster, namespace: str, setup: Setup | None = None) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.setup = setup or Setup()
        self.service = self.setup.service or cluster.weighbridge
        self.document = self._canary()
        self.seen: list[Seen] = []
        self.updated_at = 0.0
        self._informer = Informer(cluster.api, "Canary", self._note)
        self._app: App | None = None

    # ------------------------------------------------------------------ setting up, releasing

    def start(self) -> Canary:
        """Deploy the stable version, let Flagger take it over, and put it under load."""
        cluster, setup = self.cluster, self.setup
        cluster.namespace(self.namespace, self.service)
        cluster.apply([self._deployment(GOOD), *self._ingress()], self.namespace)
        self._informer.start()
        cluster.apply([self.document], self.namespace)
        self.wait(lambda seen: seen.phase == BEGUN, "to be taken over", 240)
        entry = ENTRIES[self.document["spec"]["provider"]]
        versions = {image: Version(errors=setup.stable) for image in (GOOD, OTHER, THIRD)}
        wait_for(lambda: self._stable_ready(), f"{self.namespace}: stable pods", limit=60)
        self._app = cluster.traffic.serve(
            self.namespace, NAME, entry=entry, rps=setup.rps, versions=versions, header_share=setup.header_share,
            sources=setup.sources,
        )  # fmt: skip
        return self

    def stop(self) -> None:
        """Send no more requests; nothing is watched any more."""
        if self._app is not None:
            self.cluster.traffic.cease(self._app)
        self._informer.stop()

    def release(self, image: str, ratio: float = 1.0) -> None:
        """Release an image that fails ``ratio`` times as often as the stable one."""
        self.app.versions[image] = Version(errors=self.setup.stable * ratio)
        self.updated_at = time.time()
        self.cluster.apply([self._deployment(image)], self.namespace)

    @property
    def app(self) -> App:
        """The traffic."""
        assert self._app is not None, "start() first"
        return self._app

    def _stable_ready(self) -> bool:
        """Return whether the primary's pods are there, and those that Flagger found, like a canary's, gone."""
        pods = self.cluster.kubelet.pods(self.namespace)
        ready = [pod for pod in pods if pod.ready and pod.name.startswith(f"{NAME}-primary-")]
        return len(ready) == len(pods) == self.setup.replicas

    # ------------------------------------------------------------------ what Flagger says

    @property
    def now(self) -> Seen:
        """The newest status."""
        return self.seen[-1]

    def since_update(self) -> list[Seen]:
        """Return every status since the newest release."""
        return [seen for seen in self.seen if seen.at >= self.updated_at]

    def wait(self, ready: Callable[[Seen], object], what: str, limit: float) -> Seen:
        """Return the first status since the newest release that is as wanted."""

        def look() -> Seen | None:
            return next((seen for seen in self.since_update() if ready(seen)), None)

        def shown() -> str:
            told = [f"{seen.at - self.updated_at:.1f} s: {seen.told}" for seen in self.since_update()[-12:]]
            said = [f"{event.at - self.updated_at:.0f} s: {event.message}" for event in self.events()[-15:]]
            return "\n  ".join(["", *told, *said])

        return wait_for(look, f"canary {self.namespace}: {what}", limit=limit, every=0.3, seen=shown)

    def wait_phase(self, *phases: str, limit: float) -> Seen:
        """Return the first status since the newest release in one of these phases."""
        return self.wait(lambda seen: seen.phase in phases, f"to be {' or '.join(phases)}", limit)

    def wait_weight(self, percent: int, *, limit: float) -> Seen:
        """Return the first status since the newest release with at least this weight."""
        return self.wait(lambda seen: seen.weight >= percent, f"weight {percent}", limit)

    def events(self) -> list[Said]:
        """Return the Kubernetes events about the Canary, in the order in which they were last said."""
        found = [
            Said(
                at=_seconds(str(event.get("lastTimestamp") or event["metadata"]["creationTimestamp"])),
                times=int(event.get("count") or 1),
                kind=str(event.get("type", "")),
                message=str(event.get("message", "")).strip(),
            )
            for event in self.cluster.api.all("v1/Event", self.namespace)
            if event["involvedObject"].get("kind") == "Canary"
        ]
        return sorted(found, key=lambda said: said.at)

    def messages(self) -> list[str]:
        """Return what the Kubernetes events about the Canary say."""
        return [said.message for said in self.events()]

    def image(self, deployment: str = f"{NAME}-primary") -> str:
        """Return the image of a deployment: the primary's is what most users get."""
        found = self.cluster.api.get("Deployment", self.namespace, deployment)
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    def _note(self, event: str, found: Document) -> None:
        if found["metadata"]["namespace"] != self.namespace or event == "DELETED":
            return
        status = found.get("status") or {}
        seen = Seen(
            at=time.time(),
            phase=str(status.get("phase", "")),
            weight=int(status.get("canaryWeight", 0)),
            failed=int(status.get("failedChecks", 0)),
            iterations=int(status.get("iterations", 0)),
        )
        if not self.seen or self.seen[-1].told != seen.told:
            self.seen.append(seen)

    # ------------------------------------------------------------------ what we say

    def told(self) -> dict[str, Any]:
        """Return what our service knows of the release."""
        return self.service.release(self.namespace, NAME)

    def ended(self) -> Document:
        """Return what our service knows of the release, once Flagger's last words of it have come to us."""

        def look() -> Document | None:
            told = self.told()
            return told if told["release"]["phase"] in ("promoted", "aborted") else None

        return wait_for(look, f"{self.namespace}: the end of the release in our history", limit=20)

    def history(self) -> list[str]:
        """Return the history of our newest attempt, as ``action: reason``."""
        return [f"{line['action']}: {line['reason']}" for line in self.told()["history"]]

    def wait_history(self, line: str) -> None:
        """Wait until ``action: reason`` stands in the history: Flagger's last words come after its phase."""
        wait_for(lambda: line in self.history(), f"{self.namespace}: {line}", limit=20, seen=self.history)

    def answers(self, hook: str, since: float | None = None) -> list[dict[str, Any]]:
        """Return what our service logged of its answers at a hook since a time; default: since the newest release."""
        after = self.updated_at if since is None else since
        return [
            line
            for line in self.service.log
            if (line.get("event"), line.get("hook"), line.get("namespace")) == ("decision", hook, self.namespace)
            and _seconds(line["ts"]) > after
        ]

    def wait_ticks(self, ticks: int, *, hook: str = "rollback", limit: float = 180.0) -> None:
        """Wait until Flagger asked at a hook so many times more."""
        since = time.time()
        wait_for(
            lambda: len(self.answers(hook, since)) >= ticks, f"{self.namespace}: {ticks} times {hook}", limit=limit
        )

    def override(self, verdict: str, reason: str, **more: str) -> None:
        """Speak as a person, as soon as our service knows the release that runs."""
        wait_for(lambda: self.answers("rollback", 0.0) or None, f"{self.namespace}: a first answer", limit=40)
        self.service.override(self.namespace, NAME, verdict, reason, **more)

    # ------------------------------------------------------------------ objects

    def _canary(self) -> Document:
        setup = self.setup
        (document,) = shipped(setup.manifest, service=setup.service, token=self.service.ask_token)
        spec = document["spec"]
        analysis = spec["analysis"]
        analysis["interval"] = setup.interval
        analysis.update(deepcopy(setup.analysis))
        spec["analysis"] = {key: value for key, value in analysis.items() if value is not None}
        if setup.provider:
            spec["provider"] = setup.provider
        if spec["provider"] != "nginx":
            spec.pop("ingressRef", None)
        if spec["provider"].startswith("gatewayapi"):
            spec["service"] |= {
                "gatewayRefs": [{"name": "gateway", "namespace": "gateways"}],
                "hosts": [f"{NAME}.test"],
            }
        hooks = analysis.get("webhooks") or []
        if setup.hooks is not None:
            spec["analysis"]["webhooks"] = hooks = [hook for hook in hooks if hook["type"] in setup.hooks]
        for hook in hooks:
            hook["url"] += f"?policy={setup.policy}" if setup.policy else ""
        for kind, name, path in setup.more_hooks:
            url = f"{self.service.url}/t/{self.service.ask_token}/{path}"
            hooks.append({"type": kind, "name": name, "timeout": "10s", "url": url})
        return document

    def _deployment(self, image: str) -> Document:
        labels = {"app": NAME}
        pod = {"containers": [{"name": "app", "image": image, "ports": [{"containerPort": 80}]}]}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME, "labels": labels},
            "spec": {
                # Once Flagger has taken over, how many replicas the target has is Flagger's to say.
                **({"replicas": self.setup.replicas} if not self.seen else {}),
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }

    def _ingress(self) -> list[Document]:
        if self.document["spec"]["provider"] != "nginx":
            return []
        backend = {"service": {"name": NAME, "port": {"number": 80}}}
        rule = {"host": f"{NAME}.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
        return [
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": NAME, "annotations": {"kubernetes.io/ingress.class": "nginx"}},
                "spec": {"rules": [rule]},
            }
        ]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
