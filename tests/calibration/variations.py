"""
Series without counts, asked again and again: how often equal releases abort or are held by the variation rule.

Two hours of one-minute samples, a look every two minutes, eight metrics that are equal but for the pods' spread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from analysis.compare.lines import LineEvidence
from analysis.compare.strengths import before_and_after, on_log_scale, side_by_side
from analysis.compare.variation import combined, looks_back
from analysis.grid import Floats
from analysis.types import BoolArray, State
from tests.calibration.cells import Row, Tick
from tests.calibration.gauges import walks
from tests.calibration.measures import allowed

METRICS: Final = 8
SAMPLES: Final = 120
EVERY: Final = 2
POOL: Final = 240
STEP: Final = 60.0
BLOCK: Final = 5
FIRST: Final = 3
CHUNK: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """
    One kind of release, all of whose metrics are equal.

    Parameters
    ----------
    sd, minutes : float
        Relative standard deviation of a line's own noise, normal, and its correlation time.
    pod_sd : float
        Spread of pods; the canary is one of them.
    sign : {1, 0}
        Whether the harmful direction is known.
    beside : bool
        Concurrent, else before/after with a pool of four hours.
    learned : bool
        Whether noise and spread of pods are given to the rule as known.
    """

    sd: float
    minutes: float
    pod_sd: float = 0.05
    sign: int = 1
    beside: bool = True
    learned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """Verdicts of N releases at prefixes 3..120, (N, 118) bool: abort for itself, hold, and abort that stands."""

    abort: BoolArray
    hold: BoolArray
    stands: BoolArray

    @property
    def looks(self) -> slice:
        """The prefixes that are asked: every second minute."""
        return slice(1, None, EVERY)


def draw(series: Series, releases: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """
    Return canary, stable and pool, each (N, 8, n): levels of one, equal but for pods and noise.

    Beside the canary, stable is the mean of so many pods that the noise of the difference is the canary's own.
    """
    phi = float(np.exp(-1 / series.minutes))
    shape = releases, METRICS
    pod = np.exp(series.pod_sd * rng.standard_normal((*shape, 1)))
    if series.beside:
        canary = pod * np.maximum(1 + series.sd * walks(rng, (*shape, SAMPLES), phi), 0.0)
        return canary, np.ones((*shape, SAMPLES)), np.ones((*shape, 0))
    whole = np.maximum(1 + series.sd * walks(rng, (*shape, POOL + SAMPLES), phi), 0.0)
    return pod * whole[..., POOL:], whole[..., POOL - 60 : POOL], whole[..., : POOL - 60]


def ask(series: Series, releases: int, seed: int, tick: Tick = lambda _: None) -> Asked:
    """Put releases through the rule at every prefix of their samples."""
    parts = []
    for first in range(0, releases, CHUNK):
        count = min(CHUNK, releases - first)
        drawn = draw(series, count, np.random.default_rng([seed, first]))
        parts.append(_asked(series, *drawn))
        tick(count)
    return Asked(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in Asked.__slots__})


def strengths(
    series: Series, canary: Floats, stable: Floats, history: Floats, samples: int
) -> tuple[Floats, BoolArray]:
    """Return T of every metric at a prefix, (N, 8), and whether it is blind."""
    flat = [v.reshape(len(v) * METRICS, v.shape[-1]) for v in (canary, stable, history)]
    now, beside, earlier = flat[0][:, :samples], flat[1][:, :samples] if series.beside else flat[1], flat[2]
    level = np.abs(np.concatenate([earlier, beside], axis=1)).mean(axis=1)
    c, s, h = (on_log_scale(v, level) for v in (now, beside, earlier))
    if series.beside:
        known = float(np.hypot(series.pod_sd, series.sd * _slowness(series, samples))) if series.learned else None
        found = side_by_side(c - s, series.sign, BLOCK, known)
    else:
        found = before_and_after(c, s, h, series.sign)
    shape = canary.shape[:2]
    return found.strength.reshape(shape), (5 * found.sd > np.log(3)).reshape(shape)


def _slowness(series: Series, samples: int) -> float:
    """Return the sd of a mean of so many samples over that of one: what a placebo of that length would show."""
    phi = np.exp(-1 / series.minutes)
    lags = np.arange(1, samples)
    return float(np.sqrt((1 + 2 * ((1 - lags / samples) * phi**lags).sum()) / samples))


def _asked(series: Series, canary: Floats, stable: Floats, history: Floats) -> Asked:
    releases, prefixes = len(canary), range(FIRST, SAMPLES + 1)
    abort, hold = (np.zeros((releases, len(prefixes)), dtype=bool) for _ in range(2))
    for k, samples in enumerate(prefixes):
        found, blind = strengths(series, canary, stable, history, samples)
        for row in range(releases):
            lines = [
                LineEvidence(
                    name=str(i), sign=series.sign, strength=float(found[row, i]), ratio=1.0, blind=bool(blind[row, i])
                )
                for i in range(METRICS)
            ]
            state = combined(lines).state
            abort[row, k] = state is State.WORSE
            hold[row, k] = state in (State.DEGRADED, State.UNDECIDED)
    stands = np.zeros_like(abort)
    for k, samples in enumerate(prefixes):
        back = looks_back(samples, STEP, beside=series.beside, learned=series.learned)
        if k >= back and samples >= 4:
            stands[:, k] = abort[:, k - back : k + 1].all(axis=1)
    return Asked(abort=abort, hold=hold | (abort & ~stands), stands=stands)


@dataclass(frozen=True, slots=True, kw_only=True)
class VariationCell:
    """
    One kind of equal release and the highest share of it that may abort.

    ``levels`` by figure: ``each look`` (every look judged for itself) and ``standing`` (the rule);
    ``measured`` where a run showed more: printed as a miss, news beyond that.
    """

    table: str
    name: str
    series: Series
    levels: dict[str, float] = field(default_factory=dict)
    releases: int = 300
    measured: dict[str, float] = field(default_factory=dict)
    remark: str = ""

    def measure(self, seeds: dict[str, int], tick: Tick) -> list[Row]:
        """Simulate the cell and return its rows."""
        each = -(-self.releases // len(seeds))
        runs = [ask(self.series, each, seed, tick) for seed in seeds.values()]
        rows = []
        for figure, level in self.levels.items():
            hits = np.concatenate([_hits(run, figure) for run in runs])
            count = int(hits.sum())
            rows.append(
                Row(
                    table=self.table,
                    cell=self.name,
                    figure=figure,
                    target=level,
                    reached=count / len(hits),
                    passed=allowed(count, len(hits), level),
                    documented=figure in self.measured and allowed(count, len(hits), self.measured[figure]),
                    remark=self.remark,
                )
            )
        return rows


def _hits(run: Asked, figure: str) -> BoolArray:
    curve = run.abort if figure == "each look" else run.stands
    return np.asarray(curve[:, run.looks].any(axis=1))


LEAST: Final = 0.01


def _beside() -> list[VariationCell]:
    table = [
        (0.2, 1.0, 0.05, {1: 0.0, 0: 0.0}),
        (0.1, 5.0, 0.05, {1: 0.0, 0: 0.0}),
        (0.2, 5.0, 0.05, {1: 0.0, 0: 0.0}),
        (0.4, 5.0, 0.05, {1: 0.003, 0: 0.0}),
        (0.2, 15.0, 0.05, {1: 0.013, 0: 0.0}),
        (0.1, 5.0, 0.10, {1: 0.0, 0: 0.0}),
        (0.1, 5.0, 0.15, {1: 0.04, 0: 0.0}),
    ]
    cells = []
    for sd, minutes, pod_sd, levels in table:
        for sign, level in levels.items():
            told = "directed" if sign else "undirected"
            name = f"beside, sd {sd:.0%}, {minutes:g} min, pods {pod_sd:.0%}, {told}"
            series = Series(sd=sd, minutes=minutes, pod_sd=pod_sd, sign=sign)
            cells.append(
                VariationCell(
                    table="V1",
                    name=name,
                    series=series,
                    levels={"standing": max(level, LEAST)},
                    remark="a pod unlike the others, noise not learned" if level > LEAST else "",
                )
            )
        learned = Series(sd=sd, minutes=minutes, pod_sd=pod_sd, learned=True)
        cells.append(
            VariationCell(
                table="V2",
                name=f"beside, sd {sd:.0%}, {minutes:g} min, pods {pod_sd:.0%}, learned",
                series=learned,
                levels={"standing": LEAST},
                releases=99,
            )
        )
    return cells


def _after() -> list[VariationCell]:
    return [
        VariationCell(
            table="V3",
            name=f"before/after, sd {sd:.0%}, {minutes:g} min, pods {pod_sd:.0%}",
            series=Series(sd=sd, minutes=minutes, pod_sd=pod_sd, beside=False),
            levels={"standing": LEAST},
            measured={"standing": 0.07} if pod_sd > 0.1 else {},
            remark="0.07: a new pod beside none is not told from a fault" if pod_sd > 0.1 else "",
            releases=201,
        )
        for sd, minutes, pod_sd in (
            (0.2, 1.0, 0.05),
            (0.2, 5.0, 0.05),
            (0.4, 5.0, 0.05),
            (0.2, 15.0, 0.05),
            (0.1, 5.0, 0.10),
            (0.1, 5.0, 0.15),
        )
    ]


VARIATION_CELLS: Final = (*_beside(), *_after())
