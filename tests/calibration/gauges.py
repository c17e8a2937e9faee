"""Gauges: invented services of many releases, put through the evidence in one batch, and what is promised of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.signal import lfilter
from scipy.special import bdtr

from analysis.compare.gauge_arms import GaugeArms
from analysis.compare.gauge_curves import Curves, GaugeQuestion, curves
from analysis.compare.paired import pair
from analysis.grid import Floats
from tests.calibration.cells import Row, Tick
from tests.calibration.measures import WRONG_ONCE_IN, allowed

CHUNK: Final = 100
MEASURED: Final = 300  # releases behind the shares that cells are held to
QUESTION: Final = GaugeQuestion()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """
    A service whose pods each show a level, and one kind of release.

    Parameters
    ----------
    canary_pods, stable_pods : int
    pod_sd : float
        Standard deviation of the relative level between pods.
    lognormal : bool
        Whether pods differ by a lognormal factor, which is skewed towards high canaries, instead of a normal one.
    phi : float
        Lag-1 correlation of a pod's own noise, standard deviation ``noise``; common load has .99 and 10 %.
    looks, seconds, history : int, float, int
        Looks of one slot each, their length, slots of stable before them (0: none).
    effect : float
        The canary's level is ``1 + effect`` times stable's.
    slow : float
        Share of the noise's variance that has a correlation of .995.
    gaps : float
        Share of samples that are missing.
    uneven : float
        Standard deviation of the log of the pods' noise.
    replaced : bool
        Whether the canary's pods are replaced half way.
    coming : bool
        Whether each stable pod is there for a random half of the time.
    offset, sign : float
        Levels are ``offset + sign * level``: (-1, 1) has mean zero, (0, -1) is negative.
    """

    canary_pods: int = 1
    stable_pods: int = 5
    pod_sd: float = 0.05
    lognormal: bool = False
    phi: float = 0.8
    noise: float = 0.1
    looks: int = 240
    seconds: float = 15.0
    history: int = 960
    effect: float = 0.0
    slow: float = 0.0
    gaps: float = 0.0
    uneven: float = 0.0
    replaced: bool = False
    coming: bool = False
    offset: float = 0.0
    sign: float = 1.0


def walks(rng: np.random.Generator, shape: tuple[int, ...], phi: float) -> Floats:
    """Return stationary AR(1) noise of variance 1 along the last axis."""
    shocks = rng.standard_normal(shape)
    shocks[..., 1:] *= np.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], shocks, axis=-1))


def draw(fleet: Fleet, releases: int, rng: np.random.Generator) -> GaugeArms:
    """Return releases as a batch."""
    slots = fleet.history + fleet.looks
    pods = fleet.canary_pods + fleet.stable_pods
    load = 1 + 0.1 * walks(rng, (releases, 1, slots), 0.99)
    sd = fleet.noise * np.exp(fleet.uneven * rng.standard_normal((releases, pods, 1)))
    wander = np.sqrt(1 - fleet.slow) * walks(rng, (releases, pods, slots), fleet.phi)
    if fleet.slow:
        wander += np.sqrt(fleet.slow) * walks(rng, (releases, pods, slots), 0.995)
    own = 1 + sd * wander
    unlike = fleet.pod_sd * rng.standard_normal((releases, pods, 1))
    level = load * own * (np.exp(unlike) if fleet.lognormal else 1 + unlike)
    canary, stable = level[:, : fleet.canary_pods, fleet.history :].copy(), level[:, fleet.canary_pods :]
    if fleet.replaced:
        half = fleet.looks // 2
        fresh = np.exp(fleet.pod_sd * np.sqrt(2) * rng.standard_normal((releases, fleet.canary_pods, 1)))
        later = np.concatenate([np.full_like(canary, np.nan), canary * fresh], axis=1)
        later[:, : fleet.canary_pods, :half] = canary[:, :, :half]
        later[:, fleet.canary_pods :, :half] = np.nan
        canary = later
    if fleet.coming:
        stable = np.where(walks(rng, stable.shape, 0.99) > 0, stable, np.nan)
    canary = fleet.offset + fleet.sign * canary * (1 + fleet.effect)
    stable = fleet.offset + fleet.sign * stable
    canary = np.where(rng.random(canary.shape) < fleet.gaps, np.nan, canary)
    stable = np.where(rng.random(stable.shape) < fleet.gaps, np.nan, stable)
    return GaugeArms(
        canary=canary,
        baseline=stable[..., fleet.history :],
        history=stable[..., : fleet.history],
        upto=np.arange(1, fleet.looks + 1),
        left_out=np.zeros((releases, fleet.looks), dtype=bool),
    )


def run(
    fleet: Fleet,
    releases: int,
    seed: int,
    question: GaugeQuestion = QUESTION,
    tick: Tick = lambda _: None,
) -> Curves:
    """Return the evidence of many releases, drawn a chunk at a time; ``tick`` hears how many are done."""
    parts = []
    for first in range(0, releases, CHUNK):
        count = min(CHUNK, releases - first)
        arms = draw(fleet, count, np.random.default_rng([seed, first]))
        parts.append(curves(pair(arms), question))
        tick(count)
    return Curves(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in Curves.__slots__})


def first_time(curve: Floats, alpha: float, seconds: float) -> Floats:
    """Return, (N,), the seconds until a curve reaches 1/alpha; infinite if it never does."""
    reached = curve >= -np.log(alpha)
    return np.where(reached.any(axis=1), (reached.argmax(axis=1) + 1) * seconds, np.inf)


def kept(count: int, releases: int, share: float) -> bool:
    """Return whether so few may come from a true share; wrong once in 1,000."""
    return bool(bdtr(count, releases, share) >= 1 / WRONG_ONCE_IN)


@dataclass(frozen=True, slots=True, kw_only=True)
class GaugeCell:
    """
    One invented service, or a few of which the worst is shown, and its promises.

    Parameters
    ----------
    table, name : str
    fleets : tuple of Fleet
    levels : dict
        ``false`` (E_warn >= 100) or ``false promote`` (P >= 20) -> highest share.
    shares : dict
        ``found`` (E_warn >= 100) or ``promoted`` (P >= 20) -> share to reach, within two of its standard errors.
    seconds : dict
        The same figures -> median time; half of the releases must be there within 1.1 times it.
    releases : int
        Of each fleet.
    measured : dict
        Figure -> share that a longer run showed where it lies above its level: printed as a miss, news beyond that.
    remark : str
    """

    table: str
    name: str
    fleets: tuple[Fleet, ...]
    levels: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    releases: int = 1500
    measured: dict[str, float] = field(default_factory=dict)
    remark: str = ""

    def measure(self, seeds: dict[str, int], tick: Tick) -> list[Row]:
        """Simulate the cell and return its rows."""
        each = -(-self.releases // len(seeds))
        rows: list[Row] = []
        for fleet in self.fleets:
            runs = [run(fleet, each, seed, tick=tick) for seed in seeds.values()]
            rows += self._rows(fleet, runs)
        worst: dict[str, Row] = {}
        for row in rows:
            known = worst.get(row.figure)
            if known is None or (row.passed, known.reached) < (known.passed, row.reached):
                worst[row.figure] = row
        return list(worst.values())

    def _rows(self, fleet: Fleet, runs: list[Curves]) -> list[Row]:
        rows = []
        for figure, level in self.levels.items():
            times = _times(figure, runs, fleet)
            count = int(np.isfinite(times).sum())
            known = figure in self.measured and allowed(count, len(times), self.measured[figure])
            rows.append(self._row(figure, level, count / len(times), allowed(count, len(times), level), known))
        for figure, share in self.shares.items():
            times = _times(figure, runs, fleet)
            count = int(np.isfinite(times).sum())
            lowest = share - 2 * np.sqrt(share * (1 - share) / MEASURED)  # the figure has an error of its own
            rows.append(self._row(figure, share, count / len(times), kept(count, len(times), lowest)))
        for figure, most in self.seconds.items():
            times = _times(figure, runs, fleet)
            early = kept(int((times <= 1.1 * most).sum()), len(times), 0.5)
            rows.append(self._row(f"{figure}: median s", most, float(np.median(times)), early))
        return rows

    def _row(self, figure: str, target: float, reached: float, passed: bool, documented: bool = False) -> Row:
        return Row(
            table=self.table,
            cell=self.name,
            figure=figure,
            target=target,
            reached=reached,
            passed=passed,
            documented=documented,
            remark=self.remark,
        )


def _times(figure: str, runs: list[Curves], fleet: Fleet) -> Floats:
    """Return when each release reached what a figure speaks of, seconds; infinite if it never did."""
    if figure in ("promoted", "false promote"):
        return np.concatenate([first_time(r.promote, 0.05, fleet.seconds) for r in runs])
    return np.concatenate([first_time(r.warn, 0.01, fleet.seconds) for r in runs])


LEAST: Final = 0.002  # ceiling where a longer run showed none
PHIS: Final = (0.0, 0.5, 0.8, 0.95)
CEILINGS: Final = {
    (960, 2): (0.0, 0.001, 0.012),
    (960, 3): (0.0, 0.0, 0.011),
    (960, 5): (0.0, 0.0, 0.005),
    (960, 10): (0.0, 0.0, 0.003),
    (0, 1): (0.0, 0.0, 0.004),
    (0, 2): (0.0, 0.0, 0.004),
    (0, 3): (0.0, 0.001, 0.006),
    (0, 5): (0.0, 0.001, 0.005),
    (0, 10): (0.0, 0.0, 0.002),
}


def _equal() -> list[GaugeCell]:
    """Return canaries that are equal: false alarms at 1 % by fleet, pods and noise."""
    cells = []
    for (history, pods), levels in CEILINGS.items():
        phis = PHIS if history else (*PHIS, 0.9)
        for sd, level in zip((0.0, 0.05, 0.1), levels, strict=True):
            fleets = tuple(Fleet(stable_pods=pods, pod_sd=sd, phi=phi, history=history) for phi in phis)
            told = "4 h of history" if history else "no history"
            name = f"{told}, 1 v {pods}, pods {sd:.0%}, worst noise"
            known = history == 0 and pods == 10 and sd == 0.1
            cells.append(
                GaugeCell(
                    table="G1",
                    name=name,
                    fleets=fleets,
                    levels={"false": max(level, LEAST)},
                    measured={"false": 0.0055} if known else {},
                    remark="0.0055 over 4,000 releases: below the 0.01 that is promised" if known else "",
                )
            )
    odd = {
        "30 min of history": (Fleet(history=120), 0.003),
        "15 min of history": (Fleet(history=60), 0.004),
        "pods of unequal noise": (Fleet(uneven=0.5), 0.009),
        "noise slower than is seen": (Fleet(slow=0.3), LEAST),
    }
    for history in (960, 0):
        told = "history" if history else "no history"
        skewed = Fleet(stable_pods=3, pod_sd=0.1, lognormal=True, history=history)
        odd |= {
            f"three pods, 10%, lognormal, {told}": (skewed, 0.007 if history else 0.009),
            f"gaps, {told}": (Fleet(gaps=0.2, history=history), 0.003),
            f"canary replaced, {told}": (Fleet(replaced=True, history=history), 0.003),
            f"pods come and go, {told}": (Fleet(coming=True, history=history), LEAST),
            f"mean zero, {told}": (Fleet(offset=-1.0, history=history), LEAST),
            f"negative, {told}": (Fleet(sign=-1.0, history=history), LEAST),
        }
    return cells + [
        GaugeCell(table="G2", name=name, fleets=(fleet,), levels={"false": level}, releases=900)
        for name, (fleet, level) in odd.items()
    ]


def _unequal() -> list[GaugeCell]:
    """Return canaries with an effect: share found within the hour and median time."""
    table: list[tuple[str, int, int, float, int, dict[float, tuple[float, int | None]]]] = [
        ("history 2 v 10", 2, 10, 0.8, 960, {0.2: (0.83, 465), 0.4: (1.0, 90), 1.0: (1.0, 30)}),
        ("history 2 v 10", 2, 10, 0.95, 960, {0.2: (0.64, 2030), 0.4: (1.0, 390), 1.0: (1.0, 105)}),
        ("history 1 v 3", 1, 3, 0.8, 960, {0.2: (0.16, None), 0.4: (0.88, 300), 1.0: (1.0, 60)}),
        ("no history 2 v 10", 2, 10, 0.8, 0, {0.2: (0.73, 1010), 0.4: (1.0, 330), 1.0: (1.0, 270)}),
        ("no history 1 v 3", 1, 3, 0.8, 0, {0.2: (0.10, None), 0.4: (0.84, 975), 1.0: (1.0, 710)}),
        ("no history 1 v 3", 1, 3, 0.95, 0, {0.2: (0.05, None), 0.4: (0.42, None), 1.0: (0.62, 3150)}),
        ("no history 1 v 1", 1, 1, 0.5, 0, {0.4: (0.28, None), 1.0: (1.0, 495)}),
        ("no history 1 v 1", 1, 1, 0.8, 0, {0.4: (0.27, None), 1.0: (1.0, 1400)}),
        ("no history 1 v 1", 1, 1, 0.95, 0, {0.4: (0.06, None), 1.0: (0.23, None)}),
    ]
    cells = []
    for name, canary, stable, phi, history, effects in table:
        for effect, (share, median) in effects.items():
            fleet = Fleet(canary_pods=canary, stable_pods=stable, phi=phi, history=history, effect=effect)
            cells.append(
                GaugeCell(
                    table="G3",
                    name=f"{name}, phi {phi}, +{effect:.0%}",
                    fleets=(fleet,),
                    shares={"found": min(share, 0.99)},
                    seconds={} if median is None else {"found": median},
                    releases=600,
                )
            )
    return cells


def _promotable() -> list[GaugeCell]:
    """Return equal canaries that ask for a promotion, and canaries exactly at the tolerance."""
    cells = []
    for canary, stable, history, share, median in (
        (2, 10, 960, 0.99, 150),
        (2, 10, 0, 0.99, 390),
        (1, 3, 960, 0.69, 780),
        (1, 3, 0, 0.61, None),
    ):
        told = "history" if history else "no history"
        fleet = Fleet(canary_pods=canary, stable_pods=stable, history=history)
        cells.append(
            GaugeCell(
                table="G4",
                name=f"{told} {canary} v {stable}, equal",
                fleets=(fleet,),
                shares={"promoted": min(share, 0.98)},
                seconds={} if median is None else {"promoted": median},
                releases=600,
            )
        )
        margin = Fleet(canary_pods=canary, stable_pods=stable, history=history, effect=0.25)
        cells.append(
            GaugeCell(
                table="G4",
                name=f"{told} {canary} v {stable}, exactly +25 %",
                fleets=(margin,),
                levels={"false promote": 0.018},
                releases=900,
            )
        )
    return cells


GAUGE_CELLS: Final = (*_equal(), *_unequal(), *_promotable())
