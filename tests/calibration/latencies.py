"""
Invented latencies, many releases at once, and what the kind ``latency`` makes of them.

Lognormal requests (median 100 ms, sigma 0.6) in the default buckets of Prometheus, one canary pod, an equal share,
72 looks of 50 s, noise from 60 looks before; pods may differ, wobble, clump, and share slow requests unequally.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from analysis.compare.counts import demanded
from analysis.compare.latency import LatencyData
from analysis.compare.latency_arms import LatencyArms, prepare
from analysis.compare.latency_noise import learn
from analysis.compare.latency_parts import LatencyQuestion, abort_parts
from analysis.compare.latency_promotes import promote_parts
from analysis.grid import Floats
from tests.calibration.measures import ALPHAS

PROMETHEUS: Final[Floats] = np.array([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
NATIVE: Final[Floats] = 2.0 ** (np.arange(-40, 33) / 8)
MEDIAN, SIGMA, SLOWER = 0.1, 0.6, 10.0
CHUNK = 100
QUESTION = LatencyQuestion()


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """
    One service and one kind of release.

    Parameters
    ----------
    rps : float
        Requests per second of both sides together.
    stable_pods, canary_pods : int
        All pods serve alike.
    sd : float
        Standard deviation of ln latency between pods.
    wobble : float
        Standard deviation of a slow wander of each pod (AR .8 from look to look).
    clump : float
        Requests that come at once and take equally long.
    slow, slow_sd : float
        Stable share of requests that take ten times as long; its spread between pods (logs).
    shift, extra : float
        What the canary does: times slower, and the share of its requests ten times slower.
    since : int
        First look in which it does so.
    load : float
        Requests of a canary pod over those of a stable one.
    looks, history, seconds : int, int, float
    edges : tuple of float
    """

    rps: float = 200.0
    stable_pods: int = 19
    canary_pods: int = 1
    sd: float = 0.0
    wobble: float = 0.0
    clump: float = 1.0
    slow: float = 0.0
    slow_sd: float = 0.0
    shift: float = 1.0
    extra: float = 0.0
    since: int = 0
    load: float = 1.0
    looks: int = 72
    history: int = 60
    seconds: float = 50.0
    edges: tuple[float, ...] = tuple(PROMETHEUS)
    visible: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """Histograms of N releases: (N, R, looks, B) of both sides and of stable before."""

    service: Latencies
    canary: Floats
    baseline: Floats
    earlier: Floats

    def arms(self) -> LatencyArms:
        """Return the releases as one batch."""
        service, edges = self.service, np.array(self.service.edges)
        seconds = np.full(service.looks, service.seconds)
        before = np.full(service.history, service.seconds)
        noise = learn(self.earlier, edges, before, service.visible) if service.history else None
        enough = noise is not None and bool((noise.tail_known & (noise.score_known | (not service.visible))).all())
        return LatencyArms(
            canary=self.canary,
            baseline=self.baseline,
            edges=edges,
            left_out=np.zeros((len(self.canary), service.looks), dtype=bool),
            seconds=seconds,
            slo=np.zeros(0, dtype=np.int64),
            visible=service.visible,
            noise=noise,
            earlier=None if enough or not service.history else self.earlier,
        )

    def release(self, row: int) -> LatencyData:
        """Return one release as the judge gets it."""
        service, arms = self.service, self.arms()
        one = slice(row, row + 1)
        before = np.full(service.history, service.seconds)
        return LatencyData(
            baseline=self.baseline[row],
            canary=self.canary[row],
            edges=arms.edges,
            left_out=arms.left_out[row],
            ends=1_700_000_000.0 + np.cumsum(arms.seconds),
            seconds=arms.seconds,
            visible=service.visible,
            history=learn(self.earlier[one], arms.edges, before, service.visible) if service.history else None,
            earlier=None if arms.earlier is None else self.earlier[row],
        )


def draw(service: Latencies, releases: int, rng: np.random.Generator) -> Drawn:
    """Return ``releases`` independent releases of a service."""
    stable, canary = (releases, service.stable_pods), (releases, service.canary_pods)
    pods = service.stable_pods + service.load * service.canary_pods
    level = {side: rng.normal(0.0, service.sd, (*shape, 1)) for side, shape in (("s", stable), ("c", canary))}
    slow = {
        side: np.exp(rng.normal(0.0, service.slow_sd, (*shape, 1))) for side, shape in (("s", stable), ("c", canary))
    }
    span = service.history + service.looks
    wander_s = level["s"] + _wander(service, (*stable, span), rng)
    wander_c = level["c"] + _wander(service, (*canary, service.looks), rng)
    fault = np.arange(service.looks) >= service.since
    wander_c += np.where(fault, np.log(service.shift), 0.0)
    slow_c = service.slow * slow["c"] + np.where(fault, service.extra, 0.0)
    per_pod = service.rps / pods
    counts = [
        _requests(service, wander_c, slow_c, service.load * per_pod, rng),
        _requests(service, wander_s[..., service.history :], service.slow * slow["s"], per_pod, rng),
        _requests(service, wander_s[..., : service.history], service.slow * slow["s"], service.rps / stable[1], rng),
    ]
    if not service.visible:
        counts = [found.sum(axis=1, keepdims=True) for found in counts]
    return Drawn(service=service, canary=counts[0], baseline=counts[1], earlier=counts[2])


def _wander(service: Latencies, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    if not service.wobble:
        return np.zeros(shape)
    steps = rng.normal(0.0, service.wobble * np.sqrt(1 - 0.8**2), shape)
    steps[..., 0] = rng.normal(0.0, service.wobble, shape[:-1])
    for k in range(1, shape[-1]):
        steps[..., k] += 0.8 * steps[..., k - 1]
    return steps


def _requests(service: Latencies, level: Floats, slow: Floats, per_pod: float, rng: np.random.Generator) -> Floats:
    """Return requests per bucket, (N, R, K, B): Poisson numbers of clumps."""
    marks = np.log(np.array(service.edges) / MEDIAN)
    usual = ndtr((marks - level[..., None]) / SIGMA)
    late = ndtr((marks - np.log(SLOWER) - level[..., None]) / SIGMA)
    below = usual + slow[..., None] * (late - usual)
    ends = np.zeros((*below.shape[:-1], 1))
    share = np.diff(below, axis=-1, prepend=ends, append=ends + 1)
    mean = np.maximum(share, 0.0) * per_pod * service.seconds / service.clump
    return rng.poisson(mean) * service.clump


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Runs:
    """Curves of N releases, (N, K): log E_warn, E_tol, A*, P."""

    warn: Floats
    tolerated: Floats
    abort: Floats
    promote: Floats


def judged(drawn: Drawn, question: LatencyQuestion = QUESTION) -> Runs:
    """Put drawn releases through every test."""
    prepared = prepare(drawn.arms())
    found = abort_parts(prepared, question)
    return Runs(
        warn=found.warn,
        tolerated=found.tolerated,
        abort=demanded(found.warn, found.tolerated, ALPHAS),
        promote=promote_parts(prepared, question, found).promote,
    )


def run(service: Latencies, releases: int, seed: int, tick: Callable[[int], object] = lambda _: None) -> Runs:
    """Draw releases and put them through the tests, a chunk at a time."""
    parts = []
    for first in range(0, releases, CHUNK):
        count = min(CHUNK, releases - first)
        parts.append(judged(draw(service, count, np.random.default_rng([seed, first]))))
        tick(count)
    return Runs(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in Runs.__slots__})


def reached(curve: Floats, alpha: float) -> NDArray[np.bool_]:
    """Return, (N,), whether a curve ever reached 1/alpha."""
    return np.asarray(curve.max(axis=1) >= -np.log(alpha))


def seconds_until(curve: Floats, alpha: float, service: Latencies) -> float:
    """Return the median time until a curve reaches 1/alpha, of the releases in which it does; infinite if in none."""
    hit = curve >= -np.log(alpha)
    rows = hit.any(axis=1)
    return float(np.median(hit[rows].argmax(axis=1) + 1) * service.seconds) if rows.any() else np.inf
