"""
Simulated requests: they go where the controllers' own objects send them, and every pod tells what it counted.

One server answers for all pods: their addresses belong to the loopback interface of the namespace, and the address
that was asked says which pod is meant. Time passes at its natural speed.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from e2e.harness.kubelet import Kubelet, Pod
from e2e.harness.pods import FLOAT, PROBES_PER_S, Counters, Version, past, shares_of_buckets
from e2e.harness.prometheus import PODS_PORT, SCRAPE_S, Prometheus
from e2e.harness.routing import Router, Split

TURN_S = 0.5
HISTORY_S = 1200.0
POD_SPREAD = 0.05
"""Standard deviation of the logarithm of the pods' error rates."""


@dataclass(slots=True, kw_only=True)
class App:
    """
    One service under load. Change ``rps``, ``header_share`` and the versions at any time.

    Parameters
    ----------
    namespace : str
    name : str
        What its pods' names begin with.
    entry : str
        Where requests come in, see `e2e.harness.routing.Router.split`.
    rps : float
        Requests per second.
    versions : dict
        How each image behaves; an image that is not named behaves as `Version` does by default.
    header_share : float
        Share of the requests in [0, 1] with the header that an A/B rule asks for.
    pulls : dict
        Pods, by the end of their names, that receive so many times as many requests as a usual one.
    """

    namespace: str
    name: str
    entry: str
    rps: float
    versions: dict[str, Version]
    header_share: float = 0.1
    pulls: dict[str, float] = field(default_factory=dict)
    pods: dict[str, Counters] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    """Share of the requests that each image received in the last turn: what the controllers' weights came to."""
    failures: dict[str, int] = field(default_factory=dict)
    """Requests that each image has failed."""

    def version(self, image: str) -> Version:
        """Return how an image behaves, to read or to change."""
        return self.versions.setdefault(image, Version())

    def failed(self, image: str) -> int:
        """Return how many requests an image has failed up to now."""
        return self.failures.get(image, 0)


class Traffic:
    """
    All simulated services.

    Parameters
    ----------
    kubelet : Kubelet
        Which pods there are.
    router : Router
        Where requests go.
    sources : iterable of Prometheus
        Who is given the past of stable pods.
    seed : int
        Of all chance.
    """

    def __init__(self, kubelet: Kubelet, router: Router, sources: Iterable[Prometheus], *, seed: int = 1) -> None:
        self._kubelet = kubelet
        self._router = router
        self._sources = list(sources)
        self._rng = np.random.default_rng(seed)
        self._apps: list[App] = []
        self._addresses: dict[str, Counters] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._server = _server(self)

    def start(self) -> None:
        """Begin to serve metrics and to let time pass."""
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ended.set()
        self._thread.join()
        self._server.shutdown()
        self._server.server_close()

    def serve(
        self, namespace: str, name: str, *, entry: str, rps: float = 400.0, versions: dict[str, Version] | None = None,
        history: float = HISTORY_S, header_share: float = 0.1, sources: Iterable[Prometheus] | None = None,
    ) -> App:  # fmt: skip
        """
        Put a service under load; call it when the stable pods are ready.

        Parameters
        ----------
        history : float
            Seconds that the pods which receive requests now pretend to have served already: Prometheus is given
            their past.
        sources : iterable of Prometheus, optional
            Who is given it; default: those of all services.
        """
        app = App(
            namespace=namespace, name=name, entry=entry, rps=rps, versions=versions or {}, header_share=header_share
        )
        written = []
        shares = self._received(app)
        assert shares, f"{namespace}/{entry} leads to no pod that is ready"
        end = time.time()
        begun = [(pod, share, self._new_counters()) for pod, share in shares]
        for pod, share, counters in begun:
            if history > 0:
                with self._lock:
                    written += past(
                        pod, counters, app.version(pod.image), end=end, seconds=history, step=SCRAPE_S,
                        rate=rps * share, rng=self._rng,
                    )  # fmt: skip
        for source in self._sources if sources is None else sources:
            source.write(written)
        with self._lock:
            # Not before: a scrape without the past would look like a restart, and make the past come out of order,
            # which Prometheus 2.42 takes and mixes with other series.
            for pod, _, counters in begun:
                app.pods[pod.name] = self._addresses[pod.ip] = counters
            self._apps.append(app)
        return app

    def cease(self, app: App) -> None:
        """Send no requests any more; pods go on telling what they counted."""
        app.rps = 0.0

    def restart(self, app: App, pod: str) -> None:
        """Let a pod's container die: its counters begin at zero."""
        self._kubelet.restart(app.namespace, pod)
        with self._lock:
            app.pods[pod].restart()

    def metrics(self, address: str) -> str | None:
        """Return what the pod with an address counted, None if there is none or it serves nobody yet."""
        with self._lock:
            counters = self._addresses.get(address)
            return None if counters is None else counters.text()

    def targets(self, namespaces: list[str]) -> str:
        """Return the pods as Prometheus' HTTP service discovery wants them: of some namespaces, or of all."""
        pods = [pod for pod in self._kubelet.pods() if not namespaces or pod.namespace in namespaces]
        listed = [(f"{pod.ip}:{PODS_PORT}", {"namespace": pod.namespace, "pod": pod.name}) for pod in pods]
        return json.dumps([{"targets": [target], "labels": labels} for target, labels in listed])

    # ------------------------------------------------------------------ time passes

    def _run(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(TURN_S):
            now = time.monotonic()
            for app in list(self._apps):
                self._turn(app, now - before)
            before = now

    def _turn(self, app: App, seconds: float) -> None:
        received = self._received(app)
        for pod in self._mine(app):
            self._counters(app, pod).probes += PROBES_PER_S * seconds
        shares: dict[str, float] = {}
        latencies: dict[str, FLOAT] = {}
        with self._lock:
            for pod, share in received:
                shares[pod.image] = shares.get(pod.image, 0.0) + share
                version = app.version(pod.image)
                if pod.image not in latencies:
                    latencies[pod.image] = shares_of_buckets(version.latency)
                requests = int(self._rng.poisson(app.rps * share * seconds))
                failed = app.pods[pod.name].serve(requests, version, latencies[pod.image], self._rng)
                app.failures[pod.image] = app.failed(pod.image) + failed
        app.shares = shares

    def _mine(self, app: App) -> list[Pod]:
        return [pod for pod in self._kubelet.pods(app.namespace) if pod.name.startswith(f"{app.name}-")]

    def _received(self, app: App) -> list[tuple[Pod, float]]:
        """Return each pod that receives requests and its share of all."""
        split: Split = self._router.split(app.namespace, app.entry, app.header_share)
        pods = [pod for pod in self._mine(app) if pod.ready]
        found = []
        for service, share in split:
            selector = self._router.selector(app.namespace, service)
            chosen = [pod for pod in pods if selector and selector.items() <= pod.labels.items()]
            pulls = [_pull(app, pod) for pod in chosen]
            found += [(pod, share * pull / sum(pulls)) for pod, pull in zip(chosen, pulls, strict=True) if share > 0]
        return found

    def _counters(self, app: App, pod: Pod) -> Counters:
        with self._lock:
            if pod.name not in app.pods:
                app.pods[pod.name] = self._addresses[pod.ip] = self._new_counters()
            return app.pods[pod.name]

    def _new_counters(self) -> Counters:
        return Counters(factor=math.exp(self._rng.normal(0.0, POD_SPREAD)))


def _pull(app: App, pod: Pod) -> float:
    return next((pull for end, pull in app.pulls.items() if pod.name.endswith(end)), 1.0)


def _server(traffic: Traffic) -> ThreadingHTTPServer:
    class Metrics(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Answer for the pod whose address was asked; ``/targets`` lists all."""
            path = urlsplit(self.path)
            if path.path == "/targets":
                kind, text = "application/json", traffic.targets(parse_qs(path.query).get("namespace", []))
            else:
                found = traffic.metrics(self.connection.getsockname()[0]) if path.path == "/metrics" else None
                kind, text = "text/plain; version=0.0.4", found or ""
            body = (text or "nobody is served here\n").encode()
            self.send_response(200 if text else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 1024  # with five, scrapes that timed out once came back faster than they were answered

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of scrapers that went away before they were answered."""
            if not isinstance(sys.exception(), ConnectionError):
                super().handle_error(request, client_address)

    # All addresses of the namespace, which nothing beyond it can reach: each pod has one of its own.
    server = Server(("0.0.0.0", PODS_PORT), Metrics)
    server.daemon_threads = True
    return server
