"""Latencies from a record: the arrays that are weighed, silence with its reason, the summary of a long history."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from analysis.compare.latency import history_of, weigh
from analysis.compare.latency_summary import from_summary, summary
from analysis.errors import InvalidRecord
from analysis.latencies import NOISE_NOTE, asked, latency_data, silence
from analysis.policy import Latency, LatencyTolerance, Policy
from analysis.record import Grid, LeftOut, QuestionRecord, Record, SideSeries
from analysis.types import State
from tests.analysis.latency_examples import EDGES, counts

START, LENGTH = 1_700_000_000.0, 15.0
QUESTION = Latency(name="latency", histogram="seconds{$side}", tolerance=LatencyTolerance(shift=1.3))
POLICY = Policy(name="p", questions=(QUESTION,), harm_budget=30.0)


def side(values: Any, *names: str) -> SideSeries:
    """Return one side with these replicas."""
    return SideSeries(replicas=names, fields={"counts": values})


def record(looks: int = 20, **changes: Any) -> Record:
    """Return a record of three stable pods and one of the canary, with a short history of two of the three."""
    rng = np.random.default_rng(1)
    fields: dict[str, Any] = {
        "baseline": side(counts(rng, 3, looks, 300.0), "a", "b", "c"),
        "canary": side(counts(rng, 1, looks, 300.0), "x"),
        "left_out": (None,) * looks,
        "edges": tuple(EDGES),
        "history": side(counts(rng, 2, 5, 300.0), "c", "a"),
    }
    found = QuestionRecord(**{**fields, **changes})
    return Record(
        grid=Grid(start=START, length=LENGTH, lengthening=False),
        ends=START + np.cumsum(np.full(looks, LENGTH)),
        questions={"latency": found},
        weights=np.full(looks, np.nan),
    )


def test_rows_are_replicas():
    """Baseline and its short history share their rows, whoever lived then; a pod that did not exist is missing."""
    data = latency_data(QUESTION, record())
    assert data is not None
    assert data.earlier is not None
    held = record().questions["latency"]
    np.testing.assert_array_equal(data.baseline, held.baseline.fields["counts"])
    np.testing.assert_array_equal(data.earlier[[2, 0]], held.history.fields["counts"])
    assert np.isnan(data.earlier[1]).all()
    found = weigh(data, asked(QUESTION, POLICY))
    assert found.noise_source == "run"
    assert np.abs(found.warn[10:]).max() > 0


def test_what_is_asked():
    """Tolerances, the policy's budget and error rates; edges in seconds whatever the histogram counts in."""
    found = asked(Latency(name="latency", histogram="ms{$side}", unit="ms", slo_edges=(500.0,)), POLICY)
    assert (found.shift, found.exceedance, found.harm_budget) == (1.25, 2.0, 30.0)
    assert found.slo_edges == pytest.approx((0.5,))
    assert asked(QUESTION, POLICY).shift == 1.3
    data = latency_data(Latency(name="latency", histogram="ms{$side}", unit="ms"), record(edges=tuple(EDGES * 1000)))
    assert data is not None
    np.testing.assert_allclose(data.edges, EDGES)


def test_a_summary_is_as_good_as_its_history():
    """Through JSON and back, the evidence is the same to the last bit."""
    rng = np.random.default_rng(2)
    history = counts(rng, 3, 60, 300.0)
    noise, short = history_of(history, EDGES, np.full(60, LENGTH), True)
    assert short is None
    kept = json.loads(json.dumps(summary(noise), allow_nan=False))
    first = latency_data(QUESTION, record(history=side(history, "a", "b", "c")))
    second = latency_data(QUESTION, record(history=None, notes={NOISE_NOTE: kept}))
    assert first is not None
    assert second is not None
    one, other = (weigh(data, asked(QUESTION, POLICY)) for data in (first, second))
    assert one.noise_source == "history"
    for curve in ("warn", "tolerated", "promote", "step", "better"):
        np.testing.assert_array_equal(getattr(one, curve), getattr(other, curve))


def test_a_histogram_of_one_edge_has_a_summary():
    """Lists of one number stay lists of one edge."""
    edges = np.array([0.25])
    noise, _ = history_of(counts(np.random.default_rng(3), 3, 60, 300.0, edges=edges), edges, np.full(60, LENGTH), True)
    back = from_summary(json.loads(json.dumps(summary(noise))), 1)
    np.testing.assert_array_equal(back.tail.exceedance, noise.tail.exceedance)


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({}, id="empty"),
        pytest.param([1], id="a list"),
        pytest.param({"pods": {}}, id="no figures"),
    ],
)
def test_a_damaged_summary_is_refused(told):
    """The error names the place."""
    with pytest.raises(InvalidRecord, match="latency_noise"):
        from_summary(told, 11)


def test_a_summary_of_other_edges_is_refused():
    """Eleven edges are not ten."""
    noise, _ = history_of(counts(np.random.default_rng(2), 3, 60, 300.0), EDGES, np.full(60, LENGTH), True)
    with pytest.raises(InvalidRecord, match="needs 10 edges"):
        from_summary(summary(noise), 10)


ODD = LeftOut(code="unseparated", text="both sides ask for the same series")
EMPTY = np.zeros((1, 20, 12))


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        pytest.param({"edges": ()}, State.INCOMPARABLE, "no bucket edge in common", id="no common edge"),
        pytest.param({"canary": side(EMPTY, "x")}, State.NO_DATA, "no canary requests", id="silent canary"),
        pytest.param({"baseline": side(EMPTY, "a")}, State.NO_DATA, "no baseline requests", id="silent baseline"),
        pytest.param({"left_out": (None,) * 19 + (ODD,)}, State.INCOMPARABLE, "same series", id="not told apart"),
    ],
)
def test_silence_has_a_reason(changes, state, words):
    """A state and one line for people."""
    found = silence(QUESTION, record(**changes))
    assert found is not None
    assert found.state is state
    assert words in found.reason


def test_an_old_proof_does_not_speak_for_a_silent_canary():
    """Silent for more than five minutes: stale; a question that the record does not hold has no data."""
    values = counts(np.random.default_rng(1), 1, 40, 300.0)
    values[:, 15:] = 0.0
    rng = np.random.default_rng(2)
    found = silence(QUESTION, record(40, canary=side(values, "x"), baseline=side(counts(rng, 1, 40, 300.0), "a")))
    assert found is not None
    assert found.state is State.STALE
    assert silence(QUESTION, record()) is None
    other = Latency(name="other", histogram="h{$side}")
    assert silence(other, record()) is not None
    assert latency_data(other, record()) is None
