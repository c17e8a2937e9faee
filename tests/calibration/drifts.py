"""Before and after, without a baseline: services with a daily swing, and how often good releases look bad."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from analysis.drift import PRE_WINDOW, Drift, counting_variance, learn, log_rate_ratio, weigh
from analysis.grid import Floats
from tests.calibration.cells import Row, Tick
from tests.calibration.gauges import kept, walks
from tests.calibration.measures import allowed

MINUTES: Final = 60  # of the window before
AFTER: Final = 120
EVERY: Final = 5
HOUR: Final = 60.0
START: Final = 600.0  # minute of the day: the swing rises fastest there
CHUNK: Final = 250
RATIO: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """
    A service whose errors swing with the day, and one kind of release.

    Parameters
    ----------
    per_minute : float
        Errors a minute.
    swing : float
        The log rate swings by so much around its mean; the hour of it jitters by 20 minutes from day to day.
    wobble : float
        Standard deviation of the log rate with a correlation time of 30 minutes; whole days differ by 15 %.
    days : int
        Earlier days that are learned from.
    ratio : float
        What the release does to the rate.
    """

    per_minute: float = 50.0
    swing: float = 0.5
    wobble: float = 0.1
    days: int = 7
    ratio: float = 1.0

    def warn(self, releases: int, rng: np.random.Generator) -> Floats:
        """Return log E_warn at every look, (N, 24)."""
        return evidence(draw(self, releases, rng))[0]


class Served(Protocol):
    """A service before and after a release."""

    def warn(self, releases: int, rng: np.random.Generator) -> Floats:
        """Return log E_warn of so many releases at every look, (N, 24)."""
        ...


def draw(kind: Days, releases: int, rng: np.random.Generator) -> Floats:
    """Return errors per minute, (N, 1 + K, 180): the release's day first, each from an hour before the start."""
    shape = releases, 1 + kind.days
    minute = START - MINUTES + np.arange(MINUTES + AFTER)
    jitter = 20 * rng.standard_normal((*shape, 1))
    level = kind.swing * np.sin(2 * np.pi * (minute - START + jitter) / 1440) + 0.15 * rng.standard_normal((*shape, 1))
    level = level + kind.wobble * walks(rng, (*shape, MINUTES + AFTER), float(np.exp(-1 / 30)))
    rate = kind.per_minute * np.exp(level)
    rate[:, 0, MINUTES:] *= kind.ratio
    return rng.poisson(rate).astype(np.float64)


def evidence(errors: Floats) -> tuple[Floats, Floats]:
    """Return log E_warn and log P of N releases at every look, (N, 24) each."""
    before = errors[..., :MINUTES].sum(axis=-1)
    warn, promote = [], []
    for minutes in range(EVERY, AFTER + 1, EVERY):
        after = errors[..., MINUTES : MINUTES + minutes].sum(axis=-1)
        moves = log_rate_ratio(after, HOUR * minutes, before, PRE_WINDOW)
        known: Drift = learn(moves[:, 1:], counting_variance(after[:, 0], before[:, 0]))
        found = weigh(moves[:, 0], known, RATIO)
        warn.append(found.warn)
        promote.append(found.promote)
    return np.stack(warn, axis=1), np.stack(promote, axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftCell:
    """One kind of service: ``levels`` of false alarms (E_warn >= 100), ``shares`` of faults found within two hours."""

    table: str
    name: str
    kinds: tuple[Served, ...]
    levels: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    releases: int = 2000

    def measure(self, seeds: dict[str, int], tick: Tick) -> list[Row]:
        """Simulate the cell and return its rows, of several kinds the worst."""
        each = -(-self.releases // len(seeds))
        rows = []
        for kind in self.kinds:
            hits = np.concatenate([_alarms(kind, each, seed, tick) for seed in seeds.values()])
            count = int(hits.sum())
            for figure, level in self.levels.items():
                rows.append(self._row(figure, level, count / len(hits), allowed(count, len(hits), level)))
            for figure, share in self.shares.items():
                rows.append(self._row(figure, share, count / len(hits), kept(count, len(hits), share)))
        return [max(rows, key=lambda row: (not row.passed, row.reached if self.levels else -row.reached))]

    def _row(self, figure: str, target: float, reached: float, passed: bool) -> Row:
        return Row(table=self.table, cell=self.name, figure=figure, target=target, reached=reached, passed=passed)


def _alarms(kind: Served, releases: int, seed: int, tick: Tick) -> Floats:
    """Return, (N,), which releases reach 100 at some look."""
    parts = []
    for first in range(0, releases, CHUNK):
        count = min(CHUNK, releases - first)
        warn = kind.warn(count, np.random.default_rng([seed, first]))
        parts.append(warn.max(axis=1) >= np.log(100))
        tick(count)
    return np.concatenate(parts).astype(np.float64)


SWINGS: Final = tuple((swing, wobble) for swing in (0.5, 1.0) for wobble in (0.1, 0.3))
CEILINGS: Final = {0: 0.001, 1: 0.001, 3: 0.001, 7: 0.003, 14: 0.003}
FOUND: Final = {(2.0, 7): 0.77, (2.0, 14): 0.99, (3.0, 3): 0.81, (3.0, 7): 0.99, (5.0, 0): 0.83, (1.5, 14): 0.24}
DRIFT_CELLS: Final = (
    *(
        DriftCell(
            table="D1",
            name=f"{days} earlier days, {per_minute:g} errors a minute, worst swing and wobble",
            kinds=tuple(Days(days=days, per_minute=per_minute, swing=s, wobble=w) for s, w in SWINGS),
            levels={"false": level},
        )
        for days, level in CEILINGS.items()
        for per_minute in (2.0, 50.0)
    ),
    *(
        DriftCell(
            table="D2",
            name=f"{days} earlier days, 50 errors a minute, ratio {ratio:g}",
            kinds=(Days(days=days, ratio=ratio),),
            shares={"found": share},
            releases=600,
        )
        for (ratio, days), share in FOUND.items()
    ),
)
