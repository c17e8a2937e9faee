"""One window of a stable service: who plays the canary, what the judge sees of it, and how it ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.policy import Group, Limit, Limits, Proportion, Select
from analysis.types import Side, Stage
from tests.webhook.placebo.scene import EVERY_KIND, POLICY, QUESTION, SCRAPE, T0, stable, with_other_kinds
from webhook.errors import SourceDown
from webhook.placebo.split import SplitSource
from webhook.placebo.trial import (
    Conduct,
    NoPlacebo,
    Outcome,
    Service,
    Window,
    counted,
    judged_part,
    lag_of,
    trials,
    windows,
)
from webhook.ports import SIDE_LABEL, Query, Span

SERVICE = Service(namespace="shop", name="checkout")
WINDOW = Window(start=T0 - 5400, end=T0 - 1800)
QUERY = Query(question=QUESTION, field="total", expr="x", replica=("pod",))


def played(source, seed=1, policy=POLICY, window=WINDOW, **conduct):
    """Return the placebos of a window."""
    rng = np.random.default_rng(seed)
    return list(trials(source, policy, SERVICE, window, rng, Conduct(every=600.0, **conduct)))


def test_alike_replicas_are_promoted():
    """Every one of six equal pods may play the canary: none is aborted or frozen."""
    found = played(stable(), splits=6)
    assert {one.outcome for one in found} == {Outcome.PROMOTED}
    assert {one.canary[0] for one in found} == {f"checkout-a-{n}" for n in range(6)}
    assert all(one.after is not None and 600 <= one.after <= 3600 for one in found)


def test_only_the_pod_that_fails_is_aborted():
    """A pod with five times the errors is aborted when it plays the canary, and at no other time."""
    found = played(stable(worse={"checkout-a-2": 5.0}), splits=6)
    assert {one.canary for one in found if one.outcome is Outcome.ABORTED} == {("checkout-a-2",)}
    assert all("worse than stable" in one.reason for one in found if one.outcome is Outcome.ABORTED)


def test_a_pod_that_is_somewhat_worse_freezes():
    """Three fifths more errors: worse at freezing odds, about the tolerance, so not proved to abort within the hour."""
    found = played(stable(worse={"checkout-a-2": 1.6}, rate=10.0, seed=3), splits=6)
    assert counted(found)[Outcome.ABORTED] == 0
    assert {one.canary for one in found if one.outcome is Outcome.FROZEN} == {("checkout-a-2",)}


def test_every_kind_that_is_judged_is_measured():
    """Durations and levels count as well: alike pods are never aborted, one that is slow is whenever it plays."""
    part, left_out = judged_part(EVERY_KIND)
    assert left_out == ()
    alike = played(with_other_kinds(stable()), policy=part, splits=3)
    assert counted(alike)[Outcome.ABORTED] == 0
    slow = played(with_other_kinds(stable(), slow="checkout-a-4"), policy=part, splits=6)
    assert {one.canary[0] for one in slow if one.outcome is Outcome.ABORTED} == {"checkout-a-4"}


def test_too_little_traffic_is_held():
    """A pod with one request in ten seconds proves nothing in an hour: what a person would have to decide is held."""
    found = played(stable(rate=0.02), splits=2)
    assert {one.outcome for one in found} == {Outcome.HELD}
    assert all(one.after is None and one.reason for one in found)


def test_the_same_seed_draws_the_same_replicas():
    """Placebos are repeatable, and other seeds are other placebos."""
    source = stable()
    assert played(source, seed=5) == played(source, seed=5)
    assert len({played(source, seed=seed)[0].canary for seed in range(8)}) > 2


def test_several_replicas_may_play_the_canary():
    """Two at a time, nobody twice in one window, and never so many that fewer than two stable ones remain."""
    found = played(stable(), replicas=2, splits=9)
    names = [name for one in found for name in one.canary]
    assert [len(one.canary) for one in found] == [2, 2, 2]
    assert len(set(names)) == 6
    with pytest.raises(NoPlacebo, match="6 stable replicas were there all along, 7 are needed"):
        played(stable(), replicas=5)


def test_the_source_is_asked_once_for_all_splits_of_a_window():
    """Six placebos cost the source no more than one."""
    one, six = stable(), stable()
    played(one, splits=1)
    played(six, splits=6)
    assert len(one.asked) == len(six.asked)


def test_a_window_with_a_real_canary_makes_no_placebo():
    """Where a release ran, stable is not alone and its traffic moves."""
    source = stable(canary=(WINDOW.start + 600, WINDOW.start + 1200))
    with pytest.raises(NoPlacebo, match="a canary was running"):
        played(source)
    earlier = stable(canary=(WINDOW.start - 2400, WINDOW.start - 1200))
    assert played(earlier)[0].outcome is Outcome.PROMOTED


def test_a_replica_that_came_or_went_does_not_play():
    """Only who was there nearly all along can stand for a canary that was."""
    source = stable()
    for field in ("total", "bad"):
        array = np.asarray(source.numbers[QUESTION][field]["baseline"]["checkout-a-0"], dtype=float)
        array[-int(3600 / SCRAPE) :] = np.nan
        source.numbers[QUESTION][field]["baseline"]["checkout-a-0"] = array
    found = played(source, splits=6)
    assert "checkout-a-0" not in {name for one in found for name in one.canary}
    assert len(found) == 5


def test_silence_is_no_placebo():
    """Before anything was measured nothing is counted for or against the promise."""
    with pytest.raises(NoPlacebo):
        played(stable(hours=0.4), window=Window(start=T0 - 20_000, end=T0 - 16_400))


def test_faults_of_the_source_are_not_outcomes():
    """A source that is down says nothing of the promise."""
    source = stable()
    source.fail()
    with pytest.raises(SourceDown):
        played(source)


def test_what_is_urgent_comes_first():
    """Between two verdicts the caller may rest, or end the work."""
    calls = []
    rng = np.random.default_rng(1)
    list(trials(stable(), POLICY, SERVICE, WINDOW, rng, Conduct(every=600.0), lambda: calls.append(1)))
    assert len(calls) == 6


def test_the_stage_that_is_asked_for_decides_what_promotes():
    """A step asks for less than the last one: it is promoted no later."""
    steps = played(stable(rate=2.0), splits=6, stage=Stage.STEP)
    finals = played(stable(rate=2.0), splits=6, stage=Stage.FINAL)
    assert counted(steps)[Outcome.PROMOTED] > counted(finals)[Outcome.PROMOTED]


# -------------------------------------------------------------------------------------------- the split


def test_the_chosen_are_a_canary_without_a_past():
    """What they did before the start is gone, what they do after it stands on the other side."""
    split = SplitSource(source=stable(), start=WINDOW.start, chosen=frozenset({"checkout-a-1"}))
    span = Span(start=WINDOW.start - 300, end=WINDOW.start + 300, step=SCRAPE)
    points = split.fetch([QUERY], span, 5.0).points[QUERY]
    sides = {one.labels["pod"]: one.labels[SIDE_LABEL] for one in points}
    assert [pod for pod, side in sides.items() if side == Side.CANARY.value] == ["checkout-a-1"]
    times = {one.labels["pod"]: one.times for one in points}
    assert times["checkout-a-1"].min() > WINDOW.start
    assert times["checkout-a-0"].min() == span.start
    assert not split.saw_canary


def test_a_split_loses_and_invents_nothing():
    """After the start both sides together are what the source said."""
    source = stable()
    span = Span(start=WINDOW.start + SCRAPE, end=WINDOW.end, step=SCRAPE)
    split = SplitSource(source=source, start=WINDOW.start, chosen=frozenset({"checkout-a-1", "checkout-a-4"}))
    whole, parts = source.fetch([QUERY], span, 5.0).points[QUERY], split.fetch([QUERY], span, 5.0).points[QUERY]
    assert sum(one.values.sum() for one in parts) == sum(one.values.sum() for one in whole)
    assert len(parts) == len(whole)


# ---------------------------------------------------------------------------------------- questions, windows


def test_questions_without_replicas_are_left_out():
    """A question whose replicas are hidden, or are others, cannot be split; limits on it go with it."""
    hidden = Proportion(name="edge", bad=("b{$side}",), total="t{$side}", select=Select(replica=()))
    other = Proportion(name="ingress", bad=("b{$side}",), total="t{$side}", select=Select(replica=("instance",)))
    limit = Limits(name="classic", group=Group(members=(Limit(question="edge", max=0.5),), any_of=True))
    kept = Limits(name="also", group=Group(members=(Limit(question=QUESTION, max=0.5),), any_of=True))
    policy = replace(POLICY, questions=(*POLICY.questions, hidden, other, limit, kept))
    part, left_out = judged_part(policy)
    assert [question.name for question in part.questions] == [QUESTION, "also"]
    assert [line.split(":")[0] for line in left_out] == ["edge", "ingress", "classic"]
    with pytest.raises(NoPlacebo, match="no question of this policy shows replicas"):
        judged_part(replace(POLICY, questions=(hidden,)))


def test_windows_share_no_second():
    """They stand side by side, and a rest that is too short is left."""
    found = windows(100.0, 1000.0, 400.0)
    assert found == (Window(start=100.0, end=500.0), Window(start=500.0, end=900.0))
    assert windows(0.0, 399.0, 400.0) == ()


def test_a_window_ends_before_its_looks_close():
    """The lag of the policy, and two minutes where it names less."""
    assert lag_of(POLICY) == 120.0
    assert lag_of(replace(POLICY, looks=replace(POLICY.looks, lag=600.0))) == 600.0
