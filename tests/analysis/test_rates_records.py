"""From a record to the evidence of a rate: its exposure, its unit, its budget, and what a person reads."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import rates
from analysis.demand import final_slack
from analysis.explaining import Standing
from analysis.exposure import weight_steps
from analysis.kinds import RATES
from analysis.policy import Rate, Tolerance
from analysis.types import Direction, State, Weight
from tests.analysis.record_examples import policy, question, record, side

LOOKS, LOOK = 120, 30.0
RESTARTS = Rate(name="restarts", exposure="time", weight=Weight.CRITICAL)
QUEUE = Rate(name="queue", exposure="jobs_processed_total{$side}", weight=Weight.CRITICAL)
STANDING = Standing(guilty=False, frozen=False, omega=1.0, final=True, deadline_left=4 * 3600.0)


def pods(count, prefix, events, exposure, looks=LOOKS):
    return {
        f"{prefix}-{n}": {
            "events": np.broadcast_to(events, looks) + 0.0, "exposure": np.broadcast_to(exposure, looks) + 0.0
        }
        for n in range(count)
    }  # fmt: skip


def restarts(canary, stable=0.0, *, looks=LOOKS, history=480, unit=1.0, name="restarts"):
    """Return ten stable pods and two of the canary; exposure is replica-seconds over ``unit``."""
    served = LOOK / unit
    before = side(pods(10, "s", stable, served, history)) if history else None
    found = question(pods(10, "s", stable, served, looks), pods(2, "c", canary, served, looks), history=before)
    return record({name: found}, length=LOOK)


def crashing(looks=LOOKS):
    """One restart of each canary pod every ten looks, which is every five minutes."""
    return (np.arange(looks) % 10 == 0).astype(float)


def weighed(asked, seen, next_weight=None):
    return RATES.weigh(asked, policy(asked), seen, next_weight, None)


def test_a_crash_loop_aborts_where_stable_never_restarted():
    """No baseline event at all is a rate of 0, not a missing one: the loop is proved within half an hour."""
    found = weighed(RESTARTS, restarts(crashing()))
    assert found.abort[59] > np.log(1000)
    assert found.flags == ("noise: prior",)


def test_pods_that_never_restart_are_let_go_within_the_budget():
    """Twenty restarts in the first hour are what a release may cost: that much can be excluded without any event."""
    found = weighed(RESTARTS, restarts(0.0), 0.5)
    assert found.step[-1] > -np.log(0.2)
    assert found.slack_final == pytest.approx(20 / (10 * 3600))
    assert found.requests_per_second == pytest.approx(10.0)
    assert found.warn.max() <= 1e-9


def test_more_than_one_event_per_unit_of_exposure_is_no_contradiction():
    """Five failures per job are a rate; as a proportion they would be counters that cannot be true."""
    found = weighed(QUEUE, restarts(10.0, 10.0, unit=15.0, name="queue"))
    assert "inconsistent_counters" not in found.flags
    assert found.used.any()
    assert found.bad_share == pytest.approx(5.0, rel=0.01)


@pytest.mark.parametrize("unit", [1e-6, 1e6], ids=["a millionth", "a million"])
@pytest.mark.parametrize("asked", [RESTARTS, Rate(name="restarts", exposure="x")], ids=["time", "units"])
def test_the_unit_of_exposure_changes_nothing(asked, unit):
    """Seconds, weeks or microseconds: every curve is the same, steps of the weight included."""
    rng = np.random.default_rng(5)
    events = rng.poisson(0.4, LOOKS).astype(float)
    exposures = np.where(np.arange(LOOKS) < 60, 1.0, 4.0) * LOOK
    curves = []
    for scale in (1.0, unit):
        found = question(
            pods(10, "s", 0.3, LOOK * scale), pods(2, "c", events, exposures * scale),
            history=side(pods(10, "s", 0.3, LOOK * scale, 480)),
        )  # fmt: skip
        curves.append(weighed(asked, record({"restarts": found}, length=LOOK)))
    assert curves[0].steps[60]
    assert curves[0].steps.sum() == 1
    for name in ("warn", "tolerated", "promote", "step", "better"):
        np.testing.assert_allclose(getattr(curves[0], name), getattr(curves[1], name), atol=1e-6)


def test_slack_is_in_events_per_unit():
    """Two events per second tolerated: a canary with 1.5 more than stable's is within, one with 3 more is beyond."""
    asked = Rate(name="restarts", exposure="x", tolerance=Tolerance(ratio=1.0, absolute=2.0))
    within, beyond = (weighed(asked, restarts((1.0 + extra) * LOOK, LOOK)) for extra in (1.5, 3.0))
    assert within.promote[-1] > np.log(20)
    assert within.warn[-1] > np.log(1000) > within.abort[-1]
    assert beyond.abort[-1] > np.log(1000)


def test_a_rate_has_no_largest_slack():
    """The budget of a slow service may exceed one event per unit; only shares end at 0.9."""
    assert float(final_slack(0.0, 20.0, np.array(0.001), np.inf)) == pytest.approx(20 / 3.6)
    assert float(final_slack(0.0, 20.0, np.array(0.001))) == 0.9


def test_a_fall_that_harms_changes_the_sides():
    """Jobs finished per worker-second: half as many is harm, twice as many is none."""
    asked = Rate(name="restarts", exposure="time", direction=Direction.DECREASE)
    assert weighed(asked, restarts(6.0, 12.0)).abort[-1] > np.log(1000)
    assert weighed(asked, restarts(24.0, 12.0)).promote[-1] > np.log(20)


def test_scattered_exposure_is_no_step():
    """Bytes per look that scatter by a factor two change no weight, whatever their unit; a tenfold one does."""
    rng = np.random.default_rng(3)
    sizes = np.exp(0.7 * rng.standard_normal((2, 60, 120)))
    assert weight_steps(sizes[0] * 1e9, sizes[1] * 1e10, "units").mean() <= 0.001
    grown = sizes[0] * np.where(np.arange(120) < 60, 1.0, 20.0)
    assert weight_steps(grown, sizes[1], "units").any(axis=1).mean() > 0.9


@pytest.mark.parametrize(
    ("asked", "seen", "said"),
    [
        pytest.param(
            RESTARTS, restarts(crashing(), 0.01), "restarts 12 vs 1.2 per pod-hour (24 v 12 events", id="time"
        ),
        pytest.param(
            QUEUE, restarts(0.3, 0.1, unit=0.1, name="queue"), "queue 1 vs 0.333 per 1,000 (72 v 120 events", id="jobs"
        ),
    ],
)
def test_the_reason_speaks_in_the_unit_of_the_rate(asked, seen, said):
    """Rates are told as a person counts them, never in percent."""
    found = weighed(asked, seen)
    told = rates.answer(asked, policy(asked), seen, found, STANDING)
    assert told.reason.startswith(said)
    assert "%" not in told.reason.split("(")[0]
    assert told.details["compared"] in told.reason
    assert told.kind == "rate"
    assert told.counts["canary"]["total"] > 0


def test_the_wait_is_told_in_pod_hours():
    """An undecided rate says how long it takes, in time and in the canary's pod-hours."""
    seen = restarts(0.0, 0.0, looks=20)
    told = rates.answer(RESTARTS, policy(RESTARTS), seen, weighed(RESTARTS, seen), STANDING)
    assert told.state is State.UNDECIDED
    assert "canary pod-hours" in told.reason
    assert len(told.reason) < 200


def test_a_rate_without_exposure_is_silent():
    """No pod time on a side is no data; the reason says whose."""
    quiet = rates.silence(RESTARTS, record({"restarts": question(pods(2, "s", 0, LOOK), pods(1, "c", 0, 0.0))}))
    assert quiet is not None
    assert (quiet.state, quiet.reason) == (State.NO_DATA, "restarts: no canary exposure in 120 looks")
    assert weighed(RESTARTS, restarts(0.0).until(0.0)) is None
