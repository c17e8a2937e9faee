"""Sentences about one question of a report: its state, its counts, its proofs, its noise, its forecast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from analysis import words
from webhook.explain.reading import Document, amount, line, part, parts, when

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


def standing(evidence: Document) -> str:
    """Return how much a question counts: ``critical, required, may abort``."""
    said = [line(evidence.get("kind")), line(evidence.get("weight"))]
    said.append("muted" if evidence.get("muted") is True else "")
    said.append("required" if evidence.get("required") is True else "not required")
    may = line(evidence.get("may"))
    said.append(f"may {may}" if may else "")
    return ", ".join(filter(None, said))


def counts(evidence: Document, side: str, *, short: bool = False) -> str:
    """Return what one side counted: ``13 of 1,000 = 1.3 %, 1 replica``, or ``13/1,000 = 1.3 %``."""
    counted = part(evidence, "counts", side)
    bad, total, rate = (amount(counted.get(key)) for key in ("bad", "total", "rate"))
    pods = amount(counted.get("replicas"))
    said = ""
    if total is not None:
        between = "/" if short else " of "
        said = words.count(total) if bad is None else f"{words.count(bad)}{between}{words.count(total)}"
    if rate is not None:
        said += f"{' = ' if said else ''}{words.percent(rate)}"
    if pods is not None and not short:
        said += f"{', ' if said else ''}{words.count(pods)} {'replica' if pods == 1 else 'replicas'}"
    return said


def effect(evidence: Document) -> str:
    """Return the estimate and its bounds: ``1.3x (0.98x to 1.7x)``."""
    found = part(evidence, "effect")
    estimate = amount(found.get("estimate"))
    measure = line(found.get("measure"))
    if estimate is None:
        return ""
    said = words.points(estimate) if measure == "difference" else words.ratio(estimate)
    return f"{said} ({words.bounds(amount(found.get('low')), amount(found.get('high')), measure)})"


def level(evidence: Document) -> str:
    """Return the confidence of the bounds in words, or an empty text."""
    value = amount(part(evidence, "effect").get("level"))
    return "" if value is None else f"{words.share(value)} bounds, over all looks at once"


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
    phi, spread = amount(found.get("phi")), amount(found.get("pod_sd"))
    looks, pods = amount(found.get("looks")), amount(found.get("replicas"))
    said = []
    if phi is not None:
        said.append("events independent of each other" if phi == 1 else f"events clumped {words.number(phi)}-fold")
    if spread is not None:
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
        if text := _wait(part(found, aim), weight):
            told.append(f"to {aim}: {text}")
    quicker = part(found, "faster")
    if (then := amount(quicker.get("seconds"))) is not None:
        told.append(f"quicker: {_at(then, amount(quicker.get('weight')))}")
    if cost is not None:
        told.append(f"at worst about {words.about(cost)} more failed requests in the first hour at full weight")
    return told


def _wait(found: Document, weight: float | None) -> str:
    """Return how long one decision takes, with the wait that four in five stay below; or why it never comes."""
    requests, seconds = amount(found.get("canary_requests")), amount(found.get("seconds"))
    sure = amount(found.get("sure_seconds"))
    if requests is None or seconds is None:
        return line(found.get("reason"))
    if requests <= 0:
        return "enough is known already"
    said = f"about {words.about(requests)} more canary requests, {_at(seconds, weight)}"
    return said if sure is None else f"{said} (80 % sure by {words.duration(sure)})"


def _at(seconds: float, weight: float | None) -> str:
    return words.duration(seconds) + ("" if weight is None else f" at {words.share(weight)}")


def details(evidence: Document) -> list[str]:
    """Return what else explains a question: start of the fault, the loudest look, counts per weight step."""
    found = part(evidence, "details")
    told = []
    if evidence.get("state") in ("worse", "degraded") and (began := when(found.get("fault_start"))):
        told.append(f"the change seems to have begun at {began}")
    if ended := when(found.get("burst_look")):
        told.append(f"the look that ended at {ended} carries the proof alone: no abort until others agree")
    told += _reach(part(found, "reachable"), part(evidence, "goals"))
    for key, meaning in (("slack_step", "the next step"), ("slack_final", "the last step")):
        if (slack := amount(found.get(key))) is not None:
            told.append(f"{meaning} may cost at most {words.points(slack).lstrip('+')} beyond the tolerated ratio")
    if skipped := amount(found.get("empty_looks")):
        told.append(f"{words.count(skipped)} {'look' if skipped == 1 else 'looks'} without traffic on one side")
    return told + [_step(step) for step in parts(found.get("steps"))]


def _reach(found: Document, goals: Document) -> list[str]:
    """Return what the pods at hand cannot prove however long they serve; nothing where they can prove enough."""
    told = []
    for key, goal, claim in (
        ("abort_at_2x", "abort", "a doubled rate is worse"),
        ("promote", "promote", "a healthy canary is harmless"),
    ):
        most, needed = amount(found.get(key)), amount(goals.get(goal))
        if most is not None and (needed is None or most < needed):
            told.append(f"with endless requests these pods could prove at most {words.odds(most)} that {claim}")
    return told


def _step(step: Document) -> str:
    told = []
    for side in ("baseline", "canary"):
        counted = dict(part(step, side))
        bad, total = amount(counted.get("bad")), amount(counted.get("total"))
        if counted.get("rate") is None and bad is not None and total:
            counted["rate"] = bad / total
        if text := counts({"counts": {side: counted}}, side):
            told.append(f"{side} {text}")
    return f"since {when(step.get('start'))}: {'; '.join(told)}"
