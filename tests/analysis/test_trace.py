"""A release look by look: its end is what the report says, its turning points are where the verdict changed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from analysis.compare.lines import Line
from analysis.compare.tracks import line_track
from analysis.judge import judge
from analysis.policy import Looks
from analysis.record import LeftOut
from analysis.trace import trace
from analysis.types import May, Stage, Verdict
from tests.analysis.kinds_examples import every_kind, release
from tests.analysis.record_examples import LOOK, START, counted, errors, judged, policy, proportion, question, record

POLICY = every_kind()


@cache
def whole(harm, stage=None):
    """Return the trace of the release of every kind."""
    return told(POLICY, release(harm=harm), stage=stage)


@cache
def moved(harm, name):
    """Return how the effect of one of its questions moved."""
    return whole(harm).questions[name].track()


def told(asked, found, **more):
    return trace(asked, found, float(found.ends[-1]), **more)


@pytest.mark.parametrize("stage", [None, Stage.STEP, Stage.FINAL], ids=str)
@pytest.mark.parametrize("harm", [False, True], ids=["healthy", "harm"])
def test_the_last_look_is_what_the_report_says(harm, stage):
    """Evidence and goals of every question, whatever its kind, are those of the report at the end of the trace."""
    found = release(harm=harm)
    report, seen = judged(POLICY, found, stage=stage), whole(harm, stage)
    assert seen.stage is report.stage
    weighed = [e for e in report.evidence if e.log_e]
    assert {e.name for e in weighed} == {"error-rate", "latency", "cpu", "summary", "timeouts"}
    for evidence in weighed:
        question = seen.questions[evidence.name]
        assert {name: float(line[-1]) for name, line in question.log_e.items()} == evidence.log_e
        assert question.goals == evidence.goals


@pytest.mark.parametrize("harm", [False, True], ids=["healthy", "harm"])
@pytest.mark.parametrize("name", ["error-rate", "latency", "cpu", "summary"])
def test_an_effect_ends_where_the_report_has_it(name, harm):
    """The last point of an effect is the report's estimate, and its bounds are no narrower than those reported."""
    found = release(harm=harm)
    shown = next(e.effect for e in judged(POLICY, found).evidence if e.name == name)
    track = moved(harm, name)
    assert shown is not None
    assert track is not None
    assert track.looks[-1] == len(found.ends) - 1
    assert track.estimate[-1] == pytest.approx(shown.estimate, rel=1e-12)
    assert track.low[-1] <= shown.low * (1 + 1e-12)
    assert track.high[-1] >= shown.high * (1 - 1e-12)
    assert track.level == shown.level


@pytest.mark.parametrize("name", ["error-rate", "latency", "cpu"])
def test_an_effect_of_a_look_needs_no_look_after_it(name):
    """What a plot shows of an early look is what it showed then, as long as noise and warm-up were known before."""
    grown, found = replace(POLICY, looks=Looks(warm_up=0.0)), release(harm=True)
    late = told(grown, found).questions[name].track()
    assert late is not None
    look = int(late.looks[len(late.looks) // 2])
    then = trace(grown, found, float(found.ends[look])).questions[name].track()
    assert then is not None
    place = list(late.looks).index(look)
    assert then.estimate[-1] == pytest.approx(late.estimate[place], rel=0.02)


def test_the_abort_is_where_the_verdict_turned():
    """Judged at the end of the look that is named, the release is aborted; at the one before it is not."""
    found = release(harm=True)
    when = whole(True).abort_at
    assert when is not None
    assert judge(POLICY, found, when).verdict is Verdict.ABORT
    assert judge(POLICY, found, when - LOOK).verdict is not Verdict.ABORT
    assert whole(False).abort_at is None


def test_a_freeze_that_stayed_open_is_an_abort_too():
    """Worse at freezing odds for ten minutes aborts without the sum: the moment is found all the same."""
    found = record({"error-rate": counted(180, 2.2)})
    asked = policy(proportion(tolerance=proportion().tolerance.__class__(ratio=2.5, absolute=0.0)))
    report, seen = judged(asked, found), told(asked, found)
    assert report.verdict is Verdict.ABORT
    assert seen.peak[-1] < seen.abort_goal
    assert seen.abort_at is not None
    assert judge(asked, found, seen.abort_at).verdict is Verdict.ABORT
    assert judge(asked, found, seen.abort_at - LOOK).verdict is not Verdict.ABORT


def test_the_peak_is_the_running_maximum_of_the_weighted_sum():
    """Shares of 2, 1, 1, 1 and the info question's nothing; one that is muted is not in it."""
    seen = whole(True)
    lethal = {name: one.share for name, one in seen.questions.items() if one.may_abort}
    assert "timeouts" not in lethal
    total = sum(share * np.exp(seen.questions[name].log_e["abort"]) for name, share in lethal.items())
    np.testing.assert_allclose(seen.merged, np.log(total), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(seen.peak, np.maximum.accumulate(seen.merged))


def test_a_question_without_data_keeps_its_share():
    """A silent second question halves what the first can add, as in the verdict."""
    found = record({"error-rate": counted(60, 4.0), "timeouts": counted(60, np.nan, np.nan)})
    both = told(policy(proportion(), proportion("timeouts")), found)
    alone = told(policy(), found)
    assert both.questions["error-rate"].share == 0.5
    expected = np.log(0.5 * np.exp(alone.merged) + 0.5)
    np.testing.assert_allclose(both.merged, expected, rtol=1e-9, atol=1e-12)


def test_nothing_that_may_abort_has_no_sum():
    """Where no question may abort there is nothing to add up."""
    seen = told(policy(proportion(may=May.HOLD)), errors(40, 4.0))
    assert not np.isfinite(seen.merged).any()
    assert not seen.questions["error-rate"].may_abort
    assert seen.questions["error-rate"].share == 1.0


def test_spans_that_were_left_out_are_told_once():
    """Touching looks are one span."""
    reasons = dict.fromkeys((3, 4, 9), ("gap", "no scrape"))
    seen = told(policy(), record({"error-rate": counted(40, left_out=reasons)}))
    begin = START + LOOK * np.array([3, 9])
    end = START + LOOK * np.array([5, 10])
    assert seen.questions["error-rate"].left_out == tuple(zip(begin.tolist(), end.tolist(), strict=True))


def test_a_weight_step_is_told():
    """Where the canary's share of requests jumps, a step began."""
    traffic = np.where(np.arange(60) < 30, 25.0, 250.0)
    seen = told(policy(), record({"error-rate": counted(60, traffic / 100, traffic)}))
    assert seen.questions["error-rate"].steps == (START + 30 * LOOK,)


def test_before_the_first_look_there_is_nothing():
    """No look, no questions, no lines."""
    found = errors(40)
    seen = trace(policy(), found, START)
    assert (seen.questions, len(seen.ends), len(seen.peak), seen.abort_at) == ({}, 0, 0, None)


def test_a_question_of_silent_sides_has_nothing_to_show():
    """It is there, with nothing in it."""
    seen = told(policy(), record({"error-rate": question({}, {"c": {"bad": [np.nan] * 9, "total": [np.nan] * 9}})}))
    only = seen.questions["error-rate"]
    assert (only.series, only.distribution, only.track()) == (None, None, None)


def test_left_out_looks_leave_gaps():
    """A look that was not used has no point, and moves no estimate."""
    found = errors(40)
    cut = replace(
        found.questions["error-rate"],
        left_out=tuple(LeftOut(code="gap", text="no scrape") if 10 <= n < 20 else None for n in range(40)),
    )
    series = told(policy(), replace(found, questions={"error-rate": cut})).questions["error-rate"].series
    assert series is not None
    assert np.flatnonzero(np.isnan(series.canary)).tolist() == list(range(10, 20))


def test_a_line_ends_where_its_report_has_it():
    """The last point of a series without counts is the ratio of the report, between what would hold and abort."""
    shown = next(e for e in judged(POLICY, release(harm=True)).evidence if e.name == "heap").details["variation"]
    natural = whole(True).questions["heap"].natural
    assert natural is not None
    line, ends = natural
    assert line.samples[-1] == len(ends) - 1
    assert (line.ratio[-1], line.hold[-1], line.abort[-1]) == (
        shown["ratio"],
        shown["would_hold"],
        shown["would_abort"],
    )
    assert whole(True).questions["error-rate"].natural is None


def test_a_short_line_has_no_track():
    """Two samples tell nothing; nor does a series whose sides have no common times."""
    assert line_track(Line(name="x", sign=1, canary=np.ones(2), stable=np.ones(2)), 10.0) is None
    assert line_track(Line(name="x", sign=1, canary=np.ones(9), stable=np.ones(8)), 10.0) is None
    assert line_track(Line(name="x", sign=1, canary=np.full(9, np.nan), stable=np.ones(9)), 10.0) is None
