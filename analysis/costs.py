"""What a release can still cost: extra bad events that stay credible after the next step, and after the last one."""

from __future__ import annotations

import math
from typing import Final

from analysis.compare.counts import CountsEvidence
from analysis.compare.effects import effect
from analysis.demand import STEP_HORIZON_S

FIRST_HOUR_S: Final = 3600.0


def credible_ratio(evidence: CountsEvidence) -> float | None:
    """
    Return the worst ratio of bad shares that the confidence sequence leaves, as harm: above 1 is more of it.

    Returns
    -------
    float or None
        At least 0; None while nothing bounds it. Where a fall harms it is the inverse of the lower bound.
    """
    found = effect(evidence)
    if found is None:
        return None
    ratio = (1 / found.low if found.low > 0 else math.inf) if evidence.question.swapped else found.high
    return ratio if math.isfinite(ratio) else None


def _cost(evidence: CountsEvidence, slack: float, requests: float) -> float:
    """Return the extra bad events of so many canary requests: up to the limit ``rho p + slack``, or the bound below."""
    share = evidence.bad_share or 0.0
    allowed = (evidence.question.ratio - 1) * share + slack
    ratio = credible_ratio(evidence)
    if ratio is not None:
        allowed = min(allowed, max(0.0, ratio - 1) * share)
    return max(0.0, allowed) * requests


def step_cost(evidence: CountsEvidence, requests_per_second: float) -> float | None:
    """
    Return the extra bad events of the ten minutes after the next step that stay credible once it is taken.

    Parameters
    ----------
    evidence : CountsEvidence
    requests_per_second : float
        Of the whole service.

    Returns
    -------
    float or None
        ``(min(r_high, rho + D_step/p) - 1) p r w' 600 s``, never below 0; None while the next weight or the demand is
        unknown.
    """
    if evidence.next_weight is None or evidence.slack_step is None:
        return None
    return _cost(evidence, evidence.slack_step, requests_per_second * evidence.next_weight * STEP_HORIZON_S)


def worst_cost(evidence: CountsEvidence, requests_per_second: float) -> float:
    """
    Return the extra bad events of the first hour at full weight that stay credible after the last step.

    Parameters
    ----------
    evidence : CountsEvidence
    requests_per_second : float
        Of the whole service.

    Returns
    -------
    float
        ``(min(r_high, rho + D/p) - 1) p r 3600 s``, or ``r D 3600 s`` while no bound is known; never below 0.
    """
    slack = evidence.slack_final if evidence.slack_final is not None else evidence.question.slack
    return _cost(evidence, slack, requests_per_second * FIRST_HOUR_S)
