"""The cluster as a scenario sees it: namespaces, objects, what the controllers say of a release, and waiting for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from e2e.harness.api import ApiError, Document
from e2e.harness.controllers import Controllers
from e2e.harness.controlplane import ControlPlane
from e2e.harness.figures import Figures
from e2e.harness.kubelet import Kubelet
from e2e.harness.process import wait_for
from e2e.harness.prometheus import Prometheus
from e2e.harness.routing import Router
from e2e.harness.service import SHIPPED_URL, Weighbridge
from e2e.harness.tools import ROOT
from e2e.harness.traffic import Traffic

MANIFESTS = ROOT / "manifests"
ASK_EVERY = "5s"
"""How often gates ask in the tests; the shipped templates say 20 s."""


class Cluster:
    """
    Everything that runs, started in order and stopped in reverse.

    Parameters
    ----------
    folder : Path
        All data and logs.
    rules : iterable of Path
        Rule files of Prometheus.
    """

    def __init__(self, folder: Path, rules: Iterable[Path] = ()) -> None:
        self.folder = folder
        self.figures = Figures()
        self.plane = ControlPlane(folder / "controlplane")
        self.api = self.plane.api
        self.kubelet = Kubelet(self.api)
        self.router = Router(self.api)
        self.prometheus = Prometheus(self.plane, folder / "prometheus", rules=rules)
        self.weighbridge = Weighbridge(folder / "weighbridge", self.prometheus.url)
        self.controllers = Controllers(self.plane, folder / "controllers", self.prometheus.url)
        self.traffic = Traffic(self.kubelet, self.router, [self.prometheus])
        self._services: list[Weighbridge] = []
        self._sources: list[Prometheus] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start everything; about twenty seconds."""
        self.plane.start()
        for part in (self.kubelet, self.router, self.prometheus, self.traffic, self.weighbridge):
            part.start()
        self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argo-rollouts"}})
        self.apply(shipped("argo/clusteranalysistemplates.yaml", every="20s"))
        self.controllers.start()

    def stop(self) -> None:
        """Stop everything that runs, the API server after those who talk to it."""
        for service in self._services:
            service.stop()
        for source in self._sources:
            source.stop()
        parts = (
            self.controllers,
            self.weighbridge,
            self.traffic,
            self.prometheus,
            self.router,
            self.kubelet,
            self.plane,
        )
        for part in parts:
            part.stop()

    # ------------------------------------------------------------------ what a scenario sets up

    def namespace(self, name: str, service: Weighbridge | None = None) -> str:
        """
        Make a namespace with the Secret that the shipped templates read.

        Parameters
        ----------
        service : Weighbridge, optional
            Whose token it holds; default: the one that all scenarios share.
        """
        self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        token = (service or self.weighbridge).ask_token
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "weighbridge"},
            "stringData": {"token": token},
        }
        self.api.apply(secret, name)
        return name

    def service(self, name: str, *, prometheus: Prometheus | None = None, **settings: Any) -> Weighbridge:
        """Start a service that only this scenario uses: to be killed, or with settings of its own."""
        with self._lock:
            port = 8100 + len(self._services)
            folder = self.folder / f"weighbridge-{name}"
            made = Weighbridge(folder, (prometheus or self.prometheus).url, port=port, **settings)
            self._services.append(made)
        made.start()
        return made

    def source(self, name: str, *, namespaces: Iterable[str], engine: str = "debian") -> Prometheus:
        """Start a Prometheus, or what takes its place, that scrapes the pods of some namespaces only."""
        with self._lock:
            port = 9200 + len(self._sources)
            folder = self.folder / f"prometheus-{name}"
            made = Prometheus(self.plane, folder, port=port, engine=engine, namespaces=namespaces)
            self._sources.append(made)
        made.start()
        return made

    def apply(self, documents: Iterable[Document], namespace: str = "") -> None:
        """Apply documents, with strict field validation."""
        for document in documents:
            self.api.apply(document, namespace)

    # ------------------------------------------------------------------ what the controllers say

    def wait(
        self, kind: str, namespace: str, name: str, ready: Callable[[Document], object], what: str, limit: float
    ) -> Document:
        """Return an object as soon as it is as wanted; fail with its status if it does not come to that in time."""

        def look() -> Document | None:
            found = self.api.find(kind, namespace, name)
            return found if found is not None and ready(found) else None

        def seen() -> str:
            status = (self.api.find(kind, namespace, name) or {}).get("status", {})
            return json.dumps(status)[:1500] + "".join(f"\n    {line}" for line in self.events(namespace, name)[-12:])

        return wait_for(look, f"{kind} {namespace}/{name}: {what}", limit=limit, every=0.5, seen=seen)

    def events(self, namespace: str, name: str = "") -> list[str]:
        """Return the messages of the Kubernetes events about an object, or all of a namespace, oldest first."""
        found = self.api.all("v1/Event", namespace)
        chosen = [event for event in found if name in ("", event["involvedObject"].get("name"))]
        chosen.sort(key=lambda event: str(event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]))
        return [str(event.get("message", "")) for event in chosen]

    def runs(self, namespace: str, rollout: str = "") -> list[Document]:
        """Return the AnalysisRuns of a Rollout, oldest first."""
        found = self.api.all("AnalysisRun", namespace)
        mine = [run for run in found if any(o["name"] == rollout for o in run["metadata"].get("ownerReferences", []))]
        chosen = mine if rollout else found
        return sorted(chosen, key=lambda run: (str(run["metadata"]["creationTimestamp"]), str(run["metadata"]["name"])))

    def measured(self, namespace: str, rollout: str) -> list[Document]:
        """Return the verdict objects that stand in the AnalysisRuns of a Rollout, oldest first."""
        values = []
        for run in self.runs(namespace, rollout):
            for metric in run.get("status", {}).get("metricResults", []):
                values += [
                    (one["finishedAt"], one["value"]) for one in metric.get("measurements", []) if one.get("value")
                ]
        return [dict(json.loads(value)) for _, value in sorted(values)]

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object."""
        self.api.delete(kind, namespace, name)

    def strictly(self, documents: Iterable[Document], namespace: str) -> dict[str, str]:
        """Return what the API server says against each document, by kind and name; empty: all are valid."""
        wrong = {}
        for document in documents:
            try:
                self.api.apply(document, namespace, dry_run=True)
            except ApiError as error:
                wrong[f"{document['kind']}/{document['metadata']['name']}"] = str(error)
        return wrong


def shipped(
    path: str, *, service: Weighbridge | None = None, every: str = ASK_EVERY, token: str = "", root: Path = MANIFESTS
) -> list[Document]:
    """
    Return the documents of a shipped manifest.

    Parameters
    ----------
    path : str
        Below ``manifests/``.
    service : Weighbridge, optional
        Whom it asks instead of the shared service.
    every : str
        Replaces the 20 s between two questions.
    token : str
        Replaces TOKEN in the paths of Flagger's hooks.
    """
    text = (root / path).read_text().replace("interval: 20s", f"interval: {every}")
    if service is not None:
        text = text.replace(SHIPPED_URL, service.url)
    if token:
        text = text.replace("/t/TOKEN/", f"/t/{token}/")
    return [document for document in yaml.safe_load_all(text) if document]
