"""The service's own metrics, request ids and the middleware that counts answers."""

from __future__ import annotations

import io
import json

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from webhook import logs
from webhook.active import ActiveReleases, deadline_left
from webhook.errors import (
    BadRequest,
    SourceDown,
    SourceLimit,
    SourceRefused,
    StoreConflict,
    StoreDown,
)
from webhook.telemetry import ROUTE, Decision, Requests, Telemetry, exposition


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def telemetry(registry):
    return Telemetry(registry, version="1.2.3")


@pytest.fixture
def written(monkeypatch):
    """Lines written while the test runs, parsed."""
    stream = io.StringIO()
    handler = logs.logging.StreamHandler(stream)
    handler.setFormatter(logs.Lines(as_json=True))
    monkeypatch.setattr(logs.log, "handlers", [handler])
    before = logs.log.level
    logs.log.setLevel(logs.logging.DEBUG)  # the attribute alone would leave what the logger remembers of its level
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logs.log.setLevel(before)


DECISION = Decision(
    policy="checkout@9c1e77ab",
    verdict="promote",
    would="hold",
    mode="shadow",
    caller="argo",
    stage="step",
    namespace="shop",
    name="checkout",
    reason="error rate 1.3 % vs 1.0 %",
    id="r_3f9a",
    duration_s=0.0123,
    source_s=0.004,
)


def test_a_decision_is_one_line(telemetry, written):
    """Everything that says what was decided, why, for whom and how long it took, in one object."""
    telemetry.decided(DECISION)
    (line,) = written()
    assert {key: line[key] for key in line if key != "ts"} == {
        "level": "info",
        "event": "decision",
        "policy": "checkout@9c1e77ab",
        "verdict": "promote",
        "would": "hold",
        "mode": "shadow",
        "caller": "argo",
        "stage": "step",
        "namespace": "shop",
        "name": "checkout",
        "reason": "error rate 1.3 % vs 1.0 %",
        "duration_ms": 12.3,
        "source_ms": 4.0,
        "id": "r_3f9a",
    }


def test_a_decision_is_counted_and_timed(telemetry, registry):
    """By caller, verdict and mode; release names are no labels here."""
    telemetry.decided(DECISION)
    labels = {"caller": "argo", "verdict": "promote", "mode": "shadow"}
    assert registry.get_sample_value("weighbridge_decisions_total", labels) == 1
    assert registry.get_sample_value("weighbridge_decision_seconds_sum", {"caller": "argo"}) == 0.0123
    assert registry.get_sample_value("weighbridge_source_seconds_bucket", {"le": "0.005"}) == 1


@pytest.mark.parametrize(
    ("error", "metric", "kind"),
    [
        pytest.param(SourceDown("refused"), "source", "down", id="source down"),
        pytest.param(SourceRefused("parse error"), "source", "refused", id="source refused"),
        pytest.param(SourceLimit("too many"), "source", "limit", id="source limit"),
        pytest.param(StoreDown("locked"), "store", "down", id="store down"),
        pytest.param(StoreConflict("version"), "store", "conflict", id="store conflict"),
    ],
)
def test_a_fault_is_counted_by_kind(telemetry, registry, written, error, metric, kind):
    """Faults of source and store are told apart, and said in words."""
    telemetry.fault(error)
    assert registry.get_sample_value(f"weighbridge_{metric}_faults_total", {"kind": kind}) == 1
    assert [(line["event"], line["reason"]) for line in written()] == [(f"{metric}_fault", str(error))]


def test_a_callers_mistake_is_no_fault(telemetry, registry, written):
    """Wrong requests do not look like an outage."""
    telemetry.fault(BadRequest("must be a number", "/at"))
    assert written() == []
    assert not [s for family in registry.collect() for s in family.samples if "faults_total" in s.name]


def test_policies_and_version_are_shown(telemetry, registry):
    """What is in force, what is broken, and which version runs."""
    telemetry.policies(3, 1)
    assert registry.get_sample_value("weighbridge_policies_loaded") == 3
    assert registry.get_sample_value("weighbridge_policies_broken") == 1
    assert registry.get_sample_value("weighbridge_build_info", {"version": "1.2.3"}) == 1


def test_every_metric_is_ours_and_ends_in_its_unit(telemetry, registry):
    """Names follow Prometheus: our prefix, base units, ``_total`` for counters."""
    for family in registry.collect():
        assert family.name.startswith("weighbridge_")
        assert family.documentation.endswith(".")
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


def test_the_exposition_is_read_by_prometheus_own_parser(telemetry, registry):
    """Own, process and collector metrics stand in one valid text; OpenMetrics is given where it is asked for."""
    telemetry.decided(DECISION)
    render = exposition(registry, ActiveReleases(lambda: [report()]))
    body, content_type = render("text/plain")
    assert content_type.startswith("text/plain")
    names = {family.name for family in text_string_to_metric_families(body.decode())}
    assert {"weighbridge_decisions", "weighbridge_release_verdict", "process_cpu_seconds"} <= names
    assert render("application/openmetrics-text")[0].endswith(b"# EOF\n")


# ------------------------------------------------------------------------------------- active releases


def report(name="checkout", would="hold", **evidence):
    question = {
        "name": "error-rate",
        "state": "undecided",
        "effect": {"measure": "ratio", "estimate": 1.3, "low": 0.98, "high": None},
        "log_e": {"worse": 2.1, "abort": None, "promote": 0.4},
        **evidence,
    }
    release = {"cluster": "", "namespace": "shop", "name": name, "revision": "6c54bd4f4b", "attempt": 2}
    return {"id": "r_1", "would": would, "release": release, "detail": {"evidence": [question]}}


def samples(*reports, **options):
    """Return what the collector shows as a mapping of (metric, sorted label values) to value."""
    found = {}
    for family in ActiveReleases(lambda: reports, **options).collect():
        for sample in family.samples:
            key = (
                sample.name.removeprefix("weighbridge_"),
                *(v for k, v in sample.labels.items() if v and k != "namespace"),
            )
            assert key not in found
            found[key] = sample.value
    return found


def test_an_active_release_shows_verdict_state_effect_and_evidence():
    """What a dashboard needs; what is unknown has no sample, because 0 would be a claim."""
    assert samples(report()) == {
        ("active_releases_readable",): 1,
        ("active_releases",): 1,
        ("release_verdict", "checkout", "promote"): 0,
        ("release_verdict", "checkout", "hold"): 1,
        ("release_verdict", "checkout", "abort"): 0,
        ("release_miswired", "checkout"): 0,
        ("question_state", "checkout", "error-rate", "undecided"): 1,
        ("question_effect", "checkout", "error-rate", "ratio"): 1.3,
        ("question_effect_low", "checkout", "error-rate", "ratio"): 0.98,
        ("question_log_e", "checkout", "error-rate", "worse"): 2.1,
        ("question_log_e", "checkout", "error-rate", "promote"): 0.4,
    }


def test_a_miswired_release_says_so():
    """The flag of a report is a metric, so that somebody hears of a release that is not enforced."""
    document = report()
    document["detail"]["flags"] = ["miswired", "another"]
    assert samples(document)["release_miswired", "checkout"] == 1


@pytest.mark.parametrize(
    ("attempt", "changed", "left"),
    [
        pytest.param({"policies": {"p": {"deadline": {"after": "4h"}}}}, {}, 3 * 3600, id="before"),
        pytest.param({"policies": {"p": {"deadline": {"after": "30m"}}}}, {}, -1800, id="past"),
        pytest.param({"policies": {"q": {"deadline": {"after": "4h"}}}}, {}, None, id="of another policy"),
        pytest.param({}, {}, None, id="nothing pinned"),
        pytest.param({"policies": {"p": {"deadline": {"after": "4h"}}}}, {"window": {}}, None, id="no window yet"),
        pytest.param({"policies": {"p": {"deadline": {"after": "4h"}}}}, {"detail": {}}, None, id="no start yet"),
    ],
)
def test_the_deadline_of_a_release_is_counted_down(attempt, changed, left):
    """Seconds from the end of the newest window to the policy's deadline; unknown is absent, not 0."""
    document = report() | {"policy": "p@9c1e77ab", "window": {"end": "2026-11-24T11:00:00Z"}}
    document["detail"]["started_at"] = "2026-11-24T10:00:00Z"
    document |= changed
    assert deadline_left(attempt, document) == left
    shown = samples(document | {"deadline_left": left})
    assert shown.get(("release_deadline_left_seconds", "checkout")) == left


def test_no_metric_names_a_revision_or_a_report():
    """Labels that never repeat would make series without end."""
    labels = {
        key for family in ActiveReleases(lambda: [report()]).collect() for s in family.samples for key in s.labels
    }
    assert labels == {"cluster", "namespace", "name", "question", "verdict", "state", "measure", "goal"}


def test_releases_beyond_the_cap_are_only_counted():
    """A cluster with a thousand releases does not make a hundred thousand series."""
    found = samples(*(report(f"app-{n}") for n in range(5)), most=2)
    assert found["active_releases",] == 5
    assert {key[1] for key in found if key[0] == "release_verdict"} == {"app-0", "app-1"}


def test_two_revisions_of_one_name_are_one_series():
    """The newest report of a name wins: the same series twice would make the whole scrape invalid."""
    found = samples(report(would="abort"), report(would="promote"))
    assert found["active_releases",] == 1
    assert found["release_verdict", "checkout", "abort"] == 1


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="empty"),
        pytest.param({"release": None, "detail": None}, id="nothing in it"),
        pytest.param({"release": {"namespace": "a", "name": "b"}, "detail": {"evidence": [{}]}}, id="bare question"),
    ],
)
def test_a_poor_report_never_breaks_the_scrape(document):
    """Whatever a document lacks is left out."""
    assert samples(document)["active_releases",] == 1


def test_a_store_that_is_down_leaves_the_scrape_alive():
    """Only the releases are missing, and the metric that says so is there."""

    def down():
        raise StoreDown("locked")

    families = list(ActiveReleases(down).collect())
    assert [(s.name, s.value) for f in families for s in f.samples] == [("weighbridge_active_releases_readable", 0)]


# ------------------------------------------------------------------------------------------- requests


def answer(telemetry, *, inner=None, **environ):
    """Return status line and headers of one request through the middleware."""
    heard = []

    def application(environ, start_response):
        environ[ROUTE] = "/v1/reports/<id>"
        start_response("200 OK", [("X-Request-ID", "of-the-view"), ("Content-Type", "text/plain")])
        return [logs.REQUEST_ID.get().encode()]

    middleware = Requests(inner or application, telemetry, new_id=lambda: "made")
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/v1/reports/r_1", **environ}
    body = b"".join(middleware(environ, lambda status, headers, *_: heard.append((status, headers))))
    return heard[0][0], heard[0][1], body.decode()


@pytest.mark.parametrize(
    ("given", "used"),
    [
        pytest.param("7f3a-44:b.c_d", "7f3a-44:b.c_d", id="plain"),
        pytest.param("Root=1-67891233-abcdef", "Root=1-67891233-abcdef", id="of a load balancer"),
        pytest.param("", "made", id="none"),
        pytest.param("x" * 129, "made", id="too long"),
        pytest.param('a"b', "made", id="quote"),
        pytest.param("a\nb", "made", id="line break"),
        pytest.param("ä", "made", id="not ASCII"),
    ],
)
def test_a_request_id_is_kept_or_made(telemetry, given, used):
    """A plain id of the caller goes through, in the answer and for every line in between; another is replaced."""
    _, headers, inside = answer(telemetry, HTTP_X_REQUEST_ID=given)
    assert inside == used
    assert [value for name, value in headers if name == "X-Request-ID"] == [used]
    assert logs.REQUEST_ID.get() == ""


def test_an_answer_is_counted_by_its_rule(telemetry, registry):
    """The label is the rule that matched, so no caller can make series by asking for paths."""
    answer(telemetry)
    answer(telemetry, REQUEST_METHOD="BREW")
    for method in ("GET", "other"):
        labels = {"route": "/v1/reports/<id>", "method": method, "status": "200"}
        assert registry.get_sample_value("weighbridge_http_requests_total", labels) == 1


def test_a_request_that_matched_nothing_is_unmatched(telemetry, registry, written):
    """An application that breaks is counted as 500, and the next request begins clean."""

    def broken(environ, start_response):
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        answer(telemetry, inner=broken, **{ROUTE: "/smuggled"})
    labels = {"route": "unmatched", "method": "GET", "status": "500"}
    assert registry.get_sample_value("weighbridge_http_requests_total", labels) == 1
    assert [(line["level"], line["request_id"]) for line in written()] == [("warning", "made")]
