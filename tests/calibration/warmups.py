"""Young canaries: a level that is too high while a pod is young, and how often that is taken for a fault."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from analysis.compare.gauge_curves import curves
from analysis.compare.paired import pair
from analysis.grid import Floats
from analysis.warmup import OBSERVED, learned_length
from tests.calibration.cells import Row, Tick
from tests.calibration.gauges import CHUNK, QUESTION, Fleet, draw, walks
from tests.calibration.measures import allowed

SLOTS_A_MINUTE: Final = 4
FLEET: Final = Fleet(stable_pods=5, phi=0.8, pod_sd=0.05)
SIZES_DIFFER: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Youth:
    """An excess of ``size exp(-age/minutes)``; sizes differ between ``births`` by 30 %, as does the canary's."""

    size: float
    minutes: float
    births: int = 10


def curve(youth: Youth, sizes: Floats) -> Floats:
    """Return, (..., 240), by which factor a young pod is high in each slot of its first hour."""
    age = (np.arange(OBSERVED * SLOTS_A_MINUTE) + 1) / SLOTS_A_MINUTE
    return np.asarray(1 + sizes[..., None] * np.exp(-age / youth.minutes))


def learned(youth: Youth, releases: int, rng: np.random.Generator) -> Floats:
    """Return, (N,), the warm-up length in seconds that each release learned from its own past births."""
    shape = releases, youth.births
    sizes = youth.size * np.maximum(1 + SIZES_DIFFER * rng.standard_normal(shape), 0.0)
    pod = curve(youth, sizes) * (1 + FLEET.noise * walks(rng, (*shape, OBSERVED * SLOTS_A_MINUTE), FLEET.phi))
    pod *= 1 + FLEET.pod_sd * rng.standard_normal((*shape, 1))
    others = 1 + FLEET.noise / np.sqrt(FLEET.stable_pods) * walks(rng, pod.shape, FLEET.phi)
    logs = np.log(np.maximum(pod, 0.01) / others).reshape(*shape, OBSERVED, SLOTS_A_MINUTE).mean(axis=-1)
    found = [learned_length(births) for births in logs]
    return np.array([np.nan if v is None else v for v in found])


def alarms(youth: Youth, releases: int, seed: int, minutes: float | None, tick: Tick) -> tuple[Floats, Floats, Floats]:
    """Return, each (N,), alarms of "worse", of "beyond the tolerance", and the lengths dropped, seconds."""
    warn, beyond, dropped = [], [], []
    for first in range(0, releases, CHUNK):
        count = min(CHUNK, releases - first)
        rng = np.random.default_rng([seed, first])
        arms = draw(FLEET, count, rng)
        sizes = youth.size * np.maximum(1 + SIZES_DIFFER * rng.standard_normal((count, 1)), 0.0)
        lengths = learned(youth, count, rng) if minutes is None else np.full(count, 60 * minutes)
        slots = FLEET.seconds * (np.arange(FLEET.looks) + 1)
        old = slots >= lengths[:, None] + FLEET.seconds
        canary = np.where(old[:, None, :], arms.canary * curve(youth, sizes), np.nan)
        found = curves(pair(replace(arms, canary=canary)), QUESTION)
        warn.append(found.warn.max(axis=1) >= np.log(100))
        beyond.append(found.tolerated.max(axis=1) >= np.log(100))
        dropped.append(lengths)
        tick(count)
    return np.concatenate(warn), np.concatenate(beyond), np.concatenate(dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpCell:
    """One kind of youth: false alarms of both kinds, with ``minutes`` dropped or, None, what births taught."""

    table: str
    name: str
    youth: Youth
    minutes: float | None
    worse: float
    beyond: float
    releases: int = 600

    def measure(self, seeds: dict[str, int], tick: Tick) -> list[Row]:
        """Simulate the cell and return its rows."""
        each = -(-self.releases // len(seeds))
        runs = [alarms(self.youth, each, seed, self.minutes, tick) for seed in seeds.values()]
        warn, beyond, dropped = (np.concatenate(parts) for parts in zip(*runs, strict=True))
        rows = []
        for figure, hits, level in (("false worse", warn, self.worse), ("false beyond", beyond, self.beyond)):
            count = int(hits.sum())
            rows.append(
                Row(
                    table=self.table,
                    cell=self.name,
                    figure=figure,
                    target=level,
                    reached=count / len(hits),
                    passed=allowed(count, len(hits), level),
                    remark=f"median {np.median(dropped) / 60:.0f} min dropped",
                )
            )
        return rows


LEAST: Final = 0.002
_TABLE: Final = {
    (0.6, 2.0): {5.0: (0.0, 0.0), 10.0: (0.0, 0.0), None: (0.0, 0.0)},
    (0.6, 5.0): {5.0: (0.06, 0.0), 10.0: (0.0, 0.0), None: (0.0, 0.0)},
    (1.0, 5.0): {5.0: (0.25, 0.02), 10.0: (0.008, 0.0), None: (0.0, 0.0)},
    (1.0, 10.0): {5.0: (0.83, 0.32), 10.0: (0.42, 0.03), None: (0.002, 0.0)},
    (3.0, 3.0): {5.0: (0.43, 0.07), 10.0: (0.0, 0.0), None: (0.0, 0.0)},
}
WARMUP_CELLS: Final = tuple(
    WarmUpCell(
        table="W1",
        name=f"+{size:.0%}, {minutes:g} min, "
        + ("learned from births" if dropped is None else f"{dropped:g} min dropped"),
        youth=Youth(size=size, minutes=minutes),
        minutes=dropped,
        worse=max(worse, LEAST),
        beyond=max(beyond, LEAST),
    )
    for (size, minutes), rows in _TABLE.items()
    for dropped, (worse, beyond) in rows.items()
)
