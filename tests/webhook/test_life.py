"""How answers, controllers and humans move the phase of an attempt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.types import Stage, Verdict
from webhook.life import advance, closed, finished, outcome_of
from webhook.releases import Attempt, Caller, Phase

T = 1_000_000.0
ARGO = Attempt(cluster="", namespace="shop", name="checkout", revision="a1", attempt=1, caller=Caller.ARGO.value)
FLAGGER = replace(ARGO, caller=Caller.FLAGGER.value)


def after(attempt, said, stage=Stage.STEP, **more):
    usual = {"reason": "because", "at": T, "weight": 0.1, "report_id": "r_1"}
    return advance(attempt, said=said, stage=stage, **{**usual, **more})


@pytest.mark.parametrize(
    ("attempt", "said", "stage", "phase"),
    [
        pytest.param(ARGO, Verdict.PROMOTE, Stage.STEP, Phase.PROMOTING, id="a step"),
        pytest.param(ARGO, Verdict.PROMOTE, Stage.FINAL, Phase.PROMOTED, id="argo's last step ends it"),
        pytest.param(FLAGGER, Verdict.PROMOTE, Stage.FINAL, Phase.PROMOTING, id="flagger says the end itself"),
        pytest.param(ARGO, Verdict.PROMOTE, Stage.PRE, Phase.PROGRESSING, id="before traffic"),
        pytest.param(ARGO, Verdict.PROMOTE, Stage.BACKGROUND, Phase.PROGRESSING, id="background moves nothing"),
        pytest.param(ARGO, Verdict.HOLD, Stage.STEP, Phase.HELD, id="hold"),
        pytest.param(ARGO, Verdict.ABORT, Stage.STEP, Phase.ABORTED, id="abort"),
        pytest.param(FLAGGER, Verdict.ABORT, Stage.FINAL, Phase.ABORTED, id="abort at the last step"),
        pytest.param(replace(ARGO, phase="aborted"), Verdict.PROMOTE, Stage.STEP, Phase.ABORTED, id="over is over"),
        pytest.param(replace(ARGO, phase="promoted"), Verdict.HOLD, Stage.STEP, Phase.PROMOTED, id="promoted stays"),
        pytest.param(replace(ARGO, phase="promoted"), Verdict.ABORT, Stage.POST, Phase.ABORTED, id="but for an abort"),
        pytest.param(replace(ARGO, phase="superseded"), Verdict.HOLD, Stage.STEP, Phase.SUPERSEDED, id="superseded"),
    ],
)
def test_the_phase_follows_what_was_said(attempt, said, stage, phase):
    """Progressing, held, promoting, and three ways to be over; an attempt that is over is only ever aborted."""
    moved = after(attempt, said, stage)
    assert moved.phase == phase.value
    assert moved.last_report == "r_1"
    assert moved.ended == (phase in (Phase.PROMOTED, Phase.ABORTED, Phase.SUPERSEDED))


def test_a_fault_is_noted_and_moves_nothing():
    """A hold because of a fault leaves the phase, and history calls it degraded."""
    moved = after(replace(ARGO, phase="promoting"), Verdict.HOLD, degraded=True)
    assert moved.phase == Phase.PROMOTING.value
    assert moved.history[-1]["action"] == "degraded"


def test_a_human_word_is_marked_as_one():
    """History tells a human's verdict from ours."""
    assert after(ARGO, Verdict.PROMOTE, human=True).history[-1]["action"] == "override: promote"


def test_an_abort_is_dated_once():
    """Hearing abort again moves neither the time it was told nor the end."""
    once = after(ARGO, Verdict.ABORT)
    twice = after(once, Verdict.ABORT, at=T + 60)
    assert (twice.told_abort_at, twice.ended_at) == (T, T)


@pytest.mark.parametrize(("succeeded", "phase", "weight"), [(True, "promoted", 1.0), (False, "aborted", 0.0)])
def test_the_controller_says_when_it_is_over(succeeded, phase, weight):
    """Flagger's word ends an attempt, whatever we said before."""
    ended = finished(after(FLAGGER, Verdict.HOLD), succeeded=succeeded, at=T + 9, reason="said so")
    assert (ended.phase, ended.finished_at, ended.ended_at) == (phase, T + 9, T + 9)
    assert (ended.history[-1]["weight"], ended.history[-1]["reason"]) == (weight, "said so")


@pytest.mark.parametrize(
    ("before", "now", "outcome"),
    [
        pytest.param(None, after(ARGO, Verdict.HOLD), "", id="held"),
        pytest.param(ARGO, after(ARGO, Verdict.ABORT), "aborted", id="aborted"),
        pytest.param(None, after(ARGO, Verdict.ABORT), "aborted", id="aborted at once"),
        pytest.param(after(ARGO, Verdict.ABORT), after(ARGO, Verdict.ABORT), "", id="aborted before"),
        pytest.param(ARGO, after(ARGO, Verdict.PROMOTE, Stage.FINAL), "promoted", id="promoted"),
        pytest.param(
            FLAGGER, finished(FLAGGER, succeeded=True, at=T, reason=""), "promoted", id="flagger promoted"
        ),
        pytest.param(
            FLAGGER, finished(FLAGGER, succeeded=False, at=T, reason=""), "rolled back", id="flagger rolled back"
        ),
        pytest.param(
            after(FLAGGER, Verdict.ABORT),
            finished(after(FLAGGER, Verdict.ABORT), succeeded=False, at=T, reason=""),
            "rolled back", id="a rollback after our abort is an end of its own",
        ),
    ],
)  # fmt: skip
def test_each_end_is_closed_once(before, now, outcome):
    """An end that is new has an outcome; what was over stays silent."""
    assert outcome_of(before, now) == outcome


def test_the_closing_report_is_noted():
    """The attempt names its closing report, outcome and reason."""
    noted = closed(ARGO, "aborted", T, {"id": "r_9", "reason": "too many errors"})
    assert noted.closing == {"outcome": "aborted", "time": T, "report": "r_9", "reason": "too many errors"}
