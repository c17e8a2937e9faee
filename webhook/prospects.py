"""What a policy could prove how soon at a service's traffic: a fresh release, at usual weights, from nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis import merging
from analysis.demand import final_slack, step_slack
from analysis.demand import next_weight as default_next
from analysis.forecast import ABORT_OVERSHOOT, PROMOTE_OVERSHOOT, Goal, Wait, wait
from analysis.growth import Outlook
from analysis.policy import OMEGA, Policy, Proportion
from analysis.types import Direction, Json, May

WEIGHTS: Final = (0.05, 0.1, 0.25)
HARMS: Final = (2.0, 3.0)
"""Ratios of harm that a release is given to see when it would be aborted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """
    A service as it is now.

    Parameters
    ----------
    requests_per_second : float
        Of both sides together, > 0.
    bad_share : float
        Of the baseline, in (0, 1).
    phi : float
        Dispersion, >= 1.
    """

    requests_per_second: float
    bad_share: float
    phi: float


def prospects(policy: Policy, question: Proportion, traffic: Traffic) -> list[dict[str, Json]]:
    """
    Return what a question could decide at 5, 10 and 25 % of the traffic.

    Parameters
    ----------
    policy : Policy
    question : Proportion
    traffic : Traffic

    Returns
    -------
    list of dict
        One per weight: ``weight``, ``next_weight``; ``step`` (a healthy release is let to the next weight), ``final``
        (and to all traffic), ``abort`` by ratio of harm (``"2"``, ``"3"``). Each a wait: ``canary_requests`` and
        ``seconds`` (median), ``sure_requests`` and ``sure_seconds`` (four of five are decided by then), or null
        numbers and the ``reason`` why never.

    Notes
    -----
    Expected growth of the log evidence per request, `analysis.growth.growth`, from nothing to each goal.
    """
    return [_at(policy, question, traffic, weight) for weight in WEIGHTS]


def _at(policy: Policy, question: Proportion, traffic: Traffic, weight: float) -> dict[str, Json]:
    coming = next((step for step in policy.steps if step > weight * 1.1), None)
    coming = float(default_next(np.array(weight))) if coming is None else coming
    rate, share = traffic.requests_per_second, traffic.bad_share
    ratio, slack = question.tolerance.ratio, question.tolerance.absolute
    budget = float(step_slack(policy.harm_budget, np.array(rate), np.array(share), np.array(coming)))
    hour = float(final_slack(slack, policy.harm_budget, np.array(rate)))
    step = Goal(nats=PROMOTE_OVERSHOOT - math.log(policy.alpha.step), limit=(ratio, budget), above=False)
    final = Goal(nats=PROMOTE_OVERSHOOT - math.log(policy.alpha.promote), limit=(ratio, hour), above=False)
    healthy = _outlook(question, traffic, 1.0)
    goals = _harm(policy, question)
    return {
        "weight": weight,
        "next_weight": coming,
        "step": _said(wait(healthy, (step,), weight)),
        "final": _said(wait(healthy, (step, final), weight)),
        "abort": {f"{harm:g}": _said(wait(_outlook(question, traffic, harm), goals, weight)) for harm in HARMS},
    }


def _outlook(question: Proportion, traffic: Traffic, harm: float) -> Outlook:
    """Return the figures of a release that does so much harm; where a fall does, the canary's share is the lower."""
    swapped = question.direction is Direction.DECREASE
    return Outlook(
        ratio=harm,
        share=traffic.bad_share / harm if swapped else traffic.bad_share,
        phi=traffic.phi,
        requests_per_second=traffic.requests_per_second,
        swapped=swapped,
    )


def _harm(policy: Policy, question: Proportion) -> tuple[Goal, ...]:
    """Return what an abort asks of this question alone; nothing if it may not abort."""
    asked = [q for q in policy.questions if isinstance(q, Proportion) and not q.muted]
    strength = [OMEGA[q.weight] if q.may is not May.REPORT else 0.0 for q in asked]
    names = [q.name for q in asked]
    omega = float(merging.shares(strength)[names.index(question.name)]) if question.name in names else 0.0
    if omega <= 0 or question.may is not May.ABORT:
        return ()
    limit = (question.tolerance.ratio, question.tolerance.absolute)
    return (
        Goal(nats=ABORT_OVERSHOOT - math.log(policy.alpha.abort * omega), limit=(1.0, 0.0), above=True),
        Goal(nats=ABORT_OVERSHOOT - math.log(policy.alpha.tolerated * omega), limit=limit, above=True),
    )


def _said(found: Wait) -> Mapping[str, Json]:
    numbers = {
        "canary_requests": found.canary_requests,
        "seconds": found.seconds,
        "sure_requests": found.sure_requests,
        "sure_seconds": found.sure_seconds,
    }
    return {key: math.ceil(value) if math.isfinite(value) else None for key, value in numbers.items()} | {
        "reason": found.reason
    }
