"""Cells of the long tables of latencies in every run of the tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.calibration import percentiles
from tests.calibration.latencies import Latencies, reached, run
from tests.calibration.latency_cells import enough
from tests.calibration.measures import allowed

RELEASES = 90
SEED = 20_261_124


@pytest.mark.parametrize(
    "service",
    [
        pytest.param(Latencies(sd=0.05, wobble=0.05), id="200 rps, pods that differ and wobble"),
        pytest.param(Latencies(rps=20_000.0, sd=0.1, stable_pods=3), id="20,000 rps, three pods"),
        pytest.param(Latencies(sd=0.05, history=0), id="no history"),
    ],
)
def test_equal_canaries_are_left_alone(service: Latencies):
    """Not slower: frozen at most in 1 %, A* at 1,000 in 0.1 %, over 72 looks."""
    runs = run(service, RELEASES, SEED)
    assert allowed(int(reached(runs.warn, 0.01).sum()), RELEASES, 0.01)
    assert allowed(int(reached(runs.abort, 0.001).sum()), RELEASES, 0.001)


def test_the_margin_is_neither_aborted_nor_promoted():
    """Exactly 25 % slower: beyond the tolerance in at most 1 %, proved within it in at most 5 %."""
    runs = run(Latencies(sd=0.05, shift=1.25), RELEASES, SEED)
    assert allowed(int(reached(runs.tolerated, 0.01).sum()), RELEASES, 0.01)
    assert allowed(int(reached(runs.promote, 0.05).sum()), RELEASES, 0.05)


@pytest.mark.parametrize(
    ("service", "curve", "alpha", "share"),
    [
        pytest.param(Latencies(sd=0.05), "promote", 0.05, 0.87, id="equal canaries are promoted"),
        pytest.param(Latencies(sd=0.05, shift=1.6), "tolerated", 0.01, 0.67, id="60 % slower is beyond the tolerance"),
        pytest.param(Latencies(sd=0.05, extra=0.01), "tolerated", 0.01, 0.94, id="a tail of 1 %, ten times slower"),
        pytest.param(Latencies(sd=0.05, shift=1.6, since=48), "warn", 0.01, 0.9, id="60 % slower after 40 minutes"),
    ],
)
def test_what_is_promised_is_reached(service: Latencies, curve: str, alpha: float, share: float):
    """Within the hour, one canary pod against nineteen at 200 requests a second."""
    found = reached(getattr(run(service, RELEASES, SEED), curve), alpha)
    assert enough(int(found.sum()), RELEASES, share)
    assert found.dtype == np.bool_


def test_equal_percentiles_are_left_alone():
    """Summaries of pods that differ and wobble: frozen in at most 1 %; 25 % slower is promoted in at most 5 %."""
    service = Latencies(sd=0.05, wobble=0.05, stable_pods=3)
    equal = percentiles.run(service, RELEASES, SEED)
    assert allowed(int(reached(equal["warn"], 0.01).sum()), RELEASES, 0.01)
    slower = percentiles.run(replace(service, shift=1.25), RELEASES, SEED)
    assert allowed(int(reached(slower["promote"], 0.05).sum()), RELEASES, 0.05)
