"""Ways in which two sides fail to be two sides: each is left out with its own reason, and none reads as data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.closing import close_looks
from analysis.policy import Gauge, Group, Limit, Limits, Select
from analysis.series import scrape_interval, start_of_presence
from tests.webhook.sources.scene import (
    BAD,
    BASELINE,
    CANARY,
    LOOK,
    NEW,
    NEW2,
    SCRAPE,
    STABLE,
    STABLE2,
    T0,
    TOTAL,
    by_name,
    codes,
    entries,
    error_rate,
    pod,
    policy,
)
from webhook import queries
from webhook.ports import Span
from webhook.readings import readings


def reason(closed, question="error-rate"):
    """Return code and text of the last look."""
    return closed.rows[-1]["left_out"][question]


def test_the_same_pods_on_both_sides_overlap(scene):
    """Selectors that both take a pod are named with the pod, and no number is kept."""
    asked = policy(select=by_name("shop-.*", "shop-.*-.*"))
    scene.write(*scene.steady(STABLE, 4), *scene.steady(STABLE2, 4))
    closed = scene.closed(asked, 2)
    assert reason(closed) == [
        "overlap",
        f"{STABLE} and {STABLE2} on both sides: the selectors of baseline and canary overlap",
    ]
    assert entries(closed, "baseline") == entries(closed, "canary") == [{}, {}]


def test_the_same_words_on_both_sides_are_unseparated(scene):
    """Two equal selectors are told without looking at data."""
    asked = policy(select=by_name("shop-.*", "shop-.*"))
    scene.write(*scene.steady(STABLE, 4))
    assert codes(scene.closed(asked, 2)) == ["unseparated"] * 2


def test_overlap_is_seen_where_replicas_are_hidden(scene):
    """Without replica names the source itself counts the series that both sides select."""
    asked = policy(
        select=Select(baseline='namespace="$namespace"', canary='namespace="$namespace", pod=~"shop.*"', replica=())
    )
    scene.write(*scene.steady(STABLE, 4))
    assert reason(scene.closed(asked, 2))[0] == "overlap"


def test_hidden_replicas_that_are_apart_are_data(scene):
    """One total per side, under the empty name."""
    asked = policy(select=Select(replica=()))
    scene.write(*scene.steady(STABLE, 4), *scene.steady(STABLE2, 4), *scene.steady(NEW, 4))
    closed = scene.closed(asked, 2)
    assert codes(closed) == [None, None]
    assert entries(closed, "baseline") == [{"": {"bad": 4.0, "total": 40.0}}] * 2
    assert entries(closed, "canary") == [{"": {"bad": 2.0, "total": 20.0}}] * 2


def test_an_empty_canary_has_no_series(scene):
    """A side without pods holds with its own reason; the other side's numbers are shown."""
    scene.write(*scene.steady(STABLE, 4))
    closed = scene.closed(policy(), 2)
    assert reason(closed) == ["no_series", "no series of http_requests_total on the canary side"]
    assert entries(closed, "baseline") == [{STABLE: {"bad": 2.0, "total": 20.0}}] * 2


@pytest.mark.parametrize("name", ["baseline", "canary", "namespace"])
def test_an_empty_hash_is_an_error_of_its_own(scene, name):
    """A selector that would match everything or nothing is never sent."""
    scene.names[name] = ""
    with pytest.raises(queries.EmptySelector, match=rf"a selector uses \${name}, which is empty"):
        scene.fetch(policy(), 2)


def test_a_renamed_metric_is_told_from_a_missing_side(scene):
    """The canary is scraped, but nothing of it carries the metric."""
    scene.write(
        *scene.steady(STABLE, 4),
        scene.up(NEW, [1.0] * 5),
        scene.series("http_server_requests_total", NEW, [1, 2, 3, 4, 5], code="200"),
    )
    closed = scene.closed(policy(), 2)
    assert reason(closed) == ["renamed", "canary is scraped but has no http_requests_total: renamed, or no traffic yet"]


def test_failed_scrapes_are_a_gap(scene):
    """A canary whose every scrape failed in a look is neither gone nor renamed."""
    scene.write(
        *scene.steady(STABLE, 6),
        scene.up(NEW, [1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]),
        scene.counter(NEW, [0, 1, 2, None, None, 8, 9]),
    )
    closed = scene.closed(policy(), 3)
    assert codes(closed) == [None, "gap", None]
    assert [look.get(NEW, {}).get("total") for look in entries(closed, "canary")] == [2.0, None, 7.0]


def test_name_against_worker_and_primary(scene):
    """The default selectors never take the pods of NAME-worker or NAME-primary."""
    others = [pod("shop-worker", BASELINE, "bbbbb"), pod("shop-primary", CANARY, "bbbbb")]
    for one in (STABLE, NEW, *others):
        scene.write(*scene.steady(one, 4))
    closed = scene.closed(policy(), 2)
    assert codes(closed) == [None, None]
    assert [set(look) for look in entries(closed, "baseline")] == [{STABLE}] * 2
    assert [set(look) for look in entries(closed, "canary")] == [{NEW}] * 2


@pytest.mark.parametrize("other", ["shop-worker", "shop-primary"])
def test_a_loose_selector_that_takes_two_workloads_names_both(scene, other):
    """Pods of two workloads on one side hold, with the names of both."""
    asked = policy(select=by_name(f"shop.*-{BASELINE}-.*", f"shop-{CANARY}-.*"))
    for one in (STABLE, NEW, pod(other, BASELINE, "ccccc")):
        scene.write(*scene.steady(one, 4))
    assert reason(scene.closed(asked, 2)) == ["two_workloads", f"the baseline selector takes pods of shop and {other}"]


def test_flagger_takes_the_target_and_its_primary(scene):
    """The canary is $target, the baseline $target-primary; a worker is neither, and the target defaults to the name."""
    asked = policy(controller="flagger")
    primary, worker = pod("shop-primary", BASELINE, "bbbbb"), pod("shop-worker", CANARY, "bbbbb")
    for one in (primary, NEW, worker):
        scene.write(*scene.steady(one, 4))
    closed = scene.closed(asked, 2)
    assert codes(closed) == [None, None]
    assert set(entries(closed, "baseline")[0]) == {primary}
    assert set(entries(closed, "canary")[0]) == {NEW}


@pytest.mark.parametrize(
    "copy",
    [
        pytest.param({"job": "shop-canary"}, id="stable and canary Service"),
        pytest.param({"prometheus_replica": "b"}, id="twin of the scraper"),
        pytest.param({"instance": "twin:9090"}, id="second port"),
    ],
)
def test_copies_of_one_pod_are_not_added(scene, copy):
    """A pod that is scraped twice counts once; that it came twice is noted."""
    scene.write(*scene.steady(STABLE, 4), *scene.steady(NEW, 4))
    scene.write(
        scene.counter(STABLE, [9000, 9009, 9018, 9027, 9036], at=-1, **copy),
        scene.counter(STABLE, [90, 91, 92, 93, 94], code="500", at=-1, **copy),
    )
    closed = scene.closed(policy(), 2)
    assert entries(closed, "baseline") == [{STABLE: {"bad": 2.0, "total": 20.0}}] * 2
    assert closed.notes == {"error-rate": {"duplicates": 1}}


def test_copies_by_service_are_told_by_up(scene):
    """A label of the scrape (on ``up``) tells copies apart; the same label of an application is summed over."""
    scene.write(*scene.steady(NEW, 4))
    for service in ("shop", "shop-canary"):
        scene.write(
            scene.up(STABLE, [1.0] * 5, service=service),
            scene.counter(STABLE, [0, 10, 20, 30, 40], service=service),
        )
    probe = queries.identity_query(policy(), scene.names)
    found = scene.source.fetch([probe], Span(start=T0 + 60, end=T0 + 60, step=1.0), 5.0).points[probe]
    assert queries.identity_labels(found) == ("service",)
    assert entries(scene.closed(policy(), 2), "baseline")[1][STABLE]["total"] == 40.0
    closed = scene.closed(policy(), 2, identity=("service",))
    assert entries(closed, "baseline")[1][STABLE]["total"] == 20.0


def test_disagreeing_copies_are_named(scene):
    """Two workers behind one port, or two registries, are no copies: it is said."""
    scene.write(*scene.steady(NEW, 4))
    for job, rate in (("a", 10), ("b", 400)):
        scene.write(scene.counter(STABLE, [k * rate for k in range(5)], job=job))
    assert scene.closed(policy(), 2).notes["error-rate"] == {"duplicates": 1, "disagreeing": [STABLE]}


def test_nan_on_a_whole_side_is_said(scene):
    """NaN is neither zero nor absence; one replica's NaN leaves the others."""
    nan = float("nan")
    scene.write(*scene.steady(STABLE, 4), *scene.steady(NEW, 4))
    scene.write(scene.counter(NEW, [1.0, 1.0, 1.0, nan, nan], code="304"))
    scene.write(*scene.steady(NEW2, 2))
    scene.write(scene.counter(NEW2, {3: None}), scene.counter(NEW2, {3: None}, code="500"))
    closed = scene.closed(policy(), 2)
    assert codes(closed) == [None, "nan"]
    assert set(entries(closed, "canary")[0]) == {NEW, NEW2}
    assert closed.notes["error-rate"]["unreadable"] == 1


def test_bad_beyond_total_is_inconsistent(scene):
    """More errors than requests: the look is left out."""
    asked = policy(error_rate(bad=("http_errors_total{$side}",)))
    for one, rate in ((STABLE, 1), (NEW, 30)):
        scene.write(
            scene.counter(one, [10.0 * k for k in range(5)]),
            scene.series("http_errors_total", one, [rate * k for k in range(5)]),
        )
    assert reason(scene.closed(asked, 2)) == ["inconsistent_counters", f"canary {NEW}: a part exceeds its whole"]


def test_a_partial_answer_is_left_out(scene):
    """What the source calls partial closes no look."""
    scene.write(*scene.steady(STABLE, 4), *scene.steady(NEW, 4))
    answer = replace(scene.fetch(policy(), 4), warnings=("store 10.0.0.7 unreachable",))
    closed = close_looks(readings(policy(), scene.names, answer), start=T0, ends=T0 + LOOK * np.arange(1, 3))
    assert reason(closed) == ["partial", "the source says that its answer is partial: store 10.0.0.7 unreachable"]


def labels_of(scene, asked):
    """Return what the probe for labels shows."""
    probe = queries.label_query(asked, scene.names, "error-rate")
    return scene.source.fetch([probe], Span(start=T0 + 60, end=T0 + 60, step=1.0), 5.0).points[probe]


def test_label_is_found_on_the_total(scene):
    """LABEL is the first candidate that the total carries."""
    asked = policy(error_rate(bad=('http_requests_total{$side, LABEL=~"5.."}',), label=("code", "status")))
    scene.write(scene.series("http_requests_total", STABLE, [1, 2, 3, 4, 5], status="200"))
    assert queries.pick_label(asked, "error-rate", labels_of(scene, asked)) == "status"
    assert queries.absent_label(asked, "error-rate", labels_of(scene, asked)) == ""


def test_a_wrong_error_label_is_not_zero_errors(scene):
    """A matcher on a label that the metric lacks is told, with the labels that are there."""
    scene.write(
        *(scene.series("http_requests_total", one, [k * 10 for k in range(5)], status="200") for one in (STABLE, NEW))
    )
    said = queries.absent_label(policy(), "error-rate", labels_of(scene, policy()))
    assert said == "label code absent on http_requests_total; found status"
    without = policy(error_rate(bad=('http_requests_total{$side, LABEL=~"5.."}',), label=("code",)))
    assert codes(scene.closed(without, 2)) == ["missing", "missing"]


def test_levels_are_means_over_the_look(scene):
    """A gauge is averaged over the scrapes of a look, replica by replica."""
    asked = policy(
        Gauge(name="memory", query="process_resident_memory_bytes{$side}", muted=True),
        Limits(name="limits", group=Group(any_of=True, members=(Limit(question="memory", max=1.0),))),
    )
    scene.write(
        scene.series("process_resident_memory_bytes", STABLE, [0, 10, 20, 30, 50]),
        scene.series("process_resident_memory_bytes", NEW, [0, 1, 2, float("nan"), 5]),
    )
    closed = scene.closed(asked, 2)
    assert entries(closed, "baseline", "memory") == [{STABLE: {"values": 15.0}}, {STABLE: {"values": 40.0}}]
    assert entries(closed, "canary", "memory") == [{NEW: {"values": 1.5}}, {NEW: {"values": 5.0}}]


def test_looks_closed_one_by_one_equal_looks_closed_at_once(scene):
    """The cadence of asking changes nothing: births, restarts, gaps, copies and a side that comes late included."""
    scene.write(*scene.steady(STABLE, 16))
    scene.write(scene.counter(STABLE, [k * 9.0 for k in range(17)], at=-2, job="twin"))
    scene.write(
        scene.up(NEW, dict.fromkeys(range(3, 17), 1.0)),
        scene.counter(NEW, {4: 3, 5: 9, 6: 1, 7: None, 8: None, 9: 8, 10: 12, 11: float("nan"), 12: 1, 13: 2, 14: 9}),
        scene.counter(NEW, {9: 1, 10: 2}, code="503"),
    )
    whole = scene.closed(policy(), 8)
    single = [scene.closed(policy(), look + 1, first=look).rows[0] for look in range(8)]
    assert len(set(codes(whole))) > 2
    assert list(whole.rows) == single


@pytest.mark.parametrize(("seconds", "expected"), [(15, 15.0), (5, 5.0), (30, 30.0), (60, 60.0)])
def test_the_scrape_interval_is_measured(scene, seconds, expected):
    """The median number of samples in five minutes, snapped to intervals that are in use."""
    n = 600 // seconds
    scene.write(
        scene.counter(STABLE, {k * seconds / SCRAPE: float(k) for k in range(n)}),
        scene.counter(NEW, {k * seconds / SCRAPE: float(k) for k in range(n - 3, n)}),
    )
    query = queries.scrape_query(policy(), scene.names)
    at = T0 + 590
    (points,) = scene.source.fetch([query], Span(start=at, end=at, step=1.0), 5.0).points[query]
    assert scrape_interval(points.values) == expected


@pytest.mark.parametrize("asked_at", [3600, 3607, 3660, 7200, 18000])
def test_the_start_does_not_depend_on_when_it_is_asked(scene, asked_at):
    """The first sample of the canary after the last gap, on a fixed grid; a renamed metric has a start as well."""
    scene.write(*scene.steady(STABLE, 40))
    gone, seen = 10, 31
    scene.write(scene.up(NEW, dict.fromkeys((*range(gone), *range(seen, 241)), 1.0)))
    query = queries.start_query(policy(), scene.names, SCRAPE)
    found = scene.source.fetch([query], queries.start_span(T0 + asked_at, SCRAPE), 20.0).points[query]
    assert start_of_presence(found[0].times, SCRAPE, 120.0) == T0 + SCRAPE * (seen - 1)


def test_what_is_asked_parses(scene):
    """Every query of a policy with everything in it is PromQL that Prometheus accepts."""
    asked = policy(
        error_rate(bad=(BAD, 'http_requests_total{$side, code="429"}'), total=TOTAL, exclude='route!~"/healthz|/ready"')
    )
    answer = scene.fetch(asked, 4)
    assert {(query.question, query.field) for query in answer.points} == {
        ("", "presence"),
        ("error-rate", "bad"),
        ("error-rate", "total"),
    }
