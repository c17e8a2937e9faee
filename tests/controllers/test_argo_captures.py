"""The Argo model against what the real controller, v1.9.1, asked and concluded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.shared_data import SHARED, capture

from .argo import Analysis, Rollout, RolloutPhase, SetWeight, identity
from .argo_run import AnalysisRun
from .measurement import Metric, Phase, metric_from_manifest
from .replay import Recorded
from .wire import Clock

SERVER = "http://127.0.0.1:28080"
EDGES = "argo_analysisruns_edges.json"
NO_ROUTE = ConnectionError(
    "dial tcp: lookup gate.default.svc on 192.0.2.53:53: dial udp 192.0.2.53:53: connect: network is unreachable"
)
NOBODY = ConnectionError("dial tcp 127.0.0.1:1: connect: connection refused")
BROKEN: dict[str, Exception] = {
    "http://gate.default.svc:8080/none": NO_ROUTE,
    "http://127.0.0.1:1/none": NOBODY,
}
COUNTERS = {
    "count": "count",
    "successful": "successful",
    "failed": "failed",
    "inconclusive": "inconclusive",
    "error": "error",
    "consecutiveError": "consecutive_error",
    "consecutiveSuccess": "consecutive_success",
}


def status_of(run: AnalysisRun) -> dict[str, Any]:
    """Return what the run's status says, in the words of the recorded objects, times left out."""
    results = {}
    for name, result in run.results.items():
        measured = [{"phase": m.phase.value, "value": m.value, "message": m.message} for m in result.measurements]
        counted = {theirs: getattr(result, ours) for theirs, ours in COUNTERS.items()}
        results[name] = {"phase": result.phase.value, "measurements": measured, **counted}
    return {"phase": run.phase.value, "message": run.message, "metrics": results}


def recorded_status(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same of a recorded AnalysisRun."""
    status, results = run["status"], {}
    for result in status["metricResults"]:
        measured = [
            {"phase": m["phase"], "value": m.get("value", ""), "message": m.get("message", "")}
            for m in result["measurements"]
        ]
        counted = {theirs: result.get(theirs, 0) for theirs in COUNTERS}
        results[result["name"]] = {"phase": result["phase"], "measurements": measured, **counted}
    return {"phase": status["phase"], "message": status.get("message", ""), "metrics": results}


def edge_names() -> list[str]:
    """Return the names of the recorded stand-alone runs; one placeholder where the captures are absent."""
    if not (SHARED / "captures" / EDGES).is_file():
        return ["captures-absent"]
    return [run["name"] for run in capture(EDGES)["analysisRuns"]]


def play(run: Mapping[str, Any], recorded: Recorded, clock: Clock) -> AnalysisRun:
    """Run a recorded AnalysisRun's spec in the model."""
    spec = run["spec"]
    metrics = [metric_from_manifest(metric) for metric in spec["metrics"]]
    dry = [entry["metricName"] for entry in spec.get("dryRun", [])]
    played = AnalysisRun(name=run["name"], metrics=metrics, dry_run=dry, clock=clock, call=recorded)
    played.reconcile()
    return played


@pytest.mark.parametrize("name", edge_names())
def test_odd_answers_end_as_recorded(name: str) -> None:
    """Every odd answer gives the run the phase, message, counters and stored value that the real one got."""
    run = next(run for run in capture(EDGES)["analysisRuns"] if run["name"] == name)
    clock = Clock(now=1_000.0)
    recorded = Recorded(requests=capture("argo_edge_requests.json")["requests"], clock=clock, broken=BROKEN)
    assert status_of(play(run, recorded, clock)) == recorded_status(run)


def test_odd_answers_make_the_recorded_requests() -> None:
    """All stand-alone runs together make each recorded request once, redirects included, and no other."""
    clock = Clock(now=1_000.0)
    recorded = Recorded(requests=capture("argo_edge_requests.json")["requests"], clock=clock, broken=BROKEN)
    for run in capture(EDGES)["analysisRuns"]:
        play(run, recorded, clock)
    assert recorded.missed() == []
    bodies = {asked.n: asked.body for asked in recorded.asked}
    for request in recorded.requests:
        assert bodies[request["n"]] == request["json"]


# ---- whole rollouts

BACKGROUND = Metric(
    name="gate-bg",
    url=f"{SERVER}/argo/bg",
    json_path="{$.verdict}",
    success='result == "pass"',
    interval=5,
)
POST = Metric(
    name="gate-post-json",
    url=f"{SERVER}/argo/post?svc={{{{args.service}}}}",
    method="POST",
    timeout=5,
    json_body={
        "canary": "{{args.canary-hash}}",
        "namespace": "{{args.ns}}",
        "nested": {"list": [1, 2.5, True, None, "x"], "str": "a<b>&c"},
        "replicas": "{{args.replicas}}",
        "service": "{{args.service}}",
        "stable": "{{args.stable-hash}}",
    },
    json_path="{$.verdict}",
    success='result == "pass"',
    failure='result == "fail"',
    interval=3,
    count=2,
    consecutive_error_limit=1,
)
GET = Metric(
    name="gate-get",
    url=f"{SERVER}/argo/get?svc={{{{args.service}}}}&a=b%20c",
    success="result.ok && result.score > 90",
)
PUT = Metric(
    name="gate-put-text",
    url=f"{SERVER}/argo/put",
    method="PUT",
    body="svc={{args.service}}",
    json_path="{$.data}",
    success="result.ok",
)
OAUTH = Metric(
    name="gate-oauth",
    url=f"{SERVER}/argo/oauth",
    token_url=f"{SERVER}/token",
    json_path="{$.verdict}",
    success='result == "pass"',
)


def shop(clock: Clock, call: Recorded, *, stable: str, revision: int, finish: float = 0.8) -> Rollout:
    """Return the recorded Rollout ``shop``; a weight took about 0.8 s to be carried out in those runs."""
    return Rollout(
        name="shop",
        steps=[
            SetWeight(25),
            Analysis(
                [POST],
                {
                    "service": "shop",
                    "ns": "default",
                    "replicas": "4",
                    "canary-hash": lambda rollout: rollout.hash,
                    "stable-hash": lambda rollout: rollout.stable,
                },
            ),
            SetWeight(50),
            Analysis([GET, PUT, OAUTH], {"service": "shop"}),
        ],
        background=Analysis([BACKGROUND], starting_step=1),
        stable=stable,
        revision=revision,
        clock=clock,
        call=call,
        settle=0.8,
        finish=finish,
    )


def check_requests(recorded: Recorded, leave_out: frozenset[int] = frozenset()) -> None:
    """Every recorded request was made, in the recorded order, within 1.1 s of its time, with its body."""
    assert recorded.missed(leave_out) == []
    assert recorded.swapped(tolerance=0.4) == []
    assert recorded.late(seconds=1.1) == []
    recorded_bodies = {request["n"]: request["json"] for request in recorded.requests}
    for asked in recorded.asked:
        if isinstance(asked.body, dict):
            assert asked.body == recorded_bodies[asked.n]


def start(name: str, **options: Any) -> tuple[Recorded, Clock, float]:
    """Return a capture's answers, a clock 0.8 s before its first request, and that request's time."""
    requests = capture(name)["requests"]
    clock = Clock(now=requests[0]["t"] - 0.8)
    return Recorded(requests=requests, clock=clock, **options), clock, requests[0]["t"]


def compare_runs(rollout: Rollout, name: str) -> None:
    """The runs of *rollout* have names, labels and status of the recorded runs of the same names."""
    ours = {run.name: run for run in rollout.runs}
    theirs = [run for run in capture(name)["analysisRuns"] if run["name"] in ours]
    assert {run["name"] for run in theirs} == set(ours)
    for run in theirs:
        played = ours[run["name"]]
        assert status_of(played) == recorded_status(run)
        assert played.kind == run["labels"]["rollout-type"]
        assert str(played.step_index) == run["labels"].get("step-index", "None")


def test_a_passing_canary() -> None:
    """All pass: background, two measurements 3 s apart, then three metrics at once; promoted step by step."""
    recorded, clock, t = start("argo_canary_pass_requests.json")
    rollout = shop(clock, recorded, stable="86d74fb498", revision=1).update("5c5d897d47")
    rollout.run(until=t + 30)
    check_requests(recorded)
    assert [weight for _, weight in rollout.weights] == [25, 50, 100]
    assert (rollout.phase, rollout.stable) == (RolloutPhase.HEALTHY, "5c5d897d47")
    compare_runs(rollout, "argo_analysisruns_pass.json")


def test_fail_error_and_inconclusive() -> None:
    """A failed measurement aborts at once, errors after 10 s and the limit, neither condition pauses."""
    recorded, clock, t = start("argo_canary_fail_error_inconclusive_requests.json")
    rollout = shop(clock, recorded, stable="5c5d897d47", revision=2)

    rollout.update("5567567c6d").run(until=t + 2)
    failed = capture("argo_rollout_aborted_object.json")["rollout"]["status"]
    assert (rollout.phase, rollout.message) == (failed["phase"], failed["message"])
    assert (rollout.step, rollout.weight, rollout.aborted) == (failed["currentStepIndex"], 0, failed["abort"])
    compare_runs(rollout, "argo_analysisruns_abort.json")

    rollout.update("5c5d897d47").run(until=t + 4.0)
    assert rollout.phase is RolloutPhase.HEALTHY
    assert len(recorded.asked) == 2

    rollout.update("6f8d4f5785").run(until=t + 18)
    assert rollout.phase.value == "Degraded"
    assert "consecutiveErrors (2) > consecutiveErrorLimit (1)" in rollout.message
    assert "received non 2xx response code: 500" in rollout.message

    rollout.update("5c5d897d47").run(until=t + 20.0)
    rollout.update("8fdc57686").run(until=t + 70.6)
    assert (rollout.phase, rollout.pauses) == (RolloutPhase.PAUSED, {"InconclusiveAnalysisRun"})
    assert (rollout.weight, rollout.step) == (25, 1)
    check_requests(recorded)


def test_resume_user_abort_and_retry() -> None:
    """A resumed step is measured anew; a user's abort awaits the answer; a retry begins at step 0."""
    aborts: list[float] = []

    def user_aborts() -> None:
        aborts.append(rollout.clock.now)
        rollout.abort()

    name = "argo_abort_retry_bluegreen_requests.json"
    recorded, clock, t = start(name, during={77: user_aborts})
    bluegreen = frozenset({86, 87, 88, 89})  # another object and a strategy that the model leaves out

    # It stood in the inconclusive pause, background measurements going on, and was resumed after 36.6 s.
    rollout = shop(clock, recorded, stable="5c5d897d47", revision=4, finish=1.4)
    held: list[bool] = [True]
    asked = recorded.__call__

    def call(method: str, url: str, body: Any) -> Any:
        if held[0] and "/argo/post" in url:
            return 200, {}, b'{"verdict": "inconclusive"}'
        return asked(method, url, body)

    rollout.call = call
    rollout.update("8fdc57686").run(until=t + 36.6)
    assert rollout.phase is RolloutPhase.PAUSED
    held[0] = False
    rollout.resume()
    rollout.run(until=t + 43.7)
    assert (rollout.phase, rollout.stable) == (RolloutPhase.HEALTHY, "8fdc57686")
    assert [run.name for run in rollout.runs if run.step_index == 1][-1].endswith("-1.1")

    rollout.update("577cc5d7f").run(until=t + 55)
    interrupted = rollout.runs[-1]
    assert len(aborts) == 1
    assert (rollout.phase, rollout.weight) == (RolloutPhase.DEGRADED, 0)
    assert (interrupted.phase, interrupted.message) == (Phase.SUCCESSFUL, "Run Terminated")
    assert [m.phase for m in interrupted.results["gate-post-json"].measurements] == [Phase.SUCCESSFUL]

    rollout.run(until=t + 55.85)
    rollout.retry()
    rollout.run(until=t + 66)
    assert (rollout.phase, rollout.stable) == (RolloutPhase.HEALTHY, "577cc5d7f")
    check_requests(recorded, leave_out=bluegreen)


def three_valued(url: str) -> Metric:
    """Return the metric of the recorded ClusterAnalysisTemplate."""
    return Metric(
        name="weighbridge",
        url=url,
        method="POST",
        json_body={
            "release": {
                "namespace": "{{args.namespace}}",
                "name": "{{args.name}}",
                "revision": "{{args.canary-hash}}",
                "step": "{{args.step}}",
                "rev": "{{args.revision}}",
                "weight": "",
            },
            "stage": "step",
        },
        success='result.verdict == "promote"',
        failure='result.verdict == "abort"',
        interval=3,
        count=3,
        inconclusive_limit=3,
        consecutive_success_limit=1,
    )


def test_three_verdicts_and_a_retry() -> None:
    """Promote promotes, hold pauses after three polls, abort aborts, a retry asks the same again."""
    recorded, clock, t = start("argo_cluster_template_verdicts.json")
    outcomes = capture("argo_cluster_template_verdicts.json")["meta"]["outcomes"]
    clock.now = t
    metric = three_valued(f"{SERVER}/argo/analysis")
    rollout = Rollout(
        name="shop2",
        steps=[SetWeight(25), Analysis([metric], identity()), SetWeight(50), Analysis([metric], identity())],
        background=Analysis([metric], identity()),
        stable="6c54bd4f4b",
        clock=clock,
        call=recorded,
        settle=0.3,
    )
    rollout.update("77db79d599").run(until=t + 20)
    assert (rollout.phase.value, rollout.stable) == (outcomes[0]["rollout"], "77db79d599")
    assert [(run.phase, run.results["weighbridge"].count) for run in rollout.runs] == [(Phase.SUCCESSFUL, 1)] * 3

    rollout.run(until=t + 25.1)
    rollout.update("5578b4f7f6").run(until=t + 45)
    assert f"{rollout.phase} {', '.join(rollout.pauses)}" == outcomes[1]["rollout"]
    held = rollout.runs[3:]
    assert [(run.phase, run.results["weighbridge"].count) for run in held] == [(Phase.INCONCLUSIVE, 3)] * 2

    rollout.run(until=t + 45.4)
    rollout.update("5c8b98569").run(until=t + 60.5)
    assert f"{rollout.phase} {rollout.message}" == outcomes[2]["rollout"]
    assert rollout.step == outcomes[2]["currentStepIndex"]

    rollout.retry()
    rollout.run(until=t + 70)
    assert rollout.runs[-1].name == "shop2-5c8b98569-4.1"
    assert recorded.asked[-1].body == recorded.asked[-2].body
    check_requests(recorded)
