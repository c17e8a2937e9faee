"""Our service as it runs in a cluster: ``weighbridge serve`` with tokens, policies and a store of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2e.harness.namespace import SERVICE_NAME
from e2e.harness.process import Process
from e2e.harness.tools import ROOT

PORT = 8080
"""Where the shipped manifests look for the service."""
SHIPPED_URL = f"http://{SERVICE_NAME}:{PORT}"
LOOKS = """
looks: {scrape: 2.5s, length: 5s, lag: 3s}
noise: {history: 20m}
min_step: 10s
"""
"""What is different from the defaults in all policies of the tests: everything is fast."""
POLICY = (
    """apiVersion: weighbridge/v1
name: e2e
match: [{namespace: "argo-*"}, {namespace: "flagger-*"}]"""
    + LOOKS
    + """questions:
  - name: error-rate
    kind: proportion
    bad: 'http_requests_total{$side, code=~"5..", path!="/healthz"}'
    total: 'http_requests_total{$side, path!="/healthz"}'
    weight: critical
"""
)


class Weighbridge:
    """
    A service that runs as a process.

    Parameters
    ----------
    folder : Path
        Policies, store, tokens and log.
    prometheus : str
        URL of the source.
    port : int
        On loopback.
    policies : mapping of str to str
        Texts by name. Default: `POLICY`, for the namespaces of the scenarios; what it does not match has no policy.
    options : mapping of str to str
        Further options: ``{"mode": "shadow"}``.
    """

    def __init__(
        self, folder: Path, prometheus: str, *, port: int = PORT, policies: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.port = port
        self.url = f"http://{SERVICE_NAME}:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "policies").mkdir(exist_ok=True)
        for name, text in (policies if policies is not None else {"e2e": POLICY}).items():
            self.write_policy(name, text)
        self.ask_token = self._token("controllers", "ask")
        self._all_token = self._token("people", "ask,operate,read")
        chosen = {
            "listen": f"127.0.0.1:{port}", "prometheus": prometheus, "policies": str(folder / "policies"),
            "store": f"sqlite:{folder / 'weighbridge.db'}", "tokens-file": str(folder / "tokens.yaml"),
            **(options or {}),
        }  # fmt: skip
        words = [f"--{name}={value}" for name, value in chosen.items()]
        self._process = Process(
            "weighbridge", [sys.executable, "-m", "webhook.cli", "serve", *words], folder, _environ(folder)
        )

    def start(self) -> None:
        """Start it, or start it again with the store that it had."""
        self._process.start()
        self._process.wait_until(lambda: self._status("/healthz") == 200)

    def stop(self) -> None:
        """Stop it politely."""
        self._process.stop(grace=15.0)

    def kill(self) -> None:
        """Let it die as a machine that fails would."""
        self._process.kill()

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it logged, line by line."""
        lines = (self.folder / "weighbridge.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def write_policy(self, name: str, text: str) -> None:
        """Write a policy into its folder."""
        (self.folder / "policies" / f"{name}.yaml").write_text(text)

    # ------------------------------------------------------------------ what people ask it

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON that a path answers."""
        return self._json("GET", path)

    def release(self, namespace: str, name: str) -> dict[str, Any]:
        """Return what it knows of a release."""
        return self.get(f"/v1/releases/{namespace}/{name}")

    def report(self, identity: str) -> dict[str, Any]:
        """Return a report by its id."""
        return self.get(f"/v1/reports/{identity}")

    def override(self, namespace: str, name: str, verdict: str, reason: str, **more: str) -> dict[str, Any]:
        """Speak as a person on call: promote, hold, abort or retry."""
        word = {"verdict": verdict, "reason": reason, "actor": "on call", **more}
        return self._json("POST", f"/v1/releases/{namespace}/{name}/override", word)

    def gate(self, path: str, namespace: str, name: str) -> None:
        """Open or close a gate as a person on call; a path is ``gate/open`` or ``rollback/open`` or the like."""
        self._json("POST", f"/{path}", {"name": name, "namespace": namespace, "actor": "on call"})

    def _json(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        sent = None if body is None else json.dumps(body).encode()
        headers = {
            "Authorization": f"Bearer {self._all_token}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", sent, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return dict(json.loads(answer.read() or "{}"))
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{method} {path}: {refused.code} {refused.read().decode()[:500]}") from refused

    def _status(self, path: str) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
            return int(answer.status)

    def _token(self, name: str, verbs: str) -> str:
        command = [sys.executable, "-m", "webhook.cli", "token", name, "--verbs", verbs, "--json"]
        command += ["--append", str(self.folder / "tokens.yaml")]
        made = subprocess.run(command, cwd=ROOT, env=_environ(self.folder), capture_output=True, text=True, check=True)
        return str(json.loads(made.stdout)["secret"])


def _environ(folder: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)}
