"""Gauges: what a mean difference of pods is evidence of, and what must not matter to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.compare.gauge_curves import GaugeQuestion
from analysis.compare.gauges import GaugeData, GaugeEvidence, effect, growth, weigh
from analysis.errors import InvalidInput
from analysis.grid import Floats
from analysis.types import Direction

CURVES = ("warn", "tolerated", "abort", "promote", "better", "step")


def pods(rng: np.random.Generator, count: int, slots: int, level: float = 100.0, sd: float = 0.1) -> Floats:
    return level * (1 + sd * rng.standard_normal((count, slots)))


def example(canary: float = 1.0, stable: int = 5, slots: int = 60, history: int = 120, seed: int = 3) -> GaugeData:
    rng = np.random.default_rng(seed)
    return GaugeData(
        baseline=pods(rng, stable, slots),
        canary=canary * pods(rng, 2, slots),
        ends=np.arange(1, slots + 1, dtype=np.float64) * 15,
        history=pods(rng, stable, history) if history else None,
    )


def assert_same(first: GaugeEvidence, second: GaugeEvidence, atol: float = 1e-9) -> None:
    for name in CURVES:
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), atol=atol, err_msg=name)


def scaled(data: GaugeData, by: float, shift: float = 0.0) -> GaugeData:
    history = None if data.history is None else shift + by * data.history
    return replace(data, baseline=shift + by * data.baseline, canary=shift + by * data.canary, history=history)


@pytest.mark.parametrize(
    ("canary", "history", "found"),
    [
        pytest.param(1.0, 120, "promote", id="equal"),
        pytest.param(1.0, 0, "promote", id="equal, no history"),
        pytest.param(2.0, 120, "abort", id="twice"),
        pytest.param(2.0, 0, "abort", id="twice, no history"),
    ],
)
def test_a_clear_case_is_proved(canary: float, history: int, found: str):
    """Equal pods are proved within the tolerance, twice the level beyond it, with and without history."""
    evidence = weigh(example(canary, history=history), GaugeQuestion())
    other = {"promote": "abort", "abort": "promote"}[found]
    goal = {"promote": np.log(20), "abort": np.log(1000)}
    assert getattr(evidence, found)[-1] >= goal[found]
    assert getattr(evidence, other).max() < goal[other]
    assert evidence.noise_source == ("history" if history else "run")


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
@pytest.mark.parametrize("history", [0, 120])
@pytest.mark.parametrize("shift", [pytest.param(0.0, id="ratios"), pytest.param(-100.0, id="around zero")])
def test_units_do_not_matter(factor: float, history: int, shift: float):
    """Bytes or megabytes, seconds or milliseconds: the same evidence."""
    data = scaled(example(1.3, history=history), 1.0, shift)
    assert_same(weigh(data, GaugeQuestion()), weigh(scaled(data, factor), GaugeQuestion()), atol=1e-6)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_the_order_of_replicas_does_not_matter(seed: int):
    """Names are opaque, so rows may come in any order."""
    data, rng = example(1.2, history=60), np.random.default_rng(seed)
    assert data.history is not None
    shuffled = replace(
        data,
        baseline=rng.permutation(data.baseline),
        canary=rng.permutation(data.canary),
        history=rng.permutation(data.history),
    )
    assert_same(weigh(data, GaugeQuestion()), weigh(shuffled, GaugeQuestion()))


@pytest.mark.parametrize("history", [0, 120])
def test_longer_looks_say_the_same_at_their_ends(history: int):
    """A look of several slots is worth what its last slot was worth."""
    data = example(1.2, history=history)
    upto = np.array([4, 8, 20, 36, 60])
    longer = replace(data, upto=upto, ends=data.ends[upto - 1])
    fine, coarse = weigh(data, GaugeQuestion()), weigh(longer, GaugeQuestion())
    for name in CURVES:
        np.testing.assert_allclose(getattr(coarse, name), getattr(fine, name)[upto - 1], atol=1e-9)


@pytest.mark.parametrize("history", [0, 120])
@pytest.mark.parametrize("shift", [pytest.param(0.0, id="ratios"), pytest.param(-100.0, id="around zero")])
def test_what_comes_later_changes_no_earlier_look(history: int, shift: float):
    """The evidence of a look is a function of what was there at that look."""
    data = scaled(example(1.3, history=history), 1.0, shift)
    whole = weigh(data, GaugeQuestion())
    for slots in (5, 12, 19, 21, 40):
        part = replace(data, baseline=data.baseline[:, :slots], canary=data.canary[:, :slots], ends=data.ends[:slots])
        early = weigh(part, GaugeQuestion())
        for name in CURVES:
            np.testing.assert_allclose(getattr(early, name), getattr(whole, name)[:slots], atol=1e-9)


@given(row=st.integers(0, 1), slot=st.integers(0, 39), more=st.floats(0.0, 500.0))
@settings(max_examples=40, deadline=None)
def test_a_higher_canary_value_never_helps(row: int, slot: int, more: float):
    """With noise from history, evidence of harm rises and that of harmlessness falls with every single value."""
    data = example(1.05, slots=40)
    canary = data.canary.copy()
    canary[row, slot] += more
    before, after = weigh(data, GaugeQuestion()), weigh(replace(data, canary=canary), GaugeQuestion())
    assert np.all(after.warn >= before.warn - 1e-9)
    assert np.all(after.tolerated >= before.tolerated - 1e-9)
    assert np.all(after.promote <= before.promote + 1e-9)


def test_a_fall_does_harm_where_the_policy_says_so():
    """A canary at half the level: worse if falls do harm, better if rises do."""
    data = example(0.5)
    falls = weigh(data, GaugeQuestion(direction=Direction.DECREASE))
    rises = weigh(data, GaugeQuestion())
    assert falls.abort[-1] >= np.log(1000) > rises.abort.max()
    assert rises.better[-1] >= np.log(20) > falls.promote.max()


@pytest.mark.parametrize(
    ("canary", "slack", "aborts"),
    [
        pytest.param(1.6, 0.0, True, id="no slack"),
        pytest.param(1.6, 100.0, False, id="slack of a whole level"),
    ],
)
def test_slack_is_in_the_unit_of_the_metric(canary: float, slack: float, aborts: bool):
    """An absolute tolerance widens the limit by its share of stable's level."""
    evidence = weigh(example(canary), GaugeQuestion(slack=slack))
    assert (evidence.abort[-1] >= np.log(1000)) == aborts


def test_missing_pods_are_not_filled():
    """A side without a sample adds nothing; a left out slot is the same as a missing one."""
    data = example(2.0)
    gone = replace(data, canary=np.full_like(data.canary, np.nan))
    assert not weigh(gone, GaugeQuestion()).used.any()
    assert not weigh(gone, GaugeQuestion()).abort.any()
    marks = np.zeros(60, dtype=bool)
    marks[10:30] = True
    hollow = replace(data, canary=np.where(marks, np.nan, data.canary), baseline=np.where(marks, np.nan, data.baseline))
    assert_same(weigh(replace(data, left_out=marks), GaugeQuestion()), weigh(hollow, GaugeQuestion()))


@pytest.mark.parametrize(
    ("canary", "worse"),
    [pytest.param(5.0, False, id="equal"), pytest.param(50.0, True, id="different")],
)
def test_constants_are_compared_by_what_is_known_of_pods(canary: float, worse: bool):
    """Equal constants are no evidence of harm; different ones are, with the prior spread of pods as the only noise."""
    slots = 60
    data = GaugeData(
        baseline=np.full((3, slots), 5.0),
        canary=np.full((1, slots), canary),
        ends=np.arange(1.0, slots + 1),
        history=np.full((3, 80), 5.0),
    )
    evidence = weigh(data, GaugeQuestion())
    assert (evidence.abort[-1] >= np.log(1000)) == worse
    assert worse or evidence.warn.max() <= 0
    assert np.isfinite(evidence.warn).all()


def test_a_level_that_was_always_zero_is_not_judged_here():
    """There is no scale: no evidence, and a flag that sends the question to the weaker proof."""
    data = GaugeData(baseline=np.zeros((3, 40)), canary=np.ones((1, 40)), ends=np.arange(1.0, 41))
    evidence = weigh(data, GaugeQuestion())
    assert "always zero" in evidence.flags
    assert not evidence.abort.any()
    assert not evidence.promote.any()
    assert effect(evidence) is None


@pytest.mark.parametrize(
    ("canary", "stable", "limited"),
    [pytest.param(1, 1, True, id="one against one"), pytest.param(4, 12, False, id="four against twelve")],
)
def test_pods_limit_what_can_be_proved(canary: int, stable: int, limited: bool):
    """One pod a side cannot prove 25 % whatever the time, and says so at its first look."""
    rng = np.random.default_rng(5)
    data = GaugeData(baseline=pods(rng, stable, 12), canary=pods(rng, canary, 12), ends=np.arange(1.0, 13))
    evidence = weigh(data, GaugeQuestion())
    assert ("pod-limited" in evidence.flags) == limited
    assert ("one stable pod" in evidence.flags) == (stable == 1)


def test_one_loud_look_can_be_left_out():
    """The burst check finds the look that carries the evidence and gives the evidence without it."""
    data = example(1.0)
    canary = data.canary.copy()
    canary[:, 20] *= 300
    evidence = weigh(replace(data, canary=canary), GaugeQuestion())
    assert evidence.abort[20] >= np.log(1000)
    assert evidence.loudest_look(25) == 20
    left = evidence.without_looks([20])
    assert left.abort.max() < np.log(10)
    assert len(left.abort) == 60


def test_each_weight_step_is_proved_anew():
    """A fault that begins with a step is seen by the step's own proof while the whole run still looks harmless."""
    data = example(1.0, slots=120)
    canary = data.canary.copy()
    canary[:, 100:] *= 1.6
    steps = np.zeros(120, dtype=bool)
    steps[100] = True
    evidence = weigh(replace(data, canary=canary, steps=steps), GaugeQuestion())
    assert evidence.step[99] == evidence.promote[99]
    assert evidence.promote[-1] >= np.log(20)
    assert evidence.step[-1] < 0
    assert evidence.step_start == 100


def test_one_replica_can_be_left_out():
    """What the others say without it is what they would say alone."""
    data = example(1.0)
    canary = data.canary.copy()
    canary[1] *= 4
    evidence = weigh(replace(data, canary=canary), GaugeQuestion())
    alone = weigh(replace(data, canary=canary[:1]), GaugeQuestion())
    np.testing.assert_allclose(evidence.without_replica(1).abort, alone.abort)


@pytest.mark.parametrize("scale", ["auto", "log"])
def test_the_effect_is_bounded_on_both_sides(scale: str):
    """A canary at 1.5 times the level: the estimate is near, the bounds hold it, the ratio is what is printed."""
    found = effect(weigh(example(1.5), GaugeQuestion(scale="log" if scale == "log" else "auto")))
    assert found is not None
    assert found.measure == "ratio"
    assert found.low < 1.5 < found.high
    assert found.estimate == pytest.approx(1.5, abs=0.08)


def test_growth_is_what_was_added_in_five_minutes():
    """A leak has a slope: constant memory grows by nothing, a missing end by nobody knows."""
    rising = np.arange(10.0)[None]
    rising[0, 4] = np.nan
    grown = growth(rising, 3)
    assert np.isnan(grown[0, [0, 1, 2, 4, 7]]).all()
    assert grown[0, [3, 5, 6, 8, 9]].tolist() == [3.0] * 5


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"canary": np.ones((1, 3))}, id="sides of unlike length"),
        pytest.param({"ends": np.ones(3)}, id="more slots than ends"),
        pytest.param({"upto": np.arange(60) + 2}, id="slots that do not exist"),
        pytest.param({"traffic": 0.0}, id="no traffic"),
        pytest.param({"history": np.ones(5)}, id="history without replicas"),
    ],
)
def test_shapes_that_no_measurement_has_are_refused(changes: dict[str, Any]):
    """A caller's mistake raises."""
    with pytest.raises(InvalidInput):
        replace(example(), **changes)
