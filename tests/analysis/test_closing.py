"""Which looks can be used, and what their rows hold."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.closing import close_looks, workload
from analysis.errors import InvalidInput
from analysis.record import Grid, from_rows
from analysis.series import SIDE_LABEL, Reading, Series
from analysis.types import Side

NAN = float("nan")
ENDS = np.array([30.0, 60.0])
STEPS = np.array([15.0, 30.0, 45.0, 60.0])


def line(side, values, pod="", **labels):
    """Return one series; NaN is an absent point, ``None`` a NaN."""
    there = [i for i, value in enumerate(values) if value is None or not np.isnan(value)]
    numbers = np.array([NAN if values[i] is None else float(values[i]) for i in there])
    return Series(labels={SIDE_LABEL: side, "pod": pod, **labels}, times=STEPS[there], values=numbers)


def counted(total, bad=(), **options):
    """Return the reading of a proportion."""
    return Reading(
        **{
            "fields": {"total": total, "bad": bad},
            "whole": "total",
            "replica": ("pod",),
            "metric": "r_total",
            **options,
        }
    )


BOTH = [line("baseline", [1, 2, 3, 4], "s"), line("canary", [1, 1, 1, 1], "c")]


def close(reading, **options):
    """Return the two looks of one question."""
    return close_looks({"q": reading}, start=0.0, ends=ENDS, **options)


def reasons(closed):
    """Return the code by look."""
    return [row["left_out"].get("q", [None])[0] for row in closed.rows]


def side(closed, name):
    """Return one side's entries by look."""
    return [row["questions"]["q"][name] for row in closed.rows]


def test_sums_by_look_and_replica():
    """Increments of a look are added; a part that has no series is zero where the whole lives."""
    closed = close(counted([*BOTH, line("baseline", [NAN, NAN, 5, 5], "t")]))
    assert side(closed, "baseline") == [
        {"s": {"total": 3.0, "bad": 0.0}},
        {"s": {"total": 7.0, "bad": 0.0}, "t": {"total": 10.0, "bad": 0.0}},
    ]
    assert reasons(closed) == [None, None]


def test_rows_are_what_a_record_reads():
    """Closed rows go through JSON into a record and come out as arrays."""
    closed = close(counted(BOTH, [line("canary", [NAN, 1, 0, 0], "c")]))
    rows = json.loads(json.dumps(closed.rows, allow_nan=False))
    record = from_rows(Grid(start=0.0, length=30.0), rows, asked=["q"], noise={})
    assert record.ends.tolist() == [30.0, 60.0]
    assert record.questions["q"].side(Side.CANARY).total("bad").tolist() == [1.0, 0.0]
    assert record.questions["q"].side(Side.BASELINE).total("total").tolist() == [3.0, 7.0]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"missing": "label code absent"}, "missing", id="missing"),
        pytest.param({"partial": "half"}, "partial", id="partial"),
        pytest.param({"unseparated": "same"}, "unseparated", id="unseparated"),
        pytest.param({"overlap": [Series(labels={}, times=STEPS, values=np.ones(4))]}, "overlap", id="overlap"),
    ],
)
def test_looks_that_mean_nothing_hold_no_numbers(changes, code):
    """A reason to distrust every number keeps them all out."""
    closed = close(replace(counted(BOTH), **changes))
    assert reasons(closed) == [code, code]
    assert side(closed, "baseline") == side(closed, "canary") == [{}, {}]


def test_overlap_counts_by_look():
    """A pod that is on both sides in one look spoils that look only."""
    closed = close(counted([*BOTH, line("canary", [NAN, NAN, 1, 1], "s")]))
    assert reasons(closed) == [None, "overlap"]


PRESENT = {
    "renamed": [line("canary", [1, 1, 1, 1], "c")],
    "gap": [line("canary", [0, 0, 0, 0], "c")],
    "no_series": [line("baseline", [1, 1, 1, 1], "s")],
}


@pytest.mark.parametrize("code", PRESENT)
def test_a_silent_side(code):
    """What ``up`` says tells a renamed metric, failed scrapes and an absent side apart."""
    closed = close(counted(BOTH[:1], presence=PRESENT[code]))
    assert reasons(closed) == [code, code]
    assert side(closed, "baseline")[0] == {"s": {"total": 3.0, "bad": 0.0}}


def test_nan_of_one_replica_leaves_the_others():
    """A replica without a usable number is absent from the look."""
    closed = close(counted([*BOTH, line("canary", [None, 1, 1, 1], "d")]))
    assert [set(look) for look in side(closed, "canary")] == [{"c"}, {"c", "d"}]
    assert closed.notes == {"q": {"unreadable": 1}}


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(line("canary", [5, 0, 0, 0], "c"), id="larger than its whole"),
        pytest.param(line("canary", [5, 0, 0, 0], "other"), id="without a whole"),
    ],
)
def test_parts_and_wholes(part):
    """A part must lie within its whole."""
    assert reasons(close(counted(BOTH, [part]))) == ["inconsistent_counters", None]


@pytest.mark.parametrize("value", [-1.0, np.inf], ids=["negative", "infinite"])
def test_impossible_increments_are_nan(value):
    """A number that no counter can grow by is not one."""
    assert reasons(close(counted([BOTH[0], line("canary", [value, 1, 1, 1], "c")]))) == ["nan", None]


def test_of_copies_the_fullest_is_used_in_every_field():
    """Per look one identity of a replica is taken, for the part as for the whole."""
    total = [*BOTH, line("canary", [10, NAN, 10, 10], "c", job="b"), line("canary", [20, 20, 20, NAN], "c", job="a")]
    bad = [line("canary", [3, NAN, NAN, NAN], "c", job="b"), line("canary", [4, NAN, 4, NAN], "c", job="a")]
    closed = close(counted([total[0], *total[2:]], bad))
    assert side(closed, "canary") == [{"c": {"total": 40.0, "bad": 4.0}}, {"c": {"total": 20.0, "bad": 0.0}}]
    assert closed.notes == {"q": {"duplicates": 1}}


def test_a_part_that_is_scraped_elsewhere_is_found():
    """Errors counted by another exporter than the requests are still errors."""
    closed = close(
        counted(
            [BOTH[0], line("canary", [9, 9, 9, 9], "c", job="proxy")], [line("canary", [1, 1, 0, 0], "c", job="app")]
        )
    )
    assert [look["c"]["bad"] for look in side(closed, "canary")] == [2.0, 0.0]


def buckets(name, pod, counts, bounds=("0.1", "1", "+Inf")):
    """Return cumulative increments per bound, the same at every step."""
    return [line(name, [count] * 4, pod, le=bound) for bound, count in zip(bounds, counts, strict=True)]


def histogram(*series, **options):
    """Return the reading of a histogram."""
    return Reading(**{"fields": {"counts": [one for part in series for one in part]}, "replica": ("pod",), **options})


def test_buckets_are_counts_between_common_bounds():
    """Bounds are numbers, only those of every replica are used, and counts are not cumulative."""
    closed = close(
        histogram(
            buckets("baseline", "s", (5, 7, 9), ("0.10", "1.0", "+Inf")),
            buckets("canary", "c", (1, 2, 3, 4), ("0.1", "0.5", "1", "+Inf")),
        )
    )
    assert closed.edges == {"q": (0.1, 1.0)}
    assert side(closed, "baseline") == [{"s": {"counts": [10.0, 4.0, 4.0]}}] * 2
    assert side(closed, "canary") == [{"c": {"counts": [2.0, 4.0, 2.0]}}] * 2


def test_pinned_bounds_do_not_move():
    """A release that drops a bound is left out; it does not redraw what was counted before."""
    changed = histogram(
        buckets("baseline", "s", (5, 7, 9)), buckets("canary", "c", (1, 4), ("0.1", "+Inf")), edges=(0.1, 1.0)
    )
    closed = close(changed)
    assert closed.rows[0]["left_out"]["q"] == ["missing", "canary c lacks a bucket bound that was pinned"]


def test_buckets_that_shrink_are_inconsistent():
    """A wider bucket cannot hold less than a narrower one."""
    assert (
        reasons(close(histogram(buckets("baseline", "s", (5, 4, 9)), buckets("canary", "c", (1, 2, 4)))))
        == ["inconsistent_counters"] * 2
    )


def test_sides_without_a_common_bound_cannot_be_compared():
    """Nothing is counted by bounds that only one side has."""
    closed = close(
        histogram(buckets("baseline", "s", (5, 9), ("0.1", "+Inf")), buckets("canary", "c", (1, 4), ("0.2", "+Inf")))
    )
    assert closed.rows[0]["left_out"]["q"] == ["missing", "the two sides share no bucket bound"]
    assert side(closed, "baseline") == [{}, {}]


def test_levels_are_means_of_what_was_seen():
    """NaN points of a gauge or a quantile say nothing; a look of only those is left out."""
    values = [line("baseline", [1, 3, NAN, 5], "s"), line("canary", [None, 4, None, None], "c")]
    closed = close(Reading(fields={"values": values}, replica=("pod",)))
    assert side(closed, "baseline") == [{"s": {"values": 2.0}}, {"s": {"values": 5.0}}]
    assert side(closed, "canary") == [{"c": {"values": 4.0}}, {}]
    assert reasons(closed) == [None, "nan"]


@pytest.mark.parametrize(
    ("replica", "expected"),
    [
        ("shop-6c54bd4f4b-x7k2p", "shop"),
        ("shop-worker-6c54bd4f4b-x7k2p", "shop-worker"),
        ("eu/shop-primary-6c54bd4f4b-x7k2p", "shop-primary"),
        ("node-agent-x7k2p", "node-agent"),
        ("db-0", None),
        ("10.0.0.7:8080", None),
        ("", None),
    ],
)
def test_workload(replica, expected):
    """Kubernetes writes the workload into a pod's name."""
    assert workload(replica) == expected


def test_two_workloads_on_a_side_are_named():
    """Pods of NAME and NAME-worker are not one side."""
    total = [BOTH[1], *(line("baseline", [1] * 4, f"{name}-6c54bd4f4b-x7k2p") for name in ("shop", "shop-worker"))]
    assert close(counted(total)).rows[0]["left_out"]["q"] == [
        "two_workloads",
        "the baseline selector takes pods of shop and shop-worker",
    ]


def test_reasons_stay_short():
    """However many and long the names are, a reason is one line of under 200 characters."""
    names = ["x" * 200 + str(n) for n in range(50)]
    total = [line(name, [1] * 4, pod) for pod in names for name in ("baseline", "canary")]
    text = close(counted(total)).rows[0]["left_out"]["q"][1]
    assert len(text) < 200
    assert "and 47 more" in text


@pytest.mark.parametrize("ends", [[0.0], [30.0, 30.0], [[30.0]]], ids=["before the start", "not rising", "shape"])
def test_ends_must_rise(ends):
    """Boundaries come from the grid."""
    with pytest.raises(InvalidInput, match="ends of looks must rise"):
        close_looks({}, start=0.0, ends=ends)


VALUES = st.lists(st.one_of(st.just(NAN), st.none(), st.integers(0, 9)), min_size=4, max_size=4)


@given(
    st.lists(st.tuples(st.sampled_from(["baseline", "canary"]), st.sampled_from("abc"), VALUES, VALUES), max_size=8),
    st.lists(st.tuples(st.sampled_from(["baseline", "canary"]), VALUES), max_size=2),
)
def test_one_at_a_time_equals_all_at_once(lines, up):
    """Whatever is read, closing looks one by one gives the rows of closing them together, and strict JSON."""
    reading = counted(
        [line(name, values, pod, job=str(n)) for n, (name, pod, values, _) in enumerate(lines)],
        [line(name, values, pod, job=str(n)) for n, (name, pod, _, values) in enumerate(lines)],
        presence=[line(name, values, "x") for name, values in up],
    )
    whole = close(reading).rows
    parts = [close_looks({"q": reading}, start=start, ends=[end]).rows[0] for start, end in ((0.0, 30.0), (30.0, 60.0))]
    assert list(whole) == parts
    json.dumps(whole, allow_nan=False)
