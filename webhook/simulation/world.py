"""
An invented service: its pods, their traffic and errors, look by look, from generators that are seeded per purpose.

Each release draws from streams of its own, one for each weight step and purpose, in the order of looks. So it sees the
same events however many looks are drawn at a time, and whoever plays it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from scipy.special import ndtr

from analysis.errors import InvalidInput
from analysis.policy import Gauge, Latency, Limits, Policy, Proportion, Quantile, Question, Rate
from analysis.types import Direction, FloatArray, NoData
from webhook.placebo.trial import named

START: Final = 1_700_006_400.0
"""When every invented release begins, unix seconds: a multiple of a day, so of every usual look."""
EDGES: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bucket bounds of durations in seconds: what client libraries use by default."""
LATENCY_SPREAD: Final = 0.6
"""Standard deviation of the logarithm of durations."""
LEVEL_SPREAD: Final = 0.05
LEVEL_MEMORY: Final = 0.5
"""Of a gauge: standard deviation of one value, and how much of it stays until the next look."""
BEFORE: Final = 10_000
"""Stands for the step before all steps: the stable history."""
KINDS: Final = (Proportion, Rate, Latency, Gauge, Quantile)
MOST_LOOKS: Final = 256
"""Looks before a record's looks begin to lengthen: a simulation ends before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """
    A service and how its releases go.

    Parameters
    ----------
    rps : float
        Requests per second of the whole service, > 0.
    share : float
        Bad share of the stable version, in (0, 1).
    weights : tuple of float
        Steps in (0, 1), rising; after the last comes all traffic.
    pods : int
        Stable replicas, >= 1; canary replicas are as many of them as the weight says, at least one.
    canary_pods : int or None
        That many canary replicas at every step instead.
    sd : float
        Replica effect: standard deviation of the logarithm of pods' own rates.
    dispersion : float
        Variance of errors over that of independent ones, >= 1.
    median : float
        Of durations, in seconds.
    look, duration, history : float
        Seconds of one look, until a release is given up, and of stable before it.
    seed : int
    """

    rps: float
    share: float = 0.01
    weights: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5)
    pods: int = 10
    canary_pods: int | None = None
    sd: float = 0.1
    dispersion: float = 1.0
    median: float = 0.1
    look: float = 60.0
    duration: float = 4 * 3600.0
    history: float = 4 * 3600.0
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "rps": self.rps > 0, "share": 0 < self.share < 1, "pods": self.pods >= 1, "sd": self.sd >= 0,
            "dispersion": self.dispersion >= 1, "median": self.median > 0, "look": self.look > 0,
            "canary_pods": self.canary_pods is None or self.canary_pods >= 1,
        }  # fmt: skip
        for name, fine in limits.items():
            if not (fine and math.isfinite(getattr(self, name) or 0)):
                raise InvalidInput(f"is out of its range: {getattr(self, name)!r}", f"/{name}")
        rising = all(a < b for a, b in zip(self.weights, self.weights[1:], strict=False))
        if not self.weights or not rising or not all(0 < weight < 1 for weight in self.weights):
            raise InvalidInput(f"must rise strictly between 0 and 1, got {list(self.weights)!r}", "/weights")
        if not 2 <= self.looks <= MOST_LOOKS:
            raise InvalidInput(f"must hold 2 to {MOST_LOOKS} looks of {self.look:g} s, got {self.looks}", "/duration")

    @property
    def looks(self) -> int:
        """Return how many looks a release may last."""
        return int(self.duration / self.look + 1e-9)

    @property
    def earlier(self) -> int:
        """Return how many looks of stable are read before a release: the one just before it is not."""
        return max(0, int(self.history / self.look + 1e-9) - 1)

    def next_weight(self, step: int) -> float:
        """Return the weight after a step."""
        return self.weights[step + 1] if step + 1 < len(self.weights) else 1.0

    def canaries(self, step: int) -> int:
        """Return how many canary replicas serve at a step."""
        return self.canary_pods or max(1, math.ceil(self.pods * self.weights[step] - 1e-9))

    @property
    def most_canaries(self) -> int:
        """Return how many canary replicas serve at the last step."""
        return max(self.canaries(step) for step in range(len(self.weights)))

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Return the replicas of both sides, in the order in which records have them."""
        return {
            "baseline": tuple(f"stable-{n:03}" for n in range(self.pods)),
            "canary": tuple(f"canary-{n:03}" for n in range(self.most_canaries)),
        }


@dataclass(slots=True, kw_only=True)
class Release:
    """
    One invented release.

    Parameters
    ----------
    world : World
    policy : Policy
        What is drawn: numbers of each of its questions.
    number : int
        Which of many: it seeds the streams.
    effect : float
        Harm of the canary: ratio of its bad share, of its durations, of its level; 1 is a healthy one.
    hit : str
        Name of the question that the harm is done to.
    """

    world: World
    policy: Policy
    number: int
    effect: float
    hit: str
    _streams: dict[tuple[int, str, str], np.random.Generator] = field(default_factory=dict, init=False)
    _levels: dict[tuple[str, str], FloatArray] = field(default_factory=dict, init=False)

    def requests(self, step: int, count: int) -> tuple[FloatArray, FloatArray]:
        """Return the requests of both sides in the next looks of a step: ``(count, R_s)`` and ``(count, R_c)``."""
        world = self.world
        whole = world.rps * world.look
        weight = 0.0 if step == BEFORE else world.weights[step]
        pods = 0 if step == BEFORE else world.canaries(step)
        stable = np.full((count, world.pods), whole * (1 - weight) / world.pods)
        canary = np.zeros((count, world.most_canaries))
        canary[:, :pods] = whole * weight / max(1, pods)
        return (
            self._stream(step, "", "stable").poisson(stable).astype(np.float64),
            self._stream(step, "", "canary").poisson(canary).astype(np.float64),
        )

    def bad(self, question: Question, step: int, side: str, total: FloatArray) -> FloatArray:
        """Return the bad events among ``total`` requests per look and replica, for a question that counts them."""
        world = self.world
        share = world.share * self._level(question, side, total.shape[1])
        if side == "canary":
            share = share * self._ratio(question)
        share = np.broadcast_to(np.minimum(share, 1.0), total.shape)
        stream = self._stream(step, question.name, side)
        if world.dispersion == 1:
            return stream.binomial(total.astype(np.int64), share).astype(np.float64)
        clump = (world.dispersion + 1) / 2  # mean of a geometric size whose sums have this variance over their mean
        found = stream.poisson(total * share / clump).astype(np.float64)
        more = found > 0
        found[more] += self._stream(step, question.name, f"{side} clumps").negative_binomial(found[more], 1 / clump)
        return np.minimum(found, total)

    def buckets(self, question: Latency, step: int, side: str, total: FloatArray) -> FloatArray:
        """Return counts per bucket of durations, ``(count, R, B)``, not cumulative, the last is +Inf."""
        scale = self.world.median * self._level(question, side, total.shape[1])
        if side == "canary":
            scale = scale * self._ratio(question)
        edges = np.array(edges_of(question)) / unit_of(question)
        below = ndtr((np.log(edges)[None, :] - np.log(scale)[:, None]) / LATENCY_SPREAD)
        chances = np.diff(below, axis=1, prepend=0.0, append=1.0)
        stream = self._stream(step, question.name, side)
        chances = np.clip(chances, 0.0, 1.0) / np.clip(chances, 0.0, 1.0).sum(axis=1, keepdims=True)
        drawn = stream.multinomial(total.astype(np.int64), np.broadcast_to(chances, (*total.shape, len(edges) + 1)))
        return np.asarray(drawn, dtype=np.float64)

    def levels(self, question: Question, step: int, side: str, total: FloatArray, last: FloatArray) -> FloatArray:
        """Return values of a gauge per look and replica; ``last`` are the deviations at the look before, in place."""
        base = self._level(question, side, total.shape[1]) * (self._ratio(question) if side == "canary" else 1.0)
        fresh = self._stream(step, question.name, side).normal(size=total.shape)
        values = np.empty(total.shape)
        for row, step_of in enumerate(fresh):
            last[:] = LEVEL_MEMORY * last + math.sqrt(1 - LEVEL_MEMORY**2) * LEVEL_SPREAD * step_of
            values[row] = base * np.exp(last)
        return values

    def _ratio(self, question: Question) -> float:
        if question.name != self.hit:
            return 1.0
        falls = getattr(question, "direction", Direction.INCREASE) is Direction.DECREASE
        return 1 / self.effect if falls else self.effect

    def _level(self, question: Question, side: str, pods: int) -> FloatArray:
        """Return each pod's own rate over the service's, ``(R,)``: the same in every look of a release."""
        key = question.name, side
        if key not in self._levels:
            drawn = self._stream(BEFORE, question.name, f"{side} pods").normal(0.0, 1.0, pods)
            self._levels[key] = np.exp(self.world.sd * drawn)
        return self._levels[key]

    def _stream(self, step: int, question: str, purpose: str) -> np.random.Generator:
        key = step, question, purpose
        if key not in self._streams:
            words = [self.world.seed, self.number, step, *f"{question}/{purpose}".encode()]
            self._streams[key] = np.random.default_rng(words)
        return self._streams[key]


def edges_of(question: Latency) -> tuple[float, ...]:
    """Return the bucket bounds that an invented histogram has, in its unit: the usual ones and those it names."""
    usual = {edge * unit_of(question) for edge in EDGES}
    return tuple(sorted({*usual, *question.slo_edges, *question.edges}))


def unit_of(question: Latency) -> float:
    """Return how many units of a histogram make a second."""
    return 1000.0 if question.unit == "ms" else 1.0


def playable(policy: Policy) -> tuple[Policy, tuple[str, ...]]:
    """
    Return the questions whose numbers can be invented, and one line for each that is left out.

    Raises
    ------
    InvalidInput
        None is left.
    """
    drawn = [q for q in policy.questions if isinstance(q, KINDS) and not _unreadable(q)]
    names = {question.name for question in drawn}
    limits = [q for q in policy.questions if isinstance(q, Limits) and named(q.group) <= names]
    kept = tuple(question for question in policy.questions if question in drawn or question in limits)
    lost = [q for q in policy.questions if q not in kept and not q.muted and not _passed_over(q)]
    if all(question.muted for question in drawn):
        raise InvalidInput("no question of this policy can be simulated", "/questions")
    told = tuple(f"{question.name}: numbers of kind {question.kind} cannot be invented" for question in lost)
    return replace(policy, questions=kept), told


def _passed_over(question: Question) -> bool:
    """Return whether a policy does without a question where nothing is known: pods that never die are not told of."""
    return question.no_data is NoData.IGNORE and not question.needed


def _unreadable(question: Question) -> bool:
    if isinstance(question, Rate):
        return question.exposure == "time" or question.events is None
    return isinstance(question, Latency) and question.histogram is None
