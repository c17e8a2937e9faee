"""What is remembered between calls is a memo: thrown away, the same values come out, look for look."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import evidence
from analysis.compare import counts
from analysis.evidence import Null
from analysis.judge import judge
from analysis.resumed import BACK, MOST, Resumed
from tests.analysis.counts_examples import release
from tests.analysis.record_examples import errors, policy


@pytest.fixture(autouse=True)
def forgetful():
    evidence.ABORTS.forget()
    evidence.PROMOTES.forget()


def prepared(looks):
    return counts.prepare(counts.arms_of(release(looks=looks), counts.CountsQuestion())).looks


def test_a_release_watched_look_by_look_is_the_one_judged_at_once():
    """Growing by one look at a time, every figure equals that of a judge who has forgotten everything."""
    bad = np.r_[np.full(40, 1.0), np.full(30, 3.0)]
    whole = errors(70, bad)
    for look in range(20, 70, 5):
        watched = judge(policy(), whole, float(whole.ends[look]))
        evidence.ABORTS.forget()
        evidence.PROMOTES.forget()
        fresh = judge(policy(), whole, float(whole.ends[look]))
        assert watched.evidence[0].log_e == pytest.approx(fresh.evidence[0].log_e, rel=1e-12, abs=1e-12)
        assert (watched.verdict, watched.reason) == (fresh.verdict, fresh.reason)


def test_one_look_more_computes_one_look():
    """The second call goes on where the first ended."""
    asked = []
    seen = Resumed[int]()

    def advance(first, state):
        asked.append(first)
        return np.arange(first, columns[0].shape[1], dtype=float)[None], (state or 0) + 1

    for count in (30, 31, 31, 30 + BACK):
        columns = (np.arange(count, dtype=float)[None],)
        log_e, _ = seen.run(b"", columns, advance)
        assert log_e[0].tolist() == list(range(count))
    assert asked == [0, 30, 31]


def test_a_past_that_changed_is_computed_anew():
    """One number of one look is another: nothing of the earlier call is used."""
    looks = prepared(40)
    first, _ = evidence.abort_evidence(looks, Null())
    moved = looks.without(np.arange(40) == 3)
    again, _ = evidence.abort_evidence(moved, Null())
    evidence.ABORTS.forget()
    fresh, _ = evidence.abort_evidence(moved, Null())
    assert np.array_equal(again, fresh)
    assert not np.array_equal(again, first)


@pytest.mark.parametrize("null", [pytest.param(Null(ratio=1.2), id="ratio"), pytest.param(Null(slack=0.1), id="slack")])
def test_another_null_is_another_process(null):
    """Two limits of one question never share what was computed."""
    looks = prepared(40)
    plain, _ = evidence.abort_evidence(looks, Null())
    other, _ = evidence.abort_evidence(looks, null)
    assert not np.array_equal(plain, other)


def test_what_is_returned_may_be_changed():
    """A caller that writes into its result does not write into the memory of others."""
    looks = prepared(40)
    first, _ = evidence.abort_evidence(looks, Null())
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(evidence.abort_evidence(looks, Null())[0], kept)


def test_memory_is_bounded():
    """The oldest process is forgotten first."""
    seen = Resumed[int]()
    calls = []

    def advance(first, state):
        calls.append(first)
        return np.zeros((1, 20 - first)), 0

    for n in range(MOST + 1):
        seen.run(str(n).encode(), (np.zeros((1, 20)),), advance)
    seen.run(b"0", (np.zeros((1, 20)),), advance)
    seen.run(str(MOST).encode(), (np.zeros((1, 20)),), advance)
    assert len(calls) == MOST + 2
