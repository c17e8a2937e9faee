"""
What real series bring that smooth noise does not: single spikes, and very many metrics, one of which is always odd.

Releases that are asked once, before/after and beside stable; every metric is directed and equal but for a pod's
spread, its noise, and spikes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from analysis.compare.lines import Line
from analysis.compare.variation import weigh
from analysis.grid import Floats
from analysis.types import State
from tests.calibration.cells import Row, Tick
from tests.calibration.measures import allowed

POOL: Final = 60
STEP: Final = 60.0
NOISE: Final = 0.05
POD_SD: Final = 0.05
SPIKE: Final = 1.5
"""Standard deviation of the logarithm of a spike's height, which is never below twice the level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OddCell:
    """
    One kind of release and the share of it that may abort, or must.

    Parameters
    ----------
    table, name : str
    metrics, samples : int
        Lines, and samples of the canary.
    spikes : float
        Share of samples, of canary and stable alike, that are spikes.
    ratio : float
        By what the canary's levels are multiplied.
    beside : bool
    levels : dict
        Highest share by state; for ``worse`` with a ratio above 1 the lowest.
    releases : int
    """

    table: str = "V4"
    name: str
    metrics: int = 8
    samples: int = 8
    spikes: float = 0.05
    ratio: float = 1.0
    beside: bool = False
    levels: dict[State, float] = field(default_factory=dict)
    releases: int = 600

    def measure(self, seeds: dict[str, int], tick: Tick) -> list[Row]:
        """Judge so many releases and return a row for each figure."""
        each = -(-self.releases // len(seeds))
        found: Counter[State] = Counter()
        for seed in seeds.values():
            rng = np.random.default_rng([seed, self.metrics, self.samples])
            for _ in range(each):
                found[weigh(self._lines(rng), beside=self.beside, step_seconds=STEP).state] += 1
                tick(1)
        return [self._row(state, level, found, each * len(seeds)) for state, level in self.levels.items()]

    def _row(self, state: State, level: float, found: Counter[State], releases: int) -> Row:
        least = state is State.WORSE and self.ratio > 1
        missed = releases - found[state] if least else found[state]
        return Row(
            table=self.table,
            cell=self.name,
            figure=f"{state.value}, {'at least' if least else 'at most'}",
            target=level,
            reached=found[state] / releases,
            passed=allowed(missed, releases, 1 - level if least else level),
        )

    def _lines(self, rng: np.random.Generator) -> list[Line]:
        stable = self.samples if self.beside else POOL
        return [
            Line(
                name=str(number),
                sign=1,
                canary=self.ratio * np.exp(POD_SD * rng.standard_normal()) * self._levels(rng, self.samples),
                stable=self._levels(rng, stable),
            )
            for number in range(self.metrics)
        ]

    def _levels(self, rng: np.random.Generator, count: int) -> Floats:
        levels = np.maximum(1 + NOISE * rng.standard_normal(count), 0.0)
        height = 2 + np.exp(SPIKE * rng.standard_normal(count))
        return np.where(rng.random(count) < self.spikes, height * levels, levels)


ODD_CELLS: Final = (
    OddCell(name="8 metrics, 8 samples, spikes in one of 20", levels={State.WORSE: 0.01}),
    OddCell(name="8 metrics, 24 samples, spikes in one of 20", samples=24, levels={State.WORSE: 0.01}),
    OddCell(name="8 metrics, 8 samples, no spikes", spikes=0.0, levels={State.WORSE: 0.01}),
    OddCell(
        name="beside, 8 metrics, 24 samples, spikes in one of 20", samples=24, beside=True, levels={State.WORSE: 0.01}
    ),
    OddCell(name="100 metrics, 24 samples, no spikes", metrics=100, samples=24, spikes=0.0, levels={State.WORSE: 0.01}),
    OddCell(
        name="8 metrics, 24 samples, spikes, all three times as high", samples=24, ratio=3.0, levels={State.WORSE: 0.9}
    ),
)
