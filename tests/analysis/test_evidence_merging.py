"""Many questions in one release: the weighted sum, the burst check, the freeze, the list of the guilty."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.compare.counts import CountsEvidence, CountsQuestion, weigh
from analysis.errors import InvalidInput
from analysis.merging import find_abort, frozen, frozen_now, listed, merged, shares, unresolved
from analysis.policy import Alphas
from tests.analysis.counts_examples import release

QUESTION = CountsQuestion()
ALPHAS = Alphas()


def fault(seed: int = 1, ratio: float = 6.0) -> CountsEvidence:
    return weigh(release(seed=seed, ratio=ratio), QUESTION)


def healthy(seed: int = 2) -> CountsEvidence:
    return weigh(release(seed=seed), QUESTION)


def incident() -> CountsEvidence:
    """Twenty errors inside one look of an otherwise quiet canary."""
    data = release(seed=3, share=0.001, canary=(1, 300.0))
    bad = data.canary_bad.copy()
    bad[0, 20] += 20
    return weigh(release(seed=3, share=0.001, canary=(1, 300.0), canary_bad=bad), QUESTION)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param((1.0, 0.5, 0.5), (0.5, 0.25, 0.25), id="critical and normal"),
        pytest.param((0.0, 0.0), (0.0, 0.0), id="all info cannot abort"),
        pytest.param((1.0, 0.0), (1.0, 0.0), id="info has no say"),
    ],
)
def test_shares_are_weights_over_their_sum(weights: tuple[float, ...], expected: tuple[float, ...]):
    """Shares sum to one, or to nothing."""
    np.testing.assert_allclose(shares(weights), expected)


def test_negative_weights_are_refused():
    """A weight below zero raises."""
    with pytest.raises(InvalidInput, match="not negative"):
        shares([1.0, -0.1])


def test_the_sum_is_of_the_moment():
    """Two questions that peak at different looks are not added at their peaks."""
    log_e = np.array([[0.0, 5.0, 0.0], [5.0, 0.0, 0.0]])
    total = merged(log_e, shares([1, 1]))
    assert total[1] == pytest.approx(math.log((math.e**5 + 1) / 2))
    assert total.max() < math.log(math.e**5)
    assert np.all(np.isneginf(merged(log_e, shares([0, 0]))))


def test_a_fault_aborts_and_stays_aborted():
    """Six times the errors abort; what comes later does not take it back."""
    found = find_abort([fault()], shares([1]), ALPHAS.abort)
    assert found is not None
    assert found.look is not None
    recovered = np.where(np.arange(200) < found.look + 1, 6.0, 0.05)
    later = find_abort([weigh(release(seed=1, ratio=recovered, looks=200), QUESTION)], shares([1]), ALPHAS.abort)
    assert later is not None
    assert later.look is not None


def test_one_incident_inside_one_look_does_not_abort():
    """The burst check: without the loudest look nothing is left, so nothing is aborted, and the look is named."""
    evidence = incident()
    assert evidence.abort.max() >= math.log(1000)
    found = find_abort([evidence], shares([1]), ALPHAS.abort)
    assert found is not None
    assert (found.burst, found.look) == (20, None)
    assert unresolved(evidence, 1.0, ALPHAS, 0.0) is None


def test_the_burst_check_leaves_out_one_look_of_the_loudest_question():
    """The look that is left out is skipped in both processes; its start mass is still spent."""
    evidence = incident()
    assert evidence.loudest_look(39) == evidence.loudest_look(39, tolerated=False) == 20
    reduced = evidence.without_looks([20])
    assert reduced.abort.max() < math.log(10)
    np.testing.assert_array_equal(reduced.prepared.looks.start_mass, evidence.prepared.looks.start_mass)
    np.testing.assert_allclose(reduced.warn[:20], evidence.warn[:20])


def test_twenty_questions_cost_their_share():
    """A fault in one of twenty questions is found a little later, and blamed on the right one."""
    questions = [healthy(seed) for seed in range(10, 29)] + [fault()]
    alone = find_abort([fault()], shares([1]), ALPHAS.abort)
    together = find_abort(questions, shares([1] * 20), ALPHAS.abort)
    assert alone is not None
    assert together is not None
    assert together.question == 19
    assert alone.candidate <= together.candidate <= alone.candidate + 6


def test_good_questions_never_abort_and_no_question_never_does():
    """No evidence, no abort."""
    assert find_abort([healthy()], shares([1]), ALPHAS.abort) is None
    assert find_abort([], shares([]), ALPHAS.abort) is None
    assert find_abort([fault()], shares([0]), ALPHAS.abort) is None


def test_a_freeze_clears_itself():
    """Worse at 100 : 1 freezes at the present value and is lost again when the evidence is."""
    ratio = np.where(np.arange(160) < 14, 2.5, 0.6)
    marked = frozen(weigh(release(seed=5, ratio=ratio, looks=160), QUESTION), 1.0, ALPHAS)
    assert marked.any()
    assert not marked[-1]
    assert not frozen(fault(), 0.0, ALPHAS).any()


def test_what_is_frozen_now_is_the_newest_look():
    """Whatever the share, at every look."""
    ratio = np.where(np.arange(160) < 14, 2.5, 0.6)
    for omega in (0.0, 0.01, 1.0):
        found = [weigh(release(seed=5, ratio=ratio[:looks], looks=looks), QUESTION) for looks in (1, 14, 20, 160)]
        assert [frozen_now(each, omega, ALPHAS) for each in found] == [
            bool(frozen(each, omega, ALPHAS)[-1]) for each in found
        ]


def test_a_small_share_freezes_later():
    """The freeze asks omega E_warn >= 100, so a question among many freezes later."""
    evidence = fault(ratio=3.0)
    assert int(frozen(evidence, 0.01, ALPHAS).argmax()) > int(frozen(evidence, 1.0, ALPHAS).argmax())


def test_a_freeze_that_stays_unresolved_aborts_after_its_limit():
    """Worse at 1000 : 1 for ten minutes of look ends, without proof of no worse: abort at that look, not before."""
    evidence = fault(ratio=3.0)
    start = int((evidence.warn >= math.log(1000)).argmax())
    found = unresolved(evidence, 1.0, ALPHAS, 300.0)
    assert found is not None
    assert evidence.ends[found] - evidence.ends[start] == pytest.approx(300.0)
    assert unresolved(evidence, 1.0, ALPHAS, 1e9) is None
    assert unresolved(evidence, 0.0, ALPHAS, 300.0) is None
    assert unresolved(healthy(), 1.0, ALPHAS, 0.0) is None


def test_skipped_looks_do_not_break_an_unresolved_freeze():
    """A look without data in the middle neither counts for nor against."""
    data = release(seed=1, ratio=3.0)
    total = data.canary_total.copy()
    total[0, 25] = np.nan
    evidence = weigh(release(seed=1, ratio=3.0, canary_total=total), QUESTION)
    assert not evidence.used[25]
    assert unresolved(evidence, 1.0, ALPHAS, 300.0) is not None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([0.0, 0.1], (), id="none"),
        pytest.param([math.log(41), 0.0], (0,), id="one of two at 2/0.05"),
        pytest.param([math.log(39), 0.0], (), id="just below"),
        pytest.param([math.log(21), math.log(25)], (1, 0), id="two share the price"),
    ],
)
def test_the_guilty_are_listed_by_e_bh(values: list[float], expected: tuple[int, ...]):
    """e-BH at 0.05: the i-th largest must reach M/(0.05 i)."""
    assert listed(values) == expected
