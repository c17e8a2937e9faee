"""Inline data: what people write becomes a record, and every wrong number is named by its place."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.types import Direction, Pairing, Weight
from tests.shared_data import SHARED
from tests.webhook.data_documents import both, counted
from webhook.errors import BadRequest
from webhook.policies import Policies
from webhook.schema.data import data_digest, inline_policy, inline_record

START = 1_795_428_000.0


def record_of(data, **more):
    """Return the record of data under the defaults of its kinds."""
    return inline_record(data, inline_policy(data), **more)


def error_rate(data, **more):
    return record_of(data, **more).questions["error-rate"]


# ------------------------------------------------------------------------------------------ shapes


def test_the_example_of_the_design_is_read():
    """The example of the design page means what it says."""
    page = SHARED / "design" / "policy.md"
    if not page.exists():
        pytest.skip("shared design pages are not beside this checkout")
    data = json.loads(re.search(r"```json\n(.*?)```", page.read_text(), re.S)[1])["data"]
    record = record_of(data)
    assert record.grid.start == START
    assert (record.ends - START).tolist() == [30, 60, 90, 120]
    errors = record.questions["error-rate"]
    assert errors.baseline.replicas == ("s-1", "s-2")
    np.testing.assert_array_equal(errors.canary.fields["bad"], [[4, 3, math.nan, 5]])
    assert [reason.text if reason else "" for reason in errors.left_out] == ["", "", "no numbers from canary", ""]
    np.testing.assert_array_equal(errors.history.fields["total"], [[1420, 1431], [1428, 1422]])
    assert errors.notes["history"] == {"start": START - 1800, "end": START - 1740}
    latency = record.questions["latency"]
    assert latency.edges == (0.1, 0.25, 0.5, 1.0)
    assert latency.canary.fields["counts"].shape == (1, 4, 5)
    assert np.isnan(latency.canary.fields["counts"][0, 2]).all()
    assert record.questions["availability"].notes["budget"] == {"remaining": 0.62}
    assert record.questions["availability"].baseline.replicas == ()


def test_scalars_are_one_look_and_replicas_may_be_left_out():
    """The shortest data is four numbers."""
    record = record_of(both(counted(10, 1000), counted(2, 100)))
    found = record.questions["error-rate"]
    assert not found.visible
    assert found.baseline.replicas == ("",)
    assert found.canary.fields["bad"].tolist() == [[2.0]]
    assert (record.grid.length, record.ends.tolist()) == (60, [60])


def test_a_flat_list_of_counts_is_one_look():
    """Buckets of one look need no list around them."""
    data = {"questions": {"latency": {"edges": [0.1, 0.5], "canary": {"counts": [5, 4, 1]}}}}
    assert record_of(data).questions["latency"].canary.fields["counts"].tolist() == [[[5, 4, 1]]]


def test_one_hidden_side_hides_both():
    """Replicas that only one side shows are put together: counts are summed, and missing is not zero."""
    found = error_rate(
        both({"a": counted([1, None], [10, None]), "b": counted([2, None], [20, 5])}, counted([1, 1], [9, 9]))
    )
    assert not found.visible
    assert found.baseline.replicas == ("",)
    np.testing.assert_array_equal(found.baseline.fields["bad"], [[3, math.nan]])
    np.testing.assert_array_equal(found.baseline.fields["total"], [[30, math.nan]])


def test_levels_of_hidden_replicas_are_averaged():
    """Two pods at 0.4 and 0.6 are a service at 0.5."""
    values = {
        "cpu": {"baseline": {"a": {"values": [0.4, 1]}, "b": {"values": [0.6, None]}}, "canary": {"values": [1, 2]}}
    }
    np.testing.assert_allclose(record_of({"questions": values}).questions["cpu"].baseline.fields["values"], [[0.5, 1]])


def test_half_an_observation_is_missing():
    """Bad events without their total say nothing, and the other way round."""
    found = error_rate(both(counted([1, 1], [10, 10]), counted([1, None], [None, 10])))
    assert np.isnan(found.canary.fields["bad"]).all()
    assert np.isnan(found.canary.fields["total"]).all()


def test_looks_in_which_a_side_is_silent_are_left_out_with_the_reason():
    """Each look that cannot be compared says which side was missing."""
    found = error_rate(both(counted([None, 1, None], [None, 10, None]), counted([1, None, None], [9, None, None])))
    assert [reason.code for reason in found.left_out] == ["missing"] * 3
    assert [reason.text for reason in found.left_out] == [
        "no numbers from baseline",
        "no numbers from canary",
        "no numbers from baseline and canary",
    ]


def test_a_side_that_was_never_there_leaves_no_look_out():
    """Data of the canary alone serves limits and objectives."""
    found = error_rate({"questions": {"error-rate": {"canary": counted([1, 2], [10, 20])}}})
    assert found.left_out == (None, None)
    assert found.baseline.replicas == ()


def test_an_empty_canary_is_data_without_replicas():
    """No canary pod at all is no error of the caller."""
    found = error_rate(both({"a": counted([1], [10])}, {}))
    assert found.canary.replicas == ()
    assert found.visible


def test_shorter_questions_are_missing_in_the_rest():
    """Questions may differ in length; what was not said is missing."""
    data = {"questions": {
        "error-rate": {"baseline": counted([1, 1, 1], [9, 9, 9]), "canary": counted([0, 0, 0], [9, 9, 9])},
        "cpu": {"baseline": {"values": [1]}, "canary": {"values": [2]}},
    }}  # fmt: skip
    record = record_of(data)
    assert len(record.ends) == 3
    np.testing.assert_array_equal(record.questions["cpu"].canary.fields["values"], [[2, math.nan, math.nan]])
    assert [reason is None for reason in record.questions["cpu"].left_out] == [True, False, False]


def test_the_grid_never_lengthens():
    """One entry is one look, also beyond 256 of them."""
    record = record_of(both(counted([0] * 600, [9] * 600), counted([0] * 600, [9] * 600)) | {"step_seconds": 10})
    assert set(record.lengths.tolist()) == {10.0}
    assert not record.grid.lengthening


@pytest.mark.parametrize(
    ("data", "more", "start"),
    [
        pytest.param({"start": "2026-11-23T10:00:00Z"}, {"started_at": 5.0, "at": 9e5}, START, id="said"),
        pytest.param({}, {"started_at": 5.0, "at": 9e5}, 5, id="start of the release"),
        pytest.param({}, {"at": 9e5}, 9e5 - 120, id="so that it ends at the time asked for"),
        pytest.param({}, {}, 0, id="none"),
    ],
)
def test_data_without_a_start_gets_the_same_one_every_time(data, more, start):
    """No clock is read: the same request is the same record."""
    assert record_of(both(counted([1, 1], [9, 9]), counted([1, 1], [9, 9])) | data, **more).grid.start == start


def test_pairing_and_alignment_are_kept():
    """What is said of the two sides reaches the record."""
    record = record_of(both(counted(1, 9), counted(1, 9)) | {"pairing": "before_after", "aligned": False})
    assert record.pairing is Pairing.BEFORE_AFTER
    assert record.questions["error-rate"].notes["aligned"] is False


def test_a_history_without_start_lies_right_before_the_data():
    """Its end is the start of the data."""
    found = error_rate(
        both(counted(1, 9), counted(1, 9), history={"baseline": counted([1, 2], [9, 9])}) | {"start": 1000}
    )
    assert found.notes["history"] == {"start": 880, "end": 1000}


# ------------------------------------------------------------------------------------------ default questions


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        pytest.param({"canary": counted(1, 9)}, "proportion", id="bad and total"),
        pytest.param({"canary": {"c": {"events": 1, "exposure": 9}}}, "rate", id="events and exposure"),
        pytest.param({"edges": [1], "canary": {"counts": [1, 2]}}, "latency", id="counts"),
        pytest.param({"canary": {"p50": 1, "p95": 2, "p99": 3}}, "latency", id="percentiles"),
        pytest.param({"canary": {"values": [1]}}, "gauge", id="values"),
        pytest.param({"canary": {"numerator": 1, "denominator": 2, "numerator_squared": 1}}, "ratio", id="numerator"),
        pytest.param({"baseline": counted(1, 9)}, "proportion", id="baseline only"),
        pytest.param({"canary": counted(1, 9), "budget": {"remaining": -0.2}}, "objective", id="budget"),
    ],
)
def test_questions_are_told_by_their_fields(entry, kind):
    """Without a policy each question has the defaults of its kind; what nobody judges yet is muted and said."""
    data = {"questions": {"x": entry}}
    policy = inline_policy(data)
    (question,) = policy.questions
    assert question.kind == kind
    assert question.muted == (kind != "proportion")
    assert (question.weight is Weight.CRITICAL) == (kind == "proportion")
    assert bool(policy.notes) == question.muted
    assert inline_record(data, policy).questions["x"] is not None


def test_a_direction_may_stand_in_the_data():
    """Without a policy it is used, beside one it must agree."""
    data = both(counted(1, 9), counted(1, 9), direction="decrease")
    policy = inline_policy(data)
    assert policy.question("error-rate").direction is Direction.DECREASE
    assert inline_record(data, policy) is not None
    with pytest.raises(BadRequest, match="must be that of the policy"):
        inline_record(data, Policies(None, clock=lambda: 0.0).default())


# ------------------------------------------------------------------------------------------ laws

looks = st.integers(1, 5)
totals = st.integers(0, 10**6)
pairs = st.tuples(totals, st.floats(0, 1)).map(lambda pair: (int(pair[0] * pair[1]), pair[0]))


@st.composite
def sides(draw, count):
    replicas = draw(st.lists(st.text("abc-1é", min_size=1, max_size=4), min_size=1, max_size=3, unique=True))
    found = {}
    for name in replicas:
        entries = draw(st.lists(st.none() | pairs, min_size=count, max_size=count))
        found[name] = {
            "bad": [entry and entry[0] for entry in entries],
            "total": [entry and entry[1] for entry in entries],
        }
    return found


@st.composite
def documents(draw):
    count = draw(looks)
    return both(draw(sides(count)), draw(sides(count))) | {"start": draw(st.integers(0, 10**9)), "step_seconds": 30}


@given(documents())
def test_a_record_holds_exactly_what_was_sent(data):
    """Writing the arrays of a record out again gives the data, missing as null."""
    found = error_rate(data)
    for name in ("baseline", "canary"):
        side = getattr(found, name)
        again = {
            replica: {
                field: [None if math.isnan(value) else value for value in side.fields[field][row].tolist()]
                for field in ("bad", "total")
            }
            for row, replica in enumerate(side.replicas)
        }
        assert again == data["questions"]["error-rate"][name]


@given(documents())
def test_the_order_of_keys_changes_neither_record_nor_digest(data):
    """Two programs that write the same numbers ask the same question."""
    question = data["questions"]["error-rate"]
    turned = both(*(dict(reversed(question[side].items())) for side in ("baseline", "canary"))) | {
        "step_seconds": 30, "start": data["start"],
    }  # fmt: skip
    one, other = error_rate(data), error_rate(turned)
    assert one.baseline.replicas == other.baseline.replicas
    np.testing.assert_array_equal(one.canary.fields["bad"], other.canary.fields["bad"])
    assert data_digest(data) == data_digest(turned)
    assert data_digest(data) != data_digest(data | {"step_seconds": 31})


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["baseline", "canary", "bad", "total", "counts", "values", "p95", "edges"]), inner
        )
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["error-rate", "latency", "x"]), junk, min_size=1))
def test_any_json_is_a_record_or_a_refusal(questions):
    """Whatever stands in data, the answer is a record of finite numbers or words."""
    data = {"questions": questions}
    try:
        record = record_of(data)
    except BadRequest:
        return
    for question in record.questions.values():
        for side in (question.baseline, question.canary):
            assert not any(np.isinf(array).any() or (array < 0).any() for array in side.fields.values())
