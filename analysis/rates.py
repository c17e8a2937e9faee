"""
Events per unit of exposure, the kind ``rate``: failed jobs per job, restarts per pod-hour.

Events of either side are Poisson, so their split between the sides follows from the exposures alone and the engine of
proportions serves unchanged, with exposure in the place of requests (statistics.md 2.1, 2.2). What differs is what a
share brings along: a rate has no upper bound, and its unit carries no information. Slack is in events per unit of
exposure; the harm budget counts events, as for proportions: so many more in ten minutes after a step, and in the first
hour after the last one.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from analysis import explaining, silences, words
from analysis.compare.counts import CountsData, CountsEvidence, CountsQuestion, with_next_weight
from analysis.explaining import Standing
from analysis.policy import Policy, Rate
from analysis.proportions import EVENTS_PER_EXPOSURE, counts_data
from analysis.record import Record
from analysis.report import Evidence
from analysis.silences import Silence
from analysis.types import Effect, Json, State

__all__ = ["answer", "asked", "counts_of", "silence", "unit_of", "with_next_weight"]

TIME: Final = "time"
HOUR: Final = 3600.0
UNITS: Final = ((1.0, ""), (1e3, "1,000"), (1e6, "1,000,000"))
READABLE: Final = 0.1


def asked(question: Rate, policy: Policy) -> CountsQuestion:
    """Return what a question asks, in the words of the arithmetic; ``exposure: time`` is counted in replica-seconds."""
    return CountsQuestion(
        ratio=question.tolerance.ratio,
        slack=question.tolerance.absolute,
        direction=question.direction,
        harm_budget=policy.harm_budget,
        alphas=policy.alpha,
        exposure="time" if question.exposure == TIME else "units",
    )


def silence(question: Rate, record: Record) -> Silence | None:
    """Return why a question cannot be judged on this record, or None if it can; see `analysis.silences.silence`."""
    return silences.silence(question, record, ("exposure",), "exposure")


def counts_of(question: Rate, record: Record) -> CountsData | None:
    """Return events and exposure as counts of both sides; None while no look is closed or no exposure was counted."""
    if not len(record.ends) or question.name not in record.questions:
        return None
    return counts_data(question, record, EVENTS_PER_EXPOSURE)


def unit_of(question: Rate, *rates: float) -> tuple[float, str]:
    """
    Return by what rates are multiplied to be read, and the words for it.

    Parameters
    ----------
    question : Rate
    *rates : float
        Those that are shown together; the largest decides.

    Examples
    --------
    >>> unit_of(Rate(name="restarts", exposure="time"), 1e-5)
    (3600.0, 'per pod-hour')
    >>> unit_of(Rate(name="queue", exposure="jobs_total"), 0.003, 0.01)
    (1000.0, 'per 1,000')
    """
    if question.exposure == TIME:
        return HOUR, "per pod-hour"
    largest = max(rates, default=0.0)
    factor, text = next((u for u in UNITS if largest * u[0] >= READABLE), UNITS[-1] if largest > 0 else UNITS[0])
    return factor, f"per {text}" if text else "per unit"


def answer(question: Rate, policy: Policy, record: Record, found: CountsEvidence, standing: Standing) -> Evidence:
    """
    Return the evidence of a rate in full, its reason and advice in events per unit of exposure.

    Parameters
    ----------
    question : Rate
    policy : Policy
    record : Record
    found : CountsEvidence
    standing : Standing

    Returns
    -------
    Evidence
        ``details["compared"]`` is both rates with the bounds of their ratio in words, ``details["unit"]`` the words for
        the unit and ``details["per"]`` what ``counts`` rates are multiplied by to be in it.
    """
    full = explaining.evidence_of(question, policy, record, found, standing)
    sides = full.counts or {}
    rates = [side["rate"] for side in sides.values() if side["rate"] is not None]
    factor, unit = unit_of(question, *rates)
    head = compared(question, sides, full.effect)
    return replace(
        full,
        reason=words.cut(f"{head}: {_said(question, full, found, standing)}"),
        advice=tuple(_advice(question, full)),
        details={**full.details, "compared": head, "unit": unit, "per": factor},
    )


def compared(question: Rate, sides: Json, shown: Effect | None) -> str:
    """Return ``restarts 0.8 vs 0.1 per pod-hour (5 v 9 events, 0.98x to 12x)``."""
    label = question.name.replace("-", " ")
    told = [sides.get(name, {}) for name in ("canary", "baseline")]
    if any(side.get("rate") is None for side in told):
        return f"{label}: too little exposure"
    factor, unit = unit_of(question, *(side["rate"] for side in told))
    rates = " vs ".join(words.number(side["rate"] * factor) for side in told)
    events = " v ".join(words.count(side["bad"]) for side in told)
    bounds = "" if shown is None else f", {words.bounds(shown.low, shown.high)}"
    return f"{label} {rates} {unit} ({events} events{bounds})"


def _said(question: Rate, full: Evidence, found: CountsEvidence, standing: Standing) -> str:
    """Return what follows from the rates, in the words of the state."""
    alphas, limit = found.question.alphas, words.ratio(question.tolerance.ratio)
    warn, promote, step = (words.odds(full.log_e.get(n) or 0.0) for n in ("worse", "promote", "step"))
    affordable = found.by_step.now >= -math.log(alphas.step)
    if full.state is State.WORSE:
        return f"statistical test says worse than stable, odds {warn}"
    if full.state is State.DEGRADED:
        return f"statistical test says worse than stable, odds {warn}; size still open, frozen"
    if full.state in (State.NO_WORSE, State.BETTER):
        said = "better than stable" if full.state is State.BETTER else f"no worse than {limit}"
        if affordable:
            return f"{said}, odds {promote}"
        return f"{said}, but the step is not yet proved affordable, odds {step}{_soon(question, full)}"
    return f"{_missing(found, standing, limit)}{_soon(question, full)}"


def _missing(found: CountsEvidence, standing: Standing, limit: str) -> str:
    alphas, warn = found.question.alphas, float(found.warn[-1])
    if not found.used.any():
        return "nothing weighed yet: the noise of the stable side is learned first"
    if warn >= math.log(3) and warn > found.by_step.now:
        needed = words.odds(-math.log(alphas.freeze))
        return f"statistical test leans to worse than stable, odds {words.odds(warn)} of {needed} needed"
    if standing.final:
        return f"not yet proved within {limit}, odds {words.odds(float(found.promote[-1]))}"
    if found.by_step.now >= -math.log(alphas.step):
        return f"the step is proved affordable, odds {words.odds(found.by_step.now)}"
    return f"step not yet proved affordable, odds {words.odds(found.by_step.now)}"


def _soon(question: Rate, full: Evidence) -> str:
    """Return how much more is needed: time, and pods' time where that is the exposure."""
    wait = None if full.forecast is None else full.forecast["promote"]
    if wait is None:
        return ""
    if not math.isfinite(wait["seconds"]):
        return f"; {wait['reason']}"
    if wait["seconds"] <= 0:
        return ""
    hours = f" ({words.number(wait['canary_requests'] / HOUR)} canary pod-hours)" if question.exposure == TIME else ""
    return f"; about {words.duration(wait['seconds'])} more{hours}"


def _advice(question: Rate, full: Evidence) -> list[str]:
    """Return the advice of counts, with what it says of traffic and of shares in the words of a rate."""
    lines = []
    for line in full.advice:
        if line.startswith("insufficient_traffic"):
            lines.append(
                "insufficient_traffic: no weight decides before the deadline; widen the tolerance or wait longer"
            )
        elif question.exposure == TIME and "of traffic would decide" in line:
            lines.append(line.replace("of traffic", "of the pods"))
        else:
            lines.append(line)
    return lines
