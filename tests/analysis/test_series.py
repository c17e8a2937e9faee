"""Scrape interval, start of a release, growth of raw counters, sums per look."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import InvalidInput
from analysis.series import MEMORY, SCRAPES, increments, per_look, scrape_interval, start_of_presence

NAN = float("nan")


@pytest.mark.parametrize("interval", SCRAPES)
def test_every_interval_in_use_is_found(interval):
    """One sample more or less than the window holds does not matter, from five samples on."""
    samples = 300 / interval
    assert scrape_interval([samples]) == interval
    assert scrape_interval([samples + 1] * 3) == (interval if samples > 4 else scrape_interval([samples + 1]))


def test_the_median_series_counts():
    """Young series with few samples do not stretch the interval."""
    assert scrape_interval([20, 20, 21, 3, NAN, 0]) == 15.0


@pytest.mark.parametrize("counts", [[], [0], [NAN]], ids=["none", "zero", "nan"])
def test_nothing_to_measure_is_an_error(counts):
    """An interval is never made up."""
    with pytest.raises(InvalidInput, match="at least one series with samples"):
        scrape_interval(counts)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        pytest.param([], None, id="never seen"),
        pytest.param([30], 15, id="seen once"),
        pytest.param([30, 45, 60], 15, id="no gap"),
        pytest.param([30, 45, 165, 180], 15, id="a gap of 105 s is none"),
        pytest.param([30, 45, 180, 195], 165, id="a gap of 120 s is one"),
        pytest.param([30, 300, 900, 915], 885, id="the last gap counts"),
    ],
)
def test_start_of_presence(times, expected):
    """A release starts with the step of its first sample after the last gap."""
    assert start_of_presence(times, 15.0, 120.0) == expected


@pytest.mark.parametrize(
    ("values", "seen", "expected"),
    [
        pytest.param([], False, [], id="nothing"),
        pytest.param([5], False, [0], id="a first sample is skipped"),
        pytest.param([5], True, [5], id="a birth that was watched counts"),
        pytest.param([5, 9, 9, 2, 3], False, [0, 4, 0, 2, 1], id="a fall counts from 0"),
        pytest.param([5, NAN, 9, 10], False, [0, NAN, NAN, 1], id="nan"),
        pytest.param([NAN, 9], True, [NAN, NAN], id="nan at birth"),
    ],
)
def test_increments(values, seen, expected):
    """Growth per sample of one raw counter."""
    times = 15.0 * np.arange(len(values))
    np.testing.assert_array_equal(increments(times, values, seen_before=seen), expected)


def test_a_series_forgotten_is_born_again():
    """After more than five minutes unseen it is another series, watched or not."""
    times, values = [0.0, 15.0, 15.0 + MEMORY, 31.0 + 2 * MEMORY], [5, 6, 8, 20]
    assert increments(times, values).tolist() == [0, 1, 2, 0]
    assert increments(times, values, seen_before=[False, False, False, True]).tolist() == [0, 1, 2, 20]


@pytest.mark.parametrize(
    ("times", "values"), [([1, 2], [1]), ([2, 1], [1, 2]), ([[1]], [[1]])], ids=["lengths", "order", "shape"]
)
def test_increments_refuse_what_is_no_counter(times, values):
    """Times must rise and fit the values."""
    with pytest.raises(InvalidInput, match="as many values as times"):
        increments(times, values)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=60), st.integers(0, 10**9))
def test_growth_of_a_watched_counter_adds_up(growth, offset):
    """Without restarts, growth from a known start sums to what was counted."""
    values = offset + np.cumsum(growth)
    grown = increments(15.0 * np.arange(len(growth)), values.astype(float), seen_before=True)
    assert grown.sum() == values[-1]
    assert grown[1:].tolist() == growth[1:]


def test_a_look_holds_the_points_up_to_its_end():
    """The start is excluded, the end included, and times rounded to a millisecond stay in their look."""
    times = np.array([100.0, 115.0, 130.0, 130.0009, 145.0, 160.0, 175.0])
    sums, counts = per_look(times, np.arange(7.0), 100.0, np.array([130.0, 160.0]))
    assert sums.tolist() == [1 + 2 + 3, 4 + 5]
    assert counts.tolist() == [3, 2]


def test_nan_spoils_its_own_look_only():
    """A NaN is not spread and not dropped."""
    sums, counts = per_look(np.array([1.0, 2.0, 3.0]), np.array([NAN, 1.0, 2.0]), 0.0, np.array([1.0, 3.0]))
    np.testing.assert_array_equal(sums, [NAN, 3.0])
    assert counts.tolist() == [1, 2]
