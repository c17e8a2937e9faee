"""What explains a question beyond its odds: edges of a latency, a line's variation, steps, the start of a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from analysis import words
from analysis.compare.latency_effects import seconds
from webhook.explain import sizes
from webhook.explain.reading import Document, amount, line, part, parts, when

BESIDE: Final = {
    "beside": "beside stable, sample by sample",
    "before_after": "against the time before, as the sides have no common times",
    "counts": "as counts of requests",
    "zero": "against a level that was always zero",
}
"""How a line was judged by its variation."""
HARMED: Final = ("worse", "degraded")


def details(evidence: Document) -> list[str]:
    """Return what else explains a question: start of the fault, the loudest look, counts per weight step."""
    found = part(evidence, "details")
    told = []
    if evidence.get("state") in HARMED and (began := when(found.get("fault_start"))):
        told.append(f"the change seems to have begun at {began}")
    if ended := when(found.get("burst_look")):
        told.append(f"the look that ended at {ended} carries the proof alone: no abort until others agree")
    told += _warm_up(part(found, "warm_up"))
    told += _reach(part(found, "reachable"), part(evidence, "goals"))
    for key, meaning in (("slack_step", "the next step"), ("slack_final", "the last step")):
        if (slack := amount(found.get(key))) is not None:
            told.append(f"{meaning} may cost at most {_slack(evidence, slack)} beyond the tolerated ratio")
    if (share := amount(found.get("share_of_abort"))) is not None and 0 < share < 1:
        told.append(f"of what aborts, its evidence counts {words.share(round(share, 3))}")
    if skipped := amount(found.get("empty_looks")):
        told.append(f"{words.count(skipped)} {'look' if skipped == 1 else 'looks'} without traffic on one side")
    return told + [_step(evidence, step) for step in parts(found.get("steps"))]


def _slack(evidence: Document, slack: float) -> str:
    unit = sizes.per_unit(evidence)
    return words.points(slack).lstrip("+") if unit is None else f"{words.number(slack * unit[0])} {unit[1]}"


def _warm_up(found: Document) -> list[str]:
    """Return from which age on a pod counts, where young ones do not."""
    hold, abort, births = (amount(found.get(key)) for key in ("hold", "abort", "births"))
    if not hold and not abort:
        return []
    said = f"pods count from an age of {words.duration(hold or 0.0)} on"
    if abort and abort != hold:
        said += f", for an abort from {words.duration(abort)}"
    if not births:
        return [said]
    ago = amount(found.get("ago"))
    past = f", the newest {words.duration(ago)} before the release" if ago is not None else ""
    return [f"{said}; learned from {words.count(births)} births{past}"]


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


def _step(evidence: Document, step: Document) -> str:
    told = []
    for side in ("baseline", "canary"):
        counted = dict(part(step, side))
        bad, total = amount(counted.get("bad")), amount(counted.get("total"))
        if counted.get("rate") is None and bad is not None and total:
            counted["rate"] = bad / total
        if text := sizes.counts({**evidence, "counts": {side: counted}}, side):
            told.append(f"{side} {text}")
    return f"since {when(step.get('start'))}: {'; '.join(told)}"


def edges(evidence: Document) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield of each edge of a latency: its bound, both sides' shares over it, odds for more, and for too many."""
    for edge in parts(part(evidence, "details").get("edges")):
        bound = amount(edge.get("edge"))
        if bound is None or bound <= 0:
            continue
        objective = ", objective" if edge.get("slo") is True else ""
        yield (
            f"over {seconds(bound)}{objective}",
            _told(edge, "baseline", words.percent),
            _told(edge, "canary", words.percent),
            _told(edge, "worse", words.odds),
            _told(edge, "tolerated", words.odds),
        )


def _told(edge: Document, key: str, form: Callable[[float], str]) -> str:
    value = amount(edge.get(key))
    return "–" if value is None else form(value)


def guilty(evidence: Document) -> str:
    """Return what of a latency is to blame, where it harms: ``more requests over 1 s``."""
    return line(part(evidence, "details").get("guilt"))


def variation(evidence: Document) -> list[str]:
    """Return how a series without counts was judged: by what, how strong its change is, what would hold or abort."""
    found = part(evidence, "details", "variation")
    if not found:
        return []
    judged = line(found.get("judged_as"))
    told = [BESIDE.get(judged, judged)] if judged else []
    if (strength := amount(found.get("strength"))) is not None:
        told.append(f"strength of its change {words.number(max(strength, 0.0))}, an abort needs 1")
    hold, abort, sd = (amount(found.get(key)) for key in ("would_hold", "would_abort", "sd"))
    if hold is not None and abort is not None:
        natural = "" if sd is None else f"; by itself it varies by about {words.share(round(sd, 3))}"
        told.append(f"a change by {words.ratio(hold)} would hold, one by {words.ratio(abort)} abort{natural}")
    if found.get("blind") is True:
        told.append("blind: it varies so much that even a tripling would not show")
    if evidence.get("state") in HARMED:
        stands = found.get("standing") is True
        told.append(
            f"{'has stood' if stands else 'has not yet stood'} for a quarter of the canary's age, as an abort needs"
        )
    return told
