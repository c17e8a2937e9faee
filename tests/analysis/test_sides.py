"""Both sides as a person would plot them."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.policy import Gauge, Latency, Rate, Ratio
from analysis.sides import distribution, series
from analysis.types import Side
from tests.analysis.record_examples import START, counted, proportion, question, record


def test_shares_are_those_of_all_replicas():
    """Bad over total of the side, not the mean of shares of its pods."""
    found = question(
        {"a": {"bad": [1, 0], "total": [10, 10]}, "b": {"bad": [9, 0], "total": [90, 0]}},
        {"c": {"bad": [1, np.nan], "total": [4, np.nan]}},
    )
    shown = series(proportion(), record({"error-rate": found}))
    assert shown is not None
    np.testing.assert_array_equal(shown.baseline, [0.1, 0.0])
    np.testing.assert_array_equal(shown.canary, [0.25, np.nan])
    assert (shown.looks, shown.band) == (1, None)


def test_neighbouring_looks_are_summed_where_there_are_too_many():
    """Seven looks in at most three points: three looks each, the last one of what is left."""
    found = counted(7, [0, 0, 3, 1, 1, 1, 2], 10)
    shown = series(proportion(), record({"error-rate": found}), most=3)
    assert shown is not None
    assert shown.looks == 3
    np.testing.assert_allclose(shown.canary, [0.1, 0.1, 0.2])
    np.testing.assert_allclose(shown.times, START + 10 * np.array([3, 6, 7]))


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        pytest.param(Rate(name="x", events="e", exposure="f"), ("events", "exposure"), id="rate"),
        pytest.param(Ratio(name="x", numerator="n", denominator="d"), ("numerator", "denominator"), id="ratio"),
    ],
)
def test_quotients_of_other_kinds(asked, fields):
    """Events per exposure and numerator per denominator, by the names of their kind."""
    pods = {"a": dict(zip(fields, ([6.0], [3.0]), strict=True))}
    shown = series(asked, record({"x": question(pods, pods)}))
    assert shown is not None
    assert (shown.baseline.tolist(), shown.canary.tolist()) == ([2.0], [2.0])


def test_levels_are_means_with_the_band_of_single_replicas():
    """The mean of the pods present; 95 % of the values of stable pods lie in the band."""
    values = np.linspace(0, 1, 101)
    found = question({"a": {"values": values}, "b": {"values": np.full(101, np.nan)}}, {"c": {"values": values + 1}})
    shown = series(Gauge(name="x"), record({"x": found}))
    assert shown is not None
    np.testing.assert_array_equal(shown.baseline, values)
    assert shown.band == pytest.approx((0.025, 0.975))


def test_few_values_make_no_band():
    """Ten values say nothing of nineteen in twenty."""
    pods = {"a": {"values": np.arange(10.0)}}
    shown = series(Gauge(name="x"), record({"x": question(pods, pods)}))
    assert shown is not None
    assert shown.band is None


def test_percentiles_are_shown_by_the_highest():
    """Published percentiles have no counts: the highest one is the line."""
    pods = {"a": {"p50": [1.0, 1.0], "p95": [3.0, 4.0]}}
    shown = series(Latency(name="x"), record({"x": question(pods, pods)}))
    assert shown is not None
    assert shown.canary.tolist() == [3.0, 4.0]
    assert shown.percentile == "p95"


def test_latencies_are_cumulative_shares_over_the_looks_that_were_used():
    """How many of a side's requests took longer than each edge, in seconds."""
    buckets = np.array([[[6.0, 3.0, 1.0], [0.0, 0.0, 90.0]]])
    found = question(
        {"a": {"counts": buckets[0]}}, {"c": {"counts": 2 * buckets[0]}},
        edges=(100.0, 500.0), left_out={1: ("gap", "no scrape")},
    )  # fmt: skip
    asked = Latency(name="x", unit="ms", slo_edges=(500.0,))
    shown = distribution(asked, record({"x": found}))
    assert shown is not None
    np.testing.assert_allclose(shown.edges, [0.1, 0.5])
    np.testing.assert_allclose(shown.baseline, [6, 9, 10])
    for side in Side:
        np.testing.assert_allclose(shown.slower(side), [0.4, 0.1])
    assert shown.objectives == (0.5,)
    assert (shown.shift, shown.exceedance) == (1.25, 2.0)


@pytest.mark.parametrize("asked", [proportion("x"), Latency(name="x"), Gauge(name="x")], ids=lambda one: one.kind)
def test_nothing_said_is_nothing_shown(asked):
    """A question that nobody answered has neither line nor distribution, and is no error."""
    silent = record({"x": question({}, {"c": {"bad": [np.nan] * 3, "total": [np.nan] * 3}})})
    assert series(asked, silent) is None
    assert distribution(asked, silent) is None
    assert series(asked, record({"y": counted(3)})) is None
