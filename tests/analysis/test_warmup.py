"""Warm-up: what past births teach, and the rule where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.errors import InvalidInput
from analysis.grid import Floats
from analysis.warmup import birth_curve, learned_length, old_enough, warm_up


def births(count: int, high: int, size: float = 0.5, noise: float = 0.01) -> Floats:
    rng = np.random.default_rng(1)
    found = noise * rng.standard_normal((count, 60)) + 0.2 * rng.standard_normal((count, 1))
    found[:, :high] += size
    return found


@pytest.mark.parametrize(
    ("high", "size", "minutes"),
    [
        pytest.param(8, 0.5, 9, id="eight minutes and the smoothing's one"),
        pytest.param(8, -0.5, 9, id="too low counts as well"),
        pytest.param(0, 0.5, 0, id="never different"),
        pytest.param(20, 0.02, 0, id="below five percent"),
        pytest.param(45, 0.5, 30, id="thirty minutes at most"),
    ],
)
def test_the_length_is_the_last_minute_that_differs(high: int, size: float, minutes: int):
    """Levels of the pods themselves do not matter, only how young ones differ from their own later level."""
    assert learned_length(births(8, high, size)) == 60 * minutes


def test_four_births_are_too_few():
    """Five births with a last third of the hour are needed; a pod that died young does not count."""
    found = births(5, 6)
    assert learned_length(found) == 7 * 60
    assert learned_length(found[:4]) is None
    found[2, 40:] = np.nan
    assert learned_length(found) is None


def test_noise_is_no_warm_up():
    """Births that scatter by 30 % without a common course teach almost nothing to drop."""
    rng = np.random.default_rng(3)
    lengths = [learned_length(0.3 * rng.standard_normal((6, 60))) for _ in range(40)]
    assert np.mean([v for v in lengths if v is not None]) < 20 * 60
    steady = [learned_length(0.05 * rng.standard_normal((20, 60))) for _ in range(40)]
    assert np.median([v for v in steady if v is not None]) <= 60


def test_a_birth_is_compared_with_old_pods_only():
    """Minute by minute, against the mean of pods older than half an hour; the first hour only."""
    age = np.arange(0.0, 7200.0, 30.0)
    pod = np.where(age < 300, 20.0, 10.0)
    others = np.stack([np.full(age.shape, 10.0), np.full(age.shape, 500.0)])
    ages = np.stack([np.full(age.shape, 9999.0), np.full(age.shape, 60.0)])
    curve = birth_curve(pod, others, age, ages)
    np.testing.assert_allclose(curve[:5], np.log(2))
    np.testing.assert_allclose(curve[5:], 0.0)
    silent = birth_curve(pod, others, age, np.zeros_like(ages))
    assert np.isnan(silent).all()


@pytest.mark.parametrize(
    ("sample", "step", "hold", "abort", "flags"),
    [
        pytest.param(15.0, None, 300.0, 600.0, ("warm-up unknown",), id="five and ten minutes"),
        pytest.param(60.0, None, 600.0, 600.0, ("warm-up unknown",), id="ten samples at least"),
        pytest.param(15.0, 3600.0, 300.0, 600.0, ("warm-up unknown",), id="a long step"),
        pytest.param(15.0, 600.0, 200.0, 600.0, ("warm-up unknown", "young canary"), id="a short step"),
    ],
)
def test_the_rule_without_births(sample: float, step: float | None, hold: float, abort: float, flags: tuple[str, ...]):
    """Unknown warm-up: the first minutes are dropped, and a short step cannot abort by levels."""
    found = warm_up([], sample, step)
    assert (found.hold, found.abort, found.births, found.flags) == (hold, abort, 0, flags)


def test_what_was_learned_replaces_the_rule():
    """With enough births one length serves holds and aborts, be it shorter or longer than the rule's."""
    found = warm_up(list(births(8, 2)), 15.0)
    assert (found.hold, found.abort, found.births, found.flags) == (180.0, 180.0, 8, ())


def test_a_replica_counts_once_it_is_old_enough():
    """The age at the end of a slot decides; what was always there always counts."""
    ends = np.array([60.0, 120.0, 180.0])
    kept = old_enough(np.array([0.0, -np.inf]), ends, 120.0)
    assert kept.tolist() == [[False, True, True], [True, True, True]]


def test_curves_have_sixty_minutes():
    """Another shape is a caller's mistake."""
    with pytest.raises(InvalidInput):
        learned_length(np.zeros((6, 59)))
