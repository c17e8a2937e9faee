"""Strict JSON under every handler: what an error page, a HEAD or a broken body would otherwise turn into a yes."""

from __future__ import annotations

import http.client
import io
import json
import threading

import pytest
from werkzeug.serving import make_server

from tests.contract.scene import CANARY, RELEASE, SOURCES, Scene, is_plain_line, is_verdict_object, strict
from webhook.answers import ANSWERS, Heard, Hook
from webhook.settings import Settings

LIMIT = Settings().body_limit
PATHS = {
    "argo": "/argo/analysis",
    "flagger": "/flagger/rollback",
    "v1": "/v1/analysis",
    "report": "/v1/reports/r_0123456789abcdef",
    "releases": "/v1/releases",
    "override": "/v1/releases/shop/web/override",
    "front page": "/",
    "report page": "/reports/r_0123456789abcdef",
    "nothing": "/nope",
    "beside argo": "/argo/analysis2",
    "below argo": "/argo/analysis/x",
    "above argo": "/argo",
    "beside flagger": "/flagger/rollbacks",
    "above flagger": "/flagger/",
    "doubled slash": "//argo//analysis",
}


@pytest.fixture(scope="module")
def scene():
    return Scene(source=SOURCES["abort"]())


def is_problem(answer, status):
    """Assert problem+json with a title and the status that was sent."""
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    found = strict(answer.text)
    assert found["status"] == status
    assert found["title"]
    assert "<" not in answer.text


@pytest.mark.parametrize("path", [p for name, p in PATHS.items() if name.split()[0] in ("nothing", "beside", "below")])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_an_unknown_path_is_a_problem_in_json(scene, method, path):
    """404 under every method: never HTML, never a redirect, never a yes."""
    answer = scene.client.open(path, method=method)
    if path.startswith("/flagger/") and method != "POST":
        is_problem(answer, 405)  # the place of a hook, by a method that no hook has
    else:
        is_problem(answer, 404)


@pytest.mark.parametrize("name", ["report", "report page"])
def test_an_unknown_report_is_a_problem_in_json(scene, name):
    """404 of our own looks like that of the framework."""
    is_problem(scene.get(PATHS[name]), 404)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("name", ["argo", "flagger", "v1", "report", "releases", "override", "front page"])
def test_a_method_that_nobody_offered_is_a_problem_in_json(scene, name, method):
    """405 with the methods that there are; OPTIONS too, whose empty 200 would promote."""
    answer = scene.client.open(PATHS[name], method=method)
    is_problem(answer, 405)
    assert answer.headers["Allow"]
    assert "OPTIONS" not in answer.headers["Allow"]


@pytest.mark.parametrize("name", PATHS)
def test_no_path_answers_head_with_a_yes(scene, name):
    """HEAD has no body, so it is answered with no 2xx anywhere a verdict or a report could be meant."""
    answer = scene.client.head(PATHS[name])
    assert answer.status_code in (404, 405)
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
def test_no_path_redirects(scene, method, name):
    """Argo Rollouts follows a redirect without its body, so none is ever sent."""
    for path in (PATHS[name], PATHS[name] + "/"):
        assert scene.client.open(path, method=method).status_code // 100 != 3


@pytest.mark.parametrize("size", [LIMIT + 1, 3 * LIMIT], ids=["one over", "thrice"])
def test_a_body_over_the_limit_names_the_figures(scene, size):
    """413 on /v1 and to Argo, the safe row at Flagger's hooks; the limit and the size are named."""
    body = b" " * size
    for path in ("/v1/analysis", "/argo/analysis", "/v1/releases/shop/web/override"):
        answer = scene.post(path, body)
        is_problem(answer, 413)
        assert f"{LIMIT:,}" in answer.json["detail"]
        assert f"{size:,}" in answer.json["detail"]
    for hook in Hook:
        if hook is not Hook.ARGO:
            answer = scene.post(f"/flagger/{hook.value}", body)
            assert answer.status_code == ANSWERS[hook][Heard.DEGRADED]
            assert f"{LIMIT:,}" in answer.text


def test_a_body_at_the_limit_is_read(scene):
    """The limit itself is still allowed: 4 MiB of object and blanks."""
    text = json.dumps({"release": RELEASE})
    answer = scene.post("/argo/analysis", text + " " * (LIMIT - len(text)))
    is_verdict_object(answer)
    assert answer.json["release"]["name"] == "checkout"


PLAIN = {key: value for key, value in RELEASE.items() if key != "step"}
TYPES = ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "nonsense;;"]


@pytest.mark.parametrize("content_type", TYPES, ids=lambda text: text or "none")
def test_the_content_type_is_not_looked_at(scene, content_type):
    """A body is read as JSON whatever it is called: a PUT of Argo's has no Content-Type at all."""
    for path in ("/argo/analysis", "/v1/analysis"):
        answer = scene.post(path, json.dumps({"release": PLAIN}), content_type=content_type)
        is_verdict_object(answer)
        assert answer.json["verdict"] == "abort"
    answer = scene.post("/flagger/rollback", json.dumps(CANARY), content_type=content_type)
    assert answer.status_code == 200


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b"null"], ids=["none", "blank", "empty object", "null"])
def test_a_body_that_says_nothing_is_a_hold_at_argo_and_never_more(scene, body):
    """Whoever names no release hears hold: there is nothing to weigh."""
    answer = scene.post("/argo/analysis", body)
    assert answer.status_code == 200
    is_verdict_object(answer)
    assert answer.json["verdict"] == "hold"


@pytest.mark.parametrize("body", [b"", b" \n", b"null", b"[]", b'"x"'], ids=["none", "blank", "null", "list", "text"])
def test_a_body_that_says_nothing_is_an_error_on_v1(scene, body):
    """A program that sends no object is told so."""
    is_problem(scene.post("/v1/analysis", body), 400)


def test_get_at_argo_is_answered_with_a_verdict_too(scene):
    """Argo's method may be GET, with the release in the query: the same 200 and the same object."""
    answer = scene.get("/argo/analysis?namespace=shop&name=checkout&revision=6c54bd4f4b&stable_revision=5d8f7c9b6d")
    assert answer.status_code == 200
    is_verdict_object(answer)


# faults of ours


@pytest.fixture
def broken(monkeypatch):
    """A service in which the judgement itself breaks in a way that nobody foresaw."""
    scene = Scene(source=SOURCES["abort"]())

    def breaks(*args, **named):
        raise ZeroDivisionError("secret detail of ours")

    monkeypatch.setattr("webhook.gate.judge.judge", breaks)
    scene.app.config["PROPAGATE_EXCEPTIONS"] = False
    return scene


def test_a_broken_service_is_500_in_json_on_v1_and_tells_no_detail(broken):
    """A program hears 500 as problem+json; the words of the fault stay in the log."""
    answer = broken.post("/v1/analysis", {"release": PLAIN})
    is_problem(answer, 500)
    assert "secret" not in answer.text


def test_a_broken_service_is_a_hold_at_argo(broken):
    """Argo hears hold from a service that is broken, with 200 as always."""
    answer = broken.argo()
    assert answer.status_code == 200
    is_verdict_object(answer)
    assert answer.json["verdict"] == "hold"
    assert "secret" not in answer.text


@pytest.mark.parametrize("hook", [hook for hook in Hook if hook is not Hook.ARGO])
def test_a_broken_service_answers_the_safe_row_at_every_hook(broken, hook, monkeypatch):
    """Flagger hears the degraded cell from a service that is broken: no rollback, no failed check."""

    def breaks(*args, **named):
        raise RuntimeError("secret detail of ours")

    for name in ("admit", "ended"):
        monkeypatch.setattr(f"webhook.flagger.canary.{name}", breaks)
    answer = broken.hook(hook.value)
    assert answer.status_code == ANSWERS[hook][Heard.DEGRADED]
    is_plain_line(answer)
    assert "secret" not in answer.text


def test_a_store_that_breaks_unforeseen_never_promotes_or_rolls_back(monkeypatch):
    """An exception that no adapter translated is a fault like any other."""
    scene = Scene(source=SOURCES["promote"]())
    scene.app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr(scene.store.inner, "write", lambda change: 1 / 0)
    assert scene.argo().json["verdict"] == "hold"
    assert scene.hook("rollback").status_code == 403
    assert scene.hook("confirm-promotion").status_code == 403
    assert scene.hook("rollout").status_code == 200


# real HTTP


@pytest.fixture(scope="module")
def address(scene):
    """The application on a loopback port, as a server with its own parsing of HTTP."""
    server = make_server("127.0.0.1", 0, scene.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address
    server.shutdown()
    thread.join(10)
    server.server_close()


def sent(address, method, path, body=None, **headers):
    """Return status, headers and body of one request; an iterable body is sent in chunks."""
    host, port = address[:2]
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers, encode_chunked=not isinstance(body, bytes | None))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def chunks(raw, size=7):
    return (raw[start : start + size] for start in range(0, len(raw), size))


def test_a_chunked_body_is_read_like_any_other(address):
    """Go sends bodies of unknown length in chunks: the release in it is found, the verdict is the same."""
    raw = json.dumps({"release": RELEASE}).encode()
    status, _, text = sent(address, "POST", "/argo/analysis", chunks(raw), **{"Transfer-Encoding": "chunked"})
    assert status == 200
    assert strict(text.decode())["verdict"] == "abort"


def test_a_chunked_body_over_the_limit_is_refused(scene):
    """A body that does not say its length is cut at the limit all the same."""
    stream = io.BytesIO(b" " * (LIMIT + 1))
    terminated = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    answer = scene.client.post("/argo/analysis", input_stream=stream, environ_overrides=terminated)
    is_problem(answer, 413)
    stream = io.BytesIO(b" " * (LIMIT + 1))
    answer = scene.client.post("/flagger/rollback", input_stream=stream, environ_overrides=terminated)
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/argo/analysis", "/flagger/rollback", "/v1/analysis", "/nope"])
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_head_and_options_are_no_yes_on_the_wire(address, method, path):
    """On the wire too: 405 or 404, and a body only where the method may have one."""
    status, headers, text = sent(address, method, path)
    assert status in (404, 405)
    assert headers["Content-Type"] == "application/problem+json"
    assert (text == b"") == (method == "HEAD")


def test_a_body_that_ends_before_its_length_is_a_wrong_request(scene):
    """A caller that goes away in mid-body is told so: hold at Argo, the safe row at the hooks, 400 on /v1."""
    short = {"CONTENT_LENGTH": "500"}
    answers = {
        path: scene.client.post(path, input_stream=io.BytesIO(b'{"release"'), environ_overrides=short)
        for path in ("/argo/analysis", "/flagger/rollback", "/v1/analysis")
    }
    assert answers["/argo/analysis"].json["verdict"] == "hold"
    assert answers["/flagger/rollback"].status_code == 403
    is_problem(answers["/v1/analysis"], 400)
