"""Two running services on one Redis behind Sentinel: what was said to one the other knows, also after a failover."""

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
from pathlib import Path

import pytest

from tests.redis_server import watched

ROOT = Path(__file__).parents[2]
LISTENING = re.compile(r'"event": ?"listening".*?(http://127\.0\.0\.1:\d+)')
PATIENCE_S = 120.0
RELEASE = {"namespace": "shop", "name": "web", "revision": "r1"}
CANARY = {"namespace": "shop", "name": "web"}
LOOKS = 24
DATA = {
    "start": "2026-11-23T10:00:00Z",
    "step_seconds": 30,
    "questions": {
        "error-rate": {
            "baseline": {pod: {"bad": [5] * LOOKS, "total": [500] * LOOKS} for pod in ("s-1", "s-2", "s-3")},
            "canary": {pod: {"bad": [100] * LOOKS, "total": [500] * LOOKS} for pod in ("c-1", "c-2", "c-3")},
        }
    },
}


class Replica:
    """One process of ``weighbridge serve``."""

    def __init__(self, store, folder):
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT)}
        environ |= {key: value for key, value in os.environ.items() if key.startswith("COVERAGE")}
        command = [sys.executable, "-m", "webhook.cli", "serve", "--listen=127.0.0.1:0", f"--store={store}"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True)
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if found := LISTENING.search(line):
                self.url = found[1]
                break
        else:
            raise AssertionError(lines)
        self._reader = threading.Thread(target=self.process.stderr.read)
        self._reader.start()

    def send(self, path, body=None):
        """Return status and text of a request; a GET without a body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Accept": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def until(self, path, body, wanted):
        """Ask again and again, as controllers do; return all answers, the last of which is wanted."""
        answers = []
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            answers.append(self.send(path, body))
            if wanted(*answers[-1]):
                return answers
            time.sleep(0.3)
        raise AssertionError(answers[-3:])

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)
        self._reader.join()
        self.process.stderr.close()


@pytest.mark.timeout(500)
def test_what_one_acknowledged_the_other_knows_after_a_failover(tmp_path):
    """Verdict, report, word and gate are read from the other replica while the first is dead and Redis failed over."""
    with watched() as redis:
        one, other = Replica(redis.url, tmp_path), Replica(redis.url, tmp_path)
        try:
            asked = {"release": RELEASE, "stage": "step", "data": DATA}
            first = one.until("/v1/analysis", asked, lambda _, text: "store down" not in text)[-1][1]
            verdict = json.loads(first)
            assert verdict["verdict"] == "abort"
            other.until("/v1/analysis", asked, lambda status, text: (status, text) == (200, first))
            word = {"verdict": "hold", "actor": "ann", "reason": "incident elsewhere", "revision": "r1"}
            one.until("/v1/releases/shop/web/override", word, lambda status, _: status == 201)
            one.until("/gate/open?once=true", CANARY, lambda status, _: status == 202)

            one.process.kill()
            redis.master.kill()
            # While nobody is master nothing is promoted, aborted or let through.
            answers = other.until("/argo/analysis", asked, lambda _, text: "incident elsewhere" in text)
            assert {json.loads(text)["verdict"] for _, text in answers} == {"hold"}
            assert any("overrides are unknown: redis wb of" in text for _, text in answers)
            passed = other.until("/gate/check", CANARY, lambda status, _: status == 200)
            assert {status for status, _ in passed[:-1]} <= {403}
            other.until("/gate/check", CANARY, lambda _, text: text == "Forbidden")
            kept = json.loads(other.until(f"/v1/reports/{verdict['id']}", None, lambda status, _: status == 200)[-1][1])
            assert (kept["verdict"], kept["reason"]) == (verdict["verdict"], verdict["reason"])
            other.until("/readyz", None, lambda _, text: json.loads(text)["degraded"] == [])
        finally:
            one.end()
            other.end()
