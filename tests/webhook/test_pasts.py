"""Before and after against a running Prometheus that holds two weeks of a service: blue, then green."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.past import DAY, read
from tests.contract.scene import RELEASE, Scene
from tests.prometheus_server import running
from webhook.pasts import widened
from webhook.sources.prometheus import PrometheusSource

SCRAPE = 60
SWITCH = 1_763_600_400.0 + 15 * DAY
"""When all traffic moves from blue to green."""
GREEN = SWITCH - 300
"""When the green pods come up, without traffic."""
END = SWITCH + 7200
DAYS = 14
OLD, BLUE = "5c6d7f8b9d", RELEASE["stable_revision"]
CHANGED = SWITCH - 4.5 * DAY
"""When the release before this one was: until then the pods carried another hash."""


def swing(times):
    """Return the share of errors by the hour: every day it doubles in the hour of the switch."""
    hour = (times - SWITCH) % DAY / 3600
    return 0.01 * np.where(hour < 3, 2.0, 1.0)


def lines(pod, begin, end, served, share, rng):
    """Return counters of one pod from its start on; ``served`` says when it has traffic."""
    times = np.arange(begin, end + 1, SCRAPE)
    requests = np.where(served(times), rng.poisson(3000, times.size), 0)
    bad = rng.binomial(requests, share(times))
    labels = f'namespace="shop",pod="{pod}",job="pods",instance="{pod}"'
    for code, grown in (("200", np.cumsum(requests - bad)), ("500", np.cumsum(bad))):
        for time, value in zip(times.tolist(), grown.tolist(), strict=True):
            yield f'http_requests_total{{{labels},code="{code}"}} {value} {time:.3f}'


def up(pod, begin, end):
    for time in np.arange(begin, end + 1, SCRAPE).tolist():
        yield f'up{{namespace="shop",pod="{pod}",job="pods",instance="{pod}"}} 1 {time:.3f}'


def history(times_worse):
    """Return two weeks as OpenMetrics text: one pod of each hash after the other, and green ``times_worse`` as bad."""
    rng = np.random.default_rng(8)
    lives = [
        (f"checkout-{OLD}-4xk7w", SWITCH - (DAYS + 0.5) * DAY, CHANGED, 1.0, lambda t: t <= CHANGED),
        (f"checkout-{BLUE}-9bq2h", CHANGED, END, 1.0, lambda t: t <= SWITCH),
        (f"checkout-{RELEASE['revision']}-c6fzt", GREEN, END, times_worse, lambda t: t > SWITCH),
    ]
    text = ["# TYPE http_requests counter"]
    for pod, begin, end, worse, served in lives:
        text += lines(pod, begin, end, served, lambda t, worse=worse: np.minimum(1.0, swing(t) * worse), rng)
    text.append("# TYPE up gauge")
    for pod, begin, end, _, _ in lives:
        text += up(pod, begin, end)
    return "\n".join([*text, "# EOF", ""])


POLICY = {
    "apiVersion": "weighbridge/v1",
    "name": "blue-green",
    "controller": "argo",
    "noise": {"history": "1h"},
    "looks": {"scrape": "60s"},
    "questions": [
        {
            "name": "error-rate", "kind": "proportion", "weight": "critical",
            "bad": 'http_requests_total{$side, code=~"5.."}', "total": "http_requests_total{$side}",
        }
    ],
}  # fmt: skip


@pytest.fixture(scope="module", params=[1.0, 6.0], ids=["alike", "six times worse"])
def served(request):
    with running(openmetrics=history(request.param)) as server:
        yield request.param, server.url


def scene_at(url, at, **policy):
    """Ask once, after the switch; return the scene and the whole report."""
    scene = Scene(source=PrometheusSource(url))
    scene.clock.now = at
    answer = scene.argo(stage="post", policy={**POLICY, **policy})
    return scene, scene.get(f"/v1/reports/{answer.json['id']}?format=json").json


def past_of(scene):
    """Return what the record keeps of the time before."""
    document = scene.store.attempt(("", RELEASE["namespace"], RELEASE["name"], RELEASE["revision"]), 1)
    frame = next(iter(document["records"].values()))
    return read(frame["notes"]["error-rate"]["past"]), frame


def test_green_is_compared_with_the_same_hours_of_two_weeks(served):
    """Errors double at this hour on every day: an equal release is promoted, a bad one aborted, both since."""
    worse, url = served
    scene, report = scene_at(url, SWITCH + 3600)
    evidence = report["detail"]["evidence"][0]
    assert evidence["noise"]["days"] == DAYS
    assert "since" in report["reason"] or worse == 1.0
    assert report["verdict"] == ("promote" if worse == 1.0 else "abort")
    assert evidence["effect"]["low"] < worse < evidence["effect"]["high"]
    assert evidence["noise"]["shift"] > 0.4
    past, frame = past_of(scene)
    assert frame["past"] == list(range(1, DAYS + 1))
    shares = np.nansum(past.part, axis=1) / np.nansum(past.whole, axis=1)
    assert np.all((shares > 0.009) & (shares < 0.02))
    assert np.nanmedian(past.whole) == pytest.approx(3000 * 5, rel=0.03)


def test_the_past_is_read_once(served):
    """Later verdicts of the attempt ask for no earlier day again."""
    _, url = served
    scene, _ = scene_at(url, SWITCH + 1800, mode="advise")
    asked = []
    fetch = scene.source.fetch

    def heard(queries, span, timeout):
        asked.extend(query.field for query in queries)
        return fetch(queries, span, timeout)

    scene.source.fetch = heard
    scene.clock.now = SWITCH + 3000
    scene.argo(stage="post", policy={**POLICY, "mode": "advise"})
    assert asked
    assert not any(field.startswith("past") for field in asked)


def test_days_with_a_release_are_left_out(served):
    """A release of yesterday, known to the store, takes its day away."""
    _, url = served
    scene = Scene(source=PrometheusSource(url))
    scene.clock.now = SWITCH - DAY + 600
    scene.argo(release={**RELEASE, "revision": "7b8c9d4f5f"}, stage="post", policy=POLICY)
    scene.clock.now = SWITCH + 3600
    scene.argo(stage="post", policy=POLICY)
    past, _ = past_of(scene)
    assert 1 not in past.backs
    assert past.skipped == ((1, "release 7b8c9d4f5f"),)


def test_without_earlier_days_it_holds(served):
    """``noise: {days: 0}``: the drift is unknown, nothing is proved either way."""
    _, url = served
    _, report = scene_at(url, SWITCH + 3600, noise={"history": "1h", "days": 0})
    assert report["verdict"] == "hold"
    assert "drift unknown" in report["detail"]["flags"]


@pytest.mark.parametrize(
    ("matchers", "wide"),
    [
        ('pod=~"$name-$baseline-[a-z0-9]{5}"', 'pod=~"$name-[4-9bcdf]{1,10}-[a-z0-9]{5}"'),
        ('hash="$baseline", app="$name"', 'hash=~"[4-9bcdf]{1,10}", app="$name"'),
        ('version="v-$baseline"', 'version="v-$baseline"'),
        ('pod=~"$target-primary-.*"', 'pod=~"$target-primary-.*"'),
    ],
)
def test_the_widest_selector_stands_for_every_hash(matchers, wide):
    """Only where a hash stands alone, or within a regular expression."""
    assert widened(matchers) == wide
