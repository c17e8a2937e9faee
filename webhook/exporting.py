"""The record behind a report, as a file that ``weighbridge judge`` reads: the same numbers, the same verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from analysis.types import Json
from webhook.errors import NotFound
from webhook.gate import Gate
from webhook.recording import record_of
from webhook.releases import read
from webhook.schema import policy as wire
from webhook.schema.data import inline_record
from webhook.schema.record import Export, write_record
from webhook.schema.scalars import time


def export(gate: Gate, report: Mapping[str, Json]) -> dict[str, Json]:
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
        return write_record(Export(policy=policy, record=record, release=asked))
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
    return write_record(Export(policy=policy, record=record, release=asked, window=frame.get("noise_window")))
