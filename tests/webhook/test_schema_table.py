"""Tables in long form: a CSV is the same data as the JSON, and every broken row is named by its line."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.errors import BadRequest
from webhook.schema.data import inline_policy, inline_record
from webhook.schema.report import instant
from webhook.schema.table import read_table

HEADER = "question,side,replica,time,field,value\n"
TABLE = (
    HEADER
    + """\
error-rate,baseline,s-1,2026-11-23T10:00:30Z,bad,14
error-rate,baseline,s-1,2026-11-23T10:00:30Z,total,1425
error-rate,canary,c-1,2026-11-23T10:00:30Z,bad,
error-rate,canary,c-1,2026-11-23T10:01:30Z,bad,2
error-rate,canary,c-1,2026-11-23T10:01:30Z,total,150
error-rate,history,s-1,2026-11-23T09:59:00Z,bad,3
error-rate,history,s-1,2026-11-23T09:59:30Z,total,1400

latency,canary,,1795428030,counts:0.25,44
latency,canary,,1795428030,counts:+Inf,1
latency,canary,,1795428030,counts:0.1,95
"""
)


def refusal(text):
    with pytest.raises(BadRequest) as caught:
        read_table(text)
    return str(caught.value)


def test_a_table_is_the_same_as_its_json():
    """Times are ends of looks; what has no row is null; a history gets its own start."""
    assert read_table(TABLE) == {
        "start": 1795428000.0,
        "step_seconds": 30.0,
        "questions": {
            "error-rate": {
                "baseline": {"s-1": {"bad": [14, None, None], "total": [1425, None, None]}},
                "canary": {"c-1": {"bad": [None, None, 2], "total": [None, None, 150]}},
                "history": {"start": 1795427910.0, "baseline": {"s-1": {"bad": [3, None], "total": [None, 1400]}}},
            },
            "latency": {"edges": [0.1, 0.25], "canary": {"counts": [[95, 44, 1], None, None]}},
        },
    }
    data = read_table(TABLE)
    assert len(inline_record(data, inline_policy(data)).ends) == 3


def test_columns_may_stand_in_any_order():
    """Spreadsheets reorder columns, and put a byte order mark in front."""
    text = "\ufeffvalue,field,time,replica,side,question\r\n5,values,60,,canary,cpu\r\n"
    assert read_table(text) == {
        "start": 0.0,
        "step_seconds": 60.0,
        "questions": {"cpu": {"canary": {"values": [5.0]}}},
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "line 1: must be the columns question,side", id="empty"),
        pytest.param("a,b\n1,2\n", "line 1: must be the columns", id="header"),
        pytest.param(HEADER, "line 2: needs at least one row", id="no rows"),
        pytest.param(HEADER + "cpu,canary,a,60,values\n", "line 2: must have 6 columns, got 5", id="short row"),
        pytest.param(
            HEADER + "cpu,canry,a,60,values,1\n",
            "line 2, side: must be one of baseline, canary, history, got 'canry', did",
            id="side",
        ),
        pytest.param(HEADER + "cpu,canary,a,noon,values,1\n", "line 2, time: must be a time", id="time"),
        pytest.param(HEADER + "cpu,canary,a,,values,1\n", "line 2: needs question, time and field", id="no time"),
        pytest.param(HEADER + "cpu,canary,a,60,values,much\n", "line 2, value: must be a number", id="value"),
        pytest.param(HEADER + "cpu,canary,a,60,values,nan\n", "line 2, value: must be a number", id="nan"),
        pytest.param(
            HEADER + "cpu,canary,a,60,values,1\ncpu,canary,a,60,values,1\n",
            "line 3: times of one series must rise",
            id="twice",
        ),
        pytest.param(
            HEADER + "cpu,canary,a,60,values,1\ncpu,canary,a,30,values,1\n",
            "line 3: times of one series must rise",
            id="falling",
        ),
        pytest.param(
            HEADER + "".join(f"cpu,canary,a,{t},values,1\n" for t in (60, 120, 200)),
            "line 4, time: must lie on the grid of 60 s",
            id="off the grid",
        ),
        pytest.param(
            HEADER + "".join(f"cpu,canary,a,{t},values,1\n" for t in (60, 61, 60 + 20_000)),
            "line 4, time: must have at most 20,000 looks",
            id="looks",
        ),
        pytest.param(HEADER + "l,canary,a,60,counts:x,1\n", "line 2, field: must be a number", id="bucket"),
        pytest.param(HEADER + "l,canary,a,60,counts:,1\n", "line 2, field: needs an upper bound", id="no bucket"),
        pytest.param(HEADER + 'cpu,canary,"a,60,values,1\n', "must be CSV", id="quote"),
    ],
)
def test_a_broken_row_is_named_by_its_line(text, words):
    """Line, column, rule and value."""
    assert words in refusal(text)


entries = st.lists(st.none() | st.floats(0, 1e6), min_size=2, max_size=6).filter(
    lambda found: found[0] is not None and found[-1] is not None
)


@given(st.dictionaries(st.text("abc-é店", min_size=1, max_size=4), entries, min_size=1, max_size=3))
def test_a_table_of_any_series_gives_their_record(series):
    """Written row by row and read again, every number stands at its look, and what is missing is missing."""
    rows = [
        f"cpu,canary,{name},{instant(1_795_428_000 + 10 * (look + 1))},values,{'' if value is None else repr(value)}"
        for name, values in series.items()
        for look, value in enumerate(values)
    ]
    data = read_table(HEADER + "\n".join(rows))
    found = inline_record(data, inline_policy(data)).questions["cpu"].canary
    assert found.replicas == tuple(sorted(series))
    for row, name in enumerate(found.replicas):
        values = [None if math.isnan(value) else value for value in found.fields["values"][row].tolist()]
        longest = max(len(values) for values in series.values())
        assert values == series[name] + [None] * (longest - len(series[name]))
