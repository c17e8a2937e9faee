"""Human words: which one holds, for how long, and for which attempt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.overrides import Override, in_force, read_override, retry_asked
from webhook.releases import Attempt

T = 1_000_000.0
FIRST = Attempt(cluster="", namespace="shop", name="checkout", revision="a1", attempt=1, opened_at=T)
SECOND = Attempt(
    cluster="", namespace="shop", name="checkout", revision="a1", attempt=2, opened_at=T + 100, words_since=T + 50
)


def word(verdict, at=T, **more):
    usual = {
        "id": f"o_{at}",
        "namespace": "shop",
        "name": "checkout",
        "revision": "a1",
        "reason": "x",
        "actor": "on-call",
    }
    return Override(**{**usual, "verdict": verdict, "at": at, **more})


@pytest.mark.parametrize(
    ("words", "attempt", "at", "verdict"),
    [
        pytest.param([], FIRST, T, None, id="nobody spoke"),
        pytest.param([word("hold")], FIRST, T + 5, "hold", id="a word holds"),
        pytest.param([word("hold"), word("promote", T + 1)], FIRST, T + 5, "promote", id="the newest word holds"),
        pytest.param([word("hold", T + 10)], FIRST, T + 5, None, id="not before it was said"),
        pytest.param([word("hold", expires_at=T + 60)], FIRST, T + 59, "hold", id="until it expires"),
        pytest.param([word("hold", expires_at=T + 60)], FIRST, T + 60, None, id="expired"),
        pytest.param(
            [word("hold"), word("promote", T + 1, expires_at=T + 60)], FIRST, T + 60, "hold",
            id="an expired word uncovers the one before it",
        ),
        pytest.param([word("hold", revision="a0")], FIRST, T + 5, None, id="another revision's"),
        pytest.param([word("abort")], SECOND, T + 105, None, id="of the attempt before this one"),
        pytest.param([word("abort", T + 100)], SECOND, T + 105, "abort", id="of this attempt"),
        pytest.param([word("abort", T - 50)], FIRST, T, "abort", id="said before its revision was seen"),
        pytest.param([word("hold"), word("retry", T + 1)], FIRST, T + 5, None, id="a retry ends every earlier word"),
        pytest.param(
            [word("hold"), word("retry", T + 1), word("promote", T + 2)], FIRST, T + 5, "promote", id="after a retry"
        ),
    ],
)  # fmt: skip
def test_which_word_holds(words, attempt, at, verdict):
    """The newest word about this revision that is not over; a word about an attempt ends with it."""
    found = in_force(words, attempt, at)
    assert (found.verdict if found else None) == verdict


@pytest.mark.parametrize(
    ("words", "at", "time"),
    [
        ([], T, None),
        ([word("hold")], T, None),
        ([word("retry"), word("retry", T + 5)], T + 9, T + 5),
        ([word("retry", T + 5)], T, None),
        ([word("retry", revision="a0")], T + 9, None),
    ],
    ids=["none", "another word", "the newest", "not yet", "another revision"],
)
def test_when_a_retry_was_asked_for(words, at, time):
    """The newest retry of this revision that was said by then."""
    assert retry_asked(words, FIRST.key, at) == time


@given(
    st.builds(
        Override,
        **{name: st.text() for name in ("id", "namespace", "name", "revision", "reason", "actor")},
        verdict=st.sampled_from(["promote", "hold", "abort", "retry"]),
        at=st.floats(0, 1e10),
    )
)
def test_a_word_survives_the_store(said):
    """What is written is read back equal, and keys of newer versions are skipped."""
    assert read_override({**said.document(), "a key of tomorrow": 1}) == said
