"""Young replicas through the judge: levels and latencies wait until they are old enough, errors never do."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis import resumed
from analysis.kinds import kind_of
from analysis.policy import Gauge, Latency, Looks
from analysis.types import Pairing, Side, State, Verdict
from analysis.youth import aged, backed, born, grown, waiting, youth_of
from tests.analysis.latency_examples import EDGES, counts
from tests.analysis.record_examples import START, errors, judged, pods, policy, proportion, question, record

LOOK = 15.0
LOOKS = 120
AGE = LOOK * np.arange(1, LOOKS + 1)
CPU = Gauge(name="cpu")
SLOW = Latency(name="latency")


def warming(size=1.0, minutes=2.0):
    """Return by which factor a young canary is high in each look."""
    return 1 + size * np.exp(-AGE / 60 / minutes)


def levels(factor, *, looks=LOOKS, stable=6, canary=2, seed=3, **more):
    """Return the record of a level: pods alike but for noise, the canary higher by ``factor``, an hour of history."""
    rng = np.random.default_rng(seed)

    def pod(name, count, width, by=1.0):
        noise = rng.normal(1.0, 0.03, (count, width))
        return {f"{name}-{n}": {"values": noise[n] * by} for n in range(count)}

    found = question(pod("s", stable, looks), pod("c", canary, looks, np.broadcast_to(factor, looks)), **more)
    past = question(pod("s", stable, 240), pod("x", 1, 240)).baseline
    object.__setattr__(found, "history", past)
    return record({"cpu": found}, length=LOOK)


def known(**births):
    """Return the notes of a record that was read from a source."""
    return {"births": {name.replace("_", "-"): START + age for name, age in births.items()}}


NEW = known(c_0=0.0, c_1=0.0)


@pytest.mark.parametrize(
    ("notes", "asked"),
    [pytest.param(NEW, (4, 8, 12, 20, 30), id="births seen"), pytest.param({}, (16, 30), id="inline data")],
)
def test_a_canary_that_warms_up_is_not_taken_for_worse(notes, asked):
    """Twice the level at first, which is gone after ten minutes: neither frozen nor aborted, and promoted in time."""
    found = levels(warming(), notes=notes)
    for minutes in asked:
        report = judged(policy(CPU), found.until(START + 60 * minutes))
        assert report.evidence[0].state not in (State.WORSE, State.DEGRADED), minutes
    assert report.verdict is Verdict.PROMOTE
    assert "warm-up unknown" in report.flags


def test_without_the_rule_it_would_be():
    """The same canary with ``warm_up: 0``: this is what the rule is for."""
    asked = policy(CPU, looks=Looks(warm_up=0.0))
    states = {judged(asked, levels(warming(), notes=NEW).until(START + 60 * m)).evidence[0].state for m in (4, 8)}
    assert states & {State.WORSE, State.DEGRADED}


def test_while_all_are_young_the_reason_says_until_when():
    """Two minutes after the start nothing is weighed, and it is not called silence."""
    report = judged(policy(CPU), levels(1.0, notes=NEW).until(START + 120))
    assert report.verdict is Verdict.HOLD
    assert report.reason == "cpu: canary replicas are 2 min old and count from 5 min on"
    assert report.evidence[0].state is State.UNDECIDED


def test_a_level_aborts_after_ten_minutes_only():
    """Three times the level from the first request: frozen after five minutes, aborted after ten."""
    found = levels(3.0, notes=NEW)
    early = judged(policy(CPU), found.until(START + 570))
    assert (early.verdict, early.evidence[0].state) == (Verdict.HOLD, State.DEGRADED)
    late = judged(policy(CPU), found.until(START + 1500))
    assert late.verdict is Verdict.ABORT


def test_errors_are_judged_from_the_first_request():
    """A canary of one minute that fails is aborted, however young."""
    found = errors(20, 40.0, notes=known(c_0=0.0))
    assert judged(policy(), found).verdict is Verdict.ABORT


def test_a_young_stable_pod_is_left_out_too():
    """Autoscaling adds a cold pod to stable: it is not held against the canary, nor in its favour."""
    base = levels(1.0, notes={**known(c_0=-3600.0, c_1=-3600.0, s_0=0.0)})
    cold = base.questions["cpu"].baseline.fields["values"]
    cold[0] *= warming(3.0, 3.0)
    seen = grown(CPU, base, 300.0).questions["cpu"]
    assert np.isnan(seen.baseline.fields["values"][0, :19]).all()
    assert np.isfinite(seen.baseline.fields["values"][0, 19:]).all()
    assert np.isfinite(seen.baseline.fields["values"][1:]).all()
    assert np.isfinite(seen.canary.fields["values"]).all()
    assert seen.left_out == (None,) * LOOKS


def test_a_replica_that_joins_late_waits_alone():
    """Older replicas go on being judged; a look is left out only where nobody old is there."""
    found = levels(1.0, notes=known(c_0=0.0, c_1=600.0))
    found.questions["cpu"].canary.fields["values"][1, :40] = np.nan
    seen = grown(CPU, found, 300.0).questions["cpu"]
    there = np.isfinite(seen.canary.fields["values"])
    assert there[0].argmax() == 19
    assert there[1].argmax() == 59
    assert [reason.code for reason in seen.left_out if reason] == ["young"] * 19


@pytest.mark.parametrize(
    ("asked", "looks", "notes", "expected"),
    [
        pytest.param(CPU, Looks(warm_up=60.0), {}, (60.0, 60.0, ()), id="the policy"),
        pytest.param(Gauge(name="cpu", warm_up=1800.0), Looks(warm_up=60.0), {}, (1800.0, 1800.0, ()), id="memory"),
        pytest.param(CPU, Looks(), {"warm_up": {"length": 180.0, "births": 9}}, (180.0, 180.0, ()), id="learned"),
        pytest.param(
            CPU, Looks(), {"warm_up": {"length": None, "births": 3}}, (300.0, 600.0, ("warm-up unknown",)), id="too few"
        ),
        pytest.param(CPU, Looks(), {}, (300.0, 600.0, ("warm-up unknown",)), id="the rule"),
    ],
)
def test_who_says_how_long_replicas_are_young(asked, looks, notes, expected):
    """The question, else the policy, else past births, else the rule."""
    found = youth_of(asked, policy(asked, looks=looks), levels(1.0, notes=notes))
    assert (found.hold, found.abort, found.flags) == expected


@pytest.mark.parametrize("looks", [1, 8, 20])
def test_short_inline_data_keeps_two_thirds_of_its_samples(looks):
    """Data of less than 15 minutes is one short step: a third of it is burnt in, flagged, and it cannot abort."""
    found = levels(3.0, looks=looks)
    young = youth_of(CPU, policy(CPU), found)
    assert young.flags == ("warm-up unknown", "young canary")
    kept = np.isfinite(grown(CPU, found, young.hold).questions["cpu"].canary.fields["values"][0])
    assert kept.sum() >= 2 / 3 * looks
    assert judged(policy(CPU), found).verdict is Verdict.HOLD


def test_sides_without_a_common_clock_have_an_old_baseline():
    """Before and after: what was before is old, whenever its numbers begin."""
    found = levels(1.0)
    found.questions["cpu"].baseline.fields["values"][0, :10] = np.nan
    concurrent = born(found.questions["cpu"], Side.BASELINE, found)
    assert concurrent[0] == START + 10 * LOOK
    object.__setattr__(found, "pairing", Pairing.BEFORE_AFTER)
    assert np.isneginf(born(found.questions["cpu"], Side.BASELINE, found)).all()


def latencies(shift, notes, looks=80):
    """Return the record of a histogram: six stable pods, two of the canary, slower by ``shift`` per look."""
    rng = np.random.default_rng(11)
    stable, canary = counts(rng, 6, looks, 400.0), counts(rng, 2, looks, 400.0, shift=shift)
    found = question(
        {f"s-{n}": {"counts": stable[n]} for n in range(6)},
        {f"c-{n}": {"counts": canary[n]} for n in range(2)},
        edges=tuple(EDGES),
        notes=notes,
        history=question({f"s-{n}": {"counts": counts(rng, 1, 60, 400.0)[0]} for n in range(6)}, {}).baseline,
    )
    return record({"latency": found}, length=LOOK)


def test_a_latency_that_warms_up_holds_and_a_slow_one_aborts():
    """Histograms obey the same rule: slow for five minutes is no harm, what stays slow aborts after ten."""
    early = np.where(AGE[:80] < 290, 3.0, 1.0)
    fine = latencies(early, NEW)
    for minutes in (4, 8, 12, 20):
        report = judged(policy(SLOW), fine.until(START + 60 * minutes))
        assert report.evidence[0].state not in (State.WORSE, State.DEGRADED), minutes
    assert report.verdict is Verdict.PROMOTE
    slow = latencies(np.full(80, 3.0), NEW)
    assert judged(policy(SLOW), slow.until(START + 585)).verdict is Verdict.HOLD
    assert judged(policy(SLOW), slow).verdict is Verdict.ABORT


def test_what_must_wait_never_outvotes_errors():
    """A young level beside failing requests: the errors abort at once."""
    found = levels(1.0, notes=NEW).until(START + 150)
    counted = question(pods(4, 2.5, 250.0, 10, "s"), pods(2, 30.0, 100.0, 10, "c"))
    both = record({"cpu": found.questions["cpu"], "error-rate": counted}, length=LOOK)
    report = judged(policy(proportion(), CPU), both)
    assert report.verdict is Verdict.ABORT
    assert waiting(CPU, policy(CPU), both)
    assert math.isfinite(report.score)


def briefly(name):
    """Return a question and its record: slow or high for six minutes, then better than stable."""
    brief = np.where(np.arange(LOOKS) < 24, 1.3, 0.9)
    return {"latency": (SLOW, latencies(brief[:80], NEW)), "cpu": (CPU, levels(brief, notes=NEW))}[name]


@pytest.mark.parametrize("name", ["latency", "cpu"])
def test_older_replicas_are_weighed_only_where_an_abort_has_to_be_backed(name):
    """Not a digit differs from weighing them to the end, nor when the burst check leaves looks out."""
    asked, found = briefly(name)
    wanted, kind = policy(asked), kind_of(asked, found)
    resumed.forget()
    assert kind.causal(found.questions[name])
    lengths = []

    def weigh(seen):
        lengths.append(len(seen.ends))
        return kind.weigh(asked, wanted, seen, None, None)

    def weighed(seen, **how):
        return backed(weigh(aged(asked, wanted, seen)), weigh, asked, wanted, seen, **how)

    whole = weighed(found)
    part = weighed(found, causal=True)
    looks = len(found.ends)
    again = weighed(found.until(float(found.ends[-2])), causal=True)
    assert lengths[4:] == [looks - 1], "what older replicas said of the first looks is remembered"
    assert np.array_equal(again.abort, whole.abort[:-1])
    assert lengths[:3] == [looks, looks, looks]
    assert lengths[3] == 1 + int(np.flatnonzero(weigh(grown(asked, found, 300.0)).abort > 0)[-1]) < looks
    assert np.array_equal(part.abort, whole.abort)
    left_out = [41, 42]
    assert np.array_equal(part.without_looks(left_out).abort, whole.without_looks(left_out).abort)
    assert not np.array_equal(part.without_looks(left_out).abort, part.abort)
