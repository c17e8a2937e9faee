"""Sentences about one question of a report: its state, its standing, its proofs, its noise, its forecast."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from analysis import words
from webhook.explain import sizes
from webhook.explain.reading import Document, amount, line, part

STATES = {
    "worse": "worse than tolerated",
    "degraded": "worse, size still open",
    "no_worse": "no worse",
    "within_variation": "within natural variation",
    "better": "better",
    "undecided": "undecided",
    "within_limit": "within its limits",
    "over_limit": "over a limit",
    "within_budget": "within its budget",
    "over_budget": "over its budget",
    "budget_unknown": "budget unknown",
    "no_data": "no data",
    "incomparable": "sides not comparable",
    "stale": "stale",
}


CLAIMS = {
    "worse": ("worse than stable", "freeze"),
    "tolerated": ("worse than tolerated", "excess"),
    "abort": ("worse, and beyond tolerance", "abort"),
    "step": ("worth the next step's risk", "next step"),
    "promote": ("no worse than tolerated", "last step"),
    "better": ("better than stable", "better"),
}
"""What each process of evidence speaks for, and what it opens once it is strong enough."""


KNOWN = "enough is known already"
SOURCES = {
    "history": "learned from the stable replicas before the release",
    "run": "learned from the stable replicas during this release",
    "prior": "assumed: too little history to learn it from",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """
    One line of evidence.

    ``log_e`` holds the natural logarithm and its goal, ``opens`` what the goal is for and its odds;
    ``share`` is how much of the goal is reached, 0 to 1, None without a goal.
    """

    claim: str
    odds: str
    log_e: str
    opens: str
    reached: bool
    share: float | None


def state(evidence: Document) -> str:
    """Return the state of a question in words."""
    found = line(evidence.get("state"))
    return STATES.get(found, found.replace("_", " ")) or "unknown"


PROOFS = {
    "sequential": "sequential: the odds hold at every look, however often it is asked",
    "variation": "variation, the weaker one: a rule measured on labelled cases, without odds",
}


def proof(evidence: Document) -> str:
    """Return which proof a question was judged by, in words; an empty text where it was not judged."""
    found = line(evidence.get("proof"))
    return PROOFS.get(found, found)


def standing(evidence: Document) -> str:
    """Return how much a question counts: ``critical, required, may abort``."""
    said = [line(evidence.get("kind")), line(evidence.get("weight"))]
    said.append("muted" if evidence.get("muted") is True else "")
    said.append("required" if evidence.get("required") is True else "not required")
    may = line(evidence.get("may"))
    said.append(f"may {may}" if may else "")
    return ", ".join(filter(None, said))


def proofs(evidence: Document) -> Iterator[Proof]:
    """Yield the evidence of a question, strongest claim against the canary first, what is absent left out."""
    held, goals = part(evidence, "log_e"), part(evidence, "goals")
    for key, (claim, purpose) in CLAIMS.items():
        value, goal = amount(held.get(key)), amount(goals.get(key))
        if value is None and goal is None:
            continue
        yield Proof(
            claim=claim,
            odds="none yet" if value is None else words.odds(value),
            log_e=_log_e(value, goal),
            opens="" if goal is None else f"{purpose} at {words.odds(goal)}",
            reached=value is not None and goal is not None and value >= goal,
            share=None if goal is None or goal <= 0 else min(1.0, max(0.0, (value or 0.0) / goal)),
        )


def _log_e(value: float | None, goal: float | None) -> str:
    said = "log e –" if value is None else f"log e {value:.1f}"
    return said if goal is None else f"{said} of {goal:.1f}"


def noise(evidence: Document) -> str:
    """Return what natural noise the test allowed for, and where that is known from."""
    found = part(evidence, "noise")
    if not found:
        return ""
    phi, spread, wander = (amount(found.get(key)) for key in ("phi", "pod_sd", "noise_sd"))
    looks, pods = amount(found.get("looks")), amount(found.get("replicas"))
    said = []
    if phi is not None:
        said.append("events independent of each other" if phi == 1 else f"events clumped {words.number(phi)}-fold")
    if spread is not None and wander is not None:
        told = f"known to about {words.share(round(math.hypot(spread, wander), 3))}"
        said.append(f"{told}: {words.share(round(spread, 3))} for pods, {words.share(round(wander, 3))} over time")
    elif spread is not None:
        said.append(f"pods differ by about {words.share(round(spread, 3))}")
    source = line(found.get("source"))
    known = SOURCES.get(source, source)
    if looks and source != "prior":
        known += f", {words.count(looks)} looks"
        known += f" of {words.count(pods)} {'replica' if pods == 1 else 'replicas'}" if pods else ""
    said.append(known)
    said.append("replicas not visible" if found.get("visible") is False else "")
    return "; ".join(filter(None, said))


def forecast(found: Document) -> str:
    """Return a forecast: ``about 2,100 more canary requests, 4 min at 10 %; 95 s at 25 %``."""
    said = []
    requests, seconds = amount(found.get("canary_requests")), amount(found.get("seconds"))
    weight = amount(found.get("at_weight"))
    if requests == 0 and not seconds:
        return ""  # enough is known: something else is waited for
    if requests is not None:
        said.append(f"about {words.about(requests)} more canary requests")
    if seconds is not None:
        said.append(_at(seconds, weight))
    quicker = part(found, "faster")
    then, there = amount(quicker.get("seconds")), amount(quicker.get("weight"))
    text = ", ".join(said)
    return text if then is None else "; ".join(filter(None, (text, _at(then, there))))


def forecasts(evidence: Document) -> list[str]:
    """Return what is expected of one question: how soon it could promote, how soon abort, what it may cost."""
    found = part(evidence, "forecast")
    weight, cost = amount(found.get("at_weight")), amount(found.get("worst_cost"))
    told = []
    for aim in ("promote", "abort"):
        text = _wait(evidence, part(found, aim), weight)
        if evidence.get("state") == "worse" and text:
            # Forecasts follow one part of a question; what was proved already may be another.
            text = KNOWN if aim == "abort" else text.replace(KNOWN, "")
        if text:
            told.append(f"to {aim}: {text}")
    quicker = part(found, "faster")
    if (then := amount(quicker.get("seconds"))) is not None:
        told.append(f"quicker: {_at(then, amount(quicker.get('weight')))}")
    if cost is not None:
        events = "failed requests" if sizes.per_unit(evidence) is None else "events"
        told.append(f"at worst about {words.about(cost)} more {events} in the first hour at full weight")
    return told


def _wait(evidence: Document, found: Document, weight: float | None) -> str:
    """Return how long one decision takes, with the wait that four in five stay below; or why it never comes."""
    requests, seconds = amount(found.get("canary_requests")), amount(found.get("seconds"))
    sure = amount(found.get("sure_seconds"))
    if seconds is None:
        return line(found.get("reason"))
    if seconds <= 0:
        return KNOWN
    said = _at(seconds, weight) if requests is None else f"{sizes.more(evidence, requests)}, {_at(seconds, weight)}"
    return said if sure is None else f"{said} (80 % sure by {words.duration(sure)})"


def _at(seconds: float, weight: float | None) -> str:
    return words.duration(seconds) + ("" if weight is None else f" at {words.share(weight)}")
