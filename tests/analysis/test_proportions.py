"""From a record to counts, and why there may be none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.noise import FEWEST_LOOKS
from analysis.policy import Tolerance
from analysis.proportions import asked, counts_data, history_of, silence
from analysis.record import SideSeries
from analysis.types import State
from tests.analysis.record_examples import LOOK, START, counted, errors, policy, proportion, question, record, side

ASKED = proportion()
NOBODY = SideSeries(replicas=(), fields={})


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        pytest.param(errors(3), None, "", id="both sides served"),
        pytest.param(errors(3, 0.0, 0.0), State.NO_DATA, "error rate: no canary requests in 3 looks", id="no canary"),
        pytest.param(
            errors(3, stable=(0.0, 0.0)), State.NO_DATA, "error rate: no baseline requests in 3 looks", id="no baseline"
        ),
        pytest.param(errors(3).until(START), State.NO_DATA, "error rate: no look is closed yet", id="no look"),
        pytest.param(
            errors(3, left_out={2: ("overlap", "pod p stands on both sides")}),
            State.INCOMPARABLE, "pod p stands on both sides", id="one pod on both sides",
        ),
        pytest.param(errors(3, left_out={1: ("overlap", "x")}), None, "", id="comparable again"),
        pytest.param(
            errors(2, left_out=dict.fromkeys(range(2), ("renamed", "the metric x was renamed"))),
            State.NO_DATA, "the metric x was renamed", id="renamed from the beginning",
        ),
        pytest.param(errors(3, left_out={2: ("gap", "a gap")}), None, "", id="a gap now, data before"),
    ],
)  # fmt: skip
def test_silence_has_a_state_and_a_reason_of_its_own(found, state, said):
    """Each way to have no data is told apart; data with gaps is data."""
    quiet = silence(ASKED, found)
    assert (quiet.state if quiet else None) is state
    assert (quiet.reason if quiet else "") == said


@pytest.mark.parametrize(
    ("quiet", "length", "stale"),
    [
        pytest.param(30, 10.0, True, id="five minutes"),
        pytest.param(29, 10.0, False, id="not yet five minutes"),
        pytest.param(5, 60.0, True, id="five looks"),
        pytest.param(4, 300.0, False, id="twenty minutes, but four looks"),
    ],
)
def test_a_canary_is_stale_after_five_looks_and_five_minutes(quiet, length, stale):
    """Neither one long look nor many short ones make it stale."""
    total = np.r_[np.full(10, 100.0), np.zeros(quiet)]
    found = record({"error-rate": counted(10 + quiet, total / 100, total)}, length=length)
    quiet_now = silence(ASKED, found)
    assert (quiet_now is not None and quiet_now.state is State.STALE) == stale


def test_a_question_that_the_record_does_not_hold_is_silent():
    """It has no data, and its arrays are zeros of the record's length: evidence of nothing."""
    found = errors(4)
    assert silence(proportion("other"), found).state is State.NO_DATA
    data = counts_data(proportion("other"), found)
    assert data.canary_total.tolist() == [[0.0] * 4]


def test_counts_are_aligned_by_look_and_replica():
    """Rows are replicas by name, columns looks; what was left out is marked."""
    found = record(
        {
            "error-rate": question(
                {"s-2": {"bad": [2, 2], "total": [20, 20]}, "s-1": {"bad": [1, 1], "total": [10, 10]}},
                {"c-1": {"bad": [0, 3], "total": [5, 5]}},
                left_out={0: ("gap", "x")},
            )
        }
    )
    data = counts_data(ASKED, found)
    assert data.baseline_total.tolist() == [[10, 10], [20, 20]]
    assert data.canary_bad.tolist() == [[0, 3]]
    assert data.left_out.tolist() == [True, False]
    assert data.seconds.tolist() == [LOOK, LOOK]


def test_a_side_without_replicas_had_no_request():
    """An empty side is one row of nothing, so that shapes hold."""
    found = dataclasses.replace(counted(3), canary=NOBODY)
    data = counts_data(ASKED, record({"error-rate": found}))
    assert data.canary_total.shape == (1, 3)
    assert np.isnan(data.canary_total).all()


def test_a_short_history_stands_beside_the_counts_of_the_same_replicas():
    """Rows of the baseline and of its history are the same pods, also those that are gone by now."""
    history = side({"s-0": {"bad": [1.0] * 3, "total": [10.0] * 3}, "old": {"bad": [0.0] * 3, "total": [9.0] * 3}})
    data = counts_data(ASKED, record({"error-rate": counted(4, history=history)}))
    assert data.baseline_total.shape == (5, 4)
    assert data.earlier_total.shape == (5, 3)
    assert np.nansum(data.earlier_total) == 57.0
    row = int(np.flatnonzero(np.nansum(data.earlier_total, axis=1) == 27.0)[0])
    assert np.isnan(data.baseline_total[row]).all()


def test_a_long_history_is_summed_up():
    """From 8 looks with errors on, a history is a summary of noise; below, the looks themselves are used."""
    rng = np.random.default_rng(7)
    total = np.full(60, 500.0)
    made = {f"s-{n}": {"bad": rng.poisson(5.0, 60).astype(float), "total": total} for n in range(4)}
    summary, looks = history_of(counted(4, history=side(made)), LOOK)
    assert summary.counted >= FEWEST_LOOKS
    assert looks is None
    silent = {name: {"bad": np.zeros(60), "total": total} for name in made}
    _, looks = history_of(counted(4, history=side(silent)), LOOK)
    assert looks is not None
    assert history_of(counted(4), LOOK) == (None, None)


def test_the_question_goes_to_the_arithmetic_unchanged():
    """Tolerance, direction, budget and alphas are those of the policy."""
    asks = asked(proportion(tolerance=Tolerance(ratio=2.0, absolute=0.01)), policy(harm_budget=7.0))
    assert (asks.ratio, asks.slack, asks.harm_budget) == (2.0, 0.01, 7.0)
    assert asks.alphas == policy().alpha
