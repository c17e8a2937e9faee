"""The answer table itself: what each mode makes of a verdict, and the cells that carry the promises."""

from __future__ import annotations

import itertools

import pytest

from analysis.types import Mode, Verdict
from webhook.answers import ANSWERS, HOLD_FAILS, Heard, Hook, heard, spoken, status

YES = range(200, 203)
"""What Flagger takes for a yes: 200, 201 and 202."""


def test_the_table_has_no_holes():
    """A new hook or a new thing to hear cannot be forgotten."""
    assert {(hook, said) for hook in ANSWERS for said in ANSWERS[hook]} == set(itertools.product(Hook, Heard))


def test_only_a_proved_abort_rolls_back():
    """The rollback hook is inverted: one yes in its row."""
    assert [said for said in Heard if ANSWERS[Hook.ROLLBACK][said] in YES] == [Heard.ABORT]


@pytest.mark.parametrize("hook", [Hook.CONFIRM_ROLLOUT, Hook.CONFIRM_TRAFFIC_INCREASE, Hook.CONFIRM_PROMOTION])
def test_only_a_promotion_passes_a_confirm_hook(hook):
    """Everything else waits."""
    assert [said for said in Heard if ANSWERS[hook][said] in YES] == [Heard.PROMOTE]


@pytest.mark.parametrize("hook", [Hook.PRE_ROLLOUT, Hook.ROLLOUT])
def test_a_counting_hook_is_refused_by_proof_alone(hook):
    """Refusals there end in a rollback: holds and our own faults never refuse."""
    assert {said for said in Heard if ANSWERS[hook][said] not in YES} == {Heard.ABORT, Heard.NOT_AUTHORISED}


def test_no_answer_to_a_controller_is_a_5xx():
    """Flagger throws the body of a 5xx away, and with it the reason; Argo counts it as an error."""
    assert all(code < 500 for row in ANSWERS.values() for code in row.values())


def test_hold_fails_moves_the_hold_of_rollout_alone():
    """One cell, on request."""
    moved = {
        (hook, said)
        for hook, said in itertools.product(Hook, Heard)
        if status(hook, said, hold_fails=True) != status(hook, said)
    }
    assert moved == {(Hook.ROLLOUT, Heard.HOLD)}
    assert status(Hook.ROLLOUT, Heard.HOLD, hold_fails=True) == HOLD_FAILS


@pytest.mark.parametrize(
    ("mode", "verdict", "degraded", "said"),
    [
        (Mode.ENFORCE, Verdict.ABORT, False, Heard.ABORT),
        (Mode.ENFORCE, Verdict.HOLD, True, Heard.DEGRADED),
        (Mode.ADVISE, Verdict.ABORT, False, Heard.HOLD),
        (Mode.ADVISE, Verdict.PROMOTE, False, Heard.PROMOTE),
        (Mode.ADVISE, Verdict.HOLD, True, Heard.DEGRADED),
        (Mode.SHADOW, Verdict.ABORT, False, Heard.PROMOTE),
        (Mode.SHADOW, Verdict.HOLD, True, Heard.PROMOTE),
    ],
)
def test_what_a_mode_makes_of_a_verdict(mode, verdict, degraded, said):
    """Enforce tells it as it is, advise never aborts, shadow always approves."""
    assert heard(verdict, mode, degraded=degraded) is said


@pytest.mark.parametrize("said", Heard)
def test_whoever_cannot_judge_says_hold(said):
    """In words, what is no verdict is a hold."""
    assert spoken(said) is (Verdict(said.value) if said.value in set(Verdict) else Verdict.HOLD)
