"""Before and after of other kinds than errors: typical requests of native histograms, events over the time of pods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtr

from analysis.compare.scores import midpoints
from analysis.drift import Kind, counting_variance, learn, log_rate_ratio, weigh
from analysis.grid import Floats
from tests.calibration.drifts import AFTER, EVERY, MINUTES, START, SWINGS, DriftCell
from tests.calibration.gauges import walks

SIGMA: Final = 0.6
"""Of the logarithm of a latency."""
SHIFT: Final = 1.25
RATE: Final = 1.5


def levels(shape: tuple[int, int], swing: float, wobble: float, rng: np.random.Generator) -> Floats:
    """Return how a log level moves, (N, 1 + K, 180): by the hour, whose phase jitters, by the day, and by itself."""
    minute = START - MINUTES + np.arange(MINUTES + AFTER)
    jitter = 20 * rng.standard_normal((*shape, 1))
    by_day = 0.3 * swing * rng.standard_normal((*shape, 1))
    wander = wobble * walks(rng, (*shape, MINUTES + AFTER), float(np.exp(-1 / 30)))
    return np.asarray(swing * np.sin(2 * np.pi * (minute - START + jitter) / 1440) + by_day + wander)


def warned(part: Floats, whole: Floats, kind: Kind, ratio: float) -> Floats:
    """Return log E_warn of N releases at every look, (N, 24): the release's day first, then earlier ones."""
    before = part[..., :MINUTES].sum(axis=-1), whole[..., :MINUTES].sum(axis=-1)
    warn = []
    for minutes in range(EVERY, AFTER + 1, EVERY):
        window = slice(MINUTES, MINUTES + minutes)
        after = part[..., window].sum(axis=-1), whole[..., window].sum(axis=-1)
        if kind == "rate":
            moves = log_rate_ratio(after[0], after[1], before[0], before[1])
            counting = counting_variance(after[0][:, 0], before[0][:, 0])
        else:
            moves = after[0] / after[1] - before[0] / before[1]
            counting = np.zeros(len(moves))
        warn.append(weigh(moves[:, 0], learn(moves[:, 1:], counting, kind), ratio, kind).warn)
    return np.stack(warn, axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """
    Events over the time of pods: restarts, where pods come and go with the load.

    Parameters
    ----------
    per_minute : float
        Events a minute of ten pods together.
    swing, wobble : float
        Of the log rate of a pod, which follows the day half as far as the number of pods does.
    days : int
    ratio : float
        What the release does to the rate.
    """

    per_minute: float = 2.0
    swing: float = 0.5
    wobble: float = 0.1
    days: int = 7
    ratio: float = 1.0

    def warn(self, releases: int, rng: np.random.Generator) -> Floats:
        """Return log E_warn at every look, (N, 24)."""
        load = levels((releases, 1 + self.days), self.swing, self.wobble, rng)
        pods = np.maximum(1.0, np.round(10 * np.exp(load)))
        rate = self.per_minute / 10 * pods * np.exp(load / 2)
        rate[:, 0, MINUTES:] *= self.ratio
        return warned(rng.poisson(rate).astype(np.float64), pods * 60.0, "rate", RATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Typical:
    """
    The typical request of a native histogram, whose buckets end at powers of ``2 ** 2**-schema``.

    Parameters
    ----------
    schema : int
        0: each bound is twice the one before it, the coarsest that is in use.
    per_minute : float
        Requests.
    swing, wobble : float
        Of the log of the median.
    days : int
    ratio : float
        How much slower the release is.
    """

    schema: int = 0
    per_minute: float = 3000.0
    swing: float = 0.2
    wobble: float = 0.05
    days: int = 7
    ratio: float = 1.0

    def warn(self, releases: int, rng: np.random.Generator) -> Floats:
        """Return log E_warn at every look, (N, 24)."""
        level = np.log(0.1) + levels((releases, 1 + self.days), self.swing, self.wobble, rng)
        level[:, 0, MINUTES:] += np.log(self.ratio)
        mean, sd = self._read(level)
        mean = mean + sd / np.sqrt(self.per_minute) * rng.standard_normal(mean.shape)
        return warned(mean * self.per_minute, np.full(mean.shape, self.per_minute), "level", SHIFT)

    def _read(self, level: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of the log latencies as the buckets show them."""
        edges = 2.0 ** (np.arange(-9 * 2**self.schema, 6 * 2**self.schema + 1) * 2.0**-self.schema)
        middle = midpoints(edges)
        grid = np.linspace(level.min(), level.max(), 400)
        upto = ndtr((np.log(edges)[None, :] - grid[:, None]) / SIGMA)
        shares = np.diff(upto, axis=1, prepend=0.0, append=1.0)
        mean = shares @ middle
        sd = np.sqrt(np.maximum(shares @ middle**2 - mean**2, 0.0))
        return np.interp(level, grid, mean), np.interp(level, grid, sd)


CEILINGS: Final = {0: 0.001, 3: 0.001, 7: 0.003, 14: 0.003}
MEDIANS: Final = tuple((swing, wobble) for swing in (0.1, 0.25) for wobble in (0.03, 0.1))
DRIFT_KIND_CELLS: Final = (
    *(
        DriftCell(
            table="D3",
            name=f"{days} earlier days, {per_minute:g} events a minute of ten pods, worst swing and wobble",
            kinds=tuple(Lives(days=days, per_minute=per_minute, swing=s, wobble=w) for s, w in SWINGS),
            levels={"false": level},
        )
        for days, level in CEILINGS.items()
        for per_minute in (0.05, 2.0)
    ),
    *(
        DriftCell(
            table="D4",
            name=f"{days} earlier days, schema {schema}, worst swing and wobble",
            kinds=tuple(Typical(days=days, schema=schema, swing=s, wobble=w) for s, w in MEDIANS),
            levels={"false": level},
        )
        for days, level in CEILINGS.items()
        for schema in (0, 3)
    ),
)
