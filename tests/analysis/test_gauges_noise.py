"""Noise of gauges against a slow and obvious implementation, and against noise that is known."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from analysis.compare.podnoise import (
    BLOCK,
    PodNoise,
    PodSums,
    deviations,
    first_needed,
    later_noise,
    pod_noise,
    spread_of_pods,
)
from analysis.grid import Floats


def correlated(rng: np.random.Generator, pods: int, slots: int, phi: float) -> Floats:
    found = np.zeros((1, pods, slots))
    found[..., 0] = rng.standard_normal(pods)
    for t in range(1, slots):
        found[..., t] = phi * found[..., t - 1] + np.sqrt(1 - phi**2) * rng.standard_normal(pods)
    return found


def slowly(u: Floats, running: bool) -> dict[str, float]:
    """The definition, pod by pod and sample by sample."""
    rows = [row for row in u if np.isfinite(row).sum() >= 5]
    m = len(rows)
    total = sum(int(np.isfinite(row).sum()) for row in rows)
    per_pod = total / m
    residuals = [row - np.nanmean(row) for row in rows]
    squares = sum(float(np.nansum(e**2)) for e in residuals)
    products = [
        e[t] * e[t + 1] for e in residuals for t in range(len(e) - 1) if np.isfinite(e[t]) and np.isfinite(e[t + 1])
    ]
    phi = np.mean(products) / (squares / total)
    phi += (1 + 4 * phi) / per_pod + (np.sqrt((1 - phi**2) / total) if running else 0.0)
    phi = min(max(phi, 0.0), 0.98)
    r = (1 + phi) / (1 - phi)
    slow = []
    for row in u:
        blocks = [row[b : b + BLOCK] for b in range(0, len(row) - BLOCK + 1, BLOCK)]
        means = [float(np.nanmean(b)) for b in blocks if np.isfinite(b).sum() >= BLOCK / 2]
        if len(means) >= 3:
            slow.append((sum((v - np.mean(means)) ** 2 for v in means), len(means) - 1))
    floor = BLOCK * sum(s for s, _ in slow) / sum(d for _, d in slow) if slow else 0.0
    return {
        "long_run": max(r * squares / (total - m) / max(1 - r / per_pod, 0.3), floor),
        "dof": max(0.5, total * max(m - 1, 1) / m / r - 1),
        "between": float(np.mean([np.nanmean(row) ** 2 for row in rows])),
        "pods": float(m),
        "samples": per_pod,
    }


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("phi", [0.0, 0.8])
@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_noise_is_what_its_definition_says(running: bool, phi: float, gaps: float):
    """Sums over prefixes give what loops over samples give, with gaps and with a pod that hardly was there."""
    rng = np.random.default_rng(7)
    u = 0.1 * correlated(rng, 4, 130, phi) + 0.05 * rng.standard_normal((1, 4, 1))
    u[rng.random(u.shape) < gaps] = np.nan
    u[0, 3, 4:] = np.nan
    ends = np.array([12, 47, 90, 130])
    found = pod_noise(u, ends, running=running)
    for place, end in enumerate(ends):
        for name, expected in slowly(u[0, :, :end], running).items():
            assert getattr(found, name)[0, place] == pytest.approx(expected, rel=1e-9), name


@pytest.mark.parametrize("step", [1, 2, 7])
@pytest.mark.parametrize("pods", [1, 20])
def test_noise_goes_on_from_sums_to_the_bit(step: int, pods: int):
    """Look by look, whatever their lengths, the figures are those of everything at once."""
    rng = np.random.default_rng(12)
    u = rng.standard_normal((1, pods, 130))
    u[rng.random(u.shape) < 0.1] = np.nan
    ends = np.arange(1, 131)[::step]
    whole = pod_noise(u, ends, running=True)
    past: PodSums | None = None
    for place, end in enumerate(ends):
        begin = first_needed(past.slots if past else 0)
        found, past = later_noise(u[..., begin:end], ends[place : place + 1], past, running=True)
        for each in fields(PodNoise) if place else ():
            assert getattr(found, each.name)[0, 0] == getattr(whole, each.name)[0, place], each.name


@pytest.mark.parametrize(("phi", "stretch"), [(0.0, 1.0), (0.5, 3.0), (0.8, 9.0)])
def test_the_long_run_variance_of_known_noise(phi: float, stretch: float):
    """AR(1) of variance 1 has (1 + phi)/(1 - phi); the estimate errs, if at all, to the wide side."""
    rng = np.random.default_rng(8)
    found = [pod_noise(correlated(rng, 5, 400, phi), np.array([400]), running=False).long_run[0, 0] for _ in range(25)]
    assert 0.95 * stretch < float(np.mean(found)) < 1.35 * stretch


def test_blocks_admit_noise_that_neighbours_do_not_show():
    """White noise on a slow wander: the lag-1 correlation sees little of it, the means over 20 slots do."""
    rng = np.random.default_rng(9)
    u = correlated(rng, 5, 800, 0.0) + 0.7 * correlated(rng, 5, 800, 0.98)
    found = pod_noise(u, np.array([800]), running=False)
    neighbours = found.samples * 4 / (found.dof + 1)  # N (m-1)/m = 4 T, over r
    assert found.long_run[0, 0] > 2 * neighbours[0, 0]


def test_deviations_have_the_variance_of_a_pod():
    """Stretched by k/(k-1) against the others; a slot with one pod tells nothing."""
    rng = np.random.default_rng(10)
    values = 10 * (1 + 0.1 * rng.standard_normal((1, 3, 20_000)))
    assert float(np.nanvar(deviations(values, None))) == pytest.approx(0.01, rel=0.05)
    values[:, 1:, :5] = np.nan
    assert np.isnan(deviations(values, None)[..., :5]).all()
    np.testing.assert_allclose(deviations(values, np.full((1, 1, 1), 20.0))[..., 5:].var(), 0.0025, rtol=0.1)


def test_pods_seen_and_the_prior_are_put_together():
    """Few pods: about 6 %, worth eight of them; many: what they show, less their own noise."""
    rng = np.random.default_rng(11)
    for pods, low, high in ((2, 0.0032, 0.0075), (200, 0.032, 0.05)):
        u = 0.2 * rng.standard_normal((1, pods, 1)) + 0.1 * rng.standard_normal((1, pods, 100))
        spread, dof = spread_of_pods(pod_noise(u, np.array([100]), running=False), None)
        assert dof[0, 0] == 8 + pods - 1
        assert low < spread[0, 0] < high * (3 if pods == 2 else 1)
    quiet = pod_noise(0.1 * rng.standard_normal((1, 3, 30)), np.array([30]), running=True)
    spread, _ = spread_of_pods(quiet, quiet.long_run / 30)
    assert spread[0, 0] >= 0.06**2
