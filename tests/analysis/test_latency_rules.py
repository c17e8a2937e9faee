"""What the kind ``latency`` promises, one release at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.compare.latency import weigh, with_next_weight
from analysis.compare.latency_effects import bounded, compared, edges, guilt, largest_promote, shift_effect, shown_edge
from analysis.compare.latency_parts import LatencyQuestion
from analysis.errors import InvalidInput
from tests.analysis.latency_examples import EDGES, counts, release
from tests.calibration.latencies import NATIVE, Latencies, draw, judged

ABORT, FREEZE, PROMOTE = np.log(1000), np.log(100), np.log(20)
CURVES = ("warn", "tolerated", "abort", "promote", "step", "better")


def test_an_equal_canary_is_promoted():
    """Two pods as fast as ten: proved within the tolerance, nothing said against it."""
    found = weigh(release(), LatencyQuestion())
    assert found.promote[-1] >= PROMOTE
    assert found.step[-1] >= np.log(5)
    assert found.warn.max() < np.log(20)
    assert found.flags == ()
    assert found.noise_source == "history"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"shift": 2.0}, id="everything twice as slow"),
        pytest.param({"slow": 0.03}, id="three in a hundred ten times as slow"),
    ],
)
def test_a_slow_canary_is_found(change):
    """Beyond the tolerance at 1,000 : 1, and not promoted."""
    found = weigh(release(**change), LatencyQuestion())
    assert found.abort[-1] >= ABORT
    assert found.promote[-1] < 0


@pytest.mark.parametrize(
    ("change", "edge", "words"),
    [
        pytest.param({"shift": 1.25, "requests": 100.0}, None, "a typical request is slower", id="typical requests"),
        pytest.param({"slow": 0.03}, 1.0, "more requests over 1 s", id="a tail"),
    ],
)
def test_the_guilty_part_is_named(change, edge, words):
    """The typical request, or the edge that more requests pass."""
    found = weigh(release(**change), LatencyQuestion())
    row = found.guilty_row(tolerated=False)
    assert (None if row is None else EDGES[found.prepared.edges.edge[row]]) == edge
    assert guilt(found) == words


def test_a_thin_tail_is_no_proof_of_health():
    """One percent of requests ten times slower hardly moves the guard edge, yet is not proved harmless."""
    found = weigh(release(slow=0.01, requests=2000.0), LatencyQuestion())
    assert found.tolerated[-1] >= np.log(3)
    assert found.promote[-1] < PROMOTE


def test_evidence_grows_at_its_end_only():
    """The curves of a record cut short are those of the whole record up to there, with history and without."""
    shift = np.where(np.arange(40) < 20, 1.0, 1.5)
    for history in (60, 0, 5):
        whole = release(shift=shift, history=history)
        found = weigh(whole, LatencyQuestion())
        for end in (5, 17, 30):
            part = replace(
                whole, **{n: getattr(whole, n)[:, :end] for n in ("baseline", "canary")},
                **{n: getattr(whole, n)[:end] for n in ("left_out", "ends", "seconds")},
            )  # fmt: skip
            short = weigh(part, LatencyQuestion())
            for curve in ("warn", "tolerated", "abort", "promote", "better"):
                np.testing.assert_allclose(getattr(short, curve), getattr(found, curve)[:end], atol=1e-9, err_msg=curve)


@pytest.mark.parametrize(
    "unit", [pytest.param(1e-6, id="1e-6"), pytest.param(1e3, id="ms"), pytest.param(1e6, id="1e6")]
)
def test_the_unit_of_time_changes_nothing(unit):
    """Edges in another unit give the same evidence."""
    data = release(shift=1.4)
    other = replace(data, edges=data.edges * unit)
    first, second = weigh(data, LatencyQuestion()), weigh(other, LatencyQuestion())
    for curve in CURVES:
        np.testing.assert_allclose(getattr(first, curve), getattr(second, curve), atol=1e-8)


def test_the_order_of_replicas_changes_nothing():
    """Pods in another order give the same evidence."""
    data = release(shift=1.4)
    other = replace(data, baseline=data.baseline[::-1], canary=data.canary[::-1])
    first, second = weigh(data, LatencyQuestion()), weigh(other, LatencyQuestion())
    for curve in CURVES:
        np.testing.assert_allclose(getattr(first, curve), getattr(second, curve), atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_one_more_slow_request_never_helps(seed):
    """A canary request moved from under 100 ms to over 1 s speaks for harm and against health."""
    data = release(seed, looks=12)
    slower = data.canary.copy()
    look = seed * 2
    slower[0, look, 4] -= 1
    slower[0, look, 8] += 1
    worse = weigh(replace(data, canary=slower), LatencyQuestion())
    found = weigh(data, LatencyQuestion())
    assert np.all(worse.warn >= found.warn - 1e-9)
    assert np.all(worse.promote <= found.promote + 1e-9)


def test_swapping_the_sides_mirrors_the_shift():
    """With equal pods on both sides the shift of the swapped release is the negative one."""
    data = release(shift=1.3, pods=(5, 5))
    swapped = replace(data, baseline=data.canary, canary=data.baseline)
    first, second = weigh(data, LatencyQuestion()).shift, weigh(swapped, LatencyQuestion()).shift
    np.testing.assert_allclose(first.mean, -second.mean, atol=1e-12)


def test_a_daily_swing_does_not_look_like_harm():
    """Both sides get twice as slow while the canary grows to 50 %: no shift, though its requests are the late ones."""
    rng = np.random.default_rng(3)
    looks = 40
    swing = np.linspace(1.0, 2.0, looks)
    weight = np.repeat([0.05, 0.5], looks // 2)
    base = np.concatenate(
        [counts(rng, 10, 1, 600 * (1 - w), shift=s) for w, s in zip(weight, swing, strict=True)], axis=1
    )
    canary = np.concatenate([counts(rng, 2, 1, 3000 * w, shift=s) for w, s in zip(weight, swing, strict=True)], axis=1)
    data = replace(release(looks=looks), baseline=base, canary=canary)
    found = weigh(data, LatencyQuestion())
    assert abs(found.shift.mean[0, -1]) < 0.02
    assert found.warn.max() < PROMOTE
    assert found.steps.sum() == 1


def test_a_late_fault_is_found():
    """Slower from half time on: the edges take it for a fault that began there, within some looks."""
    shift = np.where(np.arange(80) < 40, 1.0, 1.6)
    found = weigh(release(looks=80, shift=shift), LatencyQuestion())
    assert found.warn[:40].max() < FREEZE
    assert found.warn[50] >= FREEZE


def test_one_incident_is_left_out_by_the_burst_check():
    """One look with everything ten times slower: it is the loudest, and without it nothing is left."""
    slow = np.zeros(30)
    slow[20] = 1.0
    found = weigh(release(looks=30, slow=slow), LatencyQuestion())
    assert found.warn[20] >= ABORT
    assert found.loudest_look(29) == 20
    assert found.loudest_look(29, tolerated=False) == 20
    left = found.without_looks([20])
    assert left.abort.max() < np.log(10)
    assert not left.used[20]


def test_looks_that_do_not_count_earn_nothing():
    """Left out, empty or missing looks leave the evidence where it was."""
    data = release(looks=30, shift=2.0)
    left_out = np.arange(30) >= 10
    canary = data.canary.copy()
    canary[:, 12] = 0.0
    canary[:, 13] = np.nan
    for changed in (
        replace(data, left_out=left_out),
        replace(data, canary=np.where(left_out[None, :, None], 0.0, canary)),
    ):
        found = weigh(changed, LatencyQuestion())
        assert not found.used[10:].any()
        np.testing.assert_allclose(found.promote[10:], found.promote[9], atol=1e-9)
    assert found.empty_looks == 20


def test_a_missing_bucket_is_not_an_empty_one():
    """A histogram that misses one bucket is missing as a whole, on either side."""
    data = release(looks=12)
    for side in ("canary", "baseline"):
        part, whole = getattr(data, side).copy(), getattr(data, side).copy()
        part[0, 5, 3] = np.nan
        whole[0, 5] = np.nan
        first, second = (weigh(replace(data, **{side: values}), LatencyQuestion()) for values in (part, whole))
        for curve in CURVES:
            np.testing.assert_array_equal(getattr(first, curve), getattr(second, curve))


def test_one_slow_replica_is_found_by_leaving_it_out():
    """One of three canary pods is five times slower: without it the evidence is gone."""
    data = release(pods=(10, 3))
    slow = data.canary.copy()
    slow[1] = counts(np.random.default_rng(9), 1, 40, 300.0, shift=5.0)[0]
    harmed = replace(data, canary=slow)
    assert weigh(harmed, LatencyQuestion()).abort[-1] >= ABORT
    assert weigh(harmed.without_replica(1), LatencyQuestion()).abort[-1] < np.log(10)
    with pytest.raises(InvalidInput):
        release(pods=(3, 1)).without_replica(0)


def test_nothing_is_bet_before_enough_is_known():
    """Without history the first 8 looks say nothing; later ones do."""
    found = weigh(release(history=0, shift=2.0, looks=30), LatencyQuestion())
    np.testing.assert_allclose(found.warn[:8], 0, atol=1e-12)
    np.testing.assert_allclose(found.promote[:8], 0, atol=1e-12)
    assert found.abort[-1] >= ABORT
    assert found.noise_source == "run"


def test_a_short_history_is_put_to_the_run():
    """Five looks of history and the first of the run are enough together."""
    found = weigh(release(history=5, shift=2.0, looks=30), LatencyQuestion())
    np.testing.assert_allclose(found.warn[:3], 0, atol=1e-12)
    assert np.all(np.abs(found.warn[3:8]) > 0.01)


def test_no_requests_are_no_evidence():
    """An empty canary: zero everywhere, no NaN, a flag, no effect."""
    data = release()
    found = weigh(replace(data, canary=np.zeros_like(data.canary)), LatencyQuestion())
    for curve in CURVES:
        np.testing.assert_array_equal(getattr(found, curve), 0.0)
    assert found.first_look is None
    assert shift_effect(found) is None
    assert compared("latency", shift_effect(found), None) == "latency: too few requests"


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        pytest.param({"pods": (1, 1)}, "one stable pod", id="one stable pod"),
        pytest.param({"pods": (3, 1), "shift": 1.12, "requests": 9000.0}, "pod-limited", id="one canary pod of three"),
        pytest.param({"history": 0, "looks": 4}, "noise: prior", id="nothing known yet"),
        pytest.param({"edges": np.array([0.02, 5.0])}, "no guard", id="no edge in the tail"),
        pytest.param({"edges": np.array([0.01, 0.02])}, "histogram too short", id="most requests beyond the last edge"),
        pytest.param({"edges": np.array([0.01, 0.5, 1.0])}, "coarse buckets", id="one bucket holds nearly all"),
        pytest.param({"edges": np.array([0.1, 0.9])}, "weak guard", id="a rare edge only"),
    ],
)
def test_what_limits_the_proof_is_said(changes, flag):
    """Flags name what a reader must know."""
    assert flag in weigh(release(**changes), LatencyQuestion()).flags


def test_a_lone_stable_pod_is_weighed_by_the_difference():
    """One pod against one: noise from their difference, a doubling is still found."""
    found = weigh(release(pods=(1, 1), looks=120, shift=3.0, history=0), LatencyQuestion())
    assert found.warn[-1] >= FREEZE


def test_hidden_pods_are_weighed_as_one_line_per_side():
    """Without replicas a canary three times slower is found, and the flag says so."""
    data = release(shift=3.0, looks=60, history=0)
    sides = {side: getattr(data, side).sum(axis=0, keepdims=True) for side in ("baseline", "canary")}
    one = replace(data, visible=False, **sides)
    found = weigh(one, LatencyQuestion())
    assert found.warn[-1] >= FREEZE
    assert "pods: unknown" in found.flags


def test_what_lies_beyond_the_last_edge_is_never_proved():
    """A histogram that ends below most requests promotes nothing, with history and without."""
    for history in (60, 0):
        found = weigh(release(edges=np.array([0.005, 0.01, 0.05]), history=history), LatencyQuestion())
        assert found.promote.max() <= 0
        assert found.step.max() <= 0


def test_an_objective_is_asked_at_its_edge():
    """The edge of an objective is asked for a promotion, and moves if no bucket ends there."""
    question = LatencyQuestion(slo_edges=(0.5,))
    found = weigh(release(), question)
    assert found.edges[found.prepared.edges.edge[found.prepared.edges.asked]].tolist() == [0.5]
    assert found.promote[-1] >= PROMOTE
    assert "slo edge moved" in weigh(release(), LatencyQuestion(slo_edges=(0.4,))).flags
    slow = weigh(release(slow=0.03), question)
    assert slow.promote[-1] < 0 < ABORT <= slow.abort[-1]


def test_a_larger_step_needs_more_proof():
    """The proof of a step falls with the weight it leads to; a weight outside (0, 1] is refused."""
    data = release(looks=8, requests=20.0)
    small, large = (weigh(data, LatencyQuestion(), w) for w in (0.2, 1.0))
    assert small.slack_step > large.slack_step
    assert small.step[-1] > large.step[-1]
    np.testing.assert_allclose(with_next_weight(small, 1.0).step, large.step)
    with pytest.raises(InvalidInput):
        weigh(data, LatencyQuestion(), 0.0)


def test_effects_hold_the_truth():
    """40 % slower: the bounds of the shift hold 1.4, those of every edge the true ratio, and the words name both."""
    found = weigh(release(shift=1.4, looks=60), LatencyQuestion())
    shift = shift_effect(found)
    assert shift.low < 1.4 < shift.high
    assert shift.low > 1.1
    for row, edge in enumerate(edges(found)):
        size = bounded(found, row)
        assert size.low <= edge.canary / edge.baseline <= size.high
    named = shown_edge(found, edges(found))
    text = compared("latency", shift_effect(found), named)
    assert len(text) < 120
    assert named is not None
    assert "over 250 ms" in text
    assert largest_promote(found) > PROMOTE


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        pytest.param({"edges": EDGES[::-1]}, "/edges", id="edges fall"),
        pytest.param({"edges": EDGES[:-1]}, "/baseline", id="a bucket too many"),
        pytest.param({"canary": -np.ones((1, 40, 12))}, "/canary/counts", id="negative"),
        pytest.param({"seconds": np.zeros(40)}, "/seconds", id="a look without length"),
    ],
)
def test_impossible_data_is_refused(changes, place):
    """The error names the place."""
    with pytest.raises(InvalidInput) as error:
        weigh(replace(release(history=0), **changes), LatencyQuestion())
    assert error.value.place == place


def test_impossible_questions_are_refused():
    """A tolerance below 1, a negative edge, an empty budget."""
    for wrong in ({"shift": 0.9}, {"exceedance": np.inf}, {"slo_edges": (-1.0,)}, {"harm_budget": 0.0}, {"slack": 1.0}):
        with pytest.raises(InvalidInput):
            LatencyQuestion(**wrong)


CELLS = [
    pytest.param(Latencies(looks=40), id="steady"),
    pytest.param(Latencies(looks=40, sd=0.1, wobble=0.05, shift=1.5, since=20), id="pods, wobble, a late fault"),
    pytest.param(Latencies(looks=40, history=0, stable_pods=3, clump=5.0), id="no history, clumps"),
    pytest.param(Latencies(looks=40, history=0, visible=False), id="pods hidden"),
    pytest.param(Latencies(looks=60, rps=1.0, extra=0.05), id="few requests"),
    pytest.param(Latencies(looks=30, edges=tuple(NATIVE), rps=2000.0), id="native buckets"),
]


@pytest.mark.parametrize("service", CELLS)
def test_a_batch_gives_what_one_release_gives(service):
    """Abort and promote evidence of every release of a batch, to 1e-9."""
    drawn = draw(service, 5, np.random.default_rng(16))
    batch = judged(drawn)
    for row in range(5):
        alone = weigh(drawn.release(row), LatencyQuestion())
        for curve in ("warn", "tolerated", "abort", "promote"):
            np.testing.assert_allclose(getattr(batch, curve)[row], getattr(alone, curve), atol=1e-9, err_msg=curve)
