"""Levels in inline data: they may be negative, and as large as levels are."""

from __future__ import annotations

import pytest

from webhook.errors import BadRequest
from webhook.schema.data import inline_policy, inline_record


def read(values, **more):
    data = {"questions": {"q": {"baseline": {"values": values}, "canary": {"values": values}} | more}}
    return inline_record(data, inline_policy(data)).questions["q"]


def test_a_level_may_be_below_zero_and_large():
    """Temperatures, balances, standardised scores; nanoseconds since 1970."""
    values = [-5.5, 0.0, None, 1.8e18, -1e30]
    assert read(values).baseline.fields["values"][0].tolist()[:2] == [-5.5, 0.0]
    assert read(values, history={"baseline": {"values": [-1.0]}}).history.fields["values"].tolist() == [[-1.0]]


@pytest.mark.parametrize("wrong", [1e31, -1e31, float("nan"), float("-inf"), -(10**400)])
def test_what_is_no_level_is_refused_with_its_place(wrong):
    """Beyond 1e30 there is nothing to measure, and what is not finite is no number."""
    with pytest.raises(BadRequest, match=r"q/baseline/values/1.*finite and within 1e\+30 of zero"):
        read([1.0, wrong])


@pytest.mark.parametrize("field", ["p99", "samples"])
def test_durations_are_never_negative(field):
    """Only a gauge is a level of any sign."""
    sides = {"baseline": {field: [0.1]}, "canary": {field: [-0.1]}}
    data = {"questions": {"latency": sides}}
    with pytest.raises(BadRequest, match="not negative"):
        inline_record(data, inline_policy(data))
