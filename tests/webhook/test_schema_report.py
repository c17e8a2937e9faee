"""Pieces of answers: times, strict JSON, and a verdict object that always fits."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.types import State
from webhook.schema.report import KEYS, LARGEST, dump, finite, instant, size, verdict_object
from webhook.schema.scalars import time

REPORT = {
    "format": "weighbridge-report/1",
    "verdict": "hold",
    "reason": "error rate 1.3 % vs 1.0 %: not yet proved within 1.5x",
    "mode": "enforce",
    "would": "hold",
    "score": 71.4,
    "id": "r_3f9a0c51d2e84b17",
    "url": "https://weighbridge.example/reports/r_3f9a0c51d2e84b17",
    "release": {
        "cluster": "", "namespace": "shop", "name": "checkout", "revision": "6c54bd4f4b",
        "attempt": 1, "stage": "step", "phase": "held",
    },
    "policy": "checkout@9c1e77ab",
    "window": {"start": "2026-11-23T10:00:00Z", "end": "2026-11-23T10:08:00Z", "looks": 48},
    "questions": {"error-rate": "undecided", "latency": "no_worse"},
    "forecast": {"canary_requests": 2100, "seconds": 240, "at_weight": 0.1, "faster": {"weight": 0.25, "seconds": 95}},
    "detail": {"evidence": ["much"] * 1000},
}  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(0, "1970-01-01T00:00:00Z", id="epoch"),
        pytest.param(1795435200.0, "2026-11-23T12:00:00Z", id="whole"),
        pytest.param(1795435200.25, "2026-11-23T12:00:00.250Z", id="milliseconds"),
        pytest.param(1795435199.9999, "2026-11-23T12:00:00Z", id="rounded up"),
        pytest.param(-5.0, "1970-01-01T00:00:00Z", id="too early"),
        pytest.param(1e18, "9999-12-31T23:59:59Z", id="too late"),
    ],
)
def test_times_are_said_in_utc(seconds, text):
    """RFC 3339 with a Z, milliseconds only where there are any."""
    assert instant(seconds) == text


@given(st.integers(0, 253402300799000))
def test_times_can_be_read_back(thousandths):
    """What an answer says can be asked with."""
    assert time(instant(thousandths / 1000), "/at") == pytest.approx(thousandths / 1000, abs=6e-4)


def test_json_on_the_wire_is_strict():
    """NaN, infinity, tuples, arrays and words of ours become what every parser reads; letters stay letters."""
    value = {
        "a": math.nan,
        "b": (math.inf, np.float64(1.5), np.array([1, np.nan])),
        "c": State.WORSE,
        3: "店",
        "d": np.bool_(True),
    }
    assert dump(value) == '{"a": null, "b": [null, 1.5, [1.0, null]], "c": "worse", "3": "店", "d": true}'
    with pytest.raises(TypeError, match="no JSON for set"):
        finite({"a": {1}})


def test_a_verdict_object_is_the_top_of_its_report():
    """The public keys in their order, without detail, format or an empty cluster."""
    found = verdict_object(REPORT)
    assert tuple(found) == KEYS
    assert found == {key: REPORT[key] for key in KEYS} | {
        "release": {key: value for key, value in REPORT["release"].items() if key != "cluster"}
    }


def test_a_cluster_is_named_where_there_is_one():
    """Several clusters are told apart."""
    report = REPORT | {"release": REPORT["release"] | {"cluster": "eu"}}
    assert verdict_object(report)["release"]["cluster"] == "eu"


def test_what_matters_least_is_cut_first():
    """Many questions leave the urgent ones, the count of the others, and the reason whole."""
    states = {f"question-number-{n:02}": "no_worse" for n in range(60)} | {"the-culprit": "worse", "silent": "no_data"}
    found = verdict_object(REPORT | {"questions": states})
    assert size(found) <= LARGEST
    assert "faster" not in found["forecast"]
    assert list(found["questions"])[:2] == ["the-culprit", "silent"]
    assert len(found["questions"]) == 20
    assert found["questions_left_out"] == 42
    assert found["reason"] == REPORT["reason"]


texts = st.text(max_size=300)
names = st.text("abc-é店🚀", max_size=253)


@given(
    reason=texts,
    release=st.fixed_dictionaries(dict.fromkeys(("cluster", "namespace", "name", "revision", "stage", "phase"), names)),
    questions=st.dictionaries(st.text("abc-", min_size=1, max_size=63), st.sampled_from(State).map(str), max_size=80),
    url=st.text("abc/", max_size=3000),
    score=st.floats(),
    policy=names,
)
def test_a_verdict_object_always_fits(reason, release, questions, url, score, policy):
    """However long the parts, the object is strict JSON of at most 2 KiB with all its keys."""
    report = REPORT | {
        "reason": reason, "release": release | {"attempt": 1}, "questions": questions,
        "url": url, "score": score, "policy": policy,
    }  # fmt: skip
    text = dump(verdict_object(report))
    assert len(text.encode()) <= LARGEST
    found = json.loads(text, parse_constant=pytest.fail)
    assert set(KEYS) <= set(found)
    assert found["verdict"] == "hold"
    assert found["id"] == REPORT["id"]
    assert len(found["questions"]) + found.get("questions_left_out", 0) == len(questions)


@pytest.mark.parametrize(
    "report", [{}, {"release": None, "questions": None, "forecast": None}], ids=["empty", "nothing"]
)
def test_a_report_with_holes_still_has_all_keys(report):
    """A stored report of another version renders too."""
    assert set(KEYS) <= set(verdict_object(report))
