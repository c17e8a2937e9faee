"""Our gates beside those of Flagger's own load tester: the same requests to both, the same status, type and text."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.harness.process import Process
from e2e.harness.tools import ROOT, program
from tests.contract.gate_requests import CONSTANT, SEQUENCES, Said
from tests.prometheus_server import free_port

Answer = tuple[int, str | None, bytes]


def send(port: int, said: Said) -> Answer:
    """Return status, type and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        body = said.body.encode() if isinstance(said.body, str) else said.body
        connection.request(said.method, said.path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read()
    finally:
        connection.close()


def alive(port: int) -> bool:
    """Return whether a server answers there."""
    return send(port, Said("/healthz", "", 200, "", "GET"))[0] == 200


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Run the load tester and our service; return their ports."""
    folder: Path = tmp_path_factory.mktemp("gates")
    theirs, ours = free_port(), free_port()
    serve = [sys.executable, "-m", "webhook.cli", "serve", f"--listen=127.0.0.1:{ours}"]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    started = [
        (theirs, Process("loadtester", [program("loadtester"), f"-port={theirs}"], folder)),
        (ours, Process("weighbridge", [*serve, f"--store=sqlite:{folder / 'weighbridge.db'}"], folder, environ)),
    ]
    try:
        for port, process in started:
            process.start()
            process.wait_until(lambda port=port: alive(port))  # type: ignore[misc]
        yield theirs, ours
    finally:
        for _, process in started:
            process.stop()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("said", CONSTANT, ids=lambda said: f"{said.method} {said.path} {said.body[:8]}")
def test_constant_gates_are_the_load_testers(both: tuple[int, int], said: Said) -> None:
    """Always open, always closed, whatever is sent."""
    theirs, ours = (send(port, said) for port in both)
    assert ours == theirs
    assert (theirs[0], theirs[2].decode()) == (said.status, said.text)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", list(SEQUENCES))
def test_gates_are_the_load_testers(both: tuple[int, int], name: str) -> None:
    """Request by request; and what the table of the contract tests says is what the real one answers."""
    for said in SEQUENCES[name]:
        theirs, ours = (send(port, said) for port in both)
        assert ours == theirs, said
        assert (theirs[0], theirs[2].decode()) == (said.status, said.text), said
    for said in (said for said in SEQUENCES[name] if said.path.endswith("/open")):  # the next begins closed
        for port in both:
            send(port, said._replace(path=said.path.replace("/open", "/close")))
