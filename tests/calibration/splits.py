"""Rows of the sample-ratio check: routers that do as they are told, and routers whose odds are off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.grid import Floats
from analysis.split import weigh
from tests.calibration.cells import Row, Tick
from tests.calibration.measures import CHUNK, allowed

RAMP: Final = (0.05, 0.10, 0.25, 0.50)
ALPHA: Final = 0.001
TABLE: Final = "split"


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """
    One router and its traffic.

    Parameters
    ----------
    odds : float
        What it does to the odds of its weight; 1 is as configured.
    weights : tuple of float
        The configured weight, in equal parts of the run.
    per_connection : int
        Mean requests of a connection, all on one side; 1 for independent requests.
    even : bool
        Every connection has exactly the mean; else their number is geometric, and the traffic is Poisson.
    looks, requests : int
        Looks of a run, and requests of both sides in each on average.
    """

    odds: float = 1.0
    weights: tuple[float, ...] = (0.05,)
    per_connection: int = 1
    even: bool = False
    looks: int = 120
    requests: int = 6000


def route(router: Router, releases: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Return requests of canary and baseline, and the configured weight, each (N, K)."""
    weight = np.asarray(router.weights)[np.arange(router.looks) * len(router.weights) // router.looks]
    share = router.odds * weight / (router.odds * weight + 1 - weight)
    shape, mean = (releases, router.looks), router.requests / router.per_connection
    connections = np.full(shape, round(mean)) if router.even else rng.poisson(mean, shape)
    canary = rng.binomial(connections, share)
    sides = (_requests(side, router, rng) for side in (canary, connections - canary))
    return *sides, np.broadcast_to(weight, shape)  # type: ignore[return-value]


def _requests(connections: np.ndarray, router: Router, rng: np.random.Generator) -> Floats:
    """Return the requests of so many connections."""
    if router.even or router.per_connection == 1:
        return np.asarray(connections * float(router.per_connection))
    more = rng.negative_binomial(np.maximum(connections, 1), 1 / router.per_connection)
    return np.asarray(connections + np.where(connections > 0, more, 0), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCell:
    """
    One router and its promises.

    Parameters
    ----------
    name : str
    router : Router
    found : float
        Lowest share of runs with an alarm; 0 for a router that does as it is told: there the share of alarms is held
        to 1 in 1,000.
    look : float
        Latest median look of the first alarm, counted from 1; infinite: not held to one.
    releases : int
    """

    name: str
    router: Router
    found: float = 0.0
    look: float = np.inf
    releases: int = 300
    table: str = TABLE

    def measure(self, seeds: dict[str, int], tick: Tick) -> list[Row]:
        """Simulate the cell and return its rows."""
        each = -(-self.releases // len(seeds))
        first = np.concatenate([_first_alarms(self.router, each, seed, tick) for seed in seeds.values()])
        count, runs = int(np.isfinite(first).sum()), len(first)
        if not self.found:
            return [self._row("alarms", ALPHA, count / runs, allowed(count, runs, ALPHA))]
        missed_level = allowed(runs - count, runs, 1 - self.found)
        rows = [self._row("found", self.found, count / runs, missed_level)]
        if np.isfinite(self.look):
            median = float(np.median(first))
            rows.append(self._row("median look", self.look, median, median <= self.look))
        return rows

    def _row(self, figure: str, target: float, reached: float, passed: bool) -> Row:
        return Row(table=self.table, cell=self.name, figure=figure, target=target, reached=reached, passed=passed)


def _first_alarms(router: Router, releases: int, seed: int, tick: Tick) -> Floats:
    """Return, (N,), the look of the first alarm, counted from 1; infinite without one."""
    parts = []
    for first in range(0, releases, CHUNK):
        count = min(CHUNK, releases - first)
        alarms = weigh(*route(router, count, np.random.default_rng([seed, first]))).alarms
        parts.append(np.where(alarms.any(axis=1), alarms.argmax(axis=1) + 1.0, np.inf))
        tick(count)
    return np.concatenate(parts)


def _quiet() -> list[SplitCell]:
    cells = [
        SplitCell(name=f"as configured, {n} a connection", router=Router(per_connection=n), releases=3000)
        for n in (1, 20, 200)
    ]
    cells += [
        SplitCell(
            name=f"as configured, ramp 5-50 %, {n} a connection",
            router=Router(weights=RAMP, per_connection=n),
            releases=3000,
        )
        for n in (1, 20, 200)
    ]
    return cells + [
        SplitCell(name=f"odds {odds:.2f}, inside the floor", router=Router(odds=odds)) for odds in (1.1, 1 / 1.1)
    ]


def _off() -> list[SplitCell]:
    return [
        SplitCell(name="odds 0.7", router=Router(odds=0.7), found=0.99, look=23),
        SplitCell(name="odds 1.5", router=Router(odds=1.5), found=0.99, look=23),
        SplitCell(name="odds 0.7, 20 a connection", router=Router(odds=0.7, per_connection=20), found=0.71, look=112),
        SplitCell(name="odds 1.5, 20 a connection", router=Router(odds=1.5, per_connection=20), found=0.997, look=60),
        SplitCell(name="odds 1.5, ramp 5-50 %", router=Router(odds=1.5, weights=RAMP), found=0.99, look=23),
    ]


SPLITS: Final = (*_quiet(), *_off())
