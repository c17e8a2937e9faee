"""Prometheus, or VictoriaMetrics in its place: finds the pods and scrapes them."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from e2e.harness.controlplane import PORT as API_PORT
from e2e.harness.controlplane import ControlPlane
from e2e.harness.kubelet import Pod
from e2e.harness.process import Process
from e2e.harness.tools import program
from tests.prometheus_server import Labels, PrometheusServer, Samples

SCRAPE_S = 2.5
"""Half a look of the tests, so that every look holds two scrapes of every pod."""
PODS_PORT = 9102
"""Where every pod answers ``/metrics``."""
JOB = "pods"
RETENTION = "30d"


def labels_of(pod: Pod) -> dict[str, str]:
    """Return the labels that the configuration below gives to the series of a pod."""
    return {"job": JOB, "instance": f"{pod.ip}:{PODS_PORT}", "namespace": pod.namespace, "pod": pod.name}


TARGETS = f"http://127.0.0.1:{PODS_PORT}/targets"
"""Where the simulated kubelet lists the pods for the Prometheus that Debian builds: it cannot ask the API server."""


def configuration(plane: ControlPlane, engine: str, rules: Iterable[Path] = (), namespaces: Iterable[str] = ()) -> str:
    """Return the scrape configuration, YAML; what only Prometheus knows is left out for VictoriaMetrics."""
    finding = _by_list(namespaces) if engine == "debian" else _by_api(plane, namespaces)
    interval = f"{1000 * SCRAPE_S:.0f}ms"
    document: dict[str, Any] = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [{"job_name": JOB, **finding}],
    }
    if engine != "victoria":
        document["global"]["evaluation_interval"] = "5s"
        document["rule_files"] = [str(path) for path in rules]
    return json.dumps(document)  # JSON is YAML


def _by_list(namespaces: Iterable[str]) -> dict[str, Any]:
    wanted = urllib.parse.urlencode([("namespace", name) for name in namespaces])
    return {"http_sd_configs": [{"url": f"{TARGETS}?{wanted}" if wanted else TARGETS, "refresh_interval": "1s"}]}


def _by_api(plane: ControlPlane, namespaces: Iterable[str]) -> dict[str, Any]:
    relabel = [
        {"source_labels": ["__meta_kubernetes_pod_ip"], "regex": ".+", "action": "keep"},
        {
            "source_labels": ["__meta_kubernetes_pod_ip"],
            "target_label": "__address__",
            "replacement": f"$1:{PODS_PORT}",
        },
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
    ]
    discovery: dict[str, Any] = {
        "role": "pod",
        "api_server": f"https://127.0.0.1:{API_PORT}",
        "authorization": {"type": "Bearer", "credentials": plane.token},
        "tls_config": {"ca_file": str(plane.certificate)},
    }
    if only := list(namespaces):
        discovery["namespaces"] = {"names": only}
    return {"kubernetes_sd_configs": [discovery], "relabel_configs": relabel}


class Prometheus:
    """
    A server of PromQL.

    Parameters
    ----------
    plane : ControlPlane
        Whose pods it finds.
    folder : Path
        Data and log.
    port : int
        On loopback.
    engine : str
        ``debian`` (what is installed), ``current`` (3.x, from its Go module) or ``victoria``.
    rules : iterable of Path
        Files of recording and alerting rules.
    namespaces : iterable of str
        Whose pods it scrapes; empty: all.
    """

    def __init__(
        self, plane: ControlPlane, folder: Path, *, port: int = 9090, engine: str = "debian",
        rules: Iterable[Path] = (), namespaces: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self.url = f"http://127.0.0.1:{port}"
        self.engine = engine
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "prometheus.yaml"
        config.write_text(configuration(plane, engine, rules, namespaces))
        self._process = Process("prometheus", _command(engine, config, folder, port), folder)

    def start(self) -> None:
        """Start it, or start it again with the data that it had."""
        self._process.start()
        ready = "/health" if self.engine == "victoria" else "/-/ready"
        self._process.wait_until(lambda: self._answers(ready))

    def stop(self) -> None:
        """Stop it; its data stay."""
        self._process.stop(grace=10.0)

    def kill(self) -> None:
        """Stop it as a machine that fails would."""
        self._process.kill()

    def write(self, series: Iterable[tuple[Labels, Samples]]) -> None:
        """Write samples of the past: ``({"__name__": …}, [(time, value), …])`` per series."""
        PrometheusServer(self.url, None).write(series)  # type: ignore[arg-type]

    def query(self, promql: str, *, at: float | None = None) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each element of an instant query."""
        parameters = {"query": promql, "time": f"{time.time() if at is None else at:.3f}"}
        with urllib.request.urlopen(
            f"{self.url}/api/v1/query?{urllib.parse.urlencode(parameters)}", timeout=20
        ) as answer:
            result = json.load(answer)["data"]["result"]
        return [(element["metric"], float(element["value"][1])) for element in result]

    def _answers(self, path: str) -> bool:
        with urllib.request.urlopen(self.url + path, timeout=2) as answer:
            return bool(answer.status == 200)


def _command(engine: str, config: Path, folder: Path, port: int) -> list[str]:
    if engine == "victoria":
        return [
            program("victoria-metrics"), f"-promscrape.config={config}", f"-storageDataPath={folder / 'data'}",
            f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=30d", "-search.latencyOffset=0s",
            "-search.disableCache", "-promscrape.kubernetesSDCheckInterval=1s",
        ]  # fmt: skip
    binary = "/usr/bin/prometheus" if engine == "debian" else program("prometheus")
    return [
        binary, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--storage.tsdb.retention.time={RETENTION}", f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver", "--log.level=warn",
    ]  # fmt: skip
