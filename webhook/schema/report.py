"""Pieces of answers: times, strict JSON, and the verdict object cut to what a controller keeps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from analysis.types import Json, State

LARGEST = 2048
"""Bytes of a verdict object: Argo keeps each measurement's value in the AnalysisRun."""
KEYS = (
    "verdict", "reason", "mode", "would", "score", "id", "url",
    "release", "policy", "window", "questions", "forecast",
)  # fmt: skip
RELEASE = ("namespace", "name", "revision", "attempt", "stage", "phase")
URGENCY = (
    State.WORSE,
    State.OVER_LIMIT,
    State.OVER_BUDGET,
    State.DEGRADED,
    State.INCOMPARABLE,
    State.NO_DATA,
    State.STALE,
    State.BUDGET_UNKNOWN,
    State.UNDECIDED,
)
"""States in the order in which they matter when not all questions can be shown."""


def instant(time: float) -> str:
    """
    Return unix seconds as RFC 3339 in UTC, ``2026-11-23T10:00:00Z``, with milliseconds if it has any.

    Times before 1970 and after 9999 become the nearest that can be said.
    """
    thousandths = round(min(max(time, 0.0), 253402300799.0) * 1000)
    moment = datetime.fromtimestamp(thousandths // 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    rest = thousandths % 1000
    return f"{moment}.{rest:03d}Z" if rest else f"{moment}Z"


def finite(value: Any) -> Json:
    """
    Return ``value`` as strict JSON has it: NaN and infinity are None, tuples and arrays lists, keys text.

    Raises
    ------
    TypeError
        A value that JSON has no form for.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return finite(value.tolist())
    raise TypeError(f"no JSON for {type(value).__name__}")


def dump(value: Any, *, indent: int | None = None) -> str:
    """Return strict JSON text of ``value`` after `finite`; keys keep their order, letters stay as they are."""
    return json.dumps(finite(value), allow_nan=False, ensure_ascii=False, indent=indent)


def size(value: Json) -> int:
    """Return the bytes of ``dump(value)``."""
    return len(dump(value).encode())


def verdict_object(report: Mapping[str, Json]) -> dict[str, Json]:
    """
    Return the verdict object of a report: its public keys, at most `LARGEST` bytes.

    Parameters
    ----------
    report : mapping
        The report document; only its top level is read.

    Returns
    -------
    dict
        All of `KEYS`, in their order. What is too long is cut in the order in which it can be missed: what would
        be faster, questions beyond 20 (the urgent ones stay; ``questions_left_out`` counts the rest), words of the
        reason, long names, then all questions and the forecast, the host of the URL.
    """
    found = {key: finite(report.get(key)) for key in KEYS}
    release = report.get("release") or {}
    found["release"] = {key: release.get(key) for key in RELEASE}
    if release.get("cluster"):
        found["release"]["cluster"] = release["cluster"]
    found["questions"] = found["questions"] or {}
    for cut in CUTS:
        if size(found) <= LARGEST:
            break
        cut(found)
    return found


def shorten(text: Json, most: int) -> Json:
    """Return text of at most ``most`` characters, the last an ellipsis if something went; no text stays as it is."""
    return f"{text[: most - 1].rstrip()}…" if isinstance(text, str) and len(text) > most else text


def _drop_faster(found: dict[str, Json]) -> None:
    if isinstance(found["forecast"], dict):
        found["forecast"].pop("faster", None)


def _keep_questions(most: int) -> Callable[[dict[str, Json]], None]:
    def cut(found: dict[str, Json]) -> None:
        order = {state.value: rank for rank, state in enumerate(URGENCY)}
        shown = sorted(found["questions"].items(), key=lambda item: order.get(item[1], len(order)))
        if len(shown) > most:
            found["questions_left_out"] = found.get("questions_left_out", 0) + len(shown) - most
            found["questions"] = dict(shown[:most])

    return cut


def _shorten_reason(most: int) -> Callable[[dict[str, Json]], None]:
    def cut(found: dict[str, Json]) -> None:
        found["reason"] = shorten(found["reason"], most)

    return cut


def _shorten_names(found: dict[str, Json]) -> None:
    found["release"] = {key: shorten(text, 40) for key, text in found["release"].items()}
    found["policy"] = shorten(found["policy"], 40)


def _drop_forecast(found: dict[str, Json]) -> None:
    found["forecast"] = None


def _drop_host(found: dict[str, Json]) -> None:
    found["url"] = f"/reports/{found['id']}"


CUTS: tuple[Callable[[dict[str, Json]], None], ...] = (
    _drop_faster,
    _keep_questions(20),
    _shorten_reason(120),
    _shorten_names,
    _keep_questions(5),
    _drop_forecast,
    _drop_host,
    _keep_questions(0),
    _shorten_reason(60),
)
