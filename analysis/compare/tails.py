"""
How many more requests pass an edge of the histogram: tails, edge by edge, on the engine of counts.

Requests above an edge are the bad events of that edge. What is special is how pods differ there: a pod that is five
percent slower exceeds an edge far more often, by as much as the latency's distribution is steep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from analysis.evidence import Looks, Null, abort_evidence
from analysis.grid import POD_SDS, Floats
from analysis.noise import neighbour_dispersion
from analysis.types import BoolArray

LEAST_EXCEEDANCE: Final = 2e-5
MOST_EXCEEDANCE: Final = 0.3
MOST_EDGES: Final = 12
FEWEST_REQUESTS: Final = 300.0  # stable requests from which edges are chosen
GUARD: Final = 0.05
GUARD_LEAST: Final = 0.005
GUARD_MOST: Final = 0.2
SLOPES: Final = (0.5, 12.0)
LONE_SLOPE: Final = 3.0  # of a histogram with one usable point: about that of p95 of a lognormal
STEEP_LIMIT: Final = 4.0
TAIL_SD: Final = 0.15
TAIL_WEIGHT: Final = 8.0
FEW_EVENTS: Final = 20.0
SHOWS_DISPERSION: Final = 50.0
BLOCK: Final = 10
MARGIN: Final = 1.15
UNIT: Final = 0.10  # the atom of the grid that stands for one standard deviation of the pods
HELD: Final = 0.02  # a smaller relative change of the pods' number changes nothing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TailNoise:
    """
    What the stable pods of N releases show at each of J edges.

    Parameters
    ----------
    requests : (N,) float64
        Stable requests it rests on.
    exceedance : (N, J) float64
        Share of requests above the edge, ``(x + 1/2)/(n + 1)`` where it is used as a share.
    slope : (N, J) float64
        ``-d ln(exceedance)/d ln(latency)``, in [0.5, 12].
    between : (N, J) float64
        W, the variance between pods of ln exceedance, prior and pods seen together.
    phi : (N, J) float64
        Dispersion, >= 1.
    pods : (N,) float64
        Pods that it was learned from.
    """

    requests: Floats
    exceedance: Floats
    slope: Floats
    between: Floats
    phi: Floats
    pods: Floats


def exceeding(counts: Floats) -> Floats:
    """
    Return how many requests lie above each edge.

    Parameters
    ----------
    counts : (..., B) float64
        Requests per bucket, not cumulative.

    Returns
    -------
    (..., B-1) float64
    """
    return np.asarray(np.add.accumulate(counts[..., :0:-1], axis=-1)[..., ::-1])


def tail_noise(above: Floats, total: Floats, edges: Floats, visible: bool) -> TailNoise:
    """
    Return what stable pods show of their tails.

    Parameters
    ----------
    above : (N, R, T, J) float64
        Requests above each edge, per stable pod and look.
    total : (N, R, T) float64
    edges : (J,) float64
        Rising.
    visible : bool
        Whether rows are pods; if not, neighbouring looks give the dispersion and the prior the pods.

    Returns
    -------
    TailNoise
    """
    requests = total.sum(axis=(1, 2))
    events = above.sum(axis=(1, 2))
    share = events / np.maximum(requests, 1.0)[:, None]
    pods = (total.sum(axis=2) > 0).sum(axis=1).astype(np.float64) if visible else np.zeros(len(total))
    phi = _neighbours(above, total)
    several = pods >= 2
    if several.any():
        phi = np.where(several[:, None], _between_pods(above, total), phi)
    phi = _borrowed(phi, events)
    return TailNoise(
        requests=requests,
        exceedance=share,
        slope=slopes(share, edges),
        between=_pod_variance(above.sum(axis=2), total.sum(axis=2), phi, pods),
        phi=phi,
        pods=pods,
    )


def slopes(exceedance: Floats, edges: Floats) -> Floats:
    """
    Return how steeply the exceedance falls at each edge.

    Parameters
    ----------
    exceedance : (N, J) float64
    edges : (J,) float64

    Returns
    -------
    (N, J) float64
        Central difference of ``-ln S`` over ``ln u``, in [0.5, 12]; ends copy their neighbour, and the last edge that
        anything passes is an end. 3 where two points are not to be had.
    """
    N, J = exceedance.shape
    found = np.full((N, J), LONE_SLOPE)
    log_u = np.log(edges)
    log_s = np.log(np.maximum(exceedance, 1e-300))
    last = (exceedance > 0).sum(axis=1) - 1
    if J >= 3:
        central = -(log_s[:, 2:] - log_s[:, :-2]) / (log_u[2:] - log_u[:-2])
        found[:, 1:-1] = central
        found[:, 0] = central[:, 0]
    edge = np.arange(J)
    end = np.clip(last - 1, 1, max(J - 2, 1))
    if J >= 3:
        copied = found[np.arange(N), end][:, None]
        found = np.where((edge >= last[:, None]) & (last >= 2)[:, None], copied, found)
    if J >= 2:
        two = -(log_s[:, 1] - log_s[:, 0]) / (log_u[1] - log_u[0])
        found = np.where((last == 1)[:, None], two[:, None], found)
    found = np.where((last < 1)[:, None], LONE_SLOPE, found)
    return np.asarray(np.clip(found, *SLOPES))


def _neighbours(above: Floats, total: Floats) -> Floats:
    sums = np.moveaxis(above.sum(axis=1), -1, 1)
    return neighbour_dispersion(sums, np.broadcast_to(total.sum(axis=1)[:, None], sums.shape))


def _between_pods(above: Floats, total: Floats) -> Floats:
    """Return, (N, J), Pearson's dispersion within looks and within blocks of ten looks, the larger, at least 1."""
    whole = total.shape[2] // BLOCK
    found = _pearson(above, total)
    if whole >= 2:
        cut = whole * BLOCK
        blocks = above[:, :, :cut].reshape(*above.shape[:2], whole, BLOCK, above.shape[-1]).sum(axis=3)
        found = np.maximum(
            found, _pearson(blocks, total[:, :, :cut].reshape(*total.shape[:2], whole, BLOCK).sum(axis=3))
        )
    return found


def _pearson(above: Floats, total: Floats) -> Floats:
    """Return the dispersion around each pod's own share of a look's events; 1 where it is not clearly more."""
    events = above.sum(axis=1, keepdims=True)
    requests = total.sum(axis=1, keepdims=True)
    part = total / np.where(requests > 0, requests, 1.0)
    expected = events * part[..., None]
    level = (above.sum(axis=2) + 0.5) / (expected.sum(axis=2) + 0.5)
    tilted = level[:, :, None, :] * total[..., None]
    own = events * tilted / np.maximum(tilted.sum(axis=1, keepdims=True), 1e-300)
    counts = (own > 0) & (events > 0)
    squares = np.where(counts, (above - own) ** 2 / np.where(counts, own, 1.0), 0.0).sum(axis=(1, 2))
    present = counts.sum(axis=1)
    looks = (present >= 2).sum(axis=1)
    free = np.maximum(
        np.where(present >= 2, present - 1, 0).sum(axis=1) * np.maximum(looks - 1, 0) / np.maximum(looks, 1), 0
    )
    phi = squares / np.maximum(free, 1.0)
    clear = (free >= 1) & (phi > 1 + 2 * np.sqrt(2 / np.maximum(free, 1.0)))
    return np.where(clear, np.maximum(1.0, MARGIN * phi), 1.0)


def _borrowed(phi: Floats, events: Floats) -> Floats:
    """Return the dispersion, that of the nearest lower edge where an edge saw fewer than 50 events."""
    found = phi.copy()
    for j in range(1, phi.shape[1]):
        found[:, j] = np.where(events[:, j] < SHOWS_DISPERSION, found[:, j - 1], found[:, j])
    return found


def _pod_variance(above: Floats, total: Floats, phi: Floats, pods: Floats) -> Floats:
    """Return W (N, J) from what each pod saw in all; too rare an edge is at least as uncertain as the one below it."""
    seen = (total > 0)[..., None]
    count = np.maximum(pods, 1.0)[:, None]
    events = np.where(seen, above, 0.0)
    shares = np.where(seen, np.log((events + 0.5) / np.maximum(total, 1.0)[..., None]), 0.0)
    mean = shares.sum(axis=1) / count
    variance = np.where(seen, (shares - mean[:, None]) ** 2, 0.0).sum(axis=1) / np.maximum(count - 1, 1.0)
    drawn = np.where(seen, phi[:, None] / (events + 0.5), 0.0).sum(axis=1) / count
    more = np.maximum(pods - 1, 0.0)[:, None]
    found = (TAIL_WEIGHT * TAIL_SD**2 + more * np.maximum(0.0, variance - drawn)) / (TAIL_WEIGHT + more)
    rare = (events.sum(axis=1) / count < FEW_EVENTS) | (more == 0)
    for j in range(found.shape[1]):
        floor = np.maximum(found[:, j - 1], TAIL_SD**2) if j else np.full(len(found), TAIL_SD**2)
        found[:, j] = np.where(rare[:, j], floor, found[:, j])
    return np.asarray(found)


def usable_edges(requests: Floats, exceedance: Floats, kept: NDArray[np.int64]) -> BoolArray:
    """
    Return which edges are weighed.

    Parameters
    ----------
    requests : (N,) float64
        Stable requests that the exceedance rests on.
    exceedance : (N, J) float64
    kept : (S,) int
        Edges that are weighed whatever passes them: those of an objective.

    Returns
    -------
    (N, J) bool
        Those that 2 in 100,000 to 3 in 10 stable requests exceed, thinned evenly to at most 12 around the guard.
        None before 300 stable requests.
    """
    enough = (requests >= FEWEST_REQUESTS)[:, None]
    inside = (exceedance >= LEAST_EXCEEDANCE) & (exceedance <= MOST_EXCEEDANCE) & enough
    guards = guard_edge(exceedance, inside)
    for row in np.flatnonzero(inside.sum(axis=1) > MOST_EDGES):
        places = np.flatnonzero(inside[row])
        stride = -(-len(places) // MOST_EDGES)
        inside[row] = False
        at = int(np.flatnonzero(places == guards[row])[0])
        inside[row, places[at % stride :: stride]] = True
    inside[:, kept] |= enough
    return np.asarray(inside)


def guard_edge(exceedance: Floats, usable: BoolArray) -> NDArray[np.int64]:
    """
    Return, (N,), the edge that a promotion is asked at: the one nearest to 5 %; -1 if there is none.

    Within [0.5 %, 20 %] if one lies there, else the nearest of all: rarer edges cannot tell a slower pod from a fault.
    """
    far = np.abs(np.log(np.maximum(exceedance, 1e-300) / GUARD))
    good = usable & well_placed(exceedance)
    pool = np.where(good.any(axis=1, keepdims=True), good, usable)
    nearest = np.where(pool, far, np.inf).argmin(axis=1)
    return np.where(usable.any(axis=1), nearest, -1)


def well_placed(exceedance: Floats) -> BoolArray:
    """Return whether an edge tells a fault from a pod that is merely slower: 0.5 % to 20 % exceed it."""
    return np.asarray((exceedance >= GUARD_LEAST) & (exceedance <= GUARD_MOST))


def tolerated_ratio(slope: Floats, shift: float, exceedance: float) -> Floats:
    """Return the ratio that an ordinary edge may reach: a tolerated shift must not abort by way of a steep edge."""
    return np.maximum(exceedance, np.minimum(shift**slope, STEEP_LIMIT))


def pod_atoms(nu: Floats) -> Floats:
    """
    Return Student's law of the pods' effect as weights of the engine's standard deviations.

    Parameters
    ----------
    nu : (...,) float64
        Degrees of freedom of the pods' variance.

    Returns
    -------
    (..., 7) float64
        Law of ``sqrt(nu/chi^2_nu)`` on the atoms over 0.10; the pod factor then carries the variance over 0.01.
    """
    rungs = np.sqrt(POD_SDS[:-1] * POD_SDS[1:]) / UNIT
    kinds, which = np.unique(nu, return_inverse=True)  # they hardly change from look to look
    kinds = kinds[:, None]
    below = gammaincc(kinds / 2, kinds / (2 * rungs**2))  # chi^2 above nu/s^2 is a scale below s
    edge = np.ones((len(kinds), 1))
    return np.asarray(np.diff(below, axis=-1, prepend=0 * edge, append=edge)[which.reshape(np.shape(nu))])


def held(factor: Floats) -> Floats:
    """Return, (N, K), a pod factor that moves only by 2 % or more: the engine then rebuilds its belief seldom."""
    found = factor.copy()
    for row in found:
        start = 0
        while start < len(row):
            kept = row[start]
            moved = np.abs(row[start:] - kept) > HELD * kept
            end = start + int(moved.argmax()) if moved.any() else len(row)
            row[start:end] = kept
            start = end
    return found


def both_nulls(looks: Looks, tolerated: Null) -> Floats:
    """Return log E_warn and, below it, log E_tol of every row, (2N, K)."""
    rows = looks.used.shape[0]
    ratio, slack = np.empty(2 * rows), np.empty(2 * rows)
    ratio[:rows], slack[:rows] = 1.0, 0.0
    ratio[rows:], slack[rows:] = tolerated.ratio, tolerated.slack
    return abort_evidence(looks, Null(ratio=ratio, slack=slack), times=2)[0]
