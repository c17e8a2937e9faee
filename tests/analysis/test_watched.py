"""A watched trail marks a past by its numbers like any other, whatever was seen before and in whichever order."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import resumed
from analysis.resumed import BACK, ROOM
from analysis.watched import KEPT, Watched, _Past


@pytest.fixture(autouse=True)
def forgetful():
    resumed.forget()


def numbers(seed=1, looks=60):
    rng = np.random.default_rng(seed)
    return np.moveaxis(rng.normal(size=(1, 4, looks, 5)), 2, 1), rng.normal(size=(1, looks))


def marks(columns, upto):
    trail = Watched([column[:, :upto] for column in columns])
    return [trail.mark(seen, b"x") for seen in range(upto, upto - BACK, -1)]


def test_marks_do_not_depend_on_what_was_seen_before():
    """Look by look, several at once, back again or for the first time: the same past has the same mark."""
    columns = numbers()
    orders = [range(20, 60), range(20, 60, 7), (50, 30, 40, 31, 60), (20, 20 + ROOM, 21 + ROOM, 60)]
    for order in orders:
        watched = [marks(columns, upto) for upto in order]
        for upto, found in zip(order, watched, strict=True):
            resumed.forget()
            assert found == marks(columns, upto)
        resumed.forget()


@pytest.mark.parametrize("place", [(0, 0, 0, 0), (0, 29, 3, 4), (0, 38, 2, 1), (0, 39, 0, 0)])
def test_one_number_that_changed_is_another_past(place):
    """In an old look or in the newest; written into the array that was seen, or into a copy."""
    columns = numbers()
    before = marks(columns, 40)
    columns[0][place] += 1e-12
    again = marks(columns, 40)
    resumed.forget()
    assert again == marks(columns, 40)
    assert again[0] != before[0]
    assert again[39 - place[1] + 1 :] == before[39 - place[1] + 1 :] if place[1] > 32 else again != before


def test_missing_numbers_and_other_shapes_are_told_apart():
    """NaN is equal to itself, -0 is not 0, and the same numbers in another shape are others."""
    columns = numbers()
    columns[1][0, 5] = np.nan
    assert marks(columns, 40) == marks(columns, 40)
    columns[1][0, 5] = 0.0
    nought = marks(columns, 40)
    columns[1][0, 5] = -0.0
    assert marks(columns, 40) != nought
    turned = (np.moveaxis(columns[0], 2, 3), columns[1])
    assert marks(turned, 40)[0] != marks(columns, 40)[0]


def test_many_runs_are_watched_in_turn():
    """More runs than are kept, each with a look more: nobody is taken for another."""
    runs = [numbers(seed) for seed in range(KEPT + 3)]
    found = {(place, upto): marks(run, upto) for upto in (30, 31) for place, run in enumerate(runs)}
    assert len({one[0] for one in found.values()}) == len(found)
    for (place, upto), one in found.items():
        resumed.forget()
        assert one == marks(runs[place], upto)


def test_runs_that_begin_alike_are_kept_beside_each_other(monkeypatch):
    """Who watches both in turn digests neither of them again."""
    one = numbers()
    other = [column.copy() for column in one]
    other[0][:, 7:] += 1.0
    digested = []
    followed = _Past.followed
    monkeypatch.setattr(_Past, "followed", lambda past, new: digested.append(past.count) or followed(past, new))
    for upto in (40, 41, 42):
        for columns in (one, other):
            marks(columns, upto)
    assert digested == [0, 0, 40, 40, 41, 41]
