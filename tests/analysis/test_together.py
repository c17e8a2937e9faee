"""Questions that are weighed as one batch say what each of them says alone, whatever is asked beside it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import levels, resumed, weighing
from analysis.compare import counts, gauges, latency
from analysis.compare.counts import CountsData, CountsQuestion
from analysis.compare.gauge_curves import GaugeQuestion
from analysis.compare.gauges import GaugeData
from analysis.compare.latency import LatencyData
from analysis.compare.latency_parts import LatencyQuestion
from analysis.exposure import Exposure
from analysis.grid import Floats
from analysis.policy import Gauge, Policy, Rate
from analysis.record import Record
from analysis.resumed import TOGETHER, together
from analysis.types import Direction
from tests.analysis.counts_examples import history, release
from tests.analysis.kinds_examples import every_kind
from tests.analysis.kinds_examples import release as kinds_release
from tests.analysis.latency_examples import release as slow
from tests.analysis.record_examples import counted, policy, proportion, question, record

CURVES = ("warn", "tolerated", "abort", "promote", "step", "better")
LOOKS = 40


@pytest.fixture(autouse=True)
def forgetful():
    resumed.forget()


def same(one, other):
    """Assert that two questions have the same evidence, up to the rounding of a product of another size."""
    for name in CURVES:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12, atol=1e-12, err_msg=name)
    for name in ("flags", "noise_source", "first_look", "step_start"):
        assert getattr(one, name) == getattr(other, name), name


def close(one, other, name):
    """Assert that two questions have the same number, or neither."""
    number = getattr(other, name)
    assert getattr(one, name) == (None if number is None else pytest.approx(number, rel=1e-12)), name


def steps(*looks):
    """Return what the canary's pod serves, rising fourfold at each of some looks."""
    return np.full((1, LOOKS), 150.0) * 4.0 ** np.searchsorted(looks, np.arange(LOOKS), side="right")


def stepped(*looks, **more):
    served = steps(*looks)
    return release(canary_total=served, canary_bad=np.random.default_rng(9).poisson(0.01 * served) * 1.0, **more)


EXPOSURES: tuple[Exposure, ...] = ("requests", "requests", "time", "units")
LEFT_OUT = np.isin(np.arange(LOOKS), [3, 4, 21])
FEW: dict[str, Any] = {"history": None, "earlier_bad": np.full((10, 5), 3.0), "earlier_total": np.full((10, 5), 285.0)}
ASKED: dict[str, list[tuple[CountsData, CountsQuestion]]] = {
    "good and bad": [
        (release(1), CountsQuestion()),
        (release(2, ratio=3.0), CountsQuestion(ratio=2.0, slack=0.01)),
        (release(3, ratio=0.3), CountsQuestion(ratio=1.2)),
    ],
    "nothing known before": [
        (release(seed, ratio=ratio, history=None), CountsQuestion()) for seed, ratio in ((1, 1.0), (2, 4.0), (3, 0.5))
    ],
    "a few looks known": [(release(seed, **FEW), CountsQuestion()) for seed in (1, 2)],
    "other pasts": [(release(1), CountsQuestion()), (release(2, history=history(3, share=0.02)), CountsQuestion())],
    "looks left out": [(release(1), CountsQuestion()), (release(2, left_out=LEFT_OUT), CountsQuestion())],
    "weight steps at other looks": [
        (stepped(12), CountsQuestion()),
        (stepped(20, 30, seed=2), CountsQuestion(ratio=3.0)),
        (release(3), CountsQuestion()),
    ],
    "a canary that comes late": [
        (release(1), CountsQuestion()),
        (replace(release(2), canary_total=np.where(np.arange(LOOKS) < 9, 0.0, 150.0)[None]), CountsQuestion()),
    ],
    "unlike ones": [
        (release(1), CountsQuestion()),
        (release(2, canary=(3, 50.0)), CountsQuestion()),
        (release(3, ratio=2.0), CountsQuestion(direction=Direction.DECREASE)),
        (release(5, visible=False, baseline_bad=np.full((1, LOOKS), 30.0), baseline_total=np.full((1, LOOKS), 2850.0)),
         CountsQuestion()),
    ],
    "shares and rates": [
        (release(1), CountsQuestion()),
        (release(2), CountsQuestion(exposure="units", slack=0.5)),
        (stepped(12, seed=3), CountsQuestion(exposure="time")),
        (release(4, canary_bad=np.full((1, LOOKS), 400.0)), CountsQuestion(exposure="time", slack=2.0)),
    ],
    "shares and rates of which nothing was known": [
        (release(1, history=None, canary_bad=np.full((1, LOOKS), 400.0)), CountsQuestion()),
        (release(2, history=None, canary_bad=np.full((1, LOOKS), 400.0)), CountsQuestion(exposure="units", slack=0.0)),
        (release(3, history=None), CountsQuestion(exposure="time", slack=0.2)),
    ],
    "more than one batch holds": [(release(seed), CountsQuestion(ratio=1 + seed / 4)) for seed in range(2 * TOGETHER)],
    "endless evidence": [
        (release(1, ratio=40.0, canary=(1, 9e5)), CountsQuestion()),
        (release(2, canary=(1, 9e5)), CountsQuestion()),
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", ASKED)
@pytest.mark.parametrize("weight", [None, 0.5])
def test_counts_weighed_together_are_those_weighed_alone(case: str, weight: float | None):
    """Every curve, flag and demand of each question, in the order of the questions."""
    data, questions = zip(*ASKED[case], strict=True)
    found = counts.weigh_together(data, questions, weight)
    for each, one, wanted in zip(found, data, questions, strict=True):
        resumed.forget()
        alone = counts.weigh(one, wanted, weight)
        same(each, alone)
        assert each.question is wanted
        for name in ("slack_final", "phi", "pod_sd", "next_weight", "slack_step", "requests_per_second", "bad_share"):
            close(each, alone, name)
        assert each.by_step.now == pytest.approx(alone.by_step.now, rel=1e-12, abs=1e-12)
        same(counts.with_next_weight(each, 0.9), counts.with_next_weight(alone, 0.9))
        np.testing.assert_allclose(
            each.without_looks([7]).abort, alone.without_looks([7]).abort, rtol=1e-12, atol=1e-12
        )


def side(rng: np.random.Generator, shape: tuple[int, int], scale: float, share: float) -> tuple[Floats, Floats]:
    """Return what replicas count at any traffic: steps, silence, gaps, more bad events than requests."""
    rises = np.where(np.arange(shape[1]) < rng.integers(0, shape[1] + 1), 1.0, rng.choice([0.0, 1.0, 4.0]))
    total = rng.poisson(scale, shape) * rises
    bad = np.minimum(rng.poisson(total * min(share, 1.0)), total if rng.random() < 0.9 else np.inf)
    gone = rng.random(shape) < rng.choice([0.0, 0.0, 0.2, 0.9])
    return np.where(gone, np.nan, bad), np.where(gone, np.nan, total)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_whatever_is_counted_is_weighed_together_as_alone(seed: int):
    """Of any shape, traffic and share, known before or not, rising or falling, requests or other exposure."""
    rng = np.random.default_rng(seed)
    looks, stable, canary = int(rng.integers(1, 60)), int(rng.integers(1, 6)), int(rng.integers(1, 4))
    scale, known = 10.0 ** rng.integers(0, 7), history(seed % 7, share=0.02) if rng.random() < 0.5 else None
    data, questions = [], []
    for _ in range(int(rng.integers(2, 6))):
        share, times = rng.choice([0.0, 1e-4, 0.01, 0.3, 1.0]), rng.choice([0.3, 1.0, 2.0, 20.0])
        both = side(rng, (stable, looks), scale, share), side(rng, (canary, looks), scale, share * times)
        data.append(
            CountsData(
                baseline_bad=both[0][0], baseline_total=both[0][1], canary_bad=both[1][0], canary_total=both[1][1],
                left_out=rng.random(looks) < rng.choice([0.0, 0.1]), ends=np.linspace(30.0, 30.0 * looks, looks),
                seconds=np.full(looks, 30.0), history=known,
            )
        )  # fmt: skip
        exposure: Exposure = EXPOSURES[int(rng.integers(0, 4))]
        falls = rng.random() < 0.3
        questions.append(
            CountsQuestion(
                ratio=float(rng.choice([1.0, 1.5, 3.0])), slack=float(rng.choice([0.0, 0.001, 0.05])),
                direction=Direction.DECREASE if falls else Direction.INCREASE, exposure=exposure,
            )
        )  # fmt: skip
    found = counts.weigh_together(data, questions)
    for each, one, wanted in zip(found, data, questions, strict=True):
        resumed.forget()
        same(each, counts.weigh(one, wanted))


def cut(data: CountsData, looks: int) -> CountsData:
    """Return the first looks of a release."""
    by_look = [each.name for each in fields(data) if each.name not in ("visible", "history")]
    there = [name for name in by_look if getattr(data, name) is not None and not name.startswith("earlier")]
    return replace(data, **{name: getattr(data, name)[..., :looks] for name in there})


def level(seed: int, *, stable: int = 6, shift: float = 1.0, height: float = 10.0, before: int = 80) -> GaugeData:
    rng = np.random.default_rng(seed)
    sides = (height + rng.normal(0, 1, (pods, LOOKS)) for pods in (stable, 3))
    return GaugeData(
        baseline=next(sides),
        canary=next(sides) + (shift - 1) * 10.0,
        ends=np.linspace(30.0, 30.0 * LOOKS, LOOKS),
        history=height + rng.normal(0, 1, (stable, before)) if before else None,
        steps=np.isin(np.arange(LOOKS), [0, 25]),
    )


def served(data: LatencyData, *looks: int) -> LatencyData:
    """Return a release whose canary serves fourfold from some looks on."""
    return replace(data, canary=data.canary * steps(*looks)[0, :, None] / 150.0)


def first(data: LatencyData, looks: int) -> LatencyData:
    """Return the first looks of a release."""
    one = {name: getattr(data, name)[:looks] for name in ("left_out", "ends", "seconds")}
    return replace(data, baseline=data.baseline[:, :looks], canary=data.canary[:, :looks], **one)


GAP = np.where(np.arange(LOOKS) == 31, 0.01, 1.0)
LEVELS: dict[str, list[tuple[GaugeData, GaugeQuestion]]] = {
    "good and bad": [
        (level(1), GaugeQuestion()),
        (level(2, shift=1.8), GaugeQuestion(ratio=1.5, slack=0.1)),
        (level(3, shift=0.5), GaugeQuestion(direction=Direction.DECREASE)),
    ],
    "nothing known before": [(level(seed, before=0), GaugeQuestion()) for seed in (1, 2)],
    "near zero and far from it": [(level(1), GaugeQuestion()), (level(2, height=0.0), GaugeQuestion())],
    "one that all but vanishes": [
        (level(1), GaugeQuestion()),
        (replace(level(2), baseline=level(2).baseline * GAP), GaugeQuestion()),
        (replace(level(3), baseline=level(3).baseline * GAP), GaugeQuestion()),
    ],
    "unlike ones": [
        (level(1), GaugeQuestion()),
        (level(2, stable=4), GaugeQuestion()),
        (replace(level(3), traffic=0.2), GaugeQuestion()),
        (level(4), GaugeQuestion(scale="log")),
        (replace(level(5), steps=None), GaugeQuestion()),
    ],
    "more than one batch holds": [(level(seed), GaugeQuestion(slack=seed / 9)) for seed in range(TOGETHER + 2)],
}


@pytest.mark.parametrize("case", LEVELS)
def test_levels_weighed_together_are_those_weighed_alone(case: str):
    """Every curve and flag of each question, in the order of the questions."""
    data, questions = zip(*LEVELS[case], strict=True)
    found = gauges.weigh_together(data, questions)
    for each, one, wanted in zip(found, data, questions, strict=True):
        resumed.forget()
        same(each, gauges.weigh(one, wanted))
        assert (each.question, each.data) == (wanted, one)


SLO = LatencyQuestion(slo_edges=(0.25, 0.5))
QUIET: dict[str, Any] = {"requests": 3.0, "history": 0}
LATENCIES: dict[str, list[tuple[LatencyData, LatencyQuestion]]] = {
    "good and bad": [
        (slow(1), LatencyQuestion()),
        (slow(2, shift=1.6), LatencyQuestion()),
        (slow(3, slow=0.05), LatencyQuestion()),
    ],
    "an objective": [(slow(1), SLO), (slow(2, shift=2.0), SLO), (slow(3), LatencyQuestion())],
    "nothing known before": [(slow(seed, history=0), LatencyQuestion()) for seed in (1, 2)],
    "a few looks known": [(slow(seed, history=5), LatencyQuestion()) for seed in (1, 2)],
    "known and unknown": [(slow(1), LatencyQuestion()), (slow(2, history=0), LatencyQuestion())],
    "one without edges": [(slow(1, **QUIET), LatencyQuestion()), (slow(2, history=0), LatencyQuestion())],
    "looks left out": [(slow(1), LatencyQuestion()), (slow(2, left_out=LEFT_OUT), LatencyQuestion())],
    "weight steps at other looks": [
        (served(slow(1), 12), LatencyQuestion()),
        (served(slow(2), 20, 30), LatencyQuestion()),
        (slow(3), LatencyQuestion()),
    ],
    "weight steps at the same look": [(served(slow(seed), 20), LatencyQuestion()) for seed in (1, 2)],
    "unlike ones": [
        (slow(1), LatencyQuestion()),
        (slow(2), LatencyQuestion(shift=1.5)),
        (slow(3, pods=(10, 3)), LatencyQuestion()),
        (slow(4, pods=(1, 1), visible=False), LatencyQuestion()),
    ],
    "more than one batch holds": [(slow(seed, shift=1 + seed / 9), SLO) for seed in range(TOGETHER + 2)],
}


@pytest.mark.parametrize("case", LATENCIES)
@pytest.mark.parametrize("weight", [None, 0.5])
def test_latencies_weighed_together_are_those_weighed_alone(case: str, weight: float | None):
    """Every curve, flag and demand of each question, in the order of the questions."""
    data, questions = zip(*LATENCIES[case], strict=True)
    found = latency.weigh_together(data, questions, weight)
    for each, one, wanted in zip(found, data, questions, strict=True):
        resumed.forget()
        alone = latency.weigh(one, wanted, weight)
        same(each, alone)
        for name in ("edge_warn", "edge_tolerated", "score_warn", "score_tolerated"):
            np.testing.assert_allclose(getattr(each, name), getattr(alone, name), rtol=1e-11, atol=1e-11)
        for name in ("slack_final", "slack_step", "requests_per_second", "bad_share", "phi", "pod_sd"):
            close(each, alone, name)
        assert (each.question, each.empty_looks) == (wanted, alone.empty_looks)
        assert each.guilty_row() == alone.guilty_row()
        assert each.loudest_look(LOOKS - 1) == alone.loudest_look(LOOKS - 1)
        same(latency.with_next_weight(each, 0.9), latency.with_next_weight(alone, 0.9))
        np.testing.assert_allclose(
            each.without_looks([7]).abort, alone.without_looks([7]).abort, rtol=1e-11, atol=1e-11
        )


def digits(kind, case, looks):
    """Return everything that the first looks of a case say."""
    cases, weigh, cut_to = {
        "counts": (ASKED, counts.weigh_together, cut),
        "latencies": (LATENCIES, latency.weigh_together, first),
    }[kind]
    data, questions = zip(*cases[case], strict=True)
    found = weigh([cut_to(each, looks) for each in data], questions)
    return [np.r_[getattr(each, name), each.by_step.now].tobytes() for each in found for name in CURVES]


@pytest.mark.parametrize("case", ["good and bad", "nothing known before", "weight steps at other looks"])
@pytest.mark.parametrize("kind", ["counts", "latencies"])
def test_a_batch_that_is_watched_is_the_one_weighed_at_once(kind, case):
    """Look by look with what is remembered, and from nothing: the same digits."""
    watched = [digits(kind, case, looks) for looks in range(15, LOOKS + 1, 5)]
    for looks, found in zip(range(15, LOOKS + 1, 5), watched, strict=True):
        resumed.forget()
        assert digits(kind, case, looks) == found


def pods_of(number: int, name: str, events: float) -> dict[str, dict[str, np.ndarray]]:
    """Return what replicas count that restart now and then."""
    rng = np.random.default_rng(number)
    return {
        f"{name}-{n}": {"events": rng.poisson(events, 60) * 1.0, "exposure": np.full(60, 30.0)} for n in range(number)
    }


def widely() -> tuple[Policy, Record]:
    """Return a release of every kind with several questions of some."""
    found, whole = kinds_release(harm=True), every_kind()
    more = {"retries": counted(60, 2.0), "late": counted(60, np.where(np.arange(60) < 20, 1.0, 6.0))}
    more |= dict.fromkeys(("memory", "threads"), found.questions["cpu"])
    more["restarts"] = question(pods_of(6, "s", 0.2), pods_of(3, "c", 0.3))
    added = (
        Rate(name="restarts", exposure="time"),
        proportion("retries"),
        proportion("late"),
        *(Gauge(name=n, query="x{$side}") for n in ("memory", "threads")),
    )
    asked = replace(whole, questions=(*whole.questions, *added))
    return asked, record({**found.questions, **more})


def test_a_question_is_weighed_as_if_nothing_else_were_asked():
    """Of every kind: neither those before it nor those after it change what it says, nor does their order."""
    asked, found = widely()
    whole = weighing.weigh(asked, found, None)
    turned = weighing.weigh(replace(asked, questions=tuple(reversed(asked.questions))), found, None)
    assert list(whole) == [q.name for q in asked.questions if q.name in whole]
    for name, each in whole.items():
        resumed.forget()
        few = tuple(q for q in asked.questions if q.name in ("error-rate", name))  # the first shows the traffic split
        same(each, weighing.weigh(replace(asked, questions=few), found, None)[name])
        same(each, turned[name])


def test_a_question_without_data_is_passed_over_among_others():
    """A level of which a side has no value at all stands between two that have."""
    asked, found = widely()
    there = found.questions["memory"]
    empty = replace(there.canary, fields={name: values * np.nan for name, values in there.canary.fields.items()})
    found = replace(found, questions={**found.questions, "memory": replace(there, canary=empty)})
    names = [("cpu", found), ("memory", found), ("threads", found)]
    weighed = levels.weigh_together([(asked.question(name), seen) for name, seen in names], asked)
    assert [each is None for each in weighed] == [False, True, False]
    assert "memory" not in weighing.weigh(asked, found, None)


def test_batches_are_small_and_keep_what_is_alike_together():
    """Every place once, in turn, at most so many in one batch."""
    kin = ["a", "b", "a", "c", *["a"] * TOGETHER]
    assert together(kin) == [[0, 2, *range(4, 2 + TOGETHER)], [2 + TOGETHER, 3 + TOGETHER], [1], [3]]
    assert together([]) == []


def test_a_muted_question_among_many_changes_no_digit_of_the_others():
    """It is in the batch, and nothing but its own row is its own."""
    found = record({name: counted(60, 1.0 + n) for n, name in enumerate(("error-rate", "timeouts", "retries"))})
    both = [proportion(), proportion("timeouts")]
    one = weighing.weigh(policy(*both), found, None)
    two = weighing.weigh(policy(*both, proportion("retries", muted=True)), found, None)
    for name in one:
        same(one[name], two[name])
