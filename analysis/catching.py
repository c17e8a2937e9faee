"""
What a gate can catch: the smallest fault, beginning now, that it would abort within the next ten minutes.

It answers the question behind every hold and every step: what could still slip through meanwhile? The figure comes from
the growth of evidence per request (statistics.md 6.5) and reads the evidence; the evidence does not read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from analysis.compare.counts import CountsEvidence
from analysis.compare.effects import largest_abort
from analysis.forecast import ABORT_OVERSHOOT, SURE, outlook_of

SOON_S: Final = 600.0
LARGEST: Final = 100.0
LATE_MASS: Final = 0.15
"""Of the start masses, what all looks after the first share: look k and all later ones have 0.15/(k - 1) of it."""


def caught_within(
    evidence: CountsEvidence, weight: float, requests_per_second: float, omega: float, seconds: float = SOON_S
) -> float | None:
    """
    Return the smallest ratio of bad shares whose abort would be proved in time, four times in five.

    Parameters
    ----------
    evidence : CountsEvidence
    weight : float
        The canary's present share of requests, in (0, 1).
    requests_per_second : float
        Of both sides together, > 0.
    omega : float
        The question's share of the abort evidence, in [0, 1].
    seconds : float, default 600

    Returns
    -------
    float or None
        Above 1 (where a fall harms: below 1); None if not even a hundredfold would be, or the question cannot abort.

    Notes
    -----
    The fault is taken to begin now: it starts from evidence 1, pays ``ln((K - 1)/0.15)`` for its late start after K
    looks, and must reach "worse than stable" at ``alpha_abort omega`` and "beyond the tolerance" at
    ``alpha_tolerated omega``. What the pods at hand cannot prove at any length is not caught.
    """
    looks = int(evidence.used.sum())
    if omega <= 0 or evidence.first_look is None or not 0 < weight < 1 or requests_per_second <= 0:
        return None
    question = evidence.question
    late = math.log(max(looks - 1, 1) / LATE_MASS) if looks > 1 else 0.0
    outlook = outlook_of(evidence, requests_per_second)
    there = requests_per_second * weight * seconds

    def in_time(alpha: float, limit: tuple[float, float]) -> Callable[[float], bool]:
        nats, border = -math.log(alpha * omega) + ABORT_OVERSHOOT + late, limit[0] * outlook.share + limit[1]

        def proved(ratio: float) -> bool:
            beyond = ratio * outlook.share > border
            return beyond and SURE["abort"] * outlook.canary_requests(nats, limit, weight, ratio) <= there

        return proved

    def with_these_pods(ratio: float) -> bool:
        return largest_abort(evidence, ratio) >= -math.log(question.alphas.abort * omega)

    demands = (
        in_time(question.alphas.tolerated, (question.ratio, question.slack)),  # usually met last
        in_time(question.alphas.abort, (1.0, 0.0)),
        with_these_pods,
    )
    if not all(met(LARGEST) for met in demands):
        return None
    found = 1.0
    for met in demands:
        if not met(found):  # a larger fault earns more, in every way
            found = max(found, _smallest(met))
    return 1 / found if question.swapped else found


def _smallest(holds: Callable[[float], bool]) -> float:
    """Return the smallest ratio in (1, 100] from which on something holds, as it does at 100."""
    low, high = 0.0, math.log(LARGEST)
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(math.exp(middle)) else (middle, high)
    return math.exp(high)
