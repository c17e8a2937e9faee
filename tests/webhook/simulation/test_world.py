"""The invented service: what is drawn has the figures that were asked for, and is the same however it is drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.errors import InvalidInput
from analysis.policy import Gauge, Latency, Objective, Policy, Proportion, Rate, Ratio
from analysis.types import Direction, NoData
from webhook.simulation.world import BEFORE, EDGES, Release, World, edges_of, playable

BAD = Proportion(name="error-rate", bad=("b{$side}",), total="t{$side}")
SLOW = Latency(name="latency", histogram="h{$side}", slo_edges=(0.3,))
CPU = Gauge(name="cpu", query="cpu{$side}")


def release(effect=1.0, number=0, hit="error-rate", **world):
    """Return one release of a service with three questions."""
    policy = Policy(name="x", questions=(BAD, SLOW, CPU))
    return Release(world=World(**{"rps": 100.0, **world}), policy=policy, number=number, effect=effect, hit=hit)


def test_requests_follow_the_weight():
    """At 10 % a tenth of the requests reach the canary, evenly over as many pods as that is of the stable ones."""
    stable, canary = release(pods=20).requests(1, 200)
    assert stable.shape == (200, 20)
    assert canary.shape == (200, 10)
    assert canary.sum() / (stable.sum() + canary.sum()) == pytest.approx(0.1, rel=0.01)
    assert stable.sum() + canary.sum() == pytest.approx(100 * 60 * 200, rel=0.01)
    assert (canary[:, :2].sum(axis=0) > 0).all()
    assert not canary[:, 2:].any()


def test_before_a_release_stable_has_everything():
    """History holds the whole traffic on the stable side."""
    stable, canary = release().requests(BEFORE, 100)
    assert stable.sum() == pytest.approx(100 * 60 * 100, rel=0.01)
    assert not canary.any()


@pytest.mark.parametrize("dispersion", [pytest.param(1.0, id="independent"), pytest.param(4.0, id="clumps")])
def test_errors_have_their_share_and_their_dispersion(dispersion):
    """The mean is what was asked for, and so is the variance over that of independent errors."""
    drawn = release(dispersion=dispersion, sd=0.0, pods=1)
    total = np.full((20_000, 1), 10_000.0)
    bad = drawn.bad(BAD, 0, "baseline", total)
    assert bad.mean() == pytest.approx(100.0, rel=0.02)
    assert bad.var() / bad.mean() == pytest.approx(dispersion, rel=0.06)


def test_harm_is_done_to_one_question_of_the_canary():
    """The canary's bad share is multiplied, stable's is not, and durations stay as they are."""
    drawn = release(effect=3.0, sd=0.0)
    total = np.full((400, 10), 1000.0)
    assert drawn.bad(BAD, 0, "canary", total).mean() == pytest.approx(30.0, rel=0.03)
    assert drawn.bad(BAD, 0, "baseline", total).mean() == pytest.approx(10.0, rel=0.03)
    counts = drawn.buckets(SLOW, 0, "canary", total)
    assert counts[..., : edges_of(SLOW).index(0.1) + 1].sum() / counts.sum() == pytest.approx(0.5, abs=0.01)


def test_harm_is_a_fall_where_a_fall_does_harm():
    """Twice the harm of orders per request is half the orders."""
    falling = Proportion(name="orders", bad=("o{$side}",), total="t{$side}", direction=Direction.DECREASE)
    policy = Policy(name="x", questions=(falling,))
    drawn = Release(world=World(rps=100.0, sd=0.0), policy=policy, number=0, effect=2.0, hit="orders")
    assert drawn.bad(falling, 0, "canary", np.full((400, 10), 1000.0)).mean() == pytest.approx(5.0, rel=0.03)


def test_slower_durations_move_up_the_buckets():
    """At twice the durations half of them exceed 0.2 s, and every request is in one bucket."""
    drawn = release(effect=2.0, hit="latency", sd=0.0)
    total = np.full((50, 4), 1000.0)
    counts = drawn.buckets(SLOW, 0, "canary", total)
    assert (counts.sum(axis=2) == total).all()
    assert counts[..., : edges_of(SLOW).index(0.1) + 1].sum() / counts.sum() == pytest.approx(0.124, abs=0.01)


def test_a_gauge_moves_around_its_level():
    """Values of a gauge stay near the pod's level, and hang together from look to look."""
    drawn = release(sd=0.0)
    last = np.zeros(3)
    values = drawn.levels(CPU, 0, "baseline", np.zeros((4000, 3)), last)
    assert values.mean() == pytest.approx(1.0, abs=0.02)
    logs = np.log(values)
    assert np.corrcoef(logs[1:, 0], logs[:-1, 0])[0, 1] == pytest.approx(0.5, abs=0.05)


def test_pods_differ_as_much_as_was_asked():
    """The standard deviation of the log of their rates."""
    levels = [release(number=n, sd=0.2, pods=50)._level(BAD, "baseline", 50) for n in range(40)]
    assert np.log(np.concatenate(levels)).std() == pytest.approx(0.2, rel=0.05)


def test_looks_are_the_same_however_many_are_drawn_at_a_time():
    """Eight looks at once are five and three: so a batch meets what a single release meets."""
    for dispersion in (1.0, 3.0):
        whole, parts = release(dispersion=dispersion), release(dispersion=dispersion)
        at_once = [whole.requests(0, 8)]
        split = [parts.requests(0, 5), parts.requests(0, 3)]
        for side in (0, 1):
            total = at_once[0][side]
            np.testing.assert_array_equal(total, np.concatenate([found[side] for found in split]))
            name = ("baseline", "canary")[side]
            bad = whole.bad(BAD, 0, name, total)
            pieces = [parts.bad(BAD, 0, name, part) for part in (total[:5], total[5:])]
            np.testing.assert_array_equal(bad, np.concatenate(pieces))


def test_releases_and_seeds_differ():
    """Two releases, and two seeds, meet other events."""
    first, other, seeded = (release(number=n, seed=s).requests(0, 20)[0].tolist() for n, s in ((0, 0), (1, 0), (0, 1)))
    assert first != other
    assert first != seeded
    assert first == release().requests(0, 20)[0].tolist()


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        pytest.param({"rps": 0.0}, "/rps", id="no traffic"),
        pytest.param({"rps": float("inf")}, "/rps", id="endless traffic"),
        pytest.param({"share": 1.0}, "/share", id="everything fails"),
        pytest.param({"pods": 0}, "/pods", id="no pods"),
        pytest.param({"canary_pods": 0}, "/canary_pods", id="no canary"),
        pytest.param({"sd": -0.1}, "/sd", id="negative spread"),
        pytest.param({"dispersion": 0.5}, "/dispersion", id="less than independent"),
        pytest.param({"median": 0.0}, "/median", id="no time"),
        pytest.param({"weights": (0.5, 0.1)}, "/weights", id="falling weights"),
        pytest.param({"weights": (0.5, 1.0)}, "/weights", id="all traffic is no step"),
        pytest.param({"duration": 60.0}, "/duration", id="one look"),
        pytest.param({"duration": 86_400.0}, "/duration", id="more looks than stay equal"),
    ],
)
def test_a_world_that_cannot_be_is_refused(wrong, place):
    """The place of what is wrong, and its value."""
    with pytest.raises(InvalidInput) as error:
        World(**{"rps": 10.0, **wrong})
    assert error.value.place == place


def test_what_cannot_be_invented_is_left_out_by_name():
    """Kinds without numbers to draw are named; nothing left is an error."""
    ratio = Ratio(name="orders", numerator="n{$side}", denominator="d{$side}")
    timed = Rate(name="restarts", events="r{$side}", exposure="time")
    slo = Objective(name="slo", bad=("b{$side}",), total="t{$side}", target=0.999)
    policy, left_out = playable(Policy(name="x", questions=(BAD, ratio, timed, slo)))
    assert [question.name for question in policy.questions] == ["error-rate"]
    assert [line.split(":")[0] for line in left_out] == ["orders", "restarts", "slo"]
    passed_over = replace(timed, no_data=NoData.IGNORE, required=False)
    assert playable(Policy(name="x", questions=(BAD, passed_over)))[1] == ()  # invented pods never die
    with pytest.raises(InvalidInput, match="no question of this policy can be simulated"):
        playable(Policy(name="x", questions=(ratio,)))


def test_histograms_have_the_bounds_of_their_unit():
    """Usual bounds and those of the objective, in seconds or milliseconds."""
    assert edges_of(SLOW) == tuple(sorted({*EDGES, 0.3}))
    assert edges_of(Latency(name="l", histogram="h{$side}", unit="ms"))[:3] == (5.0, 10.0, 25.0)
