"""Checking policies: alone, against numbers in memory, against a running Prometheus, over HTTP, by the command."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace

import numpy as np
import pytest

from analysis.policy import Limit, Limits, Policy, Proportion, Tolerance
from analysis.questions import Group
from analysis.types import Direction, May
from tests.prometheus_server import running
from tests.webhook.sources import scene as scenes
from webhook.checking import check
from webhook.cli import main
from webhook.errors import SourceDown, SourceRefused
from webhook.policies import Policies
from webhook.prospects import Traffic, prospects
from webhook.schema.request import Ask
from webhook.sources.memory import MemorySource
from webhook.sources.prometheus import PrometheusSource

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


def test_what_a_preset_leaves_out_is_named_and_is_no_problem():
    """A preset asks what it can; the rest is told."""
    found = check(policy())
    assert found["ok"]
    assert found["source"] is None
    assert found["left_out"] == ["latency is left out: kind latency is not judged yet"]


LATENCY = {"name": "latency", "kind": "latency", "histogram": "http_request_duration_seconds{$side}"}
PROPORTION = {"name": "e", "kind": "proportion", "bad": "b{$side}", "total": "t{$side}"}


@pytest.mark.parametrize(
    ("questions", "said"),
    [
        pytest.param([LATENCY], "latency is of kind latency, which is not judged yet", id="kind not judged"),
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
    (question,) = found["questions"]
    assert question["label"] == "code"
    assert question["sides"]["baseline"]["replicas"] == STABLE
    assert question["sides"]["canary"]["replicas"] == NEW
    assert question["sides"]["baseline"]["per_second"] == pytest.approx(30.0, rel=0.05)
    assert question["sides"]["canary"]["per_second"] == pytest.approx(1.0, rel=0.2)
    assert question["noise"]["source"] == "history"
    assert [row["weight"] for row in question["prospects"]] == [0.05, 0.1, 0.25]


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
    assert found["problems"] == ["source: connection refused"]


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
    assert parsed == {"presence": True, "bad": False, "total": True}
    assert found["problems"] == ["error-rate bad: the source refused it: parse error"]


# what could be proved how soon

QUESTION = Proportion(name="error-rate", bad=("b{$side}",), total="t{$side}")
ONE = Policy(name="one", questions=(QUESTION,))
TRAFFIC = Traffic(requests_per_second=200.0, bad_share=0.01, phi=1.0)


def needed(nats, weight, ratio, limit, share, phi):
    """Return canary requests for so much evidence, by the definition: divergence of two splits of the bad events."""
    rho, slack = limit
    base = share + slack / rho
    bad = {"canary": weight * ratio * share, "baseline": (1 - weight) * base}
    null = {"canary": weight * rho, "baseline": 1 - weight}
    events = sum(bad.values())
    divergence = sum(
        bad[side] / events * math.log(bad[side] / events / (null[side] / sum(null.values()))) for side in bad
    )
    return nats * weight / (events * divergence / phi)


@pytest.mark.parametrize("phi", [1.0, 2.5])
@pytest.mark.parametrize("weight", [0.05, 0.1, 0.25])
def test_prospects_follow_the_definition(weight, phi):
    """Requests to abort a doubling and to take the last step are those of the divergence, times the median's part."""
    traffic = replace(TRAFFIC, phi=phi)
    (row,) = [one for one in prospects(ONE, QUESTION, traffic) if one["weight"] == weight]
    warn = needed(math.log(1000) + 1.1, weight, 2.0, (1.0, 0.0), 0.01, phi)
    beyond = needed(math.log(3) + 1.1, weight, 2.0, (1.5, 0.001), 0.01, phi)
    assert row["abort"]["2"]["canary_requests"] == pytest.approx(max(warn, beyond), abs=1)
    assert row["abort"]["2"]["seconds"] == pytest.approx(max(warn, beyond) / (200 * weight), abs=1)
    last = needed(math.log(20) + 0.6, weight, 1.0, (1.5, 0.001), 0.01, phi)
    assert row["final"]["canary_requests"] == pytest.approx(0.8 * last, abs=1)


def test_more_harm_is_seen_sooner_and_more_weight_decides_sooner():
    """Laws that need no formula: three times is seen before twice, and 25 % before 5 %."""
    rows = prospects(ONE, QUESTION, TRAFFIC)
    assert all(row["abort"]["3"]["seconds"] < row["abort"]["2"]["seconds"] for row in rows)
    for wait in ([row["final"]["seconds"] for row in rows], [row["abort"]["2"]["seconds"] for row in rows]):
        assert wait == sorted(wait, reverse=True)


def test_a_step_needs_less_than_the_last_one():
    """A step is worth what it can cost; the last one also asks for the proof of harmlessness."""
    assert all(row["step"]["seconds"] < row["final"]["seconds"] for row in prospects(ONE, QUESTION, TRAFFIC))


@pytest.mark.parametrize(
    "question",
    [
        pytest.param(replace(QUESTION, may=May.HOLD), id="may hold only"),
        pytest.param(replace(QUESTION, tolerance=Tolerance(ratio=4.0, absolute=0.0)), id="tolerated"),
    ],
)
def test_what_can_never_be_aborted_says_so(question):
    """Never is null with a reason, not a large number."""
    row = prospects(replace(ONE, questions=(question,)), question, TRAFFIC)[0]
    assert row["abort"]["3"]["seconds"] is None
    assert row["abort"]["3"]["reason"]


def test_a_harmful_fall_is_asked_the_other_way_round():
    """Where a fall harms, a canary with half the share is what is to be found, and it can be."""
    falls = replace(QUESTION, direction=Direction.DECREASE)
    for row in prospects(replace(ONE, questions=(falls,)), falls, TRAFFIC):
        assert 0 < row["abort"]["3"]["seconds"] < row["abort"]["2"]["seconds"]


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


# the command, and a running Prometheus


@pytest.fixture
def run(capsys, tmp_path):
    """Run ``weighbridge policy`` in this process; the value is exit code, standard output, standard error."""

    def call(*arguments):
        code = main(["policy", *map(str, arguments)], {"HOME": str(tmp_path)})
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def folder(tmp_path):
    """A folder of policies: one sound, one that no version judges, one that cannot be read."""
    path = tmp_path / "policies"
    path.mkdir()
    (path / "good.yaml").write_text("{apiVersion: weighbridge/v1, name: good, preset: http_requests_total}")
    (path / "latency.json").write_text(
        json.dumps({"apiVersion": "weighbridge/v1", "name": "slow", "questions": [LATENCY]})
    )
    (path / "wrong.yml").write_text("apiVersion: weighbridge/v1\nname: wrong\nquestions:\n  - {name: e, knd: rate}\n")
    return path


def test_a_folder_is_checked_file_by_file(run, folder):
    """Each file has its own lines; one problem anywhere is exit code 1."""
    code, out, _ = run("check", folder)
    assert code == 1
    blocks = out.split("\n\n")
    assert [block.split(" ")[0].rstrip(":") for block in blocks] == ["good.yaml", "latency.json", "wrong.yml"]
    assert ": ok" in blocks[0]
    assert "latency is of kind latency" in " ".join(blocks[1].split())
    assert "wrong.yml: /questions/0" in blocks[2]
    assert all(len(line) <= 100 for line in out.splitlines())


def test_one_sound_file_is_exit_code_0(run, folder):
    """A check in CI passes."""
    assert run("check", folder / "good.yaml")[0] == 0


def test_findings_can_be_read_by_programs(run, folder):
    """``--json`` holds the same findings."""
    code, out, _ = run("check", folder, "--json")
    document = json.loads(out)
    assert (code, document["ok"]) == (1, False)
    assert [(one["file"], one["ok"]) for one in document["files"]] == [
        ("good.yaml", True), ("latency.json", False), ("wrong.yml", False),
    ]  # fmt: skip


def test_two_files_of_one_name_are_a_problem(run, folder):
    """Only one of them could ever be in force."""
    (folder / "second.yaml").write_text("{apiVersion: weighbridge/v1, name: good, preset: http_requests_total}")
    assert "second.yaml: /name: must be unique, good.yaml has the same" in run("check", folder)[1]


def test_the_schema_is_printed(run):
    """It is the schema of the reader, with the shipped presets."""
    code, out, _ = run("schema")
    schema = json.loads(out)
    assert code == 0
    assert schema["title"] == "Weighbridge policy"
    assert "http_requests_total" in schema["properties"]["preset"]["enum"]


@pytest.fixture(scope="module")
def prometheus():
    """A Prometheus that holds a namespace with two stable pods and a canary."""
    with running() as server:
        adapter = PrometheusSource(server.url)
        scene = scenes.Scene(server=server, source=adapter, namespace="shop")
        series = [
            one
            for pod, total in ((scenes.STABLE, 300.0), (scenes.STABLE2, 300.0), (scenes.NEW, 30.0))
            for one in scene.steady(pod, 70, total=total, bad=3.0 if total > 100 else 0.0)
        ]
        scene.write(*series)
        adapter.close()
        yield server


AT = scenes.T0 + 70 * scenes.SCRAPE
NAMED = (
    "--namespace", "shop", "--name", "shop", "--revision", scenes.CANARY, "--stable-revision", scenes.BASELINE,
    "--at", f"{AT:.0f}",
)  # fmt: skip


def test_a_running_prometheus_is_asked(run, folder, prometheus):
    """The text tells the label, the scrape interval, the replicas of both sides and what could be proved."""
    code, out, err = run("check", folder / "good.yaml", "--prometheus", prometheus.url, *NAMED)
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    assert "scraped every 15 s, so a look lasts 30 s" in text
    assert "code stands for LABEL" in text
    assert f"2 replicas: {scenes.STABLE}, {scenes.STABLE2}" in text
    assert f"1 replica: {scenes.NEW}" in text
    assert "error-rate total: parsed; series: baseline 2, canary 1" in text
    assert "abort at 2x" in text


def test_names_that_match_nothing_are_a_problem(run, folder, prometheus):
    """A release that the source does not know has no baseline, and no scrape interval that could be measured."""
    unknown = ["absent" if word == "shop" else word for word in NAMED]
    code, out, err = run("check", folder / "good.yaml", "--prometheus", prometheus.url, *unknown)
    assert (code, err) == (1, "")
    assert "error-rate: no data of the baseline in the last 15 minutes" in " ".join(out.split())
    assert "nothing to measure the scrape interval on" in out


def test_promql_that_does_not_parse_is_named(run, folder, prometheus):
    """Prometheus's own words stand beside the question and the field."""
    (folder / "bad.yaml").write_text(
        "{apiVersion: weighbridge/v1, name: bad, questions: [{name: e, kind: proportion, "
        "bad: 'http_requests_total{$side, code=~\"5..\"', total: 'http_requests_total{$side}'}]}"
    )
    code, out, _ = run("check", folder / "bad.yaml", "--prometheus", prometheus.url, *NAMED, "--json")
    (found,) = json.loads(out)["files"]
    assert code == 1
    assert {query["field"]: query["parsed"] for query in found["queries"]}["bad"] is False
    assert any("e bad: the source refused it" in problem for problem in found["problems"])


def test_a_prometheus_that_is_away_is_an_error(run, folder):
    """No problem of the policy, so a code of its own; nothing hangs."""
    began = time.monotonic()
    code, out, _ = run("check", folder / "good.yaml", "--prometheus", "http://127.0.0.1:1", *NAMED)
    assert code == 69
    assert "connection refused" in out
    assert time.monotonic() - began < 10


def test_a_limit_on_a_muted_question_is_asked_as_well():
    """What only a limit reads is fetched and shown like the rest."""
    muted = replace(QUESTION, muted=True)
    limit = Limits(name="classic", group=Group(any_of=True, members=(Limit(question="error-rate", max=0.05),)))
    asked = replace(policy(), questions=(muted, limit))
    found = checked(asked)
    assert [question["name"] for question in found["questions"]] == ["error-rate"]
