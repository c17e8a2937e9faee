"""
Single values of requests: names, numbers, flags and times, read strictly or as a template engine sends them.

``loose`` values may be strings or empty: controllers fill templates, so a number arrives as ``"0.1"`` and what
they do not know as ``""``. Every reader returns ``None`` for what is absent and raises `BadRequest` for the rest.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from analysis.types import Json
from webhook.errors import BadRequest
from webhook.schema.documents import NESTED, json_value
from webhook.schema.problems import shown

LONGEST_NAME = 253
"""Characters of a name: the longest that Kubernetes allows."""
LAST_SECOND = 253402300799.0
"""31 December 9999, the last second RFC 3339 can say; larger numbers are mostly milliseconds."""
CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that break a line, or that UTF-8 cannot carry."""
FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(\.\d{1,12})?([Zz]|[+-]\d\d:\d\d)", flags=re.ASCII)


def refuse(place: str, rule: str, value: Json) -> BadRequest:
    """Return the error that names place, rule and value."""
    return BadRequest(f"{rule}, got {shown(value)}", place)


def absent(value: Json, loose: bool) -> bool:
    """Return whether a value says nothing: null, and where ``loose`` empty text."""
    return value is None or (loose and isinstance(value, str) and not value.strip())


def name(value: Json, place: str, *, loose: bool = False) -> str | None:
    """Return text of 1 to `LONGEST_NAME` characters on one line; where ``loose`` numbers and flags are text too."""
    if absent(value, loose):
        return None
    if loose and isinstance(value, (int, float)):
        value = str(value).lower() if isinstance(value, bool) else f"{value:.15g}"
    if not isinstance(value, str):
        raise refuse(place, "must be text", value)
    if not 1 <= len(value) <= LONGEST_NAME:
        raise refuse(place, f"must have 1 to {LONGEST_NAME} characters", value)
    if any(unicodedata.category(letter) in CONTROL for letter in value):
        raise refuse(place, "must not hold control characters", value)
    return value


def number(value: Json, place: str, *, loose: bool = False) -> float | None:
    """Return a finite number."""
    if absent(value, loose):
        return None
    found = value
    if (
        loose
        and isinstance(value, str)
        and re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", value, re.ASCII)
    ):
        found = float(value)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise refuse(place, "must be a number", value)
    if not abs(found) <= 1e300 or not math.isfinite(found):
        raise refuse(place, "must be a finite number", value)
    return float(found)


def share(value: Json, place: str, *, loose: bool = False) -> float | None:
    """Return a share of traffic in [0, 1]."""
    found = number(value, place, loose=loose)
    if found is not None and not 0 <= found <= 1:
        raise refuse(place, "must be a share between 0 and 1 (5 % is 0.05)", value)
    return found


def whole(value: Json, place: str, *, loose: bool = False) -> int | None:
    """Return a whole number, not negative."""
    found = number(value, place, loose=loose)
    if found is not None and not (found >= 0 and found == int(found)):
        raise refuse(place, "must be a whole number, not negative", value)
    return None if found is None else int(found)


def flag(value: Json, place: str, *, loose: bool = False) -> bool | None:
    """Return true or false; where ``loose`` also from ``true false yes no 1 0`` in any case."""
    if absent(value, loose):
        return None
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if loose and isinstance(value, (str, int)) else ""
    if word not in FLAGS:
        raise refuse(place, "must be true or false", value)
    return FLAGS[word]


def time(value: Json, place: str, *, loose: bool = False) -> float | None:
    """
    Return unix seconds of a time in RFC 3339 (any zone, but with one), or in unix seconds as number or text.

    A leap second is the second after. The result lies in ``[0, LAST_SECOND]``.
    """
    if absent(value, loose):
        return None
    if isinstance(value, str) and (found := RFC_3339.fullmatch(value.strip())):
        seconds = _seconds(found, place, value)
    else:
        try:
            seconds = number(value, place, loose=isinstance(value, str)) or 0.0
        except BadRequest as error:
            raise refuse(place, "must be a time like 2026-11-23T10:00:00Z, or unix seconds", value) from error
    if not 0 <= seconds <= LAST_SECOND:
        raise refuse(place, "must be a time between 1970 and 9999 in unix seconds, not milliseconds", value)
    return seconds


def _seconds(found: re.Match[str], place: str, value: str) -> float:
    day, minute, second, fraction, zone = found.groups()
    leap = second == "60"
    try:
        text = f"{day}T{minute}:{'59' if leap else second}{'+00:00' if zone in 'Zz' else zone}"
        moment = datetime.fromisoformat(text) + timedelta(seconds=leap)
        return moment.astimezone(UTC).timestamp() + float(fraction or 0)
    except (ValueError, OverflowError) as error:
        raise refuse(place, "must be a time that exists", value) from error


def mapping(value: Json, place: str, *, loose: bool = False) -> Mapping[str, Json] | None:
    """Return a mapping; where ``loose`` it may be JSON inside a string."""
    if absent(value, loose):
        return None
    found = value
    if loose and isinstance(value, str) and value.lstrip().startswith("{"):
        found = parsed(value, place)
    if not isinstance(found, dict):
        raise refuse(place, "must be an object", value)
    return found


def parsed(raw: bytes | str, place: str = "") -> Json:
    """
    Return the value of a JSON text.

    ``NaN`` and numbers too large become non-finite numbers, which every reader of a number refuses in its place.

    Raises
    ------
    BadRequest
        Not UTF-8, not JSON, a key twice, nested too deeply.
    """
    try:
        return json_value(raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw)
    except UnicodeDecodeError as error:
        raise BadRequest(f"must be UTF-8, got byte {error.object[error.start]:#04x}", place) from error
    except ValueError as error:
        raise BadRequest(f"must be JSON: {' '.join(str(error).partition(';')[0].split())}", place) from error
    except RecursionError as error:
        raise BadRequest(NESTED, place) from error
