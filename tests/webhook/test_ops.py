"""Probes and the pages of operations: alive, ready, degraded, and never more than a moment."""

from __future__ import annotations

import threading

import pytest
from flask import Flask

from webhook import ops
from webhook.errors import SourceDown, StoreDown
from webhook.probes import Probe, degraded


class Thing:
    """Something to depend on: counts its probes, and is down or hangs on demand."""

    def __init__(self):
        self.asked = 0
        self.error = None
        self.gate = threading.Event()
        self.gate.set()

    def ping(self):
        self.asked += 1
        self.gate.wait(30)
        if self.error:
            raise self.error


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def things():
    made = {"store": Thing(), "prometheus": Thing()}
    yield made
    for thing in made.values():
        thing.gate.set()


@pytest.fixture
def client(things):
    app = Flask(__name__)
    notes = []
    app.register_blueprint(
        ops.blueprint(
            probes={name: thing.ping for name, thing in things.items()},
            metrics=lambda accept: (b"weighbridge_x 1\n", f"text/plain; asked={accept}"),
            version="1.2.3",
            notes=lambda: notes,
        )
    )
    app.config["notes"] = notes
    return app.test_client()


def test_alive_asks_nobody(client, things):
    """A process that answers is alive, whatever else is down."""
    assert client.get("/healthz").json == {"status": "alive"}
    assert {thing.asked for thing in things.values()} == {0}


def test_ready_when_all_is_well(client):
    """Nothing is degraded."""
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"status": "ready", "degraded": []})
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("down", "names"),
    [
        pytest.param({"store": StoreDown("locked")}, ["store"], id="store"),
        pytest.param({"prometheus": SourceDown("refused")}, ["prometheus"], id="source"),
        pytest.param(
            {"store": StoreDown("locked"), "prometheus": SourceDown("refused")}, ["store", "prometheus"], id="both"
        ),
        pytest.param({"store": RuntimeError("a bug")}, ["store"], id="a probe that breaks"),
    ],
)
def test_ready_even_when_everything_is_down(client, things, down, names):
    """The service stays in its load balancer, because only an answer can hold a release."""
    for name, error in down.items():
        things[name].error = error
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"status": "ready", "degraded": names})


def test_notes_join_what_is_degraded(client):
    """What is known without asking anybody is named as well."""
    client.application.config["notes"].append("policies")
    assert client.get("/readyz").json["degraded"] == ["policies"]


def test_a_hanging_dependency_does_not_make_us_hang(things):
    """Ready answers within its bound, names what hangs, waits for it once, and starts no second probe."""
    probes = {name: Probe(name, thing.ping) for name, thing in things.items()}
    things["store"].gate.clear()
    assert degraded(probes, patience=0.05) == ["store"]
    # A second wait would end the test by its time limit.
    assert degraded(probes, patience=1e6) == ["store"]
    assert things["store"].asked == 1


def test_an_answer_is_remembered_for_five_seconds(things):
    """Ten kubelets cost one probe, and what recovers is seen at the next."""
    clock, store = Clock(), things["store"]
    probes = {"store": Probe("store", store.ping, clock=clock)}
    store.error = StoreDown("locked")
    assert degraded(probes) == degraded(probes) == ["store"]
    store.error = None
    clock.now += 4.9
    assert degraded(probes) == ["store"]
    assert store.asked == 1
    clock.now += 0.2
    assert degraded(probes) == []
    assert store.asked == 2


def test_what_hung_and_answers_again_is_well(things):
    """A late answer ends the degraded state with the next probe."""
    clock, store = Clock(), things["store"]
    probe = Probe("store", store.ping, clock=clock)
    store.gate.clear()
    running = probe.begin()
    assert "no answer" in probe.outcome(running, 0.01)
    store.gate.set()
    assert running.wait(30)
    assert probe.outcome(running, 30) is None


def test_metrics_are_what_they_are_given(client):
    """The page passes the reader's wishes on, and adds nothing."""
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.data == b"weighbridge_x 1\n"
    assert answer.content_type == "text/plain; asked=application/openmetrics-text"


def test_the_version_is_told(client):
    """Which version answers."""
    assert client.get("/version").json["version"] == "1.2.3"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/version"])
def test_head_answers_like_get(client, path):
    """Load balancers often ask with HEAD."""
    assert client.head(path).status_code == 200
    assert client.head(path).data == b""
