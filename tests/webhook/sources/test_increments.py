"""Growth of counters as Prometheus computes it: one test per way in which a counter can mislead."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.policy import Group, Latency, Limits, Select
from analysis.series import increments
from tests.webhook.sources.scene import (
    BAD,
    NEW,
    STABLE,
    STABLE2,
    T0,
    codes,
    entries,
    error_rate,
    policy,
)
from webhook import queries
from webhook.ports import Span

NAN = float("nan")
UP = [1.0] * 12


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([100, 110, 4, 6, 6], [10, 4, 2, 0], id="a restart counts from 0"),
        pytest.param([100, 3, 110, 1, 9], [3, 107, 1, 8], id="resets inside one look"),
        pytest.param([0, 0, 1, 1, 2], [0, 1, 0, 1], id="exact, nothing extrapolated"),
        pytest.param([1e15, 1e15 + 1, 1e15 + 3, 2, 3], [1, 2, 2, 1], id="large counters keep single events"),
        pytest.param([5, 7, None, 11, 12], [2, -1, 4, 1], id="a failed scrape: growth is seen later, not lost"),
        pytest.param([5, 7, None, 3, 4], [2, -1, 3, 1], id="a restart during a failed scrape"),
        pytest.param({0: 5, 1: 7, 3: 11, 4: 12}, [2, 0, 4, 1], id="a late scrape: growth is seen later"),
        pytest.param([5, 7, None, None, None], [2, -1, -1, -1], id="a vanished pod keeps what it earned"),
        pytest.param([5, NAN, 7, 9, 10], [NAN, NAN, 2, 1], id="NaN is not zero, before nor after"),
    ],
)
def test_growth_of_one_counter(scene, values, expected):
    """A step holds what was counted since the sample before it."""
    scene.write(scene.counter(STABLE, values))
    np.testing.assert_array_equal(scene.increments(policy(), "total", 4)[STABLE], expected)


def test_a_first_error_ever_is_an_event(scene):
    """A bad series that is born under a pod which was scraped a moment ago counts from 0."""
    scene.write(
        scene.up(STABLE, UP),
        scene.counter(STABLE, [10, 20, 30, 40, 50]),
        scene.counter(STABLE, {3: 2.0, 4: 3.0}, code="500"),
    )
    assert scene.increments(policy(), "bad", 4)[STABLE] == [-1, -1, 2, 1]
    assert scene.increments(policy(), "total", 4)[STABLE] == [10, 10, 12, 11]


def test_a_pod_born_under_observation_counts_from_zero(scene):
    """A pod that was scraped before its first request: its first value is growth."""
    scene.write(scene.up(NEW, UP), scene.counter(NEW, {2: 7.0, 3: 9.0, 4: 9.0}))
    assert scene.increments(policy(), "total", 4)[NEW] == [-1, 7, 2, 0]


def test_a_pod_found_late_does_not_bring_its_past(scene):
    """A pod that was never scraped before: what it counted earlier is not ours, so its first value is skipped."""
    scene.write(scene.up(NEW, {2: 1.0, 3: 1.0, 4: 1.0}), scene.counter(NEW, {2: 7000.0, 3: 7002.0, 4: 7002.0}))
    assert scene.increments(policy(), "total", 4)[NEW] == [-1, -1, 2, 0]


@pytest.mark.parametrize(
    ("up", "expected"),
    [
        pytest.param([1.0, 0.0, 1.0, 1.0], [-1, 7, 2], id="scraped before it failed: born since"),
        pytest.param([0.0, 0.0, 1.0, 1.0], [-1, -1, 2], id="never scraped: what it counted before is not ours"),
    ],
)
def test_a_birth_after_a_failed_scrape(scene, up, expected):
    """Only a successful scrape proves that a series was not there before."""
    scene.write(scene.up(NEW, up), scene.counter(NEW, {2: 7.0, 3: 9.0}))
    assert scene.increments(policy(), "total", 3)[NEW] == expected


def test_nan_of_another_metric_spoils_its_own_part(scene):
    """A part that is not of the total's family is watched for NaN by itself."""
    asked = policy(error_rate(bad=("http_errors_total{$side}",)))
    scene.write(
        scene.counter(STABLE, [10, 20, 30, 40, 50]),
        scene.series("http_errors_total", STABLE, [1000, 1001, NAN, 1003, 1004]),
    )
    np.testing.assert_array_equal(scene.increments(asked, "bad", 4)[STABLE], [1, NAN, NAN, 1])
    np.testing.assert_array_equal(scene.increments(asked, "total", 4)[STABLE], [10, 10, 10, 10])


def test_fractions_do_not_turn_negative(scene):
    """Seconds of CPU over many label sets: rounding of the sums neither loses nor poisons a look."""
    asked = policy(error_rate(bad=("cpu_seconds_total{$side}",)))
    for one in (STABLE, NEW):
        scene.write(
            scene.counter(one, [1000.0 * k for k in range(5)]),
            *(
                scene.series("cpu_seconds_total", one, [1e6 + n / 7] * 4 + [1e6 + n / 7 + 0.1], cpu=str(n))
                for n in range(20)
            ),
        )
    found = [look[NEW]["bad"] for look in entries(scene.closed(asked, 2), "canary")]
    assert found == pytest.approx([0.0, 2.0], abs=1e-6)


def test_the_scrape_of_another_job_proves_nothing(scene):
    """A pod's sidecar was scraped; the counters of the application, whose job came later, do not count from 0."""
    scene.write(
        scene.up(NEW, UP, job="sidecar"), scene.up(NEW, {2: 1.0, 3: 1.0}), scene.counter(NEW, {2: 7000.0, 3: 7001.0})
    )
    assert scene.increments(policy(), "total", 3)[NEW] == [-1, -1, 1]


def test_label_sets_that_come_and_go_are_no_resets(scene):
    """Under a pod that lives, the sum falls when a label set goes; nothing is counted twice when it returns."""
    scene.write(
        scene.up(STABLE, UP),
        scene.counter(STABLE, [100, 110, 120, 130, 140, 150], path="/a"),
        scene.counter(STABLE, [5000, 5001, None, None, 5004, 5005], path="/b"),
        scene.counter(STABLE, [70, 71, None, 2, 3, 3], path="/c"),
    )
    assert scene.increments(policy(), "total", 5)[STABLE] == [12, 10, 12, 14, 11]


def test_parts_of_bad_are_added_and_an_absent_one_counts_nothing(scene):
    """Several disjoint selectors make one count."""
    asked = policy(error_rate(bad=(BAD, 'http_requests_total{$side, code="429"}', "never_seen_total{$side}")))
    scene.write(
        scene.up(STABLE, UP),
        scene.counter(STABLE, [10, 20, 30]),
        scene.counter(STABLE, [0, 1, 3], code="500"),
        scene.counter(STABLE, [0, 5, 6], code="429"),
    )
    assert scene.increments(asked, "bad", 2)[STABLE] == [6, 3]


def test_counters_without_an_up_series_are_born_under_their_siblings(scene):
    """Where ``up`` does not carry the pod, another series of the same target proves the scrape."""
    scene.write(
        scene.counter(STABLE, [10, 20, 30]),
        scene.counter(STABLE, {2: 4.0}, code="500"),
        scene.counter(STABLE2, {2: 900.0}),
    )
    assert scene.increments(policy(), "total", 2) == {STABLE: [10, 14]}


def test_hidden_replicas_are_one_sum(scene):
    """With replicas hidden all instances are added up, and a new label set counts from 0 under a known instance."""
    asked = policy(select=Select(replica=()))
    scene.write(
        scene.counter(STABLE, [10, 20, 30]),
        scene.counter(STABLE2, [10, 12, 14]),
        scene.counter(STABLE2, {2: 3.0}, code="500"),
    )
    answer = scene.fetch(asked, 2)
    totals = [one for query, points in answer.points.items() if query.field == "total" for one in points]
    assert [one.values.tolist() for one in totals] == [[12.0, 15.0]]


def test_buckets_grow_like_counters(scene):
    """A latency's buckets are differenced per bound, births and restarts included."""
    latency = Latency(name="latency", histogram="http_request_duration_seconds{$side}", muted=True)
    limits = Limits(name="limits", group=Group(any_of=True, members=(queries.Limit(question="latency", max=1.0),)))
    asked = policy(latency, limits)
    for one, scale in ((STABLE, 10), (NEW, 1)):
        scene.write(
            *(
                scene.series("http_request_duration_seconds_bucket", one, [k * n * scale for k in range(5)], le=le)
                for le, n in (("0.1", 5), ("0.5", 8), ("1", 9), ("+Inf", 10))
            ),
            scene.series("http_request_duration_seconds_count", one, [k * 10 * scale for k in range(5)]),
        )
    closed = scene.closed(asked, 2)
    assert closed.edges == {"latency": (0.1, 0.5, 1.0)}
    assert entries(closed, "baseline", "latency") == [{STABLE: {"counts": [100, 60, 20, 20]}}] * 2
    assert entries(closed, "canary", "latency") == [{NEW: {"counts": [10, 6, 2, 2]}}] * 2


def test_looks_hold_the_steps_that_end_in_them(scene):
    """What was scraped up to a boundary belongs to the look before it."""
    scene.write(*scene.steady(STABLE, 8, total=20), *scene.steady(NEW, 8, total=2))
    closed = scene.closed(policy(), 4)
    assert codes(closed) == [None] * 4
    assert entries(closed, "baseline") == [{STABLE: {"bad": 2.0, "total": 40.0}}] * 4
    assert entries(closed, "canary") == [{NEW: {"bad": 2.0, "total": 4.0}}] * 4


def test_no_bad_series_is_zero_where_the_total_lives(scene):
    """A pod without a single error has 0 bad events, not none."""
    scene.write(scene.counter(STABLE, [0, 10, 20]), scene.counter(NEW, [0, 1, 2]))
    assert entries(scene.closed(policy(), 1), "canary") == [{NEW: {"bad": 0.0, "total": 2.0}}]


MOVES = st.lists(st.one_of(st.integers(0, 50), st.sampled_from(["restart", "absent", "nan"])), min_size=24, max_size=24)
_namespaces = itertools.count()


def scraped(moves):
    """Return a counter's samples ``(step, value)`` after random growth, restarts, failed scrapes and NaN."""
    value, samples = 0.0, []
    for k, move in enumerate(moves):
        value = 0.0 if move == "restart" else value + (move if isinstance(move, int) else 1)
        if move != "absent":
            samples.append((k, NAN if move == "nan" else value))
    return samples


def slow_growth(samples, n):
    """Return by the definition what one counter grew by in each step."""
    steps = [k for k, _ in samples]
    grown = np.zeros(n)
    grown[steps] = increments([15.0 * k for k in steps], [v for _, v in samples], seen_before=[k > 0 for k in steps])
    last = np.zeros(n)  # a source shows the last sample until the next: an absent one prolongs a NaN
    for k in range(n):
        last[k] = dict(samples).get(k, last[k - 1] if k else 0.0)
    return np.where(np.isnan(last) | np.isnan(np.roll(last, 1)), NAN, grown)


@given(counters=st.lists(MOVES, min_size=1, max_size=4))
@settings(max_examples=20)
def test_the_expression_equals_the_definition(prometheus, source, counters):
    """On random counters, restarts, gaps and NaN included, Prometheus computes what `increments` defines."""
    n = 24
    names = {"namespace": f"random-{next(_namespaces)}", "name": "shop", "baseline": "x", "canary": "y"}
    target = {"__name__": "http_requests_total", "namespace": names["namespace"], "pod": "shop-x-bbbbb"}
    # One more series is there at every scrape, so that every birth is seen.
    written = [({**target, "code": "100"}, [(T0 + 15 * k - 5, 1.0) for k in range(n)])]
    slow = np.zeros(n)
    for number, moves in enumerate(counters):
        samples = scraped(moves)
        written.append(({**target, "code": f"2{number:02}"}, [(T0 + 15 * k - 5, v) for k, v in samples]))
        slow += slow_growth(samples, n)
    prometheus.write(written)
    span = Span(start=T0 + 15, end=T0 + 15 * (n - 1), step=15.0)
    query = next(q for q in queries.plan(policy(), names, step=15.0) if q.field == "total")
    (points,) = source.fetch([query], span, 20.0).points[query]
    np.testing.assert_array_equal(points.values, slow[1:])
