"""Silence, deadlines and limits: what a verdict does where nothing is proved."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.judge import judge
from analysis.limits import KEPT
from analysis.policy import Deadline, Latency, Limit
from analysis.types import May, NoData, Stage, State, Verdict
from tests.analysis.record_examples import (
    SECOND,
    SILENT,
    START,
    counted,
    errors,
    judged,
    limits,
    policy,
    proportion,
    record,
    side,
    two,
    values,
)

GOOD, FEW, WORSE = errors(180), errors(30, 0.0, 3.0), errors(120, 1.6)
BROKEN = Limit(question="error-rate", max=0.05)
KEEPS = Limit(question="error-rate", max=0.5)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [(NoData.HOLD, Verdict.HOLD), (NoData.IGNORE, Verdict.PROMOTE), (NoData.ABORT, Verdict.ABORT)],
)
def test_silence_does_what_its_policy_says(said, verdict):
    """A required question without data holds, is passed over, or aborts once it was silent for long enough."""
    asked = policy(proportion(), dataclasses.replace(SECOND, no_data=said))
    report = judged(asked, two(counted(180), SILENT), stage=Stage.STEP)
    assert report.verdict is verdict
    assert report.evidence[1].state is State.NO_DATA
    if said is NoData.IGNORE:
        assert report.reason.startswith("error rate ")  # what was proved, not what is silent
    if said is NoData.ABORT:
        assert "aborts on silence" in report.reason


def test_silence_aborts_only_after_the_freeze_limit():
    """A canary that has just begun is given time to speak."""
    asked = policy(proportion(), dataclasses.replace(SECOND, no_data=NoData.ABORT))
    found = two(counted(59), counted(59, np.nan, np.nan))
    assert judged(asked, found, stage=Stage.STEP).verdict is Verdict.HOLD


def test_silence_of_everything_is_never_passed_over_into_a_promotion():
    """Where every question is silent and ignored there is nothing that was proved."""
    asked = policy(proportion(no_data=NoData.IGNORE))
    assert judged(asked, errors(180, np.nan, np.nan), stage=Stage.STEP).verdict is Verdict.HOLD


def test_an_empty_record_holds():
    """Before the first look is closed there is nothing to weigh."""
    report = judge(policy(), GOOD.until(START), START)
    assert (report.verdict, report.window.looks) == (Verdict.HOLD, 0)
    assert "no look is closed yet" in report.reason


def test_a_question_that_the_record_does_not_hold_is_silent():
    """A policy with more questions than the record has numbers for holds on the missing one."""
    report = judged(policy(proportion(), SECOND), GOOD, stage=Stage.STEP)
    assert report.verdict is Verdict.HOLD
    assert report.reason.startswith("timeouts")


def test_old_proof_does_not_speak_for_a_silent_canary():
    """A canary that stopped serving for five minutes is stale: hold, whatever it had proved."""
    quiet = np.r_[np.full(180, 1.0), np.zeros(31)]
    report = judged(policy(), errors(211, quiet, quiet * 100))
    assert report.verdict is Verdict.HOLD
    assert report.evidence[0].state is State.STALE
    assert report.reason == "error rate: no canary request for 5 min"
    shorter = np.r_[np.full(180, 1.0), np.zeros(29)]
    assert judged(policy(), errors(209, shorter, shorter * 100)).verdict is Verdict.PROMOTE


@pytest.mark.parametrize("code", ["overlap", "two_workloads", "unseparated"])
def test_sides_that_cannot_be_told_apart_hold_with_their_reason(code):
    """While the newest look is incomparable nothing is promoted, and the reason is that of the look."""
    text = "pod p-1 stands on both sides"
    report = judged(policy(), errors(180, left_out={179: (code, text)}))
    assert report.verdict is Verdict.HOLD
    assert report.evidence[0].state is State.INCOMPARABLE
    assert report.reason == text
    assert report.left_out[0]["code"] == code


def test_a_baseline_that_went_away_holds_what_is_not_proved():
    """With all traffic on the canary there is nothing left to compare with: what is open stays open."""
    total = np.r_[np.full(60, 250.0), np.zeros(60)]
    report = judged(policy(), errors(120, 1.2, stable=(total / 100, total)), stage=Stage.FINAL)
    assert report.verdict is Verdict.HOLD
    assert "nothing is left to compare the canary with" in report.reason


# deadline


@pytest.mark.parametrize(
    ("deadline", "verdict", "said"),
    [
        pytest.param(Deadline(after=600.0), Verdict.HOLD, "not yet proved", id="hold"),
        pytest.param(Deadline(after=600.0, then="abort"), Verdict.ABORT, "undecided for 10 min", id="abort"),
        pytest.param(Deadline(after=601.0, then="abort"), Verdict.HOLD, "not yet proved", id="not over yet"),
        pytest.param(Deadline(after=600.0, then="promote_if", limit=2.0), Verdict.PROMOTE, "below 2.0x", id="bounded"),
        pytest.param(
            Deadline(after=600.0, then="promote_if", limit=1.5), Verdict.HOLD, "not yet proved", id="not bounded"
        ),
    ],
)
def test_the_deadline_decides_what_is_still_open(deadline, verdict, said):
    """After the deadline an undecided release holds, aborts, or goes on if its upper bound is low enough."""
    report = judged(policy(deadline=deadline), errors(60, 1.2), stage=Stage.FINAL)
    assert report.verdict is verdict
    assert said in report.reason


@pytest.mark.parametrize("then", [{"then": "abort"}, {"then": "promote_if", "limit": 9.0}], ids=["abort", "promote_if"])
def test_the_deadline_does_not_speak_for_the_silent(then):
    """A required question without data holds also after the deadline: silence is no evidence."""
    asked = policy(proportion(), SECOND, deadline=Deadline(after=60.0, **then))
    assert judged(asked, two(counted(180), SILENT), stage=Stage.FINAL).verdict is Verdict.HOLD


def test_the_deadline_does_not_promote_what_is_frozen():
    """A freeze holds also after the deadline."""
    report = judged(policy(deadline=Deadline(after=60.0, then="promote_if", limit=9.0)), WORSE)
    assert report.verdict is Verdict.HOLD


# limits


def test_limits_alone_promote_while_they_are_kept():
    """If limits are all there is, keeping them is enough."""
    asked = policy(proportion(muted=True), limits(KEEPS))
    report = judged(asked, errors(10))
    assert (report.verdict, report.reason, report.score) == (Verdict.PROMOTE, KEPT, 100.0)


def test_a_broken_limit_aborts():
    """Over a limit is an abort that names value and limit, beside other questions too."""
    for asked in (policy(proportion(muted=True), limits(BROKEN)), policy(proportion(), limits(BROKEN))):
        report = judged(asked, errors(3, 10.0))
        assert report.verdict is Verdict.ABORT
        assert report.reason == "error rate too high: 10.0 %, limit 5.0 %"


def test_a_kept_limit_beside_other_questions_only_does_not_veto():
    """Beside a question that proves nothing a kept limit does not promote."""
    report = judged(policy(proportion(), limits(KEEPS)), FEW, stage=Stage.FINAL)
    assert report.verdict is Verdict.HOLD
    assert judged(policy(proportion(), limits(KEEPS)), GOOD).verdict is Verdict.PROMOTE


def test_a_limit_that_may_only_hold_holds():
    """``may: hold`` keeps a broken limit from aborting, not from standing in the way."""
    report = judged(policy(proportion(), limits(BROKEN, may=May.HOLD)), errors(180, 6.0), stage=Stage.STEP)
    assert report.verdict is not Verdict.PROMOTE
    found = two(counted(180), counted(180, 6.0))
    asked = policy(
        proportion(), proportion("timeouts", muted=True), limits(Limit(question="timeouts", max=0.05), may=May.HOLD)
    )
    report = judged(asked, found)
    assert (report.verdict, report.reason) == (Verdict.HOLD, "timeouts too high: 6.0 %, limit 5.0 %")


def test_a_limit_without_enough_requests_holds():
    """Fewer than ``min_requests`` is a hold, also where limits are all there is."""
    asked = policy(proportion(muted=True), limits(KEEPS, min_requests=1000))
    report = judged(asked, errors(9))
    assert report.verdict is Verdict.HOLD
    assert "900" in report.reason


def test_a_limit_broken_not_often_enough_holds():
    """One look over a limit that wants three in a row neither aborts nor promotes."""
    asked = policy(proportion(muted=True), limits(BROKEN, consecutive=3))
    found = errors(10, np.r_[np.full(9, 1.0), [10.0]])
    report = judged(asked, found)
    assert report.verdict is Verdict.HOLD
    assert "1 of 3 looks in a row" in report.reason


def test_a_muted_limit_does_nothing():
    """A muted limit is shown and never counted."""
    report = judged(policy(proportion(), limits(BROKEN, muted=True)), errors(180, 6.0, 600.0))
    assert report.verdict is Verdict.PROMOTE


def test_limits_read_latency_beside_the_error_rate():
    """Limits alone over several metrics: the one that is broken is named."""
    pods = ("c-1",)
    latency = {"p95": [0.3, 0.3, 0.8]}
    found = record(
        {
            "error-rate": counted(3),
            "latency": dataclasses.replace(
                counted(3),
                baseline=side(values(("s-1",), p95=[0.2, 0.2, 0.4])),
                canary=side(values(pods, **latency)),
            ),
        }
    )
    asked = policy(
        proportion(muted=True),
        Latency(name="latency", muted=True),
        limits(Limit(question="error-rate", max=0.05), Limit(question="latency", percentile="p95", max_increase=0.5)),
    )
    report = judged(asked, found)
    assert report.verdict is Verdict.ABORT
    assert report.reason == "latency increased: p95 0.8 vs 0.4, +100 %, limit +50.0 %"
