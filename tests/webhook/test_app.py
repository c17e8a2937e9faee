"""Wiring: what a fresh application offers, degraded or not."""

from __future__ import annotations

import logging

import pytest

from tests.contract.scene import SOURCES, Scene
from webhook.app import create_app, version
from webhook.settings import Settings


def test_an_application_needs_no_more_than_settings():
    """Without a source everything is up, and a release is held with that reason."""
    client = create_app(Settings()).test_client()
    assert client.get("/healthz").status_code == 200
    found = client.post("/argo/analysis", json={"release": {"name": "x", "revision": "a", "stable_revision": "b"}}).json
    assert found["verdict"] == "hold"
    assert "no source called 'default' is configured: serve with --prometheus, or send data" in found["reason"]


def test_a_store_on_disk_survives_the_application(tmp_path):
    """Reports and releases of one application are those of the next on the same file."""
    settings = Settings(store=f"sqlite:{tmp_path / 'store.db'}")
    sources = {"default": SOURCES["promote"]()}
    asked = {"release": {"namespace": "shop", "name": "x", "revision": "a", "stable_revision": "b"}}
    first = create_app(settings, sources=sources, clock=lambda: 1e9).test_client()
    report = first.post("/argo/analysis", json=asked).json
    second = create_app(settings, sources=sources, clock=lambda: 1e9).test_client()
    assert second.get(f"/v1/reports/{report['id']}").json["reason"] == report["reason"]
    assert second.post("/argo/analysis", json=asked).json["id"] == report["id"]


@pytest.mark.parametrize(
    ("down", "degraded"),
    [
        pytest.param((), [], id="nothing"),
        pytest.param(("source",), ["source"], id="source"),
        pytest.param(("store",), ["store"], id="store"),
        pytest.param(("source", "store"), ["store", "source"], id="both"),
    ],
)
def test_readiness_names_what_is_down_and_stays_ready(down, degraded):
    """200 with the names of what is down: an unready gate would make controllers abort."""
    scene = Scene(source=SOURCES["promote"]())
    if "source" in down:
        scene.source.fail()
    scene.store.down = "store" in down
    answer = scene.get("/readyz")
    assert (answer.status_code, answer.json["degraded"]) == (200, degraded)


def test_a_request_id_goes_in_and_comes_out(service):
    """The caller's id is answered, and one is made where there is none."""
    assert service.get("/v1/releases", headers={"X-Request-Id": "abc-1"}).headers["X-Request-Id"] == "abc-1"
    assert service.get("/v1/releases").headers["X-Request-Id"]


def test_every_decision_is_logged_once(service, caplog):
    """One line a decision, with policy, verdict, reason and id."""
    with caplog.at_level(logging.INFO):
        found = service.argo().json
    lines = [record for record in caplog.records if found["id"] in repr(record.__dict__)]
    assert len(lines) == 1


def test_decisions_are_counted(service):
    """The service's own metrics count what was decided, and active releases are there by name."""
    service.argo()
    text = service.get("/metrics").text
    assert 'weighbridge_release_verdict{cluster="",name="checkout",namespace="shop",verdict="promote"} 1.0' in text


def test_the_version_is_that_of_the_distribution(service):
    """/version names the distribution's version and the interpreter."""
    assert service.get("/version").json["version"] == version()


def test_foreign_hosts_are_refused_without_tokens(service):
    """Without tokens only this machine is served: a page elsewhere cannot post through somebody's browser."""
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
        answer = service.client.post("/argo/analysis", json={}, headers=headers)
        assert answer.status_code == 403
        assert service.client.post("/flagger/rollback", json={}, headers=headers).status_code == 403
