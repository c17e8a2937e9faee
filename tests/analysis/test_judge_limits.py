"""Limits alone over the life of a release: what was kept once does not speak for a canary that has gone quiet."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.policy import Limit
from analysis.types import NoData, State, Verdict
from tests.analysis.record_examples import LOOK, START, counted, errors, judged, limits, policy, proportion, record

KEEPS = Limit(question="error-rate", max=0.5)
ALONE = policy(proportion(muted=True), limits(KEEPS))


@pytest.mark.parametrize("silence", [pytest.param(0.0, id="no requests"), pytest.param(np.nan, id="no numbers")])
def test_kept_limits_do_not_speak_for_a_silent_canary(silence):
    """A canary that has said nothing for five minutes is promoted by no limit that it kept before."""
    quiet = np.r_[np.full(10, 100.0), np.full(30, silence)]
    report = judged(ALONE, errors(40, quiet / 100, quiet))
    assert (report.verdict, report.evidence[1].state) == (Verdict.HOLD, State.STALE)
    assert report.reason == "nothing to hold against limits for 5 min"
    shorter = quiet[:39]
    assert judged(ALONE, errors(39, shorter / 100, shorter)).verdict is Verdict.PROMOTE


def test_kept_limits_do_not_speak_for_looks_that_are_left_out():
    """Five minutes of looks that cannot be used hold with the reason of the newest."""
    gap = dict.fromkeys(range(10, 40), ("no_series", "no series of requests on the baseline side"))
    report = judged(ALONE, errors(40, left_out=gap))
    assert report.verdict is Verdict.HOLD
    assert "no series of requests on the baseline side" in report.reason


@pytest.mark.parametrize("code", ["overlap", "two_workloads", "unseparated"])
def test_limits_do_not_promote_sides_that_cannot_be_told_apart(code):
    """While the newest look is incomparable limits alone hold at once, with its reason."""
    report = judged(ALONE, errors(10, left_out={9: (code, "c-0 on both sides")}))
    assert (report.verdict, report.reason) == (Verdict.HOLD, "c-0 on both sides")
    assert report.evidence[1].state is State.INCOMPARABLE


def test_limits_without_one_usable_look_say_why():
    """It is not the canary's requests that are too few where the baseline is missing."""
    text = "no series of requests on the baseline side"
    report = judged(ALONE, errors(3, left_out=dict.fromkeys(range(3), ("no_series", text))))
    assert (report.verdict, report.reason) == (Verdict.HOLD, text)


def test_what_an_earlier_step_kept_does_not_pay_for_the_running_one():
    """A canary that dies of its new share of traffic is not promoted by the looks of the share before."""
    died = np.r_[np.full(10, 100.0), np.zeros(12)]
    step = {"kind": "step", "time": START + 10 * LOOK, "after": START + 9 * LOOK}
    found = dataclasses.replace(errors(22, died / 100, died), events=(step,))
    report = judged(ALONE, found)
    assert report.verdict is Verdict.HOLD
    assert "nothing of this step was held against them yet" in report.reason
    alive = dataclasses.replace(errors(22), events=(step,))
    assert judged(ALONE, alive).verdict is Verdict.PROMOTE


@pytest.mark.parametrize("bad", [np.full(40, np.nan), np.r_[np.full(10, 1.0), np.full(30, np.nan)]])
def test_silence_that_is_ignored_is_not_praised(bad):
    """Limits that may be silent and are all there is never say that they were kept while nothing was read."""
    asked = policy(proportion(muted=True), limits(KEEPS, no_data=NoData.IGNORE))
    found = record({"error-rate": counted(40, bad, bad * 100)})
    assert judged(asked, found).verdict is Verdict.HOLD
