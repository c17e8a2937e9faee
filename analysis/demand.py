"""
How much proof a step needs: a step is worth what it can cost.

A step is refused only while more than the harm budget of extra bad events in the next ten minutes (or five
minutes' worth of stable's own) is credible; the last one while "beyond the tolerance and more than the budget
in the first hour" is.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from analysis.grid import Floats

STEP_HORIZON_S: Final = 600.0
FINAL_HORIZON_S: Final = 3600.0
OWN_SHARE_S: Final = 300.0
LARGEST_SLACK: Final = 0.9


def next_weight(observed: Floats) -> Floats:
    """Return the canary's next share when nobody names it: ``min(1, max(2w, w + 0.2))`` of the observed one."""
    return np.minimum(1.0, np.maximum(2 * observed, observed + 0.2))


def step_slack(
    budget: float,
    requests_per_second: Floats,
    bad_share: Floats,
    weight: Floats,
    largest: float | Floats = LARGEST_SLACK,
) -> Floats:
    """
    Return the absolute slack that a step to ``weight`` may be given.

    Parameters
    ----------
    budget : float
        Harm budget in bad events, > 0.
    requests_per_second : (...,) float64
        Of both sides together, > 0.
    bad_share : (...,) float64
        Bad share of stable.
    weight : (...,) float64
        The canary's share after the step, in (0, 1].
    largest : float or (...,) float64, default 0.9
        No share exceeds 1; for events per unit of another exposure, infinite.

    Returns
    -------
    (...,) float64
        ``min(largest, B/(r w 600 s))`` with ``B = max(budget, 300 s r p)``.
    """
    events = np.maximum(budget, OWN_SHARE_S * requests_per_second * bad_share)
    return np.minimum(largest, events / (requests_per_second * weight * STEP_HORIZON_S))


def final_slack(
    slack: float | Floats, budget: float, requests_per_second: Floats, largest: float | Floats = LARGEST_SLACK
) -> Floats:
    """
    Return the absolute slack of the last step: the question's, or what the budget allows in an hour.

    Parameters
    ----------
    slack : float or (...,) float64
        The question's own, >= 0.
    budget : float
        Harm budget in bad events, > 0.
    requests_per_second : (...,) float64
        Of both sides together, > 0.
    largest : float or (...,) float64, default 0.9

    Returns
    -------
    (...,) float64
        ``max(slack, budget/(r 3600 s))``, at most ``largest``.
    """
    return np.minimum(largest, np.maximum(slack, budget / (requests_per_second * FINAL_HORIZON_S)))
