"""Noise learned from stable replicas: the formulas, their limits, and what stands in when there is too little."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import InvalidInput
from analysis.grid import POD_PRIOR, POD_SDS, Floats
from analysis.noise import Noise, clean, dispersion, fit, learn, neighbour_dispersion, pod_weights
from analysis.noise_over_run import Before, NoiseOverRun, over_more


def over_run(bad, total, visible, known, earlier=None, earlier_looks=0) -> NoiseOverRun:
    """Return the noise of whole runs, (N, R, K), at once."""
    bad, total = clean(bad, total)
    before = Before(visible=visible, known=known, earlier=earlier, looks=earlier_looks)
    return over_more(total.sum(axis=1) > 0, lambda k: (bad[..., :k], total[..., :k]), before)[0]


def slow_dispersion(x: Floats, n: Floats) -> float:
    """The published formula with loops over replicas and looks."""
    pods, looks = x.shape
    keep = [k for k in range(looks) if x[:, k].sum() > 0 and (n[:, k] > 0).sum() >= 2]
    e = {(i, k): x[:, k].sum() * n[i, k] / n[:, k].sum() for i in range(pods) for k in keep}
    level = [(sum(x[i, k] for k in keep) + 0.5) / (sum(e[i, k] for k in keep) + 0.5) for i in range(pods)]
    square, expected = [], []
    for k in keep:
        events = x[:, k].sum()
        whole = sum(level[j] * n[j, k] for j in range(pods))
        share = [level[i] * n[i, k] / whole for i in range(pods)]
        square.append(sum((x[i, k] - events * share[i]) ** 2 for i in range(pods)))
        expected.append(sum(events * s * (1 - s) for s in share))
    b = sum(expected)
    ratio = sum(square) / b
    phi = ratio * len(keep) / (len(keep) - 1)
    error = math.sqrt(sum((a - c * ratio) ** 2 for a, c in zip(square, expected, strict=True))) / b
    return max(1.0, (b * (phi + error) + 40) / (b + 20))


def slow_pod_weights(x: Floats, n: Floats, phi: float) -> Floats:
    """The gamma-Poisson posterior with loops."""
    pods = x.shape[0]
    expected = (x.sum(axis=0) * n / n.sum(axis=0)).sum(axis=1)
    logs = []
    for prior, tau in zip(POD_PRIOR, POD_SDS, strict=True):
        kappa = 1 / tau**2
        total = math.log(prior)
        for i in range(pods):
            found = max(0.0, expected[i] + (x[i].sum() - expected[i]) * math.sqrt(pods / (pods - 1))) / phi
            mean = expected[i] / phi
            total += math.lgamma(found + kappa) - math.lgamma(kappa)
            total += kappa * math.log(kappa / (kappa + mean)) + found * math.log(mean / (kappa + mean))
        logs.append(total)
    weights = np.exp(np.array(logs) - max(logs))
    return weights / weights.sum()


def stable(seed: int, *, pods: int = 10, looks: int = 60, mean: float = 3.0, sd: float = 0.0, clump: float = 1.0):
    """Events and requests of stable pods; clumps are geometric."""
    rng = np.random.default_rng(seed)
    level = np.exp(rng.normal(0, sd, (pods, 1))) if sd else np.ones((pods, 1))
    incidents = rng.poisson(mean * level / clump, (pods, looks))
    extra = rng.negative_binomial(np.maximum(incidents, 1), 1 / clump) * (incidents > 0) if clump > 1 else 0
    return (incidents + extra).astype(float), np.full((pods, looks), 300.0)


@pytest.mark.parametrize("seed", range(5))
def test_dispersion_and_pods_equal_their_formulas(seed: int):
    """The vectorised learner equals loops over replicas and looks."""
    bad, total = stable(seed, pods=4, looks=9, sd=0.2)
    total = total * np.linspace(0.5, 2, 4)[:, None]
    phi = dispersion(bad, total)
    assert float(phi) == pytest.approx(slow_dispersion(bad, total), rel=1e-12)
    np.testing.assert_allclose(pod_weights(bad, total, phi), slow_pod_weights(bad, total, float(phi)), rtol=1e-9)


@pytest.mark.parametrize(
    ("clump", "low", "high"),
    [
        pytest.param(1.0, 1.0, 1.25, id="independent events"),
        pytest.param(4.0, 5.5, 10.0, id="clumps of 4, phi 7"),
        pytest.param(10.0, 13.0, 30.0, id="clumps of 10, phi 19"),
    ],
)
def test_dispersion_measures_clumps(clump: float, low: float, high: float):
    """Geometric clumps have phi = 2 mean - 1; what is learned is that plus its own uncertainty."""
    phi, hidden = [], []
    for seed in range(5):
        bad, total = stable(seed, clump=clump, looks=240)
        phi.append(float(dispersion(bad, total)))
        hidden.append(float(neighbour_dispersion(bad.sum(axis=0), total.sum(axis=0))))
    assert low <= np.median(phi) <= high
    assert low <= np.median(hidden) <= high * 1.3


def test_dispersion_ignores_drift_and_births():
    """A base rate that rises fivefold and pods that come late are no dispersion."""
    rng = np.random.default_rng(3)
    total = np.full((8, 120), 400.0)
    total[5:, :60] = 0.0
    bad = rng.poisson(total * np.linspace(0.005, 0.025, 120)).astype(float)
    assert float(dispersion(bad, total)) < 1.25


def test_no_events_fall_back():
    """Without bad events dispersion is 2 and the pods are the prior, flagged."""
    total = np.full((5, 60), 300.0)
    noise = learn(np.zeros_like(total), total, np.full(60, 15.0), True)
    assert (noise.phi, noise.source, noise.counted, noise.looks) == (2.0, "prior", 0, 60)
    assert "noise: prior" in noise.flags
    np.testing.assert_allclose(noise.pod_weights, POD_PRIOR)
    assert noise.bad_share == pytest.approx(0.5 / (5 * 60 * 300 + 1))


def test_one_look_is_its_own_uncertainty():
    """With a single look that counts, the standard error is the estimate itself."""
    bad, total = np.array([[9.0], [1.0]]), np.full((2, 1), 100.0)
    share = np.array([9.5 / 5.5, 1.5 / 5.5]) / 2
    ratio = ((bad[:, 0] - 10 * share) ** 2).sum() / (10 * (share * (1 - share)).sum())
    spread = 10 * (share * (1 - share)).sum()
    assert float(dispersion(bad, total)) == pytest.approx((spread * 2 * ratio + 40) / (spread + 20))


def test_pods_that_differ_are_seen_and_pods_alike_are_too():
    """Nineteen pods with many events settle the standard deviation near the truth."""
    found = {}
    for sd in (0.0, 0.2):
        bad, total = stable(7, pods=19, looks=240, mean=10.0, sd=sd)
        weights = pod_weights(bad, total, dispersion(bad, total))
        found[sd] = float(np.sqrt(weights @ POD_SDS**2))
    assert found[0.0] < 0.04
    assert 0.13 < found[0.2] < 0.33


def test_one_stable_pod_is_judged_like_hidden_ones():
    """One pod says nothing of pods: the prior, and dispersion from neighbouring looks; flagged, not refused."""
    bad, total = stable(1, pods=1, mean=20.0)
    noise = learn(bad, total, np.full(60, 15.0), True)
    assert noise.phi == pytest.approx(float(neighbour_dispersion(bad[0], total[0])))
    np.testing.assert_allclose(noise.pod_weights, POD_PRIOR)
    assert noise.source == "history"
    assert "one stable pod" in noise.flags
    hidden = learn(bad, total, np.full(60, 15.0), False)
    assert (hidden.phi, hidden.flags) == (noise.phi, ("pods: unknown",))


def test_noise_can_be_stored():
    """A noise summary survives JSON unchanged."""
    bad, total = stable(2)
    noise = learn(bad, total, np.full(60, 15.0), True)
    fields = json.loads(json.dumps(asdict(noise), allow_nan=False))
    fields["pod_weights"], fields["flags"] = tuple(fields["pod_weights"]), tuple(fields["flags"])
    assert Noise(**fields) == noise
    assert noise.requests_per_second == pytest.approx(10 * 300 / 15)


def test_missing_points_are_no_traffic():
    """A look that was not scraped, or whose error counter is missing, counts as if the pod were not there."""
    bad, total = stable(4, pods=5)
    gone = bad.copy(), total.copy()
    gone[0][2, 10:20], gone[1][3, 30] = np.nan, np.nan
    absent = bad.copy(), total.copy()
    for array in absent:
        array[2, 10:20] = array[3, 30] = 0.0
    np.testing.assert_array_equal(fit(*gone, True)[0], fit(*absent, True)[0])
    np.testing.assert_array_equal(fit(*gone, True)[1], fit(*absent, True)[1])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(5)))
def test_the_order_of_replicas_is_no_information(seed: int, order: list[int]):
    """Swapping replicas changes neither dispersion nor pods."""
    bad, total = stable(seed, pods=5, looks=12, sd=0.3)
    phi, weights = fit(bad, total, True)
    other, others = fit(bad[order], total[order], True)
    assert float(phi) == pytest.approx(float(other), rel=1e-9)
    np.testing.assert_allclose(weights, others, rtol=1e-6)


def test_without_history_the_run_is_learned_from_what_lies_before():
    """No bet in the first 8 looks; then noise from the looks before, learned again at 16, 32, 64."""
    bad, total = stable(5, looks=70, clump=4.0)
    noise = over_run(bad[None], total[None], True, None)
    assert not noise.bets[0, :8].any()
    assert noise.bets[0, 8:].all()
    changes = np.flatnonzero(np.diff(noise.phi[0])) + 1
    assert set(changes) <= {8, 16, 32, 64}
    for k in (8, 16, 32, 64):
        assert noise.phi[0, k] == pytest.approx(float(dispersion(bad[:, :k], total[:, :k])))
    later = bad.copy()
    later[:, 20:] *= 7
    assert np.array_equal(over_run(later[None], total[None], True, None).phi[0, :32], noise.phi[0, :32])


def test_short_history_counts_together_with_the_run():
    """Five looks before the release and three in it make eight."""
    bad, total = stable(6, looks=30)
    before = bad[None, :, :5], total[None, :, :5]
    noise = over_run(bad[None, :, 5:], total[None, :, 5:], True, None, before, 5)
    assert next(iter(np.flatnonzero(noise.bets[0]))) == 3
    assert noise.phi[0, 3] == pytest.approx(float(dispersion(bad[:, :8], total[:, :8])))


def test_quiet_history_lets_bets_begin_at_once():
    """History without bad events is a long look at stable: nothing waits, noise is the prior."""
    bad, total = stable(6, looks=30)
    noise = over_run(bad[None], total[None], True, None, None, 500)
    assert noise.bets.all()
    assert noise.phi[0, 0] == 2.0


def test_a_run_noisier_than_its_history_overrules_it():
    """Twice the dispersion in use at a refresh: the larger is used from then on, past looks keep theirs."""
    bad, total = stable(8, looks=40, clump=8.0)
    known = np.array([1.1]), POD_PRIOR[None]
    noise = over_run(bad[None], total[None], True, known)
    assert np.all(noise.phi[0, :8] == 1.1)
    assert noise.phi[0, 8] > 2.2
    assert noise.overruled[0, 8:].all()
    assert not noise.overruled[0, :8].any()
    calm = over_run(*(a[None] for a in stable(8, looks=40)), True, known)
    assert not calm.overruled.any()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("phi", 0.5, id="dispersion below 1"),
        pytest.param("phi", float("nan"), id="no dispersion"),
        pytest.param("pod_weights", (1.0,), id="too few weights"),
        pytest.param("bad_share", 0.0, id="a share of nothing"),
    ],
)
def test_a_noise_that_cannot_be_is_refused(field: str, value: object):
    """A stored summary that no data gives raises and names its place."""
    bad, total = stable(2)
    fields = asdict(learn(bad, total, np.full(60, 15.0), True))
    with pytest.raises(InvalidInput, match=f"/noise/{field}"):
        Noise(**{**fields, field: value})
