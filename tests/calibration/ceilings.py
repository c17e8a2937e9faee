"""
What no comparison of two sides can exceed: healthy releases of a quiet service that are promoted within an hour.

Stands beside the product's own figures (tables T14 and T14q). The canary has its share of the traffic from the first
second, whichever serves the test best, and pods are alike. A test that errs in at most 5 % of releases anywhere beyond
the limit of the last step, ``p_c >= rho p_s + D``, also errs in at most 5 % at each single point of it; so the
likelihood-ratio test of that one point, which is told all rates and asked once after the hour, is the better one,
whatever the point. The point that leaves least is the ceiling. Asked every minute, the sequential test of the same
point reaches less.

References
----------
E. L. Lehmann, J. P. Romano, Testing Statistical Hypotheses, 4th ed., theorems 3.2.1 (Neyman-Pearson) and 3.8.1 (least
favourable distributions). A. Wald, Sequential Analysis, 1947, chapter 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import poisson

from analysis.demand import FINAL_HORIZON_S, final_slack
from tests.calibration.cells import Row, Tick

RATIO: Final = 1.5
SLACK: Final = 0.001
"""The default tolerance."""
ALPHA: Final = 0.05
LOOKS: Final = 60
LONG: Final = 8.0
"""Standard deviations of a count that are summed over."""
WEIGHTS: Final = (0.3, 0.4, 0.5, 0.6, 0.7)
POINTS: Final = np.linspace(0.4, 2.0, 81)
"""Bad shares of stable at which a release may lie at the limit, in those of the real one."""

Sides = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CeilingCell:
    """
    The best tests of one service with one harm budget.

    Parameters
    ----------
    table, name : str
    budget : float
        Extra bad events in the first hour that the limit of the last step allows.
    rps, share : float
        Requests per second of the whole service and bad share of both sides.
    releases : int
    """

    table: str
    name: str
    budget: float
    rps: float = 1.0
    share: float = 0.01
    releases: int = 20_000

    def measure(self, seeds: dict[str, int], tick: Tick) -> list[Row]:
        """Return one row for each test."""
        each = -(-self.releases // len(seeds))
        found = {weight: self._least(weight) for weight in WEIGHTS}
        weight = max(WEIGHTS, key=lambda w: found[w][0])
        healthy = self._sides(weight, 1.0)
        asked = []
        for seed in seeds.values():
            rng = np.random.default_rng([seed, 6])
            asked.append(every_look(healthy, found[weight][1], healthy, each, rng))
            tick(each)
        told = max(once(self._sides(w, 1.0), (self._limit(w, 1.0)[0], self._sides(w, 1.0)[1])) for w in WEIGHTS)
        reached = {
            "asked once, after the hour: no test promotes more": found[weight][0],
            "asked every minute, told all rates": float(np.mean(asked)),
            "asked once, told what stable's rate truly is": told,
        }
        return [
            Row(table=self.table, cell=self.name, figure=name, target=np.nan, reached=value, passed=True)
            for name, value in reached.items()
        ]

    def _least(self, weight: float) -> tuple[float, Sides]:
        points = [self._limit(weight, point) for point in POINTS]
        powers = [once(self._sides(weight, 1.0), point) for point in points]
        return min(powers), points[int(np.argmin(powers))]

    def _sides(self, weight: float, times: float) -> Sides:
        """Return the bad events that both sides have in the hour where both have so many times the bad share."""
        whole = self.rps * FINAL_HORIZON_S * self.share * times
        return whole * weight, whole * (1 - weight)

    def _limit(self, weight: float, times: float) -> Sides:
        slack = float(final_slack(SLACK, self.budget, np.array(self.rps))) * self.rps * FINAL_HORIZON_S
        canary, stable = self._sides(weight, times)
        return RATIO * canary + slack * weight, stable


def once(healthy: Sides, point: Sides) -> float:
    """
    Return how often the most powerful test of one point, asked a single time, tells a healthy release from it.

    Parameters
    ----------
    healthy, point : (float, float)
        Expected bad events of canary and stable, of a healthy release and at the point.

    Returns
    -------
    float
        Exact, up to counts beyond 8 standard deviations; randomised, so that its error is exactly 5 %.
    """
    most = [max(pair) for pair in zip(healthy, point, strict=True)]
    counts = [np.arange(int(mean + LONG * np.sqrt(mean)) + 1) for mean in most]
    gain = np.add.outer(*(n * np.log(h / p) for n, h, p in zip(counts, healthy, point, strict=True)))
    there, truly = (np.outer(*(poisson.pmf(n, m) for n, m in zip(counts, s, strict=True))) for s in (point, healthy))
    order = np.argsort(-gain, axis=None, kind="stable")
    error = np.concatenate([[0.0], np.cumsum(there.ravel()[order])])
    power = np.concatenate([[0.0], np.cumsum(truly.ravel()[order])])
    return float(np.interp(ALPHA, error, power))


def every_look(healthy: Sides, point: Sides, truth: Sides, releases: int, rng: np.random.Generator) -> float:
    """
    Return the share of releases that the sequential probability ratio test of one point passes within its looks.

    Parameters
    ----------
    healthy, point : (float, float)
        As of `once`, over all `LOOKS` looks together.
    truth : (float, float)
        Expected bad events of canary and stable in truth.
    releases : int
    rng : Generator
    """
    gain = np.full((releases, LOOKS), (sum(point) - sum(healthy)) / LOOKS)
    for side, good, bad in zip(truth, healthy, point, strict=True):
        gain += rng.poisson(side / LOOKS, (releases, LOOKS)) * np.log(good / bad)
    return float(np.mean(np.cumsum(gain, axis=1).max(axis=1) >= -np.log(ALPHA)))


CEILING_CELLS: Final = tuple(
    CeilingCell(table="T14o", name=f"1 %, 1 rps, budget {budget:g}", budget=budget)
    for budget in (20.0, 30.0, 40.0, 52.0)
)
