"""Event rates are counts over an exposure: requests, or the seconds that pods were there; no slack."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analysis.compare.counts import CountsData, CountsQuestion, weigh
from analysis.compare.effects import effect
from analysis.merging import find_abort, frozen, shares
from analysis.noise import learn
from analysis.policy import Alphas
from tests.analysis.counts_examples import release
from tests.calibration.measures import allowed, run
from tests.calibration.services import Service

QUESTION = CountsQuestion(ratio=1.5, slack=0.0)
SECONDS, PODS = 15.0, 10
BACK_OFF = np.cumsum([5.0, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300, 300])
"""Seconds at which a container that fails at once is started again."""


def restarts(times: Any, *, per_hour: float = 0.0, looks: int = 240, unit: float = 1.0, seed: int = 4) -> CountsData:
    """One canary pod that restarts at these seconds, among ten of stable; exposure in pod-seconds over ``unit``."""
    rng = np.random.default_rng(seed)
    mean = per_hour / 3600 * SECONDS
    before = rng.poisson(mean, (PODS, 960)).astype(float)
    served = np.full((PODS, looks), SECONDS / unit)
    canary = np.histogram(np.asarray(times), np.arange(looks + 1) * SECONDS)[0].astype(float)[None]
    return CountsData(
        baseline_bad=rng.poisson(mean, (PODS, looks)).astype(float),
        baseline_total=served,
        canary_bad=canary,
        canary_total=served[:1],
        left_out=np.zeros(looks, dtype=bool),
        ends=1_700_000_000.0 + SECONDS * np.arange(1, looks + 1, dtype=np.float64),
        seconds=np.full(looks, SECONDS),
        history=learn(before, np.full((PODS, 960), SECONDS / unit), np.full(960, SECONDS), True),
    )


def test_events_per_request_are_what_a_proportion_without_slack_is():
    """Failed jobs over processed jobs: the same counts, the same evidence, one line of arithmetic."""
    data = release(seed=3, ratio=2.0)
    rate, share = weigh(data, QUESTION), weigh(data, CountsQuestion(slack=0.0))
    np.testing.assert_array_equal(rate.warn, share.warn)
    np.testing.assert_array_equal(rate.tolerated, share.tolerated)
    assert rate.warn[-1] > np.log(100)


def test_the_unit_of_exposure_is_no_information():
    """Pod-seconds or pod-milliseconds: the split of the events and the budget in events are the same."""
    coarse = weigh(restarts(BACK_OFF, per_hour=0.5), QUESTION)
    fine = weigh(restarts(BACK_OFF, per_hour=0.5, unit=0.001), QUESTION)
    for curve in ("warn", "tolerated", "better"):
        np.testing.assert_allclose(getattr(coarse, curve), getattr(fine, curve), atol=1e-9)
    for curve in ("promote", "step"):
        np.testing.assert_allclose(getattr(coarse, curve), getattr(fine, curve), atol=1e-3)


@pytest.mark.parametrize("per_hour", [0.0, 1 / 24, 1.0], ids=["never", "once a day", "once an hour"])
def test_a_crash_loop_is_found_by_its_restarts(per_hour):
    """A canary that fails at once and is started again with back-off: frozen in 15 minutes, aborted in 30."""
    found = weigh(restarts(BACK_OFF, per_hour=per_hour), QUESTION)
    assert frozen(found, 1.0, Alphas())[int(900 / SECONDS)]
    abort = find_abort([found], shares([1.0]), 0.001)
    assert abort is not None
    assert abort.look is not None
    assert (abort.look + 1) * SECONDS <= 1800


def test_one_restart_is_not_a_crash_loop():
    """A single restart of the canary, where stable never restarted in four hours, freezes nothing."""
    found = weigh(restarts([400.0]), QUESTION)
    assert not frozen(found, 1.0, Alphas()).any()
    assert found.warn.max() < np.log(20)


def test_no_event_anywhere_is_no_evidence_of_harm():
    """Without restarts nothing is said of harm; that the canary keeps within the budget is slowly proved."""
    found = weigh(restarts([]), QUESTION)
    np.testing.assert_allclose(found.warn, 0, atol=1e-12)
    assert 0 < found.promote[20] < found.promote[-1]


@pytest.mark.parametrize(("per_hour", "sd"), [(1.0, 0.0), (30.0, 0.2)], ids=["rare", "often, pods differ"])
def test_good_releases_are_left_alone(per_hour, sd):
    """Restarts at the rate of stable: E_warn reaches 20, 100, 1,000 in at most 5 %, 1 %, 0.1 % of 300 releases."""
    service = Service(rps=PODS + 1.0, weights=(1 / (PODS + 1),), stable_pods=PODS, share=per_hour / 3600, sd=sd)
    runs = run(service, 300, 20_261_124)
    for alpha in (0.05, 0.01, 0.001):
        assert allowed(int((runs.warn.max(axis=1) >= -np.log(alpha)).sum()), 300, alpha)


def test_exposure_is_counted_where_a_pod_was_there():
    """Two canary pods that come late and restart like stable's are not better: they are measured by their own time."""
    rng = np.random.default_rng(9)
    data = restarts([], per_hour=60.0, looks=240)
    served = np.full((3, 240), SECONDS)
    served[1:, :180] = 0.0
    bad = rng.poisson(served / 60).astype(float)
    found = effect(weigh(replace(data, canary_bad=bad, canary_total=served), QUESTION))
    assert found is not None
    assert found.low < 1 < found.high
    assert found.estimate == pytest.approx(1.0, abs=0.25)
