"""Whether pods live: limits that clear themselves, what stops a release before traffic, time that is no request."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.alarms import alarming
from analysis.limits import requests, serving, weigh
from analysis.policy import Limit, Proportion, Rate
from analysis.types import May, NoData, Stage, State, Verdict
from tests.analysis.record_examples import (
    SECOND,
    SILENT,
    counted,
    judged,
    limits,
    policy,
    proportion,
    question,
    record,
    two,
    values,
)

RESTARTS = Rate(name="restarts", exposure="time", required=False, no_data=NoData.IGNORE)
NOT_READY = Proportion(name="not-ready", muted=True)
HEALTHY = dataclasses.replace(
    limits(Limit(question="not-ready", max=0), Limit(question="restarts", max=0)), may=May.HOLD, no_data=NoData.IGNORE
)
ASKED = policy(proportion(), RESTARTS, NOT_READY, HEALTHY)


def pods(unready, restarts):
    """Return looks of 10 s of three stable pods that are well, and a canary pod that is as told."""
    looks = len(unready)
    well = values(("s-1", "s-2", "s-3"), events=np.zeros(looks), exposure=np.full(looks, 10.0))
    ready = values(("s-1", "s-2", "s-3"), values=np.zeros(looks))
    return {
        "restarts": question(well, values(("c-1",), events=restarts, exposure=np.full(looks, 10.0))),
        "not-ready": question(ready, values(("c-1",), values=unready)),
    }


def release(unready, restarts, errors=None):
    """Return a record of pods and of the error rate, by default that of a good canary."""
    looks = len(unready)
    return record({**pods(unready, restarts), "error-rate": errors or counted(looks)})


@pytest.mark.parametrize(
    ("unready", "restarts", "state", "said"),
    [
        pytest.param([0, 0], [0, 0], State.WITHIN_LIMIT, "acceptable", id="well"),
        pytest.param([0, 1], [0, 0], State.OVER_LIMIT, "not ready too high: 100 %, limit 0 %", id="not ready"),
        pytest.param(
            [0, 0],
            [0, 1],
            State.OVER_LIMIT,
            "restarts too high: 360 per pod-hour, limit 0 per pod-hour",
            id="restarted",
        ),
        pytest.param([1, 0], [1, 0], State.WITHIN_LIMIT, "acceptable", id="recovered"),
    ],
)
def test_a_limit_that_may_only_hold_clears_itself(unready, restarts, state, said):
    """It speaks of the newest look; nothing is held against the canary for ever that could not abort."""
    found = weigh(HEALTHY, ASKED, release(unready, restarts))
    assert found.state is state
    assert said in found.reason


def test_several_in_a_row_are_waited_for_also_where_it_may_only_hold():
    """Once of two is not yet over the limit; two in a row are, and one that keeps it ends that."""
    asked = dataclasses.replace(HEALTHY, consecutive=2)
    states = [weigh(asked, ASKED, release(u, [0] * len(u))).state for u in ([0, 1], [0, 1, 1], [1, 1, 0])]
    assert states == [State.UNDECIDED, State.OVER_LIMIT, State.WITHIN_LIMIT]


@pytest.mark.parametrize("stage", [Stage.PRE, Stage.STEP, Stage.FINAL, Stage.POST, Stage.BACKGROUND])
def test_pods_that_are_not_ready_hold_every_stage(stage):
    """However good the metrics are."""
    report = judged(ASKED, release([0] * 179 + [1], [0] * 180), stage=stage)
    assert (report.verdict, report.reason) == (Verdict.HOLD, "not ready too high: 100 %, limit 0 %")
    assert alarming(report.evidence) == report.reason


@pytest.mark.parametrize("stage", [Stage.PRE, Stage.STEP, Stage.FINAL])
def test_pods_that_are_well_do_not_stand_in_the_way(stage):
    """They need no proof of their own: a rate that nothing is required of."""
    report = judged(ASKED, release([0] * 180, [0] * 180), stage=stage)
    assert report.verdict is Verdict.PROMOTE
    assert alarming(report.evidence) == ""


def test_restarts_abort_while_the_metric_is_gone():
    """Silence holds; dead pods are evidence."""
    restarts = np.tile([0, 0, 1], 60)
    report = judged(ASKED, release([1] * 180, restarts, SILENT))
    assert report.verdict is Verdict.ABORT
    assert report.reason.startswith("restarts")


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        pytest.param(counted(120), Verdict.PROMOTE, id="good"),
        pytest.param(SILENT, Verdict.PROMOTE, id="silent"),
        pytest.param(counted(120, 1.6), Verdict.HOLD, id="worse at freezing odds"),
        pytest.param(counted(60, 30.0), Verdict.ABORT, id="proved worse"),
    ],
)
def test_before_traffic_only_what_is_already_worse_stops(errors, verdict):
    """A preview that fails is stopped; one that nobody asked anything yet is not."""
    assert judged(policy(), record({"error-rate": errors}), stage=Stage.PRE).verdict is verdict


def test_what_is_ignored_where_it_is_silent_takes_nothing_off_the_score():
    """A promotion without it is a whole one."""
    ignored = dataclasses.replace(SECOND, no_data=NoData.IGNORE)
    report = judged(policy(proportion(), ignored), two(counted(180), SILENT), stage=Stage.STEP)
    assert (report.verdict, report.score) == (Verdict.PROMOTE, 100.0)


def test_a_pods_time_is_no_request():
    """What counts a pod's time says nothing of how many requests there were."""
    assert serving(ASKED) == ["error-rate", "not-ready", "classic"]
    assert serving(ASKED, ["restarts"]) == []
    found = release([0] * 180, [0] * 180, counted(180, 0.0, 9.0))
    assert requests(found, serving(ASKED)).tolist() == [9.0] * 180
    short = judged(policy(*ASKED.questions, min_requests=1700), found, stage=Stage.STEP)
    assert short.reason == "1,620 of at least 1,700 canary requests seen"  # its pod's 1,800 seconds are none
    only = judged(
        policy(RESTARTS, NOT_READY, HEALTHY, min_requests=11), record(pods([0] * 3, [0] * 3)), stage=Stage.STEP
    )
    assert only.verdict is Verdict.PROMOTE
