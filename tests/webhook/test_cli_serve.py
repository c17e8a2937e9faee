"""``weighbridge serve`` as a process: it answers, shows a demonstration, and refuses in one line what cannot be."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOO_LATE_S = 60


class Running:
    """A service that was started: its address, and the lines of its log."""

    def __init__(self, process):
        self.process = process
        self.url = ""
        self.lines = []

    def until(self, event):
        """Read its log until a line of this event, and return that."""
        for text in self.process.stderr:
            self.lines.append(json.loads(text))
            if self.lines[-1]["event"] == event:
                return self.lines[-1]
        raise AssertionError(f"ended without {event}: {self.lines}")

    def get(self, path, **headers):
        """Return status and text of an answer."""
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read().decode()


def start(home, *arguments, **variables):
    """Start the command with an environment of its own."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), **variables}
    environ |= {key: value for key, value in os.environ.items() if key.startswith("COVERAGE")}
    return subprocess.Popen(
        [sys.executable, "-m", "webhook.cli", "serve", *arguments],
        cwd=ROOT,
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serving(home, *arguments, **variables):
    """Serve on a free port until the block ends."""
    process = start(home, "--listen", "127.0.0.1:0", *arguments, **variables)
    running = Running(process)
    try:
        running.url = running.until("listening")["reason"]
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        process.wait(30)
        process.stderr.close()


def test_with_nothing_configured_the_first_page_shows_a_demonstration(tmp_path):
    """Both simulated releases come to their ends in the store of the service, in the user's state folder."""
    with serving(tmp_path) as service:
        assert service.until("demonstration")["namespace"] == "demonstration"
        late = time.monotonic() + TOO_LATE_S
        phases = {}
        while set(phases.values()) != {"promoted", "aborted"}:
            assert time.monotonic() < late, phases
            service.until("decision")
            found = json.loads(service.get("/v1/releases")[1])["releases"]
            phases = {release["name"]: release["phase"] for release in found}
        status, page = service.get("/", Accept="text/html")
        assert status == 200
        assert "demonstration" in page
        assert json.loads(service.get("/v1/policies")[1])["policies"] == []
    assert service.process.returncode == 0
    assert (tmp_path / ".local/state/weighbridge/weighbridge.db").exists()


def test_options_and_variables_reach_the_service(tmp_path):
    """An option wins over its variable; a configured service plays nothing."""
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "one.yaml").write_text("{apiVersion: weighbridge/v1, name: one, preset: http_requests_total}")
    with serving(
        tmp_path,
        "--policies",
        str(policies),
        "--log-level",
        "info",
        WEIGHBRIDGE_POLICIES="/absent",
        WEIGHBRIDGE_STORE="memory:",
    ) as service:
        (found,) = json.loads(service.get("/v1/policies")[1])["policies"]
        assert found["policy"].startswith("one@")
        assert json.loads(service.get("/v1/releases")[1])["releases"] == []
        assert service.get("/healthz")[0] == 200
    assert not (tmp_path / ".local").exists()


def test_a_port_in_use_is_one_line(tmp_path):
    """Somebody else listens there already: that is said at once, and nothing is tried again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = start(tmp_path, "--listen", address)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 69
    assert said == f"weighbridge: {address} is in use; choose another with --listen HOST:PORT\n"


def test_the_path_of_a_verdict_loads_nothing_slow():
    """Start-up stays short: no statistics of scipy, no pandas, no statsmodels behind the service."""
    code = (
        "import sys; import webhook.app, webhook.demo.serving, webhook.stores.sqlite, webhook.sources.prometheus;"
        "print(*[name for name in ('scipy.stats', 'pandas', 'statsmodels', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_help_loads_no_server():
    """Asking for help imports neither scipy nor the server."""
    code = (
        "import sys, contextlib; from webhook.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['serve', '--help'], {})\n"
        "print([name for name in ('scipy', 'flask', 'gunicorn', 'prometheus_client') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("header", ["rebound.example", "10.0.0.1"])
def test_without_tokens_only_this_machine_is_served(tmp_path, header):
    """The command starts the service with its guard on."""
    with serving(tmp_path, "--store", "memory:") as service, pytest.raises(urllib.error.HTTPError) as refused:
        service.get("/v1/releases", Host=header)
    assert refused.value.code == 403
    refused.value.close()
