"""Inline data that no measurement can be: every wrong number is named by its place."""

from __future__ import annotations

import math

import pytest

from tests.webhook.data_documents import both, counted
from webhook.errors import BadRequest
from webhook.policies import Policies
from webhook.schema.data import inline_policy, inline_record

PLACE = "/data/questions/error-rate"


def refusal(data, policy=None):
    """Return the words in which data is refused."""
    with pytest.raises(BadRequest) as caught:
        inline_record(data, policy or inline_policy(data))
    return str(caught.value)


def default_policy():
    """Return the policy that asks for the error rate."""
    return Policies(None, clock=lambda: 0.0).default()


def alike(**more):
    """Return legal data and something more in its question."""
    return both(counted(1, 9), counted(1, 9), **more)


def canary(side):
    """Return data with this canary beside a baseline of one look."""
    return both(counted(1, 9), side)


def bucketed(counts, edges=(1,)):
    """Return data with a canary's histogram."""
    return {"questions": {"l": {"edges": list(edges), "canary": {"counts": counts}}}}


def sampled(samples, **more):
    """Return data with a canary's raw latencies."""
    return {"questions": {"l": {"canary": {"samples": samples}} | more}}


BROKEN = [
    pytest.param(
        both(counted([], []), counted([], [])),
        f"{PLACE}/baseline: must have at least one look, got empty arrays",
        id="no look at all",
    ),
    pytest.param(
        {"questions": {"error-rate": {"canary": counted([], [])}}},
        f"{PLACE}/canary: must have at least one look, got empty arrays",
        id="no look and one side",
    ),
    pytest.param(
        canary(counted([1, 10], [9, 9])),
        f"{PLACE}/canary/bad/1: must not exceed total (9), got 10",
        id="bad over total",
    ),
    pytest.param(canary(counted(2, 1)), f"{PLACE}/canary/bad: must not exceed total (1), got 2", id="scalar"),
    pytest.param(
        canary({"c": counted([-1], [9])}), f"{PLACE}/canary/c/bad/0: must be finite, not negative", id="negative"
    ),
    pytest.param(canary(counted([1], [math.nan])), f"{PLACE}/canary/total/0: must be finite", id="nan"),
    pytest.param(canary(counted([1], [math.inf])), f"{PLACE}/canary/total/0: must be finite", id="infinity"),
    pytest.param(canary(counted([1], [10**400])), f"{PLACE}/canary/total/0: must be finite", id="huge"),
    pytest.param(canary(counted(["1"], [9])), f"{PLACE}/canary/bad/0: must be a number or null, got '1'", id="text"),
    pytest.param(canary(counted([True], [9])), f"{PLACE}/canary/bad/0: must be a number or null", id="flag"),
    pytest.param(canary(counted([[1]], [9])), f"{PLACE}/canary/bad/0: must be a number or null", id="nested"),
    pytest.param(
        canary(counted([1, 1], [9])),
        f"{PLACE}/canary/total: arrays of one question must have one length",
        id="unequal fields",
    ),
    pytest.param(
        both(counted([1], [9]), counted([1, 1], [9, 9])),
        f"{PLACE}: arrays of one question must have one length",
        id="unequal sides",
    ),
    pytest.param(
        both({"a": counted([1], [9]), "b": counted([], [])}, {}),
        f"{PLACE}/baseline/b: arrays of one",
        id="unequal replicas",
    ),
    pytest.param(canary({"bad": 1}), f"{PLACE}/canary: needs 'total' beside 'bad'", id="half a pair"),
    pytest.param(
        canary(counted(1, 9) | {"totl": 1}),
        f"{PLACE}/canary/totl: a proportion question has no field 'totl', did you mean 'total'?",
        id="field",
    ),
    pytest.param(
        canary({"c": {"bad": 1}, "total": 9}), f"{PLACE}/canary: must hold either replicas or fields", id="mixed"
    ),
    pytest.param(canary({"": counted(1, 9)}), f"{PLACE}/canary/: must have 1 to 253 characters", id="nameless"),
    pytest.param(canary({"a\n": counted(1, 9)}), "must not hold control characters", id="name of two lines"),
    pytest.param(canary({"c": {}}), f"{PLACE}/canary/c: must have fields: bad, total", id="no fields"),
    pytest.param(canary(7), f"{PLACE}/canary: must be an object", id="number as side"),
    pytest.param(alike(canry={}), f"{PLACE}/canry: unknown key 'canry', did you mean 'canary'?", id="key"),
    pytest.param(alike(history={"canary": {}}), f"{PLACE}/history/canary: unknown key", id="history of the canary"),
    pytest.param(
        alike(history={"start": 990, "baseline": counted(1, 9)}) | {"start": 1000},
        f"{PLACE}/history/start: must let its 1 looks end before the data starts (1000), got 990",
        id="history overlaps",
    ),
    pytest.param(alike(budget={"remaining": "much"}), f"{PLACE}/budget/remaining: must be a number", id="budget"),
    pytest.param(alike(edges=[1, 1]), f"{PLACE}/edges/1: must rise, got 1", id="edges"),
    pytest.param(alike(direction="up"), f"{PLACE}/direction: must be one of increase, decrease", id="direction"),
    pytest.param(
        alike(direction="both"),
        f"{PLACE}/direction: must be increase or decrease: evidence from counts asks on which side harm lies",
        id="counts both ways",
    ),
    pytest.param(
        alike(unit="ms"), f"{PLACE}/unit: must be fraction for this proportion, or left out, got 'ms'", id="unit"
    ),
    pytest.param(alike(unit="hours"), f"{PLACE}/unit: must be one of s, ms, fraction", id="no unit"),
    pytest.param(alike(context="yes"), f"{PLACE}/context: must be true or false", id="context"),
    pytest.param(
        sampled([[0.1], [None]]), "/samples/1: must hold no null: a look that is missing is null as a whole", id="hole"
    ),
    pytest.param(sampled([[0.1, -1]]), "/samples/0/1: must be finite, not negative", id="negative sample"),
    pytest.param(sampled([[0.1], 3]), "/samples/1: must be a list of durations, or null, got 3", id="mixed looks"),
    pytest.param(sampled(3), "/samples: must be a list of looks", id="samples as number"),
    pytest.param(sampled([[], []]), "/data/questions/l: must hold at least one sample", id="no sample"),
    pytest.param(sampled([[0.1]], edges=[1]), "/edges: must not stand beside samples", id="samples with edges"),
    pytest.param(
        {"questions": {"l": {"canary": {"counts": [1, 2]}}}},
        "/canary/counts: counts of buckets need 'edges'",
        id="no edges",
    ),
    pytest.param(
        {"questions": {"l": {"edges": [1, 2], "canary": {"counts": [[1, 2, 3], [1, 2]]}}}},
        "/counts/1: must have 3 counts for 2 edges (the last is +Inf), got 2",
        id="width",
    ),
    pytest.param(
        bucketed([[1, None]]),
        "/counts/0/1: must be a number; a look that is missing is null as a whole",
        id="half a look",
    ),
    pytest.param(bucketed([[1, -2]]), "/counts/0/1: must be finite, not negative", id="negative bucket"),
    pytest.param(
        {"questions": {"l": {"edges": [1], "canary": {"counts": 3}}}},
        "/counts: must be a list of looks",
        id="counts as number",
    ),
    pytest.param(
        {"questions": {f"q{n}": {"canary": counted(0, 1)} for n in range(201)}},
        "/data/questions: must have at most 200 questions, got 201",
        id="questions",
    ),
    pytest.param({"questions": {}}, "/data/questions: must be an object with at least one question", id="no question"),
    pytest.param(
        {"questions": {"error-rate": []}}, f"{PLACE}: must be an object with baseline and canary", id="question as list"
    ),
    pytest.param(
        {"questions": {"error-rate": {}}}, f"{PLACE}: must have fields that tell what it is", id="nothing to tell by"
    ),
    pytest.param(
        {"questions": {"Error": {"canary": counted(1, 9)}}},
        "/data/questions/Error: the name must be lower-case",
        id="name",
    ),
    pytest.param(alike() | {"begin": 0}, "/data/begin: unknown key", id="top key"),
    pytest.param(alike() | {"start": "today"}, "/data/start: must be a time like", id="start"),
    pytest.param(alike() | {"start": 253402300790}, "/data/start: must let 1 looks end before", id="end of time"),
    pytest.param(alike() | {"step_seconds": 0}, "/data/step_seconds: must be seconds between", id="step"),
    pytest.param(alike() | {"pairing": "parallel"}, "/data/pairing: must be one of concurrent", id="pairing"),
    pytest.param(alike() | {"aligned": "yes"}, "/data/aligned: must be true or false", id="aligned"),
    pytest.param(
        both(counted([0] * 20_001, [1] * 20_001), {}),
        "/data/questions: must have at most 20,000 looks, got 20,001",
        id="looks",
    ),
    pytest.param(
        both({str(n): counted(0, 1) for n in range(501)}, {}),
        "/data/questions: must have at most 1,000 series, got 1,002",
        id="series",
    ),
    pytest.param(
        {
            "questions": {
                "a": {"canary": {str(n): {"values": 1} for n in range(999)}},
                "b": {"canary": {"values": [1] * 20_000}},
            }
        },
        "must unfold to at most 5,000,000 numbers",
        id="unfolded",
    ),
    pytest.param(
        {"questions": {"l": {"edges": list(range(1, 1500)), "canary": {"counts": [[0] * 1500]}}}},
        "must have at most 1000 buckets, got 1500",
        id="buckets",
    ),
]


@pytest.mark.parametrize(("data", "words"), BROKEN)
def test_what_no_measurement_can_be_is_named(data, words):
    """Place as JSON pointer, rule and value: the caller can put a finger on it."""
    assert words in refusal(data)


def test_a_question_that_the_policy_does_not_have_is_named():
    """Data for nobody is a mistake, with the nearest name."""
    words = refusal({"questions": {"eror-rate": {"canary": counted(1, 9)}}}, default_policy())
    assert words == (
        "/data/questions/eror-rate: the policy 'default' has no question 'eror-rate', did you mean 'error-rate'?"
    )


def test_context_has_no_vote_in_the_policy_either():
    """A question that the policy counts cannot be load without a vote."""
    words = refusal(alike(context=True), default_policy())
    assert words == f"{PLACE}/context: must be a question that the policy mutes: context has no vote, got True"


def test_limits_have_no_data_of_their_own():
    """What limits read belongs to the questions that they name."""
    limits = {"kind": "limits", "name": "l", "any_of": [{"question": "error-rate", "max": 1}]}
    policy = Policies(None, clock=lambda: 0.0).inline({"preset": "http_requests_total", "questions": [limits]})
    assert "limits have no data of their own" in refusal({"questions": {"l": {"canary": counted(1, 9)}}}, policy)
