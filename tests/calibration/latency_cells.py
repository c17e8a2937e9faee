"""
The long tables of latencies: what is promised, and to which figure each cell is held.

``python -m tests.calibration.latency_cells [--only latency-null] [--scale 0.1]`` prints target and reached figure.
Shares are held with binomial bounds that are wrong once in 1,000, medians to a quarter or one look.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from scipy.special import bdtr
from tqdm import tqdm  # type: ignore[import-untyped]

from tests.calibration import percentiles
from tests.calibration.cells import SEEDS, Row
from tests.calibration.latencies import NATIVE, QUESTION, Latencies, Runs, reached, run, seconds_until
from tests.calibration.measures import WRONG_ONCE_IN, allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """
    One simulated service and its promises.

    Parameters
    ----------
    table, name : str
    service : Latencies
    most : dict
        ``(curve, alpha)`` -> highest share of releases in which it reaches 1/alpha.
    least : dict
        ``(curve, alpha)`` -> share that must be reached, and the median seconds until then (infinite: not promised).
    releases : int
    remark : str
    """

    table: str
    name: str
    service: Latencies
    most: dict[tuple[str, float], float] = field(default_factory=dict)
    least: dict[tuple[str, float], tuple[float, float]] = field(default_factory=dict)
    releases: int = 600
    remark: str = ""

    def measure(self, seeds: dict[str, int], tick: Callable[[int], object]) -> list[Row]:
        """Simulate the cell and return its rows."""
        each = -(-self.releases // len(seeds))
        parts = [run(self.service, each, seed, tick) for seed in seeds.values()]
        curves = {n: np.concatenate([getattr(p, n) for p in parts]) for n in Runs.__slots__}
        rows = []
        for (name, alpha), level in self.most.items():
            hits = reached(curves[name], alpha)
            passed = allowed(int(hits.sum()), len(hits), level)
            rows.append(self._row(f"{name} >= {1 / alpha:g}, at most", level, float(hits.mean()), passed))
        for (name, alpha), (share, seconds) in self.least.items():
            hits = reached(curves[name], alpha)
            passed = enough(int(hits.sum()), len(hits), share)
            rows.append(self._row(f"{name} >= {1 / alpha:g}, at least", share, float(hits.mean()), passed))
            if np.isfinite(seconds):
                took = seconds_until(curves[name], alpha, self.service)
                most = max(1.25 * seconds, seconds + self.service.seconds)  # medians of 100 draws differ by as much
                rows.append(self._row(f"{name} >= {1 / alpha:g}, median s", seconds, took, took <= most))
        return rows

    def _row(self, figure: str, target: float, found: float, passed: bool) -> Row:
        return Row(
            table=self.table,
            cell=self.name,
            figure=figure,
            target=target,
            reached=found,
            passed=passed,
            remark=self.remark,
        )


def enough(count: int, releases: int, share: float) -> bool:
    """Return whether so few may come from a true share; wrong once in 1,000."""
    return bool(bdtr(count, releases, share) >= 1 / WRONG_ONCE_IN)


WARN, BEYOND, PROMOTED = ("warn", 0.01), ("tolerated", 0.01), ("promote", 0.05)
NULL: Final = {WARN: 0.01, ("abort", 0.001): 0.001}
NEVER: Final = (0.0, np.inf)
ALL: Final = 0.99  # every one of the 100 draws that the figure was measured with


def _null() -> list[Cell]:
    noises: dict[str, dict[str, Any]] = {
        "alike": {},
        "sd 5 %": {"sd": 0.05},
        "sd 10 %": {"sd": 0.1},
        "sd 5 %, wobble 5 %": {"sd": 0.05, "wobble": 0.05},
    }
    cells = [
        Cell(
            table="latency-null",
            name=f"1 v {pods}, {rps:,} rps, {word}",
            service=Latencies(rps=rps, stable_pods=pods, **noise),
            most=NULL,
        )
        for pods in (19, 3)
        for rps in (20, 200, 2000, 20_000)
        for word, noise in noises.items()
    ]
    cells.append(Cell(table="latency-null", name="clumps of 5", service=Latencies(clump=5.0, sd=0.05), most=NULL))
    cells += [
        Cell(
            table="latency-null",
            name=f"1 v {pods}, {rps:,} rps, slow share differs by 0.5",
            service=Latencies(rps=rps, stable_pods=pods, sd=0.05, slow=0.01, slow_sd=0.5),
            most={WARN: 0.01 if pods == 19 else 0.03, BEYOND: 0.01},
            remark="three times what the prior expects of pods",
        )
        for pods in (19, 3)
        for rps in (20, 200, 2000)
    ]
    odd = {
        "no history": Latencies(sd=0.05, history=0),
        "no history, 1 v 3": Latencies(sd=0.05, history=0, stable_pods=3),
        "no history, 1 v 1": Latencies(sd=0.05, history=0, stable_pods=1),
        "no history, wobble 5 %": Latencies(sd=0.05, history=0, wobble=0.05),
        "pods hidden": Latencies(sd=0.05, visible=False),
        "pods hidden, no history": Latencies(sd=0.05, visible=False, history=0),
        "a fifth of a stable pod's load": Latencies(sd=0.05, wobble=0.05, load=0.2),
        "five times a stable pod's load": Latencies(sd=0.05, wobble=0.05, load=5.0),
        "one request a second": Latencies(rps=1.0, sd=0.05),
        "native buckets": Latencies(sd=0.05, edges=tuple(NATIVE)),
        "native buckets, 1 v 3": Latencies(sd=0.05, stable_pods=3, edges=tuple(NATIVE)),
    }
    return cells + [
        Cell(table="latency-null", name=name, service=service, most=NULL, releases=300) for name, service in odd.items()
    ]


FOUND: Final[dict[str, Any]] = {
    "+10 %": ({"shift": 1.1}, (NEVER, NEVER), (NEVER, NEVER), (NEVER, NEVER), (NEVER, NEVER)),
    "+25 %": (
        {"shift": 1.25}, ((0.59, 1025), NEVER), ((0.60, 150), NEVER), ((0.61, 50), NEVER), ((0.07, np.inf), NEVER),
    ),
    "+60 %": (
        {"shift": 1.6},
        ((ALL, 50), (0.67, 450)), ((ALL, 50), (0.67, 100)), ((ALL, 50), (0.65, 50)), ((0.97, 50), (0.10, np.inf)),
    ),
    "+100 %": (
        {"shift": 2.0}, ((ALL, 50), (ALL, 50)), ((ALL, 50), (ALL, 50)), ((ALL, 50), (ALL, 50)), ((ALL, 50), (0.95, 50)),
    ),
    "1 % x 10": (
        {"extra": 0.01},
        ((0.94, 1000), (0.55, 3475)), ((ALL, 100), (0.94, 350)), ((ALL, 50), (ALL, 50)), ((0.87, 425), (0.06, np.inf)),
    ),
    "5 % x 10": (
        {"extra": 0.05},
        ((0.97, 200), (0.94, 400)), ((ALL, 50), (ALL, 50)), ((ALL, 50), (ALL, 50)), ((0.98, 50), (0.87, 250)),
    ),
}  # fmt: skip
"""What a canary does -> (changes, then for each service the share found and the median seconds: worse, beyond)."""
SERVICES: Final = ((20, 19), (200, 19), (2000, 19), (200, 3))


def _power() -> list[Cell]:
    cells = [
        Cell(
            table="latency-power",
            name="+60 % after 40 minutes",
            service=Latencies(sd=0.05, shift=1.6, since=48),
            least={WARN: (0.9, 2600)},
            releases=300,
        ),
        Cell(
            table="latency-power",
            name="+60 %, native buckets",
            service=Latencies(sd=0.05, shift=1.6, edges=tuple(NATIVE)),
            least={WARN: (ALL, 50), BEYOND: (0.67, 100)},
            releases=300,
        ),
    ]
    for word, (changes, *figures) in FOUND.items():
        shift = changes.get("shift", 9.0)
        most = {BEYOND: 0.01} if shift <= QUESTION.shift else {}
        if shift == QUESTION.shift:
            most[PROMOTED] = 0.05
        for (rps, pods), (worse, beyond) in zip(SERVICES, figures, strict=True):
            cells.append(
                Cell(
                    table="latency-power",
                    name=f"{word}, 1 v {pods}, {rps:,} rps",
                    service=Latencies(rps=rps, stable_pods=pods, sd=0.05, **changes),
                    most=most,
                    least={k: v for k, v in ((WARN, worse), (BEYOND, beyond)) if v != NEVER},
                    releases=300,
                )
            )
    return cells


HEALTHY: Final = {
    19: ((20, 0.85, 425, 0.27), (200, 0.87, 100, 0.29), (2000, 0.86, 50, 0.26), (20_000, 0.85, 50, 0.25)),
    3: ((20, 0.57, 525, 0.08), (200, 0.57, 150, 0.05), (2000, 0.54, 100, 0.05), (20_000, 0.53, 50, 0.05)),
}
"""Stable pods -> (rps, share of equal canaries promoted, median seconds, share of those 10 % slower)."""


def _native() -> list[Cell]:
    """Return native histograms: held to what default buckets reach, of which they know more."""
    edges = tuple(NATIVE)
    cells = [
        Cell(
            table="latency-native",
            name=f"equal, 1 v {pods}, {rps:,} rps",
            service=Latencies(rps=rps, stable_pods=pods, sd=0.05, edges=edges),
            most=NULL,
            least={PROMOTED: (0.85 if pods == 19 else 0.53, np.inf)},
            releases=300,
        )
        for pods in (19, 3)
        for rps in (20, 200, 2000, 20_000)
    ]
    for word in ("+25 %", "+60 %", "+100 %", "1 % x 10", "5 % x 10"):
        changes, *figures = FOUND[word]
        margin = changes.get("shift") == QUESTION.shift
        for (rps, pods), (worse, beyond) in zip(SERVICES, figures, strict=True):
            cells.append(
                Cell(
                    table="latency-native",
                    name=f"{word}, 1 v {pods}, {rps:,} rps",
                    service=Latencies(rps=rps, stable_pods=pods, sd=0.05, edges=edges, **changes),
                    most={BEYOND: 0.01, PROMOTED: 0.05} if margin else {},
                    least={k: (v[0], np.inf) for k, v in ((WARN, worse), (BEYOND, beyond)) if v != NEVER},
                    releases=150,
                )
            )
    return cells


def _promote() -> list[Cell]:
    cells = []
    for pods, rows in HEALTHY.items():
        for rps, equal, seconds, slower in rows:
            service = Latencies(rps=rps, stable_pods=pods, sd=0.05)
            ways: tuple[tuple[str, float, dict[str, Any]], ...] = (
                ("equal", 1.0, {"least": {PROMOTED: (equal, seconds)}}),
                ("+10 %", 1.1, {"least": {PROMOTED: (slower, np.inf)}}),
                ("+25 %", 1.25, {"most": {PROMOTED: 0.05}}),
            )
            cells += [
                Cell(
                    table="latency-promote",
                    name=f"1 v {pods}, {rps:,} rps, {word}",
                    service=replace(service, shift=shift),
                    releases=450,
                    **promise,
                )
                for word, shift, promise in ways
            ]
    return cells


CELLS: Final[tuple[Cell | percentiles.Cell, ...]] = (*_null(), *_power(), *_native(), *_promote(), *percentiles.CELLS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cells that were asked for; return the exit code."""
    from tests.calibration.__main__ import table  # the whole calibration may import this module

    tables = sorted({cell.table for cell in CELLS})
    parser = argparse.ArgumentParser(prog="python -m tests.calibration.latency_cells", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tables, default=tables, metavar="TABLE", help=", ".join(tables))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the releases, for a quick look")
    chosen = parser.parse_args(arguments)
    cells = [replace(c, releases=max(30, round(c.releases * chosen.scale))) for c in CELLS if c.table in chosen.only]
    rows: list[Row] = []
    with tqdm(
        total=sum(-(-c.releases // len(SEEDS)) * len(SEEDS) for c in cells), unit=" releases", file=sys.stderr
    ) as bar:
        for cell in cells:
            bar.set_description(f"{cell.table} {cell.name}"[:44].ljust(44))
            rows += cell.measure(SEEDS, bar.update)
    print(f"seeds: {', '.join(f'{name} {seed}' for name, seed in SEEDS.items())}")
    print(table(rows))
    within = sum(row.passed for row in rows)
    print(f"{within} of {len(rows)} figures within target")
    return 0 if within == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
