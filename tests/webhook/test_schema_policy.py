"""Policies: what a file may say, what it becomes, and that the JSON Schema says the same."""

from __future__ import annotations

import re
from dataclasses import replace

import jsonschema
import pytest

from analysis import policy as core
from analysis import questions as kinds
from analysis.types import Direction, May, Mode, NoData, Weight
from tests.shared_data import SHARED
from tests.webhook.policy_documents import (
    EVERYTHING,
    SIDED,
    TIED,
    VALIDATOR,
    asking,
    proportion,
    read,
    refusals,
    shortest,
)
from webhook.policies import presets
from webhook.schema import policy as wire
from webhook.schema.documents import parse
from webhook.schema.problems import PolicyProblems

# ------------------------------------------------------------------------------------------ what is read


def test_the_shortest_policy_asks_for_errors_and_for_latency_if_there_is_one():
    """Three words are enough: the preset brings questions, labels and weights; latency may be silent."""
    policy = read(shortest(preset="http_requests_total"))
    question, latency, *health = policy.questions
    assert isinstance(question, kinds.Proportion)
    assert question.name == "error-rate"
    assert question.weight is Weight.CRITICAL
    assert question.label == ("code", "status", "status_code", "http_status")
    assert question.bad == ('http_requests_total{$side, LABEL=~"5.."}',)
    assert isinstance(latency, kinds.Latency)
    assert latency.no_data is NoData.IGNORE
    assert [q.name for q in health] == ["restarts", "pods-not-ready", "healthy"]
    assert policy.notes == ()


def test_defaults_are_those_of_the_types():
    """What a file leaves out is what the core takes for granted."""
    policy = read(asking(proportion()))
    plain = core.Policy(name="x", questions=(kinds.Proportion(name="error-rate", bad=(SIDED,), total=SIDED),))
    assert replace(policy, digest="") == plain


def test_every_key_reaches_its_field():
    """A policy that says everything is understood in every word."""
    policy = read(EVERYTHING)
    errors, latency, cpu, jobs, orders, p99, classic, slo = policy.questions
    assert errors.tolerance == kinds.Tolerance(ratio=2, absolute=0.001)
    assert (errors.may, errors.no_data, errors.exclude, errors.required) == (May.HOLD, NoData.IGNORE, 'a="b"', True)
    assert latency.tolerance == kinds.LatencyTolerance(shift=1.1, exceedance=2.0)
    assert (latency.unit, latency.slo_edges) == ("ms", (100, 250.5))
    assert latency.replica_from == {"series": "target_info", "match": ("job",), "label": "pod"}
    assert cpu.muted
    assert (jobs.exposure, jobs.select.replica) == ("time", ())
    assert orders.direction is Direction.DECREASE
    assert (p99.proof, p99.variation_may, p99.pod_limited) == ("variation", "hold", "hold")
    assert (classic.min_requests, classic.consecutive, classic.group.any_of) == (10, 3, True)
    first, nested = classic.group.members
    assert first == kinds.Limit(question="error-rate", max=0.05)
    assert not nested.any_of
    assert nested.members[0] == kinds.Limit(question="latency", percentile="p95", max_increase=0.5)
    assert (slo.period, slo.budget_warn, slo.budget_max_burn, len(slo.bad)) == (7 * 86400, 0.25, 6, 2)
    assert policy.match == (("shop*", "checkout"), ("*", "cart-?"))
    assert (policy.mode, policy.controller, policy.source) == (Mode.ADVISE, "flagger", "eu")
    assert policy.looks == core.Looks(scrape=15, length=None, lag=0, warm_up=120)
    assert policy.alpha == core.Alphas(abort=0.01, tolerated=0.5)
    assert (policy.history, policy.freeze_limit, policy.min_step, policy.first_traffic) == (7200, 0, 90, 90)
    assert policy.deadline == core.Deadline(after=86400, then="promote_if", limit=2.0)
    assert policy.unjudged == ("slo",)


def test_the_example_of_the_design_is_legal():
    """The long example of the design is read as it stands there, but for what it leaves open with dots."""
    page = SHARED / "design" / "policy.md"
    if not page.exists():
        pytest.skip("shared design pages are not beside this checkout")
    text = re.search(r"```yaml\n(.*?)```", page.read_text(), re.S)[1]
    text = text.replace("bad: …, total: …", "bad: 'a{$side}', total: 'b{$side}'")
    policy = read(parse(text.encode(), "x.yaml"))
    asked = " ".join(question.kind for question in policy.questions)
    assert asked == "proportion latency gauge rate ratio quantile limits objective"


# ------------------------------------------------------------------------------------------ what is refused


def wrong(name, words, /, *questions, **more):
    """Return a row: a policy with something wrong (asking for the error rate if nothing else), and what is said."""
    return pytest.param(asking(*(questions or [proportion()]), **more), words, id=name)


def limited(**bound):
    """Return a limit on the error rate."""
    return {"name": "l", "kind": "limits", "any_of": [{"question": "error-rate"} | bound]}


WRONG = [
    pytest.param([], "must be a mapping", id="no mapping"),
    pytest.param({"name": "x", "preset": "http_requests_total"}, "needs the key 'apiVersion'", id="no version"),
    pytest.param(shortest(), "needs questions, or a preset", id="asks nothing"),
    pytest.param(shortest(questions=[]), "/questions: must be a list of 1", id="no question"),
    pytest.param(shortest(preset="http_request_total"), "did you mean 'http_requests_total'?", id="preset"),
    wrong("version", "/apiVersion: must be weighbridge/v1", apiVersion="weighbridge/v2"),
    wrong("key", "/mod: unknown key 'mod', did you mean 'mode'?", mod="enforce"),
    wrong("word", "/mode: must be one of shadow, advise, enforce, got 'enforced'", mode="enforced"),
    wrong("capital", "/name: must be lower-case letters", name="Checkout"),
    wrong("line end", "/name: must be lower-case letters", name="x\n"),
    wrong("surrogate", "/source: must be text that UTF-8 can carry", source="\ud800"),
    wrong("number", "/freeze_limit: must be a duration like 30s 5m 4h 7d, got 600", freeze_limit=600),
    wrong("unit", "/freeze_limit: must be a duration", freeze_limit="10min"),
    wrong("two units", "/freeze_limit: must be a duration", freeze_limit="1h30m"),
    wrong("negative", "/freeze_limit: must be a duration", freeze_limit="-5s"),
    wrong("zero", "/looks/length: must be auto or a duration longer than 0", looks={"length": "0s"}),
    wrong("alpha", "/alpha/abort: must be a number above 0 and below 1", alpha={"abort": 1}),
    wrong("flag as number", "/alpha/abort: must be a number", alpha={"abort": True}),
    wrong("text as number", "/harm_budget: must be a number above 0, got '20'", harm_budget="20"),
    wrong("nan", "/harm_budget: must be a number", harm_budget=float("nan")),
    wrong("infinity", "/harm_budget: must be a number", harm_budget=float("inf")),
    wrong("huge", "/harm_budget: must be a number", harm_budget=10**400),
    wrong("falling steps", "/steps: must rise", steps=[0.5, 0.1]),
    wrong("percents", "/steps/0: must be a number above 0 and at most 1, got 5", steps=[5, 10]),
    wrong("match nothing", "/match/0: needs namespace or name", match=[{}]),
    wrong("then", "/deadline/then: must be hold, abort or {promote_if: ratio}", deadline={"then": "promote"}),
    wrong("then ratio", "/deadline/then/promote_if: must be", deadline={"then": {"promote_if": 0}}),
    wrong("several sources", "/source: must be text", source=[{"name": "eu"}]),
    wrong("no kind", "/questions/0: needs the key 'kind'", {"name": "a"}),
    wrong("kind", "/questions/0/kind: must be one of", {"name": "a", "kind": "latncy"}),
    wrong("question as text", "/questions/0: must be a mapping", "error-rate"),
    wrong("twice", "/questions/1/name: must be unique", proportion(), proportion()),
    wrong("key inside", "/questions/0/toleranc: unknown key", proportion(toleranc={})),
    wrong(
        "tolerance", "/questions/0/tolerance/ratio: must be a number at least 1", proportion(tolerance={"ratio": 0.5})
    ),
    wrong("no side", "/questions/0/bad: must hold $side", proportion(bad="x_total")),
    wrong("no selector", "/questions/0/bad: must be a list of 1", proportion(bad=[])),
    wrong("query and counters", "/questions/0/query: must not stand beside", proportion(query=SIDED)),
    wrong("half a pair", "'bad' needs 'total'", {"name": "a", "kind": "proportion", "bad": SIDED}),
    wrong("direction", "got 'incrase', did you mean 'increase'?", proportion(direction="incrase")),
    wrong("no as flag", "/questions/0/muted: must be true or false, got 'no'", proportion(muted="no")),
    wrong("one as flag", "/questions/0/required: must be true or false", proportion(required=1)),
    wrong("label", "/questions/0/label/0: must be a label name", proportion(label=["co de"])),
    wrong("no limits", "exactly one of 'any_of' and 'all_of'", {"name": "l", "kind": "limits"}),
    wrong("unknown question", "names no question", limited(max=1)),
    wrong("no bound", "/questions/1/any_of/0: needs exactly one of 'max'", proportion(), limited()),
    wrong("two bounds", "/questions/1/any_of/0: needs exactly one", proportion(), limited(max=1, max_increase=1)),
    wrong("percentile", "/any_of/0/percentile: must be like p50", proportion(), limited(max=1, percentile="95")),
    wrong("edges", "/questions/0/slo_edges: must rise", {"name": "l", "kind": "latency", "slo_edges": [2, 1]}),
    wrong("latency unit", "/questions/0/unit: must be one of s, ms", {"name": "l", "kind": "latency", "unit": "us"}),
    wrong("target", "/questions/0/target: must be a number above 0", {"name": "o", "kind": "objective", "target": 1}),
]


@pytest.mark.parametrize(("content", "words"), WRONG)
def test_what_is_wrong_is_named(content, words):
    """A refusal names file, place, rule and value."""
    found = refusals(content)
    assert all(line.startswith("x.yaml: ") for line in found)
    assert any(words in line for line in found), found


@pytest.mark.parametrize(
    ("content", "words"), [case for case in WRONG if case.id not in {"nan", "infinity", "line end", "surrogate"}]
)
def test_the_schema_refuses_what_the_reader_refuses(content, words):
    """Whoever checks a file with the JSON Schema hears no other answer, but for rules that tie two places."""
    assert VALIDATOR.is_valid(content) == bool(TIED.search(words))


def test_all_problems_are_named_at_once():
    """Nobody mends a file one error at a time."""
    found = refusals(asking(proportion(muted="no", weight="high"), {"name": "B", "kind": "gauge"}, mode=1, steps=[2]))
    places = [line.split(": ")[1] for line in found]
    assert sorted(places) == [
        "/mode", "/questions/0/muted", "/questions/0/weight", "/questions/1/name", "/steps/0",
    ]  # fmt: skip


def test_groups_nested_without_end_are_a_problem_and_no_crash():
    """Limits nested thousands deep are refused in words."""
    member = {"question": "error-rate", "max": 1}
    for _ in range(5_000):
        member = {"any_of": [member]}
    assert refusals(asking(proportion(), {"name": "l", "kind": "limits"} | member)) == [
        "x.yaml: must not nest this deeply"
    ]


# ------------------------------------------------------------------------------------------ presets


def test_a_question_of_the_preset_can_be_changed_in_one_word():
    """A question of the same name and kind keeps of the preset what it does not say."""
    policy = read(
        asking({"name": "error-rate", "kind": "proportion", "tolerance": {"ratio": 3}}, preset="http_requests_total")
    )
    question, *_ = policy.questions
    assert question.tolerance == kinds.Tolerance(ratio=3, absolute=0.001)
    assert question.bad == ('http_requests_total{$side, LABEL=~"5.."}',)


def test_a_question_of_another_kind_replaces_that_of_the_preset():
    """Another kind shares nothing but the name."""
    policy = read(asking({"name": "error-rate", "kind": "gauge", "query": SIDED}, preset="http_requests_total"))
    assert [question.kind for question in policy.questions][:2] == ["gauge", "latency"]


UNREAD = {
    "goals": {
        "questions": [
            proportion(),
            {"name": "slo", "kind": "objective", "bad": SIDED, "total": SIDED},
            {"name": "goal", "kind": "objective", "bad": SIDED, "total": SIDED},
        ]
    }
}


def test_what_nobody_judges_is_left_out_of_a_preset_unless_a_limit_names_it():
    """A preset gives way: a kind that is not judged is muted for its limits, or left out, and notes say so."""
    limits = {"name": "classic", "kind": "limits", "any_of": [{"question": "slo", "max": 0.5}]}
    policy = wire.read(asking(limits, preset="goals"), UNREAD)
    assert [(q.name, q.muted) for q in policy.questions] == [("classic", False), ("error-rate", False), ("slo", True)]
    assert policy.unjudged == ()
    assert policy.notes == (
        "slo is read for its limits only: kind objective is not judged yet",
        "goal is left out: kind objective is not judged yet",
    )


def test_what_is_asked_by_name_stays_even_if_nobody_judges_it():
    """Only a preset gives way; a person's own question is refused by the check, not dropped."""
    policy = wire.read(asking({"name": "slo", "kind": "objective"}, preset="goals"), UNREAD)
    assert policy.unjudged == ("slo",)


@pytest.mark.parametrize("kind", ["proportion", "rate", "ratio", "latency", "limits", "objective"])
def test_evidence_from_counts_asks_one_way(kind):
    """Harm on both sides at once is a question for series without counts only, and the refusal says why."""
    limit = {"any_of": [{"question": "x", "max": 1}]} if kind == "limits" else {}
    content = asking({"name": "x", "kind": kind, "direction": "both"} | limit)
    (said,) = refusals(content)
    assert said.startswith("x.yaml: /questions/0/direction: must be increase or decrease: evidence from counts asks")
    assert not VALIDATOR.is_valid(content)


@pytest.mark.parametrize("kind", ["gauge", "quantile"])
def test_levels_may_change_both_ways(kind):
    """A level of which nobody knows where harm lies may be asked for any change."""
    content = asking({"name": "x", "kind": kind, "query": SIDED, "direction": "both"})
    assert read(content).questions[0].direction is Direction.BOTH
    assert VALIDATOR.is_valid(content)
    assert read(wire.dump(read(content))).questions[0].direction is Direction.BOTH


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_is_a_policy_without_a_name(name):
    """A preset asks only what the schema knows, and has no problems."""
    assert VALIDATOR.is_valid(shortest(**presets()[name]))
    assert refusals(shortest(preset=name)) == []


# ------------------------------------------------------------------------------------------ digests, round trips


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(asking(proportion()), dict(reversed(asking(proportion()).items())), id="order of keys"),
        pytest.param(asking(proportion(), min_step="120s"), asking(proportion(), min_step="2m"), id="unit"),
        pytest.param(asking(proportion(), harm_budget=20), asking(proportion()), id="default said"),
        pytest.param(asking(proportion(bad=[SIDED])), asking(proportion()), id="list of one"),
    ],
)
def test_the_same_question_has_the_same_digest(one, other):
    """The digest is that of what is asked, not of how it is written."""
    assert read(one).digest == read(other).digest
    assert re.fullmatch("[0-9a-f]{64}", read(one).digest)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(asking(proportion(), harm_budget=21), id="number"),
        pytest.param(asking(proportion(muted=True)), id="inside a question"),
        pytest.param(asking(proportion(), preset="http_requests_total"), id="preset"),
        pytest.param(asking(proportion(), name="y"), id="name"),
    ],
)
def test_another_question_has_another_digest(other):
    """Whatever changes what is asked changes the digest."""
    assert read(other).digest != read(asking(proportion())).digest


@pytest.mark.parametrize(
    "content", [EVERYTHING, asking(proportion()), shortest(preset="http_requests_total")], ids=["all", "one", "preset"]
)
def test_a_stored_policy_comes_back_as_it_was(content):
    """A pinned policy is the same policy, notes and digest included, and is not filled in again."""
    policy = read(content)
    assert wire.restore(wire.store(policy)) == policy


def test_a_stored_policy_that_is_damaged_is_refused():
    """What was not written by us is no policy."""
    stored = wire.store(read(asking(proportion())))
    with pytest.raises(PolicyProblems, match="/notes"):
        wire.restore(stored | {"notes": [1]})
    with pytest.raises(PolicyProblems, match="unknown key"):
        wire.restore(stored | {"surprise": 1})


def test_the_schema_is_a_schema():
    """The shipped JSON Schema is legal itself, and names the presets."""
    schema = wire.json_schema(tuple(presets()))
    jsonschema.Draft202012Validator.check_schema(schema)
    one, several = schema["properties"]["preset"]["anyOf"]
    assert "http_requests_total" in one["enum"]
    assert several["items"]["enum"] == one["enum"]
