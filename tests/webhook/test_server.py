"""The embedded server, as a process of its own on a free loopback port."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.webhook.served import ROOT, served, start


def get(url, **headers):
    """Return status, headers and text."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        return answer.status, answer.headers, answer.read().decode()


def counted(text, name):
    """Return the sum of a metric's samples."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}(\{{|\s)", line))


@pytest.fixture(scope="module")
def one():
    with served() as running:
        yield running


def test_it_serves_on_loopback(one):
    """The first answer comes from the address that the log named."""
    status, headers, text = get(one.url + "/healthz", **{"X-Request-ID": "mine"})
    assert (status, json.loads(text)) == (200, {"status": "alive"})
    assert headers["X-Request-ID"] == "mine"
    assert one.url.startswith("http://127.0.0.1:")


def test_connections_are_kept_open(one):
    """Two requests of one connection: controllers and scrapers ask again and again."""
    connection = http.client.HTTPConnection(one.url.removeprefix("http://"), timeout=30)
    for _ in range(3):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b'{"status":"alive"}\n'
        assert connection.sock is not None
    connection.close()


def test_a_waiting_request_does_not_hold_up_another(one):
    """Threads: while one waits for its source, probes are answered."""
    slow = threading.Thread(target=get, args=(one.url + "/slow?seconds=1.5",))
    slow.start()
    begun = time.monotonic()
    get(one.url + "/healthz")
    assert time.monotonic() - begun < 1.0
    assert slow.is_alive()
    slow.join()


def test_a_request_line_over_the_limit_is_refused(one):
    """A very long line is a 4xx, and the server lives on."""
    with pytest.raises(urllib.error.HTTPError) as raised:
        get(one.url + "/healthz?" + "x" * 9000)
    assert 400 <= raised.value.code < 500
    raised.value.close()
    assert get(one.url + "/healthz")[0] == 200


def test_a_silent_client_holds_up_nobody(one):
    """Connections that send nothing cost no thread, however many there are."""
    address = ("127.0.0.1", int(one.url.rsplit(":", 1)[1]))
    idle = [socket.create_connection(address) for _ in range(40)]
    begun = time.monotonic()
    assert get(one.url + "/healthz")[0] == 200
    assert time.monotonic() - begun < 2.0
    for connection in idle:
        connection.close()


def test_a_client_that_stops_half_way_is_given_up():
    """A request that never ends costs its thread for a bounded time only, here 1 s."""
    with served(client_silence_s=1) as running:
        address = ("127.0.0.1", int(running.url.rsplit(":", 1)[1]))
        halves = [socket.create_connection(address) for _ in range(8)]  # as many as there are threads
        for half in halves:
            half.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        leaving = [threading.Thread(target=lambda half=half: (half.recv(1), half.close())) for half in halves]
        for thread in leaving:
            thread.start()
        begun = time.monotonic()
        assert get(running.url + "/healthz")[0] == 200
        assert time.monotonic() - begun < 10
        for thread in leaving:
            thread.join()


@pytest.mark.parametrize("workers", ["1", "3"])
def test_metrics_add_up_over_workers(workers):
    """Whichever worker is asked, the counters are those of all, and a dead worker's stay."""
    with served(WORKERS=workers) as running:
        seen, made = set(), 0
        while len(seen) < int(workers) and made < 3000:
            seen.add(json.loads(get(running.url + "/pid", Connection="close")[2])["pid"])
            made += 1
        assert len(seen) == int(workers)
        text = get(running.url + "/metrics")[2]
        before = counted(text, "weighbridge_decisions_total")
        assert before == made
        assert counted(text, "weighbridge_policies_loaded") == 2
        os.kill(seen.pop(), signal.SIGKILL)
        for _ in range(3000):  # ends as soon as the new worker answers
            try:
                text = get(running.url + "/metrics")[2]
                if counted(text, "weighbridge_policies_loaded") == 2:
                    break
            except OSError:
                continue
        after = counted(text, "weighbridge_decisions_total")
        assert after == (before if workers != "1" else 0)


def test_nothing_is_left_behind():
    """The folder of shared metrics ends with the server, and stderr holds nothing but our lines."""
    with served(WORKERS="2") as running:
        environ = Path(f"/proc/{running.process.pid}/environ").read_bytes()
        text = get(running.url + "/t/wb_0123456789abcdefghij/pid")[2]
        worker = json.loads(text)["pid"]
        maps = Path(f"/proc/{worker}/maps").read_text()
        (folder,) = set(re.findall(r"(/\S*weighbridge-metrics-[^/\s]+)/", maps))
        assert Path(folder).is_dir()
        assert running.stop() == 0
    assert b"MULTIPROC" not in environ
    assert not Path(folder).exists()
    assert not [line for line in running.lines if line["event"] == "not ours"]
    assert "wb_0123456789abcdefghij" not in repr(running.lines)


def test_a_request_under_way_is_answered_before_the_end():
    """SIGTERM, as Kubernetes sends it, costs nobody an answer."""
    with served() as running:
        answers = []
        slow = threading.Thread(target=lambda: answers.append(get(running.url + "/slow?seconds=0.8")))
        slow.start()
        running.read_until("slow_begun")
        assert running.stop() == 0
        slow.join()
    assert json.loads(answers[0][2]) == {"done": True}


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        pytest.param({"LISTEN": "0.0.0.0:0"}, "anybody who reaches it could move a release", id="unguarded"),
        pytest.param({"TOKENS_FILE": "absent.yaml"}, "No such file", id="no tokens file"),
        pytest.param({"STORE": "memory:", "WORKERS": "2"}, "remember something else", id="store of one process"),
    ],
)
def test_a_start_that_would_be_wrong_is_refused(variables, says):
    """It ends at once, with the reason, before anything listens."""
    process = start(**{"LISTEN": "127.0.0.1:0", "STORE": "sqlite:unused.db", **variables})
    text = process.communicate(timeout=30)[1]
    assert process.returncode != 0
    assert says in text
    assert "listening" not in text


def test_a_too_early_import_is_named():
    """Metrics that would silently be counted apart stop the start instead."""
    code = (
        "import prometheus_client; from webhook.server import serve; from webhook.settings import Settings;"
        "serve('tests.webhook.served_app:create', Settings(listen='127.0.0.1:0', workers=2, store='sqlite:unused.db'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "import it lazily" in done.stderr
