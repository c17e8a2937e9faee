"""The source in memory answers as Prometheus would."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.closing import close_looks
from analysis.policy import Gauge, Group, Latency, Limit, Limits, Select
from analysis.series import scrape_interval, start_of_presence
from tests.webhook.sources.scene import LOOK, NEW, STABLE, T0, codes, entries, error_rate, policy
from webhook import queries
from webhook.errors import SourceDown, SourceRefused
from webhook.ports import Span
from webhook.readings import readings
from webhook.sources.memory import MemorySource

NAMES = {"namespace": "shop", "name": "shop", "baseline": "6c54bd4f4b", "canary": "7d9b8c5f66"}
SPAN = Span(start=T0 + 15, end=T0 + 60, step=15.0)


def memory(numbers, **options):
    """Return a source of 15 s steps from T0 on."""
    return MemorySource(start=T0, step=15.0, numbers=numbers, **options)


def counted(bad=(1, 1, 1, 1), total=(10, 10, 10, 10)):
    """Return one stable and one new pod that count the same."""
    return {
        "error-rate": {
            "bad": {"baseline": {STABLE: bad}, "canary": {NEW: bad}},
            "total": {"baseline": {STABLE: total}, "canary": {NEW: total}},
        }
    }


def closed(source, asked, looks=2):
    """Return looks of 30 s."""
    answer = source.fetch(queries.plan(asked, NAMES, step=15.0), SPAN, 5.0)
    found = readings(asked, NAMES, answer)
    return close_looks(found, start=T0, ends=T0 + LOOK * np.arange(1, looks + 1))


def test_it_gives_the_rows_that_prometheus_gives(scene):
    """Counters, buckets and levels: the same questions to both sources close the same looks."""
    asked = policy(
        error_rate(),
        Latency(name="latency", histogram="lat{$side}", muted=True),
        Gauge(name="cpu", query="cpu{$side}", muted=True),
        Limits(
            name="limits",
            group=Group(any_of=True, members=(Limit(question="latency", max=1), Limit(question="cpu", max=1))),
        ),
    )
    for one in (STABLE, NEW):
        scene.write(
            *scene.steady(one, 4),
            scene.series("cpu", one, [0, 1, 2, 3, 4]),
            *(scene.series("lat_bucket", one, [k * n for k in range(5)], le=le) for le, n in (("0.5", 3), ("+Inf", 4))),
            scene.series("lat_count", one, [4 * k for k in range(5)]),
        )
    numbers = counted()
    numbers["latency"] = {"counts": {"baseline": {STABLE: [[3, 1]] * 4}, "canary": {NEW: [[3, 1]] * 4}}}
    numbers["cpu"] = {"values": {"baseline": {STABLE: [1, 2, 3, 4]}, "canary": {NEW: [1, 2, 3, 4]}}}
    found = closed(memory(numbers, edges={"latency": (0.5,)}), asked)
    expected = scene.closed(asked, 2)
    assert found.rows == expected.rows
    assert found.edges == expected.edges
    assert codes(found, "latency") == codes(found, "cpu") == [None, None]


def test_missing_numbers_are_no_points():
    """NaN is an absent sample."""
    found = closed(memory(counted(bad=[1, np.nan, np.nan, np.nan], total=[10, np.nan, np.nan, np.nan])), policy())
    assert entries(found, "canary") == [{NEW: {"bad": 1.0, "total": 10.0}}, {}]


def test_a_longer_step_adds_increments_and_keeps_the_last_level():
    """Asked every 30 s, two steps of 15 s are one."""
    source = memory(
        {**counted(bad=[1, 2, 3, 4]), "cpu": {"values": {"canary": {NEW: [1.0, 5.0, 6.0, np.nan]}}}},
    )
    span = Span(start=T0 + 30, end=T0 + 60, step=30.0)
    asked = queries.plan(
        policy(
            error_rate(),
            Gauge(name="cpu", query="x{$side}", muted=True),
            Limits(name="limits", group=Group(any_of=True, members=(Limit(question="cpu", max=1),))),
        ),
        NAMES,
        step=30.0,
    )
    answer = source.fetch(asked, span, 5.0)
    values = {query.field: [one.values.tolist() for one in points] for query, points in answer.points.items()}
    assert values["bad"] == [[3.0, 7.0]] * 2
    assert values["values"] == [[5.0, 6.0]]


def test_hidden_replicas_have_no_labels():
    """Where the policy names no replica label the one name is empty."""
    source = memory({"error-rate": {f: {s: {"": [1] * 4} for s in ("baseline", "canary")} for f in ("bad", "total")}})
    found = closed(source, policy(select=Select(replica=())))
    assert entries(found, "baseline") == [{"": {"bad": 2.0, "total": 2.0}}] * 2


def test_it_tells_scrape_start_and_label():
    """The questions about the release itself are answered from the same numbers."""
    late = np.array([np.nan] * 20 + [1.0] * 40)
    source = memory(
        {"error-rate": {"total": {"baseline": {STABLE: np.ones(60)}, "canary": {NEW: late}}}}, labels=("status",)
    )
    asked = policy(error_rate(bad=('x{$side, LABEL=~"5.."}',), total="x{$side}", label=("code", "status")))
    at = T0 + 900
    scrape, start = queries.scrape_query(asked, NAMES), queries.start_query(asked, NAMES, 15.0)
    label = queries.label_query(asked, NAMES, "error-rate")
    now = source.fetch([scrape, label], Span(start=at, end=at, step=15.0), 5.0).points
    assert scrape_interval(now[scrape][0].values) == 15.0
    assert queries.pick_label(asked, "error-rate", now[label]) == "status"
    (seen,) = source.fetch([start], queries.start_span(at, 15.0), 5.0).points[start]
    assert start_of_presence(seen.times, 15.0, 120.0) == T0 + 300


def test_faults_can_be_played():
    """Down, slow, partial, and well again; nothing waits."""
    source = memory(counted())
    asked = queries.plan(policy(), NAMES, step=15.0)
    source.fail()
    with pytest.raises(SourceDown, match="taken down"):
        source.fetch(asked, SPAN, 5.0)
    source.fail(SourceRefused("no"))
    with pytest.raises(SourceRefused, match="no"):
        source.ping(5.0)
    source.recover()
    source.slow(9.0)
    with pytest.raises(SourceDown, match=r"no answer within 5\.0 s"):
        source.fetch(asked, SPAN, 5.0)
    assert source.fetch(asked, SPAN, 10.0).seconds == 9.0
    source.recover()
    source.partial("half")
    assert codes(closed(source, policy())) == ["partial", "partial"]
    source.recover()
    assert codes(closed(source, policy())) == [None, None]
    assert len(source.asked) == 5
