"""The sample-ratio check: what it finds, what it leaves alone, and that it is the engine with other numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.errors import InvalidInput
from analysis.noise import neighbour_dispersion
from analysis.split import Split, SplitEvidence, SplitFlag, check, weigh
from tests.analysis import slow_process
from tests.calibration.measures import allowed
from tests.calibration.splits import RAMP, Router, route

SEED = 20_261_124
RUNS = 300


def release(router: Router, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One release of a router."""
    return tuple(array[0] for array in route(router, 1, np.random.default_rng(seed)))


def answer(router: Router, seed: int = 1) -> Split:
    return check(*release(router, seed))


def judged(router: Router, runs: int = RUNS) -> SplitEvidence:
    return weigh(*route(router, runs, np.random.default_rng(SEED)))


@pytest.mark.parametrize(
    "router",
    [
        pytest.param(Router(), id="independent requests"),
        pytest.param(Router(per_connection=20), id="20 a connection"),
        pytest.param(Router(per_connection=200), id="200 a connection"),
        pytest.param(Router(weights=RAMP), id="a ramp"),
        pytest.param(Router(odds=1.1), id="10 % too much"),
        pytest.param(Router(odds=1 / 1.1), id="10 % too little"),
    ],
)
def test_routers_that_do_as_they_are_told_raise_no_alarm(router):
    """120 looks of 6,000 requests, 300 runs: at most 1 in 1,000, by a bound that is wrong once in 1,000."""
    alarms = judged(router).alarms.any(axis=1)
    assert allowed(int(alarms.sum()), RUNS, 0.001)


@pytest.mark.parametrize(
    ("router", "share", "look"),
    [
        pytest.param(Router(odds=0.7), 1.0, 23, id="0.7"),
        pytest.param(Router(odds=1.5), 1.0, 22, id="1.5"),
        pytest.param(Router(odds=0.7, per_connection=20), 0.60, 112, id="0.7, 20 a connection"),
        pytest.param(Router(odds=1.5, per_connection=20), 0.98, 62, id="1.5, 20 a connection"),
    ],
)
def test_a_split_that_is_off_is_found(router, share, look):
    """Odds off by 0.7 and 1.5 at 5 %: found in all runs at look 22 or 23, with connections in most and later."""
    found = judged(router).alarms
    first = np.where(found.any(axis=1), found.argmax(axis=1) + 1.0, np.inf)
    assert float(np.isfinite(first).mean()) >= share
    assert float(np.median(first)) <= look


def test_a_canary_without_any_request_is_a_mismatch():
    """A weight of 10 % and not one request: that is data, not silence."""
    requests = np.full(40, 500.0)
    found = check(np.zeros(40), requests, np.full(40, 0.1))
    assert found.flag is SplitFlag.SPLIT_MISMATCH
    assert (found.observed, found.odds) == (0.0, 0.0)
    assert found.expected == pytest.approx(0.1)
    assert "canary got 0 % of the requests, 10 % is configured" in found.reason


def test_the_answer_names_shares_odds_and_look():
    """What a person needs: both shares, the odds factor, since when, in one line."""
    found = answer(Router(odds=1.5, weights=(0.1,)))
    assert found.flag is SplitFlag.SPLIT_MISMATCH
    assert found.observed == pytest.approx(0.1429, abs=0.002)
    assert found.odds == pytest.approx(1.5, abs=0.03)
    assert found.log_e >= math.log(2000)
    assert found.since in (20, 21, 22)
    assert found.reason.startswith("canary got 14.")
    assert len(found.reason) < 200


def test_an_unknown_weight_is_no_check():
    """Without a weight there is nothing to compare with: flagged, not held for, and no odds are claimed."""
    canary, baseline, weight = release(Router(odds=3.0))
    found = check(canary, baseline, np.full_like(weight, np.nan))
    assert found.flag is SplitFlag.WEIGHT_UNKNOWN
    assert (found.judged, found.log_e, found.observed, found.odds, found.since) == (0, 0.0, None, None, None)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_weight_on_one_side_alone_compares_nothing(weight):
    """At 0 and at 100 % there is no split."""
    found = check(np.full(60, 10.0), np.full(60, 500.0), np.full(60, weight))
    assert (found.flag, found.judged, found.log_e) == (SplitFlag.OK, 0, 0.0)


def test_nothing_is_bet_in_the_first_twenty_looks():
    """Odds of three and no evidence until look 21; then the dispersion of the 20 looks before is in use."""
    canary, baseline, weight = release(Router(odds=3.0, weights=(0.1,)))
    found = weigh(canary[None], baseline[None], weight[None])
    np.testing.assert_allclose(found.log_more[0, :20], 0, atol=1e-12)
    np.testing.assert_allclose(found.log_less[0, :20], 0, atol=1e-12)
    assert list(np.flatnonzero(found.judged[0])) == list(range(20, 120))
    assert found.log_more[0, 20] > 3
    early = check(canary[:20], baseline[:20], weight[:20])
    assert "begins after 20 looks, 20 so far" in early.reason


def test_dispersion_is_learned_at_20_40_and_80_looks_from_what_lies_before():
    """1.5 times that of neighbouring looks; later looks do not change what was in use earlier."""
    canary, baseline, weight = release(Router(per_connection=20))
    phi = weigh(canary[None], baseline[None], weight[None]).phi[0]
    assert set(np.flatnonzero(np.diff(phi)) + 1) == {20, 40, 80}
    for k in (20, 40, 80):
        learned = neighbour_dispersion(canary[:k], weight[:k] * (canary + baseline)[:k])
        assert phi[k] == pytest.approx(1.5 * float(learned))


def test_a_look_whose_weight_changed_is_skipped():
    """The router needs a moment: requests that still follow the old weight in that look are no evidence."""
    canary, baseline, weight = release(Router(weights=RAMP))
    changed = np.flatnonzero(np.diff(weight)) + 1
    late_c, late_s = canary.copy(), baseline.copy()
    total = canary[changed] + baseline[changed]
    late_c[changed], late_s[changed] = 0.0, total
    one = weigh(canary[None], baseline[None], weight[None])
    other = weigh(late_c[None], late_s[None], weight[None])
    assert not one.compared[0, changed].any()
    assert len(changed) == 3
    np.testing.assert_array_equal(one.log_more, other.log_more)
    np.testing.assert_array_equal(one.log_less, other.log_less)


def test_missing_looks_are_skipped_and_keep_their_number():
    """A gap, a look left out, an unknown weight: no evidence from them, the others judged as before."""
    canary, baseline, weight = (array.copy() for array in release(Router(odds=1.2)))
    left_out = np.zeros(120, dtype=bool)
    canary[30], baseline[41], weight[50], left_out[60] = np.nan, np.nan, np.nan, True
    found = weigh(canary[None], baseline[None], weight[None], left_out[None])
    gaps = [30, 41, 50, 60]
    assert not found.judged[0, gaps].any()
    assert int(found.judged.sum()) == 100 - len(gaps)
    assert np.all(np.isfinite(found.log_more))
    assert np.all(np.isfinite(found.log_less))


def test_both_processes_equal_their_definition():
    """Requests for bad events, weights for requests, ratio 1.1 and its inverse: the slow engine to 1e-9."""
    canary, baseline, weight = (array[:30] for array in release(Router(odds=1.3, weights=(0.1, 0.1, 0.25, 0.5))))
    weight = weight.copy()
    weight[24:] = 0.2
    found = weigh(canary[None], baseline[None], weight[None])
    masses = [0.6, *(0.15 / (k * (k - 1)) for k in range(2, 31))]
    masses[24] += 0.125
    looks = [
        slow_process.SlowLook(
            bad_canary=float(canary[k]), total_canary=float(weight[k]), bad_baseline=float(baseline[k]),
            total_baseline=1 - float(weight[k]), used=k >= 20 and k != 24, phi=float(found.phi[0, k]), c=0.0,
            weights=(0.26, 0.25, 0.22, 0.155, 0.09, 0.024, 0.001), mass=masses[k],
        )
        for k in range(30)
    ]  # fmt: skip
    np.testing.assert_allclose(found.log_more[0], slow_process.abort(looks, 1.1, 0.0), atol=1e-9)
    np.testing.assert_allclose(found.log_less[0], slow_process.promote(looks, 1 / 1.1, 0.0, [0.1, 0.3, 1.0]), atol=1e-9)


def test_rows_of_a_batch_do_not_touch_each_other():
    """A release in a batch is what it is alone."""
    canary, baseline, weight = route(Router(per_connection=20, odds=1.5), 5, np.random.default_rng(2))
    batch = weigh(canary, baseline, weight)
    for row in range(5):
        alone = weigh(canary[row : row + 1], baseline[row : row + 1], weight[row : row + 1])
        np.testing.assert_allclose(batch.log_more[row], alone.log_more[0], atol=1e-9)
        np.testing.assert_allclose(batch.log_less[row], alone.log_less[0], atol=1e-9)


def test_an_alarm_clears_when_the_router_is_repaired():
    """The flag is that of the present look: a hold, not a sentence."""
    off, sound = release(Router(odds=1.25)), release(Router(looks=1000), seed=2)
    canary, baseline, weight = (np.concatenate(pair) for pair in zip((a[:30] for a in off), sound, strict=True))
    assert check(canary[:30], baseline[:30], weight[:30]).flag is SplitFlag.SPLIT_MISMATCH
    assert check(canary, baseline, weight).flag is SplitFlag.OK


@pytest.mark.parametrize(
    ("canary", "baseline", "weight", "place"),
    [
        pytest.param([-1.0], [1.0], [0.1], "/canary", id="negative requests"),
        pytest.param([1.0], [math.inf], [0.1], "/baseline", id="infinite requests"),
        pytest.param([1.0], [1.0], [10.0], "/weight", id="a weight in percent"),
        pytest.param([], [], [], "/canary", id="no look"),
        pytest.param([1.0, 2.0], [1.0], [0.1], "equal", id="lengths that differ"),
    ],
)
def test_requests_that_cannot_be_are_refused(canary, baseline, weight, place):
    """The error names the place."""
    with pytest.raises(InvalidInput, match=place):
        check(np.array(canary), np.array(baseline), np.array(weight))
