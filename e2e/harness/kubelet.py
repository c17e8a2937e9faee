"""Pods without machines: each gets an address and becomes ready, some never; containers restart when asked."""

from __future__ import annotations

import ipaddress
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from e2e.harness.api import Api, ApiError, Document
from e2e.harness.informer import Informer
from e2e.harness.namespace import PODS

TURN_S = 0.1
START_S = 0.5
"""How long a container takes until it is ready."""


@dataclass(slots=True, kw_only=True)
class Pod:
    """A pod as the rest of the harness sees it."""

    namespace: str
    name: str
    ip: str
    image: str
    labels: dict[str, str]
    ready: bool


@dataclass(slots=True)
class _State:
    """What the simulated kubelet knows of one pod."""

    ip: str
    since: float
    restarts: int = 0
    ready: bool = False
    told: Document = field(default_factory=dict)


class Kubelet:
    """
    Makes pods run, of all namespaces.

    Parameters
    ----------
    api : Api
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._informer = Informer(api, "Pod")
        self._states: dict[str, _State] = {}
        self._start_s: dict[str, float] = {}
        self._never: set[str] = set()
        self._lock = threading.Lock()
        self._addresses = iter(ipaddress.ip_network(PODS).hosts())
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._informer.start()
        self._thread.start()

    def stop(self) -> None:
        """End; pods stay as they are."""
        self._informer.stop()
        self._ended.set()
        self._thread.join()

    def starts_in(self, image: str, seconds: float) -> None:
        """Let containers of an image take that long until they are ready."""
        self._start_s[image] = seconds

    def never_ready(self, image: str) -> None:
        """Let containers of an image run without ever becoming ready."""
        self._never.add(image)

    def restart(self, namespace: str, name: str) -> None:
        """Let the container of a pod die and come back: not ready for its start-up time, one restart more."""
        pod = self._api.get("Pod", namespace, name)
        with self._lock:
            state = self._states[pod["metadata"]["uid"]]
            state.restarts += 1
            state.ready = False
            state.since = time.monotonic()

    def pods(self, namespace: str = "") -> list[Pod]:
        """Return the pods that have an address."""
        found = []
        for document in self._informer.objects(namespace):
            state = self._states.get(document["metadata"]["uid"])
            if state is not None and not document["metadata"].get("deletionTimestamp"):
                found.append(
                    Pod(
                        namespace=document["metadata"]["namespace"],
                        name=document["metadata"]["name"],
                        ip=state.ip,
                        image=image_of(document),
                        labels=dict(document["metadata"].get("labels") or {}),
                        ready=state.ready,
                    )
                )
        return found

    def _run(self) -> None:
        while not self._ended.wait(TURN_S):
            present = set()
            for document in self._informer.objects():
                uid = document["metadata"]["uid"]
                present.add(uid)
                try:
                    self._keep(document, uid)
                except ApiError as error:
                    if error.status not in (404, 409):
                        raise
                except OSError:
                    continue  # the API server is about to end, or busy: the next turn comes
            with self._lock:
                for uid in set(self._states) - present:
                    del self._states[uid]

    def _keep(self, document: Document, uid: str) -> None:
        image = image_of(document)
        with self._lock:
            state = self._states.get(uid)
            if state is None:
                state = self._states[uid] = _State(ip=str(next(self._addresses)), since=time.monotonic())
            due = time.monotonic() - state.since >= self._start_s.get(image, START_S)
            state.ready = due and image not in self._never
            status = _status(document, state)
        if status != state.told:
            place = document["metadata"]
            self._api.patch("Pod", place["namespace"], place["name"], {"status": status}, part="status")
            state.told = status


def image_of(pod: Document) -> str:
    """Return the image of a pod's first container."""
    return str(pod["spec"]["containers"][0]["image"])


def _status(pod: Document, state: _State) -> Document:
    ready = "True" if state.ready else "False"
    conditions = {"PodScheduled": "True", "Initialized": "True", "ContainersReady": ready, "Ready": ready}
    since = state.told.get("startTime") or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "phase": "Running",
        "podIP": state.ip,
        "podIPs": [{"ip": state.ip}],
        "startTime": since,
        "conditions": [{"type": kind, "status": status} for kind, status in conditions.items()],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": container["image"],
                "ready": state.ready,
                "started": True,
                "restartCount": state.restarts,
                "state": {"running": {"startedAt": since}},
            }
            for container in pod["spec"]["containers"]
        ],
    }
