"""etcd, kube-apiserver and kube-controller-manager as plain processes on loopback: a cluster without machines."""

from __future__ import annotations

import json
import secrets
import subprocess
from functools import partial
from pathlib import Path

import yaml

from e2e.harness.api import Api
from e2e.harness.process import Process, wait_for
from e2e.harness.tools import definitions, program

PORT = 6443
ETCD = "http://127.0.0.1:2379"
PEERS = "http://127.0.0.1:2380"
CONTROLLERS = "deployment,replicaset,namespace,serviceaccount,garbagecollector,job"
"""What the controller manager runs; pods have no nodes and the router reads selectors, so that nothing is scheduled."""
PROJECTS = ("argo", "flagger", "gateway", "istio", "prometheus")


class ControlPlane:
    """
    A Kubernetes API.

    Parameters
    ----------
    folder : Path
        Data, certificates and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.token = secrets.token_hex(16)
        self.kubeconfig = folder / "kubeconfig"
        self.certificate = folder / "certificates" / "apiserver.crt"
        self.api = Api(PORT, self.token, self.certificate)
        self._etcd = Process(
            "etcd",
            [
                program("etcd"), "--data-dir", str(folder / "etcd"), "--listen-client-urls", ETCD,
                "--advertise-client-urls", ETCD, "--listen-peer-urls", PEERS, "--initial-advertise-peer-urls", PEERS,
                "--initial-cluster", f"default={PEERS}",
            ],
            folder,
        )  # fmt: skip
        self._server = Process("kube-apiserver", self._server_command(), folder)
        self._manager = Process(
            "kube-controller-manager",
            [
                program("kube-controller-manager"), f"--kubeconfig={self.kubeconfig}", f"--controllers={CONTROLLERS}",
                "--leader-elect=false", "--bind-address=127.0.0.1", "--kube-api-qps=200", "--kube-api-burst=400",
                "--use-service-account-credentials=false",
            ],
            folder,
        )  # fmt: skip

    def start(self) -> None:
        """Start the three, in order, then serve every project's own kinds."""
        self._write_secrets()
        self._etcd.start()
        self._server.start()
        self._server.wait_until(lambda: self.certificate.exists() and self.api.text("/readyz") == "ok", limit=90)
        self._manager.start()
        for project in PROJECTS:
            self.define(project)

    def define(self, project: str) -> None:
        """Apply the custom resource definitions of a project and wait until they are served."""
        names = []
        for path in definitions(project):
            for document in yaml.safe_load_all(path.read_text()):
                if document and document["kind"] == "CustomResourceDefinition":
                    # What the authors' own file holds is theirs: their fields are not checked here.
                    name = document["metadata"]["name"]
                    self.api.request(
                        "PATCH", self.api.path("CustomResourceDefinition", name=name), document,
                        kind="application/apply-patch+yaml", query={"fieldManager": "e2e", "force": "true"},
                    )  # fmt: skip
                    names.append(name)
        for name in names:
            wait_for(partial(self._established, name), f"{name} to be served", limit=30)

    def _established(self, name: str) -> bool:
        found = self.api.get("CustomResourceDefinition", "", name)
        conditions = found.get("status", {}).get("conditions") or []
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

    def stop(self) -> None:
        """Stop in reverse: an API server whose etcd is gone does not end."""
        self._manager.stop()
        self._server.stop(grace=3.0)
        self._etcd.stop()
        self.api.close()

    def tails(self) -> str:
        """Return the ends of the logs, for a failure."""
        return "\n".join(f"--- {p.name}\n{p.tail()}" for p in (self._etcd, self._server, self._manager))

    def _server_command(self) -> list[str]:
        folder = self.folder
        return [
            program("kube-apiserver"),
            f"--etcd-servers={ETCD}",
            "--bind-address=127.0.0.1",
            f"--secure-port={PORT}",
            f"--cert-dir={self.certificate.parent}",
            f"--service-account-key-file={folder / 'accounts.key'}",
            f"--service-account-signing-key-file={folder / 'accounts.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--endpoint-reconciler-type=none",
            "--advertise-address=127.0.0.1",
            "--disable-admission-plugins=ServiceAccount",
            "--max-requests-inflight=2000",
            "--event-ttl=2h",
        ]

    def _write_secrets(self) -> None:
        (self.folder / "tokens.csv").write_text(f"{self.token},admin,admin,system:masters\n")
        key = str(self.folder / "accounts.key")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        cluster = {"server": f"https://127.0.0.1:{PORT}", "certificate-authority": str(self.certificate)}
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "e2e", "cluster": cluster}],
                    "users": [{"name": "admin", "user": {"token": self.token}}],
                    "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "admin"}}],
                    "current-context": "e2e",
                }
            )
        )
