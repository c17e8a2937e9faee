"""
How long until a release is decided, at which weight it would be sooner, and what waiting can cost.

A forecast never touches error control: it reads the evidence, and the evidence does not read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from analysis.compare.counts import CountsEvidence
from analysis.compare.effects import effect
from analysis.costs import FIRST_HOUR_S, credible_ratio, step_cost, worst_cost
from analysis.errors import InvalidInput
from analysis.growth import Outlook

ABORT_OVERSHOOT: Final = 1.1
PROMOTE_OVERSHOOT: Final = 0.6
MEDIAN: Final = {"abort": 1.0, "promote": 0.8}
SURE: Final = {"abort": 1.7, "promote": 1.4}
WEIGHTS: Final = (0.05, 0.1, 0.25, 0.5)
WORTHWHILE: Final = 0.8  # advice that saves less than a fifth of the wait is noise
SMALL_WEIGHTS: Final = (0.01, 0.02, *WEIGHTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """
    What is still needed for one outcome.

    Parameters
    ----------
    canary_requests, seconds : float
        Median; infinite if it will not be proved, 0 if it is proved.
    sure_requests, sure_seconds : float
        80 % sure by.
    reason : str
        Empty, or why it will not be proved.
    """

    canary_requests: float
    seconds: float
    sure_requests: float
    sure_seconds: float
    reason: str = ""

    @property
    def possible(self) -> bool:
        """Whether the present estimate leads there at all."""
        return math.isfinite(self.canary_requests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faster:
    """A weight at which a promotion would be sooner, and the median wait there in seconds."""

    weight: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Insufficient:
    """
    No weight can decide before the deadline; what could be decided instead.

    Parameters
    ----------
    slack : float
        Absolute slack that the canary's requests until then can prove, at least 3 over requests (rule of three).
    ratio : float
        Tolerated ratio that they can prove without slack; infinite if none, like the others.
    budget : float
        Harm budget, in bad events of the first hour, that this slack amounts to.
    """

    slack: float
    ratio: float
    budget: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """
    Time to a decision of one question.

    Parameters
    ----------
    promote, abort : Wait
    weight : float
        Canary's share of requests that it is made for.
    faster : Faster or None
    insufficient : Insufficient or None
    worst_cost : float
        Extra bad requests in the first hour at full weight that remain credible once the last step is taken.
    step_cost : float or None
        Extra bad requests in the ten minutes after the next step that remain credible; None while it is unknown.
    enough : Faster or None
        The smallest weight that decides before the deadline and whose own credible cost until then keeps within the
        harm budget; None where none does, or no deadline is known.
    """

    promote: Wait
    abort: Wait
    weight: float
    faster: Faster | None
    insufficient: Insufficient | None
    worst_cost: float
    step_cost: float | None = None
    enough: Faster | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One test that must reach ``nats`` more against ``limit``; ``above``: by proving a ratio beyond it."""

    nats: float
    limit: tuple[float, float]
    above: bool


def forecast(
    evidence: CountsEvidence,
    *,
    weight: float,
    requests_per_second: float,
    final: bool,
    omega: float = 1.0,
    seconds_left: float = math.inf,
) -> Forecast:
    """
    Return how long a question will take from here.

    Parameters
    ----------
    evidence : CountsEvidence
    weight : float
        The canary's present share of requests, in (0, 1).
    requests_per_second : float
        Of both sides together, > 0.
    final : bool
        Whether the next step is the last, which asks for P as well as P_step.
    omega : float, default 1
        The question's share of the abort evidence, in (0, 1]; 0 if it cannot abort.
    seconds_left : float, default inf
        Until the deadline.

    Returns
    -------
    Forecast

    Raises
    ------
    InvalidInput
        If weight or traffic is out of range.
    """
    if not 0 < weight < 1:
        raise InvalidInput(f"must lie strictly between 0 and 1, got {weight!r}", "/weight")
    if not (math.isfinite(requests_per_second) and requests_per_second > 0):
        raise InvalidInput(f"must be positive, got {requests_per_second!r}", "/requests_per_second")
    outlook = outlook_of(evidence, requests_per_second)
    goals = promote_goals(evidence, final)
    promote = wait(outlook, goals, weight)
    return Forecast(
        promote=promote,
        abort=wait(outlook, abort_goals(evidence, omega), weight),
        weight=weight,
        faster=faster(outlook, goals, weight),
        insufficient=_insufficient(outlook, goals, weight, seconds_left),
        worst_cost=worst_cost(evidence, requests_per_second),
        step_cost=step_cost(evidence, requests_per_second),
        enough=enough(outlook, goals, weight, seconds_left, credible_ratio(evidence), evidence.question.harm_budget),
    )


def outlook_of(evidence: CountsEvidence, requests_per_second: float) -> Outlook:
    """Return the figures of a forecast: the estimate that is shown, else equality; stable's share of the run."""
    found = effect(evidence)
    swapped = evidence.question.swapped
    prepared = evidence.prepared
    share = evidence.bad_share
    if share is None:
        share = float((prepared.stable_bad.sum() + 0.5) / (prepared.stable_total.sum() + 1))
    ratio = 1.0 if found is None else found.estimate
    return Outlook(
        ratio=1 / ratio if swapped else ratio,
        share=min(share * ratio, 1.0) if swapped else share,
        phi=evidence.phi,
        requests_per_second=requests_per_second,
        swapped=swapped,
    )


def promote_goals(evidence: CountsEvidence, final: bool) -> tuple[Goal, ...]:
    """Return what the next step still asks for; the question's own slack stands in while a demand is unknown."""
    question = evidence.question
    slack = evidence.slack_step if evidence.slack_step is not None else question.slack
    step = Goal(
        nats=_missing(question.alphas.step, evidence.by_step.now, PROMOTE_OVERSHOOT),
        limit=(question.ratio, slack),
        above=False,
    )
    if not final:
        return (step,)
    slack = evidence.slack_final if evidence.slack_final is not None else question.slack
    nats = _missing(question.alphas.promote, float(evidence.promote[-1]), PROMOTE_OVERSHOOT)
    return step, Goal(nats=nats, limit=(question.ratio, slack), above=False)


def abort_goals(evidence: CountsEvidence, omega: float) -> tuple[Goal, ...]:
    """
    Return what an abort still asks for: "worse than stable" and "beyond the tolerance"; none if it cannot.

    The weighted sum must reach ``1/alpha``, so a question with share omega alone needs ``1/(alpha omega)``.
    """
    if omega <= 0:
        return ()
    question, alphas = evidence.question, evidence.question.alphas
    warn = _missing(alphas.abort * omega, float(evidence.warn[-1]), ABORT_OVERSHOOT)
    tolerated = _missing(alphas.tolerated * omega, float(evidence.tolerated[-1]), ABORT_OVERSHOOT)
    return (
        Goal(nats=warn, limit=(1.0, 0.0), above=True),
        Goal(nats=tolerated, limit=(question.ratio, question.slack), above=True),
    )


def _missing(alpha: float, log_e: float, overshoot: float) -> float:
    goal = -math.log(alpha)
    return 0.0 if log_e >= goal else goal - log_e + overshoot


def wait(outlook: Outlook, goals: tuple[Goal, ...], weight: float) -> Wait:
    """
    Return the wait until every goal is reached at a weight.

    Returns
    -------
    Wait
        Infinite, with the reason in words, if the estimate lies on the wrong side of a limit.
    """
    if not goals:
        return Wait(
            canary_requests=math.inf,
            seconds=math.inf,
            sure_requests=math.inf,
            sure_seconds=math.inf,
            reason="cannot abort: its weight is 0",
        )
    needed = 0.0
    reason = ""
    for goal in goals:
        rho, slack = goal.limit
        border = rho + slack / outlook.share if outlook.share > 0 else math.inf
        wrong = outlook.ratio <= border if goal.above else outlook.ratio >= border
        if goal.nats > 0 and wrong:
            needed = math.inf
            shown = _times(outlook, outlook.ratio), _times(outlook, border)
            reason = f"will not be proved; estimate {shown[0]} against {shown[1]}"
            break
        needed = max(needed, outlook.canary_requests(goal.nats, goal.limit, weight))
    side = "abort" if goals[0].above else "promote"
    rate = outlook.requests_per_second * weight
    return Wait(
        canary_requests=MEDIAN[side] * needed,
        seconds=MEDIAN[side] * needed / rate,
        sure_requests=SURE[side] * needed,
        sure_seconds=SURE[side] * needed / rate,
        reason=reason or ("" if math.isfinite(needed) else "nothing bad happens on either side"),
    )


def _times(outlook: Outlook, ratio: float) -> str:
    if not math.isfinite(ratio):
        return "no limit"
    return f"{(1 / ratio if outlook.swapped and ratio > 0 else ratio):.3g}x"


def faster(outlook: Outlook, goals: tuple[Goal, ...], weight: float) -> Faster | None:
    """
    Return a larger weight at which the promotion would come clearly sooner.

    Returns
    -------
    Faster or None
        The smallest of 5, 10, 25 and 50 % whose wait is within a tenth of the shortest; None if none
        saves a fifth.
    """
    now = wait(outlook, goals, weight)
    if not now.possible or now.seconds == 0:
        return None
    options = [(w, wait(outlook, goals, w).seconds) for w in WEIGHTS if w > weight]
    if not options:
        return None
    best = min(seconds for _, seconds in options)
    if best > WORTHWHILE * now.seconds:
        return None
    chosen = next((w, seconds) for w, seconds in options if seconds <= 1.1 * best)
    return Faster(weight=chosen[0], seconds=chosen[1])


def enough(
    outlook: Outlook, goals: tuple[Goal, ...], weight: float, seconds_left: float, worst: float | None, budget: float
) -> Faster | None:
    """
    Return the smallest weight that decides in time at a cost within the budget.

    Parameters
    ----------
    outlook : Outlook
    goals : tuple of Goal
        Of the promotion.
    weight : float
        The present one: 1, 2, 5, 10, 25 and 50 % are tried beside it.
    seconds_left : float
        Until the deadline.
    worst : float or None
        Largest credible ratio of bad shares, in the words of the bets; None: unknown, then the tolerated one.
    budget : float
        Bad events that waiting there may cost beyond those of stable.

    Returns
    -------
    Faster or None
    """
    if not math.isfinite(seconds_left) or seconds_left <= 0:
        return None
    ratio = goals[-1].limit[0] if worst is None else worst
    extra = abs(ratio - 1) * outlook.share * outlook.requests_per_second
    for candidate in sorted({weight, *SMALL_WEIGHTS}):
        seconds = wait(outlook, goals, candidate).sure_seconds
        if seconds <= seconds_left and extra * candidate * seconds <= budget:
            return Faster(weight=candidate, seconds=seconds)
    return None


def _insufficient(outlook: Outlook, goals: tuple[Goal, ...], weight: float, seconds_left: float) -> Insufficient | None:
    """Return what could be proved by the deadline, if what is asked cannot be at any weight."""
    if not math.isfinite(seconds_left) or seconds_left <= 0:
        return None
    waits = {w: wait(outlook, goals, w) for w in (weight, *(w for w in WEIGHTS if w > weight))}
    if not any(w.possible for w in waits.values()) or min(w.seconds for w in waits.values()) <= seconds_left:
        return None
    best = min(waits, key=lambda w: waits[w].seconds)
    requests = outlook.requests_per_second * best * seconds_left
    nats = max(goal.nats for goal in goals)
    rho = goals[-1].limit[0]

    def spare(limit: tuple[float, float]) -> float:
        needed = MEDIAN["promote"] * outlook.canary_requests(nats, limit, best)
        return requests - min(needed, 1e18)

    lowest = max(3 / requests, 1.001 * max(0.0, outlook.ratio - rho) * outlook.share)
    slack = _smallest(lambda x: spare((rho, math.exp(x))), lowest, 1.0)
    return Insufficient(
        slack=slack,
        ratio=_smallest(lambda x: spare((math.exp(x), 0.0)), max(1.001 * outlook.ratio, 1.0), 100.0),
        budget=slack * outlook.requests_per_second * FIRST_HOUR_S,
    )


def _smallest(spare: Callable[[float], float], low: float, high: float) -> float:
    """Return the smallest value in [low, high] at whose log ``spare`` is not negative; inf if there is none."""
    if low >= high or spare(math.log(high)) < 0:
        return math.inf
    if spare(math.log(low)) >= 0:
        return low
    from scipy.optimize import brentq  # a tenth of a second of start-up that few verdicts need

    return math.exp(float(brentq(spare, math.log(low), math.log(high), xtol=1e-3)))
