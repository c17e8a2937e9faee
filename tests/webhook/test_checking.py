"""Checking policies: alone, against numbers in memory, over HTTP."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.policy import Limit, Limits
from analysis.questions import Group
from webhook.checking import check
from webhook.errors import SourceDown, SourceRefused
from webhook.policies import Policies
from webhook.schema.request import Ask
from webhook.sources.memory import MemorySource

NOW = 1_760_004_000.0
STEP = 15.0
N = 120
ASK = Ask(namespace="shop", name="checkout", revision="7d9b8c5f66", stable_revision="6c54bd4f4b")
STABLE = [f"checkout-6c54bd4f4b-{suffix}" for suffix in ("bbbbb", "ccccc", "ddddd")]
NEW = ["checkout-7d9b8c5f66-fffff"]


def policy(**changes):
    """Return the policy of most tests."""
    content = {"preset": "http_requests_total", "looks": {"scrape": "15s"}, **changes}
    return Policies.inline(content)


def source(*, canary=tuple(NEW), bad=1.5, total=150.0, labels=("code",)):
    """Return half an hour of three stable pods, and of these canary pods at a tenth of their traffic."""
    pods = {"baseline": dict.fromkeys(STABLE, 1.0), "canary": dict.fromkeys(canary, 0.1)}
    noise = np.random.default_rng(7)

    def counted(value):
        return {
            side: {pod: noise.poisson(value * share, N).astype(float) for pod, share in shares.items()}
            for side, shares in pods.items()
        }

    totals = counted(total)
    bads = {
        side: {pod: noise.binomial(values.astype(int), bad / total).astype(float) for pod, values in replicas.items()}
        for side, replicas in totals.items()
    }
    return MemorySource(
        start=NOW - STEP * N, step=STEP, numbers={"error-rate": {"bad": bads, "total": totals}}, labels=labels
    )


def checked(asked=None, **more):
    """Return the findings about a policy, with a source unless told otherwise."""
    given = {"source": source(), "ask": ASK, "at": NOW} | more
    return check(asked or policy(), **given)


# the policy alone


def test_a_preset_alone_has_no_problem():
    """Every question of the shipped preset is judged."""
    found = check(policy())
    assert found["ok"]
    assert found["source"] is None
    assert found["left_out"] == []


LATENCY = {"name": "latency", "kind": "latency", "histogram": "http_request_duration_seconds{$side}"}
OBJECTIVE = {"name": "slo", "kind": "objective", "bad": "b{$side}", "total": "t{$side}"}
PROPORTION = {"name": "e", "kind": "proportion", "bad": "b{$side}", "total": "t{$side}"}


@pytest.mark.parametrize(
    ("questions", "said"),
    [
        pytest.param([OBJECTIVE], "slo is of kind objective, which is not judged yet", id="kind not judged"),
        pytest.param(
            [LATENCY | {"muted": True}], "every question is muted or left out", id="nothing left to be judged"
        ),
        pytest.param(
            [PROPORTION | {"select": {"baseline": 'pod="a"', "canary": 'pod="a"'}}],
            "e: baseline and canary select the same series",
            id="sides not apart",
        ),
        pytest.param(
            [PROPORTION | {"bad": "b{$side, n=$name}"}],
            "$name",
            id="name outside a string",
        ),
    ],
)
def test_what_could_never_be_judged_is_a_problem(questions, said):
    """A policy that can be read but would hold every release is refused, by the name of the question."""
    found = check(Policies.inline({"questions": questions}))
    assert not found["ok"]
    assert any(said in problem for problem in found["problems"])


# against a source


def test_a_sound_policy_on_a_sound_source_has_no_problem():
    """Everything that was asked for is told: label, cadence, series of both sides, replicas, traffic, noise."""
    found = checked()
    assert (found["ok"], found["problems"]) == (True, [])
    assert found["source"]["fault"] is None
    assert (found["source"]["scrape_seconds"], found["source"]["look_seconds"]) == (15.0, 30.0)
    totals = [query for query in found["queries"] if query["field"] == "total"]
    assert [(q["parsed"], q["series"]) for q in totals] == [(True, {"baseline": 3, "canary": 1})]
    assert totals[0]["samples"] > 0
    question, latency, *_ = found["questions"]
    assert latency["sides"]["baseline"]["requests"] is None
    silent = ["latency", "restarts", "pods-not-ready"]
    assert found["notes"] == [
        f"{name}: no data of the baseline; its silence is ignored (no_data: ignore)" for name in silent
    ]
    assert "restarts: no series is called kube_pod_container_status_restarts_total" in found["fixes"]
    assert question["label"] == "code"
    assert question["sides"]["baseline"]["replicas"] == STABLE
    assert question["sides"]["canary"]["replicas"] == NEW
    assert question["sides"]["baseline"]["per_second"] == pytest.approx(30.0, rel=0.05)
    assert question["sides"]["canary"]["per_second"] == pytest.approx(1.0, rel=0.2)
    assert question["noise"]["source"] == "history"
    assert [row["weight"] for row in question["prospects"]] == [0.05, 0.1, 0.25]


def test_looks_that_hold_no_whole_number_of_scrapes_are_noted():
    """Shares of traffic would seem to jump from look to look; what is even has no note."""
    found = checked(policy(looks={"scrape": "15s", "length": "40s"}))
    (note,) = [note for note in found["notes"] if note.startswith("looks of")]
    assert note.endswith(
        "are 2.67 scrapes of 15 s long, so that they hold unequal numbers of them and shares of traffic"
        " seem to jump; 30 s or 45 s would be even"
    )
    even = checked(policy(looks={"scrape": "15s", "length": "45s"}))
    assert not [note for note in even["notes"] if note.startswith("looks of")]


def test_the_first_label_that_the_total_carries_is_taken():
    """LABEL is looked for on the source, in the order of the candidates."""
    assert checked(source=source(labels=("status_code", "status")))["questions"][0]["label"] == "status"


def test_without_the_label_the_errors_are_unknown():
    """A label that the total lacks would read as no errors for ever, so it is a problem."""
    found = checked(source=source(labels=()))
    assert any("label code nor status" in problem for problem in found["problems"])


def test_a_pod_on_both_sides_is_a_problem():
    """Sides that overlap are named with a pod."""
    found = checked(source=source(canary=(NEW[0], STABLE[0])))
    assert any(STABLE[0] in problem for problem in found["problems"])


def test_no_canary_is_usual():
    """Between releases there is none: traffic and prospects are told all the same."""
    found = checked(source=source(canary=()))
    assert found["ok"]
    assert any("no canary now" in note for note in found["notes"])
    assert found["questions"][0]["prospects"]


def test_a_silent_baseline_is_a_problem():
    """A query without data of the stable side would hold every release."""
    silent = MemorySource(start=NOW - STEP * N, step=STEP, numbers={})
    found = checked(source=silent)
    assert found["problems"] == ["error-rate: no data of the baseline in the last 15 minutes"]


def test_an_empty_name_is_a_problem_that_says_which():
    """Queries that need a name are not run without it."""
    found = checked(ask=Ask(namespace="shop", name="checkout"))
    (problem,) = found["problems"]
    assert problem == "its queries were not run: a selector uses $baseline, which is empty; name the release"


def test_a_source_that_is_down_is_a_fault():
    """The policy may be right; what could not be asked is said."""
    down = source()
    down.fail(SourceDown("connection refused"))
    found = checked(source=down)
    assert found["source"] == {"fault": "connection refused"}
    assert found["problems"] == ["metrics source down: connection refused"]


def test_a_refused_query_is_named_and_the_others_still_run():
    """One wrong query does not hide the rest."""

    class Refusing:
        def __init__(self, inner):
            self.inner = inner

        def fetch(self, queries, span, timeout):
            if any(query.field == "bad" for query in queries):
                raise SourceRefused("parse error")
            return self.inner.fetch(queries, span, timeout)

    found = checked(source=Refusing(source()))
    parsed = {query["field"]: query["parsed"] for query in found["queries"]}
    assert [field for field, well in parsed.items() if not well] == ["bad"]
    assert parsed.keys() > {"presence", "bad", "total", "counts"}
    assert found["problems"] == ["error-rate bad: the source refused it: parse error"]


def test_a_limit_on_a_muted_question_is_asked_as_well():
    """What only a limit reads is fetched and shown like the rest."""
    muted = replace(policy().questions[0], muted=True)
    limit = Limits(name="classic", group=Group(any_of=True, members=(Limit(question="error-rate", max=0.05),)))
    asked = replace(policy(), questions=(muted, limit))
    found = checked(asked)
    assert [question["name"] for question in found["questions"]] == ["error-rate"]


# over HTTP


@pytest.fixture
def client(service):
    """Ask the service."""
    return service.app.test_client()


def test_the_endpoint_checks_a_whole_policy(client):
    """A policy that nobody has stored can be tried; the names of the release stand beside it."""
    body = {"policy": {"preset": "http_requests_total"}, "release": {"namespace": "shop", "name": "checkout",
            "revision": "6c54bd4f4b", "stable_revision": "5d8f7c9b6d"}}  # fmt: skip
    answer = client.post("/v1/policies/check", json=body)
    assert answer.status_code == 200
    found = answer.get_json()
    assert found["source"]["fault"] is None
    assert found["questions"][0]["sides"]["canary"]["requests"] > 0


def test_problems_of_a_policy_are_an_answer(client):
    """What is wrong inside a policy is what was asked for: 200, place, rule and value."""
    answer = client.post("/v1/policies/check", json={"policy": {"questons": []}})
    assert answer.status_code == 200
    found = answer.get_json()
    assert not found["ok"]
    assert "/policy/questons: unknown key 'questons', did you mean 'questions'?" in found["problems"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"polcy": "x"}, 400, id="unknown key"),
        pytest.param({"stage": "final"}, 400, id="a key of another endpoint"),
        pytest.param([], 400, id="no object"),
        pytest.param({"release": {"nme": "x"}}, 400, id="unknown key of the release"),
        pytest.param({"at": "soon"}, 400, id="no time"),
        pytest.param({"policy": "absent"}, 404, id="unknown policy"),
    ],
)
def test_a_wrong_request_is_refused(client, body, status):
    """The endpoint is strict: problem+json with the status of the mistake."""
    answer = client.post("/v1/policies/check", json=body)
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"


def test_a_check_keeps_nothing(client, service):
    """No release, no report, no attempt comes of it."""
    client.post("/v1/policies/check", json={"release": {"namespace": "shop", "name": "x", "revision": "r"}})
    assert service.store.inner.releases() == []
