"""Invented services, many releases at once: pods that differ, errors in clumps, ramps, drift, hidden pods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from analysis.compare.arms import Arms, History
from analysis.compare.counts import CountsData
from analysis.grid import Floats
from analysis.noise import FEWEST_LOOKS, fit, learn, looks_that_count
from analysis.types import BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """
    One service and one kind of release.

    Parameters
    ----------
    rps : float
        Requests per second of both sides together.
    share : float
        Stable's bad share at the start; it drifts to ``share * drift`` over the run, in a straight line.
    ratio : tuple of float
        The canary's ratio in equal parts of the run; with ``rising`` a straight line from the first to the last.
    extra : float
        Added to the canary's bad share: the slack at the margin.
    weights, canary_pods : tuple
        In equal parts of the run.
    stable_pods : int
    sd : float
        Standard deviation of log rates between pods.
    law : str
        ``lognormal`` or ``gamma``.
    clump : float
        Mean of a geometric number of events at once; 1 for independent ones.
    looks, seconds, history : int, float, int
        Looks of the run, their length, looks of stable before it (0: none).
    visible : bool
    """

    rps: float = 200.0
    share: float = 0.01
    drift: float = 1.0
    ratio: tuple[float, ...] = (1.0,)
    rising: bool = False
    extra: float = 0.0
    weights: tuple[float, ...] = (0.05,)
    canary_pods: tuple[int, ...] = (1,)
    stable_pods: int = 19
    sd: float = 0.0
    law: str = "lognormal"
    clump: float = 1.0
    looks: int = 240
    seconds: float = 15.0
    history: int = 60
    visible: bool = True

    def over_looks(self, parts: tuple[float, ...] | tuple[int, ...]) -> Floats:
        """Return a value per look from equal parts of the run."""
        return np.asarray(parts, dtype=np.float64)[np.arange(self.looks) * len(parts) // self.looks]

    @property
    def ratios(self) -> Floats:
        """(K,) the canary's ratio at every look."""
        if self.rising:
            return np.linspace(self.ratio[0], self.ratio[-1], self.looks)
        return self.over_looks(self.ratio)

    @property
    def shares(self) -> Floats:
        """(K,) stable's bad share at every look."""
        return self.share * np.linspace(1.0, self.drift, self.looks)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """Counts of N releases: (N, R, K) of both sides and (N, R_s, H) of stable before."""

    service: Service
    canary_bad: Floats
    canary_total: Floats
    baseline_bad: Floats
    baseline_total: Floats
    earlier_bad: Floats
    earlier_total: Floats

    @property
    def ends(self) -> Floats:
        """(K,) unix time of the looks' ends."""
        looks = np.arange(1, self.service.looks + 1, dtype=np.float64)
        return 1_700_000_000.0 + self.service.seconds * looks

    def arms(self, rows: BoolArray) -> Iterator[tuple[BoolArray, Arms]]:
        """Yield the releases whose history could be learned from and those whose could not, as batches."""
        looks = looks_that_count(self.earlier_bad, self.earlier_total, self.service.visible)
        for learned in (True, False):
            chosen = rows & ((looks >= FEWEST_LOOKS) == learned)
            if chosen.any():
                yield chosen, self._batch(chosen, learned)

    def _batch(self, chosen: BoolArray, learned: bool) -> Arms:
        bad, total = self.earlier_bad[chosen], self.earlier_total[chosen]
        served = int((total[0].sum(axis=0) > 0).sum()) if total.shape[2] else 0
        history = History(looks=served)
        if served >= FEWEST_LOOKS:
            seconds = served * self.service.seconds
            rate = total.sum(axis=(1, 2)) / seconds
            share = (bad.sum(axis=(1, 2)) + 0.5) / (total.sum(axis=(1, 2)) + 1)
            history = replace(history, traffic=(rate, share))
        if learned:
            history = replace(history, learned=fit(bad, total, self.service.visible))
        elif served:
            history = replace(history, bad=bad, total=total)
        return Arms(
            canary_bad=self.canary_bad[chosen],
            canary_total=self.canary_total[chosen],
            baseline_bad=self.baseline_bad[chosen],
            baseline_total=self.baseline_total[chosen],
            left_out=np.zeros((int(chosen.sum()), self.service.looks), dtype=bool),
            seconds=np.full(self.service.looks, self.service.seconds),
            visible=self.service.visible,
            history=history,
        )

    def release(self, row: int) -> CountsData:
        """Return one release as the judge gets it."""
        bad, total = self.earlier_bad[row], self.earlier_total[row]
        before = np.full(bad.shape[1], self.service.seconds)
        noise = learn(bad, total, before, self.service.visible) if bad.shape[1] else None
        short = noise is not None and noise.source == "prior"
        return CountsData(
            canary_bad=self.canary_bad[row],
            canary_total=self.canary_total[row],
            baseline_bad=self.baseline_bad[row],
            baseline_total=self.baseline_total[row],
            left_out=np.zeros(self.service.looks, dtype=bool),
            ends=self.ends,
            seconds=np.full(self.service.looks, self.service.seconds),
            visible=self.service.visible,
            history=noise,
            earlier_bad=bad if short else None,
            earlier_total=total if short else None,
        )


def draw(service: Service, releases: int, rng: np.random.Generator) -> Drawn:
    """Return ``releases`` independent releases of a service."""
    weight = service.over_looks(service.weights)
    pods = service.over_looks(service.canary_pods)
    most = int(max(service.canary_pods))
    active = np.arange(most)[:, None] < pods
    per_look = service.rps * service.seconds
    canary = whole_requests(np.where(active, per_look * weight / pods, 0.0))
    stable = whole_requests(np.tile(per_look * (1 - weight) / service.stable_pods, (service.stable_pods, 1)))
    before = whole_requests(np.full((service.stable_pods, service.history), per_look / service.stable_pods))
    level_c = levels(service, releases, most, rng)
    level_s = levels(service, releases, service.stable_pods, rng)
    canary_share = service.shares * service.ratios + service.extra
    arms = [
        events(level_c * canary_share, canary, service.clump, rng),
        events(level_s * service.shares, stable, service.clump, rng),
        events(
            np.broadcast_to(level_s * service.share, (*level_s.shape[:2], service.history)), before, service.clump, rng
        ),
    ]
    if not service.visible:
        arms = [(bad.sum(axis=1, keepdims=True), total.sum(axis=1, keepdims=True)) for bad, total in arms]
    (c_bad, c_total), (s_bad, s_total), (h_bad, h_total) = arms
    return Drawn(
        service=service,
        canary_bad=c_bad,
        canary_total=c_total,
        baseline_bad=s_bad,
        baseline_total=s_total,
        earlier_bad=h_bad,
        earlier_total=h_total,
    )


def whole_requests(requests: Floats) -> Floats:
    """Return whole requests per replica and look with these means; replicas round at different looks."""
    phase = (np.arange(requests.shape[0]) / requests.shape[0])[:, None]
    sums = np.floor(np.cumsum(requests, axis=1) + phase)
    return np.diff(sums, axis=1, prepend=np.floor(phase))


def levels(service: Service, releases: int, pods: int, rng: np.random.Generator) -> Floats:
    """Return each pod's own rate over the service's, (N, R, 1)."""
    shape = (releases, pods, 1)
    if service.sd == 0:
        return np.ones(shape)
    if service.law == "gamma":
        return rng.gamma(1 / service.sd**2, service.sd**2, shape)
    return np.exp(rng.normal(0.0, service.sd, shape))


def events(share: Floats, requests: Floats, clump: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return bad events and requests, (N, R, K); a clump larger than its look brings its own requests."""
    total = np.broadcast_to(requests, np.broadcast_shapes(share.shape, (1, *requests.shape)))
    if clump == 1:
        bad = rng.binomial(total.astype(np.int64), np.minimum(share, 1.0))
    else:
        bad = rng.poisson(total * share / clump)
        some = bad > 0
        bad[some] += rng.negative_binomial(bad[some], 1 / clump)
    return bad.astype(np.float64), np.maximum(total, bad).astype(np.float64)
