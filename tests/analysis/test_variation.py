"""The variation rule: what aborts, what holds, what must stand, and what is nobody's fault."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.compare.fractions import count_strength, counts_of
from analysis.compare.lines import Line, LineEvidence, line_evidence, line_of_pods
from analysis.compare.strengths import (
    before_and_after,
    mean_variance,
    moved_before,
    on_log_scale,
    placebo_sd,
    side_by_side,
)
from analysis.compare.variation import combined, suspect, weigh
from analysis.errors import InvalidInput
from analysis.grid import Floats
from analysis.types import State

MINUTE = 60.0


def noisy(seed: int, count: int, level: float = 50.0, sd: float = 0.05) -> Floats:
    return level * (1 + sd * np.random.default_rng(seed).standard_normal(count))


def line(factor: float = 1.0, samples: int = 40, sign: int = 1, name: str = "cpu", seed: int = 1, **more: Any) -> Line:
    found = Line(name=name, sign=sign, canary=factor * noisy(seed, samples), stable=noisy(seed + 100, samples))
    return replace(found, **more)


def said(*strengths: float, sign: int = 1, **more: Any) -> State:
    return combined(
        [LineEvidence(name=str(i), sign=sign, strength=t, ratio=1.0, **more) for i, t in enumerate(strengths)]
    ).state


@pytest.mark.parametrize(
    ("strengths", "sign", "state"),
    [
        pytest.param([1.0, 0.0], 1, State.WORSE, id="directed: one at 1 aborts"),
        pytest.param([0.99, 0.9], 1, State.DEGRADED, id="directed: two below 1 do not"),
        pytest.param([0.5, 0.0], 1, State.DEGRADED, id="directed: one at 0.5 holds"),
        pytest.param([0.4, 0.4], 1, State.DEGRADED, id="directed: two at 0.4 hold"),
        pytest.param([0.49, 0.39], 1, State.WITHIN_VARIATION, id="directed: below both"),
        pytest.param([2.0, 0.1, 0.1], 0, State.WORSE, id="three of unknown direction count as directed"),
        pytest.param([2.0, 0.1, 0.1, 0.1], 0, State.DEGRADED, id="undirected: one odd metric is no harm"),
        pytest.param([0.8, 0.8, 0.1, 0.1], 0, State.WORSE, id="undirected: two at 0.8 abort"),
        pytest.param([0.6, 0.1, 0.1, 0.1], 0, State.DEGRADED, id="undirected: one at 0.6 holds"),
        pytest.param([0.59, 0.39, 0.1, 0.1], 0, State.WITHIN_VARIATION, id="undirected: below both"),
    ],
)
def test_the_bars(strengths: list[float], sign: int, state: State):
    """One or two lines decide, by whether the harmful direction is known."""
    assert said(*strengths, sign=sign) is state


def test_what_cannot_be_seen_is_not_promoted():
    """All lines blind, a required blind one, or nothing judged: undecided; one that nobody needs: promoted."""
    seeing = LineEvidence(name="a", sign=1, strength=0.1, ratio=1.0)
    blind = LineEvidence(name="b", sign=1, strength=0.1, ratio=1.0, blind=True)
    assert combined([blind]).state is State.UNDECIDED
    assert combined([seeing, replace(blind, required=True)]).state is State.UNDECIDED
    assert combined([seeing, blind]).state is State.WITHIN_VARIATION
    assert combined([]).state is State.UNDECIDED
    assert combined([replace(seeing, strength=None)]).state is State.UNDECIDED


@pytest.mark.parametrize(
    ("factor", "sign", "state"),
    [
        pytest.param(1.0, 1, State.WITHIN_VARIATION, id="equal"),
        pytest.param(2.0, 1, State.WORSE, id="twice, a rise does harm"),
        pytest.param(2.0, -1, State.WITHIN_VARIATION, id="twice, a fall does harm"),
        pytest.param(0.5, -1, State.WORSE, id="half, a fall does harm"),
        pytest.param(0.5, 0, State.WORSE, id="half, unknown direction"),
    ],
)
def test_size_and_direction_beside_stable(factor: float, sign: int, state: State):
    """Twice the level aborts where the change does harm, equal lines are within natural variation."""
    assert weigh([line(factor, sign=sign)], beside=True, step_seconds=MINUTE).state is state


def test_an_abort_must_stand():
    """A fault shows as a hold until it has stood for a quarter of the canary's age and 20 minutes."""
    canary = noisy(1, 75)
    canary[30:] *= 3
    late = Line(name="cpu", sign=1, canary=canary, stable=noisy(2, 75))
    prefixes = {n: late.first(n, beside=True) for n in range(20, 76)}
    states = {n: weigh([v], beside=True, step_seconds=MINUTE).state for n, v in prefixes.items()}
    alone = {n: combined([line_evidence(v, True, MINUTE)]).state for n, v in prefixes.items()}
    seen = next(n for n in alone if alone[n] is State.WORSE)
    assert 30 < seen < 50
    assert all(states[n] is State.WITHIN_VARIATION for n in range(20, 30))
    assert all(states[n] is State.DEGRADED for n in range(seen, seen + 20))
    assert all(states[n] is State.WORSE for n in range(seen + 20, 76))


def test_asking_more_often_changes_nothing():
    """Standing is replayed from prefixes of the samples, so what was asked in between does not enter."""
    found = line(1.7)
    once = weigh([found], beside=True, step_seconds=MINUTE)
    for n in range(3, 40):
        weigh([found.first(n, beside=True)], beside=True, step_seconds=MINUTE)
    assert weigh([found], beside=True, step_seconds=MINUTE) == once


def test_three_samples_do_not_abort():
    """A canary of three samples may hold, of two is not judged."""
    short = Line(name="p99", sign=1, canary=np.full(3, 400.0), stable=noisy(3, 15, 100.0))
    assert weigh([short], beside=False, step_seconds=MINUTE).state is State.DEGRADED
    two = replace(short, canary=short.canary[:2])
    assert weigh([two], beside=False, step_seconds=MINUTE).state is State.UNDECIDED


def test_everybody_on_fire_does_not_abort_the_canary():
    """Stable left its own history the same way: the line can hold, it cannot abort."""
    calm = noisy(5, 30)
    burning = Line(name="cpu", sign=1, canary=6 * noisy(6, 40), stable=2 * noisy(7, 40), history=calm)
    found = weigh([burning], beside=True, step_seconds=MINUTE)
    assert found.state is State.DEGRADED
    assert found.lines[0].flags == ("stable moved too",)
    assert "stable moved too" in found.reason
    quiet = replace(burning, stable=noisy(7, 40))
    assert weigh([quiet], beside=True, step_seconds=MINUTE).state is State.WORSE
    other_way = replace(burning, stable=0.4 * noisy(7, 40))
    assert weigh([other_way], beside=True, step_seconds=MINUTE).state is State.WORSE


@pytest.mark.parametrize(
    ("canary", "sign", "state"),
    [
        pytest.param([0.0, 3.0, 2.0, 0.0], 1, State.DEGRADED, id="half of the samples"),
        pytest.param([0.0, 3.0, 0.0, 0.0], 1, State.WITHIN_VARIATION, id="a single one"),
        pytest.param([3.0, 3.0, 2.0, 1.0], -1, State.WITHIN_VARIATION, id="a rise does no harm"),
    ],
)
def test_what_was_always_zero(canary: list[float], sign: int, state: State):
    """Something appeared that never was there: a hold, since no size can be told."""
    found = Line(name="restarts", sign=sign, canary=np.array(canary), stable=np.zeros(4), history=np.zeros(9))
    assert weigh([found], beside=True, step_seconds=300).state is state


def test_a_slow_wander_of_one_pod_is_no_fault():
    """The difference wanders slowly by a tenth: five-minute means keep it from an abort, learned noise from a hold."""
    rng = np.random.default_rng(8)
    wander = np.cumsum(0.12 * rng.standard_normal(40))
    canary = 50 * np.exp(wander - wander[0] + 0.3)
    found = Line(name="heap", sign=1, canary=canary, stable=np.full(40, 50.0))
    assert weigh([found], beside=True, step_seconds=MINUTE).state is not State.WORSE
    learned = replace(found, pod_sd=0.5)
    assert weigh([learned], beside=True, step_seconds=MINUTE).state is not State.WORSE


@given(factor=st.sampled_from([1e-6, 1e-3, 0.1, 7.0, 1e3, 1e6]), size=st.sampled_from([1.0, 1.3, 2.0]))
@settings(max_examples=30, deadline=None)
def test_units_do_not_matter(factor: float, size: float):
    """Both proofs give the same strength in any unit."""
    found = line(size, history=noisy(9, 60))
    scaled = replace(found, canary=factor * found.canary, stable=factor * found.stable, history=factor * found.history)
    for beside in (True, False):
        before, after = (line_evidence(v, beside, MINUTE).strength for v in (found, scaled))
        assert before is not None
        assert after == pytest.approx(before, abs=1e-9)


def test_names_and_order_do_not_matter():
    """Renamed and shuffled lines give the same state."""
    lines = [line(f, name=f"m{i}", sign=0, seed=i) for i, f in enumerate((1.0, 1.5, 1.0, 1.6, 1.0))]
    renamed = [replace(v, name=f"x{i}") for i, v in enumerate(lines)][::-1]
    states = {weigh(v, beside=True, step_seconds=MINUTE).state for v in (lines, renamed)}
    assert len(states) == 1


def test_missing_samples_are_dropped_in_pairs():
    """A slot that one side lacks is dropped on both; unequal lengths are never beside each other."""
    full = line(1.4)
    holes = full.canary.copy()
    holes[[3, 17]] = np.nan
    kept = np.isfinite(holes)
    gone = replace(full, canary=full.canary[kept], stable=full.stable[kept])
    assert line_evidence(replace(full, canary=holes), True, MINUTE) == line_evidence(gone, True, MINUTE)
    unequal = replace(full, stable=full.stable[:20])
    assert line_evidence(unequal, True, MINUTE).proof == "before_after"


def test_steps_and_ramps_do_not_hide_in_their_own_noise():
    """The same change with and without a step in it is measured against the same noise of neighbours."""
    rng = np.random.default_rng(4)
    x = 0.02 * rng.standard_normal((1, 40))
    stepped = x + np.where(np.arange(40) >= 20, 1.0, 0.0)
    assert side_by_side(stepped, 1, 1, 0.08).sd[0] < 1.6 * side_by_side(x, 1, 1, 0.08).sd[0]
    assert side_by_side(stepped, 1, 1, 0.08).strength[0] >= 1


def test_a_mean_of_correlated_samples_varies_by_the_sum_of_its_covariances():
    """The closed form against the double sum."""
    phi, n = 0.6, 9
    lags = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    expected = 2.5 * (phi**lags).sum() / n**2
    assert mean_variance(np.array([2.5]), np.array([phi]), n)[0] == pytest.approx(expected)


def test_a_short_pool_cannot_abort():
    """Before/after needs two canary windows of pool to know what is natural."""
    stable, canary = np.ones((1, 15)) + 0.01 * np.arange(15)[None], np.full((1, 10), 4.0)
    scaled = [on_log_scale(v, np.ones(1)) for v in (canary, stable)]
    none = np.zeros((1, 0))
    capped = before_and_after(scaled[0], scaled[1], none, 1)
    assert capped.strength[0] == 0.79
    assert capped.doubt[0]
    longer = before_and_after(scaled[0], scaled[1], np.tile(scaled[1], (1, 2)), 1)
    assert longer.strength[0] > 1


def test_both_comparisons_must_agree():
    """Above its history but below the hour before: a direction that is unknown is no effect at all."""
    history, stable, canary = np.full((1, 90), 1.0), np.full((1, 10), 3.0), np.full((1, 5), 2.0)
    history = history + 0.01 * np.arange(90) / 90
    found = before_and_after(*(on_log_scale(v, np.ones(1)) for v in (canary, stable, history)), 0)
    assert found.effect[0] == 0.0


def test_stable_must_move_far_and_the_same_way():
    """Forty percent and three standard deviations, in the canary's direction."""
    history = np.log(noisy(11, 30, 1.0, 0.05))[None]
    assert moved_before(history + 0.5, history, np.array([1.0]))[0]
    assert not moved_before(history + 0.5, history, np.array([-1.0]))[0]
    assert not moved_before(history + 0.3, history, np.array([1.0]))[0]
    assert not moved_before(5 * history + 0.5, 5 * history, np.array([1.0]))[0]


def test_a_placebo_finds_the_spread_of_one_pod():
    """Pods that differ by 20 % give back 20 %, and fewer than three give nothing."""
    rng = np.random.default_rng(12)
    found = [
        placebo_sd(np.exp(0.2 * rng.standard_normal((8, 1)) + 0.01 * rng.standard_normal((8, 60))), 20)
        for _ in range(200)
    ]
    squares = [v**2 for v in found if v is not None]
    assert math.sqrt(float(np.mean(squares))) == pytest.approx(0.2, rel=0.1)
    assert placebo_sd(np.ones((2, 60)), 20) is None
    assert placebo_sd(np.ones((3, 10)), 20) is None


@pytest.mark.parametrize(
    ("pods", "history", "learned"),
    [
        pytest.param(4, 120, True, id="history"),
        pytest.param(4, 0, True, id="beside the canary"),
        pytest.param(2, 120, False, id="two stable pods tell nothing of pods"),
    ],
)
def test_a_level_seen_pod_by_pod_becomes_one_line(pods: int, history: int, learned: bool):
    """Means of the pods present; the spread of pods is learned from three stable ones on, for the pods there are."""
    rng = np.random.default_rng(6)
    level = np.exp(0.3 * rng.standard_normal((pods + 2, 1)))
    canary, stable = (level[part] * (1 + 0.01 * rng.standard_normal((40, 1))).T for part in (slice(2), slice(2, None)))
    canary[0, 5] = np.nan
    before = level[2:] * np.ones(history)
    found = line_of_pods("heap", 1, canary, stable, before, MINUTE)
    assert found.canary[5] == canary[1, 5]
    np.testing.assert_allclose(found.stable, stable.mean(axis=0))
    assert (found.pod_sd is not None) == learned
    if found.pod_sd is not None:
        others = (level[2:].sum() - level[2:]) / (pods - 1)
        one = np.sqrt((np.log(level[2:] / others) ** 2).mean() * (pods - 1) / pods)
        assert found.pod_sd == pytest.approx(one * np.sqrt(1 / 2 + 1 / pods), rel=1e-6)


@pytest.mark.parametrize(
    ("fraction", "requests", "counts"),
    [
        pytest.param([0.01, 0.02, 0.0, 0.03], [100, 200, 50, 100], [1, 4, 0, 3], id="whole"),
        pytest.param([0.01234, 0.0213, 0.004, 0.03], [100, 211, 57, 90], None, id="not whole"),
        pytest.param([0.5, 0.0, 1.0, 0.0], [2, 1, 2, 3], None, id="too few requests to tell"),
        pytest.param([0.01, 0.02], [100, 200], None, id="two samples"),
        pytest.param([1.5, 2.0, 3.0], [100, 200, 50], None, id="not a share"),
    ],
)
def test_fractions_that_are_counts(fraction: list[float], requests: list[float], counts: list[int] | None):
    """Only products that are whole are taken for counts."""
    found = counts_of(np.array(fraction), np.array(requests, dtype=float))
    assert (None if found is None else found[0].tolist()) == counts


@pytest.mark.parametrize(
    ("bad", "aborts"),
    [pytest.param(2, False, id="as many"), pytest.param(16, True, id="eight times as many")],
)
def test_counts_are_judged_as_counts(bad: int, aborts: bool):
    """An error share with its requests is judged by its events, not by its wobble."""
    requests = np.full(6, 400.0)
    found = Line(
        name="errors",
        sign=1,
        canary=np.full(6, bad / 400),
        stable=np.full(6, 2 / 400),
        fraction=True,
        requests=((requests, requests, np.zeros(0)),),
    )
    evidence = line_evidence(found, False, 300)
    assert evidence.proof == "counts"
    assert (evidence.strength or 0) >= 1 if aborts else (evidence.strength or 0) < 0.4


def test_the_binomial_tail_is_exact():
    """P(Bin(30, 1/3) >= 20) is 2.07e-4 (by its sum), so z is 3.53."""
    tail = sum(math.comb(30, k) * 2.0 ** (30 - k) for k in range(20, 31)) / 3.0**30
    requests = np.full(4, 250.0)
    found = count_strength((np.full(4, 5.0), requests), (np.full(4, 2.5), 2 * requests), 1)
    assert found is not None
    assert 0.5 * math.erfc(found.z / math.sqrt(2)) == pytest.approx(tail, rel=1e-9)
    assert count_strength((np.zeros(3), np.zeros(3)), (np.ones(3), np.ones(3)), 1) is None


@pytest.mark.parametrize(
    ("whole", "without", "found"),
    [
        pytest.param(9.0, {"a": 8.0, "b": 1.0, "c": 8.5}, "b", id="one replica carries it"),
        pytest.param(9.0, {"a": 5.0, "b": 4.0, "c": 6.0}, None, id="all are as bad"),
        pytest.param(9.0, {"a": 8.0, "b": -1.0}, None, id="two replicas cannot tell"),
        pytest.param(1.0, {"a": 0.0, "b": 0.0, "c": 0.0}, None, id="nothing was proved"),
    ],
)
def test_a_suspect_replica(whole: float, without: dict[str, float], found: str | None):
    """From three replicas on, evidence that falls below 10 : 1 without one of them points at that one."""
    assert suspect(whole, without) == found


def test_the_reader_is_told_what_would_have_been_too_much():
    """The size that would have aborted is printed; it is never below 40 %."""
    evidence = line_evidence(line(1.0), True, MINUTE)
    bar = evidence.change_for(1.0)
    assert bar is not None
    assert bar >= 1.4


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"sign": 2}, id="no direction"),
        pytest.param({"canary": np.ones((2, 3))}, id="two lines in one"),
        pytest.param({"stable": np.array([np.inf])}, id="infinite"),
    ],
)
def test_lines_that_no_source_gives_are_refused(wrong: dict[str, Any]):
    """A caller's mistake raises."""
    with pytest.raises(InvalidInput):
        replace(line(), **wrong)
    with pytest.raises(InvalidInput):
        weigh([line()], beside=True, step_seconds=0.0)
