"""Words about gates: the newest that covers a check decides it, and closed is the safe state."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.doors import (
    MOST_HISTORY,
    MOST_WORDS,
    Doors,
    Kind,
    State,
    Word,
    deciding,
    is_open,
    passed,
    read_doors,
    said,
)

NOW = 1_700_000_000.0
NOBODY = Doors(cluster="", namespace="shop", name="web")


def word(opens=True, hook="", revision="", kind=Kind.GATE, at=NOW, **rest):
    return Word(kind=kind, opens=opens, hook=hook, revision=revision, at=at, actor="ann", **rest)


def after(*words):
    doors = NOBODY
    for one in words:
        doors = said(doors, one)
    return doors


def let_through(doors, hook="", revision="", kind=Kind.GATE, at=NOW):
    return is_open(deciding(doors, kind, hook, revision), at)


OPEN, SHUT = word(), word(opens=False)
PROMOTION = {"hook": "confirm-promotion"}


@pytest.mark.parametrize(
    ("words", "asked", "expected"),
    [
        pytest.param([], {}, False, id="nothing said is closed"),
        pytest.param([OPEN], {}, True, id="open"),
        pytest.param([OPEN, SHUT], {}, False, id="open, then closed"),
        pytest.param([SHUT, OPEN], {}, True, id="closed, then open"),
        pytest.param([OPEN], PROMOTION, True, id="about all covers one hook"),
        pytest.param([OPEN], {**PROMOTION, "revision": "r1"}, True, id="about all covers one revision"),
        pytest.param([word(**PROMOTION)], {}, False, id="about one hook is not about all"),
        pytest.param([word(**PROMOTION)], {"hook": "rollout"}, False, id="about another hook"),
        pytest.param([word(**PROMOTION, revision="r1")], {**PROMOTION, "revision": "r1"}, True, id="this revision"),
        pytest.param([word(**PROMOTION, revision="r1")], {**PROMOTION, "revision": "r2"}, False, id="another revision"),
        pytest.param([word(**PROMOTION, revision="r1")], PROMOTION, False, id="no revision known"),
        pytest.param([OPEN, word(opens=False, **PROMOTION)], PROMOTION, False, id="one hook closed"),
        pytest.param([OPEN, word(opens=False, **PROMOTION)], {"hook": "rollout"}, True, id="the others stay open"),
        pytest.param([word(**PROMOTION), SHUT], PROMOTION, False, id="closing all closes what was opened alone"),
        pytest.param([word(opens=False, **PROMOTION), OPEN], PROMOTION, True, id="opening all opens what was closed"),
        pytest.param([OPEN], {"kind": Kind.ROLLBACK}, False, id="the rollback gate is another"),
        pytest.param([word(kind=Kind.ROLLBACK), SHUT], {"kind": Kind.ROLLBACK}, True, id="and is closed by itself"),
        pytest.param([word(expires_at=NOW + 1)], {}, True, id="before it runs out"),
        pytest.param([word(expires_at=NOW)], {}, False, id="run out"),
        pytest.param([OPEN, word(expires_at=NOW)], {}, False, id="run out: what was open before does not come back"),
        pytest.param([OPEN, word(used_at=NOW, once=True)], {}, False, id="used up: likewise"),
    ],
)
def test_the_newest_word_that_covers_a_check_decides(words, asked, expected):
    """Open only where the last word about it says so, still holds, and was not used up."""
    assert let_through(after(*words), **asked) is expected


def test_a_gate_that_opens_once_lets_one_through():
    """The word that let somebody through is used up, and history says who passed."""
    doors = after(word(once=True, reason="looks fine"))
    used = passed(doors, deciding(doors, Kind.GATE, "rollout", "r1"), NOW + 5, "rollout", "r1")
    assert let_through(doors, "rollout", "r1")
    assert not let_through(used, "rollout", "r1")
    assert used.words[0].state(NOW + 5) is State.USED
    assert [line["action"] for line in used.history] == ["open", "passed"]
    assert used.history[-1] == {
        "time": NOW + 5, "kind": "gate", "action": "passed", "hook": "rollout", "revision": "r1", "actor": "ann",
        "principal": "", "reason": "looks fine",
    }  # fmt: skip


def test_a_word_replaces_those_that_it_covers():
    """What can decide nothing any more is not kept; history keeps it."""
    doors = after(word(**PROMOTION), word(hook="rollout", revision="r1"), word(kind=Kind.ROLLBACK), SHUT)
    assert [(w.kind, w.opens) for w in doors.words] == [(Kind.ROLLBACK, True), (Kind.GATE, False)]
    assert len(doors.history) == 4


def test_what_is_kept_is_bounded_and_falls_closed():
    """The oldest words go; what they covered is closed, never open."""
    opened = [word(**PROMOTION, revision=f"r{n}") for n in range(MOST_WORDS + MOST_HISTORY)]
    doors = after(*opened)
    assert (len(doors.words), len(doors.history)) == (MOST_WORDS, MOST_HISTORY)
    assert not let_through(doors, "confirm-promotion", "r0")
    assert let_through(doors, "confirm-promotion", opened[-1].revision)


scopes = st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from(["", "r", "s"]))
words = st.builds(
    lambda scope, opens, ends, kind: word(
        opens, scope[0], scope[1], kind=kind, expires_at=NOW - 1 if ends and opens else None
    ),
    scopes, st.booleans(), st.booleans(), st.sampled_from(Kind),
)  # fmt: skip


@given(st.lists(words, max_size=12))
def test_dropping_what_is_covered_changes_no_answer(spoken):
    """Against the plain rule over everything that was ever said."""
    doors = after(*spoken)
    for kind, hook, revision in itertools.product(Kind, ["", "a", "b", "c"], ["", "r", "s", "t"]):
        covering = [w for w in spoken if w.covers(kind, hook, revision)]
        expected = bool(covering) and covering[-1].opens and covering[-1].expires_at is None
        assert let_through(doors, hook, revision, kind) is expected


@given(st.lists(words, max_size=5))
def test_what_is_written_is_read(spoken):
    """A document holds everything, also for a version that knows more keys."""
    doors = after(*spoken)
    document = doors.document()
    document["words"] = [{**found, "colour": "red"} for found in document["words"]]
    assert read_doors(document) == doors
