"""Raw latencies in inline data: one list of durations per look becomes counts in buckets that all sides share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from analysis.compare.layouts import THINNEST, sample_layout
from analysis.errors import InvalidInput
from analysis.latencies import UNITS
from analysis.types import FloatArray, Json
from webhook.errors import BadRequest
from webhook.schema.arrays import read_numbers
from webhook.schema.problems import step
from webhook.schema.scalars import refuse

FIELD = "samples"


def with_counts(entry: Mapping[str, Json], place: str, unit: str) -> Mapping[str, Json]:
    """
    Return a latency's entry with ``edges`` and ``counts`` in the place of ``samples``; without samples as it is.

    Parameters
    ----------
    entry : mapping
        One question of the data, as parsed.
    place : str
        Its JSON pointer.
    unit : str
        ``s`` or ``ms``, of samples and edges.

    Raises
    ------
    BadRequest
        Samples that are no lists of durations, edges beside them, no sample at all.
    """
    looks = list(_looks(entry, place))
    if not looks:
        return entry
    if "edges" in entry:
        raise refuse(f"{place}/edges", "must not stand beside samples, which have no buckets", entry["edges"])
    flat = [row for _, rows in looks for row in rows]
    try:
        layout = sample_layout([[] if row is None else _seconds(row, unit) for row in flat])
    except InvalidInput as error:
        raise BadRequest("must hold at least one sample", place) from error
    counted = iter([None if row is None else counts for row, counts in zip(flat, layout.counts.tolist(), strict=True)])
    by_place = {inside: [next(counted) for _ in rows] for inside, rows in looks}
    return {**_replaced(entry, place, by_place), "edges": (layout.edges / UNITS[unit]).tolist()}


def _seconds(samples: FloatArray, unit: str) -> list[float]:
    """Return durations in seconds; one that rounded to nothing is the shortest that there is."""
    seconds: list[float] = np.maximum(samples * UNITS[unit], THINNEST).tolist()
    return seconds


def _looks(value: Json, place: str) -> Iterator[tuple[str, list[FloatArray | None]]]:
    """Yield place and looks of every list of samples in an entry, whatever its replicas and sides."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        inside = step(place, key)
        if key == FIELD and not isinstance(inner, dict):
            yield inside, _read(inner, inside)
        else:
            yield from _looks(inner, inside)


def _read(value: Json, place: str) -> list[FloatArray | None]:
    if not isinstance(value, list):
        raise refuse(place, "must be a list of looks, each a list of durations or null", value)
    if value and not any(isinstance(look, list) for look in value) and value.count(None) < len(value):
        return [read_numbers(value, place)]  # one flat list is one look
    found: list[FloatArray | None] = []
    for number, look in enumerate(value):
        inside = step(place, number)
        if look is not None and not isinstance(look, list):
            raise refuse(inside, "must be a list of durations, or null", look)
        read = None if look is None else read_numbers(look, inside)
        if read is not None and np.isnan(read).any():
            raise refuse(inside, "must hold no null: a look that is missing is null as a whole", None)
        found.append(read)
    return found


def _replaced(value: Json, place: str, by_place: Mapping[str, Json]) -> dict[str, Json]:
    """Return an entry with every list of samples replaced by its counts."""
    found: dict[str, Json] = {}
    for key, inner in value.items():
        inside = step(place, key)
        if inside in by_place:
            found["counts"] = by_place[inside]
        else:
            found[key] = _replaced(inner, inside, by_place) if isinstance(inner, dict) else inner
    return found
