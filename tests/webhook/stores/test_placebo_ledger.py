"""The ledger of placebos is kept by every store: one document, one batch at a time, no word of an operator lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.honesty import Account
from webhook.errors import NotFound, StoreConflict
from webhook.placebo.ledger import CLAIM, Entry, Ledger

WORD = {"at": 2000.0, "actor": "on call", "principal": "ops", "reason": "the bad node is gone"}


def entry(**changes):
    """Return an entry of one service."""
    plain = Entry(namespace="shop", name="checkout", policy="shop", digest="d1", account=Account(alpha=0.001))
    return replace(plain, **changes)


def broken():
    """Return an entry whose promise has just broken."""
    return entry().counted({"promoted": 8, "aborted": 2}, 1000.0, 900.0).counted({"aborted": 1}, 1100.0, 1000.0)


def test_what_was_written_is_read(store):
    """Every figure survives, and survives another process."""
    written = broken()
    Ledger(store, "eu").finish(written)
    assert Ledger(store, "eu").entries() == [written]
    assert Ledger(store, "eu").entry("shop", "checkout", "d1") == written
    assert Ledger(store, "us").entries() == []
    assert Ledger(store, "eu").entry("shop", "checkout", "d2") is None


def test_no_list_of_releases_shows_it(store):
    """It is about services, and belongs to no release: every list leaves documents of its revision out."""
    Ledger(store).finish(broken())
    assert [found["revision"] for found in store.releases()] == ["*"]
    assert store.attempts("shop", "checkout") == []


def test_one_batch_at_a_time(store):
    """Whoever claims works, others wait until it is finished, or until it is certainly lost."""
    first, second = Ledger(store), Ledger(store)
    assert first.claim(1000.0)
    assert not second.claim(1000.0 + CLAIM - 1)
    first.finish(None)
    assert second.claim(1001.0)
    assert first.claim(1001.0 + CLAIM)


def test_a_claim_that_somebody_else_won_is_lost(store, monkeypatch):
    """Two processes that read the same version: the store takes one of them."""
    ledger = Ledger(store)
    ledger.finish(entry())
    read = ledger._read()
    monkeypatch.setattr(ledger, "_read", lambda: read)
    assert ledger.claim(1000.0)
    assert not ledger.claim(1000.0)


def test_a_busy_ledger_is_written_in_the_end(store, monkeypatch):
    """A write that came second reads again; after eight times it gives up and says so."""
    ledger = Ledger(store)
    real, lost = ledger._write, [2]

    def write(document, entries):
        if lost[0]:
            lost[0] -= 1
            raise StoreConflict("somebody was quicker")
        real(document, entries)

    monkeypatch.setattr(ledger, "_write", write)
    ledger.finish(entry())
    assert len(ledger.entries()) == 1
    lost[0] = 8
    with pytest.raises(StoreConflict):
        ledger.finish(entry())


def test_a_broken_promise_says_what_broke_it():
    """Counts, promise and time, in one line; kept promises have nothing to say."""
    found = broken()
    assert found.dropped
    assert found.brief == "3 of 11 placebos were aborted"
    assert found.reason == (
        "3 of 11 placebos were aborted (promised is 0.1 % at most): "
        "shop/checkout is answered in advise since 1970-01-01T00:18:20Z"
    )
    assert (entry().brief, entry().reason, entry().dropped) == ("", "", False)


def test_a_repaired_service_is_enforced_again():
    """Clean placebos end the drop without anybody's word; all outcomes stay counted."""
    found, batches = broken(), 0
    while found.dropped:
        found = found.counted({"promoted": 1}, 2000.0 + batches, 2000.0 + batches)
        batches += 1
    assert found.broke is None
    assert found.reason == ""
    assert found.outcomes == {"promoted": 8 + batches, "aborted": 3}


def test_an_operator_lifts_a_drop(store):
    """The word is kept with its name, the account begins anew, and may break again."""
    ledger = Ledger(store)
    ledger.finish(broken())
    (lifted,) = ledger.lift("shop", "checkout", WORD)
    assert ledger.entries() == [lifted]
    assert not lifted.dropped
    assert lifted.lifts == (WORD,)
    assert lifted.outcomes == {"promoted": 8, "aborted": 3}
    assert lifted.counted({"aborted": 1}, 3000.0, 3000.0).counted({"aborted": 1}, 3100.0, 3100.0).dropped


@pytest.mark.parametrize("kept", [pytest.param(None, id="unknown service"), pytest.param(entry(), id="promise kept")])
def test_there_must_be_something_to_lift(store, kept):
    """A word that would change nothing is refused with its reason."""
    ledger = Ledger(store)
    ledger.finish(kept)
    with pytest.raises(NotFound, match="no policy of shop/checkout is answered in advise"):
        ledger.lift("shop", "checkout", WORD)


def test_a_lift_during_a_batch_is_not_lost(store):
    """The batch that was under way adds its counts; the standing stays as the operator left it."""
    ledger = Ledger(store)
    before = broken()
    ledger.finish(before)
    ledger.lift("shop", "checkout", WORD)
    ledger.finish(before.counted({"aborted": 1}, 2100.0, 2000.0))
    (found,) = ledger.entries()
    assert not found.dropped
    assert found.lifts == (WORD,)
    assert found.outcomes["aborted"] == 4
    assert found.until == 2000.0


def test_the_longest_forgotten_goes_first(store, monkeypatch):
    """The document is bounded in services."""
    monkeypatch.setattr("webhook.placebo.ledger.MOST", 3)
    ledger = Ledger(store)
    for number in range(5):
        ledger.finish(entry(name=f"s{number}", changed=float(number)))
    assert [found.name for found in ledger.entries()] == ["s2", "s3", "s4"]
