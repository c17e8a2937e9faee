"""Judging a release of ten questions: cold, and one look more when the looks before were judged already."""

from __future__ import annotations

import statistics
import time

from analysis import resumed
from analysis.judge import judge
from analysis.record import Record
from bench.evidence import RUNS, Line
from bench.reading import LOOKS, Release

COLD_MS = 500.0
LOOK_MS = 25.0
TURNS = 200_000


def lines() -> list[Line]:
    """Measure and return the lines of the table."""
    release = Release()
    record = release.record(release.rows(release.answer, 0))
    assert isinstance(record, Record)
    cold, more, turn = zip(*((*_both(release, record), _turn_ns()) for _ in range(RUNS)), strict=True)
    return [
        Line(
            name=f"ten questions, {LOOKS} looks, 20 pods a side: judged cold",
            unit="ms",
            reached=statistics.median(cold),
            target=COLD_MS,
        ),
        Line(name="the same: one look more", unit="ms", reached=statistics.median(more), target=LOOK_MS),
        Line(name="one turn of a bare loop of Python, meanwhile", unit="ns", reached=statistics.median(turn)),
    ]


def _both(release: Release, record: Record) -> tuple[float, float]:
    """Return milliseconds of a verdict whose past nobody judged before, and of the verdict one look later."""
    resumed.forget()
    return _ms(release, record, LOOKS - 2), _ms(release, record, LOOKS - 1)


def _turn_ns() -> float:
    """Return what one turn of a loop that adds takes: how fast this machine is just now."""
    begin, total = time.process_time(), 0
    for turn in range(TURNS):
        total += turn
    return 1e9 * (time.process_time() - begin) / TURNS


def _ms(release: Release, record: Record, look: int) -> float:
    begin = time.process_time()
    judge(release.policy, record, float(record.ends[look]))
    return 1e3 * (time.process_time() - begin)
