"""Fixed limits: what they read, when they break, and when they cannot tell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import InvalidPolicy
from analysis.limits import KEPT, quantile, requests, value_of, weigh
from analysis.policy import Gauge, Group, Latency, Limit, Rate
from analysis.types import Side, State
from tests.analysis.record_examples import counted, limits, policy, proportion, question, record, values

MAX = Limit(question="error-rate", max=0.05)
NEVER = Limit(question="error-rate", max=1.0)
LATER = Limit(question="latency", percentile="p95", max=0.5)
MUTED = (proportion(muted=True), Latency(name="latency", muted=True), Gauge(name="cpu", muted=True))
EVERYTHING = slice(None)


def held(found, *members, **more):
    asked = limits(*members, **more)
    return weigh(asked, policy(*MUTED, asked), found)


def errors(bad, total=100.0, **more):
    return record({"error-rate": counted(len(bad), np.array(bad, dtype=float), total, **more)})


def latency(baseline, canary, name="p95"):
    return question(values(("s-1",), **{name: baseline}), values(("c-1",), **{name: canary}))


@pytest.mark.parametrize(
    ("bad", "more", "state", "said"),
    [
        pytest.param([1, 1], {}, State.WITHIN_LIMIT, KEPT, id="kept"),
        pytest.param([1, 6], {}, State.OVER_LIMIT, "error rate too high: 6.0 %, limit 5.0 %", id="broken"),
        pytest.param([5], {}, State.WITHIN_LIMIT, KEPT, id="at the limit"),
        pytest.param([6, 0], {}, State.OVER_LIMIT, "error rate too high: 6.0 %", id="broken once, for ever"),
        pytest.param([6], {"consecutive": 2}, State.UNDECIDED, "(1 of 2 looks in a row)", id="once of two"),
        pytest.param([6, 1, 6], {"consecutive": 2}, State.UNDECIDED, "(1 of 2 looks in a row)", id="not in a row"),
        pytest.param([6, 1, 6, 1], {"consecutive": 2}, State.WITHIN_LIMIT, KEPT, id="recovered in time"),
        pytest.param([1, 6, 7, 0], {"consecutive": 2}, State.OVER_LIMIT, "7.0 %", id="two in a row"),
        pytest.param([6, 6], {"min_requests": 201}, State.NO_DATA, "201", id="too few requests"),
        pytest.param([6, 6], {"min_requests": 200}, State.OVER_LIMIT, "6.0 %", id="just enough requests"),
    ],
)
def test_a_limit_is_held_against_each_unit_of_looks(bad, more, state, said):
    """Over the limit as often in a row as asked breaks it for ever; anything less waits."""
    found = held(errors(bad), MAX, **more)
    assert found.state is state
    assert said in found.reason


def test_looks_are_pooled_until_there_are_enough_requests():
    """A slow service is not judged on one request: looks are added up to units of ``min_requests``."""
    spiked = errors([0, 0, 0, 3, 0, 0, 0, 0], total=10.0)
    assert held(spiked, MAX).state is State.OVER_LIMIT
    pooled = held(spiked, Limit(question="error-rate", max=0.08), min_requests=40)
    assert (pooled.state, pooled.details["looks"]) == (State.WITHIN_LIMIT, [4, 7])
    assert held(spiked, Limit(question="error-rate", max=0.07), min_requests=40).details["looks"] == [0, 3]


def test_a_look_without_requests_is_no_look_of_zero_errors():
    """Silence neither keeps a limit nor interrupts a run of broken ones."""
    found = held(errors([6, 0, 6], total=np.array([100.0, 0.0, 100.0])), MAX, consecutive=2)
    assert found.state is State.OVER_LIMIT


def test_looks_left_out_are_not_held_against_a_limit():
    """A look that was left out is not used, however bad its numbers."""
    found = held(errors([1, 50, 1], left_out={1: ("gap", "a gap")}), MAX)
    assert found.state is State.WITHIN_LIMIT


@pytest.mark.parametrize(
    ("stable", "bad", "state"),
    [
        pytest.param(2.0, 3, State.OVER_LIMIT, id="tripled, half as much again allowed"),
        pytest.param(2.0, 1.2, State.WITHIN_LIMIT, id="half as much again"),
        pytest.param(0.0, 0, State.WITHIN_LIMIT, id="zero on both sides is no increase"),
        pytest.param(0.0, 1, State.NO_DATA, id="over a baseline of zero an increase is undefined"),
        pytest.param(math.nan, 1, State.NO_DATA, id="no baseline"),
    ],
)
def test_an_increase_is_held_against_the_baseline(stable, bad, state):
    """``max_increase`` 0.5 is 50 % over the baseline; where that is undefined nothing is said to be kept."""
    limit = Limit(question="error-rate", max_increase=0.5)
    found = held(errors([bad], stable=(stable, 250.0)), limit)
    assert found.state is state
    assert found.limits[0]["bound"] == 0.5


def test_an_increase_names_both_sides():
    """The reason of a broken increase says value, baseline, increase and limit."""
    found = held(record({"latency": latency([0.2], [0.5])}), _increase("p95"))
    assert found.reason == "latency increased: p95 0.5 vs 0.2, +150.0 %, limit +50.0 %"


def _increase(percentile):
    return Limit(question="latency", percentile=percentile, max_increase=0.5)


BOTH = {"error-rate": counted(1, 6.0), "latency": latency([0.2], [0.3])}
SILENT = {"error-rate": counted(1, 6.0), "latency": latency([0.2], [math.nan])}
OVER, UNDER = MAX, NEVER


def inside(any_of, *members):
    return Group(any_of=any_of, members=members)


@pytest.mark.parametrize(
    ("any_of", "members", "found", "state"),
    [
        pytest.param(True, (OVER, LATER), BOTH, State.OVER_LIMIT, id="any: one broken"),
        pytest.param(False, (OVER, LATER), BOTH, State.WITHIN_LIMIT, id="all: one kept"),
        pytest.param(False, (OVER, OVER), BOTH, State.OVER_LIMIT, id="all: all broken"),
        pytest.param(True, (UNDER, LATER), BOTH, State.WITHIN_LIMIT, id="any: all kept"),
        pytest.param(True, (OVER, LATER), SILENT, State.OVER_LIMIT, id="any: broken settles it beside silence"),
        pytest.param(True, (UNDER, LATER), SILENT, State.NO_DATA, id="any: kept does not settle it beside silence"),
        pytest.param(False, (UNDER, LATER), SILENT, State.WITHIN_LIMIT, id="all: kept settles it beside silence"),
        pytest.param(False, (OVER, LATER), SILENT, State.NO_DATA, id="all: broken does not settle it beside silence"),
        pytest.param(True, (inside(False, OVER, UNDER), LATER), BOTH, State.WITHIN_LIMIT, id="any of (all of), kept"),
        pytest.param(True, (inside(False, OVER, OVER), LATER), BOTH, State.OVER_LIMIT, id="any of (all of), broken"),
        pytest.param(False, (inside(True, OVER, UNDER), OVER), BOTH, State.OVER_LIMIT, id="all of (any of), broken"),
        pytest.param(False, (inside(True, UNDER), OVER), BOTH, State.WITHIN_LIMIT, id="all of (any of), kept"),
    ],
)
def test_limits_join_and_nest(any_of, members, found, state):
    """``any`` breaks with one, ``all`` with every member; what cannot be read settles nothing (Kleene's logic)."""
    assert held(record(found), *members, any_of=any_of).state is state


@pytest.mark.parametrize("percentile", ["p50", "p95", "p99"])
def test_percentiles_come_from_arrays_of_their_name(percentile):
    """A published percentile is read as it is, in the unit of the metric."""
    found = record({"latency": latency([0.2, 0.2], [0.3, 0.7], percentile)})
    assert held(found, Limit(question="latency", percentile=percentile, max=0.5)).state is State.OVER_LIMIT
    assert held(found, Limit(question="latency", percentile=percentile, max=0.8)).state is State.WITHIN_LIMIT


def test_percentiles_come_from_values_where_there_is_nothing_else():
    """A series of one number a look stands for its percentile."""
    found = record({"latency": latency([0.2], [0.7], "values")})
    assert held(found, LATER).reason == "latency too high: p95 0.7, limit 0.5"


def test_percentiles_come_from_buckets():
    """p95 of 100 requests of which 90 took under 0.1 s and 10 between 0.5 and 1.0 s lies at 0.75 s."""
    counts = [[90.0, 0.0, 10.0, 0.0]]
    found = record(
        {"latency": question(values(("s-1",), counts=counts), values(("c-1",), counts=counts), edges=(0.1, 0.5, 1.0))}
    )
    read = value_of(found.questions["latency"], Side.CANARY, EVERYTHING, "p95")
    assert read == pytest.approx(0.75)
    assert held(found, LATER).reason == "latency too high: p95 0.75, limit 0.5"


def test_levels_are_averaged_over_replicas_and_looks():
    """CPU and memory are values a replica: their mean is held against the limit."""
    canary = {"c-1": {"values": [0.9, 0.7]}, "c-2": {"values": [1.1, math.nan]}}
    found = question(values(("s-1",), values=[0.5, 0.5]), canary)
    assert value_of(found, Side.CANARY, EVERYTHING, None) == pytest.approx(0.9)
    limit = Limit(question="cpu", max=0.9)
    assert held(record({"cpu": found}), limit).state is State.OVER_LIMIT  # the first look alone is at 1.0
    assert held(record({"cpu": found}), Limit(question="cpu", max=1.0)).state is State.WITHIN_LIMIT


def test_rates_are_events_over_exposure():
    """Events per unit of exposure, summed over replicas before they are divided."""
    canary = {"c-1": {"events": [1.0], "exposure": [10.0]}, "c-2": {"events": [5.0], "exposure": [20.0]}}
    found = question({"s-1": {"events": [1.0], "exposure": [10.0]}}, canary)
    assert value_of(found, Side.CANARY, EVERYTHING, None) == pytest.approx(0.2)
    asked = limits(Limit(question="jobs", max=0.1))
    assert weigh(asked, policy(Rate(name="jobs", muted=True), asked), record({"jobs": found})).state is State.OVER_LIMIT


def test_a_question_that_the_record_does_not_hold_is_no_data():
    """A limit on something that was never measured keeps nothing and breaks nothing."""
    found = held(errors([1]), Limit(question="cpu", max=0.9))
    assert found.state is State.NO_DATA
    assert "cpu" in found.reason


@pytest.mark.parametrize("bad", ["max", "max_increase"])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_a_limit_that_cannot_be_is_refused(bad, value):
    """A bound is a finite number, not negative; the error says where."""
    with pytest.raises(InvalidPolicy, match=bad):
        Limit(question="x", **{bad: value})


@pytest.mark.parametrize("more", [{}, {"max": 1.0, "max_increase": 1.0}], ids=["none", "both"])
def test_a_limit_has_exactly_one_bound(more):
    """Absolute or relative, never both or none."""
    with pytest.raises(InvalidPolicy, match="exactly one"):
        Limit(question="x", **more)


def test_requests_are_the_largest_exposure_of_the_named_questions():
    """Several questions see the same requests: they are not added up; nothing that counts is unknown, not zero."""
    found = record({"a": counted(2, 1.0, 100.0), "b": counted(2, 1.0, 70.0), "cpu": latency([1, 1], [1, 1], "values")})
    assert requests(found, ["a", "b", "cpu"]).tolist() == [100.0, 100.0]
    assert np.isnan(requests(found, ["cpu"])).all()


@given(
    st.lists(st.integers(0, 1000), min_size=2, max_size=8).filter(any),
    st.floats(0.01, 0.99),
)
def test_a_quantile_lies_where_that_share_of_events_lies_below(counts, share):
    """Interpolated inside its bucket: as many events lie below as asked, up to the last finite bound."""
    edges = list(range(1, len(counts)))
    found = quantile(np.array(counts, dtype=float), edges, share)
    heap = np.concatenate([[0.0], np.cumsum(counts)[:-1]])
    below = float(np.interp(found, [0, *edges], heap)) / sum(counts)
    reachable = sum(counts[:-1]) / sum(counts)
    if share < reachable:
        assert below == pytest.approx(share, abs=1e-9)
    else:
        assert found == edges[-1] or below == pytest.approx(share, abs=1e-9)


@pytest.mark.parametrize(
    ("counts", "edges"), [([], []), ([0.0, 0.0], [1.0]), ([5.0], [])], ids=["none", "empty", "inf"]
)
def test_an_empty_histogram_has_no_quantile(counts, edges):
    """No function returns a number that it did not compute."""
    assert math.isnan(quantile(np.array(counts), edges, 0.5))
