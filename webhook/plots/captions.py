"""The words on a plot and instead of it: titles that ask, axes with units, thresholds that say what follows."""

from __future__ import annotations

import math
from typing import Final

from analysis import words as numbers
from analysis.sides import Series
from analysis.trace import QuestionTrace
from webhook.explain import questions, sizes, words
from webhook.explain.reading import Document, amount, line, part, parts

PLOTTED: Final = frozenset({"proportion", "rate", "ratio", "latency", "gauge", "quantile"})
"""Kinds of question that have something to plot."""

SIDES: Final = {
    "proportion": ("What share of requests was bad?", "share of requests"),
    "rate": ("How often did it happen?", "events per exposure"),
    "ratio": ("What was the quotient?", "quotient"),
    "gauge": ("What was the level?", "level, unit of the metric"),
    "quantile": ("What was the published quantile?", "unit of the metric"),
}
EFFECTS: Final = {
    "ratio": ("How does the canary compare with stable?", "canary / baseline"),
    "difference": ("How does the canary differ from stable?", "canary - baseline"),
}
NATURAL: Final = ("Did it move more than it does by itself?", "canary / baseline")
HARM: Final = ("Is the canary worse than stable?", "odds that it is")
PROMISE: Final = ("Is it safe to go on?", "odds that it is")
NOTHING: Final = "Nothing to draw: no look holds a number of either side."
LATENCY: Final = ("How many requests take longer?", "share of requests")


def plotted(report: Document) -> list[str]:
    """Return the names of the questions of a report that have a plot, in order; none where no look was weighed."""
    if not amount(part(report, "window").get("looks")) or part(report, "detail", "override"):
        return []
    evidence = parts(part(report, "detail").get("evidence"))
    return [line(item.get("name")) for item in evidence if line(item.get("kind")) in PLOTTED and line(item.get("name"))]


def answered(report: Document, question: str) -> Document:
    """Return what a report says of one question, an empty mapping if nothing."""
    found = [item for item in parts(part(report, "detail").get("evidence")) if item.get("name") == question]
    return found[0] if found else {}


def heading(report: Document, question: str) -> tuple[str, str]:
    """Return the title of a sheet and the line below it: which question of which release, and its reason."""
    item = answered(report, question)
    who = words.name(part(report, "release"))
    said = f"{question}: {questions.state(item)}" if item else question
    return f"{said}, {who}, verdict {words.headline(report)}", line(item.get("reason")) or words.reason(report)


def alternative(report: Document, question: str) -> str:
    """
    Return what a plot shows, for those who do not see it: its effect and every proof with what it needs.

    Made of the report alone, so that a page need not draw anything to describe it.
    """
    item = answered(report, question)
    told = [f"Plots of {question or 'a question'} over {words.window(report) or 'the run'}"]
    if effect := sizes.effect(item):
        told.append(f"canary over baseline at the end {effect}")
    for proof in questions.proofs(item):
        goal = f", {proof.opens}" if proof.opens else ""
        told.append(f"odds for {proof.claim} {proof.odds}{goal}{', reached' if proof.reached else ''}")
    return "; ".join(told) + "."


def sides(told: QuestionTrace, series: Series) -> tuple[str, str]:
    """Return title and unit of the panel of both sides."""
    title, unit = SIDES.get(told.kind, ("What did each side do?", "unit of the metric"))
    if series.percentile:
        title = f"What was the published {series.percentile}?"
    return title, f"{unit}\n({series.looks} looks a point)" if series.looks > 1 else unit


def goal(name: str, log_e: float) -> str:
    """Return what a threshold leads to: ``hold (freeze) at 100 : 1``."""
    leads_to = {
        "worse": "HOLD (freeze)",
        "abort": "ABORT",
        "step": "PROMOTE to the next step",
        "promote": "PROMOTE, last step",
    }
    return f"{leads_to[name]} from {numbers.odds(log_e)}"


def share(value: float) -> str:
    """Return how much of a question's evidence counts, where it is not all."""
    return "" if value in (0.0, 1.0) else f", counted {numbers.share(round(value, 3))}"


def power(exponent: int) -> str:
    """Return ten to some power as odds: ``1,000 : 1``, ``even``, ``1 : 100``."""
    if exponent == 0:
        return "even"
    size = f"{10 ** abs(exponent):,}" if abs(exponent) <= 6 else f"1e{abs(exponent)}"
    return f"{size} : 1" if exponent > 0 else f"1 : {size}"


def bound(value: float, measure: str) -> str:
    """Return a limit of an effect in the unit of its axis."""
    return numbers.ratio(value) if measure == "ratio" else numbers.number(value)


def kept(kind: str, value: float) -> str:
    """Return a number of one side as its axis shows it."""
    if not math.isfinite(value):
        return ""
    return numbers.share(value) if kind == "proportion" else numbers.number(value)
