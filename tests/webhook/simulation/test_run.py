"""What holds a release back that its evidence would promote: silence, no baseline, a step that is too young."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.policy import Policy, Proportion
from webhook.simulation.played import simulated
from webhook.simulation.run import Run, held_back
from webhook.simulation.world import START, Release, World

WORLD = World(rps=10.0, history=3600.0)
POLICY = simulated(Policy(name="x", questions=(Proportion(name="e", bad=("b{$side}",), total="t{$side}"),)), WORLD)


def run(canary, stable, told=(), **policy):
    """Return a release that served so many requests a look on one pod of each side."""
    release = Release(world=WORLD, policy=replace(POLICY, **policy), number=0, effect=1.0, hit="e")
    made = Run(release=release, noise={}, past={}, told=list(told))
    made.canary = [np.array([value]) for value in canary]
    made.stable = [np.array([value]) for value in stable]
    return made


def step(look):
    """Return a step that was promoted when a look ended, and told a look later."""
    return {"kind": "step", "time": START + (look + 1) * WORLD.look, "after": START + look * WORLD.look}


TEN = [10.0] * 10
QUIET = [*[10.0] * 4, *[0.0] * 6]


@pytest.mark.parametrize(
    ("served", "changed", "final", "held"),
    [
        pytest.param(run(TEN, TEN), 0, False, False, id="nothing"),
        pytest.param(run([0.0] * 10, TEN), 0, False, True, id="the canary was never heard"),
        pytest.param(run(TEN, [0.0] * 10), 0, False, True, id="the baseline was never heard"),
        pytest.param(run(QUIET, TEN), 0, False, True, id="the canary fell silent"),
        pytest.param(run(TEN, QUIET), 0, False, True, id="no baseline any more"),
        pytest.param(run(TEN, QUIET), 0, True, False, id="no baseline, but all was proved"),
        pytest.param(run(TEN, TEN, [step(7)]), 7, False, False, id="two looks into a step, seen at once"),
        pytest.param(run(TEN, TEN, [step(8)]), 8, False, True, id="one look into a step"),
        pytest.param(run(TEN, TEN, [step(7)]), 0, False, True, id="not seen yet: it counts from when it was told"),
        pytest.param(run(TEN, TEN, [step(6)]), 0, False, False, id="not seen, told long enough ago"),
        pytest.param(run(TEN, TEN, [step(8)], min_step=0.0), 8, False, False, id="no least time: one look is enough"),
        pytest.param(run(TEN, TEN, [step(9)], min_step=0.0), 0, False, True, id="no least time, but no look either"),
        pytest.param(run(TEN, TEN, min_step=900.0), 0, False, True, id="younger than the least time"),
    ],
)
def test_what_holds_back(served, changed, final, held):
    """Asked when the tenth look ends, with nine closed: the rules of a verdict, one by one."""
    assert held_back(served, 10, changed, final=final) is held
