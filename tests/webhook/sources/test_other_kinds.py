"""Rates over time, ratios and levels as a running Prometheus answers them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.policy import Gauge, Rate, Ratio, Select
from tests.webhook.sources.scene import (
    BASELINE,
    CANARY,
    NEW,
    SCRAPE,
    STABLE,
    STABLE2,
    T0,
    codes,
    entries,
    policy,
)
from webhook.recording import Recorder
from webhook.releases import Attempt
from webhook.schema.request import Ask
from webhook.stores.memory import MemoryStore

RESTARTS = Rate(name="restarts", events="restarts_total{$side}", exposure="time")
UP = [1.0] * 9


def state_metrics(scene, pod, values):
    """Return restarts of a pod as kube-state-metrics tells them: under a job and instance of its own."""
    return scene.series("restarts_total", pod, values, job="kube-state-metrics", instance="ksm:8080")


def test_restarts_are_events_beside_replica_seconds(scene):
    """Each pod counts 30 s of every look of 30 s, whoever publishes its restarts."""
    scene.write(
        scene.up(STABLE, UP), scene.up(NEW, UP),
        state_metrics(scene, STABLE, [0.0] * 9), state_metrics(scene, NEW, [0, 0, 0, 1, 1, 1, 1, 2, 3]),
    )  # fmt: skip
    closed = scene.closed(policy(RESTARTS), 4)
    assert codes(closed, "restarts") == [None] * 4
    assert entries(closed, "baseline", "restarts") == [{STABLE: {"events": 0, "exposure": 30}}] * 4
    found = [look[NEW] for look in entries(closed, "canary", "restarts")]
    assert found == [{"events": n, "exposure": 30} for n in (0, 1, 0, 2)]


def test_a_crashing_pod_that_is_no_target_has_time_as_long_as_it_is_known(scene):
    """Targets of crashing pods come and go; its restarts are counted in the time in which it is published."""
    scene.write(
        scene.up(STABLE, UP), scene.up(NEW, [1.0, 1.0, 1.0, None, None, None, None, None, None]),
        state_metrics(scene, STABLE, [0.0] * 9), state_metrics(scene, NEW, [0, 0, 0, 1, 2, 2, 3, 3, 4]),
    )  # fmt: skip
    closed = scene.closed(policy(RESTARTS), 4)
    assert codes(closed, "restarts") == [None] * 4
    found = [look[NEW] for look in entries(closed, "canary", "restarts")]
    assert found == [{"events": n, "exposure": 30} for n in (0, 2, 1, 1)]


def test_a_pod_that_is_gone_has_no_more_time(scene):
    """Staleness ends both; a pod born in a look counts from there."""
    scene.write(
        scene.up(STABLE, [1.0] * 5 + [None] * 4), scene.up(STABLE2, dict.fromkeys(range(3, 9), 1.0)), scene.up(NEW, UP),
        state_metrics(scene, STABLE, [0.0] * 5 + [None] * 4),
        state_metrics(scene, STABLE2, dict.fromkeys(range(3, 9), 0.0)),
        state_metrics(scene, NEW, [0.0] * 9),
    )  # fmt: skip
    found = entries(scene.closed(policy(RESTARTS), 4), "baseline", "restarts")
    assert [{pod: values["exposure"] for pod, values in look.items()} for look in found] == [
        {STABLE: 30},
        {STABLE: 30, STABLE2: 30},
        {STABLE2: 30},
        {STABLE2: 30},
    ]


def test_hidden_replicas_have_the_time_of_all(scene):
    """Three pods behind one line are three seconds a second."""
    hidden = replace(RESTARTS, select=Select(replica=()))
    for pod in (STABLE, STABLE2, NEW):
        scene.write(scene.up(pod, UP), state_metrics(scene, pod, [0.0] * 9))
    closed = scene.closed(policy(hidden), 2)
    assert entries(closed, "baseline", "restarts")[1] == {"": {"events": 0, "exposure": 60}}
    assert entries(closed, "canary", "restarts")[1] == {"": {"events": 0, "exposure": 30}}


def test_a_ratio_is_the_growth_of_two_counters(scene):
    """Both are differenced; the quotient is left to the arithmetic."""
    orders = Ratio(name="orders", numerator="value_sum{$side}", denominator="value_count{$side}")
    for pod, value in ((STABLE, 7.5), (NEW, 2.5)):
        scene.write(
            scene.up(pod, UP),
            scene.series("value_sum", pod, [1000 + value * k for k in range(9)]),
            scene.series("value_count", pod, [50 + 2 * k for k in range(9)]),
        )
    closed = scene.closed(policy(orders), 2)
    assert entries(closed, "baseline", "orders")[1] == {STABLE: {"numerator": 15.0, "denominator": 4}}
    assert entries(closed, "canary", "orders")[1] == {NEW: {"numerator": 5.0, "denominator": 4}}


def test_a_level_is_the_mean_of_its_look(scene):
    """Any expression with ``$side``, of a pod or of the whole side; levels may be negative."""
    asked = policy(
        Gauge(name="heat", query="heat{$side}"), Gauge(name="all", query="sum(heat{$side})", select=Select())
    )
    scene.write(
        scene.series("heat", STABLE, [0, 1, 2, 3, 4]),
        scene.series("heat", STABLE2, [0, 10, 20, 30, 40]),
        scene.series("heat", NEW, [-5.0, -1, -2, -3, -4]),
    )
    closed = scene.closed(asked, 2)
    assert entries(closed, "baseline", "heat")[0] == {STABLE: {"values": 1.5}, STABLE2: {"values": 15}}
    assert entries(closed, "canary", "heat")[1] == {NEW: {"values": -3.5}}
    assert entries(closed, "baseline", "all")[0] == {"": {"values": 16.5}}


def extended(scene, asked, steps):
    """Return what reading a release of the scene comes to."""
    attempt = Attempt(
        cluster="", namespace=scene.namespace, name="shop", revision=CANARY, attempt=1, caller="argo",
        stable_revision=BASELINE,
    )  # fmt: skip
    pinned = replace(asked, digest="e" * 64)
    return Recorder(scene.source, MemoryStore()).extend(attempt, pinned, Ask(), T0 + steps * SCRAPE, lambda: 20.0)


@pytest.mark.parametrize("query", ["heat{$side}", "sum by (pod) (2 * heat{$side})", "sum(heat{$side})"])
def test_a_policy_of_levels_alone_finds_cadence_and_start(scene, query):
    """Nothing counts requests and no target carries the pods' labels: the series itself shows when the canary began."""
    scene.write(
        scene.series("heat", STABLE, [float(k % 7) for k in range(121)]),
        scene.series("heat", NEW, {k: float(k % 5) for k in range(60, 121)}),
    )
    found = extended(scene, policy(Gauge(name="heat", query=query)), 120)
    assert (found.fault, found.hold) == ("", "")
    assert found.frame["scrape"] == SCRAPE
    assert found.record.grid.start == T0 + 59 // 2 * 2 * SCRAPE
    heat = found.record.questions["heat"]
    assert heat.visible == ("by" in query or "sum" not in query)
    assert np.isfinite(heat.canary.fields["values"]).sum() >= 29
    assert heat.history.fields["values"].shape[1] >= 20
