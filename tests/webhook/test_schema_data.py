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
    assert not record.aligned
    assert record_of(both(counted(1, 9), counted(1, 9))).aligned


@pytest.mark.parametrize("said", [{"pairing": "before_after"}, {"aligned": False}], ids=["before/after", "own times"])
def test_sides_with_times_of_their_own_may_have_unlike_lengths(said):
    """The newest numbers of both sides stand in the last look, and no look is left out for what a side lacks."""
    short, long = {"values": [7, 8]}, {"values": [1, None, 3, 4]}
    for baseline, canary in ((short, long), (long, short)):
        record = record_of({"questions": {"cpu": {"baseline": baseline, "canary": canary}}} | said)
        found = record.questions["cpu"]
        sides = {
            2: (found.baseline, found.canary)[baseline is long],
            4: (found.canary, found.baseline)[baseline is long],
        }
        np.testing.assert_array_equal(sides[2].fields["values"], [[math.nan, math.nan, 7, 8]])
        np.testing.assert_array_equal(sides[4].fields["values"], [[1, math.nan, 3, 4]])
        assert found.left_out == (None,) * 4


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
        pytest.param({"canary": {"samples": [0.1, 0.2]}}, "latency", id="samples"),
        pytest.param({"canary": {"p50": 1, "p95": 2, "p99": 3}}, "latency", id="percentiles"),
        pytest.param({"canary": {"values": [1]}}, "gauge", id="values"),
        pytest.param({"canary": {"numerator": 1, "denominator": 2, "numerator_squared": 1}}, "ratio", id="numerator"),
        pytest.param({"baseline": counted(1, 9)}, "proportion", id="baseline only"),
        pytest.param({"canary": counted(1, 9), "budget": {"remaining": -0.2}}, "objective", id="budget"),
    ],
)
def test_questions_are_told_by_their_fields(entry, kind):
    """Without a policy each question has the defaults of its kind; objectives, which nobody judges, are muted."""
    data = {"questions": {"x": entry}}
    policy = inline_policy(data)
    (question,) = policy.questions
    assert question.kind == kind
    assert question.muted == (kind == "objective")
    assert question.needed == (kind not in ("gauge", "objective"))
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


def test_what_is_said_of_a_series_reaches_its_question():
    """Direction unknown, a share that may be a count, load without a vote, milliseconds."""
    side = {"values": [1, 2]}
    data = {"questions": {
        "errors": {"baseline": side, "canary": side, "unit": "fraction"},
        "odd": {"baseline": side, "canary": side, "direction": "both"},
        "load": {"baseline": side, "canary": side, "context": True},
        "latency": {"edges": [100], "canary": {"counts": [[1, 2]]}, "unit": "ms"},
    }}  # fmt: skip
    policy = inline_policy(data)
    assert policy.question("odd").direction is Direction.BOTH
    assert [question.muted for question in policy.questions] == [False, False, True, False]
    assert policy.question("latency").unit == "ms"
    notes = {name: dict(found.notes) for name, found in inline_record(data, policy).questions.items()}
    assert notes == {"errors": {"fraction": True}, "odd": {}, "load": {"context": True}, "latency": {}}


def test_raw_samples_become_counts_in_buckets_that_all_sides_share():
    """Every sample is in the bucket that holds it, whatever its unit; zero is the shortest, null a missing look."""
    entry = {
        "baseline": {"a": {"samples": [[0.1, 0.2, 0.4], []]}, "b": {"samples": [[3.0], [0.1]]}},
        "canary": {"c": {"samples": [[0.0, 0.4], None]}},
        "history": {"baseline": {"a": {"samples": [[0.2, 12.0]]}}},
    }
    found = record_of({"questions": {"latency": entry}}).questions["latency"]
    edges = np.array(found.edges)
    assert (edges[1:] / edges[:-1] < 1.1).all()

    def counted(*samples):
        return np.bincount(np.searchsorted(edges, np.maximum(samples, 1e-4)), minlength=len(edges) + 1).tolist()

    assert found.baseline.replicas == ("a", "b")
    assert found.baseline.fields["counts"][:, 0].tolist() == [counted(0.1, 0.2, 0.4), counted(3.0)]
    assert found.baseline.fields["counts"][0, 1].sum() == 0
    assert found.canary.fields["counts"][0, 0].tolist() == counted(0.0, 0.4)
    assert np.isnan(found.canary.fields["counts"][0, 1]).all()
    assert found.history.fields["counts"][0, 0].tolist() == counted(0.2, 12.0)


def test_samples_in_milliseconds_are_the_same_histogram():
    """A thousand times the numbers in a thousandth of the unit: the same counts, edges in the unit of the data."""
    fine = [[0.1, 0.25, 0.4], [0.3]]
    coarse = [[1000 * value for value in look] for look in fine]
    one, other = (
        record_of({"questions": {"l": {"canary": {"samples": samples}, "unit": unit}}}).questions["l"]
        for samples, unit in ((fine, "s"), (coarse, "ms"))
    )
    np.testing.assert_allclose(np.array(one.edges) * 1000, other.edges)
    np.testing.assert_array_equal(one.canary.fields["counts"], other.canary.fields["counts"])


def test_a_flat_list_of_samples_is_one_look():
    """Durations of one look need no list around them."""
    found = record_of({"questions": {"l": {"canary": {"samples": [0.1, 0.2, 0.2]}}}}).questions["l"]
    assert found.canary.fields["counts"].shape[:2] == (1, 1)
    assert found.canary.fields["counts"].sum() == 3


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
            st.sampled_from(
                ["baseline", "canary", "bad", "total", "counts", "samples", "values", "p95", "edges", "unit"]
            ),
            inner,
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
