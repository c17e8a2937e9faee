"""What must not change a verdict, over arbitrary releases; and that every reason can be read."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.judge import judge
from analysis.policy import Deadline, Limit
from analysis.record import Grid, QuestionRecord, Record, SideSeries
from analysis.types import May, NoData, Stage, State, Verdict, Weight
from tests.analysis.record_examples import START, judged, limits, policy, proportion, question, record

STAGES = st.sampled_from([None, *Stage])
REASONS = ["overlap", "no_series", "gap", "nan", "inconsistent_counters"]


@st.composite
def sides(draw, looks, most):
    """Draw up to ``most`` replicas: counts that fit together, some looks missing."""
    made = {}
    scale = draw(st.sampled_from([1, 30, 1000, 10**6]))
    share = draw(st.sampled_from([0.0, 0.001, 0.02, 0.3, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for n in range(draw(st.integers(0, most))):
        total = rng.poisson(scale, looks).astype(float)
        bad = rng.binomial(total.astype(int), share).astype(float)
        gone = rng.random(looks) < draw(st.sampled_from([0.0, 0.2, 1.0]))
        made[f"p-{n}"] = {"bad": np.where(gone, np.nan, bad), "total": np.where(gone, np.nan, total)}
    return made


@st.composite
def releases(draw):
    """Draw a record of two questions on one grid."""
    looks = draw(st.integers(1, 40))
    questions = {}
    for name in ("error-rate", "timeouts"):
        baseline, canary = draw(sides(looks, 4)), draw(sides(looks, 3))
        if not baseline and not canary:
            canary = {"p-0": {"bad": np.zeros(looks), "total": np.ones(looks)}}
        left_out = {n: (draw(st.sampled_from(REASONS)), "x" * 60) for n in draw(st.sets(st.integers(0, looks - 1)))}
        questions[name] = _filled(question(baseline, canary, left_out=left_out), looks)
    return record(questions, length=draw(st.sampled_from([1.0, 10.0, 60.0])))


def _filled(found, looks):
    """Give a side without replicas its empty arrays."""
    empty = {field: np.zeros((0, looks)) for field in ("bad", "total")}
    parts = {
        name: side if side.replicas else SideSeries(replicas=(), fields=empty)
        for name, side in (("baseline", found.baseline), ("canary", found.canary))
    }
    return dataclasses.replace(found, **parts)


@st.composite
def policies(draw):
    """Draw a policy over the two questions, with or without limits and a deadline."""
    asked = [
        proportion(
            name,
            weight=draw(st.sampled_from(Weight)),
            may=draw(st.sampled_from(May)),
            no_data=draw(st.sampled_from(NoData)),
            required=draw(st.sampled_from([None, True, False])),
            muted=draw(st.booleans()),
        )
        for name in ("error-rate", "timeouts")
    ]
    if draw(st.booleans()):
        bound = draw(st.sampled_from([{"max": 0.05}, {"max_increase": 0.5}]))
        asked.append(limits(Limit(question="timeouts", **bound), min_requests=draw(st.sampled_from([0, 50, 10**9]))))
    then = draw(st.sampled_from([{}, {"then": "abort"}, {"then": "promote_if", "limit": 2.0}]))
    return policy(
        *asked,
        min_step=draw(st.sampled_from([0.0, 120.0])),
        min_requests=draw(st.sampled_from([0, 1000])),
        deadline=Deadline(after=draw(st.sampled_from([30.0, 3600.0])), **then),
    )


@settings(max_examples=80)
@given(policies(), releases(), STAGES, st.one_of(st.none(), st.sampled_from([0.1, 0.5, 1.0])))
def test_every_reason_is_one_short_line_and_every_number_is_one(asked, found, stage, following):
    """Whatever the numbers, reasons are one line under 200 characters, the score lies in 0 to 100, log e is no NaN."""
    report = judged(asked, found, stage=stage, next_weight=following)
    for reason in (report.reason, *(e.reason for e in report.evidence)):
        assert 0 < len(reason) < 200
        assert reason.isprintable()
        assert "nan" not in reason.lower().split()
    assert 0 <= report.score <= 100
    assert (report.score == 0) or report.verdict is not Verdict.ABORT
    for evidence in report.evidence:
        assert not any(math.isnan(value) for value in evidence.log_e.values() if value is not None)


@settings(max_examples=25)
@given(policies(), releases(), STAGES)
def test_a_promotion_rests_on_something_that_was_heard(asked, found, stage):
    """No promotion after traffic while every required question is silent."""
    report = judged(asked, found, stage=stage)
    if report.verdict is Verdict.PROMOTE and report.stage is not Stage.PRE:
        assert any(e.state not in (State.NO_DATA, State.INCOMPARABLE, State.STALE) for e in report.evidence)


def close(one, other):
    """Assert that two reports say the same, evidence to 1e-9."""
    assert (one.verdict, one.reason, one.stage) == (other.verdict, other.reason, other.stage)
    assert one.score == pytest.approx(other.score, abs=1e-6)
    there = {e.name: e for e in other.evidence}
    for evidence in one.evidence:
        assert evidence.state is there[evidence.name].state
        assert evidence.log_e == pytest.approx(there[evidence.name].log_e, rel=1e-9, abs=1e-9, nan_ok=True)


def turned(found: QuestionRecord, order) -> QuestionRecord:
    """Return a question with the replicas of both sides in another order, their names going along."""

    def turn(side):
        rows = sorted(range(len(side.replicas)), key=lambda row: (order * (row + 1)) % 7)
        names = tuple(side.replicas[row] for row in rows)
        return SideSeries(replicas=names, fields={name: array[rows] for name, array in side.fields.items()})

    return dataclasses.replace(found, baseline=turn(found.baseline), canary=turn(found.canary))


@settings(max_examples=25)
@given(policies(), releases(), st.integers(1, 6), STAGES)
def test_the_order_of_replicas_changes_nothing(asked, found, order, stage):
    """Pods have no order: not a digit differs, for evidence is summed up in one."""
    other = dataclasses.replace(found, questions={n: turned(q, order) for n, q in found.questions.items()})
    one, two = judged(asked, found, stage=stage), judged(asked, other, stage=stage)
    close(one, two)
    assert [e.log_e for e in one.evidence] == [e.log_e for e in two.evidence]
    assert one.score == two.score


@settings(max_examples=25)
@given(policies(), releases())
def test_the_order_of_looks_in_a_dictionary_changes_nothing(asked, found):
    """Questions of a record have no order."""
    other = dataclasses.replace(found, questions=dict(reversed(list(found.questions.items()))))
    close(judged(asked, found), judged(asked, other))


@settings(max_examples=25)
@given(policies(), releases(), STAGES)
def test_the_order_of_questions_changes_no_verdict(asked, found, stage):
    """Questions of a policy have no order: verdict, score and evidence stay (of two reasons either may speak)."""
    other = dataclasses.replace(asked, questions=tuple(reversed(asked.questions)))
    one, two = judged(asked, found, stage=stage), judged(other, found, stage=stage)
    if one.weight == two.weight:  # the share is seen on the first question that counts
        assert one.verdict is two.verdict
        assert one.score == pytest.approx(two.score, abs=1e-6)
        there = {e.name: e for e in two.evidence}
        for evidence in one.evidence:
            assert evidence.state is there[evidence.name].state
            assert evidence.log_e == pytest.approx(there[evidence.name].log_e, rel=1e-9, abs=1e-9)


@settings(max_examples=25)
@given(policies(), releases(), STAGES)
def test_a_muted_question_changes_nothing(asked, found, stage):
    """A question that is muted is shown and nothing else: verdict, reason and evidence of the others stay."""
    third = found.questions["timeouts"]
    wider = dataclasses.replace(found, questions={**found.questions, "third": third})
    more = dataclasses.replace(asked, questions=(*asked.questions, proportion("third", muted=True)))
    close(judged(asked, found, stage=stage), judged(more, wider, stage=stage))


@settings(max_examples=25)
@given(policies(), releases(), st.sampled_from([-1.2e9, -3600.0, 7.0 * 86400]), STAGES)
def test_the_date_changes_nothing(asked, found, days, stage):
    """The same counts at another time are the same verdict."""
    other = Record(
        grid=Grid(start=START + days, length=found.grid.length, lengthening=False),
        ends=found.ends + days,
        questions=found.questions,
        weights=found.weights,
    )
    close(judged(asked, found, stage=stage), judged(asked, other, stage=stage))


@settings(max_examples=25)
@given(policies(), releases(), st.sampled_from([0.5, 4.0]))
def test_the_scale_of_time_changes_no_evidence_of_harm(asked, found, scale):
    """Evidence is counted in events: whether a look lasts 10 or 40 seconds does not make a canary worse."""
    other = Record(
        grid=Grid(start=START, length=found.grid.length * scale, lengthening=False),
        ends=START + (found.ends - START) * scale,
        questions=found.questions,
        weights=found.weights,
    )
    one, two = judged(asked, found, stage=Stage.STEP), judged(asked, other, stage=Stage.STEP)
    for before, after in zip(one.evidence, two.evidence, strict=True):
        if before.log_e and after.log_e:
            for name in ("worse", "tolerated", "abort", "better"):
                assert before.log_e[name] == pytest.approx(after.log_e[name], rel=1e-9, abs=1e-9)


@settings(max_examples=25)
@given(policies(), releases(), st.floats(0, 1), STAGES)
def test_later_looks_change_no_earlier_verdict(asked, found, share, stage):
    """A verdict at a time is a function of what had been closed by then."""
    at = START + share * float(found.ends[-1] - START)
    close(judge(asked, found, at, stage=stage), judge(asked, found.until(at), at, stage=stage))


@settings(max_examples=30)
@given(policies(), releases(), st.integers(1, 40))
def test_an_abort_is_never_taken_back_by_more_numbers(asked, found, looks):
    """Once the numbers proved harm, more looks do not unprove it (limits and silence have rules of their own)."""
    asked = dataclasses.replace(
        asked,
        questions=tuple(dataclasses.replace(q, no_data=NoData.HOLD) for q in asked.questions if q.kind == "proportion"),
        deadline=Deadline(),
    )
    earlier = judge(asked, found, START + looks * found.grid.length, stage=Stage.STEP)
    if earlier.verdict is Verdict.ABORT and "unresolved" not in earlier.reason:
        assert judged(asked, found, stage=Stage.STEP).verdict is Verdict.ABORT
