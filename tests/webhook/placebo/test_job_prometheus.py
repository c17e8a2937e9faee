"""Placebos of a service that Argo released, from a real Prometheus: from a stored release to the ledger."""

from __future__ import annotations

import pytest

from tests.prometheus_server import running
from tests.webhook import past_period as past
from webhook.gate import Gate
from webhook.placebo.job import Placebos
from webhook.placebo.ledger import Ledger
from webhook.placebo.trial import Conduct
from webhook.policies import Policies
from webhook.ports import Write
from webhook.releases import Attempt
from webhook.sources.prometheus import PrometheusSource
from webhook.stores.memory import MemoryStore

NOW = past.BEGIN + 6 * 3600 + 600


@pytest.fixture(scope="module")
def source():
    """The adapter in front of a Prometheus with nine hours of three services."""
    with running(openmetrics=past.openmetrics()) as server:
        adapter = PrometheusSource(server.url)
        yield adapter
        adapter.close()


@pytest.fixture
def worlds(source, tmp_path, monkeypatch):
    """Make a job over a store that holds one promoted release of a service, and a folder with its policy."""
    monkeypatch.setattr("webhook.placebo.job.BREATH", 0.0)
    (tmp_path / "shop.yaml").write_text(past.POLICY)

    def make(name, **conduct):
        store = MemoryStore()
        released = Attempt(
            namespace="shop", name=name, cluster="", revision=past.STABLE, attempt=1, caller="argo",
            stable_revision="5f6d7c8b9a", opened_at=past.BEGIN - 9000, started_at=past.BEGIN - 9000,
            ended_at=past.BEGIN - 8000, phase="promoted", policies={"shop": {}},
        )  # fmt: skip
        store.write(Write(attempt=released.document()))
        policies = Policies(tmp_path, clock=lambda: 0.0)
        gate = Gate(store=store, policies=policies, sources={"default": source}, source_timeout=8.0, budget=10.0)
        ledger = Ledger(store)
        job = Placebos(
            gate=gate, ledger=ledger, every=3600.0, clock=lambda: NOW,
            conduct=Conduct(**{"every": 600.0, "timeout": 8.0, **conduct}),
        )  # fmt: skip
        return job, ledger

    return make


def test_a_released_service_is_watched(worlds):
    """The promoted revision is the stable one; its pods of the newest hour make a placebo that is promoted."""
    job, ledger = worlds("fair")
    entry = job.once(NOW)
    assert entry.note == ""
    assert entry.outcomes == {"aborted": 0, "frozen": 0, "promoted": 1, "held": 0}
    assert entry.until == past.BEGIN + 6 * 3600
    assert ledger.entries() == [entry]


def test_a_noisy_service_is_found(worlds):
    """Three hours of a service with one pod that fails more: every pod in its turn, and the promise breaks."""
    job, ledger = worlds("loud", splits=6)
    for hour in range(-2, 1):
        job.once(NOW + hour * 3600)
    (entry,) = ledger.entries()
    assert entry.dropped
    assert entry.outcomes["aborted"] == 3


def test_too_few_pods_are_a_note(worlds):
    """Two pods cannot play three parts; nothing is counted."""
    job, _ = worlds("small")
    entry = job.once(NOW)
    assert entry.note == "2 stable replicas were there all along, 3 are needed"
    assert not entry.outcomes
