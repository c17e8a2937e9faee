"""From the evidence of a latency to what a person reads of it: shift, the guilty edge, odds, forecast, reason."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from analysis import words
from analysis.compare.latency import LatencyEvidence
from analysis.compare.latency_effects import (
    as_proved,
    compared,
    edges,
    guilt,
    largest_promote,
    shift_effect,
    shown_edge,
)
from analysis.explaining import LEANING, Standing, goals_of, log_e_of, odds_of, state_of, waiting
from analysis.forecast import PROMOTE_OVERSHOOT, Wait
from analysis.forecast_means import Mean, slower, waits_for
from analysis.growth import Outlook
from analysis.policy import Latency, Policy
from analysis.record import Record
from analysis.report import Evidence, about
from analysis.types import Json, Side, State

MORE_PODS: Final = (
    "these pods cannot prove harmlessness however long they serve: more canary replicas or an SLO edge, not more time"
)
SURE: Final = 1.4
"""Times the median wait of a tail below which four in five stay."""


def evidence_of(
    question: Latency, policy: Policy, record: Record, found: LatencyEvidence, standing: Standing
) -> Evidence:
    """
    Return the evidence of a latency in full: requests, shift, edges, odds, noise, forecast, advice and reason.

    Parameters
    ----------
    question : Latency
    policy : Policy
    record : Record
        The one that was weighed.
    found : LatencyEvidence
    standing : Standing

    Returns
    -------
    Evidence
        ``effect`` is the shift of the typical request; the edges stand in ``details``.
    """
    state = state_of(found, standing, policy.alpha)
    log_e = log_e_of(found)
    ahead = _forecast(found, record, standing)
    proved = state in (State.NO_WORSE, State.BETTER)
    shift, every = shift_effect(found), edges(found)
    head = compared(question.name.replace("-", " "), shift, None if shift is None else shown_edge(found, every))
    return about(
        question,
        state,
        _reason(head, question, policy, state, found, standing, ahead),
        counts=_requests(found, record, question.name),
        effect=as_proved(shift, found, proved=proved),
        log_e=log_e,
        goals=goals_of(policy.alpha),
        odds=odds_of(state, log_e, standing),
        noise={
            "phi": found.phi,
            "pod_sd": found.pod_sd,
            "source": found.noise_source,
            "visible": record.questions[question.name].visible,
        },
        forecast=ahead,
        advice=_advice(state, found, policy),
        flags=found.flags + (("burst",) if standing.burst is not None else ()),
        details={
            "burst_look": None if standing.burst is None else float(record.ends[standing.burst]),
            "slack_final": found.slack_final,
            "slack_step": found.slack_step,
            "requests_per_second": found.requests_per_second,
            "bad_share": found.bad_share,
            "share_of_abort": standing.omega,
            "empty_looks": found.empty_looks,
            "guilt": guilt(found) if state in (State.WORSE, State.DEGRADED) else None,
            "edges": [_edge(one) for one in every],
        },
    )


def _advice(state: State, found: LatencyEvidence, policy: Policy) -> tuple[str, ...]:
    if state not in (State.UNDECIDED, State.DEGRADED) or found.first_look is None:
        return ()
    return (MORE_PODS,) if largest_promote(found) < -math.log(policy.alpha.promote) else ()


def observed_share(found: LatencyEvidence) -> float | None:
    """Return the canary's share of the requests since the last weight step, or None before any traffic."""
    since = found.step_start
    canary = float(found.prepared.canary_total[0, since:].sum())
    both = canary + float(found.prepared.stable_total[0, since:].sum())
    return canary / both if both > 0 else None


def _requests(found: LatencyEvidence, record: Record, name: str) -> dict[str, Json]:
    raw = record.questions[name]
    totals = {Side.CANARY: found.prepared.canary_total, Side.BASELINE: found.prepared.stable_total}
    return {
        side.value: {
            "total": float(totals[side][0].sum()),
            "replicas": len(raw.side(side).replicas) if raw.visible else None,
        }
        for side in Side
    }


def _edge(one: Json) -> dict[str, Json]:
    return {
        "edge": one.edge,
        "slo": one.slo,
        "canary": one.canary,
        "baseline": one.baseline,
        "worse": one.warn,
        "tolerated": one.tolerated,
    }


def _forecast(found: LatencyEvidence, record: Record, standing: Standing) -> dict[str, Json] | None:
    """Return how long proof either way will take: the slower of the typical request and the edge that is asked."""
    share, first, shift = observed_share(found), found.first_look, found.shift
    if first is None or share is None or not 0 < share < 1 or not shift.bets[0, -1]:
        return None
    seconds = float(record.ends[-1] - record.ends[first] + record.lengths[first])
    rate = found.requests_per_second
    canary_rate = None if rate is None else rate * share
    mean = float(shift.mean[0, -1])
    noise, pods, dof = (float(v[0, -1]) for v in (shift.noise, shift.pods, shift.dof))
    alphas = found.question.alphas
    goal = -math.log(alphas.promote if standing.final else alphas.step)
    claims = (math.log(found.question.shift) - mean, goal), (mean, -math.log(alphas.abort))
    promote, worse = waits_for(Mean(noise=noise, pods=pods, dof=dof, seconds=seconds), claims, canary_rate)
    tail = _tail_wait(found, share, goal, standing)
    return {
        "at_weight": share,
        "promote": waiting(promote if tail is None else slower(promote, tail)),
        "abort": waiting(worse),
        "faster": None,
        "enough": None,
        "worst_cost": None,
        "step_cost": None,
    }


def _tail_wait(found: LatencyEvidence, share: float, goal: float, standing: Standing) -> Wait | None:
    """Return how long the edges that are asked need for a canary as slow as stable; None where that is unknown."""
    rate, stable = found.requests_per_second, found.bad_share
    slack = found.slack_final if standing.final else found.slack_step
    if rate is None or stable is None or slack is None or rate <= 0:
        return None
    have = float(found.promote[-1]) if standing.final else found.by_step.now
    outlook = Outlook(ratio=1.0, share=stable, phi=found.phi, requests_per_second=rate)
    missing = max(0.0, goal + PROMOTE_OVERSHOOT - max(have, 0.0)) if have < goal else 0.0
    requests = outlook.canary_requests(missing, (found.question.exceedance, slack), share)
    seconds = requests / (rate * share)
    return Wait(canary_requests=requests, seconds=seconds, sure_requests=SURE * requests, sure_seconds=SURE * seconds)


def _reason(
    head: str,
    question: Latency,
    policy: Policy,
    state: State,
    found: LatencyEvidence,
    standing: Standing,
    ahead: dict[str, Json] | None,
) -> str:
    warn, promote, step = float(found.warn[-1]), float(found.promote[-1]), found.by_step.now
    if state is State.WORSE:
        return f"{head}: {guilt(found)}, odds {words.odds(warn)}"
    if state is State.DEGRADED:
        return f"{head}: {guilt(found)}, odds {words.odds(warn)}; size still open, frozen"
    limit = words.ratio(question.tolerance.shift)
    proved_step = step >= -math.log(policy.alpha.step)
    if state in (State.NO_WORSE, State.BETTER) and proved_step:
        said = "faster than stable" if state is State.BETTER else f"no slower than {limit}"
        return f"{head}: {said}, odds {words.odds(promote)}"
    if not np.any(found.used):
        return f"{head}: nothing weighed yet, the noise of the stable side is still being learned"
    if warn >= LEANING and warn > step:
        needed = words.odds(-math.log(policy.alpha.freeze))
        return f"{head}: leans to slower than stable, odds {words.odds(warn)} of {needed} needed"
    if not standing.final and proved_step:
        return f"{head}: the step is proved affordable, odds {words.odds(step)}"
    goal = promote if standing.final and proved_step else step
    return f"{head}: not yet proved within {limit}, odds {words.odds(goal)}{_soon(found, ahead)}"


def _soon(found: LatencyEvidence, ahead: dict[str, Json] | None) -> str:
    if "pod-limited" in found.flags:
        return "; more replicas would help, more time would not"
    wait = None if ahead is None else ahead["promote"]["seconds"]
    if not wait or not math.isfinite(wait):
        return ""
    return f"; {words.duration(wait)} more"
