"""A request for the gate: which time it means, and whether it speaks of the release as it stands."""

from __future__ import annotations

import pytest

from webhook.calls import PAST, Call
from webhook.releases import Caller
from webhook.schema.request import Ask

NOW = 1_700_000_000.0


def call(*, read_only=False, **asked):
    return Call(ask=Ask(**asked), caller=Caller.V1, at=NOW, read_only=read_only)


@pytest.mark.parametrize(
    ("asked", "horizon"),
    [
        pytest.param({}, NOW, id="nothing named"),
        pytest.param({"at": NOW - 500}, NOW - 500, id="past"),
        pytest.param({"at": NOW + 500}, NOW, id="to come"),
        pytest.param({"from_": NOW - 900, "to": NOW - 300}, NOW - 300, id="past window"),
        pytest.param({"from_": NOW - 900, "to": NOW + 300}, NOW, id="window that has not ended"),
        pytest.param({"at": NOW + 500, "data": {"questions": {}}}, NOW + 500, id="numbers in the request"),
    ],
)
def test_the_time_that_is_meant(asked, horizon):
    """A time that is named, but from a source never one that has not come."""
    assert call(**asked).horizon == horizon


@pytest.mark.parametrize(
    ("asked", "of_now"),
    [
        pytest.param({}, True, id="nothing named"),
        pytest.param({"at": NOW - PAST}, True, id="a clock that is behind"),
        pytest.param({"at": NOW - PAST - 1}, False, id="past"),
        pytest.param({"at": NOW - 500, "data": {"questions": {}}}, True, id="numbers in the request"),
        pytest.param({"from_": NOW - 900}, False, id="window"),
        pytest.param({"dry_run": True}, False, id="dry run"),
        pytest.param({"read_only": True}, False, id="reading"),
    ],
)
def test_what_speaks_of_the_release_as_it_stands(asked, of_now):
    """Past windows, past times, dry runs and reads move nothing."""
    assert call(**asked).of_now is of_now
