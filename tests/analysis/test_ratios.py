"""Ratios of two counters: the level of each pod's quotient, its noise, its silence, its weaker form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis import levels
from analysis.judge import judge
from analysis.policy import Ratio
from analysis.types import Direction, State, Verdict, Weight
from tests.analysis.record_examples import policy, question, record, side

LOOKS = 120
BYTES = Ratio(name="bytes", weight=Weight.CRITICAL)


def pods(prefix, number, rng, mean, requests, looks=LOOKS):
    """Return pods whose numerator is a sum of exponential sizes of ``mean``; as many requests as are named."""
    found = {}
    for n in range(number):
        served = rng.poisson(requests, looks).astype(float)
        found[f"{prefix}-{n}"] = {"numerator": mean * rng.gamma(np.maximum(served, 1e-9)), "denominator": served}
    return found


def release(factor, *, seed=1, stable=10, canary=2, requests=40.0, served=40.0, history=480, **more):
    """Return stable pods of 1,000 bytes a request, and a canary of ``factor`` times that."""
    rng = np.random.default_rng(seed)
    before = side(pods("s", stable, rng, 1000.0, requests, history)) if history else None
    found = question(
        pods("s", stable, rng, 1000.0, requests),
        pods("c", canary, rng, 1000.0 * factor, served),
        history=before,
        **more,
    )
    return record({"bytes": found})


def judged(seen, asked=BYTES):
    report = judge(policy(asked), seen, float(seen.ends[-1]), next_weight=1.0)
    return report.verdict, report.evidence[0]


def test_an_equal_canary_is_promoted_and_a_doubled_one_aborted():
    """The quotient decides, pod by pod, with sequential evidence."""
    verdict, evidence = judged(release(1.0))
    assert (verdict, evidence.state, evidence.proof) == (Verdict.PROMOTE, State.NO_WORSE, "sequential")
    verdict, evidence = judged(release(2.0))
    assert (verdict, evidence.state) == (Verdict.ABORT, State.WORSE)
    assert evidence.reason.startswith("bytes 1,976 vs 1,001 (1.99x")


def test_where_a_fall_harms_a_fall_aborts():
    """Order values that halve are harm, and a rise is none."""
    orders = replace(BYTES, direction=Direction.DECREASE)
    assert judged(release(0.4), orders)[0] is Verdict.ABORT
    assert judged(release(2.0), orders)[0] is Verdict.PROMOTE


def test_few_requests_on_the_canary_widen_its_noise():
    """A hundredth of the requests: sizes scatter ten times as much, and the same doubling proves less."""
    full, few = (judged(release(1.6, served=served))[1].log_e["worse"] for served in (40.0, 0.4))
    assert few < full


def test_a_look_without_a_request_is_a_missing_value():
    """A quotient of nothing is not 0; it is counted nowhere."""
    found = release(1.0, served=0.02).questions["bytes"]
    quotient = levels.level_of(found.canary, levels.QUOTIENT)
    nothing = found.canary.fields["denominator"] == 0
    assert nothing.any()
    assert np.isnan(quotient[nothing]).all()
    assert np.isfinite(quotient[~nothing]).all()


def test_its_silence_is_said():
    """No denominator on the canary is no data, in words."""
    verdict, evidence = judged(release(1.0, served=0.0))
    assert (verdict, evidence.state) == (Verdict.HOLD, State.NO_DATA)
    assert "no canary denominator" in evidence.reason


def test_hidden_replicas_are_one_line_each_and_judged_by_their_variation():
    """Without pods a quotient is a series without counts."""
    verdict, evidence = judged(release(1.0, stable=1, canary=1, visible=False))
    assert evidence.proof == "variation"
    assert verdict is Verdict.PROMOTE


@pytest.mark.parametrize("seeds", [pytest.param(range(40), id="forty releases")])
def test_equal_canaries_are_not_aborted(seeds):
    """Heavy tails: sizes with a coefficient of variation of 1 and unlike traffic, no abort and no freeze in forty."""
    states = [judged(release(1.0, seed=seed, stable=3, canary=1, served=4.0, history=240))[1].state for seed in seeds]
    assert not {State.WORSE, State.DEGRADED} & set(states)
