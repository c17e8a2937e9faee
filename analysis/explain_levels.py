"""From the evidence of a level (gauge, quotient, published percentile) to what a person reads of it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from analysis import words
from analysis.compare.gauges import GaugeEvidence, effect
from analysis.compare.percentiles import PercentileEvidence
from analysis.explaining import LEANING, Standing, goals_of, log_e_of, odds_of, state_of, waiting
from analysis.forecast_means import Mean, waits_for
from analysis.levels import LevelEvidence, LevelQuestion
from analysis.policy import Policy
from analysis.record import Record
from analysis.report import Evidence, about
from analysis.types import Effect, Json, Side, State

MORE_PODS: Final = "these pods cannot prove harmlessness however long they serve: more replicas, not more time"


def evidence_of(
    question: LevelQuestion, policy: Policy, record: Record, found: LevelEvidence, standing: Standing
) -> Evidence:
    """
    Return the evidence of a level in full: means, effect, odds, noise, forecast, advice and reason.

    Parameters
    ----------
    question : LevelQuestion
    policy : Policy
    record : Record
        The one that was weighed.
    found : GaugeEvidence or PercentileEvidence
    standing : Standing

    Returns
    -------
    Evidence
        Of percentiles the one is shown that weighs most.
    """
    state = state_of(found, standing, policy.alpha)
    name, shown = _shown(found)
    size = effect(shown)
    log_e = log_e_of(found)
    ahead = _forecast(shown, record, policy)
    label = question.name.replace("-", " ") + (f" {name}" if name else "")
    means = _means(shown)
    limited = "pod-limited" in found.flags
    return about(
        question,
        state,
        _reason(_compared(label, means, size), state, found, shown, standing, ahead, policy),
        counts=means,
        effect=size,
        log_e=log_e,
        goals=goals_of(policy.alpha),
        odds=odds_of(state, log_e, standing),
        noise={
            "pod_sd": float(np.sqrt(max(shown.paired.pods[0, -1], 0.0))),
            "noise_sd": float(np.sqrt(max(shown.paired.noise[0, -1], 0.0))),
            "source": found.noise_source,
            "visible": record.questions[question.name].visible,
        },
        forecast=ahead,
        advice=(MORE_PODS,) if limited and state in (State.UNDECIDED, State.DEGRADED) else (),
        flags=found.flags + (("burst",) if standing.burst is not None else ()),
        details={
            "burst_look": None if standing.burst is None else float(record.ends[standing.burst]),
            "share_of_abort": standing.omega,
            "scale": "log" if shown.question.scale == "log" else ("ratio" if shown.paired.ratio[0, -1] else "units"),
            "looks": int(found.used.sum()),
        },
    )


def _shown(found: LevelEvidence) -> tuple[str, GaugeEvidence]:
    """Return the percentile that weighs most with its evidence; a plain level has no name."""
    if isinstance(found, PercentileEvidence):
        name = found.guilty(tolerated=False)
        return ("" if name == "values" else name), found.by_name[name]
    return "", found


def _means(found: GaugeEvidence) -> dict[str, Json]:
    result: dict[str, Json] = {}
    for side in Side:
        values: np.ndarray = getattr(found.data, side.value)
        known = np.isfinite(values)
        whole = known.all()
        there = len(values) if whole else int(known.any(axis=1).sum())
        level = float((values if whole else values[known]).mean()) if there else None
        result[side.value] = {"level": level, "replicas": there}
    return result


def _forecast(found: GaugeEvidence, record: Record, policy: Policy) -> dict[str, Json] | None:
    """Return how long proof either way will take; None while nothing is known."""
    paired = found.paired
    if not paired.known[0, -1] or found.first_look is None:
        return None
    first = found.first_look
    seconds = float(record.ends[-1] - record.ends[first] + record.lengths[first])
    harm = found.question.sign * float(paired.mean[0, -1])
    edge = float(found.question.boundary(paired.level[0, -1:])[0])
    noise, pods, dof = (float(v[0, -1]) for v in (paired.noise, paired.pods, paired.dof))
    claims = (edge - harm, -math.log(policy.alpha.promote)), (harm, -math.log(policy.alpha.abort))
    promote, worse = waits_for(Mean(noise=noise, pods=pods, dof=dof, seconds=seconds), claims)
    return {
        "at_weight": None,
        "promote": waiting(promote),
        "abort": waiting(worse),
        "faster": None,
        "enough": None,
        "worst_cost": None,
        "step_cost": None,
    }


def _compared(label: str, means: dict[str, Json], size: Effect | None) -> str:
    canary, baseline = means["canary"]["level"], means["baseline"]["level"]
    if canary is None or baseline is None:
        return f"{label}: no values on a side"
    text = f"{label} {words.number(canary)} vs {words.number(baseline)}"
    if size is None:
        return text
    if size.measure == "ratio":
        return f"{text} ({words.ratio(size.estimate)}, {words.bounds(size.low, size.high)})"
    return f"{text} ({words.number(size.low)} to {words.number(size.high)} apart)"


def _reason(
    head: str,
    state: State,
    found: LevelEvidence,
    shown: GaugeEvidence,
    standing: Standing,
    ahead: dict[str, Json] | None,
    policy: Policy,
) -> str:
    warn, promote, step = (float(v[-1]) for v in (found.warn, found.promote, found.step))
    if state is State.WORSE:
        return f"{head}: statistical test says worse than stable, odds {words.odds(warn)}"
    if state is State.DEGRADED:
        return f"{head}: statistical test says worse than stable, odds {words.odds(warn)}; size still open, frozen"
    if state is State.BETTER:
        return f"{head}: better than stable, odds {words.odds(promote)}"
    limit = words.ratio(shown.question.ratio)
    if state is State.NO_WORSE:
        return f"{head}: no worse than {limit}, odds {words.odds(promote)}"
    if not shown.paired.known[0, -1]:
        return f"{head}: nothing weighed yet, the noise of the stable side is still being learned"
    if warn >= LEANING and warn > step:
        needed = words.odds(-math.log(policy.alpha.freeze))
        return f"{head}: statistical test leans to worse than stable, odds {words.odds(warn)} of {needed} needed"
    if not standing.final and step >= -math.log(policy.alpha.step):
        return f"{head}: within {limit} for this step, odds {words.odds(step)}"
    goal = promote if standing.final else step
    return f"{head}: not yet proved within {limit}, odds {words.odds(goal)}{_soon(found, ahead)}"


def _soon(found: LevelEvidence, ahead: dict[str, Json] | None) -> str:
    if "pod-limited" in found.flags:
        return "; more replicas would help, more time would not"
    wait = None if ahead is None else ahead["promote"]["seconds"]
    if wait is None or wait == 0:
        return ""
    return (
        f"; {words.duration(wait)} more" if math.isfinite(wait) else f"; {ahead['promote']['reason'] if ahead else ''}"
    )
