"""
Whole rollouts, 5, 10, 25, 50, 100 %, played by the product: budgets, pods and noise estimated, the real burst check.

Each decision changes the traffic that the next one sees. ``webhook.simulation`` plays them, asked about once a minute,
a look late, as a controller would ask; beside it the threshold gate that is usual, which is told the base rate.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from analysis.grid import Floats
from analysis.policy import Policy, Proportion
from analysis.types import BoolArray, Weight
from tests.calibration.cells import Row, Tick
from tests.calibration.gauges import kept
from tests.calibration.measures import allowed
from webhook.simulation.batch import play_all
from webhook.simulation.played import Ended, simulated
from webhook.simulation.world import Release, World

HOUR: Final = 3600.0
NAME: Final = "error-rate"
POLICY: Final = Policy(
    name="default",
    questions=(Proportion(name=NAME, bad=("bad{$side}",), total="total{$side}", weight=Weight.CRITICAL),),
)
EFFECTS: Final = (1.0, 1.5, 2.0, 3.0, 10.0)
HEALTHY: Final = 1.0
CHECKS: Final = 5
ALL: Final = 0.99  # every one of the 400 that the figure was measured with


def play(
    world: World, effect: float, releases: int, seed: int, policy: Policy = POLICY, tick: Tick = lambda _: None
) -> list[Ended]:
    """Return how so many releases of a service end whose bad share the canary multiplies by ``effect``."""
    seeded = replace(world, seed=seed)
    asked = simulated(policy, seeded)
    every = [Release(world=seeded, policy=asked, number=n, effect=effect, hit=NAME) for n in range(releases)]

    def ended() -> None:
        tick(1)

    return play_all(every, ended)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutCell:
    """
    Releases of one service with one effect.

    Parameters
    ----------
    table, name : str
    world : World
    effect : float
        1 is a healthy release.
    policy : Policy
    most, least : dict
        Figure -> share; figures are ``promoted``, ``promoted in 1 h`` and ``aborted``. All are shown, those are held.
    harm : float or None
        Extra bad events that a release may cost on average.
    releases : int
    """

    table: str
    name: str
    world: World
    effect: float = HEALTHY
    policy: Policy = POLICY
    most: dict[str, float] = field(default_factory=dict)
    least: dict[str, float] = field(default_factory=dict)
    harm: float | None = None
    releases: int = 400

    @property
    def word(self) -> str:
        """Return what the release is called."""
        return "healthy" if self.effect == HEALTHY else f"RR {self.effect:g}"

    def measure(self, seeds: dict[str, int], tick: Tick) -> list[Row]:
        """Play the releases and return their rows."""
        each = -(-self.releases // len(seeds))
        ended = [e for seed in seeds.values() for e in play(self.world, self.effect, each, seed, self.policy, tick)]
        counts = {
            "promoted in 1 h": sum(e.outcome == "promoted" and e.seconds <= HOUR for e in ended),
            "promoted": sum(e.outcome == "promoted" for e in ended),
            "aborted": sum(e.outcome == "aborted" for e in ended),
        }
        rows = []
        for figure, count in counts.items():
            target, passed = np.nan, True
            if figure in self.most:
                target, passed = self.most[figure], allowed(count, len(ended), self.most[figure])
            if figure in self.least:
                target, passed = self.least[figure], kept(count, len(ended), self.least[figure])
            rows.append(self._row(figure, target, count / len(ended), passed))
        for outcome in ("promoted", "aborted"):
            minutes = [e.seconds / 60 for e in ended if e.outcome == outcome]
            rows.append(self._row(f"{outcome}, median min", np.nan, float(np.median(minutes)) if minutes else np.nan))
        harmed = float(np.mean([e.harmed for e in ended]))
        most = np.nan if self.harm is None else self.harm
        rows.append(self._row("extra bad events", most, harmed, self.harm is None or harmed <= self.harm))
        rows.append(self._row("releases", np.nan, float(len(ended))))
        return rows

    def _row(self, figure: str, target: float, reached: float, passed: bool = True) -> Row:
        name = f"{self.word}: {figure}"
        return Row(table=self.table, cell=self.name, figure=name, target=target, reached=reached, passed=passed)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdCell:
    """
    The usual threshold gate on the same service: a check every look, five failures abort, five good ones are a step.

    A check fails if the canary's bad share exceeds twice the base, which it is told exactly; a check without requests
    is good. There is no other proof and no other wait.
    """

    table: str
    name: str
    world: World
    releases: int = 2000

    def measure(self, seeds: dict[str, int], tick: Tick) -> list[Row]:
        """Play releases of every effect and return their rows."""
        each = -(-self.releases // len(seeds))
        rows = []
        for effect in EFFECTS:
            parts = [self._played(effect, each, np.random.default_rng([seed, 5])) for seed in seeds.values()]
            promoted, harmed = (np.concatenate(values) for values in zip(*parts, strict=True))
            word = "healthy" if effect == HEALTHY else f"RR {effect:g}"
            for figure, value in (("promoted", promoted.mean()), ("extra bad events", harmed.mean())):
                name = f"threshold gate, {word}: {figure}"
                rows.append(
                    Row(table=self.table, cell=self.name, figure=name, target=np.nan, reached=float(value), passed=True)
                )
        tick(each * len(seeds))
        return rows

    def _played(self, effect: float, releases: int, rng: np.random.Generator) -> tuple[BoolArray, Floats]:
        world = self.world
        pods = np.exp(world.sd * rng.standard_normal((releases, world.most_canaries)))
        step, good, failed = (np.zeros(releases, dtype=np.int64) for _ in range(3))
        requests = np.zeros(releases)
        for _ in range(world.looks):
            going = (failed < CHECKS) & (step < len(world.weights))
            if not going.any():
                break
            weight = np.array([*world.weights, 0.0])[step]
            serving = np.array([*(world.canaries(s) for s in range(len(world.weights))), 1])[step]
            active = np.arange(world.most_canaries) < serving[:, None]
            total = rng.poisson(np.where(active, (world.rps * world.look * weight / serving)[:, None], 0.0))
            share = np.minimum(world.share * effect * pods, 1.0)
            bad = rng.binomial(total, share).sum(axis=1)
            seen = total.sum(axis=1)
            requests += np.where(going, seen, 0)
            fails = bad > 2 * world.share * seen
            failed += going & fails
            good += going & ~fails
            onward = going & (good >= CHECKS)
            step[onward] += 1
            good[onward] = 0
        return step >= len(world.weights), (effect - 1) * world.share * requests


SERVICES: Final = tuple((share, rps) for share in (0.01, 0.001) for rps in (0.1, 1.0, 5.0, 20.0, 200.0, 2000.0))
IN_AN_HOUR: Final = {
    (0.01, 20.0): 0.95,
    (0.001, 20.0): 0.90,
    **{(share, rps): ALL for share in (0.01, 0.001) for rps in (200.0, 2000.0)},
}
NO_RR_3: Final = frozenset(s for s in SERVICES if s[0] * s[1] >= 0.005)
"""From 1 request a second at 1 %, and 5 at 0.1 %."""


def _cells() -> list[RolloutCell | ThresholdCell]:
    cells: list[RolloutCell | ThresholdCell] = []
    for share, rps in SERVICES:
        world, name = World(rps=rps, share=share), f"{100 * share:g} %, {rps:g} rps"
        for effect in EFFECTS:
            most, least = {}, {}
            if effect == HEALTHY:
                most["aborted"] = 0.001
                least["promoted"] = 0.93
                if (share, rps) in IN_AN_HOUR:
                    least["promoted in 1 h"] = IN_AN_HOUR[share, rps]
            if effect == 3.0 and (share, rps) in NO_RR_3:
                most["promoted"] = 0.01
            cells.append(RolloutCell(table="T14", name=name, world=world, effect=effect, most=most, least=least))
        cells.append(ThresholdCell(table="T14", name=name, world=world))
    return cells


STEPS: Final = ((0.05, 0.1, 0.25, 0.5), (0.25, 0.5), (0.5,))
BUDGETS: Final = (20.0, 30.0, 40.0, 52.0)
HISTORIES: Final = (4.0, 24.0)
CHOSEN: Final = ((0.25, 0.5), 52.0, 24.0)
"""Steps, harm budget and hours of history of what decision 17 names for a quiet service: held to what was wanted."""
HARM_AT_RR_2: Final = 54.0
"""Extra bad events of a release of twice the errors with the reference's settings, 1 request a second, 1 %."""


def _quiet() -> list[RolloutCell]:
    """Return what a service of 1 request a second may choose: other steps, another harm budget, a longer history."""
    return [
        RolloutCell(
            table="T14q",
            name=f"{', '.join(f'{100 * w:g}' for w in steps)} %, budget {budget:g}, {hours:g} h of history",
            world=World(rps=1.0, share=0.01, weights=steps, history=hours * HOUR),
            effect=effect,
            policy=replace(POLICY, harm_budget=budget),
            **(_wanted(effect) if (steps, budget, hours) == CHOSEN else {}),
        )
        for hours in HISTORIES
        for steps in STEPS
        for budget in BUDGETS
        for effect in (EFFECTS if (steps, budget, hours) == CHOSEN else (HEALTHY,))
    ]


def _wanted(effect: float) -> dict[str, Any]:
    held: dict[str, Any] = {"releases": 1200}
    if effect == HEALTHY:
        held |= {"least": {"promoted in 1 h": 0.9, "promoted": 0.93}, "most": {"aborted": 0.001}}
    elif effect == 2.0:
        held |= {"harm": HARM_AT_RR_2}
    elif effect == 3.0:
        held |= {"most": {"promoted": 0.01}}
    return held


ROLLOUT_CELLS: Final = (*_cells(), *_quiet())
