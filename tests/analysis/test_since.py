"""Before and after through the judge: the baseline is gone, and what was before has to do."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.compare.scores import midpoints
from analysis.past import Past, read
from analysis.policy import Deadline, Gauge, Latency, Looks
from analysis.types import Pairing, Stage, State, Verdict
from tests.analysis.latency_examples import EDGES, shares
from tests.analysis.record_examples import START, errors, judged, pods, policy, proportion, question, record

LOOK = 30.0
HOUR = 3600.0
BEFORE = 48
"""Bins of five minutes before the release: four hours."""
BINS = 96
SHARE = 0.01


def past(days=14, rate=50_000.0, share=SHARE, wobble=0.05, seed=1, swing=0.0):
    """Return what a service did on so many earlier days: requests and errors, with days that differ by ``wobble``."""
    rng = np.random.default_rng(seed)
    hours = 5 * 60 * (np.arange(BINS) - BEFORE)
    level = share * np.exp(wobble * rng.standard_normal((days + 1, BINS)) + swing * (hours >= 0))
    whole = np.full((days + 1, BINS), rate)
    part = rng.poisson(whole * level).astype(float)
    part[0, BEFORE:] = whole[0, BEFORE:] = np.nan
    found = Past(
        start=START, step=300.0, before=BEFORE, backs=tuple(range(days + 1)), part=part, whole=whole
    )  # fmt: skip
    return {"past": found.document()}


def released(times=1.0, *, looks=240, beside=0, notes=None, requests=5000.0, canary_pods=2, **more):
    """Return a record: ``beside`` looks with a baseline, then only the canary, which fails ``times`` as often."""
    rng = np.random.default_rng(5)
    there = np.arange(looks) < beside
    stable = np.where(there, requests * 0.9 / 4, 0.0)
    mine = np.where(there, requests * 0.1, requests) / canary_pods
    harm = np.where(there, 1.0, times)
    canary = {
        name: {"bad": rng.poisson(mine * SHARE * harm).astype(float), "total": arrays["total"]}
        for name, arrays in pods(canary_pods, 0.0, mine, looks, "c").items()
    }
    base = {
        name: {"bad": rng.poisson(stable * SHARE).astype(float), "total": arrays["total"]}
        for name, arrays in pods(4, 0.0, stable, looks, "s").items()
    }
    return record({"error-rate": question(base, canary, notes=past() if notes is None else notes)}, length=LOOK, **more)


def test_a_release_like_before_is_promoted():
    """Blue/green after the switch: no baseline any more, and the hours before and seven days say that all is well."""
    report = judged(policy(), released(), stage=Stage.POST)
    assert report.verdict is Verdict.PROMOTE
    evidence = report.evidence[0]
    assert evidence.state is State.NO_WORSE
    assert "14 earlier days" in evidence.reason
    assert evidence.proof == "sequential"
    assert evidence.flags == ("before and after",)
    assert evidence.noise["days"] == 14


def test_a_release_that_fails_more_than_before_is_aborted():
    """Five times the errors since: aborted, and the reason says since, not because."""
    report = judged(policy(), released(5.0), stage=Stage.POST)
    assert report.verdict is Verdict.ABORT
    assert "since" in report.reason
    assert "before" in report.reason
    assert "worse since the release" in report.reason


def test_a_daily_swing_is_no_fault():
    """The errors double at this hour on every day: earlier days tell that from a release."""
    known = judged(policy(), released(2.0, notes=past(swing=np.log(2.0))), stage=Stage.POST)
    assert known.verdict is Verdict.PROMOTE
    assert known.evidence[0].noise["shift"] > 0.4
    calm = judged(policy(), released(2.0, notes=past()), stage=Stage.POST)
    assert calm.evidence[0].state in (State.DEGRADED, State.WORSE)


def test_without_earlier_days_much_less_can_be_proved():
    """``drift unknown``: the reason says which ratio could be proved at all; a doubling is not."""
    report = judged(policy(), released(2.0, notes=past(0)), stage=Stage.POST)
    evidence = report.evidence[0]
    assert report.verdict is Verdict.HOLD
    assert evidence.flags == ("before and after", "drift unknown")
    assert "no earlier days" in evidence.reason
    known = judged(policy(), released(1.0), stage=Stage.POST).evidence[0].details
    assert evidence.details["provable_within"] > known["provable_within"] > 1
    assert evidence.details["provable_worse"] > 2 * known["provable_worse"] > 2


def test_what_was_proved_beside_the_baseline_stays_proved():
    """A canary that was proved harmless before it got everything goes on, whatever is known of earlier days."""
    found = released(1.0, looks=300, beside=200, notes=past(0))
    report = judged(policy(), found, stage=Stage.FINAL)
    assert report.verdict is Verdict.PROMOTE
    assert report.evidence[0].state is State.NO_WORSE


def test_a_fault_that_begins_with_all_traffic_is_found():
    """Harmless beside the baseline, eight times the errors since: the earlier proof does not hide it."""
    report = judged(policy(), released(8.0, looks=300, beside=200), stage=Stage.FINAL)
    assert report.verdict is Verdict.ABORT


def test_an_abort_that_was_proved_beside_the_baseline_stays():
    """Evidence of looks with a baseline is that of the comparison: an abort of then is not forgotten."""
    found = released(1.0, looks=120, beside=60)
    bad = found.questions["error-rate"].canary.fields["bad"]
    bad[:, :60] *= 6
    report = judged(policy(), found, stage=Stage.FINAL)
    assert report.verdict is Verdict.ABORT


@pytest.mark.parametrize(("then", "verdict"), [("hold", Verdict.HOLD), ("abort", Verdict.ABORT)], ids=["hold", "abort"])
def test_a_deadline_ends_the_wait(then, verdict):
    """Evidence saturates: past its deadline the policy's word counts, and a hold says that a person decides."""
    asked = policy(deadline=Deadline(after=HOUR, then=then))
    report = judged(asked, released(1.3, notes=past(0)), stage=Stage.POST)
    assert report.verdict is verdict
    if then == "hold":
        assert "past its deadline" in report.reason
        assert "override" in report.evidence[0].advice[0]


@pytest.mark.parametrize(
    ("stage", "then", "verdict"),
    [
        pytest.param(Stage.POST, "hold", Verdict.HOLD, id="after a switch, hold"),
        pytest.param(Stage.POST, "abort", Verdict.ABORT, id="after a switch, abort"),
        pytest.param(Stage.FINAL, "abort", Verdict.HOLD, id="a baseline that never was is a selector's fault"),
    ],
)
def test_a_deadline_ends_the_wait_where_nothing_is_known_of_before(stage, then, verdict):
    """After a switch only the canary serves: with no past either, the reason says that time will not help."""
    report = judged(policy(deadline=Deadline(after=HOUR, then=then)), released(1.0, notes={}), stage=stage)
    assert report.verdict is verdict
    assert ("more time will not help" in report.reason) == (stage is Stage.POST and then == "hold")


def test_a_deadline_never_ends_the_wait_for_a_canary_that_is_silent():
    """Nobody serves: that is a fault of somebody, and proves nothing."""
    silent = released(1.0, notes={}, requests=0.0)
    report = judged(policy(deadline=Deadline(after=HOUR, then="abort")), silent, stage=Stage.POST)
    assert report.verdict is Verdict.HOLD


def test_an_abort_tells_the_odds_that_proved_it():
    """What was proved once stays proved, and is said with the odds of then."""
    found = released(8.0)
    found.questions["error-rate"].canary.fields["bad"][:, 40:] = 0.0
    report = judged(policy(), found, stage=Stage.POST)
    assert report.verdict is Verdict.ABORT
    odds = float(report.reason.split("odds ")[1].split(" : ")[0].replace(",", "").removeprefix("over "))
    assert odds >= 1000 > np.exp(report.evidence[0].log_e["worse"])


def test_a_deadline_may_promote_by_the_bound():
    """``promote_if``: an upper bound since the release lies below the limit."""
    asked = policy(deadline=Deadline(after=HOUR, then="promote_if", limit=2.5))
    report = judged(asked, released(1.2, notes=past(7)), stage=Stage.POST)
    assert report.verdict is Verdict.PROMOTE


def test_one_loud_look_aborts_nothing():
    """An incident within one look: without it nothing stands."""
    found = released(1.0)
    found.questions["error-rate"].canary.fields["bad"][:, 100] = 60_000.0
    report = judged(policy(), found, stage=Stage.POST)
    assert report.verdict is Verdict.HOLD


def test_without_what_was_before_nothing_is_compared():
    """A baseline that is gone and a source that knew nothing of before: held as ever, with the reason."""
    report = judged(policy(), released(1.0, beside=6, looks=100, notes={}), stage=Stage.FINAL)
    assert report.verdict is Verdict.HOLD
    assert "no baseline" in report.reason


def test_a_baseline_that_still_serves_is_compared_with():
    """What is known of earlier days changes nothing while the baseline is there."""
    beside = released(1.0, looks=200, beside=200)
    without = released(1.0, looks=200, beside=200, notes={})
    assert judged(policy(), beside).evidence == judged(policy(), without).evidence


def test_inline_data_of_before_and_after_is_judged_without_days():
    """``pairing: before_after`` of counts: sixty times freezes and never aborts, a doubling does neither."""
    counts = question(pods(2, 25.0, 2500.0, 120, "s"), pods(2, 1500.0, 2500.0, 120, "c"))
    report = judged(policy(), record({"error-rate": counts}, length=LOOK, pairing=Pairing.BEFORE_AFTER))
    assert report.verdict is Verdict.HOLD
    assert report.evidence[0].state is State.DEGRADED
    assert report.evidence[0].details["provable_worse"] == np.inf
    counts = question(pods(2, 25.0, 2500.0, 120, "s"), pods(2, 50.0, 2500.0, 120, "c"))
    report = judged(policy(), record({"error-rate": counts}, length=LOOK, pairing=Pairing.BEFORE_AFTER))
    assert report.verdict is Verdict.HOLD
    assert "drift unknown" in report.flags


def levels_of(days, mean, seed=2):
    """Return the past of a level: sums of logarithms of two pods."""
    rng = np.random.default_rng(seed)
    whole = np.full((days + 1, BINS), 20.0)
    part = whole * (np.log(mean) + 0.02 * rng.standard_normal((days + 1, BINS)))
    part[0, BEFORE:] = whole[0, BEFORE:] = np.nan
    return Past(
        start=START, step=300.0, before=BEFORE, backs=tuple(range(days + 1)), part=part, whole=whole
    ).document()  # fmt: skip


@pytest.mark.parametrize(
    ("factor", "verdict"), [pytest.param(1.0, Verdict.PROMOTE, id="alike"), pytest.param(2.5, Verdict.ABORT, id="high")]
)
def test_levels_are_compared_with_before(factor, verdict):
    """A gauge per pod, fourteen earlier days."""
    rng = np.random.default_rng(9)
    canary = {f"c-{n}": {"values": 0.4 * factor * rng.normal(1, 0.03, 240)} for n in range(3)}
    base = {"s-0": {"values": np.full(240, np.nan)}}
    found = question(base, canary, notes={"past": levels_of(14, 0.4), "births": {}})
    report = judged(policy(Gauge(name="cpu")), record({"cpu": found}, length=LOOK), stage=Stage.POST)
    assert report.verdict is verdict


@pytest.mark.parametrize(
    ("shift", "verdict"), [pytest.param(1.0, Verdict.PROMOTE, id="alike"), pytest.param(2.5, Verdict.ABORT, id="slow")]
)
def test_latencies_are_compared_with_before(shift, verdict):
    """The typical request of a histogram, in the same buckets before and after."""
    rng = np.random.default_rng(4)
    asked = Latency(name="latency")
    typical = float(shares() @ midpoints(EDGES))
    canary = {"c-0": {"counts": rng.poisson(5000 * shares(shift=shift), (240, len(EDGES) + 1)).astype(float)}}
    base = {"s-0": {"counts": np.full((240, len(EDGES) + 1), np.nan)}}
    found = question(base, canary, edges=tuple(EDGES), notes={"past": levels_of(14, np.exp(typical)), "births": {}})
    report = judged(policy(asked, looks=Looks(warm_up=0.0)), record({"latency": found}, length=LOOK), stage=Stage.POST)
    assert report.verdict is verdict


def test_bins_are_cut_linearly_and_unknown_windows_say_nothing():
    """Half a bin is half its sums; a window of which less than half is known is NaN."""
    part = np.array([[1.0, 2.0, np.nan, np.nan], [4.0, 4.0, 4.0, np.nan]])
    found = Past(start=0.0, step=10.0, before=2, backs=(0, 1), part=part, whole=part * 10)
    sums, wholes = found.window(np.array([-15.0]), np.array([0.0]))
    assert sums[:, 0].tolist() == [2.5, 6.0]
    assert wholes[:, 0].tolist() == [25.0, 60.0]
    later, _ = found.window(np.array([0.0, 9.0]), np.array([10.0, 20.0]))
    assert np.isnan(later[0]).all()
    assert later[1, 0] == 4.0
    assert np.isnan(later[1, 1])
    again = read(found.document())
    np.testing.assert_array_equal(again.part, found.part)
    assert again.backs == found.backs


def test_errors_of_a_concurrent_record_are_untouched():
    """A canary with a baseline and no past: nothing of this page."""
    assert "before and after" not in judged(policy(), errors(60)).flags
    assert judged(policy(proportion()), errors(60)).evidence[0].details.get("provable") is None
