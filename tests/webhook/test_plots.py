"""Plots over HTTP: where they are, who may see them, what a browser may do with them."""

from __future__ import annotations

import json

import pytest

from tests.contract.scene import SOURCES, Scene
from tests.webhook.test_explain_page import Reader
from tests.webhook.test_v1 import BROWSER, DATA
from webhook.auth import new_token
from webhook.settings import Settings


@pytest.fixture
def reported(service):
    """A service with one report, and its id."""
    return service, service.argo(stage="step").json["id"]


@pytest.mark.parametrize(
    ("form", "content_type", "magic"),
    [("svg", "image/svg+xml", b"<?xml"), ("png", "image/png", b"\x89PNG")],
)
def test_a_plot_is_a_file(reported, form, content_type, magic):
    """SVG and PNG, of which a browser runs and loads nothing, and which it may keep for itself for an hour."""
    service, report = reported
    answer = service.get(f"/v1/reports/{report}/plots/error-rate.{form}?theme=dark")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.data.startswith(magic)
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, max-age=3600"


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        pytest.param("{id}/plots/cpu.svg", 404, "no plot of 'cpu'; it has error-rate", id="question"),
        pytest.param("{id}/plots/error-rate.pdf", 404, "plots are svg and png, got 'pdf'", id="form"),
        pytest.param("{id}/plots/error-rate.svg?theme=pink", 400, "must be light or dark, got 'pink'", id="theme"),
        pytest.param("r_0000000000000000/plots/error-rate.svg", 404, "no report", id="report"),
    ],
)
def test_what_is_not_there_is_said(reported, path, status, said):
    """Place, rule and value, as everywhere under ``/v1``."""
    service, report = reported
    answer = service.get(f"/v1/reports/{path.format(id=report)}")
    assert answer.status_code == status
    assert said in answer.json["detail"]


def test_every_picture_of_a_page_is_there(reported):
    """What a browser loads of a report's page, in light and in dark, is served."""
    service, report = reported
    read = Reader(service.get(f"/v1/reports/{report}", headers=BROWSER).text)
    pictures = [*read.all("src"), *read.all("srcset")]
    files = [link for link in read.all("href") if "/plots/" in link]
    assert {link.rpartition("/")[2] for link in pictures} >= {"error-rate.svg", "error-rate.svg?theme=dark"}
    assert len(files) == len(pictures)
    for link in (*pictures, *files):
        assert service.get(link).status_code == 200, link
    assert "canary over baseline at the end" in " ".join(read.all("alt"))


def test_data_that_came_inline_is_plotted(service):
    """A report on inline data carries its record itself."""
    report = service.post("/v1/analysis", {"data": DATA}).json["id"]
    assert service.get(f"/v1/reports/{report}/plots/error-rate.svg").status_code == 200


def test_a_word_and_a_fault_have_no_plot(scenes):
    """What weighed no look has a page without pictures."""
    service = scenes("promote")
    service.post(
        "/v1/releases/shop/checkout/override",
        {"verdict": "hold", "reason": "wait", "actor": "me", "revision": "6c54bd4f4b"},
    )
    report = service.argo(stage="step").json["id"]
    assert Reader(service.get(f"/v1/reports/{report}", headers=BROWSER).text).all("src") == []
    assert service.get(f"/v1/reports/{report}/plots/error-rate.svg").status_code == 404


def test_a_plot_is_read_by_those_who_may_read_the_report(tmp_path):
    """No token, no plot; a token of another namespace finds none."""
    (mine, first), (yours, second) = (
        new_token(name, ["ask", "read"], [namespace]) for name, namespace in (("me", "shop"), ("you", "cart"))
    )
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps([first, second]))
    service = Scene(source=SOURCES["promote"](), settings=Settings(tokens_file=file))
    service.headers = {"Authorization": f"Bearer {mine}"}
    place = f"/v1/reports/{service.argo(stage='step').json['id']}/plots/error-rate.svg"
    assert service.get(place).status_code == 200
    service.headers = {"Authorization": f"Bearer {yours}"}
    assert service.get(place).status_code == 404
    service.headers = {}
    assert service.get(place).status_code == 401
