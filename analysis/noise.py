"""
Noise of the stable side: how clumped events come, and how far pods differ from each other.

Both are learned from the stable replicas before the release, else from the run so far, strictly before the
look that is judged; what cannot be learned falls back to a prior and is flagged. The arrays have shape
``(..., R, K)``: R replicas, K looks, any leading axes; NaN is missing and counts as "did not exist".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import gammaln

from analysis.errors import InvalidInput
from analysis.grid import POD_PRIOR, POD_SDS, Floats
from analysis.resumed import Recalled

PRIOR_DISPERSION: Final = 2.0
PRIOR_INFORMATION: Final = 20.0
FEWEST_LOOKS: Final = 8
DISAGREEMENT: Final = 2.0  # a run this much more dispersed than its history overrules it

Source = Literal["history", "run", "prior"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """
    What is known of the stable side, small enough to be stored with a record.

    Parameters
    ----------
    phi : float
        Dispersion, >= 1: variance over that of independent events.
    pod_weights : tuple of 7 floats
        Weight of each standard deviation in `analysis.grid.POD_SDS`.
    looks : int
        Looks in which stable had traffic.
    counted : int
        Looks that say something of the noise: bad events, and two replicas (if hidden, both looks of a pair)
        with traffic.
    bad_share : float
        ``(x + 1/2)/(n + 1)`` of stable, in (0, 1); of another exposure than requests ``(x + 1/2)/n``, > 0.
    requests_per_second : float
        Of stable; before a release that is the whole service. 0 without traffic.
    source : {"history", "run", "prior"}
        Where ``phi`` and ``pod_weights`` come from.
    replicas : int
        Stable replicas that had traffic.
    visible : bool
        Whether replicas could be told apart.
    flags : tuple of str
        ``noise: prior``, ``pods: unknown``, ``one stable pod``, ``dispersion: run``.
    """

    phi: float
    pod_weights: tuple[float, ...]
    looks: int
    counted: int
    bad_share: float
    requests_per_second: float
    source: Source
    replicas: int
    visible: bool
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (np.isfinite(self.phi) and self.phi >= 1):
            raise InvalidInput(f"dispersion must be at least 1, got {self.phi!r}", "/noise/phi")
        if len(self.pod_weights) != len(POD_SDS) or not abs(sum(self.pod_weights) - 1) < 1e-6:
            raise InvalidInput(f"must be {len(POD_SDS)} weights that sum to 1", "/noise/pod_weights")
        if not (np.isfinite(self.bad_share) and self.bad_share > 0):
            raise InvalidInput(f"must be positive, got {self.bad_share!r}", "/noise/bad_share")

    @property
    def pod_sd(self) -> float:
        """Typical difference of pods: root mean square of the standard deviation of log rates."""
        return float(np.sqrt(np.dot(self.pod_weights, POD_SDS**2)))


def clean(bad: Floats, total: Floats) -> tuple[Floats, Floats]:
    """Return both arrays with incomplete points as "no traffic": a missing error counter is not health."""
    known = np.isfinite(bad) & np.isfinite(total) & (total > 0)
    return np.where(known, bad, 0.0), np.where(known, total, 0.0)


def looks_that_count(bad: Floats, total: Floats, visible: bool = True) -> Floats:
    """Return, (...,), how many looks tell of the noise; one stable replica is judged like hidden ones."""
    bad, total = clean(bad, total)
    pods = _pods_with_traffic(total)
    between = ((bad.sum(axis=-2) > 0) & ((total > 0).sum(axis=-2) >= 2)).sum(axis=-1)
    _, expected, _ = _pairs(bad.sum(axis=-2), total.sum(axis=-2))
    neighbours = 2.0 * (expected > 0).sum(axis=-1)
    return np.asarray(np.where(visible & (pods >= 2), between, neighbours), dtype=np.float64)


def _pods_with_traffic(total: Floats) -> Floats:
    return np.asarray((total.sum(axis=-1) > 0).sum(axis=-1), dtype=np.float64)


def dispersion(bad: Floats, total: Floats) -> Floats:
    """
    Return how much wider than independent events the replicas scatter inside looks.

    Parameters
    ----------
    bad, total : (..., R, K) float64
        Events and requests of every stable replica in every look.

    Returns
    -------
    (...,) float64
        phi >= 1; 2 where no look has events. Expectations are per look, so drift, deploys and autoscaling
        inside the window need no special case.
    """
    bad, total = clean(bad, total)
    counts = (bad.sum(axis=-2) > 0) & ((total > 0).sum(axis=-2) >= 2)
    bad = np.where(counts[..., None, :], bad, 0.0)
    total = np.where(counts[..., None, :], total, 0.0)
    events = bad.sum(axis=-2)
    expected = _expected(bad, total)
    level = (bad.sum(axis=-1) + 0.5) / (expected.sum(axis=-1) + 0.5)
    tilted = level[..., None] * total
    share = tilted / np.maximum(tilted.sum(axis=-2, keepdims=True), 1e-300)
    squares = ((bad - events[..., None, :] * share) ** 2).sum(axis=-2)
    spread = (events[..., None, :] * share * (1 - share)).sum(axis=-2)
    return _shrunk(squares, spread)


def neighbour_dispersion(bad: Floats, total: Floats) -> Floats:
    """
    Return the dispersion of one series from neighbouring looks, for replicas that cannot be told apart.

    Parameters
    ----------
    bad, total : (..., K) float64
        Events and requests of all replicas together; looks 2i-1 and 2i make a pair.

    Returns
    -------
    (...,) float64
        phi >= 1; drift of the base rate only makes it larger.
    """
    squares, spread, _ = _pairs(*clean(bad, total))
    return _shrunk(squares, spread)


def _pairs(bad: Floats, total: Floats) -> tuple[Floats, Floats, Floats]:
    """Return squared deviation and its expectation of each pair, and the pairs' events."""
    end = total.shape[-1] // 2 * 2
    a, b = bad[..., 0:end:2], bad[..., 1:end:2]
    first, second = total[..., 0:end:2], total[..., 1:end:2]
    whole = (first > 0) & (second > 0)
    events = np.where(whole, a + b, 0.0)
    share = first / np.where(whole, first + second, 1.0)
    squares = np.where(whole, (a - events * share) ** 2, 0.0)
    return squares, events * share * (1 - share), events


def _shrunk(squares: Floats, spread: Floats) -> Floats:
    """Return ``max(1, (B (phi + se) + 40)/(B + 20))``, phi = sum(A)/B K/(K-1), over the last axis."""
    counted = (spread > 0).sum(axis=-1)
    information = spread.sum(axis=-1)
    safe = np.maximum(information, 1e-300)
    plain = np.where(information > 0, squares.sum(axis=-1) / safe, 0.0)
    scatter = np.sqrt(((squares - spread * plain[..., None]) ** 2).sum(axis=-1)) / safe
    many = counted >= 2
    phi = np.where(many, plain * counted / np.maximum(counted - 1, 1), plain)
    error = np.where(many, scatter, phi)
    prior = PRIOR_INFORMATION * PRIOR_DISPERSION
    shrunk = (information * (phi + error) + prior) / (information + PRIOR_INFORMATION)
    return np.asarray(np.maximum(1.0, shrunk))


def _expected(bad: Floats, total: Floats) -> Floats:
    """Return each replica's share of a look's events by its requests."""
    requests = total.sum(axis=-2, keepdims=True)
    events = bad.sum(axis=-2, keepdims=True)
    return np.asarray(events * total / np.where(requests > 0, requests, 1.0))


def pod_weights(bad: Floats, total: Floats, phi: Floats) -> Floats:
    """
    Return how credible each standard deviation between pods is.

    Parameters
    ----------
    bad, total : (..., R, K) float64
        Events and requests of every stable replica in every look.
    phi : (...,) float64
        Dispersion of the same data.

    Returns
    -------
    (..., 7) float64
        Posterior of the atoms in `POD_SDS` under a gamma-Poisson law; the prior where fewer than two replicas
        had traffic. One formula from no history (the prior) to many pods.
    """
    bad, total = clean(bad, total)
    counts = (bad.sum(axis=-2) > 0) & ((total > 0).sum(axis=-2) >= 2)
    bad = np.where(counts[..., None, :], bad, 0.0)
    total = np.where(counts[..., None, :], total, 0.0)
    expected = _expected(bad, total).sum(axis=-1)
    pods = (total.sum(axis=-1) > 0).sum(axis=-1)
    stretch = np.sqrt(pods / np.maximum(pods - 1, 1))
    found = np.maximum(0.0, expected + (bad.sum(axis=-1) - expected) * stretch[..., None]) / phi[..., None]
    mean = (expected / phi[..., None])[..., None]
    kappa = 1 / POD_SDS**2
    log_lik = (
        gammaln(found[..., None] + kappa)
        - gammaln(kappa)
        - kappa * np.log1p(mean / kappa)
        + found[..., None] * np.log(np.where(mean > 0, mean, 1.0) / (kappa + mean))
    )
    log_lik = np.where(mean > 0, log_lik, 0.0).sum(axis=-2)
    weights = POD_PRIOR * np.exp(log_lik - log_lik.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.where((pods >= 2)[..., None], weights, POD_PRIOR)


def fit(bad: Floats, total: Floats, visible: bool) -> tuple[Floats, Floats]:
    """
    Return dispersion (...,) and pod weights (..., 7) of stable data, whatever can be seen of it.

    Hidden replicas and a single one give the dispersion of neighbouring looks and the prior of the pods.
    """
    bad, total = clean(bad, total)
    neighbours = neighbour_dispersion(bad.sum(axis=-2), total.sum(axis=-2))
    if not visible:
        return neighbours, np.broadcast_to(POD_PRIOR, (*neighbours.shape, len(POD_SDS)))
    phi = np.where(_pods_with_traffic(total) >= 2, dispersion(bad, total), neighbours)
    return phi, pod_weights(bad, total, phi)


def fit_once(bad: Floats, total: Floats, visible: bool) -> tuple[Floats, Floats]:
    """Return `fit`; of one release, from memory where the same looks were asked for before."""
    if len(bad) > 1:
        return fit(bad, total, visible)
    return FITS.value(repr(visible).encode(), (bad, total), lambda: fit(bad, total, visible))


FITS: Final[Recalled[tuple[Floats, Floats]]] = Recalled(512)


def learn(bad: Floats, total: Floats, seconds: Floats, visible: bool, *, shares: bool = True) -> Noise:
    """
    Return the noise of stable history, for one question of one release.

    Parameters
    ----------
    bad, total : (R, K) float64
        Events and requests of every stable replica in every look before the release; NaN is missing. Looks in
        which two versions served as stable, or that are left out, are NaN for all.
    seconds : (K,) float64
        Length of each look.
    visible : bool
        Whether the rows are replicas; if not there is one row.
    shares : bool, default True
        Whether ``total`` are requests; False: an exposure in any unit.

    Returns
    -------
    Noise
        With source ``"prior"`` and its flag where fewer than 8 looks count; its figures are then what little
        data says, and the run goes on learning.

    Raises
    ------
    InvalidInput
        If the shapes do not agree.
    """
    if bad.shape != total.shape or bad.ndim != 2 or seconds.shape != (bad.shape[1],):
        raise InvalidInput(
            f"history needs equal (replicas, looks) arrays, got {bad.shape}, {total.shape}, {seconds.shape}"
        )
    bad, total = clean(bad, total)
    phi, weights = fit(bad, total, visible)
    served = total.sum(axis=0) > 0
    counted = int(looks_that_count(bad, total, visible))
    replicas = int(_pods_with_traffic(total))
    span = float(seconds[served].sum())
    flags = [] if counted >= FEWEST_LOOKS else ["noise: prior"]
    flags += [] if visible else ["pods: unknown"]
    flags += ["one stable pod"] if visible and replicas == 1 else []
    return Noise(
        phi=float(phi),
        pod_weights=tuple(float(w) for w in weights),
        looks=int(served.sum()),
        counted=counted,
        bad_share=float((bad.sum() + 0.5) / (total.sum() + shares)) if total.sum() > 0 else 0.5,
        requests_per_second=float(total.sum() / span) if span > 0 else 0.0,
        source="history" if counted >= FEWEST_LOOKS else "prior",
        replicas=replicas,
        visible=visible,
        flags=tuple(flags),
    )
