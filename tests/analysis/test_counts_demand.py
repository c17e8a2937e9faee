"""Weight steps read from the requests, what a step may cost, and what is shown of an effect."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from analysis.compare.claims import final_demand, step_demand
from analysis.compare.counts import CountsQuestion, weigh, with_next_weight
from analysis.compare.effects import (
    counts_by_step,
    effect,
    fault_start,
    largest_abort,
    largest_promote,
    limit_ratio,
    shown_effect,
)
from analysis.demand import final_slack, next_weight, step_slack
from analysis.exposure import pod_factor, seen_and_settled, settled_steps, shares_of_squares, weight_steps
from analysis.grid import Floats
from analysis.resumed import forget
from analysis.stakes import start_masses
from analysis.types import State
from tests.analysis.counts_examples import history, release

QUESTION = CountsQuestion()


def ramped(weights: list[float], each: int = 12, requests: float = 3000.0, **changes: Any):
    """A release whose weight moves, with the same service all the time."""
    share = np.repeat(weights, each)
    looks = len(share)
    rng = np.random.default_rng(20)
    n_c, n_s = requests * share[None], np.tile(requests * (1 - share) / 10, (10, 1))
    fields: dict[str, Any] = {
        "canary_total": n_c,
        "baseline_total": n_s,
        "canary_bad": rng.poisson(n_c * 0.01).astype(float),
        "baseline_bad": rng.poisson(n_s * 0.01).astype(float),
    }
    return release(looks=looks, **{**fields, **changes})


def test_weight_steps_are_read_from_requests():
    """Every change of the split is found at its first look, and nothing else is."""
    evidence = weigh(ramped([0.05, 0.1, 0.25, 0.5]), QUESTION)
    assert list(np.flatnonzero(evidence.steps)) == [12, 24, 36]
    assert evidence.step_start == 36
    mass = evidence.prepared.looks.start_mass[0]
    assert mass[24] == pytest.approx(0.15 / (25 * 24) + 0.25 / 4)


def splits(requests: int, per_connection: int) -> tuple[Floats, Floats]:
    """Three hundred releases of 120 looks at 10 %, split by connection."""
    rng = np.random.default_rng(21)
    connections = np.full((300, 120), requests // per_connection)
    canary = rng.binomial(connections, 0.1).astype(np.float64) * per_connection
    return canary, requests - canary


@pytest.mark.parametrize("requests", [200, 3000, 60_000])
def test_a_steady_split_has_no_steps(requests: int):
    """Random splits at one weight are no steps: at most one release in a hundred shows one."""
    assert weight_steps(*splits(requests, 1)).any(axis=1).mean() <= 0.01


def test_connections_that_stick_are_learned_within_eight_looks():
    """Twenty requests per connection: once eight looks have shown it, a steady split has no steps."""
    steps = weight_steps(*splits(6000, 20))
    quiet = steps[~steps[:, :8].any(axis=1)]
    assert len(quiet) > 150
    assert quiet.any(axis=1).mean() <= 0.02


def test_a_scrape_that_came_late_is_no_step():
    """One look has half the canary's requests and the next half as many again: seen at once, forgotten a look later."""
    canary, stable = np.full((1, 20), 500.0), np.full((1, 20), 4500.0)
    canary[0, 10:12] = 250.0, 750.0
    seen = weight_steps(canary, stable)
    assert list(np.flatnonzero(seen[0])) == [10, 11]
    assert not settled_steps(seen, canary, stable).any()
    newest = weight_steps(canary[:, :11], stable[:, :11])
    assert list(np.flatnonzero(settled_steps(newest, canary[:, :11], stable[:, :11]))) == [10]


def test_looks_of_two_and_of_three_scrapes_are_no_steps():
    """Two and a half scrapes a look: whoever has three in one has two in the next, and the split stays what it is."""
    turns = np.arange(40) % 2 == 0
    canary, stable = np.where(turns, 300.0, 200.0)[None, :], np.where(turns, 200.0, 300.0)[None, :]
    assert not settled_steps(weight_steps(canary, stable), canary, stable)[:, :-1].any()


@pytest.mark.parametrize("weights", [[0.05, 0.1, 0.25, 0.5], [0.2, 0.4, 0.6], [0.5, 0.6]])
def test_a_step_that_stays_is_settled(weights: list[float]):
    """Steps of a rollout are the same a look later."""
    canary = np.repeat(weights, 12)[None, :] * 5000.0
    seen = weight_steps(canary, 5000.0 - canary)
    assert list(np.flatnonzero(seen[0])) == [12 * n for n in range(1, len(weights))]
    np.testing.assert_array_equal(settled_steps(seen, canary, 5000.0 - canary), seen)


@pytest.mark.parametrize("exposure", ["requests", "time", "units"])
def test_what_is_settled_beside_what_is_seen_is_what_is_settled_after_it(exposure):
    """Releases with steps that stay, with late scrapes, with both and with neither."""
    rng = np.random.default_rng(4)
    canary = rng.poisson(400.0 * np.where(np.arange(60) < rng.integers(5, 90, (40, 1)), 1.0, 3.0)).astype(float)
    stable = rng.poisson(4000.0, (40, 60)).astype(float)
    canary[::3, 30:32] *= 0.4, 1.6
    seen, settled = seen_and_settled(canary, stable, exposure)
    np.testing.assert_array_equal(seen, weight_steps(canary, stable, exposure))
    np.testing.assert_array_equal(settled, settled_steps(seen, canary, stable, exposure))
    assert seen.sum() > settled.sum() > 0


@pytest.mark.parametrize("exposure", ["requests", "time", "units"])
def test_steps_are_the_same_with_what_is_remembered_of_the_looks_before(exposure):
    """Look by look, with a step that stays, a late scrape, and a second step right after it."""
    rng = np.random.default_rng(4)
    weights = np.select([np.arange(60) < 25, np.arange(60) < 42], [1.0, 3.0], 6.0)
    canary, stable = rng.poisson(400.0 * weights)[None].astype(float), rng.poisson(4000.0, (1, 60)).astype(float)
    canary[:, 40:42] *= 0.4, 1.6
    forget()
    one_by_one = [seen_and_settled(canary[:, :looks], stable[:, :looks], exposure) for looks in range(1, 61)]
    for looks, found in enumerate(one_by_one, start=1):
        forget()
        np.testing.assert_array_equal(found, seen_and_settled(canary[:, :looks], stable[:, :looks], exposure))
    assert [pair[0].sum() > pair[1].sum() for pair in one_by_one].count(True) > 1
    assert one_by_one[-1][1].any()


def test_steps_do_not_depend_on_errors():
    """Steps come from requests only: other errors, the same steps."""
    calm = weigh(ramped([0.05, 0.25]), QUESTION)
    bad = weigh(ramped([0.05, 0.25], canary_bad=np.full((1, 24), 100.0)), QUESTION)
    np.testing.assert_array_equal(calm.steps, bad.steps)


def test_growing_pods_lower_the_pod_factor():
    """C = 1/m_c + 1/m_s with effective numbers of the requests so far; 1 where pods are hidden."""
    canary = np.zeros((1, 4, 6))
    canary[0, 0] = 10.0
    canary[0, 1:, 3:] = 10.0
    stable = np.full((1, 5, 6), 20.0)
    served = np.ones((1, 6), dtype=bool)

    def of(side: Floats) -> Floats:
        return shares_of_squares(side, np.zeros(side.shape[:2]))[0]

    found = pod_factor(of(canary), of(stable), served, True)[0]
    assert found[0] == pytest.approx(1 / 1 + 1 / 5)
    sums = np.array([60.0, 30.0, 30.0, 30.0])
    assert found[-1] == pytest.approx((sums**2).sum() / sums.sum() ** 2 + 1 / 5)
    assert np.all(pod_factor(of(canary), of(stable), served, False) == 1)
    assert pod_factor(of(canary), of(stable[:, :1]), served, True)[0, 0] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        pytest.param(0.1, 0.0556, id="0.1 rps: 5.6 pp"),
        pytest.param(5.6, 0.001, id="5.6 rps: the question's own"),
        pytest.param(2000.0, 0.001, id="busy"),
        pytest.param(0.001, 0.9, id="never beyond 0.9"),
    ],
)
def test_the_last_step_of_a_small_service_is_bounded_by_the_budget(rate: float, expected: float):
    """20 bad requests in the first hour, or the question's slack if that is more."""
    assert float(final_slack(0.001, 20.0, np.array(rate))) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("weight", "limit"),
    [pytest.param(0.1, 6.5, id="10 %"), pytest.param(0.25, 3.5, id="25 %"), pytest.param(0.5, 2.5, id="50 %")],
)
def test_a_step_of_a_busy_service_is_a_ratio(weight: float, limit: float):
    """D_step = p/(2w): 6.5x at 10 %, 3.5x at 25 %, 2.5x at 50 % for a ratio of 1.5."""
    slack = step_slack(20.0, np.array(2000.0), np.array(0.01), np.array(weight))
    assert 1.5 + float(slack) / 0.01 == pytest.approx(limit)


def test_the_next_weight_follows_the_observed_one():
    """min(1, max(2w, w + 0.2))."""
    np.testing.assert_allclose(next_weight(np.array([0.05, 0.3, 0.6, 1.0])), [0.25, 0.6, 1.0, 1.0])


def test_demands_come_from_history():
    """With history the slacks are known from the first look, whoever names the weight."""
    known = history(requests=300.0)
    evidence = weigh(release(looks=1, history=known), QUESTION, next_weight=0.25)
    assert evidence.requests_per_second == pytest.approx(known.requests_per_second)
    assert evidence.slack_final == 0.001
    assert evidence.slack_step == pytest.approx(known.bad_share / (2 * 0.25))


def test_another_next_weight_changes_the_step_only():
    """Weighing anew for another weight equals weighing for it from the start."""
    data = ramped([0.05, 0.25])
    found = with_next_weight(weigh(data, QUESTION, 0.3), 1.0)
    expected = weigh(data, QUESTION, 1.0)
    np.testing.assert_array_equal(found.step, expected.step)
    assert found.slack_step == expected.slack_step
    assert found.slack_step != weigh(data, QUESTION, 0.3).slack_step
    np.testing.assert_array_equal(found.promote, expected.promote)


def test_without_history_demands_wait_for_eight_looks():
    """Traffic is what the first 8 looks showed; before it nothing is promoted and no slack is named."""
    early = weigh(release(looks=7, history=None), QUESTION)
    assert (early.slack_final, early.slack_step) == (None, None)
    np.testing.assert_array_equal(early.promote, 0.0)
    evidence = weigh(release(looks=60, history=None), QUESTION)
    assert evidence.slack_final == 0.001
    assert evidence.requests_per_second == pytest.approx(200.0)
    np.testing.assert_array_equal(evidence.promote[:8], 0.0)
    np.testing.assert_array_equal(evidence.step[:8], 0.0)
    assert evidence.noise_source == "run"
    prepared = evidence.prepared
    _, known = final_demand(prepared, 0.001, 20.0)
    assert known.since[0] == 8


def test_without_history_a_step_is_measured_by_the_looks_before_it():
    """The traffic of a step's demand is that of the looks before the step, not of the step itself."""
    data = ramped([0.05, 0.25], each=20, history=None)
    total, bad = data.baseline_total.copy(), data.baseline_bad.copy()
    bad[:, 20:] = 0.0
    evidence = weigh(ramped([0.05, 0.25], each=20, history=None, baseline_bad=bad, baseline_total=total), QUESTION)
    _, known = step_demand(evidence.prepared, np.array([20]), np.array([40]), 20.0, None)
    assert known.bad_share[0] == pytest.approx((bad.sum() + 0.5) / (total[:, :20].sum() + 1))


def test_step_evidence_begins_anew_at_a_step():
    """P_step looks only at the looks of the step; P keeps everything."""
    evidence = weigh(ramped([0.05, 0.25]), QUESTION)
    assert evidence.step[11] > 1
    assert evidence.step[12] < evidence.step[11] + 1
    alone = weigh(ramped([0.25]), QUESTION)
    assert evidence.step[12:].shape == alone.step.shape
    assert abs(evidence.step[12] - alone.step[0]) < 2
    assert evidence.promote[-1] > evidence.promote[11]


def test_a_fault_that_starts_late_is_dated():
    """The start of the fault is found where it began, within three looks."""
    ratio = np.where(np.arange(60) < 30, 1.0, 4.0)
    evidence = weigh(release(seed=22, ratio=ratio, looks=60), QUESTION)
    start = fault_start(evidence)
    assert start is not None
    assert abs(start - 30) <= 3
    whole, own = effect(evidence), shown_effect(evidence, State.WORSE)
    assert whole is not None
    assert own is not None
    assert own.estimate > whole.estimate
    assert own.low < 4 < own.high


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0, 5.0])
def test_bounds_hold_the_truth_at_every_look(ratio: float):
    """The confidence sequence misses in at most 5 % of releases, over all looks together (wrong once in 1,000)."""
    missed = 0
    for seed in range(40):
        data = release(seed=100 + seed, ratio=ratio, looks=30)
        for last in (5, 15, 30):
            cut = {
                name: getattr(data, name)[..., :last]
                for name in (
                    "canary_bad",
                    "canary_total",
                    "baseline_bad",
                    "baseline_total",
                    "left_out",
                    "ends",
                    "seconds",
                )
            }
            found = effect(weigh(release(looks=last, **cut), QUESTION))
            if found is not None and not found.low <= ratio <= found.high:
                missed += 1
                break
    assert missed <= 8


def test_shown_bounds_are_cut_to_what_was_proved():
    """Degraded: at least 1; no worse: at most the limit; better: at most 1; the estimate stays inside."""
    evidence = weigh(release(seed=23, ratio=1.25, looks=30), QUESTION)
    plain = effect(evidence)
    limit = limit_ratio(evidence)
    assert plain is not None
    assert limit is not None
    assert limit == pytest.approx(1.6, abs=0.02)
    shown = {state: shown_effect(evidence, state) for state in State}
    for state, found in shown.items():
        assert found is not None, state
        assert found.low <= found.estimate <= found.high
    assert shown[State.UNDECIDED] == plain
    assert shown[State.DEGRADED].low == max(plain.low, 1.0)
    assert shown[State.NO_WORSE].high == min(plain.high, limit)


def test_counts_are_kept_per_side_and_step():
    """The counts of the steps add up to those of the run."""
    data = ramped([0.05, 0.25])
    steps = counts_by_step(weigh(data, QUESTION))
    assert [(s.first, s.last) for s in steps] == [(0, 11), (12, 23)]
    assert sum(s.canary_bad for s in steps) == data.canary_bad.sum()
    assert sum(s.baseline_total for s in steps) == pytest.approx(data.baseline_total.sum())


def test_pods_limit_what_can_be_proved():
    """More pods can prove more, and one canary pod less than endless requests would."""
    reach = {}
    for pods in (1, 5):
        noise = history(requests=20.0, pods=3)
        evidence = weigh(release(canary=(pods, 150.0 / pods), history=noise), QUESTION)
        reach[pods] = largest_abort(evidence, 2.0), largest_promote(evidence)
    assert reach[5][0] > reach[1][0]
    assert reach[5][1] > reach[1][1]
    big = weigh(release(looks=2000, history=history(requests=20.0, pods=3)), QUESTION)
    assert big.promote.max() <= largest_promote(big) + 3


def test_masses_begin_at_the_first_look():
    """Nothing is staked before the first look; with no look at all nothing ever is."""
    mass = start_masses(np.zeros((2, 5), dtype=bool), np.array([3, 5]))
    np.testing.assert_allclose(mass, [[0, 0, 0, 0.6, 0.075], [0] * 5])


def test_log_two_odds_are_the_same_whichever_way_alpha_is_spent():
    """A* is the smaller of "worse" and "beyond the limit" with the head start 1/3 : 1/1000."""
    evidence = weigh(release(seed=24, ratio=3.0), QUESTION)
    expected = np.minimum(evidence.warn, evidence.tolerated + math.log((1 / 3) / 0.001))
    np.testing.assert_allclose(evidence.abort, expected)
