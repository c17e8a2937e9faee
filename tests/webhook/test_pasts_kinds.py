"""Before and after of other kinds against a running Prometheus: native histograms, events over time, info series."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.past import DAY, read
from tests.contract.scene import RELEASE, Scene
from tests.native_histograms import Histogram, time_series
from tests.prometheus_server import running
from webhook.errors import SourceDown
from webhook.sources.prometheus import PrometheusSource

SCRAPE = 60
SWITCH = 1_763_600_400.0 + 15 * DAY
"""When all traffic moves from blue to green."""
DAYS = 5
BEGIN, GREEN, END = SWITCH - (DAYS + 0.3) * DAY, SWITCH - 300, SWITCH + 3600
BLUE = f"checkout-{RELEASE['stable_revision']}-9bq2h"
FRESH = f"checkout-{RELEASE['revision']}-c6fzt"
LIVES = {BLUE: (BEGIN, SWITCH + 300), FRESH: (GREEN, END)}
SLOTS = range(-9, -2)
"""Buckets that end at powers of the root of two: 44 to 354 ms."""
PER_MINUTE = 0.5
"""Restarts of a pod."""


def labels(pod):
    return {"namespace": "shop", "pod": pod, "job": "pods", "instance": f"{pod}:8080"}


def serves(pod, times):
    return times <= SWITCH if pod == BLUE else times > SWITCH


def counters(worse):
    """Yield series: restarts of both pods, and requests that only an info series names."""
    rng = np.random.default_rng(6)
    for pod, (begin, end) in LIVES.items():
        times = np.arange(begin, end + 1, SCRAPE).tolist()
        grown = np.cumsum(rng.poisson(PER_MINUTE * (worse if pod == FRESH else 1.0), len(times))).tolist()
        yield {"__name__": "restarts_total", **labels(pod)}, list(zip(times, grown, strict=True))
        yield {"__name__": "up", **labels(pod)}, [(time, 1.0) for time in times]
        for name, where, many in (("checkout", f"{pod}:8080", 3000), ("other", f"other-{pod[-5:]}:8080", 90_000)):
            heap = np.cumsum(np.where(serves(pod, np.array(times)), many, 0)).tolist()
            target = {"job": "pods", "instance": where}
            for code, share in (("200", 0.99), ("500", 0.01)):
                told = [(time, count * share) for time, count in zip(times, heap, strict=True)]
                yield {"__name__": "calls_total", "code": code, **target}, told
            replica = pod if name == "checkout" else pod.replace("checkout", "other")
            info = {"__name__": "target_info", "namespace": "shop", "k8s_pod_name": replica, **target}
            yield info, [(time, 1.0) for time in times]


def publish(server, worse):
    """Push native histograms, hour by hour, since late samples of them are refused."""
    slower = 4 if worse > 1 else 0  # two doublings
    heaps = {pod: dict.fromkeys(range(min(SLOTS), max(SLOTS) + 5), 0) for pod in LIVES}
    rng = np.random.default_rng(3)
    shares = np.array([1, 3, 6, 8, 6, 3, 1]) / 28
    for hour in np.arange(BEGIN, END, 3600.0):
        series = []
        for pod, (begin, end) in LIVES.items():
            times = np.arange(max(begin, hour), min(end + 1, hour + 3600), SCRAPE)
            samples = {}
            for time in times.tolist():
                if serves(pod, np.array(time)):
                    for slot, count in zip(SLOTS, rng.multinomial(3000, shares).tolist(), strict=True):
                        heaps[pod][slot + (slower if pod == FRESH else 0)] += count
                kept = {slot: count for slot, count in heaps[pod].items() if count}
                samples[time] = Histogram(schema=1, buckets=kept)
            if samples:
                series.append(time_series({"__name__": "latency_seconds", **labels(pod)}, samples))
        server.write_raw(series)


@pytest.fixture(scope="module", params=[1.0, 8.0], ids=["alike", "worse"])
def served(request):
    with running(features=["native-histograms"]) as server:
        publish(server, request.param)
        for one in counters(request.param):
            server.write([one])
        yield request.param, server.url


LATENCY = {"name": "latency", "kind": "latency", "histogram": "latency_seconds{$side}"}
RESTARTS = {"name": "restarts", "kind": "rate", "events": "restarts_total{$side}", "exposure": "time"}
CALLS = {
    "name": "calls", "kind": "proportion", "bad": 'calls_total{$side, code=~"5.."}', "total": "calls_total{$side}",
    "select": {"by": "k8s-pod", "baseline": 'k8s_pod_name=~"$name-$baseline-[a-z0-9]{5}"',
               "canary": 'k8s_pod_name=~"$name-$canary-[a-z0-9]{5}"'},
    "replica_from": {"series": "target_info", "match": ["job", "instance"], "label": "k8s_pod_name"},
}  # fmt: skip


def asked(url, question, *, at=SWITCH + 3000, spoil=lambda queries: None, **policy):
    """Ask once after the switch; return the scene, the whole report and what the record keeps."""
    scene = Scene(source=PrometheusSource(url))
    fetch = scene.source.fetch

    def heard(queries, span, timeout):
        spoil(queries)
        return fetch(queries, span, timeout)

    scene.source.fetch = heard
    scene.clock.now = at
    many = question if isinstance(question, list) else [question]
    body = {
        "apiVersion": "weighbridge/v1", "name": "kinds", "controller": "argo", "noise": {"history": "1h", "days": DAYS},
        "looks": {"scrape": "60s", "warm_up": "0s"}, "questions": many, **policy,
    }  # fmt: skip
    answer = scene.argo(stage="post", policy=body)
    report = scene.get(f"/v1/reports/{answer.json['id']}?format=json").json
    document = scene.store.attempt(("", RELEASE["namespace"], RELEASE["name"], RELEASE["revision"]), 1)
    return scene, report, next(iter(document["records"].values()))


def test_a_native_histogram_has_a_past(served):
    """Five earlier days in the bounds that the record pinned: an equal release is no worse, a slow one is."""
    worse, url = served
    _, report, frame = asked(url, LATENCY)
    assert frame["native"] == {"latency": True}
    evidence = report["detail"]["evidence"][0]
    assert "before and after" in evidence["flags"]
    assert evidence["noise"]["days"] == DAYS
    found = read(frame["notes"]["latency"]["past"])
    assert np.nanmedian(found.whole) == pytest.approx(3000 * 5, rel=0.01)
    middle = np.nansum(found.part, axis=1) / np.nansum(found.whole, axis=1)
    assert np.exp(middle) == pytest.approx(2 ** (-6 / 2 - 0.25), rel=0.02)
    assert evidence["effect"]["estimate"] == pytest.approx(4.0 if worse > 1 else 1.0, rel=0.05)
    assert evidence["state"] in (("worse", "degraded") if worse > 1 else ("undecided", "no_worse"))
    assert report["reason"].startswith("latency 42" if worse > 1 else "latency 10")
    assert " ms since, 10" in report["reason"]
    assert worse > 1 or "5 earlier days: 1.33x at best, more time will not help" in report["reason"]


def test_events_over_time_have_a_past(served):
    """Restarts per pod-hour: events and replica-seconds of earlier days, whatever hash their pods had."""
    worse, url = served
    _, report, frame = asked(url, RESTARTS)
    evidence = report["detail"]["evidence"][0]
    assert "before and after" in evidence["flags"]
    found = read(frame["notes"]["restarts"]["past"])
    assert found.backs == tuple(range(DAYS + 1))
    assert np.nanmedian(found.whole) == 300.0
    assert np.nansum(found.part) / np.nansum(found.whole) * 60 == pytest.approx(PER_MINUTE, rel=0.1)
    assert evidence["effect"]["low"] < (worse if worse > 1 else 1.0) < evidence["effect"]["high"]
    assert evidence["state"] in (("worse", "degraded") if worse > 1 else ("undecided", "no_worse"))


def test_the_past_of_an_info_series_is_that_of_the_workload(served):
    """Thirty times the requests of another workload, under the same metric and job, are not read."""
    _, url = served
    _, report, frame = asked(url, CALLS)
    assert "before and after" in report["detail"]["evidence"][0]["flags"]
    found = read(frame["notes"]["calls"]["past"])
    assert np.nanmedian(found.whole) == pytest.approx(3000 * 5, rel=0.01)


def test_a_native_past_that_fails_takes_nothing_from_others(served):
    """The largest answer is asked for by itself, and again at the next verdict."""
    _, url = served
    down = []

    def spoil(queries):
        if any("latency_seconds" in query.expr and query.field.startswith("past") for query in queries):
            down.append(len(queries))
            raise SourceDown("too much")

    _, _, frame = asked(url, [LATENCY, RESTARTS], spoil=spoil)
    assert "past" in frame["notes"]["restarts"]
    assert "past" not in frame["notes"]["latency"]
    assert (frame["past_tries"], "past" in frame, down) == (1, False, [DAYS + 1])


@pytest.mark.parametrize("served", [1.0], ids=["alike"], indirect=True)
@pytest.mark.parametrize("question", [LATENCY, RESTARTS], ids=["native histogram", "events over time"])
@pytest.mark.parametrize("then", ["hold", "abort", {"promote_if": 50.0}], ids=["hold", "abort", "promote_if"])
def test_a_deadline_ends_the_wait(served, question, then):
    """Past its deadline the policy's word counts; a hold says what is missing and that a person decides."""
    _, url = served
    word = then if isinstance(then, str) else "promote"
    noise = {"history": "1h", "days": DAYS if word == "promote" else 0}
    _, report, _ = asked(url, question, deadline={"after": "30m", "then": then}, noise=noise)
    assert report["verdict"] == word
    if word == "hold":
        assert "more time will not help; past its deadline: a person decides" in report["reason"]
