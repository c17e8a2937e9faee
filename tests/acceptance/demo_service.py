"""
A small instrumented service: two versions behind a weighted split, with an error rate that can be turned up.

Every pod has its own registry and is scraped at its own path, as Kubernetes would have it; requests come over HTTP or,
for volume, through `DemoService.serve`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

NAMESPACE, NAME = "shop", "checkout"
STABLE, CANARY = "6c54bd4f4b", "7d9b8c5f66"
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0)
SUFFIXES = ("bbbbb", "ccccc", "ddddd", "fffff", "ggggg", "hhhhh")


class Pod:
    """One process of one version: counts what it answers."""

    def __init__(self, name: str, *, requests: int = 0, errors: int = 0) -> None:
        self.name = name
        self.registry = CollectorRegistry()
        self.requests = Counter("http_requests_total", "Answers by status", ["code"], registry=self.registry)
        self.seconds = Histogram(
            "http_request_duration_seconds", "Time to answer", buckets=BUCKETS, registry=self.registry
        )
        if requests:
            self.requests.labels("200").inc(requests - errors)
        if errors:
            self.requests.labels("500").inc(errors)

    def answer(self, code: int, seconds: float) -> int:
        """Count one answer and return its status."""
        self.requests.labels(str(code)).inc()
        self.seconds.observe(seconds)
        return code


@dataclass(slots=True)
class Version:
    """Pods that run the same code: ``error_rate`` in [0, 1], ``latency`` is the mean in seconds."""

    pods: list[Pod]
    error_rate: float = 0.01
    latency: float = 0.08


@dataclass(slots=True)
class DemoService:
    """
    Stable and canary behind a weighted split.

    Parameters
    ----------
    stable, canary : Version
    weight : float
        Share of requests in [0, 1] that the canary answers.
    seed : int
        Of the generator that draws pods, statuses and latencies.
    """

    stable: Version
    canary: Version
    weight: float = 0.0
    seed: int = 1
    url: str = ""
    served: dict[str, list[int]] = field(default_factory=dict)
    _random: random.Random = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def serve_one(self) -> int:
        """Answer one request and return its status."""
        with self._lock:
            version = self.canary if self._random.random() < self.weight else self.stable
            pod = self._random.choice(version.pods)
            code = 500 if self._random.random() < version.error_rate else 200
            count = self.served.setdefault(pod.name, [0, 0])
            count[0] += 1
            count[1] += code == 500
            return pod.answer(code, self._random.expovariate(1 / version.latency))

    def serve(self, requests: int) -> None:
        """Answer many requests."""
        for _ in range(requests):
            self.serve_one()

    def pods(self) -> dict[str, Pod]:
        """Return every pod by name."""
        return {pod.name: pod for version in (self.stable, self.canary) for pod in version.pods}

    def scrape_configs(self) -> str:
        """Return the part of a Prometheus configuration that scrapes every pod, labelled as Kubernetes does."""
        target = self.url.removeprefix("http://")
        lines = ["scrape_configs:", "- job_name: pods", "  static_configs:"]
        for name in self.pods():
            labels = f"namespace: {NAMESPACE}, pod: {name}, instance: {name}, __metrics_path__: /metrics/{name}"
            lines.append(f"  - {{targets: ['{target}'], labels: {{{labels}}}}}")
        return "\n".join(lines)


@contextmanager
def running(*, stable: int = 4, canary: int = 2, history: Sequence[Pod] = ()) -> Iterator[DemoService]:
    """Serve the demo on a loopback port: ``GET /`` is a request, ``GET /metrics/<pod>`` its numbers."""
    old = list(history) or [Pod(f"{NAME}-{STABLE}-{suffix}") for suffix in SUFFIXES[:stable]]
    new = [Pod(f"{NAME}-{CANARY}-{suffix}") for suffix in SUFFIXES[:canary]]
    service = DemoService(stable=Version(pods=old), canary=Version(pods=new))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, _, name = self.path.strip("/").partition("/")
            pod = service.pods().get(name)
            if kind == "metrics":
                self.reply(200 if pod else 404, generate_latest(pod.registry) if pod else b"")
            else:
                self.reply(service.serve_one(), b"hello\n")

        def reply(self, status: int, body: bytes) -> None:
            """Send a whole answer."""
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def history(
    *, end: float, seconds: int = 3600, step: int = 1, pods: int = 4, rate: float = 20.0, error_rate: float = 0.01
) -> tuple[str, list[Pod]]:
    """
    Return the past of the stable pods as OpenMetrics text to backfill, and those pods with counters that go on from it.

    Parameters
    ----------
    end : float
        Unix seconds of the last sample.
    seconds, step : int
        How far it reaches back, and how far apart samples are.
    rate : float
        Requests per second of each pod.
    """
    draw = random.Random(7)
    lines = ["# TYPE http_requests counter"]
    live: list[Pod] = []
    for suffix in SUFFIXES[:pods]:
        name = f"{NAME}-{STABLE}-{suffix}"
        labels = f'namespace="{NAMESPACE}",pod="{name}",job="pods",instance="{name}"'
        good = bad = 0
        samples: dict[str, list[str]] = {"200": [], "500": []}
        for k in range(seconds // step + 1):
            moment = end - seconds + k * step
            # Spread like a Poisson count closely enough for a history, and cheap.
            count = max(0, round(draw.gauss(rate * step, (rate * step) ** 0.5)))
            errors = sum(draw.random() < error_rate for _ in range(count))
            good, bad = good + count - errors, bad + errors
            for code, value in (("200", good), ("500", bad)):
                samples[code].append(f'http_requests_total{{{labels},code="{code}"}} {value} {moment:.3f}')
        lines += [*samples["200"], *samples["500"]]
        live.append(Pod(name, requests=good + bad, errors=bad))
    return "\n".join([*lines, "# EOF", ""]), live
