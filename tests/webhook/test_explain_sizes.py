"""Sizes in the unit of their kind: levels, events per unit, differences."""

from __future__ import annotations

import pytest

from webhook.explain import sizes
from webhook.explain.findings import details, variation
from webhook.explain.questions import forecast, forecasts

HOURLY = {"details": {"per": 3600.0, "unit": "per pod-hour"}}
LEVELS = {"canary": {"level": 0.5}}


@pytest.mark.parametrize(
    ("found", "short", "expected"),
    [
        pytest.param({"bad": 13, "total": 1000, "rate": 0.013, "replicas": 1}, False,
                     "13 of 1,000 = 1.3 %, 1 replica", id="counts"),
        pytest.param({"bad": 13, "total": 1000, "rate": 0.013, "replicas": 1}, True, "13/1,000 = 1.3 %", id="cell"),
        pytest.param({"total": 16105, "replicas": 3}, False, "16,105 requests, 3 replicas", id="requests"),
        pytest.param({"total": 16105}, True, "16,105", id="requests in a cell"),
        pytest.param({"level": 0.4123, "replicas": 6}, False, "0.412, 6 replicas", id="level"),
        pytest.param({"level": None, "replicas": 6}, False, "6 replicas", id="no level"),
        pytest.param({}, False, "", id="nothing"),
    ],
)  # fmt: skip
def test_one_side(found, short, expected):
    """Bad of total, requests, or the mean level, with the replicas where there is room."""
    assert sizes.counts({"counts": {"canary": found}}, "canary", short=short) == expected


@pytest.mark.parametrize(
    ("bad", "short", "expected"),
    [
        pytest.param(9, False, "9 events = 0.8 per pod-hour", id="some"),
        pytest.param(1, False, "1 event = 0.8 per pod-hour", id="one"),
        pytest.param(9, True, "9 = 0.8 per pod-hour", id="cell"),
    ],
)
def test_events_per_unit_of_exposure(bad, short, expected):
    """A rate is told in the unit that its question is read in, never as a share."""
    found = {**HOURLY, "counts": {"canary": {"bad": bad, "total": 40500.0, "rate": 0.8 / 3600}}}
    assert sizes.counts(found, "canary", short=short) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        pytest.param(0.05, 0.2, "+0.12 (+0.05 to +0.2)", id="both"),
        pytest.param(-0.05, None, "+0.12 (at least -0.05)", id="no upper"),
        pytest.param(None, 0.2, "+0.12 (at most +0.2)", id="no lower"),
        pytest.param(None, None, "+0.12 (nothing bounds it yet)", id="none"),
    ],
)
def test_a_difference_of_levels_is_in_the_unit_of_the_metric(low, high, expected):
    """Not in percentage points, which only shares have."""
    size = {"measure": "difference", "estimate": 0.12, "low": low, "high": high}
    assert sizes.effect({"effect": size, "counts": LEVELS}) == expected
    assert " pp" in sizes.effect({"effect": size})


def test_what_is_still_needed_is_told_in_what_is_counted():
    """Requests, pod-hours, units of exposure, or time alone where nothing is counted."""
    ahead = {"promote": {"canary_requests": 7200.0, "seconds": 600.0}}
    assert forecasts({"forecast": ahead}) == ["to promote: about 7,200 more canary requests, 10 min"]
    assert forecasts({"forecast": ahead, **HOURLY}) == ["to promote: about 2 more canary pod-hours, 10 min"]
    units = {"details": {"per": 1e3, "unit": "per 1,000"}}
    assert forecasts({"forecast": ahead, **units}) == ["to promote: about 7,200 more canary units of exposure, 10 min"]
    assert forecasts({"forecast": {"promote": {"canary_requests": None, "seconds": 600.0}}}) == ["to promote: 10 min"]


def test_what_is_proved_has_no_wait():
    """A worse question needs no more for its abort, whatever its forecast followed; nothing needed is not forecast."""
    ahead = {side: {"canary_requests": 5.0, "seconds": 9.0} for side in ("promote", "abort")}
    told = forecasts({"forecast": ahead, "state": "worse"})
    assert told == ["to promote: about 5 more canary requests, 9 s", "to abort: enough is known already"]
    assert forecast({"canary_requests": 0, "seconds": 0, "at_weight": 0.1}) == ""


def test_a_blind_series_says_so():
    """A line that varies too much, or was judged against zero, is told as such."""
    told = variation({"state": "undecided", "details": {"variation": {"judged_as": "zero", "blind": True}}})
    assert told == [
        "against a level that was always zero",
        "blind: it varies so much that even a tripling would not show",
    ]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param({"hold": 300.0, "abort": 600.0, "births": 0},
                     ["pods count from an age of 5 min on, for an abort from 10 min"], id="not learned"),
        pytest.param({"hold": 60.0, "abort": 60.0, "births": 12},
                     ["pods count from an age of 60 s on; learned from 12 births"], id="learned"),
        pytest.param({"hold": 0.0, "abort": 0.0, "births": 0}, [], id="none"),
        pytest.param({}, [], id="nothing said"),
    ],
)  # fmt: skip
def test_how_old_a_pod_must_be_is_told(found, expected):
    """From which age on it counts, and whether that was learned."""
    assert details({"details": {"warm_up": found}}) == expected
