"""The real Argo Rollouts, Flagger and Flagger's load tester, as plain processes beside the API server."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from e2e.harness.controlplane import ControlPlane
from e2e.harness.process import Process
from e2e.harness.tools import program

ARGO_METRICS, ARGO_HEALTH = 8090, 8081
FLAGGER_PORT = 8082
LOADTESTER_PORT = 8083


class Controllers:
    """
    All three.

    Parameters
    ----------
    plane : ControlPlane
    folder : Path
        Logs.
    metrics_server : str
        Flagger's own source of metrics.
    """

    def __init__(self, plane: ControlPlane, folder: Path, metrics_server: str) -> None:
        kubeconfig = str(plane.kubeconfig)
        self.argo = Process(
            "argo-rollouts",
            [
                program("rollouts-controller"), "--kubeconfig", kubeconfig, "--leader-elect=false",
                "--metricsPort", str(ARGO_METRICS), "--healthzPort", str(ARGO_HEALTH), "--namespace", "argo-rollouts",
                "--loglevel", "info", "--self-service-notification-enabled",
            ],
            folder,
        )  # fmt: skip
        self.flagger = Process(
            "flagger",
            [
                program("flagger"), "-kubeconfig", kubeconfig, "-mesh-provider", "kubernetes", "-metrics-server",
                metrics_server, "-port", str(FLAGGER_PORT), "-control-loop-interval", "10s", "-log-level", "info",
                "-enable-config-tracking=false", "-kubeconfig-qps", "200", "-kubeconfig-burst", "400",
            ],
            folder,
        )  # fmt: skip
        self.loadtester = Process(
            "loadtester", [program("loadtester"), "-port", str(LOADTESTER_PORT), "-log-level", "info"], folder
        )

    def start(self) -> None:
        """Start them and wait until they say that they are well."""
        self.argo.start()
        self.flagger.start()
        self.loadtester.start()
        self.argo.wait_until(lambda: _well(f"http://127.0.0.1:{ARGO_HEALTH}/healthz"))
        self.flagger.wait_until(lambda: _well(f"http://127.0.0.1:{FLAGGER_PORT}/healthz"))
        self.loadtester.wait_until(lambda: _well(f"http://127.0.0.1:{LOADTESTER_PORT}/healthz"))

    def stop(self) -> None:
        """Stop them."""
        for process in (self.loadtester, self.flagger, self.argo):
            process.stop()


def _well(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
