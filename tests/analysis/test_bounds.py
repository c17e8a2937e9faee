"""The bounds of a ratio: found by asking few ratios, they are those of asking every one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from analysis import bounds
from analysis.bounds import BOTH_SIDES, LEVEL, PRIOR_PARTS, confidence
from analysis.grid import NODES, POD_PRIOR, POD_SDS


def asked_everywhere(above, below, pod_factor, pod_weights):
    """Return estimate and bounds by the definition: every ratio, every cell of the grid, every spread of pods."""
    likelihood = np.concatenate([below[:0:-1], above])
    likelihood -= likelihood.max()
    edges = np.concatenate([[-np.inf], (BOTH_SIDES[:-1] + BOTH_SIDES[1:]) / 2, [np.inf]])
    variances = POD_SDS**2 * pod_factor
    prior, heard = np.zeros(len(BOTH_SIDES)), np.zeros(len(BOTH_SIDES))
    for weight, variance in zip(pod_weights, variances, strict=True):
        for share, sd in PRIOR_PARTS:
            prior += weight * share * np.diff(ndtr(edges / math.sqrt(sd**2 + variance)))
        carried = ndtr((edges - BOTH_SIDES[:, None]) / max(math.sqrt(variance), 1e-9))
        heard += weight * np.diff(carried, axis=1) @ np.exp(likelihood)
    mix = prior * np.exp(likelihood)
    kept = np.flatnonzero(heard > (1 - LEVEL) * mix.sum())
    first, last = (kept[0], kept[-1]) if kept.size else (0, len(BOTH_SIDES) - 1)
    low = 0.0 if first == 0 else math.exp(BOTH_SIDES[first])
    high = math.inf if last == len(BOTH_SIDES) - 1 else math.exp(BOTH_SIDES[last])
    return math.exp(mix @ BOTH_SIDES / mix.sum()), low, high


def counted(rng):
    """Return what some looks of a random release say of ratios above and below 1; shares and ratios of every size."""
    looks = int(rng.integers(1, 5))
    tried = 10 ** rng.uniform(0, 6, looks)
    stable = tried * 10 ** rng.uniform(-2, 2)
    share = 10 ** rng.uniform(-5, -0.3)
    bad = rng.poisson(np.minimum(tried * share * np.exp(rng.normal(0, rng.choice([0.1, 1.0, 3.0]))), 1e7))
    events, canary = bad + rng.poisson(stable * share), tried / (tried + stable)
    phi = 1 + rng.exponential(3.0) * rng.integers(0, 2)
    return [
        (sign * bad.sum() * NODES - events @ np.log1p(canary[:, None] * np.expm1(sign * NODES))) / phi
        for sign in (1, -1)
    ]


@pytest.mark.parametrize("pods", [0.0, 0.01, 0.1, 1.0])
def test_bounds_are_those_of_asking_every_ratio(pods):
    """Few requests or millions, one pod or many, a tenth of the errors or tens of times as many."""
    rng = np.random.default_rng(int(100 * pods))
    for _ in range(40):
        above, below = counted(rng)
        weights = POD_PRIOR if rng.integers(2) else rng.dirichlet(np.full(7, 0.2))
        found = confidence(above, below, pods, weights)
        expected = asked_everywhere(above, below, pods, weights)
        np.testing.assert_allclose((found.estimate, found.low, found.high), expected, rtol=1e-9)


@pytest.mark.parametrize("guess", [(0, 310), (155, 155), (310, 0), (120, 121)])
def test_a_wrong_guess_moves_no_bound(monkeypatch, guess):
    """It only decides which ratios are asked first."""
    rng = np.random.default_rng(11)
    asked = [(*counted(rng), 0.1, POD_PRIOR) for _ in range(20)]
    expected = [confidence(*each) for each in asked]
    monkeypatch.setattr(bounds, "_guessed", lambda *_: guess)
    assert [confidence(*each) for each in asked] == expected


def test_nothing_counted_bounds_nothing():
    """All ratios alike: the whole line, around 1."""
    found = confidence(np.zeros(len(NODES)), np.zeros(len(NODES)), 0.1, POD_PRIOR)
    assert (found.low, found.high) == (0.0, math.inf)
    assert found.estimate == pytest.approx(1.0)
