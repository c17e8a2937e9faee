"""Whatever is sent, no controller hears a yes that was not earned: properties over arbitrary requests."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.scene import CANARY, RELEASE, SOURCES, Scene, is_verdict_object
from webhook.answers import ANSWERS, Heard, Hook

WORDS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["promote", "step", "final", "1", "NaN", "{", "{}", '{"a":', "../..", "0", "-1", "shop", "x1"]),
)
VALUES = st.recursive(
    WORDS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
)
TOP = ["policy", "stage", "release", "at", "from", "to", "dry_run", "data", "verdict"]
FIELDS = [*RELEASE, "cluster", "weight", "next_weight", "started_at", "annotation"]


def objects(keys, sound):
    """Return objects with some of ``keys``: sound values, or any."""
    return st.fixed_dictionaries(
        {}, optional={key: st.just(sound[key]) | VALUES if key in sound else VALUES for key in keys}
    )


DATA = st.fixed_dictionaries(
    {},
    optional={
        "questions": st.dictionaries(
            st.sampled_from(["error-rate", "latency", "x"]) | st.text(max_size=5),
            st.fixed_dictionaries(
                {},
                optional={
                    side: st.fixed_dictionaries(
                        {}, optional={"bad": st.lists(WORDS, max_size=5), "total": st.lists(WORDS, max_size=5)}
                    )
                    | VALUES
                    for side in ("baseline", "canary", "history")
                },
            ),
            max_size=3,
        ),
        "start": WORDS,
        "step_seconds": WORDS,
    },
)
BODIES = st.one_of(
    st.binary(max_size=200),
    VALUES.map(lambda value: json.dumps(value).encode()),
    objects(TOP, {"release": RELEASE, "stage": "final"}).map(lambda value: json.dumps(value).encode()),
    objects(FIELDS, RELEASE).map(lambda release: json.dumps({"release": release}).encode()),
    DATA.map(lambda data: json.dumps({"data": data}).encode()),
)
HOOK_BODIES = st.one_of(
    BODIES,
    objects([*CANARY, "metadata"], CANARY).map(lambda value: json.dumps(value).encode()),
)
QUERIES = st.lists(
    st.tuples(st.sampled_from([*TOP, *FIELDS, "hold", "format", "retry"]) | st.text(max_size=5), st.text(max_size=20)),
    max_size=3,
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(["application/json", "text/html", "multipart/form-data; boundary=x", "x"]),
        "Accept": st.sampled_from(["text/html", "*/*", "text/plain", "x", "application/xml;q=1"]),
        "User-Agent": st.sampled_from(["curl/8", "Go-http-client/1.1"]),
    },
)


@pytest.fixture(scope="module", params=["hold", "abort", "source down", "store down"])
def scene(request):
    """A service that has every reason not to promote."""
    made = Scene(source=SOURCES["hold" if request.param == "hold" else "abort"]())
    if request.param == "source down":
        made.source.fail()
    made.store.down = request.param == "store down"
    return made, request.param


@settings(max_examples=60)
@given(method=st.sampled_from(["POST", "GET", "PUT", "OPTIONS", "DELETE"]), body=BODIES, query=QUERIES, headers=HEADERS)
def test_argo_never_gets_a_2xx_without_a_verdict(scene, method, body, query, headers):
    """No request at all is answered with a 2xx that is not a verdict object, and none with a 5xx or a redirect."""
    service, _ = scene
    answer = service.client.open("/argo/analysis", method=method, data=body, query_string=query, headers=headers)
    assert answer.status_code in (200, 405)
    if answer.status_code == 200:
        is_verdict_object(answer)
    else:
        assert method not in ("GET", "POST")


@settings(max_examples=60)
@given(body=HOOK_BODIES, query=QUERIES, headers=HEADERS)
def test_a_rollback_is_never_approved_without_proof(scene, body, query, headers):
    """2xx at the rollback hook needs numbers that prove it, or a human: nothing else that is sent brings it."""
    service, why = scene
    answer = service.client.post("/flagger/rollback", data=body, query_string=query, headers=headers)
    proved = why == "abort" and "statistical test says worse than stable" in answer.text
    assert answer.status_code == ANSWERS[Hook.ROLLBACK][Heard.ABORT if proved else Heard.HOLD]


@settings(max_examples=40)
@given(
    hook=st.sampled_from([hook for hook in Hook if hook is not Hook.ARGO]),
    body=HOOK_BODIES,
    query=QUERIES,
    headers=HEADERS,
)
def test_every_hook_answers_within_its_row(scene, hook, body, query, headers):
    """Whatever is sent, a hook answers one of the statuses of its row, in one line, never a 5xx."""
    service, _ = scene
    answer = service.client.post(f"/flagger/{hook.value}", data=body, query_string=query, headers=headers)
    assert answer.status_code in {*ANSWERS[hook].values(), 412} - {401}
    assert len(answer.text) <= 251
    assert answer.text.strip().isprintable()


@settings(max_examples=60)
@given(method=st.sampled_from(["POST", "GET"]), body=BODIES, query=QUERIES, headers=HEADERS)
def test_v1_never_breaks(scene, method, body, query, headers):
    """On /v1 every request is a verdict or a problem in JSON that says what is wrong: no 5xx."""
    service, _ = scene
    answer = service.client.open("/v1/analysis", method=method, data=body, query_string=query, headers=headers)
    assert answer.status_code in (200, 400, 404)
    if answer.status_code != 200:
        assert answer.content_type == "application/problem+json"
        assert answer.json["detail"]
