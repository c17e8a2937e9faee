"""The variation rule and what real sources bring: spikes, counters that were sent as levels, very many metrics."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.compare.lines import Line, LineEvidence, line_evidence
from analysis.compare.rising import growth, only_rises
from analysis.compare.variation import combined, weigh
from analysis.grid import Floats
from analysis.judge import judge
from analysis.report import Report
from analysis.types import State, Verdict
from webhook.schema.data import inline_policy, inline_record


def noisy(seed: int, count: int, level: float = 50.0) -> Floats:
    return level * (1 + 0.05 * np.random.default_rng(seed).standard_normal(count))


@pytest.mark.parametrize("beside", [False, True], ids=["before and after", "beside"])
def test_one_spike_does_not_abort(beside: bool):
    """One sample of 24, fifty times as high, moves the mean by half: without it nothing is left."""
    canary = noisy(1, 24)
    canary[5] *= 5000
    line = Line(name="p99", sign=1, canary=canary, stable=noisy(2, 24 if beside else 60))
    found = weigh([line], beside=beside, step_seconds=300.0)
    assert found.state is not State.WORSE
    again = line_evidence(Line(name="p99", sign=1, canary=canary[:8], stable=noisy(2, 60)), False, 60.0)
    assert "one sample" in again.flags
    assert again.strength == 0.79


def test_a_regression_with_a_spike_in_it_still_aborts():
    """Every sample doubled: the loudest is not needed."""
    canary = 2 * noisy(1, 24)
    canary[5] *= 10
    line = Line(name="p99", sign=1, canary=canary, stable=noisy(2, 60))
    assert weigh([line], beside=False, step_seconds=60.0).state is State.WORSE


def test_a_fall_is_carried_by_its_lowest_sample():
    """Where a fall does harm, the loudest sample is the lowest: one zero among eight is no outage."""
    canary = noisy(1, 8)
    canary[3] = 0.0
    found = line_evidence(Line(name="hits", sign=-1, canary=canary / 50, stable=noisy(2, 60) / 50), False, 60.0)
    assert found.strength is not None
    assert found.strength < 0.8


@pytest.mark.parametrize(
    ("strengths", "sign", "state"),
    [
        pytest.param([0.9, 0.9] + 27 * [0.0], 0, State.WORSE, id="two of 29 abort"),
        pytest.param([0.5, 0.5] + 28 * [0.0], 0, State.WITHIN_VARIATION, id="two of 30 are what equal pods show"),
        pytest.param([0.9, 0.9] + 28 * [0.0], 0, State.DEGRADED, id="two loud ones of 30 hold"),
        pytest.param([0.9, 0.9, 0.9] + 27 * [0.0], 0, State.WORSE, id="three of 30 abort"),
        pytest.param([0.9] + 29 * [0.0], 0, State.WITHIN_VARIATION, id="one odd of 30 is usual"),
        pytest.param([0.45] * 2 + 28 * [0.0], 1, State.WITHIN_VARIATION, id="directed: two halves of 30"),
        pytest.param([0.45] * 3 + 27 * [0.0], 1, State.DEGRADED, id="directed: three"),
        pytest.param([1.0] + 99 * [0.0], 1, State.WORSE, id="directed: one of a hundred still aborts"),
    ],
)
def test_how_many_odd_ones_are_usual(strengths: list[float], sign: int, state: State):
    """One odd metric in fifteen is what equal pods show, however many there are."""
    lines = [LineEvidence(name=str(n), sign=sign, strength=t, ratio=1.0) for n, t in enumerate(strengths)]
    assert combined(lines).state is state


# counters that were sent as levels


def heap(seed: int, count: int, rate: float = 50.0, begun: float = 1000.0) -> Floats:
    return begun + np.cumsum(np.random.default_rng(seed).poisson(rate, count)).astype(float)


def asked(stable: Floats, canary: Floats, **more: object) -> Report:
    questions = {"n": {"baseline": {"values": stable.tolist()}, "canary": {"values": canary.tolist()}, **more}}
    data = {"step_seconds": 60, "pairing": "before_after", "questions": questions}
    policy = inline_policy(data)
    record = inline_record(data, policy)
    return judge(policy, record, float(record.ends[-1]))


def test_a_young_counter_is_compared_by_its_growth():
    """A canary has counted for ten minutes, stable for hours: its level is low, its growth the same."""
    report = asked(heap(1, 60, begun=1e6), heap(2, 12, begun=0.0), direction="decrease")
    assert report.verdict is Verdict.PROMOTE
    assert "counter" in report.flags
    report = asked(heap(1, 60, begun=1e6), heap(2, 12, rate=200.0, begun=0.0))
    assert report.verdict is Verdict.ABORT


def test_a_reset_is_no_fall():
    """A process that began anew counts from zero."""
    stable = np.concatenate([heap(1, 30, begun=9000.0), heap(3, 30, begun=0.0)])
    canary = np.concatenate([heap(2, 6), heap(4, 6, begun=0.0)])
    assert asked(stable, canary, direction="both").verdict is Verdict.PROMOTE


@pytest.mark.parametrize(
    ("stable", "canary", "found"),
    [
        pytest.param(heap(1, 9), heap(2, 4), True, id="rising on both sides"),
        pytest.param(noisy(1, 60), heap(2, 12), False, id="a canary that climbs beside a level"),
        pytest.param(heap(1, 60), noisy(1, 12), False, id="a level beside what climbs"),
        pytest.param(heap(1, 7), heap(2, 4), False, id="too few steps to tell"),
        pytest.param(np.full(60, 3.0), np.full(12, 3.0), False, id="constants"),
        pytest.param(-heap(1, 60)[::-1], heap(2, 12), False, id="below zero"),
    ],
)
def test_what_is_a_counter(stable: Floats, canary: Floats, found: bool):
    """Nearly every step of both sides rises, and a fall begins anew."""
    assert only_rises([stable[None]], canary[None]) is found


def test_growth_over_a_gap_is_spread():
    """A missing sample stays missing; what grew meanwhile is shared out."""
    values = np.array([[10.0, np.nan, np.nan, 40.0, 5.0], [1.0, np.nan, np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(growth(values)[0], [np.nan, np.nan, np.nan, 10.0, 5.0])
    assert np.isnan(growth(values)[1]).all()
