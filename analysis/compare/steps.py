"""P_step of counts: what each weight step proved, anew at every step, and what the next weight may cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.compare.arms import Prepared, Traffic, no_worse, no_worse_now, step_demand
from analysis.evidence import Integers, Null
from analysis.grid import Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepEvidence:
    """
    What the weight steps of one release proved.

    Parameters
    ----------
    now : float
        log P_step at the newest look: what the running step is held to.
    slack : float or None
        D_step of the running step; None while the traffic is unknown.
    known : Traffic
        What that demand was made of.
    draw : callable
        Works out log P_step at every look. Only a drawing asks for more than the newest one, and the demand on earlier
        looks of a step follows the share that the canary had since.
    """

    now: float
    slack: float | None
    known: Traffic
    draw: Callable[[], Floats]
    _drawn: list[Floats] = field(default_factory=list, init=False, repr=False)

    @property
    def log_e(self) -> Floats:
        """(K,) log P_step, at 0 before the first bet of each step; the last is ``now``."""
        if not self._drawn:
            drawn = self.draw()
            drawn[-1] = self.now  # the same up to rounding
            self._drawn.append(drawn)
        return self._drawn[0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Demand:
    """What one weight step is held to: its looks, the limit, stable's share (None: unknown), the first look to bet."""

    part: Prepared
    null: Null
    share: Floats | None
    since: Integers
    known: Traffic


def step_evidence(prepared: Prepared, ratio: float, harm_budget: float, next_weight: float | None) -> StepEvidence:
    """
    Return P_step of one release over all its weight steps; it begins at 0 with each.

    Parameters
    ----------
    prepared : Prepared
        Of one release.
    ratio : float
        Of the tolerance; its slack follows from the budget.
    harm_budget : float
        Extra bad events that the next weight may cost in its first hour.
    next_weight : float or None
        The canary's next share, in (0, 1]; None: it follows from the observed one, as it does for closed steps.
    """
    bounds = [0, *(int(k) for k in np.flatnonzero(prepared.steps[0])), prepared.steps.shape[1]]
    weight = None if next_weight is None else np.array([next_weight])
    running = _demand(prepared, bounds[-2], bounds[-1], ratio, harm_budget, weight)

    def draw() -> Floats:
        closed = [_demand(prepared, *span, ratio, harm_budget, None) for span in itertools.pairwise(bounds[:-1])]
        return np.concatenate([no_worse(s.part, s.null, s.share, s.since, s.since)[0] for s in (*closed, running)])

    now = no_worse_now(running.part, running.null, running.share, running.since)
    slack = float(np.reshape(running.null.slack, -1)[0])
    return StepEvidence(
        now=float(now[0]), slack=slack if prepared.knows(running.known) else None, known=running.known, draw=draw
    )


def _demand(
    prepared: Prepared, start: int, end: int, ratio: float, harm_budget: float, weight: Floats | None
) -> _Demand:
    slack, known = step_demand(prepared, np.array([start]), np.array([end]), harm_budget, weight)
    return _Demand(
        part=replace(prepared, looks=prepared.looks.between(start, end)),
        null=Null(ratio=ratio, slack=slack),
        share=known.bad_share if prepared.history.traffic is not None else None,
        since=np.clip(known.since, start, None) - start,
        known=known,
    )
