"""What an entry of inline data says of its question besides numbers: direction, unit, whether it has a vote."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.questions import Gauge, Latency, Quantile, Question
from analysis.types import Direction, Json
from webhook.schema import scalars
from webhook.schema.questions import BOTH_RULE
from webhook.schema.scalars import refuse

UNITS = ("s", "ms", "fraction")


def direction_of(entry: Mapping[str, Json], place: str) -> Direction:
    """Return which change does harm: ``increase`` unless the entry says otherwise."""
    word = entry.get("direction", Direction.INCREASE.value)
    if word not in [direction.value for direction in Direction]:
        raise refuse(f"{place}/direction", f"must be one of {', '.join(Direction)}", word)
    return Direction(word)


def is_context(entry: Mapping[str, Json], place: str) -> bool:
    """Return whether an entry is measured without a vote: load, that fractions may be counted by."""
    return bool(scalars.flag(entry.get("context"), f"{place}/context"))


def unit_of(entry: Mapping[str, Json], place: str) -> str | None:
    """Return ``s`` or ``ms`` of a latency, ``fraction`` of shares that may be counts, None where nothing is said."""
    unit = entry.get("unit")
    if unit is not None and unit not in UNITS:
        raise refuse(f"{place}/unit", f"must be one of {', '.join(UNITS)}", unit)
    return unit


def refuse_otherwise(question: Question, entry: Mapping[str, Json], place: str) -> None:
    """Refuse what an entry says of its question where that says otherwise."""
    if "direction" in entry and direction_of(entry, place) is not question.direction:
        rule = f"must be that of the policy ({question.direction.value}), or left out"
        raise refuse(f"{place}/direction", rule, entry["direction"])
    if question.direction is Direction.BOTH and not isinstance(question, Gauge | Quantile):
        raise refuse(f"{place}/direction", BOTH_RULE, entry.get("direction"))
    if is_context(entry, place) and not question.muted:
        raise refuse(f"{place}/context", "must be a question that the policy mutes: context has no vote", True)
    unit = unit_of(entry, place)
    known = (question.unit,) if isinstance(question, Latency) else ("fraction",)
    if unit is not None and unit not in known:
        raise refuse(f"{place}/unit", f"must be {known[0]} for this {question.kind}, or left out", unit)
