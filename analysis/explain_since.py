"""From evidence against an earlier time to what a person reads: since the release, never because of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from analysis import words
from analysis.compare.latency_effects import seconds
from analysis.explaining import LEANING, Standing, goals_of, log_e_of, odds_of, state_of
from analysis.policy import Latency, Policy, Question, Rate
from analysis.rates import unit_of
from analysis.record import Record
from analysis.report import Evidence, about
from analysis.since import SinceEvidence
from analysis.student import half_width
from analysis.types import Effect, Json, State

LEVEL: Final = 0.95
LOOSE: Final = 1e6
"""A ratio whose bounds lie so far apart is not bounded."""
SATURATED: Final = "evidence against earlier days does not grow with time: say by an override what is to happen"


def evidence_of(
    question: Question, policy: Policy, record: Record, found: SinceEvidence, standing: Standing
) -> Evidence:
    """
    Return the evidence of a question whose baseline is gone: both windows, effect, odds, days, what can be proved.

    Parameters
    ----------
    question : Question
    policy : Policy
    record : Record
    found : SinceEvidence
    standing : Standing

    Returns
    -------
    Evidence
        Without a forecast: another hour is not another day.
    """
    state = state_of(found, standing, policy.alpha)
    log_e, size = log_e_of(found), effect(found)
    undecided = state in (State.UNDECIDED, State.DEGRADED)
    return about(
        question,
        state,
        _reason(question, state, found, size, policy, standing),
        counts=_counts(found),
        effect=size,
        log_e=log_e,
        goals=goals_of(policy.alpha),
        odds=odds_of(state, log_e, standing),
        noise={
            "drift_sd": float(np.sqrt(found.drift.variance[-1])),
            "shift": float(found.drift.shift[-1]),
            "source": found.noise_source,
            "days": found.days,
            "visible": record.questions[question.name].visible,
        },
        advice=(SATURATED,) if undecided and standing.deadline_left <= 0 else (),
        flags=found.flags + (("burst",) if standing.burst is not None else ()),
        details={
            "since": found.begun,
            "provable_worse": found.provable(policy.alpha.abort),
            "provable_within": found.provable(policy.alpha.promote),
            "burst_look": None if standing.burst is None else float(record.ends[standing.burst]),
            "share_of_abort": standing.omega,
            **_unit(question, found),
        },
    )


def _unit(question: Question, found: SinceEvidence) -> dict[str, Json]:
    """Return in which unit events are read, for a question that counts them by something else than requests."""
    if not isinstance(question, Rate):
        return {}
    factor, unit = unit_of(question, *(side["rate"] for side in _counts(found).values() if side["rate"] is not None))
    return {"unit": unit, "per": factor}


def effect(found: SinceEvidence) -> Effect | None:
    """Return after over before, the usual move of this hour taken out, with bounds over all looks; None if unknown."""
    if not np.isfinite(found.move[-1]):
        return None
    middle = float(found.move[-1] - found.drift.shift[-1])
    spread = 0.8 if found.setting.kind == "rate" else 0.15
    width = float(half_width(found.drift.variance[-1], found.drift.dof[-1], 1 - LEVEL, spread))
    low, high = (math.exp(min(middle + sign * width, 700.0)) for sign in (-1, 1))
    return Effect(estimate=math.exp(middle), low=low, high=high, measure="ratio", level=LEVEL)


def _counts(found: SinceEvidence) -> dict[str, Json]:
    sums = {
        "baseline": (float(found.before_part[-1]), float(found.before_whole[-1])),
        "canary": (float(found.part.sum()), float(found.whole.sum())),
    }
    result: dict[str, Json] = {}
    for side, (part, whole) in sums.items():
        mean = part / whole if whole > 0 else None
        if found.setting.kind == "rate":
            result[side] = {"bad": part, "total": whole, "rate": mean, "replicas": None}
        else:
            result[side] = {"level": None if mean is None else math.exp(mean), "replicas": None}
    return result


def _compared(question: Question, found: SinceEvidence, size: Effect | None) -> str:
    counts, label = _counts(found), question.name.replace("-", " ")
    key = "rate" if found.setting.kind == "rate" else "level"
    after, before = (counts[side][key] for side in ("canary", "baseline"))
    if after is None or before is None:
        return f"{label}: nothing to compare with from before"
    if isinstance(question, Rate):
        factor, unit = unit_of(question, after, before)
        text = f"{label} {words.number(after * factor)} since, {words.number(before * factor)} before {unit}"
    else:
        write = _writing(question)
        text = f"{label} {write(after)} since, {write(before)} before"
    if size is None:
        return text
    known = size.low > 1 / LOOSE or size.high < LOOSE
    bounds = f", {words.bounds(size.low, size.high)}" if known else ""
    return f"{text} ({words.ratio(size.estimate)}{bounds})"


def _writing(question: Question) -> Callable[[float], str]:
    if isinstance(question, Latency) and question.histogram is not None:
        return seconds
    return words.percent if question.kind == "proportion" else words.number


def _reason(
    question: Question, state: State, found: SinceEvidence, size: Effect | None, policy: Policy, standing: Standing
) -> str:
    head = _compared(question, found, size)
    days = f"{found.days} earlier days" if found.days else "no earlier days"
    warn, promote, step = (float(values[-1]) for values in (found.warn, found.promote, found.step))
    if state is State.WORSE:  # what was proved once stays proved
        return f"{head}: worse since the release, odds {words.odds(float(np.max(found.warn)))}, {days}"
    if state is State.DEGRADED:
        return f"{head}: worse since the release, odds {words.odds(warn)}, {days}, frozen"
    limit = words.ratio(found.setting.ratio)
    if state in (State.NO_WORSE, State.BETTER) and step >= -math.log(policy.alpha.step):
        said = "better than" if state is State.BETTER else f"no worse than {limit}"
        return f"{head}: {said} before the release, odds {words.odds(promote)}, {days}"
    if warn >= LEANING and warn > step:
        return f"{head}: leans to worse since the release, odds {words.odds(warn)}, {days}"
    least = found.provable(policy.alpha.promote)
    reach = f"{words.ratio(least)} at best" if math.isfinite(least) else "nothing can be proved"
    if least > found.setting.ratio:  # not even of an equal release, however much is counted
        reach += ", more time will not help"
    goal = promote if standing.final else step
    late = "; past its deadline: a person decides" if standing.deadline_left <= 0 else ""
    return f"{head}: not proved within {limit}, odds {words.odds(goal)}; {days}: {reach}{late}"
