"""The ceilings of quiet services are ceilings: their tests err as often as they say, and by hand they are the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import poisson

from tests.calibration.ceilings import ALPHA, CEILING_CELLS, every_look, once

SEED = 20_261_129


def test_a_test_that_can_tell_nothing_errs_as_often_as_it_finds():
    """Where healthy and the limit are nearly one point, the most powerful test of 5 % finds 5 %."""
    assert once((18.0, 18.0), (18.0001, 18.0)) == pytest.approx(ALPHA, abs=1e-4)


def test_small_counts_are_summed_as_by_hand():
    """All pairs of counts, the likeliest to be healthy first, until the error is 5 %; a part of the last."""
    healthy, there = (1.2, 1.2), (3.4, 1.1)
    pairs = list(itertools.product(range(14), repeat=2))
    gain = {(c, s): c * np.log(1.2 / 3.4) + s * np.log(1.2 / 1.1) for c, s in pairs}
    error = power = 0.0
    for c, s in sorted(pairs, key=lambda pair: -gain[pair]):
        likely = float(np.prod(poisson.pmf((c, s), there)))
        part = min(1.0, (ALPHA - error) / likely)
        error += part * likely
        power += part * float(np.prod(poisson.pmf((c, s), healthy)))
        if part < 1:
            break
    assert once(healthy, there) == pytest.approx(power, abs=1e-6)


def test_asked_every_minute_a_release_at_the_limit_passes_in_at_most_five_percent():
    """Ville: 1 in 20 at most, over all looks; and a healthy one less often than the test that is asked once finds."""
    healthy, point = (18.0, 18.0), (40.0, 18.0)
    rng = np.random.default_rng(SEED)
    assert every_look(healthy, point, point, 20_000, rng) <= ALPHA
    assert ALPHA < every_look(healthy, point, healthy, 20_000, rng) < once(healthy, point)


def test_with_the_default_budget_nine_in_ten_cannot_be_had():
    """What decision 17 says: less than 90 % within the hour at a budget of 20, whatever the test."""
    rows = CEILING_CELLS[0].measure({"amber": 11400}, lambda _: None)
    assert rows[0].reached < 0.9
    assert rows[1].reached < rows[0].reached < rows[2].reached
