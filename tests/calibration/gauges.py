"""Gauges: invented services of many releases, put through the evidence in one batch, and what is promised of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.signal import lfilter

from analysis.compare.gauges import Curves, GaugeQuestion, curves
from analysis.compare.paired import GaugeArms, pair
from analysis.grid import Floats
from tests.calibration.cells import Row
from tests.calibration.measures import allowed

CHUNK: Final = 100
QUESTION: Final = GaugeQuestion()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """
    A service whose pods each show a level, and one kind of release.

    Parameters
    ----------
    canary_pods, stable_pods : int
    pod_sd : float
        Standard deviation of the log level between pods.
    phi : float
        Lag-1 correlation of a pod's own noise, standard deviation ``noise``; common load has .99 and 10 %.
    looks, seconds, history : int, float, int
        Looks of one slot each, their length, slots of stable before them (0: none).
    effect : float
        The canary's level is ``1 + effect`` times stable's.
    gaps : float
        Share of samples that are missing.
    uneven : float
        Standard deviation of the log of the pods' noise.
    replaced : bool
        Whether the canary's pods are replaced half way.
    coming : bool
        Whether each stable pod is there for a random half of the time.
    offset, sign : float
        Levels are ``offset + sign * level``: (-1, 1) has mean zero, (0, -1) is negative.
    """

    canary_pods: int = 1
    stable_pods: int = 5
    pod_sd: float = 0.05
    phi: float = 0.8
    noise: float = 0.1
    looks: int = 240
    seconds: float = 15.0
    history: int = 960
    effect: float = 0.0
    gaps: float = 0.0
    uneven: float = 0.0
    replaced: bool = False
    coming: bool = False
    offset: float = 0.0
    sign: float = 1.0


def walks(rng: np.random.Generator, shape: tuple[int, ...], phi: float) -> Floats:
    """Return stationary AR(1) noise of variance 1 along the last axis."""
    shocks = rng.standard_normal(shape)
    shocks[..., 1:] *= np.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], shocks, axis=-1))


def draw(fleet: Fleet, releases: int, rng: np.random.Generator) -> GaugeArms:
    """Return releases as a batch."""
    slots = fleet.history + fleet.looks
    pods = fleet.canary_pods + fleet.stable_pods
    load = 1 + 0.1 * walks(rng, (releases, 1, slots), 0.99)
    sd = fleet.noise * np.exp(fleet.uneven * rng.standard_normal((releases, pods, 1)))
    own = 1 + sd * walks(rng, (releases, pods, slots), fleet.phi)
    level = load * own * np.exp(fleet.pod_sd * rng.standard_normal((releases, pods, 1)))
    canary, stable = level[:, : fleet.canary_pods, fleet.history :].copy(), level[:, fleet.canary_pods :]
    if fleet.replaced:
        half = fleet.looks // 2
        fresh = np.exp(fleet.pod_sd * np.sqrt(2) * rng.standard_normal((releases, fleet.canary_pods, 1)))
        later = np.concatenate([np.full_like(canary, np.nan), canary * fresh], axis=1)
        later[:, : fleet.canary_pods, :half] = canary[:, :, :half]
        later[:, fleet.canary_pods :, :half] = np.nan
        canary = later
    if fleet.coming:
        stable = np.where(walks(rng, stable.shape, 0.99) > 0, stable, np.nan)
    canary = fleet.offset + fleet.sign * canary * (1 + fleet.effect)
    stable = fleet.offset + fleet.sign * stable
    canary = np.where(rng.random(canary.shape) < fleet.gaps, np.nan, canary)
    stable = np.where(rng.random(stable.shape) < fleet.gaps, np.nan, stable)
    return GaugeArms(
        canary=canary,
        baseline=stable[..., fleet.history :],
        history=stable[..., : fleet.history],
        upto=np.arange(1, fleet.looks + 1),
        left_out=np.zeros((releases, fleet.looks), dtype=bool),
    )


def run(
    fleet: Fleet,
    releases: int,
    seed: int,
    question: GaugeQuestion = QUESTION,
    tick: Callable[[int], object] = lambda _: None,
) -> Curves:
    """Return the evidence of many releases, drawn a chunk at a time; ``tick`` hears how many are done."""
    parts = []
    for first in range(0, releases, CHUNK):
        count = min(CHUNK, releases - first)
        arms = draw(fleet, count, np.random.default_rng([seed, first]))
        parts.append(curves(pair(arms), question))
        tick(count)
    return Curves(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in Curves.__slots__})


def first_time(curve: Floats, alpha: float, seconds: float) -> Floats:
    """Return, (N,), the seconds until a curve reaches 1/alpha; infinite if it never does."""
    reached = curve >= -np.log(alpha)
    return np.where(reached.any(axis=1), (reached.argmax(axis=1) + 1) * seconds, np.inf)
