"""Reading a stored document without trusting its shape: what is missing or of a wrong type is absent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from analysis.types import Json

Document = Mapping[str, Json]


def part(value: Json, *keys: str) -> Document:
    """Return the mapping at ``keys`` below ``value``, or an empty one."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def parts(value: Json) -> list[Document]:
    """Return the mappings of a list, in order; anything else is left out."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def amount(value: Json) -> float | None:
    """Return a finite number, or None; a truth value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def line(value: Json) -> str:
    """
    Return what can be printed on one line: text, or a number as it is; anything else is empty.

    Characters that a terminal would obey (escapes, line ends, changes of direction) are replaced, so that a
    name cannot paint over a verdict.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return _shown(" ".join(str(value).split()))


def code(value: Json) -> str:
    """Return a query on one line, as `line` does, but with every blank kept: some stand between quotes."""
    return _shown("".join(" " if char.isspace() else char for char in value)) if isinstance(value, str) else ""


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def lines(value: Json) -> list[str]:
    """Return the printable texts of a list, without empty ones."""
    return [text for text in map(line, value) if text] if isinstance(value, list | tuple) else []


def moment(value: Json) -> datetime | None:
    """Return a time written as RFC 3339 text or as unix seconds, in UTC; None if it is neither."""
    try:
        if isinstance(value, str):
            read = datetime.fromisoformat(value)
            return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
        seconds = amount(value)
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def when(value: Json) -> str:
    """Return a time as ``2026-11-23 10:00:00Z``; what is no time as it stands."""
    read = moment(value)
    return f"{read:%Y-%m-%d %H:%M:%S}Z" if read else line(value)
