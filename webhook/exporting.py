"""The record behind a report, as a file that ``weighbridge judge`` reads: the same numbers, the same verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from analysis.trace import Trace, trace
from analysis.types import Json, Stage
from webhook.errors import NotFound
from webhook.gate import Gate
from webhook.recording import record_of
from webhook.releases import read
from webhook.schema import policy as wire
from webhook.schema.data import inline_record
from webhook.schema.record import Export, write_record
from webhook.schema.request import read_ask
from webhook.schema.scalars import time


def export(gate: Gate, report: Mapping[str, Json]) -> dict[str, Json]:
    """Return the document of the record that a report was made of; see `exported`."""
    return write_record(exported(gate, report))


def exported(gate: Gate, report: Mapping[str, Json]) -> Export:
    """
    Return the record that a report was made of, up to the end of its window.

    Raises
    ------
    NotFound
        The report was not made of a record (an override, a fault), or its attempt is gone.
    """
    release = report["release"]
    asked = dict(release, asked=report["detail"].get("asked"))
    if "inline" in report:
        inline = report["inline"]
        policy = wire.restore(inline["policy"])
        record = inline_record(inline["data"], policy, started_at=inline["started_at"], at=inline["at"])
        return Export(policy=policy, record=record, release=asked)
    key = (release["cluster"], release["namespace"], release["name"], release["revision"])
    found = gate.store.attempt(key, release["attempt"])
    name = report["policy"].partition("@")[0]
    if found is None or name not in found["policies"]:
        raise NotFound("no record is kept for this report")
    attempt, policy = read(found), wire.restore(found["policies"][name])
    frame = attempt.records.get(policy.digest[:16])
    if frame is None or "start" not in frame:
        raise NotFound("this report was not made of a record")
    end = time(report["window"]["end"], "/window/end")
    looks = gate.store.looks(key, release["attempt"])
    rows = [row for row in looks if row["record"] == policy.digest[:16] and (end is None or row["end"] <= end + 1e-3)]
    told = report["detail"].get("steps", [])
    steps = tuple({**step, "time": min(step["time"], end)} if end is not None else step for step in told)
    record = replace(record_of(policy, frame, rows), events=steps)
    return Export(policy=policy, record=record, release=asked, window=frame.get("noise_window"))


def demand(release: Mapping[str, Json]) -> tuple[Stage | None, float | None]:
    """
    Return stage and next weight that a report was asked for, of the release that its record came with.

    A record that does not hold what was asked (``asked``) is judged for the stage that was answered.
    """
    asked = release.get("asked")
    if isinstance(asked, Mapping):
        known = read_ask(
            {"stage": asked.get("stage"), "release": {"next_weight": asked.get("next_weight")}}, loose=True
        )
        return known.stage, known.next_weight
    return (Stage(release["stage"]) if release.get("stage") in [one.value for one in Stage] else None), None


def traced(export: Export) -> Trace:
    """Return how the verdict on a record came about, look by look, to its end."""
    stage, next_weight = demand(export.release)
    record = export.record
    at = float(record.ends[-1]) if len(record.ends) else record.grid.start
    return trace(export.policy, record, at, stage=stage, next_weight=next_weight)
