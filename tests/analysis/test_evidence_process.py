"""The e-process: equal to its definition, an e-value exactly, safe in logs."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln

from analysis import resumed
from analysis.evidence import (
    Looks,
    Null,
    abort_evidence,
    log_likelihood,
    promote_evidence,
    promote_start,
)
from analysis.grid import HARM, NODES, POD_PRIOR, Floats, alternative, null_weights
from analysis.likelihoods import against_equality, gained
from analysis.stakes import start_masses
from tests.analysis import slow_process


def looks_of(
    bad_canary: Floats,
    total_canary: Floats,
    bad_baseline: Floats,
    total_baseline: Floats,
    *,
    phi: float = 1.0,
    c: Floats | float = 0.0,
    steps: tuple[int, ...] = (),
) -> Looks:
    """Looks from (N, K) counts."""
    shape = bad_canary.shape
    marked = np.zeros(shape, dtype=bool)
    marked[:, list(steps)] = True
    return Looks(
        bad_canary=bad_canary,
        total_canary=np.broadcast_to(total_canary, shape),
        bad_baseline=bad_baseline,
        total_baseline=np.broadcast_to(total_baseline, shape),
        used=np.ones(shape, dtype=bool),
        phi=np.full(shape, phi),
        pod_factor=np.broadcast_to(c, shape).astype(np.float64),
        pod_weights=np.broadcast_to(POD_PRIOR, (*shape, 7)),
        start_mass=start_masses(marked, np.zeros(shape[0], dtype=np.int64)),
    )


def ramp(seed: int, ratio: float = 1.3, requests: float = 3000.0) -> Looks:
    """Twelve looks of one release: a weight step, growing pods, dispersion, one look left out."""
    rng = np.random.default_rng(seed)
    weight = np.where(np.arange(12) < 5, 0.05, 0.25)[None]
    n_c, n_s = requests * weight, requests * (1 - weight)
    looks = looks_of(
        rng.poisson(n_c * 0.01 * ratio).astype(float),
        n_c,
        rng.poisson(n_s * 0.01).astype(float),
        n_s,
        phi=1.3,
        c=np.linspace(1.1, 0.4, 12)[None],
        steps=(5,),
    )
    return looks.without(np.arange(12) == 7)


def slowly(looks: Looks, row: int = 0) -> list[slow_process.SlowLook]:
    """The same looks for the slow implementation."""
    return [
        slow_process.SlowLook(
            bad_canary=float(looks.bad_canary[row, k]),
            total_canary=float(looks.total_canary[row, k]),
            bad_baseline=float(looks.bad_baseline[row, k]),
            total_baseline=float(looks.total_baseline[row, k]),
            used=bool(looks.used[row, k]),
            phi=float(looks.phi[row, k]),
            c=float(looks.pod_factor[row, k]),
            weights=tuple(looks.pod_weights[row, k]),
            mass=float(looks.start_mass[row, k]),
        )
        for k in range(looks.used.shape[1])
    ]


def test_grid_has_156_nodes_that_begin_at_equality():
    """All constants of the grid are those that were measured."""
    assert len(NODES) == 156
    assert NODES[0] == 0
    assert NODES[-2] <= 4.7 < NODES[-1]
    np.testing.assert_allclose(HARM.sum(axis=1), 1, atol=1e-12)
    near = (NODES[None, :] - NODES[:, None] < 0.04) & (np.arange(156) < 155)
    assert np.all(HARM[near] == 0)


def test_without_pods_the_null_is_one_point():
    """With c = 0 the null knows that the canary is equal."""
    weights = null_weights(np.zeros(1), POD_PRIOR[None])[0]
    assert weights[0] == pytest.approx(1.0, abs=1e-15)
    assert np.all(weights[1:] == 1e-300)


def test_null_and_alternative_are_laws():
    """Masses of the null and of the alternative sum to one, whatever the pods."""
    factor = np.array([0.05, 1.05, 2.0])
    np.testing.assert_allclose(null_weights(factor, POD_PRIOR).sum(axis=1), 1, atol=1e-12)
    mixed = alternative(np.full((3, 2), 0.5), factor, np.broadcast_to(POD_PRIOR, (3, 7)))
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-12)


def test_start_masses_never_exceed_the_stake():
    """However many steps are seen, what is staked stays below 1 and steps at look 1 add nothing."""
    steps = np.zeros((3, 500), dtype=bool)
    steps[1, 0] = True
    steps[2] = True
    mass = start_masses(steps, np.zeros(3, dtype=np.int64))
    assert np.all(mass.sum(axis=1) < 1)
    np.testing.assert_array_equal(mass[0], mass[1])
    assert mass[2, 1] == pytest.approx(0.15 / 2 + 0.125)


@pytest.mark.parametrize(
    ("rho", "slack"),
    [pytest.param(1.0, 0.0, id="worse"), pytest.param(1.5, 0.001, id="beyond the tolerance")],
)
def test_abort_process_equals_its_definition(rho: float, slack: float):
    """Ramps, growing pods, dispersion, slack, a skipped look: equal to the slow definition to 1e-9."""
    looks = ramp(3)
    expected = slow_process.abort(slowly(looks), rho, slack)
    found, _ = abort_evidence(looks, Null(ratio=rho, slack=slack))
    np.testing.assert_allclose(found[0], expected, atol=1e-9)


def test_promote_process_equals_its_definition():
    """The promote process equals the slow definition to 1e-9, with two centres of the alternative."""
    looks = ramp(4, ratio=1.0)
    centres = np.array([[0.45, 2.4]])
    expected = slow_process.promote(slowly(looks), 1.5, 0.001, centres[0])
    state = promote_start(centres, looks.pod_factor[:, 0], looks.pod_weights[:, 0])
    found, _ = promote_evidence(looks, Null(ratio=1.5, slack=0.001), state)
    np.testing.assert_allclose(found[0], expected, atol=1e-9)


def test_a_look_worth_more_than_700_nats_leaves_later_looks_right():
    """One enormous look, then ordinary ones: still equal to the definition in logs."""
    looks = looks_of(
        np.array([[4000.0, 30.0, 10.0, 9.0]]),
        np.array([[90_000.0, 1000.0, 1000.0, 1000.0]]),
        np.array([[10.0, 20.0, 21.0, 19.0]]),
        np.array([[90_000.0, 2000.0, 2000.0, 2000.0]]),
        phi=1.0,
        c=1.05,
    )
    assert log_likelihood(looks, 1, Null())[0, 0].max() > 50  # the information cap bounds what one look can say
    found, _ = abort_evidence(looks, Null())
    np.testing.assert_allclose(found[0], slow_process.abort(slowly(looks), 1.0, 0.0), atol=1e-9)


def test_many_strong_looks_keep_the_far_grid():
    """Hundreds of nats one way, then the other way: logs keep what linear arithmetic would lose."""
    bad = np.array([[2000.0] * 12 + [1.0] * 12])
    looks = looks_of(
        bad, np.full((1, 24), 50_000.0), np.array([[100.0] * 12 + [2000.0] * 12]), np.full((1, 24), 50_000.0), c=0.5
    )
    gain = log_likelihood(looks, 1, Null())[0]
    assert np.abs(gain.sum(axis=0)).max() > 700
    found, _ = abort_evidence(looks, Null())
    np.testing.assert_allclose(found[0], slow_process.abort(slowly(looks), 1.0, 0.0), atol=1e-9)


def test_a_process_can_be_continued():
    """Evidence in two calls equals evidence in one."""
    looks = ramp(5)
    whole, _ = abort_evidence(looks, Null())
    begun, state = abort_evidence(looks.between(0, 6), Null())
    ended, _ = abort_evidence(looks.between(6, 12), Null(), state)
    np.testing.assert_allclose(np.concatenate([begun, ended], axis=1), whole, atol=1e-12)
    start = promote_start(np.array([[0.4]]), looks.pod_factor[:, 0], looks.pod_weights[:, 0])
    whole, _ = promote_evidence(looks, Null(ratio=1.5), start)
    begun, later = promote_evidence(looks.between(0, 6), Null(ratio=1.5), start)
    ended, _ = promote_evidence(looks.between(6, 12), Null(ratio=1.5), later)
    np.testing.assert_allclose(np.concatenate([begun, ended], axis=1), whole, atol=1e-12)


def binomial(n: int, p: float) -> Floats:
    x = np.arange(n + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1) + x * np.log(p) + (n - x) * np.log1p(-p)
    return np.exp(logs)


EXACT = [
    pytest.param(n_c, n_s, p, rho, slack, id=f"{n_c} v {n_s}, p {p}, {rho}x + {slack}")
    for n_c, n_s in ((6, 20), (20, 20), (25, 8))
    for p in (0.001, 0.02, 0.2, 0.5)
    for rho, slack in ((1.0, 0.0), (1.5, 0.0), (1.0, 0.01), (1.25, 0.1))
    if rho * p + slack < 1
]


@pytest.mark.parametrize(("n_c", "n_s", "p", "rho", "slack"), EXACT)
def test_expectation_on_the_boundary_is_at_most_one(n_c: int, n_s: int, p: float, rho: float, slack: float):
    """Every outcome of binomial arms at p_c = rho p_s + D: E[e] <= 1 + 1e-12, to abort and to promote."""
    x_c, x_s = (a.ravel()[:, None].astype(float) for a in np.mgrid[0 : n_c + 1, 0 : n_s + 1])
    chance = np.outer(binomial(n_c, rho * p + slack), binomial(n_s, p)).ravel()
    assert chance.sum() == pytest.approx(1, abs=1e-9)
    looks = looks_of(x_c, np.array([[float(n_c)]]), x_s, np.array([[float(n_s)]]))
    null = Null(ratio=rho, slack=slack)
    log_abort, _ = abort_evidence(looks, null)
    centres = np.full((len(x_c), 1), np.log(rho + slack / p))
    state = promote_start(centres, looks.pod_factor[:, 0], looks.pod_weights[:, 0])
    log_promote, _ = promote_evidence(looks, null, state)
    assert chance @ np.exp(log_abort[:, 0]) <= 1 + 1e-12
    assert chance @ np.exp(log_promote[:, 0]) <= 1 + 1e-12


@pytest.mark.parametrize(("rho", "slack"), [pytest.param(1.0, 0.0, id="equal"), pytest.param(1.5, 0.05, id="margin")])
def test_expectation_over_two_looks_is_at_most_one(rho: float, slack: float):
    """The base rate may change between looks and the weight with it: the product is still an e-value."""
    arms = ((5, 9, 0.3), (7, 4, 0.1))
    outcomes: list[tuple[float, ...]] = [()]
    chance = np.ones(1)
    for n_c, n_s, p in arms:
        outcomes = [(*o, x, y) for o in outcomes for x in range(n_c + 1) for y in range(n_s + 1)]
        chance = np.outer(chance, np.outer(binomial(n_c, rho * p + slack), binomial(n_s, p)).ravel()).ravel()
    bad = np.array(outcomes, dtype=float)
    totals = [np.array([[float(a[i]) for a in arms]]) for i in (0, 1)]
    looks = looks_of(bad[:, 0::2], totals[0], bad[:, 1::2], totals[1], steps=(1,))
    log_e, _ = abort_evidence(looks, Null(ratio=rho, slack=slack))
    centres = np.full((len(bad), 1), np.log(rho + slack / 0.2))
    state = promote_start(centres, looks.pod_factor[:, 0], looks.pod_weights[:, 0])
    log_p, _ = promote_evidence(looks, Null(ratio=rho, slack=slack), state)
    assert chance @ np.exp(log_e[:, 1]) <= 1 + 1e-12
    assert chance @ np.exp(log_p[:, 1]) <= 1 + 1e-12


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    canary=st.integers(0, 59),
    c=st.sampled_from([0.0, 0.25, 1.05]),
)
def test_one_more_canary_error_never_lowers_the_evidence(events: list[int], canary: int, c: float):
    """At fixed totals, one event more on the canary's side of the present look never speaks for it."""
    total = np.array([events], dtype=float)
    share = np.minimum(np.floor(total * 0.3), total)
    share[0, -1] = min(canary, events[-1] - 1)
    more = share.copy()
    more[0, -1] += 1
    evidence = []
    for bad in (share, more):
        looks = looks_of(bad, np.full_like(total, 500.0), total - bad, np.full_like(total, 1500.0), c=c)
        evidence.append(abort_evidence(looks, Null())[0][0, -1])
    assert evidence[1] >= evidence[0] - 1e-9


def test_operations_do_not_depend_on_traffic():
    """20 and 20,000 requests a second cost the same calls: no loop is over events or requests."""
    calls = []
    for requests in (300.0, 300_000.0):
        seen: list[str] = []

        def count(frame: FrameType, event: str, arg: Any, seen: list[str] = seen) -> None:
            if event in ("call", "c_call"):
                seen.append(event)

        looks = ramp(6, requests=requests)
        resumed.forget()
        sys.setprofile(count)
        try:
            abort_evidence(looks, Null())
        finally:
            sys.setprofile(None)
        calls.append(len(seen))
    assert calls[0] == calls[1] > 0


def test_what_looks_say_against_equality_is_what_each_says_of_either_side():
    """The sums of both sides, and one ratio look by look."""
    looks = ramp(3)
    each = [log_likelihood(looks, sign, Null())[0] for sign in (1, -1)]
    for found, expected in zip(against_equality(looks), each, strict=True):
        np.testing.assert_allclose(found, expected.sum(axis=0), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(gained(looks, 70), each[0][:, 70], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cut", [1, 3, 5, 11])
def test_evidence_beyond_what_numbers_hold_goes_on_as_logarithms(cut):
    """A broken release earns more than e**600; the definition says the same, and so does going on from any look."""
    shape = (1, 14)
    bad = np.where(np.arange(14) < 9, 0.6, 0.01)[None] * 40_000.0
    looks = looks_of(
        bad, np.full(shape, 40_000.0), np.full(shape, 400.0), np.full(shape, 40_000.0),
        c=np.linspace(0.003, 0.001, 14)[None],
    )  # fmt: skip
    log_e, state = abort_evidence(looks, Null())
    assert state.logs
    assert log_e.max() > 600
    np.testing.assert_allclose(log_e[0], slow_process.abort(slowly(looks), 1.0, 0.0), rtol=1e-9)
    first, between = abort_evidence(looks.between(0, cut), Null())
    then, _ = abort_evidence(looks.between(cut, 14), Null(), between)
    assert np.array_equal(np.concatenate([first, then], axis=1), log_e)
