"""What is carried from look to look adds up to what all looks say at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis import carried, resumed
from analysis.carried import promoted_now, summed_likelihood
from analysis.compare.arms import batch_of, prepare
from analysis.compare.counts import CountsQuestion
from analysis.compare.counts_arms import arms_of
from analysis.evidence import INFORMATION_CAP, Looks, Null, log_likelihood, promote_evidence, promote_start, terms
from tests.analysis.counts_examples import release

LOOKS, LATE = 60, np.array([0, 7, 60])
SMALL, LARGE = np.array([0.001, 0.0, 0.03]), np.array([0.5, 0.4, 0.6])


@pytest.fixture(autouse=True)
def forgetful():
    resumed.forget()


def looks(count: int = LOOKS, canary: float = 150.0, stable: float = 285.0) -> Looks:
    """Three releases; the second has looks left out, the third a canary that is silent at first."""
    data = [
        release(seed, looks=LOOKS, ratio=1 + seed / 5, canary=(1, canary), stable=(10, stable)) for seed in range(3)
    ]
    data[1] = replace(data[1], left_out=np.arange(LOOKS) % 5 == 4)
    data[2] = replace(data[2], canary_total=np.where(np.arange(LOOKS) < 11, 0.0, data[2].canary_total))
    return prepare(batch_of([arms_of(each, CountsQuestion()) for each in data])).looks.between(0, count)


def slowly(seen: Looks, null: Null, since: np.ndarray) -> np.ndarray:
    """The sum of what each look says, node by node."""
    early = np.arange(seen.used.shape[1]) < since[:, None]
    return log_likelihood(seen.without(early), -1, null).sum(axis=1)


def capped(seen: Looks, null: Null) -> bool:
    """Return whether any look that bets says so much that it is capped."""
    share, events, _ = terms(seen, null)  # events over phi
    return bool((events * share * (1 - share) > INFORMATION_CAP * (1 - 1e-9)).any())


@pytest.mark.parametrize(
    ("requests", "slack", "expected"),
    [
        pytest.param((150.0, 285.0), SMALL, False, id="as written"),
        pytest.param((1500.0, 285.0), LARGE, True, id="a slack so large that looks are capped"),
        pytest.param((3e6, 3e5), SMALL, True, id="looks that are capped by their events"),
    ],
)
@pytest.mark.parametrize("ratio", [1.0, 1.5, np.array([1.5, 2.0, 1.1])])
def test_the_sum_of_all_looks_is_the_sum_of_each(requests, slack, expected, ratio):
    """At every slack, whether or not a look is capped by it, from the first look on that may bet."""
    seen, null = looks(LOOKS, *requests), Null(ratio=ratio, slack=slack)
    assert capped(seen, null) == expected
    found = summed_likelihood(seen, null, LATE)
    np.testing.assert_allclose(found, slowly(seen, null, LATE), rtol=1e-10, atol=1e-9)


def test_a_side_with_nearly_all_requests_is_no_fault():
    """Its share is 1 to the last digit; what a node earns is as little as it is."""
    seen, null = looks(), Null(ratio=1.5, slack=SMALL)
    seen = replace(seen, total_canary=seen.total_canary * 1e20)
    np.testing.assert_allclose(summed_likelihood(seen, null, LATE), slowly(seen, null, LATE), rtol=1e-10, atol=1e-9)


def test_one_slack_and_one_ratio_hold_for_all():
    """Numbers are as good as a row of them."""
    seen = looks()
    found = summed_likelihood(seen, Null(ratio=1.5, slack=0.001), LATE)
    assert np.array_equal(found, summed_likelihood(seen, Null(ratio=np.full(3, 1.5), slack=np.full(3, 0.001)), LATE))


@pytest.mark.parametrize("slack", [SMALL, LARGE])
def test_what_is_carried_is_what_is_summed_anew(slack):
    """Look by look, with another slack at each, to the last digit; also in many small blocks."""
    nulls = {count: Null(ratio=1.5, slack=slack * (1 + count / LOOKS)) for count in range(20, LOOKS + 1, 4)}
    watched = {count: summed_likelihood(looks(count), null, LATE) for count, null in nulls.items()}
    for count, null in nulls.items():
        resumed.forget()
        assert np.array_equal(summed_likelihood(looks(count), null, LATE), watched[count])


def test_sums_do_not_depend_on_how_many_looks_are_held_at_once(monkeypatch):
    """Memory, not meaning."""
    whole = summed_likelihood(looks(), Null(ratio=1.5, slack=SMALL), LATE)
    resumed.forget()
    monkeypatch.setattr(carried, "BLOCK", 21)
    assert np.array_equal(summed_likelihood(looks(), Null(ratio=1.5, slack=SMALL), LATE), whole)


def test_only_new_looks_are_added(monkeypatch):
    """One look more reads one look, whatever the slack."""
    read = []
    added = carried._added

    def counting(sums, part, *rest):
        read.append(part.used.shape[1])
        return added(sums, part, *rest)

    monkeypatch.setattr(carried, "_added", counting)
    for count in (30, 31, 31, 33):
        summed_likelihood(looks(count), Null(ratio=1.5, slack=SMALL * count), LATE)
    summed_likelihood(looks(33), Null(ratio=2.0, slack=SMALL), LATE)
    assert read == [30, 1, 2, 33]


def test_the_newest_look_is_that_of_the_whole_process():
    """As `promote_evidence` says it after all looks."""
    seen, null, since = looks(), Null(ratio=1.5, slack=SMALL), np.array([0, 7, 11])
    rows = np.arange(3), since
    state = promote_start(np.log([[1.6], [1.5], [3.0]]), seen.pod_factor[rows], seen.pod_weights[rows])
    whole, _ = promote_evidence(seen, null, state, since=since)
    np.testing.assert_allclose(promoted_now(seen, null, state, since), whole[:, -1], rtol=1e-10, atol=1e-10)
