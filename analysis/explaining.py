"""From the arithmetic of a question to the evidence that a person reads: state, counts, odds, forecast, reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from analysis import words
from analysis.catching import SOON_S, caught_within
from analysis.compare.counts import CountsEvidence
from analysis.compare.effects import counts_by_step, fault_start, largest_abort, largest_promote, shown_effect
from analysis.compare.latency import LatencyEvidence
from analysis.demand import OWN_SHARE_S
from analysis.forecast import Faster, Forecast, Wait, forecast
from analysis.noise import FEWEST_LOOKS
from analysis.policy import Alphas, Policy, Proportion, Rate
from analysis.record import QuestionRecord, Record
from analysis.report import Evidence, about
from analysis.sequential import Sequential
from analysis.types import Effect, Json, Side, State

SHOWN_RATIO = 2.0
"""The ratio for which a report says whether the pods at hand could prove it."""
LEANING = math.log(3)
"""Log evidence from which "worse" is said to lean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    What the release as a whole made of a question, for its evidence.

    ``guilty``: named by an abort. ``frozen``: worse at freezing odds and not proved within its limit.
    ``omega``: its share of the abort evidence. ``final``: the last step is asked for.
    """

    guilty: bool
    frozen: bool
    omega: float
    final: bool
    deadline_left: float
    burst: int | None = None


def state_of(found: Sequential, standing: Standing, alphas: Alphas) -> State:
    """Return the state of a question with data, the first that holds of those of the architecture."""
    proved = float(found.promote[-1]) >= -math.log(alphas.promote)
    if standing.guilty:
        return State.WORSE
    if proved and float(found.better[-1]) >= -math.log(alphas.promote):
        return State.BETTER
    if proved:
        return State.NO_WORSE
    return State.DEGRADED if standing.frozen else State.UNDECIDED


def log_e_of(found: Sequential) -> dict[str, float]:
    """Return the present log evidence of a question of any kind, by claim."""
    return {
        "worse": float(found.warn[-1]),
        "tolerated": float(found.tolerated[-1]),
        "abort": float(found.abort[-1]),
        "promote": float(found.promote[-1]),
        "step": found.by_step.now if isinstance(found, CountsEvidence | LatencyEvidence) else float(found.step[-1]),
        "better": float(found.better[-1]),
    }


def goals_of(alphas: Alphas) -> dict[str, float]:
    """Return what each claim needs, natural logarithms."""
    return {
        "worse": -math.log(alphas.freeze),
        "tolerated": -math.log(alphas.tolerated),
        "abort": -math.log(alphas.abort),
        "promote": -math.log(alphas.promote),
        "step": -math.log(alphas.step),
        "better": -math.log(alphas.promote),
    }


def evidence_of(
    question: Proportion | Rate, policy: Policy, record: Record, found: CountsEvidence, standing: Standing
) -> Evidence:
    """
    Return the evidence of a question in full: counts, effect, odds, noise, forecast, advice and reason.

    Parameters
    ----------
    question : Proportion or Rate
    policy : Policy
    record : Record
        The one that was weighed.
    found : CountsEvidence
    standing : Standing

    Returns
    -------
    Evidence
    """
    state = state_of(found, standing, policy.alpha)
    counts = _counts(found, record.questions[question.name])
    shown = shown_effect(found, state)
    ahead = _ahead(found, standing)
    log_e = log_e_of(found)
    soon = catches(found, standing)
    return about(
        question,
        state,
        _reason(question, state, found, counts, shown, ahead, standing),
        counts=counts,
        effect=shown,
        log_e=log_e,
        goals=goals_of(policy.alpha),
        odds=odds_of(state, log_e, standing),
        noise={
            "phi": found.phi,
            "pod_sd": found.pod_sd,
            "source": found.noise_source,
            "visible": record.questions[question.name].visible,
            **_noise_size(record.questions[question.name]),
        },
        forecast=_forecast(ahead),
        advice=tuple(_advice(found, ahead, standing, soon)) if state in (State.UNDECIDED, State.DEGRADED) else (),
        flags=tuple(f for f in found.flags if f) + (("burst",) if standing.burst is not None else ()),
        details=_details(found, record, standing, soon),
    )


def _counts(found: CountsEvidence, raw: QuestionRecord) -> dict[str, Json]:
    steps = counts_by_step(found)
    result: dict[str, Json] = {}
    for side in Side:
        bad = sum(getattr(step, f"{side.value}_bad") for step in steps)
        total = sum(getattr(step, f"{side.value}_total") for step in steps)
        result[side.value] = {
            "bad": bad,
            "total": total,
            "rate": bad / total if total > 0 else None,
            "replicas": len(raw.side(side).replicas) if raw.visible else None,
        }
    return result


def _noise_size(found: QuestionRecord) -> dict[str, Json]:
    return {
        "looks": found.noise.looks if found.noise is not None else 0,
        "replicas": found.noise.replicas if found.noise is not None else len(found.baseline.replicas),
    }


def _ahead(found: CountsEvidence, standing: Standing) -> Forecast | None:
    rate = found.requests_per_second
    share = observed_share(found)
    if rate is None or rate <= 0 or share is None or not 0 < share < 1:
        return None
    return forecast(
        found,
        weight=share,
        requests_per_second=rate,
        final=standing.final,
        omega=standing.omega,
        seconds_left=standing.deadline_left,
    )


def observed_share(found: CountsEvidence) -> float | None:
    """Return the canary's share of the requests since the last weight step, or None before any traffic."""
    steps = counts_by_step(found)
    if not steps:
        return None
    both = steps[-1].canary_total + steps[-1].baseline_total
    return steps[-1].canary_total / both if both > 0 else None


def _forecast(ahead: Forecast | None) -> dict[str, Json] | None:
    if ahead is None:
        return None
    return {
        "at_weight": ahead.weight,
        "promote": waiting(ahead.promote),
        "abort": waiting(ahead.abort),
        "faster": _at(ahead.faster),
        "enough": _at(ahead.enough),
        "worst_cost": ahead.worst_cost,
        "step_cost": ahead.step_cost,
    }


def _at(found: Faster | None) -> dict[str, Json] | None:
    return None if found is None else {"weight": found.weight, "seconds": found.seconds}


def catches(found: CountsEvidence, standing: Standing) -> float | None:
    """Return the smallest ratio that would be aborted within ten minutes if it began now; None if none would."""
    share, rate = observed_share(found), found.requests_per_second
    return None if share is None or rate is None else caught_within(found, share, rate, standing.omega)


def waiting(wait: Wait) -> dict[str, Json]:
    """Return a wait as reports show it."""
    return {
        "canary_requests": wait.canary_requests,
        "seconds": wait.seconds,
        "sure_requests": wait.sure_requests,
        "sure_seconds": wait.sure_seconds,
        "reason": wait.reason,
    }


def _advice(found: CountsEvidence, ahead: Forecast | None, standing: Standing, soon: float | None) -> list[str]:
    lines: list[str] = []
    if found.first_look is None:
        return lines
    if largest_abort(found, SHOWN_RATIO) < -math.log(found.question.alphas.abort):
        lines.append("these pods cannot prove a doubling however long they serve: more replicas, not more time")
    if largest_promote(found) < -math.log(found.question.alphas.promote):
        lines.append(
            "these pods cannot prove harmlessness however long they serve: more canary replicas or a wider tolerance"
        )
    if ahead is None:
        return lines
    if not standing.guilty and standing.omega > 0:
        lines.append(
            f"a fault that begins now is aborted within ten minutes from {words.ratio(soon)} on"
            if soon is not None
            else "a fault that begins now would not be aborted within ten minutes at this traffic, whatever its size"
        )
    if ahead.faster is not None:
        lines.append(
            f"{words.share(ahead.faster.weight)} of traffic would decide in {words.duration(ahead.faster.seconds)}"
        )
    if ahead.enough is not None and ahead.enough.weight != ahead.weight:
        lines.append(
            f"{words.share(ahead.enough.weight)} of traffic is the least that decides in time within the harm budget,"
            f" in {words.duration(ahead.enough.seconds)}"
        )
    if ahead.insufficient is not None:
        few = ahead.insufficient
        lines.append(
            "insufficient_traffic: no weight decides before the deadline; decidable would be a slack of "
            f"{words.points(few.slack).lstrip('+')} or a harm budget of {words.count(few.budget)}"
        )
    return lines


def odds_of(state: State, log_e: Mapping[str, float], standing: Standing) -> str:
    """Return the leading evidence of a question in words."""
    if state in (State.WORSE, State.DEGRADED):
        return f"{words.odds(log_e['worse'])} for 'worse than stable'"
    if state in (State.NO_WORSE, State.BETTER):
        return f"{words.odds(log_e['promote'])} for 'no worse than tolerated'"
    if log_e["worse"] > max(log_e["step"], log_e["promote"], 0.0):
        return f"{words.odds(log_e['worse'])} for 'worse than stable'"
    goal = "promote" if standing.final and log_e["promote"] < log_e["step"] else "step"
    said = "'no worse than tolerated'" if goal == "promote" else "'the step costs no more than its budget'"
    return f"{words.odds(log_e[goal])} for {said}"


def _details(found: CountsEvidence, record: Record, standing: Standing, soon: float | None) -> dict[str, Json]:
    began, starts = fault_start(found), record.ends - record.lengths
    steps = [
        {
            "start": float(starts[step.first]),
            "baseline": {"bad": step.baseline_bad, "total": step.baseline_total},
            "canary": {"bad": step.canary_bad, "total": step.canary_total},
        }
        for step in counts_by_step(found)
    ]
    return {
        "steps": steps,
        "fault_start": None if began is None else float(starts[began]),
        "burst_look": None if standing.burst is None else float(record.ends[standing.burst]),
        "slack_final": found.slack_final,
        "slack_step": found.slack_step,
        "step_budget": _step_budget(found),
        "requests_per_second": found.requests_per_second,
        "bad_share": found.bad_share,
        "share_of_abort": standing.omega,
        "catches": {"ratio": soon, "seconds": SOON_S},
        "empty_looks": found.empty_looks,
        "reachable": {
            "abort_at_2x": largest_abort(found, SHOWN_RATIO) if found.first_look is not None else None,
            "promote": largest_promote(found) if found.first_look is not None else None,
        },
    }


def _step_budget(found: CountsEvidence) -> float | None:
    """Return how many extra bad events the step may cost in its first ten minutes; None while traffic is unknown."""
    if found.requests_per_second is None or found.bad_share is None:
        return None
    return max(found.question.harm_budget, OWN_SHARE_S * found.requests_per_second * found.bad_share)


def compared(label: str, counts: Mapping[str, Json], shown: Effect | None) -> str:
    """Return ``error rate 1.3 % vs 1.0 % (+0.3 pp, 0.98x to 1.7x)``."""
    canary, baseline = counts["canary"]["rate"], counts["baseline"]["rate"]
    if canary is None or baseline is None:
        return f"{label}: too few requests"
    size = words.points(canary - baseline)
    if shown is not None:
        size += f", {words.bounds(shown.low, shown.high)}"
    return f"{label} {words.percent(canary)} vs {words.percent(baseline)} ({size})"


def _reason(
    question: Proportion | Rate,
    state: State,
    found: CountsEvidence,
    counts: Mapping[str, Json],
    shown: Effect | None,
    ahead: Forecast | None,
    standing: Standing,
) -> str:
    head = compared(question.name.replace("-", " "), counts, shown)
    odds = words.odds(float(found.warn[-1]))
    if state is State.WORSE:
        return f"{head}: statistical test says worse than stable, odds {odds}"
    if state is State.DEGRADED:
        return f"{head}: statistical test says worse than stable, odds {odds}; size still open, frozen"
    limit = f"{words.ratio(question.tolerance.ratio)}"
    if state in (State.NO_WORSE, State.BETTER):
        said = "better than stable" if state is State.BETTER else f"no worse than {limit}"
        if found.by_step.now < -math.log(found.question.alphas.step):
            odds = words.odds(found.by_step.now)
            return f"{head}: {said}, but the step is not yet proved affordable, odds {odds}{_soon(ahead)}"
        return f"{head}: {said}, odds {words.odds(float(found.promote[-1]))}"
    return f"{head}: {_missing(found, standing, limit)}{_soon(ahead)}"


def _missing(found: CountsEvidence, standing: Standing, limit: str) -> str:
    if not found.prepared.looks.used.any():
        return f"nothing weighed yet: the noise of the stable side is learned from its first {FEWEST_LOOKS} looks"
    warn = float(found.warn[-1])
    if warn >= LEANING and warn > found.by_step.now:
        needed = words.odds(-math.log(found.question.alphas.freeze))
        return f"statistical test leans to worse than stable, odds {words.odds(warn)} of {needed} needed"
    if not standing.final:
        if found.by_step.now >= -math.log(found.question.alphas.step):
            return f"the step is proved affordable, odds {words.odds(found.by_step.now)}"
        return f"step not yet proved affordable, odds {words.odds(found.by_step.now)}"
    return f"not yet proved within {limit}, odds {words.odds(float(found.promote[-1]))}"


def _soon(ahead: Forecast | None) -> str:
    if ahead is None:
        return ""
    if not ahead.promote.possible:
        return f"; {ahead.promote.reason}"
    if ahead.promote.canary_requests <= 0:
        return ""
    requests = words.about(ahead.promote.canary_requests)
    return (
        f"; about {requests} more canary requests, {words.duration(ahead.promote.seconds)}"
        f" at {words.share(ahead.weight)}"
    )


def affordable(found: Evidence, *, final: bool) -> str:
    """Return why a question lets a release go on: what was proved for the step that is taken, with its odds."""
    if found.counts is None or "rate" not in found.counts["canary"]:
        return found.reason
    head = found.details.get("compared") or compared(found.name.replace("-", " "), found.counts, found.effect)
    if final:
        return f"{head}: no worse than tolerated, odds {words.odds(found.log_e.get('promote') or 0.0)}"
    return f"{head}: {_cost_of_step(found)}, odds {words.odds(found.log_e.get('step') or 0.0)}"


def _cost_of_step(found: Evidence) -> str:
    """Return what the next step can still cost, in the words of a reason."""
    budget = found.details.get("step_budget")
    cost = None if found.forecast is None else found.forecast.get("step_cost")
    if budget is None:
        return "the step keeps within its budget"
    if cost is None:
        return f"the step keeps within its budget of {words.count(budget)} extra bad events in ten minutes"
    return (
        f"the step costs at most {words.count(cost)} extra bad events in ten minutes"
        f" (budget {words.count(budget)} beyond the tolerance)"
    )
