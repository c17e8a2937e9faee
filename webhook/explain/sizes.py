"""What each side of a question came to, and how the sides compare, in the unit of its kind."""

from __future__ import annotations

from analysis import words
from webhook.explain.reading import Document, amount, line, part

HOUR = 3600.0


def counts(evidence: Document, side: str, *, short: bool = False) -> str:
    """
    Return what one side came to: ``13 of 1,000 = 1.3 %, 1 replica``, ``0.41, 6 replicas``, ``16,105 requests``.

    Parameters
    ----------
    evidence : mapping
    side : {"baseline", "canary"}
    short : bool, default False
        Without replicas, as a cell of a table: ``13/1,000 = 1.3 %``.
    """
    counted = part(evidence, "counts", side)
    said = _came_to(evidence, counted, short=short)
    pods = amount(counted.get("replicas"))
    if pods is None or short:
        return said
    return f"{said}{', ' if said else ''}{words.count(pods)} {'replica' if pods == 1 else 'replicas'}"


def _came_to(evidence: Document, counted: Document, *, short: bool) -> str:
    bad, total, rate, level = (amount(counted.get(key)) for key in ("bad", "total", "rate", "level"))
    if level is not None:
        return words.number(level)
    if (unit := per_unit(evidence)) is not None:
        return _events(bad, rate, unit, short=short)
    said = ""
    if total is not None and bad is None:
        said = words.count(total) if short else f"{words.count(total)} requests"
    elif total is not None and bad is not None:
        said = f"{words.count(bad)}{'/' if short else ' of '}{words.count(total)}"
    if rate is not None:
        said += f"{' = ' if said else ''}{words.percent(rate)}"
    return said


def per_unit(evidence: Document) -> tuple[float, str] | None:
    """Return by what a rate is multiplied to be read and the words for it; None for what is no rate."""
    details = part(evidence, "details")
    factor, unit = amount(details.get("per")), line(details.get("unit"))
    return None if factor is None or not unit else (factor, unit)


def _events(bad: float | None, rate: float | None, unit: tuple[float, str], *, short: bool) -> str:
    said = [] if bad is None else [f"{words.count(bad)}{'' if short else ' event' if bad == 1 else ' events'}"]
    if rate is not None:
        said.append(f"{words.number(rate * unit[0])} {unit[1]}")
    return " = ".join(said)


def effect(evidence: Document) -> str:
    """Return the estimate and its bounds: ``1.3x (0.98x to 1.7x)``, or ``+0.12 (0.05 to 0.2)`` of a level."""
    found = part(evidence, "effect")
    estimate, low, high = (amount(found.get(key)) for key in ("estimate", "low", "high"))
    measure = line(found.get("measure"))
    if estimate is None:
        return _varied(evidence)
    if measure != "difference":
        return f"{words.ratio(estimate)} ({words.bounds(low, high, measure)})"
    if amount(part(evidence, "counts", "canary").get("level")) is None:
        return f"{words.points(estimate)} ({words.bounds(low, high, measure)})"
    return f"{signed(estimate)} ({_between(low, high)})"


def _varied(evidence: Document) -> str:
    """Return the ratio of a series that is judged by its variation: it has no bounds."""
    ratio = amount(part(evidence, "details", "variation").get("ratio"))
    return "" if ratio is None else f"{words.ratio(ratio)} (no bounds)"


def signed(value: float) -> str:
    """Return a difference in the metric's own unit, with its sign."""
    return f"+{words.number(value)}" if value > 0 else words.number(value)


def _between(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return "nothing bounds it yet"
    if high is None or low is None:
        return f"at least {signed(low)}" if low is not None else f"at most {signed(high or 0.0)}"
    return f"{signed(low)} to {signed(high)}"


def level(evidence: Document) -> str:
    """Return the confidence of the bounds in words, or an empty text."""
    value = amount(part(evidence, "effect").get("level"))
    return "" if value is None else f"{words.share(value)} bounds, over all looks at once"


def more(evidence: Document, requests: float) -> str:
    """Return how much more is needed, in what the kind counts: requests, pod-hours, or units of exposure."""
    unit = per_unit(evidence)
    if unit is None:
        return f"about {words.about(requests)} more canary requests"
    if unit[1] == "per pod-hour":
        return f"about {words.number(requests / HOUR)} more canary pod-hours"
    return f"about {words.about(requests)} more canary units of exposure"
