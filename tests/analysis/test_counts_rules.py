"""What counts may look like, and what is made of it: the rules for odd data."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from analysis.compare.counts import CountsEvidence, CountsQuestion, weigh
from analysis.compare.effects import counts_by_step, effect, shown_effect
from analysis.errors import InvalidInput
from analysis.types import Direction, State
from tests.analysis.counts_examples import release

QUESTION = CountsQuestion()
CURVES = ("warn", "tolerated", "abort", "promote", "step", "better")


def assert_numbers(evidence: CountsEvidence):
    """No curve and no figure is NaN or infinite."""
    for field in fields(evidence):
        value = getattr(evidence, field.name)
        if isinstance(value, float) or field.name in CURVES:
            assert np.all(np.isfinite(value)), field.name


def test_no_bad_events_without_slack_say_nothing():
    """x_c = x_s = 0 with D = 0 is no information: every test stays where it was."""
    evidence = weigh(release(share=0.0), CountsQuestion(slack=0.0, harm_budget=1e-9))
    assert_numbers(evidence)
    np.testing.assert_allclose(evidence.warn, 0, atol=1e-12)
    np.testing.assert_allclose(evidence.tolerated, 0, atol=1e-12)
    np.testing.assert_allclose(evidence.better, 0, atol=1e-12)
    assert effect(evidence) is None


def test_no_bad_events_with_slack_speak_for_the_canary():
    """Pseudo-events: with no errors anywhere promote evidence grows by about n_c D a look, the rule of three."""
    evidence = weigh(release(share=0.0, looks=200), QUESTION)
    assert_numbers(evidence)
    assert np.all(np.diff(evidence.promote) > 0)
    requests = 150.0 * (1 + int((evidence.promote >= math.log(20)).argmax()))
    assert 3000 <= requests <= 12_000  # dispersion is the prior 2 here; three over D is 3,000
    assert evidence.warn[-1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("side", ["canary", "baseline"])
def test_a_look_without_requests_is_skipped_and_spends_its_mass(side: str):
    """n_c = 0 or n_s = 0: nothing is earned, the look keeps its number."""
    data = release(seed=3, ratio=2.0)
    total = getattr(data, f"{side}_total").copy()
    total[:, 10:14] = 0.0
    bad = getattr(data, f"{side}_bad").copy()
    bad[:, 10:14] = 0.0
    evidence = weigh(release(seed=3, ratio=2.0, **{f"{side}_total": total, f"{side}_bad": bad}), QUESTION)
    assert_numbers(evidence)
    assert evidence.empty_looks == 4
    assert not evidence.used[10:14].any()
    np.testing.assert_allclose(evidence.warn[9:14], evidence.warn[9], atol=1e-9)
    mass = evidence.prepared.looks.start_mass[0]
    assert mass[12] == pytest.approx(0.15 / (13 * 12))


def test_a_stable_side_that_is_gone_freezes_the_evidence():
    """n_s = 0 for good: evidence stays where it was, the reason is a flag."""
    data = release(seed=4, ratio=1.5)
    total, bad = data.baseline_total.copy(), data.baseline_bad.copy()
    total[:, 25:] = bad[:, 25:] = 0.0
    evidence = weigh(release(seed=4, ratio=1.5, baseline_total=total, baseline_bad=bad), QUESTION)
    assert_numbers(evidence)
    assert "no_baseline" in evidence.flags
    for name in CURVES:
        np.testing.assert_allclose(getattr(evidence, name)[25:], getattr(evidence, name)[24], atol=1e-9)


@pytest.mark.parametrize("side", ["canary", "baseline"])
def test_more_errors_than_requests_skip_the_look_and_are_flagged(side: str):
    """X > n (retries, lagging series): the look is left out by name."""
    data = release(seed=5)
    bad = getattr(data, f"{side}_bad").copy()
    bad[0, 7] = 1e6
    evidence = weigh(release(seed=5, **{f"{side}_bad": bad}), QUESTION)
    assert_numbers(evidence)
    assert "inconsistent_counters" in evidence.flags
    assert list(np.flatnonzero(~evidence.used)) == [7]
    assert evidence.warn[7] == pytest.approx(evidence.warn[6], abs=1e-6)
    assert evidence.phi < 2


def test_counts_need_not_be_whole():
    """Extrapolated rates are taken as they come: evidence moves smoothly with them, nothing is rounded."""
    data = release(seed=6, ratio=1.3)
    shares = [
        weigh(release(seed=6, ratio=1.3, canary_bad=data.canary_bad + d), QUESTION).warn[-1] for d in (0.0, 0.3, 0.6)
    ]
    assert shares[0] < shares[1] < shares[2]


def test_missing_values_are_dropped_not_zero():
    """NaN of one replica, one side, or only of its error counter: the point is gone, nothing becomes NaN."""
    data = release(seed=7, stable=(4, 700.0), canary=(2, 75.0))
    bad, total = data.canary_bad.copy(), data.baseline_total.copy()
    bad[0, 3] = np.nan
    bad[:, 5] = np.nan
    total[1, 8:12] = np.nan
    evidence = weigh(
        release(seed=7, stable=(4, 700.0), canary=(2, 75.0), canary_bad=bad, baseline_total=total), QUESTION
    )
    assert_numbers(evidence)
    assert list(np.flatnonzero(~evidence.used)) == [5]
    looks = evidence.prepared.looks
    assert looks.total_canary[0, 3] == 75.0
    assert looks.total_baseline[0, 9] == 2100.0


def test_nothing_at_all_is_evidence_near_zero():
    """All missing: no number is made up, no exception is raised."""
    empty = np.full((1, 40), np.nan)
    evidence = weigh(release(canary_bad=empty, canary_total=empty, baseline_bad=np.full((10, 40), np.nan)), QUESTION)
    assert_numbers(evidence)
    assert evidence.first_look is None
    np.testing.assert_allclose([getattr(evidence, name)[-1] for name in CURVES[:2]], 0, atol=1e-12)
    assert shown_effect(evidence, State.UNDECIDED) is None


def test_one_look_worth_more_than_700_nats():
    """A look with a hundred thousand errors gives finite evidence, and so do those after it."""
    data = release(seed=8, share=0.3, stable=(10, 50_000.0), canary=(1, 500_000.0), looks=20)
    bad = data.canary_bad.copy()
    bad[0, 4] = 490_000.0
    evidence = weigh(
        release(seed=8, share=0.3, stable=(10, 50_000.0), canary=(1, 500_000.0), looks=20, canary_bad=bad), QUESTION
    )
    assert_numbers(evidence)
    assert evidence.warn[4] > 3


@pytest.mark.parametrize("looks", [pytest.param(500, id="500 looks"), pytest.param(20_000, id="20,000 looks")])
def test_long_releases_are_judged_in_full(looks: int):
    """Five hundred and twenty thousand looks: every value is a number, and equal rates are never called worse."""
    evidence = weigh(release(seed=9, looks=looks), QUESTION)
    assert_numbers(evidence)
    assert evidence.warn.shape == (looks,)
    assert evidence.abort.max() < math.log(1000)
    assert evidence.promote[-1] > math.log(20)


def test_a_question_that_starts_late_runs_its_own_clock():
    """Looks before the first requests of both sides are not looks of this question."""
    data = release(seed=10, ratio=2.0, looks=30)
    pad = [(0, 0), (12, 0)]
    late: dict[str, Any] = {
        name: np.pad(getattr(data, name), pad, constant_values=np.nan)
        for name in ("canary_bad", "canary_total", "baseline_bad", "baseline_total")
    }
    evidence = weigh(release(seed=10, ratio=2.0, looks=42, **late), QUESTION)
    assert evidence.first_look == 12
    np.testing.assert_allclose(evidence.warn[:12], 0.0, atol=1e-200)
    on_time = weigh(data, QUESTION)
    for name in CURVES:
        np.testing.assert_allclose(getattr(evidence, name)[12:], getattr(on_time, name), atol=1e-9)


def test_a_fall_that_harms_is_a_rise_of_the_other_side():
    """Direction decrease swaps the sides in the bets and nothing else; the effect is still canary over stable."""
    falling = release(seed=11, share=0.03, ratio=0.4, looks=60)
    evidence = weigh(falling, CountsQuestion(direction=Direction.DECREASE))
    assert evidence.warn.max() > math.log(1000)
    assert evidence.promote[-1] < 0
    assert weigh(falling, QUESTION).warn.max() < math.log(100)
    found = effect(evidence)
    assert found is not None
    assert found.low < 0.4 < found.high < 1
    counted = counts_by_step(evidence)[0]
    assert counted.canary_total == 150.0 * 60
    rising = weigh(release(seed=12, share=0.03, ratio=2.0), CountsQuestion(direction=Direction.DECREASE))
    assert rising.warn.max() < math.log(20)
    assert rising.promote[-1] > math.log(20)


def test_replicas_in_any_order_and_merged_give_the_same():
    """Order is no information; where replicas are not visible, one row is as good as many."""
    data = release(seed=13, ratio=1.6, canary=(3, 50.0))
    names = ("baseline_bad", "baseline_total", "canary_bad", "canary_total")
    reverse: dict[str, Any] = {n: getattr(data, n)[::-1] for n in names}
    shuffled = weigh(release(seed=13, ratio=1.6, canary=(3, 50.0), **reverse), QUESTION)
    apart = weigh(release(seed=13, ratio=1.6, canary=(3, 50.0), visible=False, history=None), QUESTION)
    merged: dict[str, Any] = {n: getattr(data, n).sum(axis=0, keepdims=True) for n in names}
    together = weigh(release(seed=13, ratio=1.6, visible=False, history=None, **merged), QUESTION)
    for name in CURVES:
        np.testing.assert_allclose(getattr(shuffled, name), getattr(weigh(data, QUESTION), name), atol=1e-9)
        np.testing.assert_allclose(getattr(apart, name), getattr(together, name), atol=1e-9)
    assert "pods: unknown" in together.flags


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        pytest.param({"canary_bad": np.full((1, 40), -1.0)}, "/canary/bad", id="negative"),
        pytest.param({"baseline_total": np.full((10, 40), np.inf)}, "/baseline/total", id="infinite"),
        pytest.param({"canary_total": np.ones((2, 40))}, "/canary", id="unequal shapes"),
        pytest.param({"seconds": np.zeros(40)}, "/seconds", id="no length"),
        pytest.param({"earlier_bad": np.ones((10, 3))}, "/earlier", id="half a history"),
    ],
)
def test_counts_that_cannot_be_are_refused(changes: dict[str, Any], place: str):
    """Numbers and shapes that no measurement has raise and name their place."""
    with pytest.raises(InvalidInput, match=place):
        release(**changes)


@pytest.mark.parametrize("weight", [0.0, 1.2, -0.5])
def test_a_weight_beyond_its_range_is_refused(weight: float):
    """The next weight is a share."""
    with pytest.raises(InvalidInput, match="next_weight"):
        weigh(release(), QUESTION, next_weight=weight)


def test_one_look_without_stable_requests_is_no_lost_baseline():
    """A small service has looks that only the canary served; that passes."""
    data = release(seed=14, stable=(1, 2.0), canary=(1, 2.0))
    total = data.baseline_total.copy()
    total[:, -1] = 0.0
    evidence = weigh(release(seed=14, stable=(1, 2.0), canary=(1, 2.0), baseline_total=total), QUESTION)
    assert "no_baseline" not in evidence.flags
    assert evidence.empty_looks == 1


def test_a_look_that_is_left_out_is_skipped_but_not_empty():
    """Flagged looks keep their number, are not judged, and are counted apart from silent ones."""
    left_out = np.arange(40) == 12
    evidence = weigh(release(seed=15, left_out=left_out), QUESTION)
    assert evidence.empty_looks == 0
    assert list(np.flatnonzero(~evidence.used)) == [12]
    assert counts_by_step(evidence)[0].canary_total == 39 * 150.0
