"""Bounds for native histograms, and exact counts below them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.natives import ALIKE, MOST_EDGES, bounds_of, counted, cumulative, schema_of
from webhook.ports import SIDE_LABEL, Points
from webhook.sources.histograms import native_points


def buckets(counts, schema=0, zero=0, threshold=2.0**-128):
    """Return rows of an exponential histogram from counts by index."""
    rows = [[-threshold, threshold, zero]] if zero else []
    rows += [[2 ** ((i - 1) * 2.0**-schema), 2 ** (i * 2.0**-schema), n] for i, n in sorted(counts.items())]
    return np.array(rows, dtype=float).reshape(-1, 3)


def points(side, *histograms, times=None, **labels):
    """Return one series."""
    when = np.arange(1.0, len(histograms) + 1) if times is None else np.array(times, dtype=float)
    whole = np.array([found[:, 2].sum() for found in histograms])
    return Points(labels={SIDE_LABEL: side, **labels}, times=when, values=whole, histograms=histograms)


def pair(histogram):
    """Return both sides with the same histogram."""
    return [points("baseline", histogram), points("canary", histogram)]


def test_bounds_span_what_is_usual():
    """From what 1 in 200 are faster than to four times the slowest request, in buckets of the histogram itself."""
    found = bounds_of(pair(buckets({-20: 1, -3: 500, 0: 500, 2: 10}, schema=1)))
    assert found == tuple(2 ** (i / 2) for i in range(-3, 7))


def test_bounds_are_those_of_the_coarsest():
    """The two versions may have unlike resolutions: only bounds that both have are counted by."""
    held = [points("baseline", buckets({0: 100, 9: 10}, schema=3)), points("canary", buckets({0: 5, 1: 5}, schema=1))]
    assert np.diff(np.log2(bounds_of(held))) == pytest.approx(0.5)


def test_a_wide_fine_histogram_is_counted_coarser():
    """A record keeps every count of every look: at most 48 bounds, still bounds of the histogram."""
    found = bounds_of(pair(buckets(dict.fromkeys(range(-40, 60), 10), schema=3)))
    assert 20 <= len(found) <= MOST_EDGES
    place = np.log2(found) * 8
    assert np.abs(place - np.rint(place)).max() < ALIKE


def test_no_bound_lies_inside_the_bucket_around_zero():
    """What is counted around zero has no bound below it."""
    found = bounds_of(pair(buckets({-3: 1, 0: 500, 1: 500}, zero=20, threshold=0.25)))
    assert found[0] >= 0.25
    tiny = bounds_of(pair(buckets({0: 500, 1: 500}, zero=20)))
    assert tiny[0] == 1.0


def test_bounds_of_its_own_are_taken_as_they_are():
    """Custom bounds are a classic histogram: all that no bucket of any side crosses."""
    one = np.array([[0, 0.1, 5], [0.1, 0.3, 5], [0.3, 1.0, 5], [1.0, math.inf, 1]], dtype=float)
    other = np.array([[0, 0.1, 5], [0.1, 1.0, 5]], dtype=float)
    assert schema_of(one) is None
    assert bounds_of([points("baseline", one), points("canary", other)]) == (0.1, 1.0)


def test_bounds_wait_for_both_sides_and_for_a_request():
    """A side that is not there yet, or histograms without a request, pin nothing; later times change nothing."""
    some, empty = buckets({0: 10}), buckets({})
    assert bounds_of([points("baseline", some)]) == ()
    assert bounds_of(pair(empty)) == ()
    assert bounds_of([points("baseline", some, times=[1.0]), points("canary", some, times=[2.0])]) == ()
    wide = buckets({0: 10, 12: 3})
    early = [points("baseline", some, wide), points("canary", empty, wide)]
    assert bounds_of(early) == bounds_of([points("baseline", some), points("canary", empty)]) != bounds_of(pair(wide))


def test_increments_are_what_is_held_less_what_was_kept():
    """By series and time; what has no past counts from 0; a bound within a bucket has no count at that time."""
    labels = {"pod": "a"}
    held = [points("baseline", buckets({0: 7, 1: 5}), buckets({0: 9, 1: 9}), buckets({2: 30}, schema=-1), **labels)]
    kept = [points("baseline", buckets({0: 7, 1: 5}), times=[2.0], **labels)]
    found = {one.labels["le"]: (one.times.tolist(), one.values.tolist()) for one in counted(held, kept, (1.0, 2.0))}
    assert found == {
        "1.0": ([1.0, 2.0, 3.0], [7.0, 2.0, 0.0]),
        "2.0": ([1.0, 2.0, 3.0], [12.0, 6.0, 0.0]),
        "+Inf": ([1.0, 2.0, 3.0], [12.0, 6.0, 30.0]),
    }
    crossed = counted([points("baseline", buckets({1: 30}, schema=-1), **labels)], [], (1.0, 2.0, 4.0))
    assert [one.times.size for one in crossed] == [1, 0, 1, 1]
    assert counted(held, kept, ()) == ()


@given(st.dictionaries(st.integers(-40, 40), st.integers(1, 1000), min_size=1), st.integers(0, 3), st.integers(0, 5))
def test_coarser_bounds_lose_no_request(counts, fine, coarse):
    """Counts below any bound of a coarser schema are exact sums, and the last is everything."""
    schema = max(fine, coarse)
    edges = 2.0 ** (np.arange(-12, 13) * 2.0 ** -min(fine, coarse))
    found = cumulative(buckets(counts, schema), edges)
    assert np.isfinite(found).all()
    assert found[-1] == sum(counts.values())
    limit = np.log2(edges) * 2**schema
    assert found[:-1].tolist() == [sum(n for i, n in counts.items() if i <= bound + 1e-6) for bound in limit]


def test_the_words_of_the_api_are_read():
    """Bounds and counts come as text; a histogram without observations has no buckets."""
    answer = json.loads('[[5, {"count": "3", "sum": "4", "buckets": [[3, "-0.1", "0.1", "1"], [0, "1", "2", "2"]]}],'
                        ' [20.5, {"count": "0", "sum": "0"}]]')  # fmt: skip
    found = native_points({"a": "b"}, answer)
    assert found.times.tolist() == [5.0, 20.5]
    assert found.values.tolist() == [3.0, 0.0]
    assert [one.tolist() for one in found.histograms] == [[[-0.1, 0.1, 1.0], [1.0, 2.0, 2.0]], []]


@pytest.mark.parametrize("wrong", [[[1, {}]], [[1, {"count": "1", "buckets": [[0, "1"]]}]], [[1]]])
def test_what_is_no_histogram_is_refused(wrong):
    """The adapter turns these into a fault of the source."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        native_points({}, wrong)
