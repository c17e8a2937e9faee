"""
The noise of counts that is in use at every look of a run: from history, or learned while the release runs.

A look is judged with what lies strictly before it, so that what was in use at a look never changes, and one look more
goes on from the look before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.grid import POD_PRIOR, POD_SDS, Floats
from analysis.noise import DISAGREEMENT, FEWEST_LOOKS, PRIOR_DISPERSION, clean, fit_once
from analysis.types import BoolArray

Past = Callable[[int], tuple[Floats, Floats]]
"""Takes a number of looks; returns bad events and requests of N stable sides in the first so many looks, (N, R, k)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoiseOverRun:
    """
    The noise in use at every look of N runs.

    Parameters
    ----------
    phi : (N, K) float64
    pod_weights : (N, K, 7) float64
    bets : (N, K) bool
        False before enough is known for a bet.
    overruled : (N, K) bool
        True from where the run's own dispersion replaced that of history.
    """

    phi: Floats
    pod_weights: Floats
    bets: BoolArray
    overruled: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Before:
    """
    What is known of N stable sides before their releases.

    Parameters
    ----------
    visible : bool
        Whether rows are replicas.
    known : ((N,), (N, 7)) or None
        Dispersion and pod weights from history, if at least 8 looks of it count.
    earlier : ((N, R, H), (N, R, H)) or None
        The few looks of history that count when fewer than 8 do, rows as in the run.
    looks : int
        Looks of history in which stable had traffic.
    """

    visible: bool
    known: tuple[Floats, Floats] | None = None
    earlier: tuple[Floats, Floats] | None = None
    looks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoiseState:
    """Where the noise of N runs stands: looks with stable traffic, whether the last was one, what is in use; (N,)."""

    seen: NDArray[np.int64]
    served: BoolArray
    phi: Floats
    pod_weights: Floats
    overruled: BoolArray
    looks: int


def over_more(
    served: BoolArray, past: Past, before: Before, state: NoiseState | None = None
) -> tuple[NoiseOverRun, NoiseState]:
    """
    Return the noise in use at some looks more, from history or learned while the release runs.

    Parameters
    ----------
    served : (N, n) bool
        Whether stable had traffic, in the looks that follow those of ``state``.
    past : callable
        Asked for what lies before a look at which the figures are learned; counts from the run's first look.
    before : Before
    state : NoiseState, optional
        Where an earlier call ended.

    Returns
    -------
    NoiseOverRun
        Of these looks.
    state : NoiseState
        To go on from.

    Notes
    -----
    Without history nothing is bet in the first 8 looks with stable traffic, of history and run together;
    then the figures are learned from both and learned again at looks 8, 16, 32, ... With history the run is
    looked at on the same schedule: if it is more than twice as dispersed as what is in use, its value is used
    from then on.
    """
    releases, count = served.shape
    state = state or _opening(before, releases)
    so_far = state.seen[:, None] + np.cumsum(served, axis=1)
    seen = np.concatenate([state.seen[:, None], so_far[:, :-1]], axis=1)
    fresh = np.concatenate([state.served[:, None], served[:, :-1]], axis=1)
    due = _scheduled(seen, fresh)
    if before.known is None and not state.looks:
        due[:, 0] |= seen[:, 0] >= FEWEST_LOOKS
    phi, weights, overruled = state.phi.copy(), state.pod_weights.copy(), state.overruled.copy()
    found = NoiseOverRun(
        phi=np.repeat(phi[:, None], count, axis=1),
        pod_weights=np.repeat(weights[:, None], count, axis=1),
        bets=np.ones(served.shape, dtype=bool) if before.known else seen >= FEWEST_LOOKS,
        overruled=np.repeat(overruled[:, None], count, axis=1),
    )
    for k in np.flatnonzero(due.any(axis=0)):
        rows = np.flatnonzero(due[:, k])
        learned, pods = _learned(*past(state.looks + int(k)), rows, before)
        if before.known is None:
            phi[rows], weights[rows] = learned, pods
        else:
            larger = learned > DISAGREEMENT * phi[rows]
            phi[rows[larger]], overruled[rows[larger]] = learned[larger], True
        found.phi[rows, k:], found.pod_weights[rows, k:] = phi[rows, None], weights[rows, None]
        found.overruled[rows, k:] = overruled[rows, None]
    return found, NoiseState(
        seen=so_far[:, -1].copy(), served=served[:, -1].copy(), phi=phi, pod_weights=weights, overruled=overruled,
        looks=state.looks + count,
    )  # fmt: skip


def _opening(before: Before, releases: int) -> NoiseState:
    phi, weights = before.known or (np.full(releases, PRIOR_DISPERSION), np.tile(POD_PRIOR, (releases, 1)))
    return NoiseState(
        seen=np.full(releases, 0 if before.known else before.looks),
        served=np.ones(releases, dtype=bool),
        phi=np.array(phi, dtype=np.float64),
        pod_weights=np.array(weights, dtype=np.float64).reshape(releases, len(POD_SDS)),
        overruled=np.zeros(releases, dtype=bool),
        looks=0,
    )


def _learned(bad: Floats, total: Floats, rows: NDArray[np.int64], before: Before) -> tuple[Floats, Floats]:
    """Return dispersion and pod weights of some releases from the first looks of their runs, and the few before."""
    bad, total = bad[rows], total[rows]
    if before.known is None and before.earlier is not None:
        earlier = clean(*before.earlier)
        bad = np.concatenate([earlier[0][rows], bad], axis=2)
        total = np.concatenate([earlier[1][rows], total], axis=2)
    return fit_once(bad, total, before.visible)


def _scheduled(seen: NDArray[np.int64], fresh: BoolArray) -> BoolArray:
    """Return where the looks before have just reached 8, 16, 32, ..."""
    size = np.maximum(seen // FEWEST_LOOKS, 1)
    return np.asarray((size & (size - 1) == 0) & (seen == size * FEWEST_LOOKS) & fresh)
