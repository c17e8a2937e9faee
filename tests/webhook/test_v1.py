"""The API for people and programs: analysis, reports, releases, overrides, and who may."""

from __future__ import annotations

import json

import pytest

from tests.contract.scene import CANARY, RELEASE, SOURCES, Scene, strict
from webhook.auth import new_token
from webhook.errors import StoreConflict
from webhook.settings import Settings

BROWSER = {"Accept": "text/html,application/xhtml+xml;q=0.9", "User-Agent": "Mozilla/5.0"}
CURL = {"Accept": "*/*", "User-Agent": "curl/8.5.0"}
DATA = {
    "start": "2026-11-23T10:00:00Z",
    "step_seconds": 10,
    "questions": {
        "error-rate": {
            "baseline": {"bad": [10] * 60, "total": [1000] * 60},
            "canary": {"bad": [40] * 60, "total": [100] * 60},
        }
    },
}


@pytest.fixture
def reported(service):
    """A service with one report, and its id."""
    return service, service.argo(stage="step").json["id"]


def test_inline_data_is_judged_without_a_source():
    """``data`` brings everything: no source, no release, the same answer and id whenever it is asked."""
    scene = Scene(source=SOURCES["promote"]())
    first = scene.post("/v1/analysis", {"data": DATA})
    assert (first.status_code, first.json["verdict"]) == (200, "abort")
    assert scene.source.asked == []
    scene.clock.advance(86_400)
    again = scene.post("/v1/analysis", {"data": DATA}).json
    assert (again["id"], again["reason"]) == (first.json["id"], first.json["reason"])


def test_a_get_asks_without_opening_an_attempt(service):
    """Curl asks about a release by its name; nothing is opened, and nothing of the release changes."""
    query = "/v1/analysis?namespace=shop&name=checkout&revision=6c54bd4f4b&stable_revision=5d8f7c9b6d&stage=step"
    answer = service.get(query)
    assert (answer.status_code, answer.json["verdict"]) == (200, "promote")
    assert service.store.inner.releases() == []
    service.argo(stage="step")
    before = service.get("/v1/releases/shop/checkout").json["history"]
    assert service.get("/v1/analysis?namespace=shop&name=checkout").json["release"]["revision"] == "6c54bd4f4b"
    assert service.get("/v1/releases/shop/checkout").json["history"] == before


@pytest.mark.parametrize(
    ("query", "headers", "content_type"),
    [
        ("", {}, "application/json"),
        ("", {"Accept": "application/json"}, "application/json"),
        ("", BROWSER, "text/html; charset=utf-8"),
        ("", CURL, "text/plain; charset=utf-8"),
        ("", {"Accept": "text/plain"}, "text/plain; charset=utf-8"),
        ("?format=text", BROWSER, "text/plain; charset=utf-8"),
        ("?format=html", CURL, "text/html; charset=utf-8"),
        ("?format=json", CURL, "application/json"),
    ],
    ids=["nothing", "JSON", "browser", "curl", "text", "text named", "page named", "JSON named"],
)
@pytest.mark.parametrize("path", ["/v1/reports/", "/reports/"])
def test_a_report_comes_as_whoever_asks_can_read_it(reported, path, query, headers, content_type):
    """JSON for programs, a page for browsers, text for curl, and what ``format`` names for everybody."""
    service, name = reported
    answer = service.get(f"{path}{name}{query}", headers=headers)
    assert (answer.status_code, answer.content_type) == (200, content_type)
    assert answer.headers["Cache-Control"] == "no-store"
    if content_type == "application/json":
        assert strict(answer.text)["id"] == name
    elif "plain" in content_type:
        assert answer.text.upper().startswith("PROMOTE")
    else:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/v1/reports/{}", "/v1/analysis"])
def test_a_format_that_nobody_knows_is_an_error(reported, path):
    """``format`` is one of three words; on a POST it is refused before anything is opened."""
    service, name = reported
    answer = service.get(path.format(name) + "?format=xml")
    assert (answer.status_code, answer.json["place"]) == (400, "/format")
    before = len(service.store.inner.releases())
    assert service.post("/v1/analysis?format=xml", {"release": {**PLAIN, "name": "other"}}).status_code == 400
    assert len(service.store.inner.releases()) == before


PLAIN = {key: value for key, value in RELEASE.items() if key != "step"}


def test_analysis_reads_as_text_where_text_is_asked_for(service):
    """A person at a terminal may have the report at once."""
    answer = service.post("/v1/analysis?format=text", {"release": PLAIN, "stage": "step"})
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.text.upper().startswith("PROMOTE")


def test_releases_are_listed_and_shown(service):
    """A list of releases, one release with its attempts, history and reports, one revision of it."""
    service.argo(stage="step")
    service.hook("confirm-rollout")
    service.hook("rollback")
    listed = service.get("/v1/releases").json["releases"]
    assert {(r["name"], r["revision"]) for r in listed} == {("checkout", "6c54bd4f4b"), ("web", "x1")}
    shown = service.get("/v1/releases/shop/checkout").json
    assert shown["release"]["phase"] == "promoting"
    assert [event["action"] for event in shown["history"]] == ["opened", "promote"]
    assert shown["reports"][0]["verdict"] == "promote"
    assert service.get("/v1/releases/shop/checkout/6c54bd4f4b").json == shown
    for path in ("/v1/releases/shop/checkout/other", "/v1/releases/shop/nobody", "/v1/releases/cart/checkout"):
        assert service.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/v1/releases", "/v1/releases/shop/checkout"])
def test_browsers_get_pages(service, path):
    """The same paths are pages for browsers, which may load nothing from anywhere."""
    service.argo()
    answer = service.get(path, headers=BROWSER)
    assert answer.content_type == "text/html; charset=utf-8"
    assert "checkout" in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


# overrides


def test_an_override_is_read_before_anything_is_fetched(service):
    """A human's word decides without the source, and stands in report and history with its actor."""
    answer = service.override("abort", name="checkout", revision="6c54bd4f4b", expires_in="1h")
    assert answer.status_code == 201
    assert answer.json["actor"] == "on-call"
    assert answer.json["expires_at"] > answer.json["at"]
    found = service.argo().json
    assert (found["verdict"], found["reason"]) == ("abort", "override by on-call: we know better")
    assert service.source.asked == []
    shown = service.get("/v1/releases/shop/checkout").json
    assert shown["overrides"][0]["actor"] == "on-call"
    assert "override: abort" in [event["action"] for event in shown["history"]]


def test_an_override_holds_while_others_write_the_same_release(service, monkeypatch):
    """Another process that writes first neither loses the word nor its line of history."""
    service.argo()
    write, conflicts = service.store.inner.write, iter([True, True])

    def contended(change):
        if next(conflicts, False):
            raise StoreConflict("somebody else wrote first")
        write(change)

    monkeypatch.setattr(service.store.inner, "write", contended)
    assert service.override("hold", name="checkout", revision="6c54bd4f4b").status_code == 201
    assert len(service.store.inner.overrides("shop", "checkout")) == 1
    assert "override: hold" in [e["action"] for e in service.get("/v1/releases/shop/checkout").json["history"]]


def test_an_override_expires(service):
    """After ``expires_in`` the numbers decide again."""
    service.override("hold", name="checkout", revision="6c54bd4f4b", expires_in="30s")
    assert service.argo(stage="step").json["verdict"] == "hold"
    service.clock.advance(30)
    assert service.argo(stage="step").json["verdict"] == "promote"


def test_an_override_without_a_revision_is_about_the_newest(service):
    """Who names no revision means the one that is rolling out; before there is one it must be named."""
    assert service.override("hold", name="checkout", revision=None).status_code == 404
    service.argo()
    assert service.override("hold", name="checkout", revision=None).json["revision"] == "6c54bd4f4b"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"verdict": "maybe"}, "/verdict"),
        ({"reason": " "}, "/reason"),
        ({"reason": "x" * 301}, "/reason"),
        ({"actor": None}, "/actor"),
        ({"expires_in": "soon"}, "/expires_in"),
        ({"expires_in": "0s"}, "/expires_in"),
        ({"revision": "a\nb"}, "/revision"),
        ({"revison": "x"}, "/revison"),
    ],
    ids=str,
)
def test_a_word_that_cannot_be_audited_is_refused(service, change, place):
    """Reason and actor are not optional; the error names the place, and nothing is kept."""
    body = {"verdict": "hold", "reason": "x", "actor": "on-call", "revision": "x1", **change}
    answer = service.post("/v1/releases/shop/web/override", body)
    assert (answer.status_code, answer.json["place"]) == (400, place)
    assert service.store.inner.overrides("shop", "web") == []


# who may


@pytest.fixture
def guarded(tmp_path):
    """A service with a token for each verb in the namespace ``shop``, and one of another namespace."""
    secrets, entries = {}, []
    for name, verbs, namespaces in (
        ("asks", ["ask"], ["shop"]),
        ("reads", ["read"], ["shop"]),
        ("operates", ["operate"], ["shop"]),
        ("elsewhere", ["ask", "read", "operate"], ["cart-*"]),
    ):
        secrets[name], entry = new_token(name, verbs, namespaces)
        entries.append(entry)
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps(entries))
    return Scene(source=SOURCES["promote"](), settings=Settings(tokens_file=file)), secrets


def ask(scene, secret, call):
    scene.headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    return call(scene).status_code


def analysis(scene):
    return scene.post("/v1/analysis", {"release": PLAIN})


def releases(scene):
    return scene.get("/v1/releases/shop/checkout")


def word(scene):
    return scene.override("hold", name="checkout", revision="6c54bd4f4b")


@pytest.mark.parametrize(
    ("call", "allowed"), [(analysis, "asks"), (releases, "reads"), (word, "operates")], ids=["ask", "read", "operate"]
)
def test_each_call_needs_its_verb_in_its_namespace(guarded, call, allowed):
    """One verb lets do one thing, in its own namespaces: 401 unknown, 403 known without the scope."""
    scene, secrets = guarded
    ask(scene, secrets["asks"], analysis)
    assert ask(scene, None, call) == 401
    assert ask(scene, "wb_invented", call) == 401
    for name, secret in secrets.items():
        assert ask(scene, secret, call) == ((200 if call is not word else 201) if name == allowed else 403)


def test_a_list_shows_what_may_be_read(guarded):
    """Releases of other namespaces are neither listed nor shown nor admitted to exist."""
    scene, secrets = guarded
    ask(scene, secrets["asks"], analysis)
    scene.headers = {"Authorization": f"Bearer {secrets['reads']}"}
    assert len(scene.get("/v1/releases").json["releases"]) == 1
    name = scene.store.inner.releases()[0]["last_report"]
    assert scene.get(f"/v1/reports/{name}").status_code == 200
    scene.headers = {"Authorization": f"Bearer {secrets['elsewhere']}"}
    assert scene.get("/v1/releases").json["releases"] == []
    assert scene.get("/").status_code == 200
    assert "checkout" not in scene.get("/").text
    assert scene.get(f"/v1/reports/{name}").status_code == 404
    assert scene.get(f"/v1/reports/{name}/record").status_code == 404


@pytest.mark.parametrize("way", ["bearer", "key", "basic", "path"])
def test_a_token_comes_in_four_ways(guarded, way):
    """Bearer, API key, Basic from a URL, and a path; the path's token is never repeated."""
    scene, secrets = guarded
    secret = secrets["asks"]
    path, more = "/flagger/rollout", {}
    if way == "bearer":
        more = {"headers": {"Authorization": f"Bearer {secret}"}}
    elif way == "key":
        more = {"headers": {"X-API-Key": secret}}
    elif way == "basic":
        more = {"auth": ("weighbridge", secret)}
    else:
        path = f"/t/{secret}{path}"
    answer = scene.client.post(path, json=CANARY, **more)
    assert answer.status_code == 200
    assert secret not in answer.text


def test_policies_are_listed_with_what_is_wrong_in_the_folder(tmp_path):
    """The folder's policies by label; a file that cannot be read is named."""
    (tmp_path / "a.yaml").write_text("apiVersion: weighbridge/v1\nname: a\npreset: http_requests_total\n")
    (tmp_path / "b.yaml").write_text("apiVersion: weighbridge/v1\nname: b\n")
    scene = Scene(source=SOURCES["promote"](), settings=Settings(policies=tmp_path))
    found = scene.get("/v1/policies").json
    assert [policy["policy"].partition("@")[0] for policy in found["policies"]] == ["a"]
    assert "b.yaml" in found["problems"][0]
