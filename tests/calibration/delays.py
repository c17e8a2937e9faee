"""
How long proofs take: late faults (T8), promotions (T9b), twenty questions (T10), and the forecast beside both (T12).

Delays are medians of canary requests; a release that never gets there counts as infinite.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from analysis.forecast import Goal, wait
from analysis.grid import Floats
from analysis.growth import Outlook
from analysis.merging import merged, shares
from analysis.noise import fit
from tests.calibration.cells import Row, Tick
from tests.calibration.measures import ALPHAS, RATIO, SLACK, Runs, allowed, judged, run
from tests.calibration.services import Service, draw

QUESTIONS: Final = 20
CHUNK: Final = 50
OVERSHOOT: Final = {"abort": 1.1, "promote": 0.6}
"""Nats by which a process passes its goal, on average: those of the forecast's definition."""
EVENTS: Final = 10_000
"""Bad events of history, on average, where 2,000 looks hold as many: a service that is well known."""
UNTIL_MEDIAN: Final = 40
"""Looks in which the forecast's requests come in, and five times as many are simulated."""


def requests_until(runs: Runs, curve: Floats, alpha: float, since: int = 0) -> Floats:
    """Return, (N,), canary requests from look ``since`` on until a curve reaches 1/alpha there; infinite if never."""
    hit = curve[:, since:] >= -np.log(alpha)
    spent = np.cumsum(runs.canary[:, since:], axis=1)
    there = spent[np.arange(len(spent)), hit.argmax(axis=1)]
    return np.where(hit.any(axis=1), there, np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnsetCell:
    """
    A fault that begins half way: ``most`` times the requests of the test that knows both rates and the moment.

    ``service.ratio`` is the ratio before and after.
    """

    table: str
    name: str
    service: Service
    most: float
    releases: int = 500

    def measure(self, seeds: dict[str, int], tick: Tick) -> list[Row]:
        """Simulate the cell and return its row."""
        each, onset = -(-self.releases // len(seeds)), self.service.looks // 2
        runs = [run(self.service, each, seed, tick=tick) for seed in seeds.values()]
        needed = np.concatenate([requests_until(r, r.warn, 0.05, onset) for r in runs])
        best = np.concatenate([requests_until(r, self._best(r, onset), 0.05, onset) for r in runs])
        reached = float(np.median(needed) / np.median(best))
        missed = float(np.mean(~np.isfinite(needed)))
        row = Row(
            table=self.table,
            cell=self.name,
            figure=f"E_warn at 0.05: {np.median(needed):,.0f} requests after it, x best",
            target=self.most,
            reached=reached,
            passed=reached <= self.most,
            remark=f"{missed:.0%} not found until the end" if missed else "",
        )
        return [row]

    def _best(self, runs: Runs, onset: int) -> Floats:
        good = self.service.share
        bad = good * self.service.ratio[-1]
        gain = runs.bad * np.log(bad / good) + (runs.canary - runs.bad) * np.log((1 - bad) / (1 - good))
        gain[:, :onset] = 0.0
        return np.asarray(np.cumsum(gain, axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteCell:
    """Releases that change nothing: half of them are proved within the limit by ``most`` canary requests."""

    table: str
    name: str
    service: Service
    most: float
    releases: int = 500

    def measure(self, seeds: dict[str, int], tick: Tick) -> list[Row]:
        """Simulate the cell and return its row."""
        each = -(-self.releases // len(seeds))
        runs = [run(self.service, each, seed, promote=True, tick=tick) for seed in seeds.values()]
        reached = float(np.median(np.concatenate([requests_until(r, r.promote, 0.05) for r in runs])))
        return [
            Row(
                table=self.table,
                cell=self.name,
                figure="P at 0.05: median canary requests",
                target=self.most,
                reached=reached,
                passed=reached <= self.most,
            )
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyCell:
    """
    Twenty questions of equal weight about one service: none is worse, or one.

    The abort evidence of the release is the mean over its questions. ``most`` is the delay with one of them at
    ``ratio``, over that of the same question asked alone. The burst check is left out: it can only lower the first.
    """

    table: str
    name: str
    service: Service
    ratio: float
    most: float
    releases: int = 1000

    @property
    def draws(self) -> int:
        """Return how many questions are simulated."""
        return self.releases * (QUESTIONS + 1)

    def measure(self, seeds: dict[str, int], tick: Tick) -> list[Row]:
        """Simulate the cell and return its rows."""
        each = -(-self.releases // len(seeds))
        parts = [
            self._played(min(CHUNK, each - first), seed, first, tick)
            for seed in seeds.values()
            for first in range(0, each, CHUNK)
        ]
        false, alone, among = (np.concatenate(values) for values in zip(*parts, strict=True))
        delay = float(np.median(among) / np.median(alone))
        count = int(false.sum())
        figures = [
            ("all healthy: A* >= 1000", ALPHAS.abort, count / len(false), allowed(count, len(false), ALPHAS.abort)),
            (f"RR {self.ratio:g} in one: requests to abort, x alone", self.most, delay, delay <= self.most),
        ]
        return [
            Row(table=self.table, cell=self.name, figure=name, target=target, reached=reached, passed=passed)
            for name, target, reached, passed in figures
        ]

    def _played(self, releases: int, seed: int, first: int, tick: Tick) -> tuple[Floats, Floats, Floats]:
        omega = shares([1.0] * QUESTIONS)
        rng = np.random.default_rng([seed, first])
        healthy = np.stack([judged(draw(self.service, releases, rng)).abort for _ in range(QUESTIONS)])
        worse = judged(draw(replace(self.service, ratio=(self.ratio,)), releases, rng))
        tick(releases * (QUESTIONS + 1))
        none = np.stack([merged(healthy[:, row], omega) for row in range(releases)])
        mixed = np.concatenate([worse.abort[None], healthy[1:]])
        one = np.stack([merged(mixed[:, row], omega) for row in range(releases)])
        false = (none.max(axis=1) >= -np.log(ALPHAS.abort)).astype(np.float64)
        return false, requests_until(worse, worse.abort, ALPHAS.abort), requests_until(worse, one, ALPHAS.abort)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastCell:
    """
    The forecast of one proof over bases, weights and ratios: how far medians and 80 % quantiles lie from what it says.

    ``proof`` is ``freeze`` (E_warn at 0.01), ``abort`` (A* at 0.001) or ``promote`` (P at 0.05).
    """

    table: str
    name: str
    proof: str
    ratios: tuple[float, ...]
    weights: tuple[float, ...] = (0.05, 0.25, 0.5)
    bases: tuple[float, ...] = (0.01, 0.001)
    releases: int = 200

    @property
    def draws(self) -> int:
        """Return how many releases are simulated."""
        return self.releases * len(self.settings())

    def settings(self) -> list[tuple[float, float, float]]:
        """Return base, weight and ratio of every setting whose proof the forecast deems possible."""
        every = [(b, w, r) for b in self.bases for w in self.weights for r in self.ratios]
        return [s for s in every if np.isfinite(self._told(*s)[0])]

    def measure(self, seeds: dict[str, int], tick: Tick) -> list[Row]:
        """Simulate every setting and return the farthest of each figure."""
        each = -(-self.releases // len(seeds))
        medians, sure = [], []
        for base, weight, ratio in self.settings():
            median, by = self._told(base, weight, ratio)
            service = self._service(base, weight, ratio, median)
            needed = np.concatenate([self._needed(service, each, seed, tick) for seed in seeds.values()])
            medians.append(float(np.median(needed)) / median)
            sure.append(float(np.quantile(needed, 0.8, method="higher")) / by)
        return [
            *self._rows("median over forecast", medians, 0.25),
            *self._rows("80 % quantile over forecast", sure, 0.35),
        ]

    def _rows(self, figure: str, ratios: list[float], margin: float) -> list[Row]:
        low, high = min(ratios), max(ratios)
        found = [
            (f"{figure}, least of {len(ratios)}", 1 - margin, low, low >= 1 - margin),
            (f"{figure}, most of {len(ratios)}", 1 + margin, high, high <= 1 + margin),
        ]
        return [
            Row(table=self.table, cell=self.name, figure=name, target=target, reached=reached, passed=passed)
            for name, target, reached, passed in found
        ]

    def _told(self, base: float, weight: float, ratio: float) -> tuple[float, float]:
        """Return the canary requests that the forecast gives for the median, and for being 80 % sure."""
        outlook = Outlook(ratio=ratio, share=base, phi=1.0, requests_per_second=1.0)
        found = wait(outlook, self._goals(), weight)
        return found.canary_requests, found.sure_requests

    def _goals(self) -> tuple[Goal, ...]:
        side = "promote" if self.proof == "promote" else "abort"

        def goal(alpha: float, limit: tuple[float, float]) -> Goal:
            return Goal(nats=-np.log(alpha) + OVERSHOOT[side], limit=limit, above=side == "abort")

        if self.proof == "freeze":
            return (goal(ALPHAS.freeze, (1.0, 0.0)),)
        if self.proof == "promote":
            return (goal(ALPHAS.promote, (RATIO, SLACK)),)
        return goal(ALPHAS.abort, (1.0, 0.0)), goal(ALPHAS.tolerated, (RATIO, SLACK))

    def _service(self, base: float, weight: float, ratio: float, median: float) -> Service:
        """Return a service whose looks are short against the forecast; its budget adds no slack."""
        rps = 200.0
        requests = median / UNTIL_MEDIAN / weight
        return Service(
            rps=rps,
            share=base,
            ratio=(ratio,),
            weights=(weight,),
            looks=5 * UNTIL_MEDIAN,
            seconds=requests / rps,
            history=round(min(max(EVENTS / (base * requests), 400), 2000)),
        )

    def _needed(self, service: Service, releases: int, seed: int, tick: Tick) -> Floats:
        """Return canary requests until the proof over the dispersion that each release learned, (N,)."""
        drawn = draw(service, releases, np.random.default_rng([seed, 12]))
        runs = judged(drawn, promote=self.proof == "promote")
        tick(releases)
        curve, alpha = {
            "freeze": (runs.warn, ALPHAS.freeze),
            "abort": (runs.abort, ALPHAS.abort),
            "promote": (runs.promote, ALPHAS.promote),
        }[self.proof]
        phi, _ = fit(drawn.earlier_bad, drawn.earlier_total, service.visible)
        return requests_until(runs, curve, alpha) / phi


def _onsets() -> list[OnsetCell]:
    cells = []
    for rr in (1.5, 2.0, 3.0):
        late = Service(ratio=(1.0, rr), looks=120, seconds=30.0)
        cells.append(OnsetCell(table="T8", name=f"RR {rr:g} after 60 looks", service=late, most=5.0))
        step = replace(late, weights=(0.05, 0.10))
        cells.append(OnsetCell(table="T8", name=f"RR {rr:g} with a weight step", service=step, most=3.0))
    return cells


def _promotions() -> list[PromoteCell]:
    services = {
        "base 1 %, pods alike": (Service(looks=120, history=960), 3000.0),
        "base 1 %, sd 0.1, 1 v 19": (Service(looks=120, history=960, sd=0.1), 4200.0),
        "base 0.01 %": (Service(looks=120, history=960, share=0.0001), 4500.0),
    }
    return [PromoteCell(table="T9b", name=n, service=s, most=most) for n, (s, most) in services.items()]


DELAY_CELLS: Final[tuple[Any, ...]] = (
    *_onsets(),
    *_promotions(),
    ManyCell(table="T10", name="20 questions", service=Service(), ratio=3.0, most=1.8),
    ForecastCell(table="T12", name="freeze, RR 1.5 to 3", proof="freeze", ratios=(1.5, 2.0, 3.0)),
    ForecastCell(table="T12", name="abort, RR 2 to 5", proof="abort", ratios=(2.0, 3.0, 5.0)),
    ForecastCell(table="T12", name="promote, RR 1", proof="promote", ratios=(1.0,)),
)
