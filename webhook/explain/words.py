"""Sentences of a report, shared by the plain text and the page: each reads one part of the document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from analysis import words
from webhook.explain.reading import Document, amount, line, lines, moment, part, parts, when

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
    "tolerated": ("worse than tolerated", "more than tolerated"),
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
FLAGS = {
    "source_degraded": "the metrics source did not answer in full",
    "miswired": "no hook is configured at which a hold could wait",
    "burst": "one single look carries the evidence: not counted as proof by itself",
    "replicas_not_visible": "differences between pods are assumed, which costs proof",
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


def verdicts(report: Document) -> tuple[str, str]:
    """Return (what we think, what the caller hears), each in capitals; equal unless the mode changes it."""
    heard = line(report.get("verdict")).upper() or "NO VERDICT"
    return line(report.get("would")).upper() or heard, heard


def headline(report: Document) -> str:
    """Return the verdict in capitals; where the mode changes the answer, both are said."""
    thought, heard = verdicts(report)
    return thought if thought == heard else f"WOULD {thought} (answers {heard})"


def mode(report: Document) -> str | None:
    """Return a warning where the caller hears something else than the verdict, else None."""
    thought, heard = verdicts(report)
    if thought == heard:
        return None
    return f"would {thought.lower()}; mode {line(report.get('mode')) or 'unknown'} answers {heard.lower()}"


def release(report: Document) -> str:
    """Return who is judged: ``shop/checkout, revision 6c54bd4f4b, attempt 1, stage step, held``."""
    who = part(report, "release")
    said = [name(who)]
    cluster, revision = line(who.get("cluster")), line(who.get("revision"))
    stable = line(part(report, "detail").get("stable_revision"))
    if cluster:
        said.append(f"cluster {cluster}")
    if revision:
        said.append(f"revision {revision}" + (f" against {stable}" if stable else ""))
    for key in ("attempt", "stage"):
        if value := line(who.get(key)):
            said.append(f"{key} {value}")
    said.append(line(who.get("phase")))
    return ", ".join(filter(None, said))


def name(who: Document) -> str:
    """Return ``namespace/name`` of a release."""
    return "/".join(filter(None, (line(who.get("namespace")), line(who.get("name"))))) or "unnamed release"


def window(report: Document) -> str:
    """Return the span judged: its bounds, its length, its looks."""
    span = part(report, "window")
    start, end = moment(span.get("start")), moment(span.get("end"))
    looks = amount(span.get("looks"))
    said = []
    if start and end:
        said = [f"{when(span.get('start'))} to {when(span.get('end'))}"]
        said.append(words.duration((end - start).total_seconds()))
    if looks is not None:
        length = amount(part(report, "detail", "grid").get("length"))
        each = f" of {words.duration(length)}" if length else ""
        said.append(f"{words.count(looks)} {'look' if looks == 1 else 'looks'}{each}")
    return ", ".join(said)


def traffic(report: Document) -> str:
    """Return the canary's share of traffic and the next one, as far as known."""
    detail = part(report, "detail")
    now, after = amount(detail.get("weight")), amount(detail.get("next_weight"))
    said = [] if now is None else [f"canary at {words.share(now)}"]
    if after is not None:
        said.append(f"next step {words.share(after)}")
    return ", ".join(said)


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
    """Return the forecasts of one question, those for promotion and abort apart where it has both."""
    found = part(evidence, "forecast")
    told = [forecast(found)]
    for aim, meaning in (("promote", "to promote"), ("abort", "to abort")):
        if text := forecast(part(found, aim)):
            told.append(f"{meaning}: {text}")
    return [text for text in told if text]


def _at(seconds: float, weight: float | None) -> str:
    return words.duration(seconds) + ("" if weight is None else f" at {words.share(weight)}")


def flag(text: str) -> str:
    """Return a flag with its meaning, where it has one to tell."""
    meaning = FLAGS.get(text)
    return f"{text.replace('_', ' ')}: {meaning}" if meaning else text.replace("_", " ")


def details(evidence: Document) -> list[str]:
    """Return what else explains a question: start of the fault, the loudest look, counts per weight step."""
    found = part(evidence, "details")
    told = []
    if began := when(found.get("fault_start")):
        told.append(f"the change seems to have begun at {began}")
    if look := line(found.get("burst_look")):
        number = "number " if amount(found.get("burst_look")) is not None else ""
        told.append(f"the loudest single look is {number}{look}")
    if (most := amount(found.get("reachable"))) is not None:
        told.append(f"with endless requests these replicas could prove at most {words.odds(most)}")
    for step in parts(found.get("steps")):
        sides = [(side, counts({"counts": step}, side)) for side in ("baseline", "canary")]
        told.append(f"since {when(step.get('start'))}: " + "; ".join(f"{side} {text}" for side, text in sides if text))
    return told


def left_out(item: Document) -> str:
    """Return one thing that was not used, and why."""
    looks = amount(item.get("looks"))
    said = line(item.get("text")) or line(item.get("code")).replace("_", " ")
    if looks is not None:
        said += f" ({words.count(looks)} {'look' if looks == 1 else 'looks'}"
        said += f", last {when(item.get('last'))})" if item.get("last") else ")"
    question = line(item.get("question"))
    return f"{question}: {said}" if question else said


def override(report: Document) -> str:
    """Return the human's word in force, or an empty text."""
    found = part(report, "detail", "override")
    if not found:
        return ""
    said = f"{line(found.get('actor')) or 'somebody'} said {line(found.get('verdict')) or 'nothing'}"
    said += f" at {when(found.get('at'))}" if found.get("at") else ""
    said += f": {line(found.get('reason'))}" if found.get("reason") else ""
    return said + (f" (until {when(found.get('expires'))})" if found.get("expires") else "")


def event(item: Document) -> tuple[str, str, str, str]:
    """Return time, weight, action and reason of one line of a release's history."""
    weight = amount(item.get("weight"))
    said = "" if weight is None else words.share(weight)
    return when(item.get("time")), said, line(item.get("action")), line(item.get("reason"))


def query(item: Document) -> str:
    """Return what a resolved query was for and how much it returned."""
    series, samples = amount(item.get("series")), amount(item.get("samples"))
    said = " ".join(filter(None, (line(item.get("question")), line(item.get("field"))))) or "query"
    if series is not None:
        said += f", {words.count(series)} series"
    return said if samples is None else f"{said}, {words.count(samples)} samples"


def recompute(report: Document) -> list[str]:
    """Return how to get the same report again from the exported record."""
    found, end = line(report.get("id")), line(part(report, "window").get("end"))
    if not found:
        return []
    at = f" --at {end}" if end else ""
    return [
        f"save the answer of GET /v1/reports/{found}/record as record.json",
        f"weighbridge judge record.json{at}",
    ]


def timing(report: Document) -> str:
    """Return how long the answer took: our own share apart from the source's."""
    found = part(report, "detail", "timing")
    told = (
        (amount(found.get("own_seconds")), "judging"),
        (amount(found.get("source_seconds")), "waiting for metrics"),
    )
    return ", ".join(f"{words.duration(seconds)} {what}" for seconds, what in told if seconds is not None)


def remarks(report: Document) -> list[str]:
    """Return flags and notes of the whole report."""
    detail = part(report, "detail")
    return [flag(text) for text in lines(detail.get("flags"))] + lines(detail.get("notes"))
