"""
How long a mean difference will take to be proved: gauges, latency scores, anything that a t-mixture judges.

Noise shrinks with time, differences between pods do not; so the wait is found by letting the first part shrink, and
where the second alone forbids the proof it never comes. A forecast never touches error control.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.forecast import Wait
from analysis.grid import Floats
from analysis.student import log_mixture

FARTHEST: Final = 1e4
"""Times the present age beyond which a proof counts as never."""
NOW_AND_LAST: Final[Floats] = np.array([[1.0], [FARTHEST]])
SURE: Final = 0.84
"""Standard deviations to the side that four in five waits stay within."""
ROUNDS: Final = 10
HALVINGS: Final = 4
"""The stretch that an age is looked for in is halved so often, in so many rounds: to eleven digits."""
ONLY_PODS: Final = "more replicas would help, more time would not"
NOT_AS_IT_IS: Final = "not as it is: the estimate lies on the other side"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """
    A mean difference as it stands.

    Parameters
    ----------
    noise, pods : float
        The two parts of its variance: the first shrinks with time.
    dof : float
        Degrees of freedom of their sum.
    seconds : float
        How long it took to get there, > 0.
    """

    noise: float
    pods: float
    dof: float
    seconds: float

    def log_e(self, factor: Floats, excess: Floats) -> Floats:
        """Return the log evidence of an excess after ``factor`` times the present age, of the broadcast shape."""
        return log_mixture(excess, self.noise / factor + self.pods, self.dof)

    def seconds_to(self, goals: Sequence[float], excesses: Sequence[float]) -> list[float]:
        """
        Return how many more seconds the evidence of each of some excesses needs to reach its goal.

        Parameters
        ----------
        goals, excesses : sequence of float
            Nats; estimate less the boundary, in the direction that is to be proved.

        Returns
        -------
        list of float
            0 where it has reached it, infinite where it never will.
        """
        now, last = self.log_e(NOW_AND_LAST, np.array(excesses)).tolist()
        found = [0.0 if here >= goal else math.inf for here, goal in zip(now, goals, strict=True)]
        asked = [place for place, goal in enumerate(goals) if now[place] < goal <= last[place]]
        for place, seconds in zip(asked, self._waited(np.array(goals)[asked], np.array(excesses)[asked]), strict=True):
            found[place] = seconds
        return found

    def _waited(self, goals: Floats, excesses: Floats) -> list[float]:
        """Return the seconds until goals are reached that lie between the present age and the farthest."""
        if not goals.size:
            return []
        ages = np.tile([1.0, FARTHEST], (len(goals), 1))
        each = np.arange(len(goals))
        for _ in range(ROUNDS):
            ages = _halved(ages)
            reached = self.log_e(ages[:, 1:-1], excesses[:, None]) >= goals[:, None]
            place = np.where(reached.any(axis=1), reached.argmax(axis=1), reached.shape[1])
            ages = np.stack([ages[each, place], ages[each, place + 1]], axis=1)
        waits: list[float] = (self.seconds * (ages[:, 1] - 1)).tolist()
        return waits


def _halved(ages: Floats) -> Floats:
    """Return rising ages, (M, 2), with those between that halve each stretch `HALVINGS` times, as logarithms."""
    for _ in range(HALVINGS):
        finer = np.empty((len(ages), 2 * ages.shape[1] - 1))
        finer[:, ::2] = ages
        finer[:, 1::2] = np.sqrt(ages[:, :-1] * ages[:, 1:])
        ages = finer
    return ages


def waits_for(
    mean: Mean, asked: Sequence[tuple[float, float]], requests_per_second: float | None = None
) -> tuple[Wait, ...]:
    """
    Return how long a mean needs to be proved, for each of several claims.

    Parameters
    ----------
    mean : Mean
    asked : sequence of (excess, goal)
        Estimate less the boundary, in the direction that is to be proved; nats.
    requests_per_second : float, optional
        Of the canary; without it no requests are told (NaN).
    """
    excesses, goals = [excess for excess, _ in asked], [goal for _, goal in asked]
    luck = SURE * math.sqrt(mean.noise + mean.pods)
    found = mean.seconds_to(goals * 2, excesses + [excess - luck for excess in excesses])
    waits = zip(found[: len(asked)], found[len(asked) :], strict=True)
    rate = math.nan if requests_per_second is None else requests_per_second
    return tuple(
        Wait(
            canary_requests=_times(seconds, rate),
            seconds=seconds,
            sure_requests=_times(later, rate),
            sure_seconds=later,
            reason="" if math.isfinite(seconds) else ONLY_PODS if claim > 0 else NOT_AS_IT_IS,
        )
        for claim, (seconds, later) in zip(excesses, waits, strict=True)
    )


def _times(seconds: float, rate: float) -> float:
    return 0.0 if seconds == 0 else seconds * rate


def slower(first: Wait, second: Wait) -> Wait:
    """Return the longer of two waits: both must end."""
    return first if first.seconds >= second.seconds else second
