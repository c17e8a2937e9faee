"""The account of a promise: it breaks once in 1,000 where the promise is kept, soon where it is not, and recovers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.errors import InvalidInput
from analysis.honesty import RATES, STAKES, Account, account_of, share_bounds


def after(account, *shares):
    """Return the account after batches of ``(aborted, placebos)``."""
    for aborted, placebos in shares:
        account = account.counted(aborted, placebos)
    return account


def test_an_empty_account_says_nothing():
    """Before the first placebo there is no share, and no evidence."""
    account = Account(alpha=0.001)
    assert math.isnan(account.share)
    assert account.log_e == pytest.approx(0.0)
    assert account.log_repaired == -math.inf
    assert not account.broken
    assert account.counted(0, 0) == account


def test_each_bet_is_fair_where_the_promise_just_holds():
    """At a chance of exactly alpha every bet is worth 1 on average, so their mean is an e-process."""
    alpha = 0.01
    clean, aborted = after(Account(alpha=alpha), (0, 1)), after(Account(alpha=alpha), (1, 1))
    worth = (1 - alpha) * np.exp(clean.wealth) + alpha * np.exp(aborted.wealth)
    np.testing.assert_allclose(worth, 1.0, rtol=1e-12)


def test_the_bets_are_likelihood_ratios():
    """One placebo a batch: k of n aborted multiply up to (q/alpha)^k ((1-q)/(1-alpha))^(n-k)."""
    alpha = 0.001
    account = after(Account(alpha=alpha), *[(0, 1)] * 40, (1, 1))
    rates = np.minimum(RATES * alpha, (0.5 + alpha) / 2)
    expected = np.log(rates / alpha) + 40 * np.log((1 - rates) / (1 - alpha))
    np.testing.assert_allclose(account.wealth, expected, rtol=1e-9)


def test_repairs_are_fair_where_nothing_was_repaired():
    """At half the share that broke the promise, every bet on a repair is worth 1 on average."""
    broken = Account(alpha=0.001, found=0.2, repair=(0.0,) * len(STAKES))
    clean, aborted = after(broken, (0, 1)), after(broken, (1, 1))
    worth = 0.9 * np.exp(clean.repair) + 0.1 * np.exp(aborted.repair)
    np.testing.assert_allclose(worth, 1.0, rtol=1e-12)


def test_a_few_aborts_break_the_promise():
    """One abort among ten leaves it open, a second breaks it; the account then counts what is found afterwards."""
    open_yet = after(Account(alpha=0.001), *[(0, 1)] * 9, (1, 1))
    broken = after(open_yet, (1, 1))
    assert (open_yet.broken, broken.broken) == (False, True)
    assert broken.found == pytest.approx(2 / 11)
    assert (broken.placebos, broken.aborted, broken.batches) == (0, 0, 0)
    assert broken.log_e >= math.log(1000)


def test_a_repaired_service_is_trusted_again():
    """A share of 1 in 5 broke it: after enough clean placebos the account begins anew; more aborts delay that."""
    broken = Account(alpha=0.001, found=0.2, repair=(0.0,) * len(STAKES))
    needed = 0
    account = broken
    while account.broken:
        account = account.counted(0, 1)
        needed += 1
    assert account == Account(alpha=0.001)
    assert 20 <= needed <= 60
    delayed = after(broken, (1, 1), *[(0, 1)] * needed)
    assert delayed.broken
    assert delayed.log_repaired < math.log(20)


def test_placebos_of_one_batch_count_as_one():
    """Six replicas tried in one hour shared that hour: a sixth of an abort is less than an abort."""
    whole, sixth = after(Account(alpha=0.001), (1, 1)), after(Account(alpha=0.001), (1, 6))
    assert 0 < sixth.log_e < whole.log_e
    assert (sixth.placebos, sixth.batches) == (6, 1)


def test_it_breaks_once_in_a_thousand_where_the_promise_is_kept():
    """Of 4,000 services at exactly the promised 2 %, each looked at 300 times, no more break than 1 in 1,000 allows."""
    rng = np.random.default_rng(31)
    alpha, services, looks = 0.02, 4000, 300
    rates = np.minimum(RATES * alpha, (0.5 + alpha) / 2)
    hits = rng.random((services, looks)) < alpha
    factors = np.log1p((rates - alpha) / (1 - alpha) * (hits[..., None] / alpha - 1))
    wealth = np.logaddexp.reduce(np.cumsum(factors, axis=1), axis=2) - math.log(len(rates))
    broken = (wealth >= math.log(1000)).any(axis=1)
    assert broken.sum() <= 11  # of 4,000 at 0.001: 12 or more come once in 1,000
    first = int(np.argmax(hits.sum(axis=1)))
    account = after(Account(alpha=alpha), *((int(hit), 1) for hit in hits[first]))
    assert account.broken or account.log_e == pytest.approx(wealth[first, -1])


@pytest.mark.parametrize(
    ("share", "most"),
    [
        pytest.param(0.5, 8, id="every second"),
        pytest.param(0.1, 60, id="one in ten"),
        pytest.param(0.03, 300, id="three in a hundred"),
    ],
)
def test_a_broken_promise_is_found_soon(share, most):
    """The median number of placebos until a service of such a share is found, over 200 of them."""
    rng = np.random.default_rng(7)
    needed = []
    for _ in range(200):
        account, count = Account(alpha=0.001), 0
        while not account.broken:
            account, count = account.counted(int(rng.random() < share), 1), count + 1
        needed.append(count)
    assert np.median(needed) <= most


def test_an_account_survives_its_document():
    """What a store keeps is the account, to the last digit."""
    account = after(Account(alpha=0.001), (0, 3), (1, 2), (1, 1), (1, 1))
    assert account_of(account.document()) == account


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda: Account(alpha=0.0), id="no rate"),
        pytest.param(lambda: Account(alpha=0.001, placebos=1, aborted=2, batches=1), id="more aborted than tried"),
        pytest.param(lambda: Account(alpha=0.001).counted(2, 1), id="batch with more aborted than tried"),
        pytest.param(lambda: share_bounds(3, 2), id="more hits than trials"),
    ],
)
def test_what_cannot_be_is_refused(wrong):
    """Counts that contradict each other are a mistake, not evidence."""
    with pytest.raises(InvalidInput):
        wrong()


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        pytest.param(0, 20, 0.0, 1 - 0.001 ** (1 / 20), id="none: 1 - 0.001^(1/n)"),
        pytest.param(20, 20, 0.001 ** (1 / 20), 1.0, id="all: 0.001^(1/n)"),
        pytest.param(0, 0, 0.0, 1.0, id="nothing tried"),
    ],
)
def test_bounds_of_a_share_are_exact(hits, of, low, high):
    """The ends of the binomial have bounds in closed form."""
    assert share_bounds(hits, of) == (pytest.approx(low), pytest.approx(high))


def test_bounds_leave_a_thousandth_in_each_tail():
    """At the lower bound as many hits or more come once in 1,000, at the upper as many or fewer."""
    low, high = share_bounds(3, 20)

    def tail(share, counts):
        return sum(math.comb(20, k) * share**k * (1 - share) ** (20 - k) for k in counts)

    assert tail(low, range(3, 21)) == pytest.approx(0.001)
    assert tail(high, range(4)) == pytest.approx(0.001)
