"""Requests: strict for people and programs, loose for controllers that fill templates, never a crash."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from analysis.types import Stage
from tests.shared_data import SHARED
from webhook.errors import BadRequest
from webhook.schema.request import Ask, read_ask, read_body, read_flagger, read_query

NOON = 1795435200.0  # date -u -d 2026-11-23T12:00:00Z +%s

FULL: dict[str, Any] = {
    "policy": "checkout",
    "stage": "final",
    "release": {
        "namespace": "shop", "name": "checkout", "cluster": "eu", "revision": "6c54bd4f4b",
        "stable_revision": "5d8f7c9b6", "step": 3, "weight": 0.1, "next_weight": 0.25,
        "started_at": "2026-11-23T12:00:00Z", "annotation": "7",
    },
    "at": NOON + 60, "from": NOON, "to": str(NOON + 60), "dry_run": True,
}  # fmt: skip
ASKED = Ask(
    policy="checkout", stage=Stage.FINAL, namespace="shop", name="checkout", cluster="eu",
    revision="6c54bd4f4b", stable_revision="5d8f7c9b6", step=3, weight=0.1, next_weight=0.25,
    started_at=NOON, annotation="7", at=NOON + 60, from_=NOON, to=NOON + 60, dry_run=True,
)  # fmt: skip


def refusal(read):
    """Return the words of a refusal."""
    with pytest.raises(BadRequest) as caught:
        read()
    return str(caught.value)


def test_every_field_is_read():
    """A body that says everything is understood in every word."""
    assert read_ask(FULL, loose=False) == ASKED


def test_everything_is_optional():
    """Saying nothing is a question about nothing in particular."""
    assert read_ask({}, loose=False) == read_ask({}, loose=True) == read_body(b" \n", loose=True) == Ask()


def test_templates_send_everything_as_text():
    """What a controller fills in as text reads as if it had been typed."""
    texts = {
        key: str(value).lower() if key == "dry_run" else str(value) for key, value in FULL.items() if key != "release"
    }
    release = {key: str(value) for key, value in FULL["release"].items()}
    assert read_ask(texts | {"release": release}, loose=True) == ASKED
    assert read_ask(texts | {"release": json.dumps(release)}, loose=True) == ASKED


def test_empty_text_means_absent_to_controllers_only():
    """A template with nothing to say sends empty text."""
    empty = {"policy": "", "stage": " ", "release": {"revision": "", "step": "", "weight": ""}, "at": "", "dry_run": ""}
    assert read_ask(empty, loose=True) == Ask()
    assert "/release/revision: must have 1 to 253" in refusal(
        lambda: read_ask({"release": {"revision": ""}}, loose=False)
    )


def test_unknown_keys_are_skipped_for_controllers_and_refused_for_people():
    """A typing error in a script is told; a field of tomorrow does not stop a release."""
    body = {"polcy": "x", "release": {"nmae": "y"}}
    assert read_ask(body, loose=True) == Ask()
    assert refusal(lambda: read_ask(body, loose=False)) == "/polcy: unknown key 'polcy', did you mean 'policy'?"
    assert "/release/nmae: unknown key" in refusal(lambda: read_ask({"release": {"nmae": 1}}, loose=False))


BROKEN = [
    pytest.param([], "the body must be a JSON object", id="list"),
    pytest.param({"policy": 7.5}, "/policy: must be text", id="policy"),
    pytest.param({"policy": "x" * 254}, "/policy: must have 1 to 253 characters", id="long name"),
    pytest.param({"release": {"name": "a\nb"}}, "/release/name: must not hold control characters", id="line end"),
    pytest.param({"release": {"name": "\ud800"}}, "/release/name: must not hold control characters", id="surrogate"),
    pytest.param({"release": {"name": "a\u2028b"}}, "/release/name: must not hold control characters", id="separator"),
    pytest.param({"release": "shop"}, "/release: must be an object", id="release"),
    pytest.param(
        {"release": {"weight": 5}}, "/release/weight: must be a share between 0 and 1 (5 % is 0.05)", id="percent"
    ),
    pytest.param({"release": {"weight": float("nan")}}, "/release/weight: must be a finite number", id="nan"),
    pytest.param({"release": {"weight": True}}, "/release/weight: must be a number", id="flag as number"),
    pytest.param({"release": {"weight": "10%"}}, "/release/weight: must be a number", id="percent sign"),
    pytest.param({"release": {"step": -1}}, "/release/step: must be a whole number", id="negative step"),
    pytest.param({"release": {"step": 1.5}}, "/release/step: must be a whole number", id="half a step"),
    pytest.param({"release": {"step": 10**400}}, "/release/step: must be a finite number", id="huge step"),
    pytest.param(
        {"stage": "finale"}, "/stage: must be one of pre, step, final, background, post, got 'finale', did", id="stage"
    ),
    pytest.param({"stage": ["final"]}, "/stage: must be one of", id="stage as list"),
    pytest.param({"at": "yesterday"}, "/at: must be a time like 2026-11-23T10:00:00Z, or unix seconds", id="word"),
    pytest.param({"at": "2026-11-23T10:00:00"}, "/at: must be a time like", id="no zone"),
    pytest.param({"at": "2026-02-30T10:00:00Z"}, "/at: must be a time that exists", id="no such day"),
    pytest.param({"at": NOON * 1000}, "/at: must be a time between 1970 and 9999 in unix seconds", id="milliseconds"),
    pytest.param({"at": -1}, "/at: must be a time between 1970 and 9999", id="before 1970"),
    pytest.param({"at": True}, "/at: must be a time like", id="flag as time"),
    pytest.param({"from": NOON, "to": NOON}, "/from: must lie before 'to'", id="empty window"),
    pytest.param({"dry_run": "maybe"}, "/dry_run: must be true or false", id="dry run"),
    pytest.param({"data": {}}, "/data: needs 'questions'", id="no data"),
    pytest.param({"data": [1]}, "/data: must be an object", id="data as list"),
]


@pytest.mark.parametrize("loose", [False, True], ids=["strict", "loose"])
@pytest.mark.parametrize(("body", "words"), BROKEN)
def test_what_cannot_be_read_is_named(body, words, loose):
    """Place, rule and value, in both strictnesses; the controllers' view turns the words into a hold."""
    if loose and body == {"policy": 7.5}:
        assert read_ask(body, loose=True).policy == "7.5"
    else:
        assert words in refusal(lambda: read_ask(body, loose=loose))


@pytest.mark.parametrize(
    "body",
    [
        {"release": {"weight": "0.1"}},
        {"release": {"step": "3"}},
        {"release": {"name": 7}},
        {"dry_run": "true"},
        {"dry_run": 1},
        {"stage": "Final"},
        {"release": "{}"},
        {"data": '{"questions": {"a": 1}}'},
    ],
    ids=str,
)
def test_people_write_types(body):
    """What is text for a number is a mistake on /v1, and none for a controller."""
    read_ask(body, loose=True)
    refusal(lambda: read_ask(body, loose=False))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("2026-11-23T12:00:00Z", NOON, id="zulu"),
        pytest.param("2026-11-23t12:00:00z", NOON, id="small letters"),
        pytest.param("2026-11-23 12:00:00Z", NOON, id="space"),
        pytest.param("2026-11-23T17:45:00+05:45", NOON, id="Kathmandu"),
        pytest.param("2026-11-23T04:00:00-08:00", NOON, id="Los Angeles"),
        pytest.param("2026-11-23T12:00:00.250Z", NOON + 0.25, id="milliseconds"),
        pytest.param("2026-11-23T12:00:00.000000001Z", NOON, id="nanoseconds"),
        pytest.param("2016-12-31T23:59:60Z", 1483228800.0, id="leap second"),
        pytest.param("1795435200", NOON, id="digits"),
        pytest.param(1795435200, NOON, id="number"),
        pytest.param("0", 0.0, id="zero"),
    ],
)
def test_times_of_every_zone_are_one_number(text, seconds):
    """RFC 3339 with its zone, or unix seconds as number or text."""
    assert read_ask({"at": text}, loose=False).at == pytest.approx(seconds, abs=1e-6)
    assert read_ask({"at": text}, loose=True).at == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize("name", ["店舗", "Ünïcödé-🚀", 'x"} or up{a="', "$name", "../..", "<script>"])
def test_names_are_any_text_on_one_line(name):
    """Unicode, PromQL and markup are names like others here; who uses them escapes them."""
    assert read_ask({"release": {"name": name}}, loose=False).name == name


def test_a_whole_policy_may_stand_in_the_request():
    """An inline policy is handed on as it came, also as JSON inside text from a controller."""
    policy = {"preset": "http_requests_total"}
    assert read_ask({"policy": policy}, loose=False).policy == policy
    assert read_ask({"policy": json.dumps(policy)}, loose=True).policy == policy


@pytest.mark.parametrize("loose", [False, True], ids=["strict", "loose"])
@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param(b"{", "must be JSON: ", id="cut off"),
        pytest.param(b"policy=x", "must be JSON: ", id="form"),
        pytest.param(b"\xff\xfe{}", "must be UTF-8", id="UTF-16"),
        pytest.param(b'{"at": 1, "at": 2}', "the key 'at' stands twice", id="key twice"),
        pytest.param(b"[" * 100_000, "must not nest this deeply", id="deep"),
        pytest.param(b'{"at": ' + b"9" * 5000 + b"}", "has 5000 digits", id="endless number"),
        pytest.param(b'{"at": NaN}', "/at: must be a time like", id="nan"),
        pytest.param(b'{"release": {"weight": 1e999}}', "/release/weight: must be a finite number", id="overflow"),
        pytest.param(b"null", "the body must be a JSON object", id="null"),
    ],
)
def test_a_body_that_is_no_request_is_named(raw, words, loose):
    """No body makes a crash."""
    said = refusal(lambda: read_body(raw, loose=loose))
    assert words in said
    assert "sys." not in said


def test_a_query_string_carries_the_flat_fields():
    """Whoever uses curl asks in one line; what belongs to others is not ours to refuse."""
    pairs = [("policy", "checkout"), ("namespace", "shop"), ("name", "checkout"), ("weight", "0.1"), ("format", "text")]
    expected = Ask(policy="checkout", namespace="shop", name="checkout", weight=0.1)
    assert read_query(pairs, loose=False, skip=("format",)) == expected
    assert read_query(pairs, loose=True) == expected
    assert "/format: unknown key" in refusal(lambda: read_query(pairs, loose=False))


def test_a_plus_of_a_zone_survives_the_query_string():
    """Whoever forgets to write %2B for + is understood."""
    assert read_query([("at", "2026-11-23T13:00:00 01:00")], loose=False).at == NOON


def test_a_repeated_parameter_is_refused_or_the_last_counts():
    """People hear of it, controllers do not."""
    pairs = [("name", "a"), ("name", "b")]
    assert "/name: must stand once" in refusal(lambda: read_query(pairs, loose=False))
    assert read_query(pairs, loose=True).name == "b"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*FULL, *FULL["release"], "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*FULL, "data", "x"]), JSON), st.booleans())
@example({"at": 253402300799.5}, True)
def test_any_json_is_a_question_or_a_refusal(body, loose):
    """Nothing that JSON can say makes anything but a question or a refusal in words."""
    try:
        asked = read_ask(body, loose=loose)
    except BadRequest:
        event("refused")
    else:
        assert replace(asked) == asked


def test_flaggers_payload_is_read():
    """What Flagger sends, with its words for what happened."""
    body = {
        "name": "podinfo", "namespace": "test", "phase": "Progressing", "checksum": "85d557f47b",
        "metadata": {"policy": "checkout", "eventType": "Normal", "timestamp": "1795484219000", "retries": 3},
    }  # fmt: skip
    call = read_flagger(body)
    assert (call.name, call.namespace, call.phase, call.checksum) == ("podinfo", "test", "Progressing", "85d557f47b")
    assert call.metadata == {"policy": "checkout", "eventType": "Normal", "timestamp": "1795484219000", "retries": "3"}
    assert read_flagger({"name": "a", "namespace": "b", "metadata": {"x": "\ud800"}}).metadata == {"x": "?"}
    assert read_flagger({"name": "a", "namespace": "b", "future": 1}).metadata == {}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(None, "the body must be a JSON object", id="null"),
        pytest.param({"namespace": "b"}, "/name: must be text, got None", id="no name"),
        pytest.param({"name": "a", "namespace": ""}, "/namespace: must be text", id="empty namespace"),
        pytest.param({"name": "a", "namespace": "b", "metadata": [1]}, "/metadata: must be an object", id="metadata"),
        pytest.param(
            {"name": "a", "namespace": "b", "metadata": {"x/y": {}}}, "/metadata/x~1y: must be text", id="nested"
        ),
    ],
)
def test_a_payload_that_is_not_flaggers_is_named(body, words):
    """The safe row of the answer table hears the same words."""
    assert words in refusal(lambda: read_flagger(body))


def test_every_recorded_hook_of_flagger_is_read():
    """Recorded traffic is the contract: each body names its canary, and events carry their message."""
    files = sorted((SHARED / "captures").glob("flagger_*_requests.json"))
    if not files:
        pytest.skip("recorded traffic is not beside this checkout")
    requests = [request for file in files for request in json.loads(file.read_text())["requests"] if request["body"]]
    for request in requests:
        call = read_flagger(json.loads(request["body"]))
        assert call.name
        assert call.namespace
        assert call.phase
        assert call.checksum
        assert ("eventMessage" in call.metadata) == request["target"].endswith("/event")
    assert len(requests) > 100
