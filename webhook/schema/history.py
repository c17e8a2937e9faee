"""The looks of a stable history as a document: replicas by name, one row of numbers each, null for what is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.errors import InvalidRecord
from analysis.record import SideSeries
from analysis.types import FloatArray, Json
from webhook.schema.problems import shown, step


def write_history(series: SideSeries) -> dict[str, Json]:
    """
    Return ``{"replicas": […], "fields": {field: rows}}``; whole numbers are written without a point.

    Returns
    -------
    dict
        Strict JSON; `read_history` gives the same arrays again, bit for bit.
    """
    return {
        "replicas": list(series.replicas),
        "fields": {name: _plain(array.tolist()) for name, array in series.fields.items()},
    }


def read_history(value: Json, place: str) -> SideSeries:
    """
    Return what `write_history` wrote.

    Raises
    ------
    InvalidRecord
        Place, rule and value of what is wrong: no numbers, rows of unequal lengths, another number of rows than
        replicas.
    """
    content = _mapping(value, place)
    names = content.get("replicas")
    if not isinstance(names, list):
        raise InvalidRecord(f"must be a list, got {shown(names)}", f"{place}/replicas")
    arrays: dict[str, FloatArray] = {}
    for name, entries in _mapping(content.get("fields"), f"{place}/fields").items():
        arrays[name] = _array(entries, step(f"{place}/fields", name))
        if arrays[name].ndim not in (2, 3) or arrays[name].shape[0] != len(names):
            raise InvalidRecord(f"must have a row for each of {len(names)} replicas", f"{place}/fields")
        arrays[name].flags.writeable = False
    return SideSeries(replicas=tuple(str(name) for name in names), fields=arrays)


def _plain(value: Json) -> Json:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if math.isnan(value):
        return None
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def _mapping(value: Json, place: str) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise InvalidRecord(f"must be an object, got {shown(value)}", place)
    return value


def _array(entries: Json, place: str) -> FloatArray:
    try:
        found: FloatArray = np.array(_known(entries), dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRecord("must be numbers or null in rows of one length", place) from error
    if np.isinf(found).any():
        raise InvalidRecord("must be finite numbers or null", place)
    return found


def _known(value: Json) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_known(item) for item in value]
    return math.nan if value is None else value
