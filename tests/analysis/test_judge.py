"""The rules of a verdict, one release for each line of them, in the order in which they win."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.judge import admitted, cannot_judge, judge, overridden
from analysis.policy import Objective
from analysis.types import May, Stage, State, Verdict, Weight
from tests.analysis.record_examples import LOOK, SECOND, SILENT, START, counted, errors, judged, policy, proportion, two

GOOD, FEW, BAD = errors(180), errors(30, 0.0, 3.0), errors(60, 30.0)
WORSE = errors(120, 1.6)
"""Worse than stable at freezing odds, its size still open."""


# abort


@pytest.mark.parametrize("stage", [None, *Stage])
def test_proved_harm_aborts_at_every_stage(stage):
    """Worse at 1,000 : 1 and beyond the tolerance at 3 : 1 is an abort wherever it is asked for."""
    report = judged(policy(), BAD, stage=stage)
    assert report.verdict is Verdict.ABORT
    assert report.evidence[0].state is State.WORSE
    assert report.score == 0
    assert "worse than stable" in report.reason
    assert "30.0 % vs 1.0 %" in report.reason


def test_an_abort_that_was_proved_stays():
    """A canary that recovers after the proof is aborted all the same, for the same reason."""
    found = errors(360, np.r_[np.full(60, 30.0), np.full(300, 0.5)])
    report = judged(policy(), found)
    assert report.verdict is Verdict.ABORT


def test_worse_and_unresolved_for_ten_minutes_aborts():
    """A freeze that stays open as long as the freeze limit is an abort that says how long it was open."""
    found = errors(240, 1.6)
    assert judged(policy(), found).verdict is Verdict.ABORT
    assert "unresolved for 10 min" in judged(policy(), found).reason
    assert judged(policy(freeze_limit=2400.0), found).verdict is Verdict.HOLD


@pytest.mark.parametrize(
    ("may", "verdict"), [(May.ABORT, Verdict.ABORT), (May.HOLD, Verdict.HOLD), (May.REPORT, Verdict.PROMOTE)]
)
def test_a_question_does_no_more_than_it_may(may, verdict):
    """``may`` bounds a question: the same proof aborts, holds, or is only reported."""
    asked = policy(proportion(), dataclasses.replace(SECOND, may=may))
    report = judged(asked, two(counted(180), counted(180, 30.0)), stage=Stage.STEP)
    assert report.verdict is verdict


def test_proved_harm_wins_over_a_silent_question():
    """An abort needs no answer from the others."""
    asked = policy(proportion(), SECOND)
    assert judged(asked, two(counted(180, 30.0), SILENT)).verdict is Verdict.ABORT


def test_a_question_that_is_not_required_aborts_all_the_same():
    """``required`` is about promotion only."""
    asked = policy(proportion(), dataclasses.replace(SECOND, required=False))
    assert judged(asked, two(counted(180), counted(180, 30.0))).verdict is Verdict.ABORT


def test_an_info_question_never_aborts_or_holds():
    """Weight info has no share of the abort evidence, and nothing waits for it."""
    asked = policy(proportion(), dataclasses.replace(SECOND, weight=Weight.INFO))
    assert judged(asked, two(counted(180), counted(180, 30.0))).verdict is Verdict.PROMOTE


def test_a_muted_question_never_aborts_or_holds():
    """A muted question is measured and shown, and does nothing."""
    asked = policy(proportion(), dataclasses.replace(SECOND, muted=True))
    report = judged(asked, two(counted(180), counted(180, 30.0)))
    assert report.verdict is Verdict.PROMOTE
    assert report.evidence[1].counts["canary"]["bad"] == 180 * 30


# freeze


def test_worse_at_freezing_odds_holds():
    """Worse at 100 : 1 with its size still open freezes, although the step is proved affordable."""
    report = judged(policy(), WORSE)
    assert report.verdict is Verdict.HOLD
    assert report.evidence[0].state is State.DEGRADED
    assert report.evidence[0].log_e["step"] > report.evidence[0].goals["step"]
    assert "frozen" in report.reason


def test_a_freeze_clears_itself():
    """When the difference goes away the hold goes away with it."""
    found = errors(400, np.r_[np.full(60, 1.8), np.full(340, 0.8)])
    assert judged(policy(), found.until(START + 60 * LOOK)).verdict is Verdict.HOLD
    assert judged(policy(), found).verdict is Verdict.PROMOTE


def test_a_freeze_of_a_question_that_is_not_required_does_not_hold():
    """Only what is required stands in the way."""
    asked = policy(proportion(), dataclasses.replace(SECOND, required=False))
    assert judged(asked, two(counted(120), counted(120, 1.6))).verdict is Verdict.PROMOTE


# promote


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        pytest.param(Stage.STEP, "the step costs at most", id="step"),
        pytest.param(Stage.BACKGROUND, "the step costs at most", id="background"),
        pytest.param(Stage.FINAL, "no worse than tolerated", id="final"),
        pytest.param(Stage.POST, "no worse than tolerated", id="post"),
        pytest.param(Stage.PRE, "before traffic", id="pre"),
    ],
)
def test_each_stage_promotes_on_its_own_proof(stage, said):
    """A step is worth what it can cost; the last one needs harmlessness; before traffic nothing is compared."""
    report = judged(policy(), GOOD, stage=stage)
    assert (report.verdict, report.stage) == (Verdict.PROMOTE, stage)
    assert said in report.reason
    assert report.score == 100


def test_the_last_step_needs_more_than_any_other():
    """What is affordable for a step does not prove harmlessness: promote at the step, hold at the last one."""
    found = errors(60, 1.2)
    assert judged(policy(), found, stage=Stage.STEP).verdict is Verdict.PROMOTE
    report = judged(policy(), found, stage=Stage.FINAL)
    assert report.verdict is Verdict.HOLD
    assert "not yet proved within 1.5x" in report.reason
    assert 0 < report.score < 100


@pytest.mark.parametrize(
    ("named", "steps", "stage", "following"),
    [
        pytest.param(None, (), Stage.STEP, None, id="the default rule"),
        pytest.param(0.5, (), Stage.STEP, 0.5, id="named"),
        pytest.param(1.0, (), Stage.FINAL, 1.0, id="named as the last"),
        pytest.param(None, (0.05, 0.2, 1.0), Stage.STEP, 0.2, id="the next of the policy's steps"),
        pytest.param(None, (0.05, 1.0), Stage.FINAL, 1.0, id="the last of the policy's steps"),
    ],
)
def test_the_next_weight_says_which_stage_it_is(named, steps, stage, following):
    """Unnamed, the stage follows from the weight that a promotion would lead to."""
    report = judged(policy(steps=steps), GOOD, next_weight=named)
    assert (report.stage, report.next_weight) == (stage, following)
    assert report.weight == pytest.approx(100 / 1100)


# hold: what is missing


def test_too_little_holds_with_a_forecast():
    """Nothing proved is a hold that says how many requests and how long it still takes."""
    report = judged(policy(), FEW, stage=Stage.FINAL)
    assert report.verdict is Verdict.HOLD
    assert report.forecast["canary_requests"] > 0
    assert report.forecast["seconds"] > 0
    assert "more canary requests" in report.reason


def test_the_reason_is_that_of_the_question_furthest_from_its_proof():
    """Of two open questions the slower one speaks."""
    report = judged(policy(proportion(), SECOND), two(counted(100, 1.3), counted(100, 0.02, 2.0)), stage=Stage.FINAL)
    assert report.verdict is Verdict.HOLD
    assert report.reason.startswith("timeouts")


def test_a_young_step_waits():
    """Proved or not, a step lasts at least ``min_step``."""
    report = judged(policy(min_step=3600.0), GOOD)
    assert report.verdict is Verdict.HOLD
    assert report.reason == "proved, but this step has lasted 30 min of at least 60 min"
    assert judged(policy(min_step=1800.0), GOOD).verdict is Verdict.PROMOTE


def test_harmless_so_far_but_not_affordable_at_the_next_weight_holds_and_says_so():
    """At a much larger share the step must be proved anew: the reason is what is missing, not what was proved."""
    total = np.r_[np.full(170, 100.0), np.full(10, 1000.0)]
    stable = np.r_[np.full(170, 250.0), np.full(10, 25.0)]
    report = judged(policy(), errors(180, total / 100, total, stable=(stable / 100, stable)), stage=Stage.STEP)
    assert (report.verdict, report.evidence[0].state) == (Verdict.HOLD, State.NO_WORSE)
    assert "the step is not yet proved affordable" in report.reason


def test_the_age_of_a_step_begins_with_its_weight():
    """When the canary's share rises the step begins anew, and so does its least age."""
    total = np.r_[np.full(170, 100.0), np.full(10, 200.0)]
    stable = np.r_[np.full(170, 250.0), np.full(10, 225.0)]
    found = errors(180, total / 100, total, stable=(stable / 100, stable))
    report = judged(policy(min_step=120.0), found, stage=Stage.STEP)
    assert report.verdict is Verdict.HOLD
    assert "this step has lasted 100 s of at least 2 min" in report.reason


@pytest.mark.parametrize(("least", "verdict"), [(18_000, Verdict.PROMOTE), (18_001, Verdict.HOLD)])
def test_a_least_number_of_requests_is_waited_for(least, verdict):
    """``min_requests`` counts canary requests."""
    report = judged(policy(min_requests=least), GOOD)
    assert report.verdict is verdict
    if verdict is Verdict.HOLD:
        assert report.reason == "18,000 of at least 18,001 canary requests seen"


def test_nothing_required_proves_nothing():
    """A policy of info questions alone never promotes: there is nothing that it could prove."""
    report = judged(policy(proportion(weight=Weight.INFO)), GOOD)
    assert report.verdict is Verdict.HOLD
    assert report.reason == "no question of this policy is required, so nothing can be proved"


def test_a_kind_that_is_not_judged_holds_by_name():
    """A required question of another kind is never passed over in silence."""
    asked = policy(proportion(), Objective(name="slo", target=0.999))
    report = judged(asked, GOOD)
    assert report.verdict is Verdict.HOLD
    assert "objective is not judged" in report.reason


# what is not weighed


@pytest.mark.parametrize("word", ["promote", "hold", "abort"])
def test_a_human_word_is_a_verdict(word):
    """An override says what the human said, with the reason, and weighs nothing."""
    report = overridden(word, "override by on-call: we know better", Stage.STEP, START)
    assert (report.verdict.value, report.reason, report.evidence) == (word, "override by on-call: we know better", ())


def test_a_fault_is_a_hold():
    """What cannot be judged is held, never anything else, in one line of less than 200 characters."""
    report = cannot_judge("source: " + "x" * 300, Stage.FINAL, START)
    assert report.verdict is Verdict.HOLD
    assert len(report.reason) < 200


@pytest.mark.parametrize(("refusal", "verdict"), [("", Verdict.PROMOTE), ("aborted before", Verdict.HOLD)])
def test_beginning_is_admitted_unless_something_speaks_against_it(refusal, verdict):
    """Before any traffic only a reason against beginning holds."""
    report = admitted(refusal, START)
    assert (report.verdict, report.stage) == (verdict, Stage.PRE)
    assert report.reason == (refusal or "nothing speaks against beginning")


def test_a_past_verdict_can_be_recomputed():
    """At an earlier time the verdict is that of the record as it stood then."""
    found = errors(180, np.r_[np.full(60, 1.0), np.full(120, 30.0)])
    then = START + 60 * LOOK
    assert judge(policy(), found, then) == judge(policy(), found.until(then), then)
    assert judge(policy(), found, then).verdict is Verdict.PROMOTE
    assert judged(policy(), found).verdict is Verdict.ABORT


def test_what_was_left_out_is_told_once_a_question_and_cause():
    """Looks left out are counted by cause, with the last of them."""
    reasons = {n: ("gap", f"gap {n}") for n in (3, 5)} | {4: ("nan", "NaN")}
    report = judged(policy(), errors(10, left_out=reasons))
    assert [(e["code"], e["looks"], e["text"], e["last"]) for e in report.left_out] == [
        ("gap", 2, "gap 5", START + 6 * LOOK),
        ("nan", 1, "NaN", START + 5 * LOOK),
    ]
