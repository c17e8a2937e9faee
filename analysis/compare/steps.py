"""P_step of counts: what each weight step proved, anew at every step, and what the next weight may cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.compare.arms import Prepared, Traffic
from analysis.compare.claims import no_worse, no_worse_now, step_demand
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


def step_evidence(
    prepared: Prepared,
    ratio: float | Floats,
    harm_budget: float,
    next_weight: float | None,
    each: Sequence[Prepared] | None = None,
) -> list[StepEvidence]:
    """
    Return P_step of each of N releases over all its weight steps; it begins at 0 with each.

    Parameters
    ----------
    prepared : Prepared
    ratio : float or (N,) float64
        Of the tolerance; its slack follows from the budget.
    harm_budget : float
        Extra bad events that the next weight may cost in its first hour.
    next_weight : float or None
        The canary's next share, in (0, 1]; None: it follows from the observed one, as it does for closed steps.
    each : sequence of Prepared, optional
        The releases one by one, where there are several.
    """
    releases, count = prepared.steps.shape
    bounds = [[0, *np.flatnonzero(marks).tolist(), count] for marks in prepared.steps]
    start = np.array([some[-2] for some in bounds])
    running = _demand(prepared, start, count, ratio, harm_budget, next_weight)
    now = no_worse_now(running.part, running.null, running.share, running.since)
    slack, ratios = np.asarray(running.null.slack), np.broadcast_to(ratio, releases)
    found = []
    for row, alone in enumerate(each or [prepared]):
        known = running.known.chosen(slice(row, row + 1))
        found.append(
            StepEvidence(
                now=float(now[row]),
                slack=float(slack[row]) if alone.knows(known) else None,
                known=known,
                draw=_Drawing(alone, bounds[row], float(ratios[row]), harm_budget, next_weight),
            )
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Drawing:
    """Works out log P_step of one release at every look: looks between ``bounds`` ran at one weight each."""

    prepared: Prepared
    bounds: Sequence[int]
    ratio: float
    harm_budget: float
    next_weight: float | None

    def __call__(self) -> Floats:
        *closed, running = itertools.pairwise(self.bounds)
        steps = [(span, None) for span in closed] + [(running, self.next_weight)]
        return np.concatenate([self._step(span, weight) for span, weight in steps])

    def _step(self, span: tuple[int, int], weight: float | None) -> Floats:
        step = _demand(self.prepared, np.array(span[:1]), span[1], self.ratio, self.harm_budget, weight)
        return np.asarray(no_worse(step.part, step.null, step.share, step.since, step.since)[0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Demand:
    """What weight steps are held to: their looks, the limit, stable's share (None: unknown), the first look to bet."""

    part: Prepared
    null: Null
    share: Floats | None
    since: Integers
    known: Traffic


def _demand(
    prepared: Prepared, start: Integers, end: int, ratio: float | Floats, harm_budget: float, weight: float | None
) -> _Demand:
    """Return what steps are held to that began at look ``start``, (N,), and ended before look ``end``."""
    ends, first = np.full_like(start, end), int(start.min())
    weights = None if weight is None else np.full(len(start), weight)
    slack, known = step_demand(prepared, start, ends, harm_budget, weights)
    looks = prepared.looks.between(first, end)
    return _Demand(
        part=prepared if looks is prepared.looks else replace(prepared, looks=looks),
        null=Null(ratio=ratio, slack=slack),
        share=known.bad_share if prepared.history.traffic is not None else None,
        since=np.maximum(known.since, start) - first,
        known=known,
    )
