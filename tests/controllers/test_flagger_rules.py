"""Rules of the Flagger model that no capture shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .flagger import Canary, CanaryPhase
from .flagger_hooks import Hook, HookRefused, HookType, ask
from .wire import Answer, Clock


def answering(*statuses: int) -> tuple[list[float], Clock, Callable[[str, str, Any], Answer]]:
    """Return a call that gives *statuses* in turn, its clock, and the times at which it was asked."""
    clock, times, left = Clock(), list[float](), list(statuses)

    def call(_method: str, _url: str, _body: Any) -> Answer:
        times.append(clock.now)
        return left.pop(0), {}, b"the reason"

    return times, clock, call


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param(200, None, id="200"),
        pytest.param(201, None, id="201"),
        pytest.param(202, None, id="202"),
        pytest.param(203, "the reason", id="203"),
        pytest.param(204, "the reason", id="204"),
        pytest.param(302, "the reason", id="302 without a location"),
        pytest.param(403, "the reason", id="403"),
        pytest.param(412, "the reason", id="412"),
        pytest.param(429, "POST /hook giving up after 1 attempt(s)", id="429 loses the body"),
        pytest.param(500, "POST /hook giving up after 1 attempt(s)", id="500 loses the body"),
        pytest.param(501, "the reason", id="501"),
        pytest.param(503, "POST /hook giving up after 1 attempt(s)", id="503 loses the body"),
    ],
)
def test_what_is_a_yes_and_which_body_is_seen(status: int, reason: str | None) -> None:
    """200 to 202 are a yes; the body is seen except for statuses that would be retried."""
    _, clock, call = answering(status)
    asked = Hook(name="h", url="/hook")
    if reason is None:
        ask(asked, {}, call, clock)
        return
    with pytest.raises(HookRefused) as refusal:
        ask(asked, {}, call, clock)
    assert str(refusal.value) == reason


def test_retries_wait_twice_as_long_each_time() -> None:
    """Retries follow after 1, 2, 4 ... at most 30 s, for 429 and 5xx, and stop at the first other status."""
    times, clock, call = answering(500, 503, 429, 500, 500, 500, 500, 200)
    ask(Hook(name="h", url="/hook", retries=9), {}, call, clock)
    assert times == [0, 1, 3, 7, 15, 31, 61, 91]


def gate(answers: Callable[[str], Answer], clock: Clock, **options: Any) -> Canary:
    """Return an initialised canary with one hook of each kind whose URL is its type."""
    hooks = [Hook(type=kind, name=kind.value, url=kind.value) for kind in HookType if kind is not HookType.EVENT]
    canary = Canary(name="shop", hooks=hooks, clock=clock, call=lambda _method, url, _body: answers(url), **options)
    return canary.run(until=clock.now + 15)


YES: Answer = (200, {}, b"")
NO: Answer = (403, {}, b"wait")


def test_failed_checks_add_up_over_good_ticks() -> None:
    """A flapping rollout hook rolls back: a good tick never lowers the count."""
    clock, flip = Clock(), [0]

    def answers(kind: str) -> Answer:
        if kind == "rollback":
            return NO
        if kind == "rollout":
            flip[0] += 1
            return NO if flip[0] % 2 else YES
        return YES

    canary = gate(answers, clock, threshold=3, step_weight=5)
    canary.update("2").run(until=200)
    assert canary.phase is CanaryPhase.FAILED
    assert [round(t) for t in canary.failed_at] == [40, 60, 80]
    assert canary.weights[-1] == (90.0, 0)


def test_a_new_revision_in_mid_analysis_starts_over() -> None:
    """Traffic goes back to the primary, counters to zero, and the checksum is the new one at once."""
    clock = Clock()
    canary = gate(lambda kind: NO if kind == "rollback" else YES, clock, step_weight=20)
    canary.update("2").run(until=55)
    assert canary.weight == 60
    canary.update("3").run(until=60)
    assert (canary.phase, canary.weight, canary.applied) == (CanaryPhase.PROGRESSING, 0, "3")
    canary.run(until=75)
    assert canary.weight == 20


def test_iterations_ask_for_promotion_every_second_tick() -> None:
    """While waiting, a refusal sets the iterations back by one, so it is asked every second tick."""
    clock, times = Clock(), list[float]()

    def answers(kind: str) -> Answer:
        if kind == "confirm-promotion":
            times.append(clock.now)
            return NO
        return NO if kind == "rollback" else YES

    canary = gate(answers, clock, provider="kubernetes", iterations=2)
    canary.update("2").run(until=120)
    assert canary.phase is CanaryPhase.WAITING_PROMOTION
    assert times == [50, 70, 90, 110]
    assert canary.failed_at == []


def test_the_old_spec_is_no_new_revision() -> None:
    """Going back to what was promoted last asks nobody."""
    clock, asked = Clock(), list[str]()

    def answers(kind: str) -> Answer:
        asked.append(kind)
        return YES

    canary = gate(answers, clock, step_weight=50)
    canary.update("2").run(until=40)
    assert canary.phase is CanaryPhase.FAILED
    asked.clear()
    canary.update("1").run(until=100)
    assert asked == []
