"""The grid of looks and the record on it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from analysis.errors import InvalidInput, InvalidRecord
from analysis.ordering import in_order
from analysis.record import (
    FIRST_STRETCH,
    MAX_LOOKS,
    STRETCH,
    Grid,
    QuestionRecord,
    Record,
    SideSeries,
    from_rows,
    rows,
    side_series,
)
from tests.analysis.record_examples import LOOK, START, counted, errors, question, record, values

STARTS = st.floats(0, 4e9)
LENGTHS = st.sampled_from([1.0, 10.0, 15.0, 30.0, 60.0, 120.0])


def slow_ends(start, length, number):
    """Return the ends of the first looks by adding lengths: 256 of L, then 128 each of 2L, 4L, ..."""
    ends, end = [], start
    for look in range(number):
        doublings = 0 if look < FIRST_STRETCH else 1 + (look - FIRST_STRETCH) // STRETCH
        end += length * 2**doublings
        ends.append(end)
    return ends


def test_looks_lengthen_as_the_release_ages():
    """256 looks of L, then 128 of 2L, 128 of 4L and so on: a slow implementation agrees on the first 1,000."""
    grid = Grid(start=START, length=10.0)
    assert [grid.end(look) for look in range(1000)] == slow_ends(START, 10.0, 1000)
    assert grid.end(-1) == START


@pytest.mark.parametrize(
    ("look", "end"),
    [(0, 10), (255, 2560), (256, 2580), (383, 5120), (384, 5160), (511, 10_240), (512, 10_320)],
)
def test_boundaries_are_fixed_for_ever(look, end):
    """Figures that may never change: a stored record would mean something else."""
    assert Grid(start=0.0, length=10.0).end(look) == end


def test_inline_data_keeps_its_length():
    """A grid that does not lengthen has looks of L for ever."""
    assert Grid(start=5.0, length=10.0, lengthening=False).end(9_999) == 100_005.0


@given(STARTS, LENGTHS)
def test_an_attempt_starts_on_a_multiple_of_its_length(start, length):
    """The start is floored, so that two replicas that saw it a little apart have one grid."""
    grid = Grid.starting(start, length)
    assert grid.start <= start + 1e-6
    assert start - grid.start < length
    assert grid.start / length == pytest.approx(round(grid.start / length), abs=1e-9)


@given(STARTS, LENGTHS, st.floats(-1e4, 1e6), st.floats(0, 120))
def test_a_look_closes_when_it_is_older_than_the_lag(start, length, age, lag):
    """The last closed look is old enough, the next one is not, and asking later never closes fewer."""
    grid = Grid.starting(start, length)
    at = grid.start + age
    closed = grid.closed(at, lag)
    if closed:
        assert grid.end(closed - 1) <= at - lag + 1e-3
    if closed < MAX_LOOKS:
        assert grid.end(closed) > at - lag - 1e-3
    assert grid.closed(at + 7.0, lag) >= closed


def test_a_record_never_holds_more_than_its_most_looks():
    """However long a pause, the number of looks is bounded."""
    assert Grid(start=0.0, length=1.0, lengthening=False).closed(1e9, 0.0) == MAX_LOOKS
    assert Grid(start=0.0, length=1.0).closed(1e12, 0.0) <= MAX_LOOKS


@pytest.mark.parametrize("bad", [{"start": np.nan}, {"start": np.inf}, {"length": 0.0}, {"length": -1.0}], ids=str)
def test_a_grid_that_cannot_be_is_refused(bad):
    """A grid has a finite start and a positive length."""
    with pytest.raises(InvalidInput):
        Grid(**{"start": 0.0, "length": 10.0, **bad})


# rows


COUNTS = nps.arrays(float, 5, elements=st.one_of(st.just(np.nan), st.floats(0, 1e9)))


@st.composite
def records(draw):
    """Draw a record of two questions with missing values, left-out looks, weights and buckets."""
    sides = [
        {name: {"bad": draw(COUNTS), "total": draw(COUNTS)} for name in draw(st.sets(st.text(max_size=3), max_size=3))}
        for _ in range(2)
    ]
    buckets = draw(nps.arrays(float, (5, 3), elements=st.floats(0, 1e6)))
    reasons = dict.fromkeys(draw(st.sets(st.integers(0, 4))), ("gap", "a gap"))
    both = {"bad": np.ones(5), "total": np.ones(5)}
    return record(
        {
            "error-rate": question({"s": both, **sides[0]}, {"c": both, **sides[1]}, left_out=reasons),
            "latency": question(values("s", counts=buckets), values("c", counts=buckets), edges=(0.1, 0.5)),
        },
        weights=draw(nps.arrays(float, 5, elements=st.one_of(st.just(np.nan), st.floats(0, 1)))),
        events=({"kind": "window"},),
    )


def same_side(one, other):
    """Assert equal numbers; a replica that said nothing at all is not kept."""
    spoke = [n for n, name in enumerate(one.replicas) if any(~np.isnan(a[n]).all() for a in one.fields.values())]
    assert other.replicas == tuple(one.replicas[n] for n in spoke)
    for field, array in one.fields.items():
        np.testing.assert_array_equal(other.fields[field], array[spoke])


def same(one, other):
    assert one.grid == other.grid
    assert one.pairing == other.pairing
    assert one.events == other.events
    np.testing.assert_array_equal(one.ends, other.ends)
    np.testing.assert_array_equal(one.weights, other.weights)
    for name, found in one.questions.items():
        same_side(found.baseline, other.questions[name].baseline)
        same_side(found.canary, other.questions[name].canary)
        assert found.left_out == other.questions[name].left_out
        assert found.edges == other.questions[name].edges


@given(records())
def test_rows_make_the_same_record_again(found):
    """What the store keeps gives back the record, bit for bit, also by way of JSON."""
    kept = json.loads(json.dumps(rows(found), allow_nan=False))
    edges = {name: question.edges for name, question in found.questions.items()}
    same(found, from_rows(found.grid, kept, asked=found.questions, noise={}, edges=edges, events=found.events))


@given(records(), st.floats(-20, 70))
def test_a_record_until_a_time_is_its_beginning(found, age):
    """Cutting keeps the looks that had ended by then, and only cuts."""
    cut = found.until(START + age)
    keep = int(np.sum(found.ends <= START + age + 1e-6))
    assert len(cut.ends) == keep
    assert rows(cut) == rows(found)[:keep]
    assert cut.until(START + 1e9) is cut


def test_a_record_grows_only_at_its_end():
    """Rows of a longer record begin with those of the shorter one."""
    longer = errors(12)
    assert rows(longer)[:7] == rows(longer.until(START + 7 * LOOK))


def test_a_question_that_no_row_holds_has_no_replicas():
    """A question that is asked and never answered is silent, not missing."""
    found = from_rows(Grid(start=START, length=LOOK), rows(errors(3)), asked=["error-rate", "cpu"], noise={})
    assert found.questions["cpu"].canary.replicas == ()


@pytest.mark.parametrize(
    "ends", [[START], [START + 10, START + 10], [START + 20, START + 10]], ids=["at the start", "twice", "falling"]
)
def test_ends_that_do_not_rise_are_refused(ends):
    """A record that cannot have been written by us is damaged, and says where."""
    looks = [{"end": end, "questions": {}, "left_out": {}} for end in ends]
    with pytest.raises(InvalidRecord, match="/looks"):
        from_rows(Grid(start=START, length=LOOK), looks, asked=[], noise={})


@pytest.mark.parametrize("other", [[1.0, 2.0, 3.0], 5.0], ids=["longer", "a number"])
def test_a_field_that_changes_its_shape_is_refused(other):
    """Buckets that become more, or numbers that become buckets, are no record."""
    with pytest.raises(InvalidRecord, match="shape"):
        side_series([{"c": {"counts": [1.0, 2.0]}}, {"c": {"counts": other}}])


def test_lengths_are_those_between_ends():
    """The length of a look follows from its end and the one before it."""
    found = Record(
        grid=Grid(start=0.0, length=10.0), ends=np.array([10.0, 20.0, 50.0]), questions={}, weights=np.full(3, np.nan)
    )
    assert found.lengths.tolist() == [10.0, 10.0, 30.0]


def test_totals_skip_what_is_missing():
    """A replica that did not exist adds nothing."""
    found = counted(2, np.array([1.0, np.nan]), np.array([100.0, np.nan]))
    assert found.canary.total("total").tolist() == [100.0, 0.0]


def test_replicas_are_put_in_order_once():
    """A record whose replicas are sorted is itself; else rows go with their names, on every side and in history."""
    arrays = np.array([[3.0, 4.0], [1.0, 2.0]])
    side = SideSeries(replicas=("b", "a"), fields={"values": arrays, "counts": np.stack([arrays, arrays], axis=2)})
    found = QuestionRecord(baseline=side, canary=side, left_out=(None, None), history=side)
    mixed = Record(
        grid=Grid(start=0.0, length=10.0),
        ends=np.array([10.0, 20.0]),
        questions={"q": found},
        weights=np.full(2, np.nan),
    )
    ordered = in_order(mixed)
    for one in (ordered.questions["q"].baseline, ordered.questions["q"].canary, ordered.questions["q"].history):
        assert one.replicas == ("a", "b")
        assert one.fields["values"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
        assert one.fields["counts"][0, :, 0].tolist() == [1.0, 2.0]
    assert in_order(ordered) is ordered
