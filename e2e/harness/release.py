"""A service in the care of Argo Rollouts: its objects, its traffic, and everything that its Rollout ever said."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from e2e.harness.api import ApiError, Document
from e2e.harness.cluster import Cluster, shipped
from e2e.harness.informer import Informer
from e2e.harness.pods import Version
from e2e.harness.process import wait_for
from e2e.harness.prometheus import Prometheus
from e2e.harness.service import Weighbridge
from e2e.harness.traffic import App

NAME = "checkout"
"""What the shipped Rollout is called."""
GOOD, OTHER, BAD = "checkout:1", "checkout:2", "checkout:3"
"""Images: the stable one, one that is as good, one that is worse."""
ENDED = ("Successful", "Failed", "Error", "Inconclusive")
ALL = 0.999
"""All requests, as sums of shares come out."""
TEMPLATES = "argo/clusteranalysistemplates.yaml"
INGRESS, MESH, PODS = "ingress", "virtualservice", "service"
"""Who shifts the traffic: NGINX by weight, Istio by weight, or nobody: the number of pods decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    What a Rollout's status said at a moment.

    Parameters
    ----------
    at : float
        Unix seconds.
    phase : str
        Progressing, Paused, Healthy, Degraded.
    step : int or None
        Index of the step that runs; None without steps.
    weight : int or None
        Percent that a traffic router was told; None without one.
    message : str
    pauses : tuple of str
        Reasons for which it waits.
    aborted : bool
    image : str
        That is being released.
    """

    at: float
    phase: str
    step: int | None
    weight: int | None
    message: str
    pauses: tuple[str, ...]
    aborted: bool
    image: str


@dataclass(slots=True, kw_only=True)
class Setup:
    """
    What differs from one scenario to the next.

    Parameters
    ----------
    steps : sequence of dict, optional
        ``{"setWeight": 5}`` and so on; a text is the name of a template to ask (``"weighbridge-gate"``). Default: the
        shipped Rollout's.
    routing : str
        `INGRESS`, `MESH` or `PODS`.
    watch : bool
        Whether the background analysis of the shipped Rollout is kept.
    strategy : dict
        More of ``spec.strategy.canary``.
    service : Weighbridge, optional
        Who is asked. Default: the one that all scenarios share.
    sources : sequence of Prometheus, optional
        Who is given the past of the stable pods. Default: the shared one.
    annotations : dict
        Of the Rollout.
    policy : str
        Asked for by name, if any.
    prepared : bool
        Whether the namespace has its Secret and templates already.
    replicas, rps, stable, header_share : int, float
        Pods; requests per second; share of failing requests of the stable version; share of requests with the header.
    """

    steps: Sequence[Document | str] | None = None
    routing: str = PODS
    watch: bool = True
    strategy: Document = field(default_factory=dict)
    service: Weighbridge | None = None
    sources: Sequence[Prometheus] | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    policy: str = ""
    prepared: bool = False
    replicas: int = 4
    rps: float = 1000.0
    stable: float = 0.02
    header_share: float = 0.1


class Release:
    """
    One service with its Rollout.

    Parameters
    ----------
    cluster : Cluster
    namespace : str
        Made here, one per scenario.
    setup : Setup
    document : dict, optional
        A whole Rollout in the place of the shipped one.
    """

    def __init__(
        self, cluster: Cluster, namespace: str, setup: Setup | None = None, document: Document | None = None
    ) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.setup = setup or Setup()
        self.service = self.setup.service or cluster.weighbridge
        self.document = document or self._rollout()
        self.seen: list[Seen] = []
        self.updated_at = 0.0
        self._informer = Informer(cluster.api, "Rollout", self._note, namespace=namespace)
        self._app: App | None = None

    # ------------------------------------------------------------------ setting up, releasing

    def start(self) -> Release:
        """Deploy the stable version and put it under load."""
        cluster, setup = self.cluster, self.setup
        if not setup.prepared:
            cluster.namespace(self.namespace, self.service)
            cluster.apply(templates(self.service), self.namespace)
        cluster.apply(self._network(), self.namespace)
        self._informer.start()
        cluster.apply([self.document], self.namespace)
        self.wait(lambda seen: seen.phase == "Healthy", "the stable version", 60)
        wait_for(lambda: self.ready(GOOD) == setup.replicas, f"{self.namespace}: stable pods", limit=30)
        versions = {GOOD: Version(errors=setup.stable), OTHER: Version(errors=setup.stable)}
        self._app = cluster.traffic.serve(
            self.namespace, NAME, entry=f"{setup.routing}/{NAME}", rps=setup.rps, versions=versions,
            header_share=setup.header_share, sources=setup.sources,
        )  # fmt: skip
        return self

    def stop(self) -> None:
        """Send no more requests, free the pods; nothing is watched any more."""
        if self._app is not None:
            self.cluster.traffic.cease(self._app)
        self._informer.stop()
        self.cluster.api.patch("Rollout", self.namespace, NAME, {"spec": {"paused": False, "replicas": 0}})

    def release(self, image: str, ratio: float = 1.0) -> None:
        """Release an image that fails ``ratio`` times as often as the stable one."""
        self.app.versions[image] = Version(errors=self.setup.stable * ratio)
        container = self.document["spec"]["template"]["spec"]["containers"][0]
        container["image"] = image
        self.updated_at = time.time()
        self.cluster.apply([self.document], self.namespace)

    @property
    def app(self) -> App:
        """The traffic."""
        assert self._app is not None, "start() first"
        return self._app

    def ready(self, image: str) -> int:
        """Return how many pods of an image are ready."""
        return sum(pod.ready and pod.image == image for pod in self.cluster.kubelet.pods(self.namespace))

    def share(self, image: str = "") -> float:
        """Return the share of the requests that an image (default: the one being released) received just now."""
        wanted = image or self.document["spec"]["template"]["spec"]["containers"][0]["image"]
        return self.app.shares.get(wanted, 0.0)

    # ------------------------------------------------------------------ a person at the command line

    def resume(self) -> None:
        """Do what ``kubectl argo rollouts promote`` does to a Rollout that waits."""
        self._status({"pauseConditions": None})

    def retry(self) -> None:
        """Do what ``kubectl argo rollouts retry`` does."""
        self._status({"abort": False})

    def _status(self, change: Document) -> None:
        try:
            self.cluster.api.patch("Rollout", self.namespace, NAME, {"status": change}, part="status")
        except ApiError as error:
            if error.status != 404:
                raise
            self.cluster.api.patch("Rollout", self.namespace, NAME, {"status": change})

    # ------------------------------------------------------------------ what Argo says

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

        return wait_for(look, f"rollout {self.namespace}: {what}", limit=limit, every=0.2, seen=self.shown)

    def shown(self) -> str:
        """Return what happened since the newest release, for a failure."""
        told = [
            f"{one.at - self.updated_at:.1f} s: {one.phase} step {one.step} weight {one.weight} {one.message}"
            for one in self.since_update()[-12:]
        ]
        said = [f"{one['verdict']}: {one['reason']}" for one in self.verdicts()[-8:]]
        return "\n  ".join(["", *told, *said, *self.cluster.events(self.namespace)[-8:]])

    def wait_promoted(self, limit: float) -> Seen:
        """Wait until everybody has the newest image."""
        image = self.document["spec"]["template"]["spec"]["containers"][0]["image"]
        seen = self.wait(lambda one: one.phase == "Healthy" and one.image == image, "to be promoted", limit)
        wait_for(lambda: self.share(image) > ALL, f"{self.namespace}: all traffic at {image}", limit=30)
        return seen

    def wait_aborted(self, limit: float) -> Seen:
        """Wait until it is aborted and no request reaches the canary any more."""
        seen = self.wait(lambda one: one.aborted and one.phase == "Degraded", "to be aborted", limit)
        wait_for(lambda: self.share() == 0.0, f"{self.namespace}: no traffic at the canary", limit=60)
        return seen

    def wait_step(self, step: int, limit: float) -> Seen:
        """Wait until a step, by its index, has begun."""
        return self.wait(lambda one: (one.step or 0) >= step, f"step {step}", limit)

    def runs(self) -> list[Document]:
        """Return its AnalysisRuns, oldest first."""
        return self.cluster.runs(self.namespace, NAME)

    def ended_runs(self) -> list[Document]:
        """Return its AnalysisRuns as soon as all of them have ended."""

        def look() -> list[Document] | None:
            found = self.runs()
            ended = all(run.get("status", {}).get("phase") in ENDED for run in found)
            return found if ended else None

        return wait_for(look, f"{self.namespace}: the AnalysisRuns to end", limit=30, seen=self.shown)

    def verdicts(self) -> list[Document]:
        """Return the verdict objects that stand in its AnalysisRuns, oldest first."""
        return self.cluster.measured(self.namespace, NAME)

    def wait_verdict(self, verdict: str, limit: float, **more: object) -> Document:
        """Return the first answer with a verdict, and with these words in it, that an AnalysisRun shows."""

        def look() -> Document | None:
            found = (one for one in self.verdicts() if one["verdict"] == verdict)
            return next((one for one in found if all(one[key] == value for key, value in more.items())), None)

        return wait_for(look, f"{self.namespace}: a {verdict} {more or ''}", limit=limit, every=0.5, seen=self.shown)

    def told(self) -> Document:
        """Return what our service knows of this release."""
        return self.service.release(self.namespace, NAME)

    def _note(self, event: str, found: Document) -> None:
        place = found["metadata"]
        if event != "DELETED" and (place["namespace"], place["name"]) == (self.namespace, NAME):
            self.seen.append(_seen(found))

    # ------------------------------------------------------------------ its objects

    def _rollout(self) -> Document:
        setup = self.setup
        (document,) = shipped("argo/rollout.yaml")
        document["metadata"]["annotations"] = dict(setup.annotations)
        document["spec"]["replicas"] = setup.replicas
        document["spec"]["template"]["spec"]["containers"][0]["image"] = GOOD
        canary = document["spec"]["strategy"]["canary"]
        ask = Asking(canary["analysis"]["args"], policy=setup.policy)
        if setup.steps is not None:
            canary["steps"] = [ask(step) if isinstance(step, str) else deepcopy(step) for step in setup.steps]
        else:
            named = [step.get("analysis", {}).get("templates", [{}])[0].get("templateName") for step in canary["steps"]]
            canary["steps"] = [ask(name) if name else step for name, step in zip(named, canary["steps"], strict=True)]
        canary["analysis"] = ask("weighbridge-watch")["analysis"]
        if not setup.watch:
            del canary["analysis"]
        canary.update(deepcopy(setup.strategy))
        if setup.routing == INGRESS:
            canary["trafficRouting"] = {"nginx": {"stableIngress": NAME}}
        if setup.routing == MESH:
            routes = {"virtualService": {"name": NAME, "routes": ["primary"]}}
            canary["trafficRouting"] = {"istio": routes, **canary.get("trafficRouting", {})}
        if setup.routing != PODS:
            canary.update(stableService=NAME, canaryService=f"{NAME}-canary")
        return document

    def _network(self) -> list[Document]:
        ports = [{"name": "http", "port": 80, "targetPort": 8080}]
        made: list[Document] = [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {"selector": {"app": NAME}, "ports": ports},
            }
            for name in (NAME, f"{NAME}-canary", f"{NAME}-preview")
        ]
        host = f"{NAME}.{self.namespace}.example"
        if self.setup.routing == INGRESS:
            backend = {"service": {"name": NAME, "port": {"name": "http"}}}
            paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
            spec: Document = {"ingressClassName": "nginx", "rules": [{"host": host, "http": {"paths": paths}}]}
            made.append(
                {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": NAME}, "spec": spec}
            )
        if self.setup.routing == MESH:
            weights = ((NAME, 100), (f"{NAME}-canary", 0))
            routes = [{"destination": {"host": to}, "weight": weight} for to, weight in weights]
            spec = {"hosts": [host], "http": [{"name": "primary", "route": routes}]}
            kind = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService"}
            made.append({**kind, "metadata": {"name": NAME}, "spec": spec})
        return made


@dataclass(frozen=True, slots=True)
class Asking:
    """Makes steps that ask our templates in the namespace: ``args`` as shipped, and a policy by name, if any."""

    args: list[Document]
    policy: str = ""

    def __call__(self, template: str, **more: str) -> Document:
        """Return a step that asks one template."""
        added = {**more, **({"policy": self.policy} if self.policy else {})}
        args = [*deepcopy(self.args), *({"name": name, "value": value} for name, value in added.items())]
        return {"analysis": {"templates": [{"templateName": template}], "args": args}}


def templates(service: Weighbridge, path: str = TEMPLATES) -> list[Document]:
    """Return the shipped templates for one namespace, as their head says it is done; they ask ``service``, often."""
    return [{**document, "kind": "AnalysisTemplate"} for document in shipped(path, service=service)]


def _seen(rollout: Document) -> Seen:
    status = rollout.get("status", {})
    weights = status.get("canary", {}).get("weights") or {}
    observed = str(status.get("observedGeneration", ""))
    current = observed == str(rollout["metadata"]["generation"])
    return Seen(
        at=time.time(),
        # A status that is about an older generation says nothing about this one.
        phase=str(status.get("phase", "")) if current else "",
        step=status.get("currentStepIndex") if current else None,
        weight=weights.get("canary", {}).get("weight") if current else None,
        message=str(status.get("message", "")),
        pauses=tuple(one["reason"] for one in status.get("pauseConditions") or []),
        aborted=bool(status.get("abort")),
        image=str(rollout["spec"]["template"]["spec"]["containers"][0]["image"]),
    )


def verdict_of(measurement: Document) -> Document:
    """Return the verdict object that a measurement of our metric holds."""
    return dict(json.loads(measurement["value"]))
