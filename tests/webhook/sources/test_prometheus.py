"""The adapter before a real Prometheus, and before servers that misbehave in one way each."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import numpy as np
import pytest

from tests.prometheus_server import free_port, running
from tests.webhook.sources.scene import NEW, STABLE, T0, policy
from webhook.errors import SourceDown, SourceLimit, SourceRefused
from webhook.ports import Query, Span
from webhook.sources.prometheus import Limits, PrometheusSource

SPAN = Span(start=T0, end=T0 + 60, step=15.0)
GOOD = {"status": "success", "data": {"resultType": "matrix", "result": []}}


def query(expr="vector(1)", field="total", question="error-rate"):
    """Return one query."""
    return Query(question=question, field=field, expr=expr, increments=False)


@contextmanager
def answering(body=GOOD, *, status=200, trickle=False, headers=(), tls=None):
    """Serve one fixed answer on loopback; yields the address and the list of requests seen."""
    seen = []
    halt = threading.Event()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            seen.append((self.path, dict(self.headers), {k: v[0] for k, v in parse_qs(form).items()}))
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(10_000_000 if trickle else len(content)))
            self.end_headers()
            self.wfile.write(content)
            while trickle and not halt.wait(0.02):
                try:
                    self.wfile.write(b" ")
                except OSError:
                    return

        def log_message(self, *args):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}", seen
    finally:
        halt.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def adapter(url, **options):
    """Return an adapter that is closed in the end."""
    source = PrometheusSource(url, **options)
    try:
        yield source
    finally:
        source.close()


def test_values_that_json_cannot_spell_are_read(source):
    """NaN and infinity come as strings."""
    asked = [query("vector(0)/0", "a"), query("vector(1)/0", "b"), query("-vector(1)/0", "c")]
    answer = source.fetch(asked, Span(start=T0, end=T0, step=1), 5.0)
    values = [answer.points[one][0].values.tolist() for one in asked]
    np.testing.assert_array_equal(values, [[np.nan], [np.inf], [-np.inf]])


def test_every_query_has_a_key(source):
    """No series is an empty tuple, not a missing key."""
    asked = [query("nothing_of_that_name"), query()]
    answer = source.fetch(asked, SPAN, 5.0)
    assert answer.points[asked[0]] == ()
    assert answer.points[asked[1]][0].times.tolist() == [T0, T0 + 15, T0 + 30, T0 + 45, T0 + 60]
    assert (answer.samples, answer.warnings) == (5, ())
    assert answer.size > 0


def test_long_spans_come_in_pieces_and_are_joined(source):
    """More than 11,000 points in one request is what Prometheus refuses."""
    span = Span(start=T0, end=T0 + 25_000, step=1.0)
    asked = query("time()")
    (points,) = source.fetch([asked], span, 20.0).points[asked]
    np.testing.assert_array_equal(points.times, T0 + np.arange(25_001))
    np.testing.assert_array_equal(points.values, points.times)


def test_a_refusal_has_the_source_s_own_words(source):
    """Wrong PromQL names the query and what Prometheus said."""
    with pytest.raises(SourceRefused, match=r"query error-rate total: 400 .*parse error"):
        source.fetch([query(), query("sum by (")], SPAN, 5.0)


def test_a_query_that_cannot_be_computed_is_a_refusal(source, scene):
    """422: two metrics in one selector cannot be subtracted."""
    scene.write(scene.series("a_total", STABLE, [1, 2]), scene.series("b_total", STABLE, [1, 2]))
    expr = f'rate({{__name__=~"a_total|b_total",namespace="{scene.namespace}"}}[1m])'
    with pytest.raises(SourceRefused, match="422 vector cannot contain metrics with the same labelset"):
        source.fetch([query(expr)], SPAN, 5.0)


def test_nobody_listens():
    """A refused connection is told at once, without retries."""
    with adapter(f"http://127.0.0.1:{free_port()}") as source:
        with pytest.raises(SourceDown, match="query error-rate total: connection refused"):
            source.fetch([query()], SPAN, 5.0)
        with pytest.raises(SourceDown, match="query ping: connection refused"):
            source.ping(5.0)


def test_a_stopped_prometheus_is_down():
    """The same adapter answers before, and says so after."""
    with running() as server, adapter(server.url) as source:
        source.ping(5.0)
        server.stop()
        with pytest.raises(SourceDown, match="connection"):
            source.ping(5.0)


@pytest.mark.parametrize("body", [b"", b'{"status":'], ids=["no byte of the body", "half a body"])
def test_an_answer_that_trickles_ends_at_the_deadline(body):
    """One deadline holds for all queries together, however alive the connection looks."""
    with answering(body, trickle=True) as (url, _), adapter(url, threads=2) as source:
        begun = time.monotonic()
        with pytest.raises(SourceDown, match=r"query error-rate .*"):
            source.fetch([query(field=str(n)) for n in range(4)], SPAN, 0.4)
        assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize(
    ("status", "body", "fault", "words"),
    [
        pytest.param(503, {"status": "error", "error": "query timed out"}, SourceDown, "503 query timed out", id="503"),
        pytest.param(500, b"<html>oops</html>", SourceDown, "500, and no JSON: <html>oops", id="html"),
        pytest.param(200, b"<html>login</html>", SourceDown, "200, and no JSON", id="login page"),
        pytest.param(302, b"", SourceDown, "302, and no JSON", id="redirect is not followed"),
        pytest.param(401, b"Unauthorized", SourceRefused, "401 Unauthorized", id="unauthorised"),
        pytest.param(429, b"slow down", SourceDown, "429, and no JSON: slow down", id="too many requests"),
        pytest.param(
            422, {"status": "error", "error": "too many samples"}, SourceRefused, "422 too many samples", id="422"
        ),
        pytest.param(200, {"status": "success", "data": {}}, SourceDown, "not an answer of Prometheus", id="no result"),
        pytest.param(200, [1], SourceRefused, "200", id="not an object"),
        pytest.param(
            200,
            {"status": "success", "data": {"result": [{"metric": {}, "histograms": [[1, {}]]}]}},
            SourceDown,
            "not an answer of Prometheus",
            id="a native histogram without its count",
        ),
    ],
)
def test_wrong_answers_are_translated(status, body, fault, words):
    """Whatever comes back is one of our faults, with the query's name and the server's words."""
    with answering(body, status=status) as (url, _), adapter(url) as source:
        with pytest.raises(fault) as caught:
            source.fetch([query()], SPAN, 5.0)
        assert caught.type is fault
        assert caught.value.message.startswith("query error-rate total: ")
        assert words in caught.value.message


def test_warnings_are_seen_and_infos_are_not():
    """A partial answer says so in ``warnings``; hints about the query do not."""
    body = {**GOOD, "warnings": ["store unreachable", "store unreachable"], "infos": ["might not be a counter"]}
    with answering(body) as (url, _), adapter(url) as source:
        assert source.fetch([query(), query(field="bad")], SPAN, 5.0).warnings == ("store unreachable",)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        pytest.param({"series": 3}, "more than 3 series", id="series"),
        pytest.param({"samples": 10}, "more than 10 samples", id="samples"),
        pytest.param({"size": 100}, "more than 100 bytes", id="bytes"),
    ],
)
def test_limits_name_the_query(prometheus, scene, limits, words):
    """An answer beyond a limit is an error that names the query, not a truncated answer."""
    scene.write(*(scene.counter(STABLE, [1, 2, 3, 4], path=f"/{n}") for n in range(5)))
    expr = f'http_requests_total{{namespace="{scene.namespace}"}}'
    fails = pytest.raises(SourceLimit, match=f"query error-rate total: {words} in one verdict")
    with adapter(prometheus.url, limits=Limits(**limits)) as source, fails:
        source.fetch([query(expr)], SPAN, 5.0)


def test_a_huge_body_is_cut_off():
    """Reading stops at the limit, however long the answer would go on."""
    fails = pytest.raises(SourceLimit, match="more than 200,000 bytes")
    with (
        answering(b"x" * 400_000, trickle=True) as (url, _),
        adapter(url, limits=Limits(size=200_000)) as source,
        fails,
    ):
        source.fetch([query()], SPAN, 5.0)


def test_limits_hold_for_all_queries_together(prometheus):
    """Many small answers are one large one."""
    with adapter(prometheus.url, limits=Limits(series=3)) as source:
        assert len(source.fetch([query(field=str(n)) for n in range(3)], SPAN, 5.0).points) == 3
        with pytest.raises(SourceLimit, match="more than 3 series"):
            source.fetch([query(field=str(n)) for n in range(4)], SPAN, 5.0)


def test_what_is_sent():
    """A form by POST, milliseconds kept, no compression asked for, and the headers that were set."""
    with answering() as (url, seen), adapter(f"{url}/prom/", headers={"X-Scope-OrgID": "team"}) as source:
        source.fetch([query("up")], Span(start=T0 + 0.25, end=T0 + 60.25, step=2.5), 5.0)
    path, headers, form = seen[0]
    assert path == "/prom/api/v1/query_range"
    assert (headers["Accept-Encoding"], headers["X-Scope-OrgID"]) == ("identity", "team")
    assert {name: form[name] for name in ("query", "start", "end", "step")} == {
        "query": "up",
        "start": f"{T0 + 0.25:.3f}",
        "end": f"{T0 + 60.25:.3f}",
        "step": "2.500",
    }
    assert 0 < int(form["timeout"].removesuffix("ms")) <= 5000


@pytest.mark.parametrize(
    ("userinfo", "options", "expected"),
    [
        pytest.param("", {}, None, id="none"),
        pytest.param("", {"basic": ("me", "pässword")}, "Basic bWU6cMOkc3N3b3Jk", id="basic"),
        pytest.param("me:a%20b@", {}, "Basic bWU6YSBi", id="in the address"),
    ],
)
def test_basic_authentication(userinfo, options, expected):
    """Name and password come from options or from the address."""
    if "basic" in options:
        options = {"basic": tuple(part.encode() for part in options["basic"])}
    with answering() as (url, seen), adapter(url.replace("://", f"://{userinfo}"), **options) as source:
        source.fetch([query()], SPAN, 5.0)
    assert seen[0][1].get("Authorization") == expected


def test_the_bearer_is_read_again_each_time(tmp_path):
    """Tokens that Kubernetes mounts rotate."""
    token = tmp_path / "token"
    with answering() as (url, seen), adapter(url, bearer_file=token, basic=("not", "this")) as source:
        for secret in ("one", "two"):
            token.write_text(f"{secret}\n")
            source.fetch([query()], SPAN, 5.0)
        token.unlink()
        with pytest.raises(SourceDown, match="the bearer token cannot be read: No such file"):
            source.fetch([query()], SPAN, 5.0)
    assert [headers["Authorization"] for _, headers, _ in seen] == ["Bearer one", "Bearer two"]


def test_credentials_never_show(prometheus):
    """Messages and addresses are free of passwords."""
    with adapter(f"http://me:secret@127.0.0.1:{free_port()}") as source:
        with pytest.raises(SourceDown) as caught:
            source.fetch([query()], SPAN, 5.0)
        assert "secret" not in f"{caught.value} {caught.value.__cause__}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that no system trusts, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", made],
        check=True,
        capture_output=True,
    )
    return made, key


def test_certificates_are_checked(certificate, tmp_path):
    """A private authority is trusted when its file is given, and not otherwise; a missing file is a fault, no crash."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    with answering(tls=tls) as (url, _):
        with adapter(url, ca_file=certificate[0]) as source:
            assert source.fetch([query()], SPAN, 5.0).warnings == ()
        untrusted = r"query error-rate total: TLS failed: certificate verify failed: self.signed certificate$"
        with adapter(url) as source, pytest.raises(SourceDown, match=untrusted):
            source.fetch([query()], SPAN, 5.0)
        with (
            adapter(url, ca_file=tmp_path / "none.pem") as source,
            pytest.raises(SourceDown, match=r"request failed: .*CA certificate"),
        ):
            source.fetch([query()], SPAN, 5.0)


@pytest.mark.parametrize("url", ["ftp://x", "prometheus:9090", "http://"])
def test_an_address_must_be_one(url):
    """A wrong address fails at the start and not at the first verdict."""
    with pytest.raises(ValueError, match="must be an http or https address"):
        PrometheusSource(url)


def test_many_verdicts_share_the_threads(prometheus, source, scene):
    """Verdicts that ask at the same time all get their own answers."""
    scene.write(*scene.steady(STABLE, 4), *scene.steady(NEW, 4))
    answers = []

    def ask():
        answers.append(scene.fetch(policy(), 4))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.samples for answer in answers] == [answers[0].samples] * 12
    assert answers[0].samples > 0
