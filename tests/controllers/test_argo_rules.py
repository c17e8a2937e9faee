"""Rules of the Argo model that no capture shows."""

from __future__ import annotations

from typing import Any

import pytest

from .argo import Analysis, Pause, Rollout, RolloutPhase, SetWeight, Step
from .argo_run import AnalysisRun
from .conditions import ConditionError, holds
from .measurement import Metric, Phase, encode
from .wire import Answer, Clock, TransportError, exchange


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param(1.0, "1", id="whole number"),
        pytest.param(1e-7, "1e-7", id="small"),
        pytest.param(1e21, "1e+21", id="large"),
        pytest.param(0.0, "0", id="zero"),
        pytest.param({"b": "<a>", "a": None}, '{"a":null,"b":"\\u003ca\\u003e"}', id="object"),
    ],
)
def test_values_are_kept_as_go_writes_them(value: Any, written: str) -> None:
    """The stored value is compact JSON with Go's numbers and escapes (encoding/json)."""
    assert encode(value) == written


def refused(_method: str, _url: str, _body: Any) -> Any:
    """Stand for a server that is not there."""
    raise ConnectionError("connection refused")


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [pytest.param(4, 40.0, id="default limit"), pytest.param(30, 300.0, id="shipped limit")],
)
def test_an_outage_aborts_after_the_error_limit(limit: int, seconds: float) -> None:
    """Refused connections abort 10 s x consecutiveErrorLimit after the first, whatever the interval says."""
    clock = Clock()
    metric = Metric(
        name="gate", url="/argo/analysis", interval=60, count=9, consecutive_error_limit=limit, success="true"
    )
    rollout = Rollout(name="shop", steps=[SetWeight(5), Analysis([metric])], stable="a", clock=clock, call=refused)
    rollout.update("b").run(until=seconds - 1)
    assert rollout.phase is RolloutPhase.PROGRESSING
    rollout.run(until=seconds + 1)
    assert (rollout.phase, rollout.weights) == (RolloutPhase.DEGRADED, [(0.0, 5), (seconds, 0)])


def test_pauses_wait_for_time_or_for_a_human() -> None:
    """A timed pause ends by itself, one without time only by resume."""
    clock = Clock()
    steps: list[Step] = [SetWeight(5), Pause(30), SetWeight(50), Pause()]
    rollout = Rollout(name="shop", steps=steps, stable="a", clock=clock, call=refused)
    rollout.update("b").run(until=1_000)
    assert (rollout.phase, rollout.weights) == (RolloutPhase.PAUSED, [(0.0, 5), (30.0, 50)])
    rollout.resume()
    rollout.run(until=1_001)
    assert (rollout.phase, rollout.weight, rollout.stable) == (RolloutPhase.HEALTHY, 100, "b")


@pytest.mark.parametrize(
    ("answer", "failure_limit", "phase"),
    [
        pytest.param(b'{"verdict": "hold"}', 0, Phase.INCONCLUSIVE, id="undecided at the end pauses"),
        pytest.param(b'{"verdict": "hold"}', -1, Phase.FAILED, id="without a failure limit it fails"),
        pytest.param(b'{"verdict": "promote"}', 0, Phase.SUCCESSFUL, id="one promote completes"),
    ],
)
def test_a_gate_that_waits_for_one_success(answer: bytes, failure_limit: int, phase: Phase) -> None:
    """With consecutiveSuccessLimit the count's end is no success, and a success ends the run at once."""
    clock = Clock()
    metric = Metric(
        name="gate",
        url="/argo/analysis",
        interval=30,
        count=4,
        failure_limit=failure_limit,
        inconclusive_limit=4,
        consecutive_success_limit=1,
        success='result.verdict == "promote"',
        failure='result.verdict == "abort"',
    )
    run = AnalysisRun(name="r", metrics=[metric], clock=clock, call=lambda *_: (200, {}, answer))
    while (due := run.due()) is not None:
        clock.now = due
        run.reconcile()
    assert run.phase is phase
    assert len(run.results["gate"].measurements) == (1 if phase is Phase.SUCCESSFUL else 4)


@pytest.mark.parametrize(
    ("status", "method", "seen"),
    [
        pytest.param(302, "POST", ("GET", None), id="302 drops method and body"),
        pytest.param(307, "POST", ("POST", {"a": 1}), id="307 keeps both"),
        pytest.param(307, "GET", ("GET", {"a": 1}), id="307 keeps GET"),
    ],
)
def test_redirects_are_followed_as_go_does(status: int, method: str, seen: tuple[str, Any]) -> None:
    """301 to 303 turn a POST into a GET without a body, 307 and 308 send it again."""
    asked: list[tuple[str, str, Any]] = []

    def call(how: str, url: str, body: Any) -> Answer:
        asked.append((how, url, body))
        return (status, {"location": "/there"}, b"") if url == "/here" else (200, {}, b"{}")

    assert exchange(call, Clock(), method, "/here", {"a": 1}, 10.0)[0] == 200
    assert asked[1] == (seen[0], "/there", seen[1])


def test_a_redirect_in_a_circle_ends() -> None:
    """After ten redirects Go gives up."""
    with pytest.raises(TransportError, match="stopped after 10 redirects"):
        exchange(lambda *_: (302, {"location": "/"}, b""), Clock(), "GET", "/", None, 10.0)


VERDICT = {"verdict": "hold", "score": 71.4, "questions": {"latency": "no_worse"}}


@pytest.mark.parametrize(
    ("condition", "result", "expected"),
    [
        pytest.param('result.verdict == "promote"', VERDICT, False, id="member"),
        pytest.param("result.missing == nil", VERDICT, True, id="missing member is nil"),
        pytest.param('result["score"] > 70 and not false', VERDICT, True, id="index and words"),
        pytest.param("result.verdict == 1 || result.score >= 71", VERDICT, True, id="unlike members differ"),
        pytest.param('result.questions.latency != "worse"', VERDICT, True, id="nested"),
        pytest.param("default(result, 1) == 1", None, True, id="default of nil"),
        pytest.param("isNaN(result)", 1.0, False, id="a number is a number"),
        pytest.param("any(result, {# == 2})", [1.0, 2.0], True, id="any"),
        pytest.param("result == -1", -1.0, True, id="negative"),
    ],
)
def test_conditions_hold_or_not(condition: str, result: Any, expected: bool) -> None:
    """A condition that compiles yields a bool."""
    assert holds(condition, result) is expected


@pytest.mark.parametrize(
    ("condition", "result"),
    [
        pytest.param('result.verdict == "promote"', "<html>", id="a text has no members"),
        pytest.param('result.verdict == "promote"', None, id="nil has no members"),
        pytest.param("result.verdict", VERDICT, id="not a bool"),
        pytest.param("result.verdict > 1", VERDICT, id="text and number have no order"),
        pytest.param('false && result == "x"', 1.0, id="types meet before it runs"),
        pytest.param("asFloat(result.verdict) > 1", VERDICT, id="no number in the text"),
        pytest.param("result ==", 1.0, id="unfinished"),
        pytest.param("unknown(result)", 1.0, id="unknown name"),
    ],
)
def test_conditions_that_are_errors(condition: str, result: Any) -> None:
    """What does not compile, run or yield a bool is an Error, never a Failed."""
    with pytest.raises(ConditionError):
        holds(condition, result)


@pytest.mark.parametrize(
    ("success", "failure", "phase"),
    [
        pytest.param(None, None, Phase.SUCCESSFUL, id="no condition"),
        pytest.param("true", None, Phase.SUCCESSFUL, id="success only, true"),
        pytest.param("false", None, Phase.FAILED, id="success only, false"),
        pytest.param(None, "true", Phase.FAILED, id="failure only, true"),
        pytest.param(None, "false", Phase.SUCCESSFUL, id="failure only, false"),
        pytest.param("true", "false", Phase.SUCCESSFUL, id="both, success"),
        pytest.param("false", "false", Phase.INCONCLUSIVE, id="both, neither true"),
        pytest.param("false", "true", Phase.FAILED, id="both, failure"),
        pytest.param("true", "true", Phase.FAILED, id="both true: failure wins"),
    ],
)
def test_the_table_of_conditions(success: str | None, failure: str | None, phase: Phase) -> None:
    """Two conditions give three outcomes, one gives two, none always passes."""
    metric = Metric(name="m", url="/", success=success, failure=failure)
    run = AnalysisRun(name="r", metrics=[metric], clock=Clock(), call=lambda *_: (200, {}, b"{}"))
    run.reconcile()
    assert run.phase is phase
