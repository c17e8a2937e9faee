"""
How long a mean difference will take to be proved: gauges, latency scores, anything that a t-mixture judges.

Noise shrinks with time, differences between pods do not; so the wait is found by letting the first part shrink, and
where the second alone forbids the proof it never comes. A forecast never touches error control.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.forecast import Wait
from analysis.student import log_mixture

FARTHEST: Final = 1e4
"""Times the present age beyond which a proof counts as never."""
SURE: Final = 0.84
"""Standard deviations to the side that four in five waits stay within."""
ONLY_PODS: Final = "more replicas would help, more time would not"
NOT_AS_IT_IS: Final = "not as it is: the estimate lies on the other side"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """
    A mean difference as it stands.

    Parameters
    ----------
    excess : float
        Estimate less the boundary, in the direction that is to be proved.
    noise, pods : float
        The two parts of its variance: the first shrinks with time.
    dof : float
        Degrees of freedom of their sum.
    seconds : float
        How long it took to get there, > 0.
    """

    excess: float
    noise: float
    pods: float
    dof: float
    seconds: float

    def log_e(self, factor: float, excess: float) -> float:
        """Return the log evidence after ``factor`` times the present age."""
        return float(log_mixture(np.array(excess), np.array(self.noise / factor + self.pods), np.array(self.dof)))

    def seconds_to(self, goal: float, excess: float) -> float:
        """Return how many more seconds the evidence needs to reach ``goal`` nats; 0 if it has, infinite if never."""
        if self.log_e(1.0, excess) >= goal:
            return 0.0
        if self.log_e(FARTHEST, excess) < goal:
            return math.inf
        low, high = 1.0, FARTHEST
        for _ in range(40):
            middle = math.sqrt(low * high)
            low, high = (low, middle) if self.log_e(middle, excess) >= goal else (middle, high)
        return self.seconds * (high - 1)


def wait_for(mean: Mean, goal: float, requests_per_second: float | None = None) -> Wait:
    """
    Return how long a mean needs to be proved.

    Parameters
    ----------
    mean : Mean
    goal : float
        Nats.
    requests_per_second : float, optional
        Of the canary; without it no requests are told (NaN).
    """
    seconds = mean.seconds_to(goal, mean.excess)
    later = mean.seconds_to(goal, mean.excess - SURE * math.sqrt(mean.noise + mean.pods))
    rate = math.nan if requests_per_second is None else requests_per_second
    reason = ""
    if math.isinf(seconds):
        reason = ONLY_PODS if mean.excess > 0 else NOT_AS_IT_IS
    return Wait(
        canary_requests=_times(seconds, rate),
        seconds=seconds,
        sure_requests=_times(later, rate),
        sure_seconds=later,
        reason=reason,
    )


def _times(seconds: float, rate: float) -> float:
    return 0.0 if seconds == 0 else seconds * rate


def slower(first: Wait, second: Wait) -> Wait:
    """Return the longer of two waits: both must end."""
    return first if first.seconds >= second.seconds else second
