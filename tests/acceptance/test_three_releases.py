"""
The main promise, end to end: a real Prometheus with history scrapes a real service, and our command judges it.

Three releases run side by side, the canary at 1, 1.5 and 3 times the stable error rate. Argo's metric, Flagger's hooks
and curl must come to promote, hold and abort.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance import demo_service
from tests.prometheus_server import running as prometheus

ROOT = Path(__file__).parents[2]
RATE = 400
BASE = 0.02
WEIGHT = 0.3
POLICY = """
apiVersion: weighbridge/v1
name: demo
controller: argo
select:
  baseline: 'namespace="$namespace", pod=~"$name-6c54bd4f4b-[a-z0-9]{5}"'
  canary: 'namespace="$namespace", pod=~"$name-7d9b8c5f66-[a-z0-9]{5}"'
  replica: [pod]
looks: {scrape: 1s, length: 2s, lag: 2s}
noise: {history: 30m}
min_step: 6s
questions:
  - name: error-rate
    kind: proportion
    bad: 'http_requests_total{$side, code=~"5.."}'
    total: 'http_requests_total{$side}'
    weight: critical
"""


class Release:
    """One demo service behind one Prometheus, and the judging service that reads it."""

    def __init__(self, service, url):
        self.service = service
        self.url = url

    def post(self, path, body):
        """Return status and text of a POST with a JSON body."""
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def argo(self, stage):
        """Return the verdict object that Argo's metric hears."""
        release = {
            "namespace": demo_service.NAMESPACE, "name": demo_service.NAME, "revision": demo_service.CANARY,
            "stable_revision": demo_service.STABLE, "step": "1", "next_weight": "1" if stage == "final" else "0.6",
        }  # fmt: skip
        status, text = self.post("/argo/analysis", {"policy": "demo", "stage": stage, "release": release})
        assert status == 200
        return json.loads(text)

    def flagger(self, hook):
        """Return status and line of one hook."""
        body = {
            "namespace": demo_service.NAMESPACE,
            "name": demo_service.NAME,
            "phase": "Progressing",
            "checksum": "5974bc7f59",
        }
        status, text = self.post(f"/flagger/{hook}?policy=demo", body)
        return status, text.strip()

    def curl(self, path):
        """Return what a person reads who types curl."""
        done = subprocess.run(["curl", "-sS", self.url + path], capture_output=True, text=True, timeout=20, check=True)
        return done.stdout


@contextmanager
def weighbridge(prometheus_url, folder):
    """Run the command on a free port of loopback."""
    (folder / "policies").mkdir()
    (folder / "policies" / "demo.yaml").write_text(POLICY)
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    environ |= {key: value for key, value in os.environ.items() if key.startswith("COVERAGE")}
    command = [
        sys.executable, "-m", "webhook.cli", "serve", "--listen", "127.0.0.1:0", "--prometheus", prometheus_url,
        "--policies", str(folder / "policies"), "--store", f"sqlite:{folder / 'weighbridge.db'}",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True)
    lines, found, reader = [], None, None
    try:
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r'"event": ?"listening".*?(http://127\.0\.0\.1:\d+)', line):
                break
        assert found, lines
        # The pipe is emptied all the time: a full one would stop the service at its next line.
        reader = threading.Thread(target=process.stderr.read)
        reader.start()
        yield found.group(1)
    finally:
        process.terminate()
        process.wait(timeout=20)
        if reader is not None:
            reader.join()
        process.stderr.close()


@contextmanager
def release(ratio, folder):
    """Run one release at 30 % of the traffic, its canary failing ``ratio`` times as often as the stable."""
    pods = 4
    begun = float(int(time.time()))
    text, stable = demo_service.history(end=begun, seconds=1800, pods=pods, rate=RATE / pods, error_rate=BASE)
    with (
        demo_service.running(history=stable, canary=3) as service,
        prometheus(openmetrics=text, scrape=service.scrape_configs(), interval="1s") as source,
        weighbridge(source.url, folder) as url,
    ):
        service.stable.error_rate, service.canary.error_rate = BASE, BASE * ratio
        service.weight, service.seed = WEIGHT, int(ratio * 10)
        over = threading.Event()
        traffic = threading.Thread(target=_traffic, args=(service, over))
        traffic.start()
        try:
            yield Release(service, url)
        finally:
            over.set()
            traffic.join()


def _traffic(service, over):
    """Send an even load, whatever the machine does meanwhile, for at most four minutes."""
    begun, sent = time.monotonic(), 0
    while not over.wait(0.05) and time.monotonic() - begun < 230:
        due = int((time.monotonic() - begun) * RATE)
        service.serve(due - sent)
        sent = due


def _until(ask, wanted, seconds):
    """Ask every two seconds until the answer is wanted, and return all answers."""
    answers = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answers.append(ask())
        if wanted(answers[-1]):
            break
        time.sleep(2)
    return answers


@pytest.mark.timeout(300)
def test_promote_hold_and_abort_from_a_running_prometheus(tmp_path_factory):
    """As good as stable is promoted to the end, 1.5 times its errors waits, 3 times is aborted; all say why."""
    with ThreadPoolExecutor(3) as pool:
        runs = [
            pool.submit(run, tmp_path_factory.mktemp(name))
            for name, run in (("good", _good), ("worse", _worse), ("bad", _bad))
        ]
        for run in runs:
            run.result()


def _good(folder):
    with release(1.0, folder) as run:
        answers = _until(lambda: run.argo("final"), lambda a: a["verdict"] == "promote", 120)
        assert answers[-1]["verdict"] == "promote", answers[-1]
        assert {a["verdict"] for a in answers} <= {"hold", "promote"}
        assert answers[-1]["questions"] == {"error-rate": "no_worse"}
        again = run.curl(f"/v1/reports/{answers[-1]['id']}")
        assert again.startswith("PROMOTE")
        assert "learned from the stable replicas before the release" in " ".join(again.split())
        allowed = _until(lambda: run.flagger("confirm-promotion"), lambda a: a[0] == 200, 90)
        assert allowed[-1][0] == 200, allowed[-1]
        assert run.flagger("rollback")[0] == 403


def _worse(folder):
    with release(1.5, folder) as run:
        _until(lambda: run.argo("final"), lambda a: False, 40)
        held = run.argo("final")
        assert held["verdict"] == "hold", held
        assert held["questions"]["error-rate"] in ("undecided", "degraded")
        asked = _until(lambda: run.flagger("confirm-promotion"), lambda a: "error rate" in a[1], 30)
        assert {status for status, _ in asked} == {403}
        assert "error rate" in asked[-1][1]
        assert run.flagger("rollback")[0] == 403
        report = json.loads(run.curl(f"/v1/reports/{held['id']}?format=json"))
        assert report["detail"]["evidence"][0]["counts"]["canary"]["total"] > 1000
        assert "hold" in run.curl(
            f"/v1/analysis?policy=demo&namespace={demo_service.NAMESPACE}&name={demo_service.NAME}&stage=final"
        )


def _bad(folder):
    with release(3.0, folder) as run:
        answers = _until(lambda: run.argo("step"), lambda a: a["verdict"] == "abort", 90)
        assert answers[-1]["verdict"] == "abort", answers[-1]
        assert "promote" not in {a["verdict"] for a in answers[3:]}
        assert answers[-1]["release"]["phase"] == "aborted"
        text = run.curl(f"/v1/reports/{answers[-1]['id']}")
        assert text.startswith("ABORT")
        # Without any confirm hook the release would count as miswired, and nothing of it would be enforced.
        assert run.flagger("confirm-rollout")[0] == 200
        rolled = _until(lambda: run.flagger("rollback"), lambda a: a[0] == 200, 60)
        assert rolled[-1][0] == 200, rolled[-1]
        status, line = run.post("/flagger/post-rollout?policy=demo", {
            "namespace": demo_service.NAMESPACE, "name": demo_service.NAME, "phase": "Failed", "checksum": "5974bc7f59",
        })  # fmt: skip
        assert status == 412
        assert "error rate" in line
        told = json.loads(run.curl(f"/v1/releases/{demo_service.NAMESPACE}/{demo_service.NAME}"))
        assert told["release"]["phase"] == "aborted"
        assert told["release"]["closing"]["outcome"] in ("aborted", "rolled back")
