"""The Flagger model against what the real controller, v1.44.0, sent tick by tick."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.shared_data import capture

from .flagger import Canary, CanaryPhase
from .flagger_hooks import Hook, HookType
from .replay import Recorded
from .wire import Clock

SERVER = "http://127.0.0.1:28081"
PROMETHEUS = "flagger_prometheus_queries.json"
SUCCESS_RATE, DURATION = "success-rate", "duration"


def hook(kind: HookType, path: str, name: str, **options: Any) -> Hook:
    """Return a hook of the recording server."""
    return Hook(type=kind, name=name, url=f"{SERVER}{path}", **options)


def every_hook(prefix: str, **rollout: Any) -> list[Hook]:
    """Return the hooks of the recorded canaries ``web`` and ``edge``, in their order."""
    return [
        hook(HookType.EVENT, f"{prefix}/event", "ev"),
        hook(HookType.CONFIRM_ROLLOUT, f"{prefix}/confirm-rollout", "confirm-rollout"),
        hook(HookType.PRE_ROLLOUT, f"{prefix}/pre-rollout?x=1", "pre"),
        hook(HookType.ROLLOUT, f"{prefix}/rollout", "roll", **rollout),
        hook(HookType.ROLLOUT, f"{prefix}/untyped", "untyped"),
        hook(HookType.CONFIRM_TRAFFIC_INCREASE, f"{prefix}/confirm-traffic-increase", "cti"),
        hook(HookType.CONFIRM_PROMOTION, f"{prefix}/confirm-promotion", "cp"),
        hook(HookType.ROLLBACK, f"{prefix}/rollback", "rb"),
        hook(HookType.POST_ROLLOUT, f"{prefix}/post-rollout", "post"),
    ]


def visible(payload: Mapping[str, Any] | None) -> tuple[Any, ...]:
    """Return what of a payload tells one call from another."""
    if payload is None:
        return ()
    own = payload.get("metadata") or {}
    return (
        payload["name"],
        payload["namespace"],
        payload["phase"],
        payload["checksum"],
        own.get("eventMessage"),
        own.get("eventType"),
    )


def check_requests(recorded: Recorded) -> None:
    """The model made all the recorded requests, in exactly that order, with the recorded content."""
    theirs = [(r["n"], r["target"], visible(r["json"])) for r in recorded.requests]
    ours = [(asked.n, asked.target, visible(asked.body)) for asked in recorded.asked]
    assert ours == theirs
    assert recorded.late(seconds=1.5) == []


def checksums(*recorded: str) -> Callable[[str], str]:
    """Return the checksum rule of a capture: before anything is applied, then revision 1, 2, 3 ..."""
    return lambda revision: recorded[int(revision or 0)]


def marks(name: str, what: str) -> float:
    """Return the time of the mark whose text begins with *what*."""
    found: float = next(m["t"] for m in capture(name)["meta"]["marks"] if m["what"].startswith(what))
    return found


def test_blue_green_promoted_failed_and_rolled_back() -> None:
    """Provider kubernetes: promoted; two ticks of 500, rolled back on the third; rollback hook at once."""
    name = "flagger_kubernetes_bluegreen_requests.json"
    requests = capture(name)["requests"]
    clock = Clock(now=requests[0]["t"])
    recorded = Recorded(requests=requests, clock=clock)
    canary = Canary(
        name="web",
        provider="kubernetes",
        iterations=3,
        threshold=2,
        hooks=every_hook("/f", retries=1),
        clock=clock,
        call=recorded,
        checksum=checksums("758df7c9fc", "76994d9469", "744bbd7859", "66b8c49bc9", "5858b4967d"),
    )
    canary.run(until=marks(name, "web 1->2")).update("2").run(until=marks(name, "web 2->3"))
    assert (canary.phase, canary.promoted) == (CanaryPhase.SUCCEEDED, "2")
    canary.update("3").run(until=marks(name, "web 3->4"))
    assert (canary.phase, canary.promoted, len(canary.failed_at)) == (CanaryPhase.FAILED, "2", 2)
    canary.update("4").run(until=marks(name, "edge"))
    assert (canary.phase, canary.promoted, len(canary.failed_at)) == (CanaryPhase.FAILED, "2", 2)
    check_requests(recorded)


def test_weights_wait_at_every_confirm_hook_without_counting() -> None:
    """Provider nginx: refused at all three confirm hooks, nothing counted, pre-rollout repeated, promoted."""
    requests = capture("flagger_nginx_weights_requests.json")["requests"]
    start = requests[0]["t"]
    clock = Clock(now=start)
    recorded = Recorded(requests=requests, clock=clock)
    canary = Canary(
        name="edge",
        step_weight=30,
        max_weight=60,
        threshold=2,
        hooks=every_hook("/g"),
        clock=clock,
        call=recorded,
        checksum=checksums("758df7c9fc", "65457b7c79", "5974bc7f59"),
    )
    canary.run(until=start + 15).update("2").run(until=start + 35)
    assert canary.phase is CanaryPhase.WAITING
    canary.run(until=start + 115)
    assert (canary.phase, canary.weight) == (CanaryPhase.WAITING_PROMOTION, 60)
    canary.run(until=start + 200)
    assert (canary.phase, canary.promoted, canary.failed_at) == (CanaryPhase.SUCCEEDED, "2", [])
    assert [weight for _, weight in canary.weights] == [30, 60, 0]
    check_requests(recorded)


def test_without_counting_hooks_an_outage_does_nothing() -> None:
    """A server gone for 25 s moves neither weight nor failed checks; then rollback acts on its tick."""
    document = capture("flagger_no_counting_hooks_requests.json")
    requests = document["requests"]
    start = requests[0]["t"]
    clock = Clock(now=start)
    recorded = Recorded(requests=requests, clock=clock, down=lambda t: start + 52 <= t < start + 77)
    canary = Canary(
        name="edge",
        step_weight=5,
        max_weight=50,
        threshold=2,
        hooks=[
            hook(HookType.EVENT, "/g/event", "wb-event"),
            hook(HookType.CONFIRM_ROLLOUT, "/g/confirm-rollout", "wb-start"),
            hook(HookType.CONFIRM_TRAFFIC_INCREASE, "/g/confirm-traffic-increase", "wb-step"),
            hook(HookType.CONFIRM_PROMOTION, "/g/confirm-promotion", "wb-last"),
            hook(HookType.ROLLBACK, "/g/rollback", "wb-abort"),
            hook(HookType.POST_ROLLOUT, "/g/post-rollout", "wb-reason"),
        ],
        clock=clock,
        call=recorded,
        checksum=checksums("758df7c9fc", "65457b7c79", "5974bc7f59"),
    )
    canary.run(until=start + 15).update("2").run(until=start + 55)
    before = (canary.phase, canary.weight, canary.failed_checks)
    canary.run(until=start + 77)
    assert (canary.phase, canary.weight, canary.failed_checks) == before == (CanaryPhase.PROGRESSING, 15, 0)
    canary.run(until=start + 130)
    assert (canary.phase, canary.weight, canary.failed_at) == (CanaryPhase.FAILED, 0, [])
    check_requests(recorded)
    said = [event.message for event in canary.events]
    for mark in document["meta"]["marks"]:
        quoted = mark.split("'")[1::2]
        assert quoted
        assert set(quoted) <= set(said)


def metric_check(recorded: Recorded, query: str, passes: Callable[[float], bool]) -> Callable[[], str | None]:
    """Return a metric check that asks the recorded Prometheus; the value is a text in the last element."""
    targets = [r["target"] for r in recorded.requests if r["method"] == "GET" and query in r["target"]]

    def check() -> str | None:
        status, _, body = recorded("GET", f"{SERVER}{targets[0]}", None)
        value = float(json.loads(body)["data"]["result"][-1]["value"][1])
        return None if status < 400 and passes(value) else f"{query} {value}"

    return check


def test_metrics_pre_rollout_and_slow_hooks() -> None:
    """Failing metrics, a pre-rollout 204, a 400 and time-outs all count, also while promotion waits."""
    own = capture("flagger_kubernetes_metrics_edges_requests.json")["requests"]
    queries = [r for r in capture(PROMETHEUS)["requests"] if r["n"] > 1]
    requests: Sequence[Mapping[str, Any]] = sorted([*own, *queries], key=lambda r: r["n"])
    clock = Clock(now=queries[0]["t"])
    recorded = Recorded(requests=requests, clock=clock)
    # The probe runs twice while the primary comes up; a wrong value there stops nothing.
    probe = f"{SERVER}{queries[0]['target']}"

    def ask_probe() -> None:
        recorded("GET", probe, None)

    canary = Canary(
        name="met",
        provider="kubernetes",
        iterations=3,
        threshold=2,
        hooks=[
            hook(HookType.PRE_ROLLOUT, "/h/pre-rollout?x=1", "pre"),
            hook(HookType.ROLLOUT, "/h/rollout", "roll", timeout=5.0, retries=1),
            hook(HookType.CONFIRM_PROMOTION, "/h/confirm-promotion", "cp"),
            hook(HookType.ROLLBACK, "/h/rollback", "rb"),
            hook(HookType.POST_ROLLOUT, "/h/post-rollout", "post"),
        ],
        clock=clock,
        call=recorded,
        probe=ask_probe,
        checksum=checksums("", "", "bcd4f74db", "5cccd74949", "66b8687698"),
    )
    success = metric_check(recorded, "http_request_duration_seconds_count", lambda value: value >= 99)
    duration = metric_check(recorded, "histogram_quantile", lambda value: value <= 0.5)
    template = metric_check(recorded, "gate_score", lambda _: True)

    canary.checks = [success, duration]
    start = own[0]["t"]
    canary.run(until=start - 15).update("2").run(until=start + 100)
    assert (canary.phase, len(canary.failed_at)) == (CanaryPhase.FAILED, 2)
    canary.run(until=start + 165).update("3").run(until=start + 300)
    assert (canary.phase, len(canary.failed_at)) == (CanaryPhase.FAILED, 4)
    canary.checks, canary.iterations, canary.threshold = [success, template], 1, 10
    canary.run(until=start + 812).update("4").run(until=start + 845)
    assert canary.phase is CanaryPhase.WAITING_PROMOTION
    canary.run(until=start + 1_000)
    assert (canary.phase, len(canary.failed_at)) == (CanaryPhase.FAILED, 14)
    check_requests(recorded)
    said = [event.message for event in canary.events]
    assert 'Halt met.default advancement external check roll failed {"reason": "p95 +40%"}' in said
    assert "Halt met.default advancement pre-rollout check pre failed " in said
