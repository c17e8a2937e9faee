"""The traffic split through the judge: a router that does not do as it is told holds a release, and never aborts it."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from analysis.policy import Deadline, Limit
from analysis.routing import check, weights_of
from analysis.types import Verdict, Weight
from tests.analysis.record_examples import (
    LOOK,
    START,
    errors,
    judged,
    limits,
    pods,
    policy,
    proportion,
    question,
    record,
)

LOOKS = 120


def routed(share, weight, *, looks=LOOKS, requests=6000, clump=1, canary_pods=1, stable_pods=4, **more):
    """Return a record whose canary really gets ``share`` of the requests, and whose named weight is ``weight``."""
    rng = np.random.default_rng([20261128, clump])
    connections = rng.poisson(requests / clump, looks)
    canary = rng.binomial(connections, np.broadcast_to(share, looks)) * clump
    stable = connections * clump - canary
    found = question(
        pods(stable_pods, stable / stable_pods / 100, stable / stable_pods, looks, "s"),
        pods(canary_pods, canary / canary_pods / 100, canary / canary_pods, looks, "c"),
    )
    return record({"error-rate": found}, weights=np.broadcast_to(np.asarray(weight, dtype=float), looks), **more)


def ramp(*shares):
    """Return one share per look, in equal parts."""
    return np.asarray(shares)[np.arange(LOOKS) * len(shares) // LOOKS]


@pytest.mark.parametrize(
    ("share", "weight", "clump"),
    [
        pytest.param(0.1, 0.1, 1, id="as configured"),
        pytest.param(0.105, 0.1, 1, id="odds that are 6 % off"),
        pytest.param(ramp(0.05, 0.1, 0.25, 0.5), ramp(0.05, 0.1, 0.25, 0.5), 1, id="a ramp"),
        pytest.param(ramp(0.05, 0.1, 0.25, 0.5), ramp(0.05, 0.1, 0.25, 0.5), 20, id="a ramp of connections kept alive"),
        pytest.param(0.1, 0.1, 200, id="two hundred requests a connection"),
    ],
)
def test_a_split_as_configured_holds_nothing(share, weight, clump):
    """Ramps and connections that are kept alive raise no alarm; the report says that the split was checked."""
    report = judged(policy(), routed(share, weight, clump=clump))
    assert report.split is not None
    assert report.split["flag"] == "ok"
    assert "is configured" in report.split["reason"]
    assert "split_mismatch" not in report.flags
    assert report.verdict is Verdict.PROMOTE


@pytest.mark.parametrize("share", [pytest.param(0.15, id="too much"), pytest.param(0.07, id="too little")])
def test_a_router_that_ignores_its_weight_holds(share):
    """The reason says what the canary got and what is configured."""
    report = judged(policy(), routed(share, 0.1))
    assert report.verdict is Verdict.HOLD
    assert re.match(r"canary got [\d.]+ % of the requests, 10 % is configured \(odds ", report.reason)
    assert report.split["observed"] == pytest.approx(share, rel=0.02)
    assert report.flags == ("split_mismatch",)
    assert report.split["since"] >= START + 20 * LOOK


def test_a_router_that_fails_at_the_second_weight_holds():
    """The weight of each look is what counts: right at 5 %, wrong at 10 %."""
    report = judged(policy(), routed(ramp(0.05, 0.05), ramp(0.05, 0.1)))
    assert report.verdict is Verdict.HOLD
    assert "split_mismatch" in report.flags


def test_no_deadline_aborts_for_a_split():
    """A split that is not the configured one holds, whatever a deadline says; other releases it does abort."""
    asked = policy(deadline=Deadline(after=600.0, then="abort"))
    assert judged(asked, routed(0.15, 0.1)).verdict is Verdict.HOLD
    assert judged(asked, errors(LOOKS, np.nan, np.nan)).verdict is Verdict.HOLD
    undecided = policy(proportion(), deadline=Deadline(after=600.0, then="abort"), min_requests=10**9)
    assert judged(undecided, routed(0.1, 0.1)).verdict is Verdict.ABORT


def test_harm_still_aborts():
    """A bad canary behind a bad router is aborted for its errors."""
    bad = routed(0.15, 0.1)
    canary = bad.questions["error-rate"].canary
    canary.fields["bad"][:] = canary.fields["total"] * 0.05
    assert judged(policy(), bad).verdict is Verdict.ABORT


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(policy(split="report"), id="a policy that only wants to know"),
        pytest.param(
            policy(proportion(required=False, weight=Weight.INFO), limits(Limit(question="error-rate", max=0.5))),
            id="limits, which compare nothing",
        ),
    ],
)
def test_a_split_is_told_where_it_holds_nothing(asked):
    """The report flags it all the same."""
    report = judged(asked, routed(0.15, 0.1))
    assert report.verdict is Verdict.PROMOTE
    assert "split_mismatch" in report.flags


def test_requests_spread_by_pods_hold_nothing():
    """One pod of six gets a sixth where 10 % were named: replica-based, or no router; every pod is compared fairly."""
    report = judged(policy(), routed(1 / 6, 0.1, stable_pods=5))
    assert report.verdict is Verdict.PROMOTE
    assert report.flags == ("spread_by_pods",)
    assert report.split["reason"].endswith("requests follow the numbers of pods, not the weight")


def test_hidden_pods_cannot_excuse_a_split():
    """Where pods are not visible nobody knows how requests would spread over them."""
    found = routed(1 / 6, 0.1, stable_pods=1)
    object.__setattr__(found.questions["error-rate"], "visible", False)
    assert check(policy(), found).flag == "split_mismatch"


@pytest.mark.parametrize(
    "weight",
    [
        pytest.param(math.nan, id="nobody named one: header-routed, or by numbers of pods"),
        pytest.param(0.0, id="a mirror: weight 0"),
        pytest.param(1.0, id="all of it"),
    ],
)
def test_without_a_promise_there_is_no_mismatch(weight):
    """What is not the weight of a router is not held against one."""
    report = judged(policy(), routed(0.3, weight))
    assert "split_mismatch" not in report.flags
    assert "weight_unknown" not in report.flags
    assert (report.split is None) == math.isnan(weight)


def test_a_weight_that_is_named_no_longer_is_said():
    """Named for the first half only: what was checked was right, the rest is unknown."""
    report = judged(policy(), routed(0.1, np.r_[np.full(60, 0.1), np.full(60, np.nan)]))
    assert report.flags == ("weight_unknown",)
    assert report.split["reason"].endswith("no weight is named any more")
    assert report.verdict is Verdict.PROMOTE


def step(look, weight=None, **more):
    """Return a weight step that was told in the middle of a look."""
    return {"kind": "step", "time": START + LOOK * (look + 0.5), "after": None, "weight": weight, **more}


def test_steps_of_a_router_without_weights_are_said():
    """Somebody moves a weight and nobody says which: expected, and unknown."""
    report = judged(policy(), routed(0.1, math.nan, events=(step(3, routed=True),)))
    assert report.flags == ("weight_unknown",)
    assert judged(policy(), routed(0.1, math.nan, events=(step(3),))).split is None


def test_told_steps_give_the_weight_of_the_looks_after_them():
    """The look in which a step falls has none; a step without a weight ends what was known."""
    events = (step(1, 0.05, routed=True), step(4, 0.2, routed=True), step(6, None, routed=True), step(7, 0.9))
    found = weights_of(routed(0.1, math.nan, looks=9, events=events))
    assert found == pytest.approx([np.nan, np.nan, 0.05, 0.05, np.nan, 0.2, np.nan, np.nan, np.nan], nan_ok=True)


def test_a_told_weight_is_held_against_the_requests():
    """Flagger's events name the weight: a mismatch holds as if the caller had named it."""
    report = judged(policy(), routed(0.3, math.nan, events=(step(0, 0.1, routed=True),)))
    assert report.verdict is Verdict.HOLD
    assert "10 % is configured" in report.reason
