"""Reports as stored: their ids, what stands in them, and closing reports."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from analysis.policy import Policy, Proportion
from analysis.report import Evidence, Report
from analysis.types import Effect, Mode, Stage, State, Verdict, Window
from tests.contract.scene import strict
from webhook.documents import Context, closing_document, report_document, report_id
from webhook.overrides import Override
from webhook.releases import Attempt
from webhook.schema.report import dump

T = 1_700_000_000.0
WINDOW = Window(start=T, end=T + 600, looks=60)
POLICY = Policy(name="checkout", questions=(Proportion(name="error-rate"),), digest="9c1e77abcdef")
ATTEMPT = Attempt(cluster="eu", namespace="shop", name="checkout", revision="a1", attempt=2, version=4, opened_at=T)
WORD = Override(
    id="o_1", namespace="shop", name="checkout", revision="a1", verdict="hold", reason="x", actor="on-call", at=T
)
CONTEXT = Context(policy=POLICY, attempt=ATTEMPT, mode=Mode.ENFORCE, asked_at=T + 605)
EVIDENCE = Evidence(
    name="error-rate", kind="proportion", state=State.UNDECIDED, reason="open", log_e={"worse": -math.inf},
    effect=Effect(estimate=1.1, low=0.9, high=math.inf),
)  # fmt: skip
REPORT = Report(verdict=Verdict.ABORT, reason="too many errors", stage=Stage.STEP, window=WINDOW, evidence=(EVIDENCE,))


def named(**changes):
    return report_id(replace(CONTEXT, **changes), Stage.STEP, WINDOW)


SAME = named()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"asked_at": T + 9999}, id="when it was asked"),
        pytest.param({"attempt": replace(ATTEMPT, version=9, phase="held")}, id="how the release stands"),
        pytest.param({"own_seconds": 1.0, "source_seconds": 2.0}, id="how long it took"),
        pytest.param({"public_url": "https://weighbridge.example"}, id="where we are reached"),
    ],
)
def test_the_same_question_has_the_same_id(changes):
    """However often, whenever and wherever it is asked."""
    assert named(**changes) == SAME


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"attempt": replace(ATTEMPT, attempt=3)}, id="attempt"),
        pytest.param({"attempt": replace(ATTEMPT, revision="a2")}, id="revision"),
        pytest.param({"attempt": replace(ATTEMPT, namespace="cart")}, id="namespace"),
        pytest.param({"attempt": replace(ATTEMPT, cluster="us")}, id="cluster"),
        pytest.param({"attempt": None}, id="no release"),
        pytest.param({"policy": replace(POLICY, digest="000000000000")}, id="policy"),
        pytest.param({"next_weight": 0.5}, id="next weight"),
        pytest.param({"override": WORD}, id="override"),
        pytest.param({"data_digest": "d"}, id="inline data"),
        pytest.param({"fault": "SourceDown"}, id="fault"),
        pytest.param({"mode": Mode.SHADOW}, id="mode"),
    ],
)
def test_another_question_has_another_id(changes):
    """Whatever the answer depends on is in the id."""
    assert named(**changes) != SAME


def test_stage_and_window_are_part_of_the_question():
    """Another stage or a later window end is another question; a window without more looks is not."""
    assert report_id(CONTEXT, Stage.FINAL, WINDOW) != SAME
    assert report_id(CONTEXT, Stage.STEP, replace(WINDOW, end=T + 610)) != SAME
    assert report_id(CONTEXT, Stage.STEP, replace(WINDOW, end=T + 600 + 1e-7)) == SAME
    assert SAME.startswith("r_")
    assert len(SAME) == 18


@pytest.mark.parametrize(
    "context", [pytest.param(replace(CONTEXT, override=WORD), id="a human's word"),
                pytest.param(replace(CONTEXT, fault="SourceDown"), id="an outage")],
)  # fmt: skip
def test_what_weighed_nothing_is_one_answer_however_often_it_is_asked_for(context):
    """Where no look was weighed the time of asking makes no other report, and another reason does."""
    now, later = replace(WINDOW, looks=0), replace(WINDOW, looks=0, end=T + 900)
    assert report_id(context, Stage.STEP, now, "so") == report_id(context, Stage.STEP, later, "so")
    assert report_id(context, Stage.STEP, now, "so") != report_id(context, Stage.STEP, now, "otherwise")


def test_a_document_is_strict_json():
    """Infinite bounds and evidence become null: no NaN, no infinity on the wire."""
    document = report_document(REPORT, Verdict.ABORT, CONTEXT)
    assert strict(dump(document)) == document
    found = document["detail"]["evidence"][0]
    assert (found["effect"]["high"], found["log_e"]["worse"]) == (None, None)


@pytest.mark.parametrize(
    ("mode", "said", "reason"),
    [
        (Mode.ENFORCE, Verdict.ABORT, "too many errors"),
        (Mode.ADVISE, Verdict.HOLD, "advise: would abort: too many errors"),
        (Mode.SHADOW, Verdict.PROMOTE, "shadow: would abort: too many errors"),
    ],
)
def test_the_true_verdict_is_told_in_every_mode(mode, said, reason):
    """What is said and what would have been said stand side by side."""
    document = report_document(REPORT, said, replace(CONTEXT, mode=mode))
    assert (document["verdict"], document["would"], document["reason"]) == (said.value, "abort", reason)


def test_a_reason_stays_short_in_every_mode():
    """The words of the mode do not make a reason too long."""
    long = replace(REPORT, reason="x" * 199)
    assert len(report_document(long, Verdict.HOLD, replace(CONTEXT, mode=Mode.ADVISE))["reason"]) <= 200


def test_who_was_judged_and_who_spoke_stand_in_the_document():
    """Release with attempt and phase, policy with its digest, the override with its actor."""
    document = report_document(REPORT, Verdict.HOLD, replace(CONTEXT, override=WORD, public_url="https://x.example"))
    assert document["release"] == {
        "cluster": "eu", "namespace": "shop", "name": "checkout", "revision": "a1", "attempt": 2, "stage": "step",
        "phase": "progressing",
    }  # fmt: skip
    assert document["policy"] == "checkout@9c1e77ab"
    assert document["detail"]["override"]["actor"] == "on-call"
    assert document["url"] == f"https://x.example/reports/{document['id']}"
    assert document["window"] == {"start": "2023-11-14T22:13:20Z", "end": "2023-11-14T22:23:20Z", "looks": 60}


def test_inline_data_is_kept_with_its_policy():
    """What judged inline data can be recomputed from the report."""
    document = report_document(REPORT, Verdict.HOLD, replace(CONTEXT, inline={"questions": {}}))
    assert document["inline"]["data"] == {"questions": {}}
    assert document["inline"]["policy"]["name"] == "checkout"


def test_a_closing_report_has_the_whole_history():
    """The end of an attempt: outcome, how long it took, the last report, every line of history; an id of its own."""
    history = ({"time": T, "weight": None, "action": "opened", "reason": "x"},)
    last = report_document(REPORT, Verdict.ABORT, CONTEXT)
    over = replace(CONTEXT, attempt=replace(ATTEMPT, history=history, phase="aborted"))
    closing = closing_document(last, "aborted", T + 700, over)
    assert closing["id"] != last["id"]
    assert closing["url"].endswith(closing["id"])
    assert closing["release"]["phase"] == "aborted"
    told = closing["detail"]["closing"]
    assert (told["outcome"], told["seconds"], told["last_report"]) == ("aborted", 700.0, last["id"])
    assert told["history"] == list(history)
    assert closing_document(last, "rolled back", T + 700, over)["id"] != closing["id"]
