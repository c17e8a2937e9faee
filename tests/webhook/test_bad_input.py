"""Wrong requests: on /v1 a 4xx that names place, rule and value; at the controllers the safe row, the same words."""

from __future__ import annotations

import copy
import json
import math
import time

import pytest

from tests.contract.scene import SOURCES, Scene, is_verdict_object, strict

SOUND = {
    "stage": "final",
    "release": {"namespace": "shop", "name": "checkout", "revision": "6c54bd4f4b"},
    "data": {
        "start": "2026-11-23T10:00:00Z",
        "step_seconds": 30,
        "questions": {
            "error-rate": {
                "baseline": {"s-1": {"bad": [14, 15, 13], "total": [1425, 1420, 1431]}},
                "canary": {"c-1": {"bad": [4, None, 5], "total": [150, None, 149]}},
            }
        },
    },
}
LIMITS = {
    "questions": [
        {"name": "error-rate", "kind": "proportion", "muted": True, "bad": "a{$side}", "total": "b{$side}"},
        {"name": "classic", "kind": "limits", "any_of": [{"question": "error-rate", "max": 0.05}]},
    ]
}
CANARY = ("data", "questions", "error-rate", "canary", "c-1")


def changed(*steps):
    """Return the sound request with values put at places, or (with DEL) taken away."""
    body = copy.deepcopy(SOUND)
    for path, value in steps:
        inner = body
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = value
    return body


def bad(values):
    return changed(((*CANARY, "bad"), values))


def release(**more):
    return changed(*[(("release", key), value) for key, value in more.items()])


# Each: the body, the place, a piece of the rule, a piece of the value.
WRONG = {
    "unknown key": (changed((("verdit",), 1)), "/verdit", "unknown key", "verdit"),
    "unknown key of the release": (release(nmae="x"), "/release/nmae", "did you mean 'name'", "nmae"),
    "unknown key of the data": (changed((("data", "steps"), 1)), "/data/steps", "unknown key", "steps"),
    "unknown key of a question": (
        changed((("data", "questions", "error-rate", "treatment"), {})),
        "/data/questions/error-rate/treatment", "unknown key", "treatment",
    ),
    "unknown field": (changed(((*CANARY, "errors"), [1, 2, 3])), "/data/questions/error-rate", "errors", ""),
    "unknown stage": (changed((("stage",), "finl")), "/stage", "must be one of", "finl"),
    "policy of a wrong type": (changed((("policy",), 5)), "/policy", "must be text", "5"),
    "release of a wrong type": (changed((("release",), "checkout")), "/release", "must be an object", "checkout"),
    "weight as text": (release(weight="0.1"), "/release/weight", "must be a number", "0.1"),
    "weight in percent": (release(weight=5), "/release/weight", "between 0 and 1", "5"),
    "weight as truth": (release(weight=True), "/release/weight", "must be a number", "True"),
    "step below zero": (release(step=-1), "/release/step", "not negative", "-1"),
    "a name too long": (release(name="x" * 254), "/release/name", "1 to 253 characters", "xxx"),
    "a name over two lines": (release(name="a\nb"), "/release/name", "control characters", "a\\nb"),
    "milliseconds": (changed((("at",), 1.7e12)), "/at", "not milliseconds", "1700000000000"),
    "a day that never was": (changed((("at",), "2026-02-30T00:00:00Z")), "/at", "time that exists", "2026-02-30"),
    "a time without a zone": (changed((("at",), "2026-11-23T10:00:00")), "/at", "must be a time", "2026-11-23"),
    "NaN": (bad([4, math.nan, 5]), "/data/questions/error-rate/canary/c-1/bad/1", "finite", "nan"),
    "infinity": (bad([4, math.inf, 5]), "/data/questions/error-rate/canary/c-1/bad/1", "finite", "inf"),
    "negative count": (bad([4, 3, -5]), "/data/questions/error-rate/canary/c-1/bad/2", "negative", "-5"),
    "text for a count": (bad([4, "3", 5]), "/data/questions/error-rate/canary/c-1/bad/1", "must be a number", "'3'"),
    "bad over total": (bad([4, None, 150]), "/data/questions/error-rate/canary/c-1", "150", "149"),
    "arrays of two lengths": (bad([4, 3]), "/data/questions/error-rate/canary/c-1", "2", "3"),
    "sides of two lengths": (
        changed((CANARY, {"bad": [1, 2], "total": [100, 100]})),
        "/data/questions/error-rate", "one length", "baseline has 3, canary 2",
    ),
    "no total": (changed((CANARY, {"bad": [1, 2, 3]})), "/data/questions/error-rate/canary/c-1", "total", ""),
    "no questions": (changed((("data", "questions"), {})), "/data", "at least one question", ""),
    "a question that the policy has not": (
        changed((("policy",), LIMITS), (("data", "questions", "erorr-rate"), {})),
        "/data/questions/erorr-rate", "did you mean 'error-rate'", "erorr-rate",
    ),
    "steps of no length": (changed((("data", "step_seconds"), 0)), "/data/step_seconds", "seconds between", "0"),
    "an inline policy that is wrong": (
        changed((("policy",), {"questions": [{"name": "x", "kind": "proportion", "direction": "incrase"}]})),
        "/policy/questions/0/direction", "must be one of", "incrase",
    ),
    "history inside the data": (
        changed(
            (
                ("data", "questions", "error-rate", "history"),
                {"start": "2026-11-23T10:00:00Z", "baseline": {"bad": [1], "total": [10]}},
            )
        ),
        "/data/questions/error-rate/history/start", "before the data starts", "",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def scene():
    return Scene(source=SOURCES["abort"]())


@pytest.mark.parametrize("case", WRONG)
def test_v1_names_place_rule_and_value(scene, case):
    """A wrong request is 400 with the place as a JSON pointer, the rule, and the value that broke it."""
    body, place, rule, value = WRONG[case]
    answer = scene.post("/v1/analysis", json.dumps(body))
    assert answer.status_code == 400, answer.text
    assert answer.content_type == "application/problem+json"
    found = strict(answer.text)
    assert found["place"].startswith(place)
    assert rule in found["detail"]
    assert value in found["detail"]


LOOSE = ("unknown key", "unknown key of the release", "weight as text", "policy of a wrong type")
"""What a controller's template may send all the same."""


@pytest.mark.parametrize("case", [case for case in WRONG if case not in LOOSE])
def test_argo_hears_hold_with_the_same_words(scene, case):
    """What /v1 refuses is a hold at Argo, and its reason starts with the words of /v1."""
    body, *_ = WRONG[case]
    answer = scene.post("/argo/analysis", json.dumps(body))
    is_verdict_object(answer)
    assert answer.json["verdict"] == "hold"
    refused = scene.post("/v1/analysis", json.dumps(body)).json
    words = f"bad request: {refused['place']}: {refused['detail']}"
    assert answer.json["reason"].rstrip("…") in words


@pytest.mark.parametrize("case", LOOSE)
def test_argo_skips_what_templates_may_send(scene, case):
    """Unknown keys and text for numbers are no mistakes at Argo: there the request is judged or its policy missed."""
    answer = scene.post("/argo/analysis", json.dumps(WRONG[case][0]))
    is_verdict_object(answer)
    assert "bad request" not in answer.json["reason"]


def test_an_unknown_policy_is_404_and_names_the_nearest(scene, tmp_path):
    """A policy that nobody knows is 404 on /v1, hold at Argo, the safe row at Flagger, each with its name."""
    answer = scene.post("/v1/analysis", {"policy": "chekout", "release": SOUND["release"]})
    assert (answer.status_code, answer.json["place"]) == (404, "/policy")
    assert "'chekout'" in answer.json["detail"]
    held = scene.argo(policy="chekout").json
    assert held["verdict"] == "hold"
    assert "'chekout'" in held["reason"]
    refused = scene.hook("confirm-promotion", "?policy=chekout")
    assert refused.status_code == 403
    assert "'chekout'" in refused.text
    assert scene.hook("rollback", metadata={"policy": "chekout"}).status_code == 403


NO_JSON = {
    "cut off": b'{"release": {"name"',
    "single quotes": b"{'release': {}}",
    "HTML": b"<html></html>",
    "a key twice": b'{"stage": "step", "stage": "final"}',
    "no UTF-8": b'{"policy": "\xff"}',
    "nested too deeply": b"[" * 50_000 + b"]" * 50_000,
    "a number without end": b'{"at": ' + b"9" * 5_000 + b"}",
    "a lone surrogate": b'{"policy": "\\ud800"}',
    "a list": b"[]",
    "a zero byte": b'{"policy": "a\\u0000b"}',
}


@pytest.mark.parametrize("case", NO_JSON)
def test_what_is_no_request_at_all_is_refused_everywhere(scene, case):
    """400 on /v1, hold at Argo, the safe row at Flagger; quickly, and never a 5xx."""
    began = time.monotonic()
    refused = scene.post("/v1/analysis", NO_JSON[case])
    assert refused.status_code == 400
    assert refused.json["detail"]
    held = scene.post("/argo/analysis", NO_JSON[case])
    is_verdict_object(held)
    assert held.json["verdict"] == "hold"
    assert scene.post("/flagger/rollback", NO_JSON[case]).status_code == 403
    assert scene.post("/flagger/rollout", NO_JSON[case]).status_code == 200
    assert time.monotonic() - began < 5


def long(looks):
    """Return a request with this many looks of one replica a side."""
    side = {"bad": [1] * looks, "total": [100] * looks}
    return changed((("data", "questions", "error-rate"), {"baseline": side, "canary": side}))


def test_20_000_looks_are_judged_in_bounded_time(scene):
    """The longest data that is allowed is judged within the deadline of a verdict."""
    began = time.monotonic()
    answer = scene.post("/v1/analysis", long(20_000))
    assert answer.status_code == 200, answer.text
    assert answer.json["window"]["looks"] == 20_000
    assert time.monotonic() - began < 8


def test_more_than_20_000_looks_are_refused_with_the_figure(scene):
    """One look more is an error that names both figures; at Argo a hold with the same words."""
    began = time.monotonic()
    answer = scene.post("/v1/analysis", long(20_001))
    assert answer.status_code == 400
    assert "at most 20,000 looks, got 20,001" in answer.json["detail"]
    assert "at most 20,000 looks, got 20,001" in scene.post("/argo/analysis", long(20_001)).json["reason"]
    assert time.monotonic() - began < 5


def test_more_than_1_000_series_are_refused_with_the_figure(scene):
    """Replicas times fields are bounded too, both figures named."""
    side = {f"s-{n}": {"bad": [1] * 3, "total": [100] * 3} for n in range(501)}
    answer = scene.post("/v1/analysis", changed((("data", "questions", "error-rate", "baseline"), side)))
    assert answer.status_code == 400
    assert "at most 1,000 series, got 1,004" in answer.json["detail"]


def test_many_long_questions_are_refused_before_they_take_too_long(scene):
    """Looks times questions are bounded, so that the largest request that is allowed is judged in a few seconds."""
    side = {"bad": [1] * 4000, "total": [9] * 4000}
    many = {f"q-{n}": {"baseline": side, "canary": side} for n in range(16)}
    began = time.monotonic()
    answer = scene.post("/v1/analysis", {"data": {"questions": many}})
    assert answer.status_code == 400
    assert "at most 60,000 looks over all questions, got 4,000 in each of 16" in answer.json["detail"]
    del many["q-15"]
    assert scene.post("/v1/analysis", {"data": {"questions": many}}).status_code == 200
    assert time.monotonic() - began < 20


def test_times_out_of_order_are_refused(scene):
    """A window that ends before it begins names both ends."""
    body = {"from": "2026-11-23T11:00:00Z", "to": "2026-11-23T10:00:00Z", "release": SOUND["release"]}
    answer = scene.post("/v1/analysis", body)
    assert (answer.status_code, answer.json["place"]) == (400, "/from")
    assert "must lie before 'to'" in answer.json["detail"]
    assert "must lie before 'to'" in scene.post("/argo/analysis", body).json["reason"]


def test_a_foreign_time_zone_names_the_same_instant(scene):
    """10:00 UTC is 15:45 in Kathmandu: the same question has the same id and the same window."""
    found = [
        scene.post("/v1/analysis", changed((("data", "start"), start))).json
        for start in ("2026-11-23T10:00:00Z", "2026-11-23T15:45:00+05:45", "2026-11-23t05:00:00.000-05:00")
    ]
    assert len({answer["window"]["start"] for answer in found}) == 1
    assert {answer["window"]["start"] for answer in found} == {"2026-11-23T10:00:00Z"}
    assert len({(answer["verdict"], answer["reason"]) for answer in found}) == 1


UNICODE = ["Größe", "店舗", "🐤", "e\u0301", "\u202egnp", "a b", "ns'\"\\`;--", "<script>alert(1)</script>"]


@pytest.mark.parametrize("name", UNICODE)
def test_any_letters_may_stand_in_a_name(scene, name):
    """Names come back as they were sent, in strict JSON, whatever letters they have."""
    answer = scene.post("/v1/analysis", release(name=name, namespace=name))
    assert answer.status_code == 200
    assert strict(answer.text)["release"]["name"] == name
    listed = scene.get("/v1/releases", headers={"Accept": "application/json"})
    assert name in {found["name"] for found in strict(listed.text)["releases"]}
    page = scene.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "<script>alert" not in page.text


INJECTED = ['x"} or vector(1) or up{a="', 'x", pod=~".*', "x\\", "x{}[5m]", "x|.*", "$namespace", "x`", "x\u2028y"]


@pytest.mark.parametrize("name", INJECTED)
def test_promql_in_a_name_selects_nothing_else(name):
    """A name is a value inside a matcher and nothing more: no quote, bracket or pattern of it reaches the query."""
    scene = Scene(source=SOURCES["promote"]())
    answer = scene.post("/argo/analysis", {"release": {**RELEASE, "name": name}})
    is_verdict_object(answer)
    if "\u2028" in name:
        assert "control characters" in answer.json["reason"]
        return
    plain = Scene(source=SOURCES["promote"]())
    plain.post("/argo/analysis", {"release": {**RELEASE, "name": "plain"}})
    asked = [query.expr for queries, _ in scene.source.asked for query in queries]
    usual = [query.expr for queries, _ in plain.source.asked for query in queries]
    assert asked
    assert len(asked) == len(usual)
    for one, other in zip(asked, usual, strict=True):
        assert outside(one) == outside(other)


RELEASE = {"namespace": "shop", "revision": "6c54bd4f4b", "stable_revision": "5d8f7c9b6d"}


def outside(expr):
    """Return a query without the contents of its double-quoted strings, escapes understood as PromQL does."""
    kept, inside, escaped = [], False, False
    for letter in expr:
        if not inside:
            kept.append(letter)
            inside = letter == '"'
        elif escaped:
            escaped = False
        elif letter == "\\":
            escaped = True
        elif letter == '"':
            kept.append(letter)
            inside = False
    assert not inside
    return "".join(kept)


def test_nothing_of_a_refused_request_is_kept(scenes):
    """A request that was refused opens no attempt and stores no report."""
    scene = scenes("promote")
    for body, *_ in WRONG.values():
        scene.post("/v1/analysis", json.dumps(body))
    assert scene.get("/v1/releases").json == {"releases": []}
    assert scene.store.inner.releases() == []
